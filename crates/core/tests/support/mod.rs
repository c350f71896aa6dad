//! Drives a run without a shell: time stands where the test puts it, executors are the test.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::HashSet;
use std::sync::Arc;

use quintet_core::apply::{apply_commit, create, seal};
use quintet_core::command::{Command, Rejected};
use quintet_core::effect::{Cx, Effect, Place, Placement};
use quintet_core::event::{Created, Event, Meta};
use quintet_core::id::{IdSource, RunId};
use quintet_core::outcome::{Outcome, Success, Token, Work};
use quintet_core::plan::{Plan, PlanSpec, StepSpec};
use quintet_core::state::RunState;
use quintet_core::step::{StepError, start, step};
use quintet_core::time::Time;
use serde_json::{Value, json};

pub struct Ids(pub u128);
impl IdSource for Ids {
    fn next_bits(&mut self) -> u128 {
        self.0 = self
            .0
            .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
            .wrapping_add(1);
        self.0 >> 40
    }
}

/// `free` slots, and then the queue.
pub struct Slots {
    pub free: u32,
}
impl Placement for Slots {
    fn place(&mut self, step: &StepSpec) -> Place {
        if step.action == "unheard-of" {
            return Place::Unsupported;
        }
        match self.free.checked_sub(1) {
            Some(left) => {
                self.free = left;
                Place::Here
            }
            None => Place::Queue,
        }
    }
    fn release(&mut self, _step: &StepSpec) {
        self.free += 1;
    }
}

/// A run with everything that happened to it.
pub struct Sim {
    pub state: RunState,
    pub history: Vec<(Meta, String)>,
    pub created: Created,
    pub now: Time,
    pub owner: u64,
    pub slots: Slots,
    pub ids: Ids,
    /// Attempts handed out and not answered or called off.
    pub held: Vec<Work>,
    /// Steps in the queue.
    pub queue: Vec<u32>,
    pub dispatched: HashSet<Token>,
}

impl Sim {
    pub fn start(spec: PlanSpec, context: Value, slots: u32) -> Self {
        Self::start_at(spec, context, slots, None)
    }

    /// A run that is not to begin before a time.
    pub fn start_at(spec: PlanSpec, context: Value, slots: u32, not_before: Option<Time>) -> Self {
        let plan = Arc::new(Plan::compile(spec).expect("the plan is legal"));
        let created = Created {
            namespace: "default".into(),
            workflow: "wf".into(),
            workflow_version: 1,
            plan: plan.digest,
            context: Arc::new(context),
            priority: 0,
            labels: serde_json::Map::new(),
            priority_is_for_all: false,
            not_before,
        };
        let (now, owner) = (Time(1_000_000), 1);
        let (mut slots, mut ids) = (Slots { free: slots }, Ids(42));
        let mut cx = Cx {
            now,
            owner,
            ids: &mut ids,
            placement: &mut slots,
        };
        let (state, out) = start(RunId::from_bits(7), plan, created.clone(), &[], &mut cx).expect("a run starts");
        let mut sim = Self {
            state,
            history: Vec::new(),
            created,
            now,
            owner,
            slots,
            ids,
            held: Vec::new(),
            queue: Vec::new(),
            dispatched: HashSet::new(),
        };
        sim.store(out.events, out.effects);
        sim
    }

    /// Gives a command; on success its events are stored and its effects done.
    pub fn command(&mut self, command: Command) -> Result<Vec<Event>, StepError> {
        let before = format!("{:?}", self.state);
        let mut cx = Cx {
            now: self.now,
            owner: self.owner,
            ids: &mut self.ids,
            placement: &mut self.slots,
        };
        match step(&mut self.state, command, &mut cx) {
            Ok(out) => {
                let events = out.events.clone();
                self.store(out.events, out.effects);
                Ok(events)
            }
            Err(error) => {
                assert_eq!(
                    before,
                    format!("{:?}", self.state),
                    "a refusal changed the state: {error}"
                );
                Err(error)
            }
        }
    }

    pub fn ok(&mut self, command: Command) -> Vec<Event> {
        self.command(command).expect("the command is accepted")
    }

