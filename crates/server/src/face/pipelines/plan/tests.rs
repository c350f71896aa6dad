//! The plans are driven through the core's own decisions, with the test as the worker.

use std::sync::Arc;

use quintet_core::command::Command;
use quintet_core::effect::{Cx, Effect, Place, Placement};
use quintet_core::event::Created;
use quintet_core::id::{IdSource, RunId};
use quintet_core::machine::RunStatus;
use quintet_core::outcome::{Failure, Outcome, Success, Work};
use quintet_core::retry::Backoff;
use quintet_core::state::RunState;
use quintet_core::step::{Step, start, step};
use quintet_core::time::Time;

use super::super::graph::tests::pipeline;
use super::*;

const RULES: PlanRules = PlanRules {
    retries: RetrySemantics::Extra,
    non_retryable: Vec::new(),
};

struct Anywhere;

impl Placement for Anywhere {
    fn place(&mut self, _step: &StepSpec) -> Place {
        Place::Here
    }
    fn release(&mut self, _step: &StepSpec) {}
}

impl IdSource for Anywhere {
    fn next_bits(&mut self) -> u128 {
        1
    }
}

/// A run of a pipeline whose tasks are not retried.
struct Run {
    state: RunState,
    held: Vec<Work>,
    now: Time,
}

impl Run {
    fn of(lines: &str, mode: FailureMode) -> Self {
        Self::with(lines, mode, |task| task.retries = 0)
    }

    fn with(lines: &str, mode: FailureMode, change: impl Fn(&mut TaskEntry)) -> Self {
        let plan = Arc::new(plan(lines, mode, change).unwrap());
        let created = Created {
            namespace: "default".into(),
            workflow: "pipeline:s".into(),
            workflow_version: 1,
            plan: plan.digest,
            context: Arc::default(),
            priority: 0,
            labels: serde_json::Map::new(),
            priority_is_for_all: false,
            not_before: None,
        };
        let now = Time(0);
        let (state, out) = with_cx(now, |cx| start(RunId::from_bits(1), plan, created, &[], cx)).unwrap();
        let held = Vec::new();
        let mut run = Self { state, held, now };
        run.take(out);
        run
    }

    fn command(&mut self, command: Command) {
        let out = with_cx(self.now, |cx| step(&mut self.state, command, cx)).unwrap();
        self.take(out);
    }

    fn take(&mut self, out: Step) {
        for effect in out.effects {
            if let Effect::Dispatch(work) = effect {
                self.held.push(*work);
            }
        }
    }

    fn answer(&mut self, task: &str, outcome: Outcome) -> &mut Self {
        let at = self.held.iter().position(|work| work.step == task);
        let work = self
            .held
            .remove(at.unwrap_or_else(|| panic!("{task} is not under way")));
        self.command(Command::Complete {
            token: work.token,
            outcome,
        });
        self
    }

    fn succeed(&mut self, task: &str) -> &mut Self {
        self.answer(task, Outcome::Succeeded(Success::default()))
    }

    fn select(&mut self, task: &str, next: &[&str]) -> &mut Self {
        let next = Some(next.iter().map(|id| (*id).to_owned()).collect());
        self.answer(
            task,
            Outcome::Succeeded(Success {
                next,
                ..Success::default()
            }),
        )
    }

    fn fail(&mut self, task: &str) -> &mut Self {
        self.fail_with(task, "BROKEN")
    }

    fn fail_with(&mut self, task: &str, code: &str) -> &mut Self {
        self.answer(task, Outcome::Failed(Failure::new(code, "it broke")))
    }

    fn running(&self) -> String {
        let mut running: Vec<&str> = self.held.iter().map(|work| work.step.as_str()).collect();
        running.sort_unstable();
        running.join(" ")
    }

    fn status(&self, task: &str) -> &'static str {
        self.state.nodes[self.state.find(task).unwrap() as usize]
            .status
            .as_str()
    }
}

