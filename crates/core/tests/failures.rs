//! Failures, one story each: retries, time limits, lost and late attempts, and people who mend.

mod support;

use std::sync::Arc;

use quintet_core::command::{Command, Rejected};
use quintet_core::event::SkipCause;
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::outcome::{Failure, Outcome, Success};
use quintet_core::plan::{EdgeOn, FailurePolicy, Join};
use quintet_core::retry::Backoff;
use quintet_core::state::Verdict;
use quintet_core::time::Time;
use quintet_core::why::{Reason, why};
use serde_json::{Value, json};
use support::{Sim, by, dag, edit, rejected};

#[test]
fn exponential_retries_wait_longer_each_time_and_then_fail_the_run() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| {
        step.retry.max_attempts = 3;
        step.retry.delay_ms = 100;
        step.retry.backoff = Backoff::Exponential;
    });
    let mut sim = Sim::start(spec, json!({}), 10);
    sim.fail("a", "one");
    assert_eq!(sim.state.status, RunStatus::WaitingForRetry);
    assert_eq!(sim.state.next_wake(), Some(sim.now.plus_ms(100)));
    assert!(
        sim.ok(Command::Tick).is_empty(),
        "a tick that comes too early does nothing"
    );
    sim.next_timer();
    sim.fail("a", "two");
    assert_eq!(sim.state.next_wake(), Some(sim.now.plus_ms(200)));
    assert!(matches!(&why(&sim.state, 0)[..], [Reason::RetryAt { attempt: 3, error, .. }] if error == "two"));
    sim.next_timer();
    sim.fail("a", "three");
    assert_eq!(sim.state.status, RunStatus::Error);
    assert_eq!(sim.state.nodes[0].attempt, 3);
}

#[test]
fn a_zombie_is_refused_from_its_deadline_on_whoever_looks_at_the_clock_first() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| {
        step.timeouts.attempt_ms = Some(1000);
        step.retry.max_attempts = 2;
    });
    let mut sim = Sim::start(spec, json!({}), 10);
    let first = sim.token("a");
    let answer = |sim: &mut Sim, token| {
        let outcome = Outcome::Succeeded(Success::default());
        sim.command(Command::Complete { token, outcome })
    };
    sim.now = sim.now.plus_ms(999);
    assert!(sim.ok(Command::Tick).is_empty());
    sim.now = sim.now.plus_ms(1);
    let (attempt, status) = (1, StepStatus::InProgress);
    assert_eq!(rejected(answer(&mut sim, first)), Rejected::Expired { attempt, status });
    sim.ok(Command::Tick);
    assert!(sim.held.is_empty(), "the executor was told to stop");
    let status = StepStatus::WaitingForRetry;
    assert_eq!(rejected(answer(&mut sim, first)), Rejected::Expired { attempt, status });
    sim.next_timer();
    let second = sim.token("a");
    assert_eq!(second.attempt, 2);
    let beat = Command::Heartbeat {
        token: first,
        progress: None,
        message: None,
    };
    for refused in [answer(&mut sim, first), sim.command(beat)] {
        let status = StepStatus::InProgress;
        let current = 2;
        assert_eq!(
            rejected(refused),
            Rejected::Superseded {
                attempt,
                current,
                status
            }
        );
    }
    answer(&mut sim, second).unwrap();
    assert!(answer(&mut sim, second).unwrap().is_empty(), "said twice is said once");
}

#[test]
fn heartbeats_keep_an_attempt_alive_and_silence_ends_it() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| step.timeouts.heartbeat_ms = Some(100));
    let mut sim = Sim::start(spec, json!({}), 10);
    for _ in 0..5 {
        sim.now = sim.now.plus_ms(90);
        sim.ok(Command::Tick);
        let token = sim.token("a");
        sim.ok(Command::Heartbeat {
            token,
            progress: Some(150.0),
            message: None,
        });
    }
    assert_eq!(sim.state.nodes[0].progress, Some(100.0));
    sim.next_timer();
    assert_eq!(
        sim.state.first_failure().unwrap().1.kind.as_deref(),
        Some("heartbeat_timeout")
    );
}