    fn store(&mut self, events: Vec<Event>, effects: Vec<Effect>) {
        if !events.is_empty() {
            let meta = Meta {
                at: self.now,
                owner: self.owner,
            };
            seal(&mut self.state, meta);
            self.history
                .push((meta, serde_json::to_string(&events).expect("events are JSON")));
        }
        for effect in effects {
            match effect {
                Effect::Dispatch(work) => {
                    assert!(
                        self.dispatched.insert(work.token),
                        "{:?} was handed out twice",
                        work.token
                    );
                    self.held.push(*work);
                }
                Effect::CancelAttempt(token) => self.let_go(token),
                Effect::Enqueue { node } => {
                    assert!(!self.queue.contains(&node), "{node} was enqueued twice");
                    self.queue.push(node);
                }
                Effect::Dequeue { node } => self.queue.retain(|queued| *queued != node),
            }
        }
    }

    fn let_go(&mut self, token: Token) {
        let before = self.held.len();
        self.held.retain(|work| work.token != token);
        self.slots.free += (before - self.held.len()) as u32;
    }

    pub fn answer(&mut self, token: Token, outcome: Outcome) -> Result<Vec<Event>, StepError> {
        self.let_go(token);
        self.command(Command::Complete { token, outcome })
    }

    pub fn succeed(&mut self, step: &str, output: Value) -> Vec<Event> {
        let token = self.token(step);
        self.answer(
            token,
            Outcome::Succeeded(Success {
                output: Arc::new(output),
                ..Success::default()
            }),
        )
        .expect("the answer is accepted")
    }

    pub fn fail(&mut self, step: &str, message: &str) -> Vec<Event> {
        let token = self.token(step);
        let failure = quintet_core::outcome::Failure::new("test", message);
        self.answer(token, Outcome::Failed(failure))
            .expect("the answer is accepted")
    }

    pub fn token(&self, step: &str) -> Token {
        let held = self.held.iter().find(|work| work.step == step);
        held.unwrap_or_else(|| panic!("{step} is not under way: {:?}", self.running()))
            .token
    }

    pub fn running(&self) -> Vec<&str> {
        self.held.iter().map(|work| work.step.as_str()).collect()
    }

    pub fn status_of(&self, step: &str) -> &'static str {
        self.state.nodes[self.state.find(step).expect("the step exists") as usize]
            .status
            .as_str()
    }

    /// Declares every process gone that is not named.
    pub fn recover(&mut self, alive: Vec<u64>) -> Vec<Event> {
        let held = Arc::new(self.held.iter().map(|work| work.token).collect());
        self.ok(Command::Recover {
            alive,
            held,
            as_of: Time(i64::MAX),
        })
    }

    /// Moves the clock to the next timer and fires it.
    pub fn next_timer(&mut self) -> bool {
        let Some(at) = self.state.next_wake() else { return false };
        self.now = self.now.max(at);
        self.ok(Command::Tick);
        true
    }

    /// The state that the stored history gives.
    pub fn replayed(&self) -> RunState {
        let first = self.history.first().expect("a run has a history");
        let mut state = create(self.state.id, Arc::clone(&self.state.plan), &self.created, first.0);
        for (meta, events) in &self.history {
            let events: Vec<Event> = serde_json::from_str(events).expect("events can be read back");
            apply_commit(&mut state, *meta, &events).expect("the history is legal");
        }
        state
    }

    pub fn assert_replay_gives_the_state(&self) {
        assert_eq!(format!("{:?}", self.replayed()), format!("{:?}", self.state));
    }
}

/// Steps from `(key, predecessors)`.
pub fn dag(edges: &[(&str, &[&str])]) -> PlanSpec {
    let steps = edges.iter().map(|(key, before)| {
        let depends_on: Vec<Value> = before.iter().map(|step| json!({ "step": step })).collect();
        let step = json!({ "key": key, "action": "work", "depends_on": depends_on });
        serde_json::from_value(step).expect("a step")
    });
    PlanSpec {
        steps: steps.collect(),
        ..PlanSpec::default()
    }
}

pub fn by(name: &str) -> Option<String> {
    Some(name.to_owned())
}

/// Changes one step of a plan.
pub fn edit(mut spec: PlanSpec, key: &str, change: impl FnOnce(&mut StepSpec)) -> PlanSpec {
    change(
        spec.steps
            .iter_mut()
            .find(|step| step.key == key)
            .expect("the step exists"),
    );
    spec
}

pub fn rejected(result: Result<Vec<Event>, StepError>) -> Rejected {
    match result {
        Err(StepError::Rejected(rejected)) => rejected,
        other => panic!("not refused: {other:?}"),
    }
}
