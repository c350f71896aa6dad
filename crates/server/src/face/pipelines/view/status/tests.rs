//! Tables: what each state of the engine is called.

use std::sync::Arc;

use quintet_core::apply::create;
use quintet_core::event::{Created, Meta};
use quintet_core::id::RunId;
use quintet_core::plan::{Plan, PlanSpec, StepSpec};
use quintet_core::time::Time;

use super::*;

const MODES: [FailureMode; 3] = [FailureMode::FailFast, FailureMode::Continue, FailureMode::PartialMerge];

/// A run of a, then b and c, then d, whose steps and itself stand as said.
fn diamond(run: RunStatus, steps: [StepStatus; 4]) -> RunState {
    let step = |key: &str, before: &[&str]| {
        let depends_on = before.iter().map(|before| quintet_core::plan::Dependency {
            step: (*before).to_owned(),
            on: quintet_core::plan::EdgeOn::Success,
        });
        StepSpec {
            depends_on: depends_on.collect(),
            ..StepSpec::new(key, "push")
        }
    };
    let spec = PlanSpec {
        steps: vec![
            step("a", &[]),
            step("b", &["a"]),
            step("c", &["a"]),
            step("d", &["b", "c"]),
        ],
        ..PlanSpec::default()
    };
    let plan = Arc::new(Plan::compile(spec).expect("plan"));
    let created = Created {
        namespace: "default".into(),
        workflow: "pipeline:p".into(),
        workflow_version: 0,
        plan: plan.digest,
        context: Arc::default(),
        priority: 0,
        labels: serde_json::Map::new(),
        priority_is_for_all: false,
        not_before: None,
    };
    let meta = Meta { at: Time(1), owner: 1 };
    let mut state = create(RunId::from_bits(1), plan, &created, meta);
    state.status = run;
    for (node, status) in state.nodes.iter_mut().zip(steps) {
        node.status = status;
        if status != StepStatus::Pending {
            node.verdict = Verdict::Start;
        }
    }
    state
}

fn tasks(state: &RunState) -> Vec<Option<TaskStatus>> {
    (0..state.nodes.len() as u32).map(|n| of_task(state, n)).collect()
}

use PipelineStatus as P;
use RunStatus as R;
use StepStatus as S;
use TaskStatus as T;

#[test]
fn each_state_of_a_step_has_its_word_while_the_run_is_going() {
    for (status, expected) in [
        (S::Pending, Some(T::Pending)),
        (S::Enqueued, Some(T::Pending)),
        (S::WaitingForRetry, Some(T::Pending)),
        (S::InProgress, Some(T::Running)),
        (S::EnqueuedForOrchestration, Some(T::Running)),
        (S::EnqueuedAsErrorForOrchestration, Some(T::Running)),
        (S::Complete, Some(T::Completed)),
        (S::ResolvedManually, Some(T::Completed)),
        (S::Error, Some(T::Failed)),
        (S::Cancelled, Some(T::Cancelled)),
        (S::Skipped, None),
    ] {
        let state = diamond(R::StepsInProcess, [status, S::Pending, S::Pending, S::Pending]);
        assert_eq!(of_task(&state, 0), expected, "{status:?}");
        assert_eq!(of_task(&state, 3), None, "nobody has heard of d");
        assert_eq!(of_task(&state, 4), None, "there is no such step");
    }
}

#[test]
fn a_run_that_is_held_has_the_words_of_one_that_is_going() {
    for run in quintet_core::machine::run::ALL
        .into_iter()
        .filter(|run| !run.is_terminal())
    {
        let mut state = diamond(run, [S::Complete, S::InProgress, S::Pending, S::Pending]);
        state.nodes[2].verdict = Verdict::Start;
        state.nodes[2].hold = Hold::Approval;
        let expected = [Some(T::Completed), Some(T::Running), Some(T::Pending), None];
        assert_eq!(tasks(&state), expected, "{run:?}");
        for mode in MODES {
            assert!(matches!(of_run(&state, mode), P::Running | P::Pending), "{run:?}");
        }
    }
}

#[test]
fn a_join_waits_from_the_end_of_its_first_predecessor_on() {
    for (b, c, d) in [
        (S::InProgress, S::InProgress, None),
        (S::Complete, S::InProgress, Some(T::Waiting)),
        (S::Error, S::WaitingForRetry, Some(T::Waiting)),
        (S::ResolvedManually, S::Enqueued, Some(T::Waiting)),
        (S::Skipped, S::InProgress, None),
    ] {
        let state = diamond(R::StepsInProcess, [S::Complete, b, c, S::Pending]);
        assert_eq!(of_task(&state, 3), d, "{b:?} {c:?}");
    }
}

#[test]
fn what_was_not_begun_when_the_run_ended_was_called_off_and_what_was_not_chosen_is_nothing() {
    for run in [R::Complete, R::Error, R::Cancelled, R::ResolvedManually] {
        let mut state = diamond(run, [S::Complete, S::Error, S::Enqueued, S::Pending]);
        let expected = [T::Completed, T::Failed, T::Cancelled, T::Cancelled].map(Some);
        assert_eq!(tasks(&state), expected, "{run:?}");
        state.nodes[3].verdict = Verdict::Skip(SkipCause::UpstreamFailed);
        assert_eq!(tasks(&state), expected, "{run:?}");
        for cause in [SkipCause::NotTaken, SkipCause::ConditionFalse] {
            for status in [S::Pending, S::Cancelled] {
                state.nodes[3].status = status;
                state.nodes[3].verdict = Verdict::Skip(cause);
                assert_eq!(of_task(&state, 3), None, "{run:?} {cause:?} {status:?}");
            }
        }
    }
}