#[test]
fn an_attempt_that_takes_too_long_and_one_that_falls_silent_are_told_apart() {
    let ended = |beats: u32| {
        let spec = edit(dag(&[("a", &[])]), "a", |step| {
            step.timeouts.attempt_ms = Some(1000);
            step.timeouts.heartbeat_ms = Some(400);
        });
        let mut sim = Sim::start(spec, json!({}), 10);
        for _ in 0..beats {
            sim.now = sim.now.plus_ms(300);
            let token = sim.token("a");
            sim.ok(Command::Heartbeat {
                token,
                progress: None,
                message: None,
            });
        }
        sim.next_timer();
        sim.state.nodes[0].failure.as_deref().cloned()
    };
    assert_eq!(
        ended(1),
        Some(Failure::new("heartbeat_timeout", "no heartbeat for 400 ms"))
    );
    assert_eq!(ended(3), Some(Failure::new("timeout", "timed out after 1000 ms")));
}

#[test]
fn nothing_is_tried_again_in_a_run_that_has_failed_or_was_stopped() {
    for stop in [false, true] {
        let spec = edit(dag(&[("a", &[]), ("b", &[])]), "b", |step| step.retry.max_attempts = 2);
        let mut sim = Sim::start(spec, json!({}), 10);
        if stop {
            let (token, stop) = (sim.token("a"), true);
            let outcome = Outcome::Succeeded(Success {
                stop,
                ..Success::default()
            });
            sim.answer(token, outcome).unwrap();
        } else {
            sim.fail("a", "broken");
        }
        sim.fail("b", "broken, too");
        assert_eq!((sim.status_of("b"), sim.state.next_wake()), ("error", None));
        assert!(sim.state.status.is_terminal());
    }
}

#[test]
fn a_step_nobody_takes_in_time_fails_and_leaves_the_queue() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| step.timeouts.queue_ms = Some(50));
    let mut sim = Sim::start(spec, json!({}), 0);
    assert_eq!(sim.queue, [0]);
    assert!(matches!(&why(&sim.state, 0)[..], [Reason::NoFreeExecutor { .. }]));
    sim.next_timer();
    assert!(sim.queue.is_empty());
    assert_eq!(
        sim.state.first_failure().unwrap().1.kind.as_deref(),
        Some("queue_timeout")
    );
}

#[test]
fn a_run_that_takes_too_long_calls_everything_off() {
    let mut spec = dag(&[("a", &[]), ("b", &["a"])]);
    spec.settings.timeout_ms = Some(500);
    let mut sim = Sim::start(spec, json!({}), 10);
    sim.next_timer();
    assert_eq!(sim.state.status, RunStatus::Error);
    assert_eq!((sim.status_of("a"), sim.status_of("b")), ("cancelled", "cancelled"));
    assert!(sim.held.is_empty());
    assert_eq!(
        sim.state.failure.as_ref().unwrap().message,
        "the run timed out after 500 ms"
    );
    sim.assert_replay_gives_the_state();
}

#[test]
fn a_failed_item_fails_the_step_and_a_retry_runs_only_that_item() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| {
        step.for_each = serde_json::from_value(json!({ "items": [1, 2, 3] })).unwrap();
    });
    let mut sim = Sim::start(spec, json!({}), 10);
    sim.succeed("a[0]", json!(10));
    sim.fail("a[1]", "broken");
    sim.succeed("a[2]", json!(30));
    assert_eq!(sim.state.status, RunStatus::Error);
    assert_eq!(sim.state.first_failure().unwrap().1.message, "item 1: broken");
    sim.ok(Command::Retry { step: None, by: None });
    assert_eq!(sim.running(), ["a[1]"]);
    sim.succeed("a[1]", json!(20));
    assert_eq!(
        sim.state.nodes[0].success.as_ref().unwrap().output.as_ref(),
        &json!([10, 20, 30])
    );
    assert_eq!(sim.state.status, RunStatus::Complete);
    sim.assert_replay_gives_the_state();
}

#[test]
fn a_blocked_run_waits_for_a_person_and_a_resolved_step_lets_it_go_on() {
    let mut spec = dag(&[("a", &[]), ("b", &["a"])]);
    spec.settings.on_failure = FailurePolicy::Block;
    let mut sim = Sim::start(spec, json!({}), 10);
    sim.fail("a", "broken");
    assert_eq!(sim.state.status, RunStatus::BlockedByFailures);
    let output = Some(json!({ "by": "hand" }));
    sim.ok(Command::Resolve {
        step: "a".into(),
        by: by("ann"),
        reason: by("did it myself"),
        output,
    });
    assert_eq!((sim.status_of("a"), sim.running()), ("complete", vec!["b"]));
    sim.succeed("b", Value::Null);
    assert_eq!(sim.state.status, RunStatus::Complete);
    sim.assert_replay_gives_the_state();
}

