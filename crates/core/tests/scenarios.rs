//! One behaviour each, told as a story.

mod support;

use quintet_core::command::{Command, Rejected};
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::outcome::{Outcome, Success};
use quintet_core::plan::{MAX_STEPS, PlanSpec, StepSpec};
use quintet_core::state::Note;
use quintet_core::time::Time;
use quintet_core::why::{Reason, why};
use serde_json::{Value, json};
use support::{Sim, by, dag, edit, rejected};

#[test]
fn parallel_branches_run_together_and_the_join_starts_once() {
    let mut sim = Sim::start(dag(&[("a", &[]), ("b", &[]), ("c", &["a", "b"])]), json!({}), 10);
    assert_eq!(sim.running(), ["a", "b"]);
    sim.succeed("b", json!(1));
    assert_eq!(sim.running(), ["a"]);
    sim.succeed("a", json!(2));
    assert_eq!(sim.running(), ["c"]);
    sim.succeed("c", json!(3));
    assert_eq!(sim.state.status, RunStatus::Complete);
    sim.assert_replay_gives_the_state();
}

#[test]
fn inputs_are_templated_from_results_and_context_with_their_types() {
    let spec = edit(dag(&[("a", &[]), ("b", &["a"])]), "b", |step| {
        step.input = json!({ "n": "{{ steps.a.output.n }}", "text": "n={{ steps.a.output.n }} {{ context.who }}" });
    });
    let mut sim = Sim::start(spec, json!({ "who": "me" }), 10);
    sim.succeed("a", json!({ "n": 7 }));
    assert_eq!(sim.held[0].input, json!({ "n": 7, "text": "n=7 me" }));
}

#[test]
fn an_undefined_name_in_an_input_fails_the_step_and_gives_its_slot_back() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| step.input = json!("{{ context.nope }}"));
    let sim = Sim::start(spec, json!({}), 1);
    assert_eq!(sim.state.status, RunStatus::Error);
    assert_eq!(sim.slots.free, 1);
    assert!(sim.state.first_failure().unwrap().1.message.contains("context.nope"));
}

#[test]
fn two_gated_steps_need_two_approvals() {
    let spec = edit(dag(&[("a", &[]), ("b", &["a"])]), "a", |step| {
        step.requires_approval = true
    });
    let spec = edit(spec, "b", |step| step.requires_approval = true);
    let mut sim = Sim::start(spec, json!({}), 10);
    assert_eq!(sim.state.status, RunStatus::WaitingForApproval);
    assert!(sim.held.is_empty());
    sim.ok(Command::Approve {
        step: None,
        by: by("ann"),
        comment: None,
    });
    sim.succeed("a", Value::Null);
    assert_eq!(sim.state.status, RunStatus::WaitingForApproval);
    sim.ok(Command::Approve {
        step: Some("b".into()),
        by: by("bob"),
        comment: by("fine"),
    });
    sim.succeed("b", Value::Null);
    assert_eq!(sim.state.status, RunStatus::Complete);
    assert_eq!(sim.state.nodes[1].approval.as_ref().unwrap().by, by("bob"));
}

#[test]
fn a_step_that_does_not_ask_is_neither_approved_nor_rejected() {
    let spec = edit(dag(&[("a", &[]), ("b", &["a"])]), "b", |step| {
        step.requires_approval = true
    });
    let mut sim = Sim::start(spec, json!({}), 10);
    for (name, status) in [("a", StepStatus::InProgress), ("b", StepStatus::Pending)] {
        let step = name.to_owned();
        let wrong = Rejected::WrongStepStatus { step, status };
        let (step, by, comment) = (Some(name.to_owned()), None, None);
        let approve = Command::Approve { step, by, comment };
        assert_eq!(rejected(sim.command(approve)), wrong);
        let (step, by, comment) = (Some(name.to_owned()), None, None);
        let reject = Command::Reject { step, by, comment };
        assert_eq!(rejected(sim.command(reject)), wrong);
    }
}

#[test]
fn a_run_that_has_ended_is_neither_paused_nor_resumed_nor_resolved_nor_cancelled() {
    let mut sim = Sim::start(dag(&[("a", &[])]), json!({}), 10);
    sim.succeed("a", Value::Null);
    for order in [
        Command::Pause { by: None, reason: None },
        Command::ResolveRun { by: None, reason: None },
        Command::Cancel { by: None, reason: None },
    ] {
        assert_eq!(rejected(sim.command(order)), Rejected::Finished(RunStatus::Complete));
    }
    let resume = sim.command(Command::Resume { by: None, reason: None });
    assert_eq!(rejected(resume), Rejected::WrongRunStatus(RunStatus::Complete));
}

