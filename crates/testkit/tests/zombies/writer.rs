//! One process with a copy of a run: it decides on what it knows, and commits against the version that it knows.

use std::sync::Arc;

use quintet_core::apply::seal;
use quintet_core::command::{Command, Rejected};
use quintet_core::effect::{Cx, Effect};
use quintet_core::event::{Event, Meta};
use quintet_core::id::RunId;
use quintet_core::plan::Plan;
use quintet_core::state::RunState;
use quintet_core::step::{StepError, step};
use quintet_core::time::Time;
use quintet_engine::fold;
use quintet_store::{
    Commit, IdempotencyRecord, IdempotencyWrite, QueueChange, RunRow, RunWrite, Store, StoredRun, Unit, UnitResult,
};

use crate::situation::{HOLDER, Situation};
use crate::support::{Ids, Slots};

pub const NAMESPACE: &str = "default";

/// A process, for one run.
pub struct Writer {
    pub store: Arc<dyn Store>,
    pub plan: Arc<Plan>,
    pub run: RunId,
    pub owner: u64,
    pub now: Time,
    /// Executors that it has free.
    pub slots: u32,
    /// The idempotency key of what it commits.
    pub key: Option<String>,
}

/// What came of a command that was decided, and decided again as often as somebody else had moved the run.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It moved the run.
    Won,
    /// It was accepted, and there was nothing to do.
    Nothing,
    /// It was refused.
    Refused(Rejected),
}

/// A decision that has not been committed.
pub struct Decision {
    pub expected: u64,
    pub state: RunState,
    pub result: Result<Vec<Event>, StepError>,
    meta: Meta,
    queue: Vec<QueueChange>,
}

impl Decision {
    pub fn moves(&self) -> bool {
        self.result.as_ref().is_ok_and(|events| !events.is_empty())
    }
}

impl Writer {
    /// The process that holds what is held in a situation.
    pub fn of(at: &Situation, store: Arc<dyn Store>) -> Self {
        Self {
            store,
            plan: Arc::clone(&at.sim.state.plan),
            run: at.sim.state.id,
            owner: HOLDER,
            now: at.sim.now,
            slots: at.sim.slots.free,
            key: None,
        }
    }

    async fn stored(&self) -> StoredRun {
        let stored = self.store.load(NAMESPACE, self.run).await;
        stored.expect("the store answers").expect("the run is there")
    }

    /// What is stored, to the last byte.
    pub async fn image(&self) -> String {
        format!("{:?}", self.stored().await)
    }

    /// The run as it is stored.
    pub async fn load(&self) -> RunState {
        fold(&self.stored().await, Arc::clone(&self.plan)).expect("the history is whole")
    }

    /// Decides on a copy, however old that is.
    pub fn decide(&self, copy: &RunState, command: Command) -> Decision {
        let (mut state, mut slots) = (copy.clone(), Slots { free: self.slots });
        let meta = Meta {
            at: self.now,
            owner: self.owner,
        };
        let mut cx = Cx {
            now: self.now,
            owner: self.owner,
            ids: &mut Ids(42),
            placement: &mut slots,
        };
        let out = step(&mut state, command, &mut cx);
        let mut queue = Vec::new();
        let result = out.map(|out| {
            queue = out.effects.iter().filter_map(queue_change).collect();
            out.events
        });
        let mut decision = Decision {
            expected: copy.version,
            state,
            result,
            meta,
            queue,
        };
        if decision.moves() {
            seal(&mut decision.state, meta);
        }
        decision
    }

    /// Commits a decision that moves the run; whether the store took it.
    pub async fn commit(&self, decision: &Decision) -> bool {
        let events = decision.result.as_ref().expect("a refusal is not committed");
        let write = RunWrite {
            expected: decision.expected,
            row: row(&decision.state),
            events: serde_json::to_string(events).expect("events are JSON"),
            queue: decision.queue.clone(),
        };
        self.write(decision.meta, write).await
    }

    pub async fn write(&self, meta: Meta, write: RunWrite) -> bool {
        let units = vec![Unit {
            idempotency: self.key.as_deref().map(remember),
            runs: vec![write],
            ..Unit::default()
        }];
        let results = self.store.commit(Commit { meta, units }).await;
        match &results.expect("the store answers")[..] {
            [UnitResult::Applied] => true,
            [UnitResult::Conflict(run)] if *run == self.run => false,
            other => panic!("{other:?}"),
        }
    }

    /// Carries a command out as a node does: whenever somebody else was first, it looks again. The first copy may be
    /// given, and may be old.
    pub async fn carry_out(&self, mut copy: RunState, command: Command) -> Verdict {
        loop {
            let decision = self.decide(&copy, command.clone());
            match &decision.result {
                Err(StepError::Rejected(rejected)) => return Verdict::Refused(rejected.clone()),
                Err(StepError::Illegal(illegal)) => panic!("{illegal}"),
                Ok(_) if !decision.moves() => return Verdict::Nothing,
                Ok(_) if self.commit(&decision).await => return Verdict::Won,
                Ok(_) => copy = self.load().await,
            }
        }
    }
}

fn remember(key: &str) -> IdempotencyWrite {
    IdempotencyWrite {
        namespace: NAMESPACE.into(),
        scope: "zombies".into(),
        key: key.to_owned(),
        record: IdempotencyRecord {
            request: [0; 32],
            answer: String::new(),
        },
        expires_at: Time(i64::MAX),
        replaces: None,
    }
}

fn queue_change(effect: &Effect) -> Option<QueueChange> {
    match effect {
        Effect::Enqueue { node } => Some(QueueChange::Put {
            node: *node,
            queue: "work".into(),
            priority: 0,
        }),
        Effect::Dequeue { node } => Some(QueueChange::Remove { node: *node }),
        Effect::Dispatch(_) | Effect::CancelAttempt(_) => None,
    }
}

/// The indexed part of a run.
pub fn row(state: &RunState) -> RunRow {
    RunRow {
        id: state.id,
        namespace: Arc::clone(&state.created.namespace),
        workflow: Arc::clone(&state.created.workflow),
        workflow_version: state.created.workflow_version,
        plan: state.created.plan,
        status: state.status,
        version: state.version,
        priority: state.created.priority,
        claims: state.claims(),
        wake_at: state.next_wake(),
        created_at: state.created_at,
        updated_at: state.updated_at,
        finished_at: state.finished_at,
    }
}