#[test]
fn resolving_a_step_that_runs_stops_its_attempt() {
    let mut sim = Sim::start(dag(&[("a", &[]), ("b", &["a"])]), json!({}), 10);
    let token = sim.token("a");
    sim.ok(Command::Resolve {
        step: "a".into(),
        by: None,
        reason: None,
        output: None,
    });
    assert_eq!((sim.status_of("a"), sim.running()), ("resolved_manually", vec!["b"]));
    let late = sim.command(Command::Complete {
        token,
        outcome: Outcome::Succeeded(Success::default()),
    });
    assert!(matches!(rejected(late), Rejected::Superseded { .. }));
}

#[test]
fn a_rerun_repeats_the_step_and_everything_after_it_with_new_attempt_numbers() {
    let mut sim = Sim::start(
        dag(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["a"])]),
        json!({}),
        10,
    );
    for step in ["a", "b", "d", "c"] {
        sim.succeed(step, json!(1));
    }
    sim.ok(Command::Rerun {
        step: "b".into(),
        by: None,
    });
    assert_eq!(sim.running(), ["b"]);
    assert_eq!(sim.token("b").attempt, 2);
    sim.succeed("b", json!(2));
    sim.succeed("c", json!(2));
    assert_eq!(
        (sim.state.status, sim.status_of("d")),
        (RunStatus::Complete, "complete")
    );
    sim.assert_replay_gives_the_state();
}

#[test]
fn a_run_that_is_blocked_is_not_paused() {
    let mut spec = dag(&[("a", &[])]);
    spec.settings.on_failure = FailurePolicy::Block;
    let mut sim = Sim::start(spec, json!({}), 10);
    sim.fail("a", "broken");
    let pause = sim.command(Command::Pause { by: None, reason: None });
    assert_eq!(rejected(pause), Rejected::WrongRunStatus(RunStatus::BlockedByFailures));
}

#[test]
fn attempts_lost_with_their_process_are_made_again_but_not_for_ever() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| step.retry.max_lost = 2);
    let mut sim = Sim::start(spec, json!({}), 100);
    for attempt in 1..=3 {
        assert_eq!(sim.token("a").attempt, attempt);
        sim.owner += 1;
        sim.held.clear();
        let alive = vec![sim.owner];
        sim.recover(alive);
    }
    assert_eq!(sim.state.status, RunStatus::Error);
    assert_eq!(sim.state.first_failure().unwrap().1.kind.as_deref(), Some("lost"));
    sim.assert_replay_gives_the_state();
}

#[test]
fn recovery_leaves_alone_what_living_processes_hold() {
    let mut sim = Sim::start(dag(&[("a", &[])]), json!({}), 10);
    assert!(sim.recover(vec![1, 2]).is_empty());
    assert_eq!(sim.running(), ["a"]);
}

#[test]
fn a_hand_out_that_was_stored_but_never_made_is_made_again() {
    let mut sim = Sim::start(dag(&[("a", &[]), ("b", &[])]), json!({}), 10);
    let unmade = sim.token("a");
    sim.held.retain(|work| work.token != unmade);
    sim.recover(vec![1]);
    assert_eq!((sim.token("a").attempt, sim.token("b").attempt), (2, 1));
}

/// Judges what the process 1 was handed, as of so many microseconds after that; answers which attempt is under way then.
fn judged(by: u64, alive: &[u64], is_held: bool, after: i64) -> u32 {
    let mut sim = Sim::start(dag(&[("a", &[])]), json!({}), 10);
    let held = sim.held.iter().filter(|_| is_held).map(|work| work.token);
    let recover = Command::Recover {
        alive: alive.to_vec(),
        held: Arc::new(held.collect()),
        as_of: Time(sim.now.0 + after),
    };
    sim.owner = by;
    sim.ok(recover);
    sim.state.nodes[0].attempt
}