#[test]
fn a_rejection_fails_the_run_and_says_who_and_why() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| step.requires_approval = true);
    let mut sim = Sim::start(spec, json!({}), 10);
    sim.ok(Command::Reject {
        step: None,
        by: by("ann"),
        comment: by("too dear"),
    });
    assert_eq!(sim.state.status, RunStatus::Error);
    assert_eq!(
        sim.state.first_failure().unwrap().1.message,
        "approval rejected by ann: too dear"
    );
    let again = sim.command(Command::Approve {
        step: None,
        by: None,
        comment: None,
    });
    assert_eq!(rejected(again), Rejected::Finished(RunStatus::Error));
}

#[test]
fn an_approval_nobody_answers_is_rejected_in_time() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| {
        step.action = "approval".into();
        step.timeouts.approval_ms = Some(1000);
        step.input = json!({ "on_reject": "continue" });
    });
    let mut sim = Sim::start(spec, json!({}), 10);
    sim.next_timer();
    assert_eq!(sim.state.status, RunStatus::Complete);
    assert_eq!(
        sim.state.nodes[0].success.as_ref().unwrap().output["approved"],
        json!(false)
    );
}

#[test]
fn a_pause_starts_nothing_new_and_a_resume_goes_on() {
    let mut sim = Sim::start(dag(&[("a", &[]), ("b", &["a"])]), json!({}), 10);
    sim.ok(Command::Pause {
        by: by("ops"),
        reason: by("freeze"),
    });
    sim.succeed("a", Value::Null);
    assert!(sim.held.is_empty());
    assert_eq!(sim.state.status, RunStatus::Paused);
    assert!(matches!(&why(&sim.state, 1)[..], [Reason::Paused { .. }, ..]));
    let again = sim.command(Command::Pause { by: None, reason: None });
    assert_eq!(rejected(again), Rejected::WrongRunStatus(RunStatus::Paused));
    sim.ok(Command::Resume { by: None, reason: None });
    sim.succeed("b", Value::Null);
    assert_eq!(sim.state.status, RunStatus::Complete);
}

#[test]
fn a_pause_takes_steps_out_of_the_queue_and_a_resume_puts_them_back() {
    let mut sim = Sim::start(dag(&[("a", &[]), ("b", &[])]), json!({}), 0);
    assert_eq!(sim.queue, [0, 1]);
    sim.ok(Command::Pause { by: None, reason: None });
    assert!(sim.queue.is_empty());
    assert_eq!(rejected(sim.command(Command::Claim { node: 0 })), Rejected::Held);
    sim.ok(Command::Resume { by: None, reason: None });
    assert_eq!(sim.queue, [0, 1]);
}

#[test]
fn a_cancelled_run_stays_cancelled_whatever_comes_back() {
    let mut sim = Sim::start(dag(&[("a", &[]), ("b", &["a"])]), json!({}), 10);
    let token = sim.token("a");
    sim.ok(Command::Cancel {
        by: by("ops"),
        reason: None,
    });
    assert!(sim.held.is_empty());
    let late = sim.command(Command::Complete {
        token,
        outcome: Outcome::Succeeded(Success::default()),
    });
    assert!(matches!(rejected(late), Rejected::Superseded { .. }));
    assert_eq!(sim.state.status, RunStatus::Cancelled);
    let again = sim.command(Command::Cancel { by: None, reason: None });
    assert_eq!(rejected(again), Rejected::Finished(RunStatus::Cancelled));
}

#[test]
fn a_failed_run_can_be_called_off_and_says_so_but_an_ended_one_cannot() {
    let mut sim = Sim::start(dag(&[("a", &[]), ("b", &["a"]), ("c", &[])]), json!({}), 1);
    sim.fail("a", "no");
    assert_eq!(sim.state.status, RunStatus::Error);
    let call_off = || Command::CallOff {
        by: by("ops"),
        reason: by("too late"),
        forced: true,
    };
    assert_eq!(
        rejected(sim.command(Command::Cancel { by: None, reason: None })),
        Rejected::Finished(RunStatus::Error)
    );
    sim.ok(call_off());
    assert_eq!(sim.state.status, RunStatus::Cancelled);
    assert!(sim.state.cancelled_by_force && sim.state.finished_at.is_some());
    let statuses: Vec<StepStatus> = sim.state.nodes.iter().map(|node| node.status).collect();
    assert_eq!(statuses[0], StepStatus::Error);
    assert!(
        statuses[1..]
            .iter()
            .all(|status| *status == StepStatus::Cancelled || *status == StepStatus::Skipped)
    );
    assert_eq!(
        rejected(sim.command(call_off())),
        Rejected::Finished(RunStatus::Cancelled)
    );
    sim.ok(Command::Retry { step: None, by: None });
    assert!(sim.state.cancelled.is_none() && !sim.state.cancelled_by_force);
}

