//! The engine's loops side by side, and which run goes to which.
//!
//! A run belongs to one loop of a node, so that its commands are decided one after the other; loops commit at the
//! same time on connections of their own. A store with one writer has one loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use quintet_core::id::{IdSource, RunId};
use tokio::sync::mpsc;

use crate::dispatch::Dispatcher;
use crate::request::Request;

/// One loop as the others see it.
pub(crate) struct Shard {
    /// Requests from outside.
    pub inbox: mpsc::Sender<Request>,
    /// What goes first.
    pub urgent: mpsc::Sender<Request>,
    /// What it has under way.
    pub dispatcher: Arc<Dispatcher>,
}

/// All loops of this node.
pub(crate) struct Shards {
    all: Vec<Shard>,
    turn: AtomicUsize,
}

impl Shards {
    pub fn new(all: Vec<Shard>) -> Self {
        let turn = AtomicUsize::new(0);
        Self { all, turn }
    }

    /// Where a run belongs.
    pub fn of(&self, run: RunId) -> &Shard {
        &self.all[index(run, self.all.len())]
    }

    /// Ids of runs that belong to one loop, in turn.
    pub fn ids(&self, ids: &Arc<std::sync::Mutex<Box<dyn IdSource>>>) -> ShardIds {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        ShardIds::new(Arc::clone(ids), turn % self.all.len(), self.all.len())
    }

    /// Where new runs are started, in turn.
    pub fn next(&self) -> &Shard {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        &self.all[turn % self.all.len()]
    }

    /// Hands a request to a run's loop; when that has ended the request is void.
    pub async fn tell(&self, run: RunId, request: Request) {
        let _ = self.of(run).urgent.send(request).await;
    }

    /// Runs with attempts under way, the newest first.
    pub fn held_runs(&self) -> Vec<RunId> {
        let held = self.all.iter().flat_map(|shard| shard.dispatcher.held());
        let mut runs: Vec<RunId> = held.map(|token| token.run).collect();
        runs.sort_unstable_by(|a, b| b.cmp(a));
        runs.dedup();
        runs
    }

    /// Attempts under way.
    pub fn in_flight(&self) -> usize {
        self.all.iter().map(|shard| shard.dispatcher.in_flight()).sum()
    }

    /// Stops all attempts and says how many.
    pub fn cancel_all(&self) -> usize {
        self.all.iter().map(|shard| shard.dispatcher.cancel_all()).sum()
    }

    /// Whether none of the loops has ended.
    pub fn are_open(&self) -> bool {
        self.all.iter().all(|shard| !shard.inbox.is_closed())
    }
}

fn index(run: RunId, shards: usize) -> usize {
    // The low half is random, except within one millisecond, where it grows.
    let mixed = (run.bits() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    mixed as usize % shards
}

/// The ids of one loop: a new run belongs to the loop that started it.
pub(crate) struct ShardIds {
    ids: Arc<std::sync::Mutex<Box<dyn IdSource>>>,
    shard: usize,
    shards: usize,
}

impl ShardIds {
    pub fn new(ids: Arc<std::sync::Mutex<Box<dyn IdSource>>>, shard: usize, shards: usize) -> Self {
        Self { ids, shard, shards }
    }

    /// The id of a new run.
    pub fn next_run(&mut self) -> RunId {
        loop {
            let id = RunId::from_bits(self.next_bits());
            if index(id, self.shards) == self.shard {
                return id;
            }
        }
    }
}

impl IdSource for ShardIds {
    fn next_bits(&mut self) -> u128 {
        let mut ids = self.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        ids.next_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SystemClock, TimeOrderedIds};

    #[test]
    fn a_new_run_belongs_to_the_loop_that_started_it_and_all_loops_get_their_share() {
        let ids: Box<dyn IdSource> = Box::new(TimeOrderedIds::seeded(SystemClock, 7));
        let ids = Arc::new(std::sync::Mutex::new(ids));
        for shard in 0..4 {
            let mut own = ShardIds::new(Arc::clone(&ids), shard, 4);
            assert!((0..100).all(|_| index(own.next_run(), 4) == shard));
        }
        let mut all = ShardIds::new(ids, 0, 1);
        let mut counts = [0; 4];
        (0..4_000).for_each(|_| counts[index(all.next_run(), 4)] += 1);
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
