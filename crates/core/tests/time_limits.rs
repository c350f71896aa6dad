//! Times before which a run does not begin, and limits over all attempts of a step.

mod support;

use quintet_core::command::Command;
use quintet_core::event::Event;
use quintet_core::machine::RunStatus;
use quintet_core::time::Time;
use quintet_core::why::{Reason, why};
use serde_json::json;
use support::{Sim, by, dag, edit};

fn later(ms: u64) -> Option<Time> {
    Some(Time(1_000_000).plus_ms(ms))
}

#[test]
fn nothing_of_a_delayed_run_starts_before_its_time() {
    let mut sim = Sim::start_at(dag(&[("a", &[]), ("b", &["a"])]), json!({}), 10, later(5_000));
    assert_eq!((sim.state.status, sim.running()), (RunStatus::Pending, vec![]));
    assert_eq!(sim.state.next_wake(), later(5_000));
    assert!(matches!(&why(&sim.state, 0)[..], [Reason::NotBefore { at }] if Some(*at) == later(5_000)));
    sim.now = sim.now.plus_ms(4_999);
    assert!(sim.ok(Command::Tick).is_empty());
    sim.now = sim.now.plus_ms(1);
    assert_eq!(sim.ok(Command::Tick)[0], Event::RunDue);
    assert_eq!(
        (sim.state.status, sim.running()),
        (RunStatus::StepsInProcess, vec!["a"])
    );
    assert_eq!(sim.state.nodes[0].ready_at, Some(sim.now));
    sim.succeed("a", json!(1));
    sim.succeed("b", json!(2));
    assert_eq!(sim.state.status, RunStatus::Complete);
    sim.assert_replay_gives_the_state();
}

#[test]
fn a_time_that_has_passed_delays_nothing() {
    let sim = Sim::start_at(dag(&[("a", &[])]), json!({}), 10, Some(Time(1_000_000)));
    assert_eq!((sim.running(), sim.state.held_until), (vec!["a"], None));
}

#[test]
fn a_delayed_run_can_be_called_off_and_then_taken_up_at_once() {
    let mut sim = Sim::start_at(dag(&[("a", &[])]), json!({}), 10, later(5_000));
    sim.ok(Command::Cancel { by: None, reason: None });
    assert_eq!((sim.state.status, sim.state.next_wake()), (RunStatus::Cancelled, None));
    sim.ok(Command::Rerun {
        step: "a".into(),
        by: by("ann"),
    });
    assert_eq!(sim.running(), ["a"]);
    sim.assert_replay_gives_the_state();
}

#[test]
fn a_delayed_run_that_was_paused_and_resumed_still_waits_for_its_time() {
    let mut sim = Sim::start_at(dag(&[("a", &[])]), json!({}), 10, later(5_000));
    sim.ok(Command::Pause { by: None, reason: None });
    sim.ok(Command::Resume { by: None, reason: None });
    assert_eq!(sim.state.status, RunStatus::WaitingForDependencies);
    assert!(sim.running().is_empty());
    sim.ok(Command::Pause { by: None, reason: None });
    assert!(sim.next_timer());
    assert!(sim.running().is_empty(), "its time has come, but it is held");
    sim.ok(Command::Resume { by: None, reason: None });
    assert_eq!(sim.running(), ["a"]);
    sim.assert_replay_gives_the_state();
}

#[test]
fn the_time_limit_of_a_run_counts_from_when_it_may_begin() {
    let mut spec = dag(&[("a", &[])]);
    spec.settings.timeout_ms = Some(1_000);
    let mut sim = Sim::start_at(spec, json!({}), 10, later(5_000));
    assert!(sim.next_timer());
    assert_eq!((sim.now, sim.running()), (Time(1_000_000).plus_ms(5_000), vec!["a"]));
    assert!(sim.next_timer());
    assert_eq!(
        (sim.now, sim.state.status),
        (Time(1_000_000).plus_ms(6_000), RunStatus::Error)
    );
}

/// A step with three attempts a second apart, which may take ten seconds together.
fn limited(slots: u32) -> Sim {
    let spec = edit(dag(&[("a", &[])]), "a", |step| {
        step.timeouts.total_ms = Some(10_000);
        step.retry.max_attempts = 3;
        step.retry.delay_ms = 1_000;
    });
    Sim::start(spec, json!({}), slots)
}

fn failure(sim: &Sim) -> String {
    sim.state.nodes[0]
        .failure
        .as_ref()
        .map(|failure| failure.message.clone())
        .unwrap_or_default()
}

#[test]
fn all_attempts_of_a_step_share_one_limit_and_passing_it_is_final() {
    let mut sim = limited(1);
    sim.now = sim.now.plus_ms(4_000);
    sim.fail("a", "one");
    sim.next_timer();
    assert_eq!(sim.state.nodes[0].close_by, Some(sim.now.plus_ms(5_000)));
    assert!(sim.next_timer());
    assert_eq!(
        (failure(&sim).as_str(), sim.state.status),
        ("timed out after 10000 ms in all", RunStatus::Error)
    );
    assert!(sim.running().is_empty());
    sim.assert_replay_gives_the_state();
}

#[test]
fn a_retry_that_would_come_after_the_limit_is_not_made() {
    let mut sim = limited(1);
    sim.now = sim.now.plus_ms(9_000);
    sim.fail("a", "the last word");
    assert_eq!(
        (failure(&sim).as_str(), sim.state.status),
        ("the last word", RunStatus::Error)
    );
}

#[test]
fn waiting_for_an_executor_takes_nothing_from_the_limit() {
    let mut sim = limited(1);
    sim.now = sim.now.plus_ms(4_000);
    sim.fail("a", "one");
    sim.slots.free = 0;
    sim.next_timer();
    assert_eq!(sim.queue, [0]);
    sim.now = sim.now.plus_ms(60_000);
    sim.slots.free = 0;
    sim.ok(Command::Claim { node: 0 });
    assert_eq!(sim.state.nodes[0].close_by, Some(sim.now.plus_ms(5_000)));
    sim.succeed("a", json!(1));
    assert_eq!(sim.state.status, RunStatus::Complete);
}

#[test]
fn the_limit_of_one_attempt_holds_beside_that_of_all() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| {
        step.timeouts.total_ms = Some(2_500);
        step.timeouts.attempt_ms = Some(1_000);
        step.retry.max_attempts = 9;
        step.retry.delay_ms = 500;
    });
    let mut sim = Sim::start(spec, json!({}), 1);
    sim.next_timer();
    assert_eq!(failure(&sim), "timed out after 1000 ms");
    sim.next_timer();
    assert_eq!(sim.state.nodes[0].attempt, 2);
    sim.next_timer();
    assert_eq!(
        (failure(&sim).as_str(), sim.state.status),
        ("timed out after 2500 ms in all", RunStatus::Error)
    );
}

#[test]
fn a_step_that_is_tried_again_by_a_person_has_its_time_anew() {
    let mut sim = limited(1);
    sim.now = sim.now.plus_ms(9_000);
    sim.fail("a", "no");
    sim.ok(Command::Retry { step: None, by: None });
    assert_eq!(sim.state.nodes[0].close_by, Some(sim.now.plus_ms(10_000)));
}