#[test]
fn what_others_were_handed_since_the_living_were_counted_is_not_judged() {
    assert_eq!(judged(2, &[2], false, 1), 2);
    assert_eq!(judged(2, &[2], false, 0), 1);
    assert_eq!(judged(2, &[2], false, -1), 1);
}

#[test]
fn what_a_process_has_only_by_the_book_is_lost_however_new_it_is() {
    assert_eq!(judged(1, &[1], true, 1), 1);
    assert_eq!(judged(1, &[1], false, -1), 2);
    assert_eq!(judged(1, &[2], true, -1), 2, "who is gone holds nothing");
}

#[test]
fn a_receiver_that_asks_to_wait_is_waited_for() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| step.retry.max_attempts = 2);
    let mut sim = Sim::start(spec, json!({}), 10);
    let token = sim.token("a");
    let failure = Failure {
        retry_after_ms: Some(9_000),
        ..Failure::new("http_status", "http status 503")
    };
    sim.answer(token, Outcome::Failed(failure)).unwrap();
    assert_eq!(sim.state.next_wake(), Some(sim.now.plus_ms(9_000)));
}

#[test]
fn nothing_lies_in_the_queue_of_a_run_that_failed_while_it_was_paused_until_it_is_retried() {
    let mut sim = Sim::start(dag(&[("a", &[]), ("b", &[])]), json!({}), 1);
    assert_eq!((sim.running(), sim.queue.clone()), (vec!["a"], vec![1]));
    sim.ok(Command::Pause { by: None, reason: None });
    sim.fail("a", "broken");
    sim.ok(Command::Resume { by: None, reason: None });
    assert!(sim.queue.is_empty(), "an executor would be refused it for ever");
    assert_eq!(sim.state.status, RunStatus::Error);
    sim.ok(Command::Retry { step: None, by: None });
    assert_eq!((sim.running(), sim.queue.clone()), (vec!["a"], vec![1]));
}

#[test]
fn a_blocked_run_can_be_declared_settled_and_taken_up_again_later() {
    let mut spec = dag(&[("a", &[]), ("b", &["a"]), ("c", &[])]);
    spec.settings.on_failure = FailurePolicy::Block;
    let mut sim = Sim::start(spec, json!({}), 10);
    sim.fail("a", "broken");
    let token = sim.token("c");
    sim.ok(Command::ResolveRun {
        by: by("ann"),
        reason: by("done by phone"),
    });
    assert_eq!(
        (sim.state.status, sim.status_of("c")),
        (RunStatus::ResolvedManually, "cancelled")
    );
    assert!(sim.held.is_empty());
    assert_eq!(sim.state.resolved.as_ref().unwrap().reason, by("done by phone"));
    let late = sim.command(Command::Complete {
        token,
        outcome: Outcome::Succeeded(Success::default()),
    });
    assert!(matches!(rejected(late), Rejected::Superseded { .. }));
    let again = sim.command(Command::ResolveRun { by: None, reason: None });
    assert_eq!(rejected(again), Rejected::Finished(RunStatus::ResolvedManually));
    sim.ok(Command::Rerun {
        step: "a".into(),
        by: None,
    });
    assert_eq!((sim.running(), sim.state.resolved.clone()), (vec!["a"], None));
    sim.assert_replay_gives_the_state();
}

#[test]
fn why_a_join_was_not_reached_does_not_depend_on_the_order_in_which_its_predecessors_ended() {
    for order in [["a", "b"], ["b", "a"]] {
        let mut spec = dag(&[("a", &[]), ("b", &[]), ("join", &["a", "b"]), ("after", &["join"])]);
        spec.settings.on_failure = FailurePolicy::Continue;
        spec.steps[2].join = Join::AtLeast(2);
        spec.steps[2].depends_on[1].on = EdgeOn::Failure;
        let mut sim = Sim::start(spec, json!({}), 10);
        for step in order {
            if step == "a" {
                sim.fail("a", "broken");
            } else {
                sim.succeed("b", Value::Null);
            }
        }
        let verdict = |name: &str| sim.state.nodes[sim.state.find(name).unwrap() as usize].verdict;
        assert_eq!(verdict("join"), Verdict::Skip(SkipCause::UpstreamFailed), "{order:?}");
        assert_eq!(verdict("after"), Verdict::Skip(SkipCause::UpstreamFailed), "{order:?}");
    }
}