fn with_cx<T>(now: Time, decide: impl FnOnce(&mut Cx<'_>) -> T) -> T {
    let (mut ids, mut placement) = (Anywhere, Anywhere);
    decide(&mut Cx {
        now,
        owner: 1,
        ids: &mut ids,
        placement: &mut placement,
    })
}

fn plan(lines: &str, mode: FailureMode, change: impl Fn(&mut TaskEntry)) -> Result<Plan, PlanError> {
    let pipeline = pipeline(lines, "s");
    let tasks: Vec<TaskEntry> = pipeline
        .tasks
        .iter()
        .map(|task| {
            let mut entry = TaskEntry::new(&*task.id, "0f");
            change(&mut entry);
            entry
        })
        .collect();
    let find = |id: &str| tasks.iter().find(|task| task.id == id);
    of_pipeline(&pipeline, find, mode, &RULES)
}

const DIAMOND: &str = "s: a -> b c
    s: b -> d
    s: c -> d
    s: d";
const LONG_BRANCH: &str = "s: a -> b c
    s: b -> b2
    s: b2 -> d
    s: c -> d
    s: d -> e
    s: e";

#[test]
fn a_step_has_the_settings_of_its_task() {
    let task = TaskEntry {
        timeout_ms: 5_000,
        retries: 2,
        retry_backoff: Backoff::Fixed,
        retry_delay_ms: 100,
        max_retry_delay_ms: 400,
        heartbeat_interval_ms: 700,
        priority: 10,
        ..TaskEntry::new("ocr", "0f")
    };
    let mut rules = PlanRules {
        non_retryable: vec!["BAD_PDF".to_owned(), "INVALID_NEXT_TASKS".to_owned()],
        ..RULES
    };
    let plan = of_task(&task, &rules).unwrap();
    let step = &plan.spec.steps[0];
    assert_eq!(
        (step.key.as_str(), step.action.as_str(), step.queue()),
        ("ocr", "push", "ocr")
    );
    assert_eq!((step.priority, &step.input), (Some(-10), &json!({ "task": "ocr" })));
    assert_eq!(
        (step.timeouts.attempt_ms, step.timeouts.heartbeat_ms),
        (Some(5_000), Some(1_400))
    );
    let expected = RetryPolicy {
        max_attempts: 3,
        backoff: Backoff::Fixed,
        delay_ms: 100,
        max_delay_ms: 400,
        jitter_percent: 0,
        non_retryable_kinds: vec!["INVALID_NEXT_TASKS".to_owned(), "BAD_PDF".to_owned()],
        ..RetryPolicy::default()
    };
    assert_eq!(step.retry, expected);
    rules.retries = RetrySemantics::Total;
    let attempts = |retries| {
        let task = TaskEntry {
            retries,
            ..task.clone()
        };
        of_task(&task, &rules).unwrap().spec.steps[0].retry.max_attempts
    };
    assert_eq!((attempts(0), attempts(1), attempts(2)), (1, 1, 2));
}

#[test]
fn branches_run_side_by_side_and_a_join_waits_for_both() {
    for (_, mode) in FailureMode::CHOICES {
        let mut run = Run::of(DIAMOND, mode);
        assert_eq!(run.succeed("a").running(), "b c");
        assert_eq!(run.succeed("b").running(), "c");
        assert_eq!(run.succeed("c").running(), "d");
        run.succeed("d");
        assert_eq!(run.state.status, RunStatus::Complete);
    }
}

#[test]
fn a_join_does_not_wait_for_a_branch_that_was_not_selected() {
    for (_, mode) in FailureMode::CHOICES {
        let mut run = Run::of(LONG_BRANCH, mode);
        assert_eq!(run.select("a", &["c"]).running(), "c");
        assert_eq!(run.succeed("c").running(), "d");
        run.succeed("d").succeed("e");
        assert_eq!((run.status("b"), run.status("b2")), ("skipped", "skipped"));
        assert_eq!(run.state.status, RunStatus::Complete);
    }
}

#[test]
fn an_empty_selection_runs_nothing_further() {
    for (_, mode) in FailureMode::CHOICES {
        let mut run = Run::of(LONG_BRANCH, mode);
        assert_eq!(run.select("a", &[]).running(), "");
        assert_eq!(["b", "b2", "c", "d", "e"].map(|task| run.status(task)), ["skipped"; 5]);
        assert_eq!(run.state.status, RunStatus::Complete);
    }
}

#[test]
fn fail_fast_lets_nothing_new_start() {
    let mut run = Run::of(LONG_BRANCH, FailureMode::FailFast);
    assert_eq!(run.succeed("a").fail("b").running(), "c");
    assert_eq!(run.succeed("c").running(), "");
    assert_eq!(run.state.status, RunStatus::Error);
    assert_eq!(
        ["b", "b2", "c", "d"].map(|task| run.status(task)),
        ["error", "pending", "complete", "pending"]
    );
}

#[test]
fn continue_keeps_the_good_branch_and_skips_the_merge() {
    let mut run = Run::of(LONG_BRANCH, FailureMode::Continue);
    assert_eq!(run.succeed("a").fail("b").running(), "c");
    assert_eq!(run.succeed("c").running(), "");
    assert_eq!(
        ["b", "b2", "c", "d", "e"].map(|task| run.status(task)),
        ["error", "skipped", "complete", "skipped", "skipped"]
    );
    assert_eq!(run.state.status, RunStatus::Error);
}

#[test]
fn partial_merge_joins_what_is_available() {
    let mut run = Run::of(DIAMOND, FailureMode::PartialMerge);
    assert_eq!(run.succeed("a").fail("b").running(), "c");
    assert_eq!(run.succeed("c").running(), "d");
    run.succeed("d");
    assert_eq!(run.state.status, RunStatus::Error);
    assert_eq!((run.status("b"), run.status("d")), ("error", "complete"));
}

#[test]
fn partial_merge_joins_what_is_available_when_a_branch_failed_early() {
    for last in ["b", "b2"] {
        let mut run = Run::of(LONG_BRANCH, FailureMode::PartialMerge);
        run.succeed("a").succeed("c");
        if last == "b2" {
            run.succeed("b");
        }
        assert_eq!(run.fail(last).running(), "d", "{last} failed");
        assert_eq!(run.succeed("d").running(), "e");
    }
}

#[test]
fn partial_merge_skips_a_join_that_nothing_is_available_for() {
    let mut run = Run::of(LONG_BRANCH, FailureMode::PartialMerge);
    assert_eq!(run.succeed("a").fail("b").fail("c").running(), "");
    assert_eq!(
        (run.status("b2"), run.status("d"), run.status("e")),
        ("skipped", "skipped", "skipped")
    );
    assert!(run.state.status.is_terminal());
}

#[test]
fn partial_merge_does_not_go_on_behind_a_failed_task() {
    let mut run = Run::of("s: a -> b\ns: b -> c\ns: c", FailureMode::PartialMerge);
    assert_eq!(run.fail("a").running(), "");
    assert_eq!((run.status("b"), run.status("c")), ("skipped", "skipped"));
}

#[test]
fn invalid_successors_are_not_tried_again_and_other_failures_are() {
    let mut run = Run::with("s: a", FailureMode::FailFast, |task| task.retries = 1);
    run.fail_with("a", "INVALID_NEXT_TASKS");
    assert_eq!(run.state.status, RunStatus::Error);
    let mut run = Run::with("s: a", FailureMode::FailFast, |task| task.retries = 1);
    run.fail("a");
    let due = Time(0).plus_ms(1_000);
    assert_eq!(run.state.next_wake(), Some(due));
    run.now = due;
    run.command(Command::Tick);
    assert_eq!(run.running(), "a");
    run.fail("a");
    assert_eq!(run.state.status, RunStatus::Error);
}

#[test]
fn what_a_dry_run_calls_wrong_is_no_plan() {
    let refused = |lines| plan(lines, FailureMode::FailFast, |_| {}).unwrap_err().message;
    let missing = "Task 'a' references non-existent task 'ghost' in allowedNext";
    assert_eq!(refused("s: a -> ghost"), missing);
    assert_eq!(refused("s: a\ns: b -> c\ns: c -> b"), "Cycle detected: b -> c -> b");
    let pipeline = pipeline(DIAMOND, "s");
    let error = of_pipeline(&pipeline, |_| None, FailureMode::FailFast, &RULES).unwrap_err();
    assert_eq!(error.message, "Tasks not found: a");
}

#[test]
fn modes_are_written_as_requests_name_them() {
    for (word, mode) in FailureMode::CHOICES {
        assert_eq!(serde_json::to_value(mode).unwrap(), json!(word));
    }
}