#[test]
fn the_last_hold_is_remembered_when_it_has_been_lifted() {
    let mut sim = Sim::start(dag(&[("a", &[])]), json!({}), 10);
    sim.ok(Command::Pause {
        by: None,
        reason: by("freeze"),
    });
    sim.ok(Command::Resume {
        by: by("ann"),
        reason: by("thaw"),
    });
    assert!(sim.state.paused.is_none());
    let reason = |note: &Option<Note>| note.as_ref().and_then(|note| note.reason.clone());
    assert_eq!(
        (reason(&sim.state.last_pause), reason(&sim.state.last_resume)),
        (by("freeze"), by("thaw"))
    );
}

#[test]
fn stopping_early_ends_well_and_leaves_the_rest_untouched() {
    let mut sim = Sim::start(dag(&[("a", &[]), ("b", &["a"])]), json!({}), 10);
    let token = sim.token("a");
    sim.answer(
        token,
        Outcome::Succeeded(Success {
            stop: true,
            ..Success::default()
        }),
    )
    .unwrap();
    assert_eq!(sim.state.status, RunStatus::Complete);
    assert_eq!(sim.status_of("b"), "pending");
}

#[test]
fn a_decision_runs_only_the_selected_successors_and_the_join_does_not_wait_for_the_others() {
    let spec = dag(&[
        ("pick", &[]),
        ("x", &["pick"]),
        ("y", &["pick"]),
        ("after_y", &["y"]),
        ("end", &["x", "after_y"]),
    ]);
    let mut sim = Sim::start(spec, json!({}), 10);
    let token = sim.token("pick");
    sim.answer(
        token,
        Outcome::Succeeded(Success {
            next: Some(vec!["x".into()]),
            ..Success::default()
        }),
    )
    .unwrap();
    assert_eq!(sim.running(), ["x"]);
    assert_eq!((sim.status_of("y"), sim.status_of("after_y")), ("skipped", "skipped"));
    sim.succeed("x", Value::Null);
    assert_eq!(sim.running(), ["end"]);
}

#[test]
fn selecting_nothing_ends_the_run_well() {
    let mut sim = Sim::start(dag(&[("a", &[]), ("b", &["a"])]), json!({}), 10);
    let token = sim.token("a");
    sim.answer(
        token,
        Outcome::Succeeded(Success {
            next: Some(vec![]),
            ..Success::default()
        }),
    )
    .unwrap();
    assert_eq!((sim.state.status, sim.status_of("b")), (RunStatus::Complete, "skipped"));
}

#[test]
fn items_run_at_most_n_at_a_time_and_their_results_keep_their_order() {
    let spec = edit(dag(&[("a", &[]), ("b", &["a"])]), "a", |step| {
        step.for_each = serde_json::from_value(json!({ "items": "{{ context.names }}", "concurrency": 2 })).unwrap();
        step.input = json!("{{ index }}:{{ item }}");
    });
    let mut sim = Sim::start(spec, json!({ "names": ["x", "y", "z"] }), 10);
    assert_eq!(sim.running(), ["a[0]", "a[1]"]);
    assert_eq!(sim.held[1].input, json!("1:y"));
    sim.succeed("a[1]", json!("Y"));
    assert_eq!(sim.running(), ["a[0]", "a[2]"]);
    sim.succeed("a[2]", json!("Z"));
    sim.succeed("a[0]", json!("X"));
    assert_eq!(
        sim.state.nodes[0].success.as_ref().unwrap().output.as_ref(),
        &json!(["X", "Y", "Z"])
    );
    assert_eq!(sim.running(), ["b"]);
    sim.assert_replay_gives_the_state();
}

#[test]
fn fail_fast_lets_running_steps_end_and_starts_nothing_new() {
    let mut sim = Sim::start(dag(&[("a", &[]), ("b", &[]), ("c", &["b"])]), json!({}), 10);
    sim.fail("a", "broken");
    assert_eq!(sim.state.status, RunStatus::StepsInProcess);
    assert!(matches!(&why(&sim.state, 2)[..], [Reason::StoppedByFailure { .. }, ..]));
    sim.succeed("b", Value::Null);
    assert_eq!((sim.state.status, sim.status_of("c")), (RunStatus::Error, "pending"));
    sim.ok(Command::Retry {
        step: None,
        by: by("ops"),
    });
    assert_eq!(sim.running(), ["c", "a"]);
}

