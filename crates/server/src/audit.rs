//! Who did what to which object: an append-only chain.
//!
//! Every request that changed something leaves an entry: when, who, from where, what was asked for, of which object, and how
//! it was answered. An entry holds the hash of the one before it and its own ([`chain`]), so that one that is changed, taken
//! out or put in later breaks every hash behind it; `quintet audit verify` finds the place. Whoever can write the store can
//! also write the whole chain anew: that is found only by comparing with a hash that was noted elsewhere.
//!
//! Entries are records of the store, one chain for all nodes: [`writer`] stores those that wait, together, with the head of
//! the chain as it was read; where another node was faster it reads the head again. A change is answered when its entry is
//! stored, so an answer that a client has seen is in the trail whatever crashes then. What was changed and not answered may
//! be missing.
//!
//! This room knows nothing of HTTP: what a request amounts to is judged in `http/noting.rs`.

pub mod chain;
mod entry;
mod read;
mod refusals;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use quintet_engine::clock::Clock;
use quintet_engine::tasks;
use quintet_store::Store;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config;

pub(crate) use entry::{Draft, Outcome};
pub(crate) use read::Filter;
use refusals::Refusals;
use writer::{Job, Writer};

/// Whose records they are; no tenant is called like this.
const NAMESPACE: &str = "quintet";
/// What an entry is stored as; its id is its number with leading zeros.
const ENTRY: &str = "audit.entry";
/// What the end of the chain is stored as, and its only id.
const HEAD: &str = "audit.head";
/// Entries that wait for the writer.
const WAITING: usize = 1024;
/// How long an answer waits for its entry.
const PATIENCE: Duration = Duration::from_secs(10);

/// The trail.
pub(crate) struct Audit {
    /// None where nothing is noted.
    queue: Option<mpsc::Sender<Job>>,
    closing: CancellationToken,
    writer: Mutex<Option<JoinHandle<()>>>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: config::Audit,
    refusals: Refusals,
    figures: Figures,
}

/// Figures of this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    written: Counter,
    conflicts: Counter,
    failed: Counter,
    dropped: Counter,
}

/// Why an answer cannot be given although the change was made.
#[derive(Debug)]
pub(crate) struct NotStored;

impl Audit {
    /// The trail of this store, which is written until [`Audit::close`].
    pub fn open(settings: &config::Audit, store: Arc<dyn Store>, clock: &Arc<dyn Clock>, node: &str) -> Arc<Self> {
        let (figures, closing) = (Figures::default(), CancellationToken::new());
        let (queue, writer) = if settings.enabled {
            let (queue, jobs) = mpsc::channel(WAITING);
            let writer = Writer::new(Arc::clone(&store), Arc::clone(clock), node, figures.clone());
            let task = tasks::spawn("audit", writer.run(jobs, closing.clone()));
            (Some(queue), Some(task))
        } else {
            (None, None)
        };
        Arc::new(Self {
            queue,
            closing,
            writer: Mutex::new(writer),
            store,
            clock: Arc::clone(clock),
            settings: settings.clone(),
            refusals: Refusals::default(),
            figures,
        })
    }

    /// Whether anything is noted.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Whether starts of runs and what workers say are noted as well.
    pub fn notes_data(&self) -> bool {
        self.is_on() && self.settings.data_plane
    }

    /// The time.
    pub fn now(&self) -> quintet_core::time::Time {
        self.clock.now()
    }

    /// Stores an entry, with others that wait; returns when it is stored.
    pub async fn store(&self, draft: Draft) -> Result<(), NotStored> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let (done, stored) = oneshot::channel();
        let writing = async {
            let done = Some(done);
            queue.send(Job { draft, done }).await.map_err(|_| NotStored)?;
            stored.await.map_err(|_| NotStored)
        };
        tokio::select! {
            stored = writing => stored,
            () = tasks::pause(Some(PATIENCE)) => Err(NotStored),
        }
    }

    /// Stores an entry that nobody waits for; one more than fit is counted and logged instead.
    pub fn offer(&self, draft: Draft) {
        let Some(queue) = &self.queue else { return };
        if let Err(error) = queue.try_send(Job { draft, done: None }) {
            self.figures.dropped.inc();
            let (mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job)) = error;
            tracing::warn!(entry = %job.draft.as_text(), "no room for an audit entry");
        }
    }

    /// Stores an entry about a request that was not permitted: the first of its kind within a minute, and how many more
    /// there were before it.
    pub fn refused(&self, mut draft: Draft) {
        if !self.is_on() || !self.settings.refusals {
            return;
        }
        if let Some(repeated) = self.refusals.admit(&draft, self.clock.now()) {
            draft.repeated = repeated;
            self.offer(draft);
        }
    }

    /// Nothing more comes: returns when what waits is stored. The store must still be open.
    pub async fn close(&self) {
        self.closing.cancel();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A panic in it has been logged where it happened.
            let _ = writer.await;
        }
    }

    /// What was written.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("quintet_audit");
        let mut register = |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        register("entries", "Entries stored in the audit trail", &self.figures.written);
        register(
            "conflicts",
            "Times that another node was faster at the head of the trail",
            &self.figures.conflicts,
        );
        register(
            "failures",
            "Times that entries could not be stored and were tried again",
            &self.figures.failed,
        );
        register("dropped", "Entries that found no room", &self.figures.dropped);
    }
}

/// The id of an entry: in the order of its number.
fn id_of(seq: u64) -> String {
    format!("{seq:020}")
}

#[cfg(test)]
mod tests;
