//! What the clients asked for and what came of it, kept outside of what is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::random::Random;

/// The journal of all clients.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: Mutex<Entries>,
    /// Parts the keys of this journal from those of others.
    number: u32,
}

/// See [`Journal`].
#[derive(Debug, Default, Clone)]
pub(crate) struct Entries {
    /// Idempotency key to workflow, for every start that was sent.
    pub intended: BTreeMap<String, String>,
    /// Idempotency key to run, for every start that was acknowledged.
    pub acked: BTreeMap<String, String>,
    /// Run to the server that acknowledged it.
    pub homes: BTreeMap<String, usize>,
    /// Log lines that were acknowledged, with their run.
    pub lines: BTreeMap<String, String>,
    /// Runs whose cancellation was acknowledged.
    pub cancelled: BTreeSet<String>,
    /// Runs whose cancellation was sent.
    pub cancels: BTreeSet<String>,
    /// Keys of starts that clients leave alone.
    pub reserved: BTreeSet<String>,
    /// A second answer to a key named another run.
    pub split: Vec<String>,
    /// Answers that no fault of a machine explains.
    pub wrong: Vec<String>,
}

impl Journal {
    /// One of several for the same store.
    pub fn numbered(number: u32) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// A start is about to be sent, under a key that is made from this word.
    pub fn intend(&self, word: &str, workflow: &str) -> String {
        self.write(|entries| {
            let key = format!("{word}-{}-{}", self.number, entries.intended.len());
            entries.intended.insert(key.clone(), workflow.to_owned());
            key
        })
    }

    /// Writes into the journal, or reads in it.
    pub fn write<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        change(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A start was acknowledged.
    pub fn acknowledge(&self, key: &str, run: &str, server: usize) {
        self.write(|entries| {
            entries.homes.entry(run.to_owned()).or_insert(server);
            let before = entries.acked.insert(key.to_owned(), run.to_owned());
            if before.is_some_and(|before| before != run) {
                entries.split.push(key.to_owned());
            }
        });
    }

    /// Some run that was acknowledged and that nobody reserved.
    pub fn some_run(&self, random: &mut Random) -> Option<String> {
        self.write(|entries| {
            let acked: Vec<_> = entries.acked.iter().collect();
            let (key, run) = *acked.get(random.below(acked.len() as u64) as usize)?;
            (!entries.reserved.contains(key)).then(|| run.clone())
        })
    }

    /// Some start whose answer was lost: its key and its workflow.
    pub fn some_unknown(&self, random: &mut Random) -> Option<(String, String)> {
        self.write(|entries| {
            let is_unknown =
                |(key, _): &(&String, &String)| !entries.acked.contains_key(*key) && !entries.reserved.contains(*key);
            let unknown: Vec<_> = entries.intended.iter().filter(is_unknown).collect();
            let (key, workflow) = *unknown.get(random.below(unknown.len() as u64) as usize)?;
            Some((key.clone(), workflow.clone()))
        })
    }

    /// As [`Journal::intend`], but clients leave the run alone.
    pub fn reserve(&self, word: &str, workflow: &str) -> String {
        let key = self.intend(word, workflow);
        self.write(|entries| entries.reserved.insert(key.clone()));
        key
    }

    /// One line about it.
    pub fn summary(&self) -> String {
        self.write(|entries| {
            let unknown = entries.intended.len() - entries.acked.len();
            format!(
                "{} started, {} acknowledged, {unknown} unknown",
                entries.intended.len(),
                entries.acked.len()
            )
        })
    }
}
