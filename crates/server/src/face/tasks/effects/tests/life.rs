//! The life of a task without an engine: what each of its commits tells others and shows.

use std::sync::Arc;

use quintet_core::apply::seal;
use quintet_core::command::Command;
use quintet_core::effect::{Cx, Effect, Place, Placement};
use quintet_core::event::{Created, Event, Meta};
use quintet_core::id::{IdSource, RunId};
use quintet_core::outcome::{Failure, Outcome, Success, Token};
use quintet_core::plan::{Plan, StepSpec};
use quintet_core::state::RunState;
use quintet_core::step::{start, step};
use quintet_core::time::Time;
use quintet_engine::hooks::HookSource;
use quintet_store::OutboxWrite;
use serde_json::{Map, Value, json};

use super::super::super::document::{Rules, Task};
use super::super::super::plan;
use super::super::{Source, shown};

struct Ids;

impl IdSource for Ids {
    fn next_bits(&mut self) -> u128 {
        7
    }
}

struct Anywhere;

impl Placement for Anywhere {
    fn place(&mut self, _step: &StepSpec) -> Place {
        Place::Here
    }
    fn release(&mut self, _step: &StepSpec) {}
}

pub(super) struct Life {
    pub state: RunState,
    /// Messages of the last commit.
    pub last: Vec<OutboxWrite>,
    /// What it showed.
    pub shown: Vec<Value>,
    now: Time,
    held: Vec<Token>,
}

impl Life {
    pub fn of(document: Value) -> Self {
        Self::under("queue:default", document)
    }

    pub fn under(workflow: &str, document: Value) -> Self {
        let task = Task::parse(&document, &Rules::default()).expect("a task");
        let spec = plan::compile(&task, &plan::Rules::default()).expect("a graph");
        let plan = Arc::new(Plan::compile(spec).expect("a plan"));
        let created = Created {
            namespace: "default".into(),
            workflow: workflow.into(),
            workflow_version: 0,
            plan: plan.digest,
            context: Arc::new(json!({ "task": task.document })),
            priority: 0,
            labels: Map::new(),
            priority_is_for_all: false,
            not_before: None,
        };
        let now = Time(1_000_000_000);
        let mut cx = Cx {
            now,
            owner: 1,
            ids: &mut Ids,
            placement: &mut Anywhere,
        };
        let (state, out) = start(RunId::from_bits(7), plan, created, &[], &mut cx).expect("a run");
        let mut life = Self {
            state,
            last: Vec::new(),
            shown: Vec::new(),
            now,
            held: Vec::new(),
        };
        life.commit(&out.events, out.effects);
        life
    }

    pub fn id(&self) -> String {
        self.state.id.to_string()
    }

    pub fn document(&self) -> &Value {
        &self.state.created.context["task"]
    }

    pub fn targets(&self) -> Vec<&str> {
        self.last.iter().map(|message| &*message.target).collect()
    }

    /// The words of notifications in the last commit.
    pub fn said(&self) -> Vec<String> {
        let said = |message: &OutboxWrite| {
            let body: Value = serde_json::from_str(&message.body).expect("JSON");
            body["message"].as_str().expect("a message").to_owned()
        };
        self.last.iter().map(said).collect()
    }

    /// The oldest attempt that is under way succeeds.
    pub fn succeed(&mut self, output: Value) {
        let success = Success {
            output: Arc::new(output),
            ..Success::default()
        };
        self.answer(Outcome::Succeeded(success));
    }

    pub fn fail(&mut self, message: &str) {
        self.answer(Outcome::Failed(Failure::new("backend", message)));
    }

    fn answer(&mut self, outcome: Outcome) {
        let token = self.held.remove(0);
        self.command(Command::Complete { token, outcome });
    }

    pub fn report(&mut self, progress: f64) {
        self.command(Command::Heartbeat {
            token: self.held[0],
            progress: Some(progress),
            message: None,
        });
    }

    pub fn cancel(&mut self) {
        self.command(Command::Cancel { by: None, reason: None });
    }

    /// The time of the next attempt comes.
    pub fn retry(&mut self) {
        self.now = self.state.next_wake().expect("an attempt is due");
        self.command(Command::Tick);
    }

    fn command(&mut self, command: Command) {
        let mut cx = Cx {
            now: self.now,
            owner: 1,
            ids: &mut Ids,
            placement: &mut Anywhere,
        };
        let out = step(&mut self.state, command, &mut cx).expect("accepted");
        self.commit(&out.events, out.effects);
    }

    fn commit(&mut self, events: &[Event], effects: Vec<Effect>) {
        let meta = Meta { at: self.now, owner: 1 };
        seal(&mut self.state, meta);
        self.last = Source.messages(&self.state, meta, events);
        self.shown = shown(&self.state, events);
        for effect in effects {
            match effect {
                Effect::Dispatch(work) => self.held.push(work.token),
                Effect::CancelAttempt(token) => self.held.retain(|held| *held != token),
                Effect::Enqueue { .. } | Effect::Dequeue { .. } => {}
            }
        }
    }
}
