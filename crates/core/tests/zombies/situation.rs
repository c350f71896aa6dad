//! Every state that a step run can be in when something late arrives, each reached by a story of its own.

use std::sync::Arc;

use quintet_core::command::Command;
use quintet_core::outcome::{Failure, Outcome, Success, Token};
use quintet_core::plan::{FailurePolicy, PlanSpec, StepSpec};
use quintet_core::time::Time;
use serde_json::{Value, json};

use crate::support::{Sim, dag, edit};

/// The process that makes the attempts, the one that takes them over when they are lost, and one that holds nothing.
pub const HOLDER: u64 = 1;
pub const RESCUER: u64 = 2;
pub const STRANGER: u64 = 3;

/// A run in which one step run is in the state that the name says.
pub struct Situation {
    pub sim: Sim,
    /// The step run.
    pub node: u32,
    /// What its last attempt answered, or would answer.
    pub answer: Outcome,
    /// What the attempt before that one answered, or would answer.
    pub older: Outcome,
}

/// Brings about a situation.
type Story = fn() -> Situation;

/// All of them, by the names that the table uses.
pub const ALL: &[(&str, Story)] = &[
    ("pending behind another step", pending),
    ("pending until approved", asked),
    ("pending after a loss, run paused", pending_after_loss),
    ("enqueued", enqueued),
    ("enqueued after a failure", || enqueued_after(failed)),
    ("enqueued after a loss", || enqueued_after(lost)),
    ("enqueued after a retry by hand", enqueued_after_retry),
    ("1 in progress, must answer", || going(|_| {})),
    ("1 in progress, must beat", || going(must_beat)),
    ("1 in progress, has beaten", beaten),
    ("1 in progress, without limits", || {
        going(|step| step.timeouts.attempt_ms = None)
    }),
    ("1 in progress, run paused", paused),
    ("1 in progress, an item", item),
    ("2 in progress after a failure", || going_again(failed)),
    ("2 in progress after an expiry", || going_again(expired)),
    ("2 in progress after a loss", || going_again(lost)),
    ("2 in progress after a rerun", rerun),
    ("in progress, a timer", timer),
    ("in progress, its items", items),
    ("waiting for retry after a failure", || retrying(failed)),
    ("waiting for retry after an expiry", || retrying(expired)),
    ("waiting for retry after a silence", silent),
    ("complete", complete),
    ("complete, run over", complete_and_over),
    ("complete by hand", || settled_by_hand(Some(good_output()))),
    ("resolved by hand", || settled_by_hand(None)),
    ("error after a failure", || ended_badly(failed)),
    ("error after an expiry", || ended_badly(expired)),
    ("error after too many losses", || ended_badly(lost)),
    ("error in the queue after a loss", error_in_queue),
    ("error, run blocked", blocked),
    ("cancelled", cancelled),
    ("cancelled by the run's time limit", cancelled_by_time),
    ("cancelled as the run was resolved", cancelled_by_resolution),
    ("skipped", skipped),
];

/// The situation of a name.
pub fn build(name: &str) -> Situation {
    let known = ALL.iter().find(|(known, _)| *known == name);
    known.expect("the situation is known").1()
}

/// A run of one step, whose end is the run's.
pub fn alone() -> Situation {
    Situation::of(sim(dag(&[("a", &[])]), 1))
}

fn good_output() -> Value {
    json!({ "by": "the attempt", "ratio": 0.1 })
}

fn good() -> Outcome {
    Outcome::Succeeded(Success {
        output: Arc::new(good_output()),
        ..Success::default()
    })
}

fn bad() -> Outcome {
    Outcome::Failed(Failure::new("test", "broken"))
}

impl Situation {
    fn of(sim: Sim) -> Self {
        Self::answering(sim, good())
    }

    fn answering(sim: Sim, answer: Outcome) -> Self {
        let node = sim.state.find("a").expect("the step exists");
        let older = good();
        Self {
            sim,
            node,
            answer,
            older,
        }
    }

    /// Round which instant the table looks: that of the step run's timer, or the deadline that its last attempt had.
    pub fn deadline(&self) -> Time {
        let node = &self.sim.state.nodes[self.node as usize];
        node.timer.or(node.close_by).unwrap_or(self.sim.now.plus_ms(1))
    }

    /// Number of the last attempt.
    pub fn attempt(&self) -> u32 {
        self.sim.state.nodes[self.node as usize].attempt
    }

    /// Names an attempt of the step run.
    pub fn token(&self, attempt: u32) -> Token {
        Token {
            run: self.sim.state.id,
            node: self.node,
            attempt,
        }
    }
}

/// Two steps, `a` and then `b`; `a` may take a second, and may be tried three times and lost twice.
fn plan(change: impl FnOnce(&mut StepSpec)) -> PlanSpec {
    edit(dag(&[("a", &[]), ("b", &["a"])]), "a", |step| {
        step.retry.max_attempts = 3;
        step.retry.max_lost = 2;
        step.retry.delay_ms = 100;
        step.timeouts.attempt_ms = Some(1000);
        change(step);
    })
}

fn must_beat(step: &mut StepSpec) {
    step.timeouts.attempt_ms = None;
    step.timeouts.heartbeat_ms = Some(400);
}

fn once(step: &mut StepSpec) {
    (step.retry.max_attempts, step.retry.max_lost) = (1, 0);
}

fn queued_for_long(step: &mut StepSpec) {
    step.timeouts.queue_ms = Some(700);
}

fn sim(spec: PlanSpec, slots: u32) -> Sim {
    Sim::start(spec, json!({}), slots)
}

/// The attempt under way answers that it failed. Whoever takes the slot that this frees is not of this story.
fn failed(sim: &mut Sim) -> Outcome {
    let token = sim.token("a");
    sim.held.clear();
    sim.ok(Command::Complete { token, outcome: bad() });
    bad()
}

