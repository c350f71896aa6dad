//! How what waits in a queue is dealt out to namespaces.
//!
//! A namespace with ten thousand waiting steps and one with a single step come in turn. Those that nobody remembers
//! having served come first, and the others in the order in which they were served.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quintet_core::id::RunId;

use crate::query::QueueEntry;

/// Whose turn it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turns {
    /// These come after all others, and in this order.
    pub behind: Vec<Arc<str>>,
    /// These get nothing.
    pub without: Vec<Arc<str>>,
}

/// Deals out what some namespaces have waiting.
#[derive(Debug)]
pub struct Deal<'a> {
    places: HashMap<&'a str, usize>,
    without: HashSet<&'a str>,
}

/// A step that waits, and where it stands in its namespace: lower goes first.
#[derive(Debug)]
pub struct Ranked {
    /// The step.
    pub entry: QueueEntry,
    /// Its place.
    pub rank: i64,
}

impl Ranked {
    fn key(&self) -> (i64, RunId, u32) {
        (self.rank, self.entry.run, self.entry.node)
    }
}

impl<'a> Deal<'a> {
    /// In these turns.
    pub fn new(turns: &'a Turns) -> Self {
        let mut places = HashMap::with_capacity(turns.behind.len());
        for (place, namespace) in turns.behind.iter().enumerate() {
            places.entry(&**namespace).or_insert(place + 1);
        }
        let without = turns.without.iter().map(|namespace| &**namespace).collect();
        Self { places, without }
    }

    fn turn(&self, namespace: &str) -> usize {
        self.places.get(namespace).copied().unwrap_or(0)
    }

    /// Which of the namespaces that wait in a queue are served when so many steps of it are wanted, and how many steps
    /// each may give.
    pub fn shares(&self, mut waiting: Vec<Arc<str>>, wanted: usize) -> (Vec<Arc<str>>, usize) {
        waiting.retain(|namespace| !self.without.contains(&**namespace));
        waiting.sort_by(|a, b| (self.turn(a), a).cmp(&(self.turn(b), b)));
        waiting.truncate(wanted);
        let share = wanted.div_ceil(waiting.len().max(1));
        (waiting, share)
    }

    /// The first `limit` of what the namespaces gave, one of each in turn.
    pub fn out(&self, mut given: Vec<Ranked>, limit: usize) -> Vec<QueueEntry> {
        given.sort_by_key(Ranked::key);
        let mut rounds: HashMap<Arc<str>, u32> = HashMap::new();
        let mut dealt: Vec<(u32, usize, Ranked)> = Vec::with_capacity(given.len());
        for ranked in given {
            let round = rounds.entry(Arc::clone(&ranked.entry.namespace)).or_default();
            *round += 1;
            dealt.push((*round, self.turn(&ranked.entry.namespace), ranked));
        }
        dealt.sort_by_key(|(round, turn, ranked)| (*round, *turn, ranked.key()));
        dealt.into_iter().take(limit).map(|(.., ranked)| ranked.entry).collect()
    }
}
