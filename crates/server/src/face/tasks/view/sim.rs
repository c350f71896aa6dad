//! Runs tasks without a shell, for tests: time stands where the test puts it, and the test is the backend.

#![allow(clippy::result_large_err, reason = "as in the room that it looks into")]

use std::collections::BTreeMap;
use std::sync::Arc;

use quintet_core::apply::seal;
use quintet_core::command::Command;
use quintet_core::effect::{Cx, Effect, Place, Placement};
use quintet_core::event::{Created, Event, Meta};
use quintet_core::id::{IdSource, RunId};
use quintet_core::outcome::{Failure, Outcome, Success, Token, Work};
use quintet_core::plan::{Plan, StepSpec};
use quintet_core::state::RunState;
use quintet_core::step::{start, step};
use quintet_core::time::Time;
use serde_json::{Value, json};

use super::super::document::{Rules, Task};
use super::super::order::{Resolved, resolve};
use super::super::ticks::{self, Tick};
use super::super::{plan, view};

/// 2026-11-21T10:00:00Z.
pub(crate) const BEGIN: Time = Time(1_795_255_200_000_000);

struct Ids;

impl IdSource for Ids {
    fn next_bits(&mut self) -> u128 {
        7
    }
}

/// Everything is done at once.
struct Free;

impl Placement for Free {
    fn place(&mut self, _step: &StepSpec) -> Place {
        Place::Here
    }

    fn release(&mut self, _step: &StepSpec) {}
}

/// A task's run.
pub(crate) struct Sim {
    pub state: RunState,
    pub now: Time,
    /// Attempts that are out, in the order in which they went.
    pub held: Vec<Work>,
    /// All that was told to who watches.
    pub ticks: Vec<Tick>,
}

impl Sim {
    pub fn start(document: Value) -> Self {
        Self::start_by(document, &plan::Rules::default())
    }

    pub fn start_by(document: Value, rules: &plan::Rules) -> Self {
        let task = Task::parse(&document, &Rules::default()).expect("the document is right");
        let spec = plan::compile(&task, rules).expect("the task has a plan");
        let plan = Arc::new(Plan::compile(spec).expect("the plan is legal"));
        let created = Created {
            namespace: "default".into(),
            workflow: "queue:default".into(),
            workflow_version: 0,
            plan: plan.digest,
            context: Arc::new(json!({ "task": task.document })),
            priority: task.priority,
            labels: serde_json::Map::new(),
            priority_is_for_all: false,
            not_before: (task.delay_ms > 0).then(|| BEGIN.plus_ms(task.delay_ms)),
        };
        let (mut ids, mut free) = (Ids, Free);
        let mut cx = Cx {
            now: BEGIN,
            owner: 1,
            ids: &mut ids,
            placement: &mut free,
        };
        let (state, out) = start(RunId::from_bits(7), plan, created, &[], &mut cx).expect("a run starts");
        let mut sim = Self {
            state,
            now: BEGIN,
            held: Vec::new(),
            ticks: Vec::new(),
        };
        sim.keep(&out.events, out.effects);
        sim
    }

    /// A pipeline with this payload.
    pub fn steps(payload: Value, steps: Value) -> Self {
        Self::start(json!({ "type": "pipe", "payload": payload, "steps": steps }))
    }

    pub fn wait(&mut self, ms: u64) -> &mut Self {
        self.now = self.now.plus_ms(ms);
        self
    }

    pub fn command(&mut self, command: Command) {
        let (mut ids, mut free) = (Ids, Free);
        let mut cx = Cx {
            now: self.now,
            owner: 1,
            ids: &mut ids,
            placement: &mut free,
        };
        let out = step(&mut self.state, command, &mut cx).expect("the command is accepted");
        self.keep(&out.events, out.effects);
    }

    fn keep(&mut self, events: &[Event], effects: Vec<Effect>) {
        let meta = Meta { at: self.now, owner: 1 };
        seal(&mut self.state, meta);
        let told = events.iter().flat_map(|event| ticks::of(&self.state, event, self.now));
        self.ticks.extend(told);
        for effect in effects {
            match effect {
                Effect::Dispatch(work) => self.held.push(*work),
                Effect::CancelAttempt(token) => self.held.retain(|work| work.token != token),
                Effect::Enqueue { .. } | Effect::Dequeue { .. } => {}
            }
        }
    }

    /// Moves the clock to the next timer and fires it.
    pub fn next_timer(&mut self) {
        self.now = self.now.max(self.state.next_wake().expect("something is awaited"));
        self.command(Command::Tick);
    }

    /// Keys of the step runs that are out.
    pub fn out(&self) -> Vec<&str> {
        self.held.iter().map(|work| work.step.as_str()).collect()
    }

    pub fn work(&self, key: &str) -> &Work {
        let work = self.held.iter().find(|work| work.step == key);
        work.unwrap_or_else(|| panic!("{key} is not out: {:?}", self.out()))
    }

    /// What the step run is about.
    pub fn resolved(&self, key: &str) -> Result<Resolved, Failure> {
        resolve(self.work(key))
    }

    pub fn payload(&self, key: &str) -> Value {
        self.resolved(key).expect("it can be said").payload
    }

    fn take(&mut self, key: &str) -> Token {
        let token = self.work(key).token;
        self.held.retain(|work| work.token != token);
        token
    }

    pub fn succeed(&mut self, key: &str, output: Value) -> &mut Self {
        let token = self.take(key);
        let success = Success {
            output: Arc::new(output),
            ..Success::default()
        };
        let outcome = Outcome::Succeeded(success);
        self.command(Command::Complete { token, outcome });
        self
    }

    pub fn fail(&mut self, key: &str, failure: Failure) -> &mut Self {
        let token = self.take(key);
        let outcome = Outcome::Failed(failure);
        self.command(Command::Complete { token, outcome });
        self
    }

    /// For good.
    pub fn break_down(&mut self, key: &str, message: &str) -> &mut Self {
        self.fail(key, Failure::permanent("test", message))
    }

    /// Works everything off: what is told by `results`, and else its own payload.
    pub fn finish(&mut self, results: &[(&str, Value)]) -> &mut Self {
        let results: BTreeMap<&str, &Value> = results.iter().map(|(key, value)| (*key, value)).collect();
        while let Some(work) = self.held.first() {
            let key = work.step.clone();
            match resolve(work) {
                Ok(resolved) => {
                    let output = results.get(key.as_str()).map(|value| (*value).clone());
                    self.succeed(&key, output.unwrap_or(resolved.payload))
                }
                Err(failure) => self.fail(&key, failure),
            };
        }
        self
    }

    pub fn detail(&self) -> Value {
        view::detail(&self.state)
    }

    /// What is told, without the times.
    pub fn told(&self) -> Vec<String> {
        let line = |tick: &Tick| {
            let took = tick.duration.map(|ms| format!(" {ms}ms")).unwrap_or_default();
            format!(
                "{} {} {}{took}",
                tick.kind,
                tick.step_id.as_deref().unwrap_or("-"),
                tick.data
            )
        };
        self.ticks.iter().map(line).collect()
    }
}