/// It does not answer in time.
fn expired(sim: &mut Sim) -> Outcome {
    assert!(sim.next_timer());
    good()
}

/// It is lost with the process that made it, as another process finds after a while.
fn lost(sim: &mut Sim) -> Outcome {
    sim.held.clear();
    sim.now = sim.now.plus_ms(10);
    let owner = std::mem::replace(&mut sim.owner, RESCUER);
    sim.recover(vec![RESCUER]);
    sim.owner = owner;
    good()
}

fn pending() -> Situation {
    Situation::of(sim(dag(&[("before", &[]), ("a", &["before"])]), 10))
}

fn asked() -> Situation {
    let spec = plan(|step| {
        step.requires_approval = true;
        step.timeouts.approval_ms = Some(900);
    });
    Situation::of(sim(spec, 10))
}

fn pending_after_loss() -> Situation {
    let mut paused = paused();
    lost(&mut paused.sim);
    paused
}

fn enqueued() -> Situation {
    Situation::of(sim(plan(queued_for_long), 0))
}

/// Nobody has a slot for the second attempt.
fn enqueued_after(end: fn(&mut Sim) -> Outcome) -> Situation {
    let mut sim = sim(plan(queued_for_long), 1);
    let answer = end(&mut sim);
    if sim.queue.is_empty() {
        assert!(sim.next_timer());
    }
    Situation::answering(sim, answer)
}

fn enqueued_after_retry() -> Situation {
    let mut sim = sim(plan(once), 1);
    let answer = failed(&mut sim);
    sim.ok(Command::Retry { step: None, by: None });
    Situation::answering(sim, answer)
}

fn going(change: impl FnOnce(&mut StepSpec)) -> Situation {
    Situation::of(sim(plan(change), 10))
}

fn beaten() -> Situation {
    let mut beaten = going(|step| step.timeouts.heartbeat_ms = Some(400));
    beaten.sim.now = beaten.sim.now.plus_ms(300);
    let token = beaten.token(1);
    beaten.sim.ok(Command::Heartbeat {
        token,
        progress: None,
        message: None,
    });
    beaten
}

fn paused() -> Situation {
    let mut paused = going(|_| {});
    paused.sim.ok(Command::Pause { by: None, reason: None });
    paused
}

fn item() -> Situation {
    let mut item = items();
    item.node = item.sim.state.find("a[0]").expect("the item exists");
    item
}

fn items() -> Situation {
    going(|step| step.for_each = serde_json::from_value(json!({ "items": [1, 2] })).expect("a for_each"))
}

fn timer() -> Situation {
    going(|step| {
        step.action = "wait".into();
        step.input = json!({ "seconds": 2 });
    })
}

fn going_again(end: fn(&mut Sim) -> Outcome) -> Situation {
    let mut sim = sim(plan(|_| {}), 10);
    let older = end(&mut sim);
    if sim.held.is_empty() {
        assert!(sim.next_timer());
    }
    let again = Situation::of(sim);
    Situation { older, ..again }
}

fn rerun() -> Situation {
    let mut over = complete_and_over();
    over.sim.ok(Command::Rerun {
        step: "a".into(),
        by: None,
    });
    over
}

fn retrying(end: fn(&mut Sim) -> Outcome) -> Situation {
    let mut sim = sim(plan(|_| {}), 10);
    let answer = end(&mut sim);
    Situation::answering(sim, answer)
}

fn silent() -> Situation {
    let mut silent = going(must_beat);
    expired(&mut silent.sim);
    silent
}

fn complete() -> Situation {
    let mut complete = going(|_| {});
    complete.sim.succeed("a", good_output());
    complete
}

fn complete_and_over() -> Situation {
    let mut complete = complete();
    complete.sim.succeed("b", Value::Null);
    complete
}

fn settled_by_hand(output: Option<Value>) -> Situation {
    let mut settled = going(|_| {});
    settled.sim.ok(Command::Resolve {
        step: "a".into(),
        by: None,
        reason: None,
        output,
    });
    settled
}

fn ended_badly(end: fn(&mut Sim) -> Outcome) -> Situation {
    let mut sim = sim(plan(once), 10);
    let answer = end(&mut sim);
    Situation::answering(sim, answer)
}

fn error_in_queue() -> Situation {
    let mut enqueued = enqueued_after(lost);
    assert!(enqueued.sim.next_timer());
    enqueued
}

fn blocked() -> Situation {
    let mut spec = plan(once);
    spec.settings.on_failure = FailurePolicy::Block;
    let mut sim = sim(spec, 10);
    let answer = failed(&mut sim);
    Situation::answering(sim, answer)
}

fn cancelled() -> Situation {
    let mut cancelled = going(|_| {});
    cancelled.sim.ok(Command::Cancel { by: None, reason: None });
    cancelled
}

fn cancelled_by_time() -> Situation {
    let mut spec = plan(|_| {});
    spec.settings.timeout_ms = Some(500);
    let mut sim = sim(spec, 10);
    assert!(sim.next_timer());
    Situation::of(sim)
}

fn cancelled_by_resolution() -> Situation {
    let mut resolved = going(|_| {});
    resolved.sim.ok(Command::ResolveRun { by: None, reason: None });
    resolved
}

fn skipped() -> Situation {
    let mut sim = sim(dag(&[("choice", &[]), ("a", &["choice"]), ("c", &["choice"])]), 10);
    let token = sim.token("choice");
    let choice = Success {
        next: Some(vec!["c".into()]),
        ..Success::default()
    };
    sim.answer(token, Outcome::Succeeded(choice))
        .expect("the answer is accepted");
    Situation::of(sim)
}