#[test]
fn what_took_too_long_or_went_silent_is_a_timeout() {
    for (kind, expected, code, message) in [
        ("timeout", T::Timeout, "TIMEOUT", "Task m"),
        ("heartbeat_timeout", T::Timeout, "TIMEOUT", "Task heartbeat timeout"),
        ("lost", T::Failed, "LOST", "m"),
        ("E_DISK", T::Failed, "E_DISK", "m"),
    ] {
        let mut state = diamond(R::Error, [S::Error, S::Pending, S::Pending, S::Pending]);
        state.nodes[0].failure = Some(Arc::new(Failure::new(kind, "m")));
        assert_eq!(of_task(&state, 0), Some(expected), "{kind}");
        let error = error_of_task(&state, 0, expected, FailureMode::FailFast);
        assert_eq!(error, (Some(message.to_owned()), Some(code.to_owned())), "{kind}");
        // While another attempt is awaited, the failure is one of those before.
        state.status = R::WaitingForRetry;
        state.nodes[0].status = S::WaitingForRetry;
        assert_eq!(
            error_of_task(&state, 0, T::Pending, FailureMode::FailFast),
            (None, None)
        );
    }
}

#[test]
fn why_a_task_was_called_off_is_said() {
    let called_off = |change: fn(&mut RunState), mode| {
        let mut state = diamond(R::Error, [S::Error, S::Cancelled, S::Cancelled, S::Cancelled]);
        change(&mut state);
        error_of_task(&state, 1, T::Cancelled, mode).0.unwrap_or_default()
    };
    let fail_fast = called_off(|_| {}, FailureMode::FailFast);
    assert_eq!(fail_fast, "Pipeline failed in fail-fast mode");
    for mode in MODES {
        let why = called_off(
            |state| {
                state.cancelled = Some(Note {
                    by: None,
                    reason: Some("Task type removed in version 2".to_owned()),
                    at: Time(1),
                });
            },
            mode,
        );
        assert_eq!(why, "Task type removed in version 2");
        let why = called_off(
            |state| state.failure = Some(Arc::new(Failure::new("run_timeout", "too long"))),
            mode,
        );
        assert_eq!(why, "too long");
    }
}

#[test]
fn each_state_of_a_run_has_its_word() {
    for (run, expected) in [
        (R::Pending, P::Pending),
        (R::StepsInProcess, P::Running),
        (R::WaitingForRetry, P::Running),
        (R::Paused, P::Running),
        (R::Complete, P::Completed),
        (R::ResolvedManually, P::Completed),
        (R::Error, P::Failed),
        (R::Cancelled, P::Cancelled),
    ] {
        let state = diamond(run, [S::Complete; 4]);
        for mode in [FailureMode::FailFast, FailureMode::Continue] {
            assert_eq!(of_run(&state, mode), expected, "{run:?}");
        }
    }
}

#[test]
fn a_merge_is_partial_if_something_came_of_it_besides_what_led_to_the_failure() {
    for (steps, expected) in [
        ([S::Complete, S::Error, S::Complete, S::Complete], P::Partial),
        ([S::Complete, S::Error, S::Complete, S::Skipped], P::Partial),
        ([S::Complete, S::Error, S::Skipped, S::ResolvedManually], P::Partial),
        ([S::Complete, S::Error, S::Error, S::Skipped], P::Failed),
        ([S::Complete, S::Error, S::Skipped, S::Skipped], P::Failed),
        ([S::Error, S::Skipped, S::Skipped, S::Skipped], P::Failed),
        ([S::Complete, S::Complete, S::Complete, S::Error], P::Failed),
    ] {
        let state = diamond(R::Error, steps);
        assert_eq!(of_run(&state, FailureMode::PartialMerge), expected, "{steps:?}");
        assert_eq!(
            of_run(&state, FailureMode::Continue),
            P::Failed,
            "only in this mode: {steps:?}"
        );
        for run in [R::StepsInProcess, R::Complete, R::Cancelled] {
            assert_eq!(
                of_run(&diamond(run, steps), FailureMode::PartialMerge),
                of_status(run),
                "{run:?}"
            );
        }
    }
}

#[test]
fn a_run_that_failed_says_which_task_did() {
    let mut state = diamond(R::Error, [S::Complete, S::Error, S::Complete, S::Pending]);
    state.nodes[1].failure = Some(Arc::new(Failure::new("heartbeat_timeout", "no heartbeat for 5 ms")));
    let error = |state: &RunState, status| error_of_run(state, status);
    assert_eq!(
        error(&state, P::Failed).as_deref(),
        Some("Task 'b' failed: Task heartbeat timeout")
    );
    assert_eq!(error(&state, P::Partial), error(&state, P::Failed));
    for status in [P::Pending, P::Running, P::Completed] {
        assert_eq!(error(&state, status), None);
    }
    assert_eq!(error(&state, P::Cancelled).as_deref(), Some("Cancelled"));
}

#[test]
fn every_word_for_a_task_run_names_rows_and_only_skipped_ones_are_in_none() {
    let mut named: Vec<S> = TASK.iter().flat_map(|(_, status)| rows_of(*status)).collect();
    named.sort_unstable();
    named.dedup();
    let all = quintet_core::machine::step::ALL.into_iter();
    let expected: Vec<S> = all.filter(|status| *status != S::Skipped).collect();
    assert_eq!(named, expected);
    assert_eq!(rows_of(T::Timeout), rows_of(T::Failed));
    for (word, status) in TASK {
        assert_eq!(serde_json::to_value(status).unwrap(), word);
    }
    for (word, status) in RUN {
        assert_eq!(serde_json::to_value(status).unwrap(), word);
    }
}
