//! Nodes: the processes that share a store, and how each holds its lease.
//!
//! Nothing is owned: a node only says that it is alive. Attempts are held by an *owner*, a number that one
//! process drew at random; while its lease runs, nobody doubts its attempts. A lease that has run out is not lost
//! yet: it is lost when another node takes it over, and only then is the owner number spent. So when the store
//! itself was away, every node can simply go on.

use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::time::Time;

/// What a node tells of itself with each beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeBeat {
    /// Its owner number; never 0.
    pub owner: u64,
    /// This is its first beat under this number. Later ones find no node to renew when it was taken over and
    /// forgotten.
    pub joins: bool,
    /// What people call it.
    pub name: Arc<str>,
    /// Where its API can be reached, empty if that is not known.
    pub url: Arc<str>,
    /// Version of its program.
    pub version: Arc<str>,
    /// When the process started, by the store's clock.
    pub started_at: Time,
    /// How long nobody shall doubt it from now on, in milliseconds.
    pub lease_ms: u64,
    /// It takes no new work.
    pub draining: bool,
    /// Attempts that it holds.
    pub in_flight: u32,
}

/// What the store answers to a beat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// The store's clock.
    pub now: Time,
    /// False when another node has taken over, or has even forgotten it: the owner number is spent, and nothing was
    /// changed.
    pub held: bool,
    /// All nodes of the store, this one among them, by owner.
    pub nodes: Vec<NodeRow>,
    /// The earliest `wake_at` of all unfinished runs.
    pub next_wake: Option<Time>,
    /// Steps wait for an executor, and nobody is about to take them.
    pub queued: bool,
    /// When the next message is due.
    pub outbox_next: Option<Time>,
    /// Runs that other nodes moved while this one held attempts of theirs. Each is told once.
    pub notices: Vec<Notice>,
}

/// A node as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its owner number.
    pub owner: u64,
    /// What people call it.
    pub name: Arc<str>,
    /// Where its API can be reached, empty if that is not known.
    pub url: Arc<str>,
    /// Version of its program.
    pub version: Arc<str>,
    /// When the process started.
    pub started_at: Time,
    /// Its last beat.
    pub beat_at: Time,
    /// When others may take over.
    pub expires_at: Time,
    /// It takes no new work.
    pub draining: bool,
    /// Attempts that it held at its last beat.
    pub in_flight: u32,
    /// The node that takes over what it held.
    pub taken_by: Option<u64>,
}

/// Says that a run was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// Which run.
    pub run: RunId,
}

/// A word to the owner of an attempt that somebody else has called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeWrite {
    /// Who is told.
    pub owner: u64,
    /// Which run it is about.
    pub run: RunId,
}

/// For whom something is taken, and for how long.
///
/// What is taken is not shown to any other owner until the claim ends. Its own owner may be shown it again at any
/// time: who asks twice has either lost the first answer or found that it led to nothing. So a store with only one
/// owner need not remember claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The node.
    pub owner: u64,
    /// The present time.
    pub now: Time,
    /// Until when.
    pub until: Time,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Which run.
    pub id: RunId,
    /// Number of history entries.
    pub version: u64,
    /// Where it stands.
    pub status: RunStatus,
}

/// A start that counts on a workflow's version being the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowPin {
    /// Isolation unit.
    pub namespace: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// The version.
    pub version: u32,
}