#[test]
fn a_handled_failure_does_not_fail_the_run() {
    let mut spec = dag(&[("a", &[]), ("ok", &["a"]), ("undo", &["a"]), ("end", &["ok", "undo"])]);
    spec.steps[2].depends_on[0].on = quintet_core::plan::EdgeOn::Failure;
    spec.steps[3].join = quintet_core::plan::Join::Any;
    let mut sim = Sim::start(spec, json!({}), 10);
    sim.fail("a", "broken");
    assert_eq!((sim.running(), sim.status_of("ok")), (vec!["undo"], "skipped"));
    sim.succeed("undo", Value::Null);
    sim.succeed("end", Value::Null);
    assert_eq!(sim.state.status, RunStatus::Complete);
}

#[test]
fn a_wait_step_waits_for_the_clock() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| {
        step.action = "wait".into();
        step.input = json!({ "seconds": "{{ context.pause }}" });
    });
    let mut sim = Sim::start(spec, json!({ "pause": 1.5 }), 0);
    assert_eq!(sim.state.next_wake(), Some(Time(1_000_000).plus_ms(1500)));
    assert!(matches!(&why(&sim.state, 0)[..], [Reason::WaitingUntil { .. }]));
    sim.next_timer();
    assert_eq!(sim.state.status, RunStatus::Complete);
}

#[test]
fn an_unknown_action_fails_as_written() {
    let spec = edit(dag(&[("a", &[])]), "a", |step| step.action = "unheard-of".into());
    let sim = Sim::start(spec, json!({}), 10);
    assert_eq!(
        sim.state.first_failure().unwrap().1.message,
        "unsupported action: unheard-of"
    );
}

#[test]
fn the_runs_own_limit_holds_steps_back_and_why_names_who_holds_it() {
    let mut spec = dag(&[("a", &[]), ("b", &[]), ("c", &[])]);
    spec.settings.max_concurrency = Some(1);
    let mut sim = Sim::start(spec, json!({}), 10);
    assert_eq!(sim.running(), ["a"]);
    let held = Reason::RunConcurrency {
        limit: 1,
        held_by: vec!["a".into()],
    };
    assert_eq!(why(&sim.state, 1), [held]);
    sim.succeed("a", Value::Null);
    assert_eq!(sim.running(), ["b"]);
}

#[test]
fn where_few_may_be_under_way_the_highest_priority_begins_first() {
    let mut spec = dag(&[("low", &[]), ("high", &[]), ("usual", &[]), ("urgent", &["low"])]);
    for (step, priority) in spec.steps.iter_mut().zip([-5, 10, 0, 99]) {
        step.priority = (priority != 0).then_some(priority);
    }
    spec.settings.max_concurrency = Some(1);
    let mut sim = Sim::start(spec, json!({}), 10);
    for next in ["high", "usual", "low", "urgent"] {
        assert_eq!(sim.running(), [next]);
        sim.succeed(next, Value::Null);
    }
    sim.assert_replay_gives_the_state();
}

#[test]
fn log_lines_can_be_added_to_a_finished_run() {
    let mut sim = Sim::start(dag(&[("a", &[])]), json!({}), 10);
    sim.succeed("a", Value::Null);
    let version = sim.state.version;
    sim.ok(Command::AppendLog { text: "hello".into() });
    assert_eq!(
        (sim.state.version, sim.state.status),
        (version + 1, RunStatus::Complete)
    );
    sim.assert_replay_gives_the_state();
}

#[test]
fn a_hundred_thousand_parallel_steps_and_their_join_are_scheduled_without_quadratic_work() {
    let names: Vec<String> = (0..MAX_STEPS - 1).map(|nth| format!("s{nth}")).collect();
    let mut spec = PlanSpec {
        steps: names.iter().map(|name| StepSpec::new(name, "work")).collect(),
        ..PlanSpec::default()
    };
    let join: Vec<Value> = names.iter().map(|name| json!({ "step": name })).collect();
    spec.steps
        .push(serde_json::from_value(json!({ "key": "join", "action": "work", "depends_on": join })).unwrap());
    let mut state = {
        let sim = Sim::start(spec, json!({}), u32::MAX);
        assert_eq!(sim.held.len(), MAX_STEPS - 1);
        sim.state
    };
    let (mut ids, mut slots) = (support::Ids(1), support::Slots { free: 10 });
    let mut cx = quintet_core::effect::Cx {
        now: Time(2_000_000),
        owner: 1,
        ids: &mut ids,
        placement: &mut slots,
    };
    let mut joined = 0;
    for node in 0..MAX_STEPS as u32 - 1 {
        let token = quintet_core::outcome::Token {
            run: state.id,
            node,
            attempt: 1,
        };
        let outcome = Outcome::Succeeded(Success::default());
        let out = quintet_core::step::step(&mut state, Command::Complete { token, outcome }, &mut cx).unwrap();
        joined += out.effects.len();
        assert!(out.events.len() <= 2);
    }
    assert_eq!(joined, 1);
}
