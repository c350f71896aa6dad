//! What comes into the engine's inbox.

use std::sync::Arc;

use quintet_core::command::Command;
use quintet_core::event::Created;
use quintet_core::id::RunId;
use quintet_core::outcome::Success;
use quintet_core::plan::Plan;
use quintet_core::state::RunState;
use quintet_core::time::Time;
use tokio::sync::{oneshot, watch};

use crate::error::EngineError;
use crate::scout::Ticket;
use crate::watch::Progress;

/// A run to be started.
#[derive(Debug, Clone)]
pub struct StartRun {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// Id of the workflow, empty for an inline plan.
    pub workflow: Arc<str>,
    /// Version of the workflow, 0 for an inline plan.
    pub workflow_version: u32,
    /// What to run.
    pub plan: Arc<Plan>,
    /// The run's input.
    pub context: Arc<serde_json::Value>,
    /// Higher runs first.
    pub priority: i32,
    /// `priority` goes before the steps' own.
    pub priority_is_for_all: bool,
    /// Small strings to find the run by.
    pub labels: serde_json::Map<String, serde_json::Value>,
    /// Its id, by [`crate::Engine::mint`]; `None` draws one.
    pub id: Option<RunId>,
    /// Nothing starts before this time; at once when absent.
    pub not_before: Option<Time>,
    /// Results of first steps, by index, that are taken over from an earlier run.
    pub reused: Vec<(u32, Arc<Success>)>,
}

impl StartRun {
    /// A run of an inline plan with an empty context.
    pub fn of(namespace: &str, plan: Arc<Plan>) -> Self {
        Self {
            namespace: namespace.into(),
            workflow: "".into(),
            workflow_version: 0,
            plan,
            context: Arc::default(),
            priority: 0,
            priority_is_for_all: false,
            labels: serde_json::Map::new(),
            id: None,
            not_before: None,
            reused: Vec::new(),
        }
    }

    pub(crate) fn created(&self) -> Created {
        Created {
            namespace: Arc::clone(&self.namespace),
            workflow: Arc::clone(&self.workflow),
            workflow_version: self.workflow_version,
            plan: self.plan.digest,
            context: Arc::clone(&self.context),
            priority: self.priority,
            labels: self.labels.clone(),
            priority_is_for_all: self.priority_is_for_all,
            not_before: self.not_before,
        }
    }
}

/// Makes a request take effect once.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// Which operation, for instance `runs.start`.
    pub scope: Arc<str>,
    /// The client's key.
    pub key: String,
    /// Digest of the request's content.
    pub request: [u8; 32],
    /// How long it is remembered, in milliseconds; seven days when absent.
    pub ttl_ms: Option<u64>,
    /// Runs that an earlier request with this key started and whose place the new ones may take.
    pub replaces: Option<Vec<RunId>>,
}

impl Idempotency {
    /// The first request of a key.
    pub fn new(scope: &str, key: impl Into<String>, request: [u8; 32]) -> Self {
        Self {
            scope: scope.into(),
            key: key.into(),
            request,
            ttl_ms: None,
            replaces: None,
        }
    }
}

/// Runs that were started, in the order asked for.
#[derive(Debug)]
pub struct Started {
    /// The runs.
    pub runs: Vec<StartedRun>,
    /// They had been started before, by a request with the same key.
    pub replayed: bool,
}

/// One started run.
#[derive(Debug, Clone)]
pub struct StartedRun {
    /// Its id.
    pub id: RunId,
    /// When it was accepted, if it is new.
    pub created_at: Option<Time>,
    /// Follows it, if that was asked for and it is new.
    pub watch: Option<watch::Receiver<Progress>>,
}

/// What a command did.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The run after it, as stored.
    pub state: Arc<RunState>,
    /// Whether anything changed.
    pub changed: bool,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

pub(crate) enum Request {
    Start {
        starts: Vec<StartRun>,
        idempotency: Option<Idempotency>,
        watch: bool,
        reply: Reply<Started>,
    },
    Command {
        namespace: Arc<str>,
        run: RunId,
        command: Command,
        reply: Option<Reply<Applied>>,
        tries: u8,
        ticket: Option<Ticket>,
    },
    /// Attempts of owners that do not live are lost, and those of this process that it does not hold.
    Recover {
        namespace: Arc<str>,
        run: RunId,
        alive: Arc<[u64]>,
        as_of: Time,
        ticket: Option<Ticket>,
    },
    /// Another node moved the run: stop what it has called off.
    Look { namespace: Arc<str>, run: RunId },
    /// The run's state if it is in the cache.
    Peek {
        namespace: Arc<str>,
        run: RunId,
        reply: oneshot::Sender<Option<Arc<RunState>>>,
    },
    /// Something may have become possible: look for work.
    Nudge,
}

impl Request {
    /// A command that the engine gives itself.
    pub fn internal(namespace: Arc<str>, run: RunId, command: Command) -> Self {
        Self::found(namespace, run, command, None)
    }

    /// A command that follows from what the store told.
    pub fn found(namespace: Arc<str>, run: RunId, command: Command, ticket: Option<Ticket>) -> Self {
        Self::Command {
            namespace,
            run,
            command,
            reply: None,
            tries: 0,
            ticket,
        }
    }
}
