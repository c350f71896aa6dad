//! Timers of runs that were last moved by this loop.
//!
//! Where nodes share a store, a timer is fired by the node that set it, to the microsecond and without asking the
//! store; the others look after it only when it is overdue.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::time::Time;

/// Timers kept; the store brings back the rest a little later.
const KEPT: usize = 100_000;

/// When runs want to look at the clock.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_run: HashMap<RunId, (Time, Arc<str>)>,
    by_time: BTreeSet<(Time, RunId)>,
}

impl Timers {
    /// The run's next time, or that it has none.
    pub fn set(&mut self, namespace: &Arc<str>, run: RunId, at: Option<Time>) {
        if self.by_run.get(&run).map(|(before, _)| *before) == at {
            return;
        }
        self.remove(run);
        if let Some(at) = at
            && self.by_run.len() < KEPT
        {
            self.by_run.insert(run, (at, Arc::clone(namespace)));
            self.by_time.insert((at, run));
        }
    }

    /// The earliest time.
    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out a run whose time has come.
    pub fn pop(&mut self, now: Time) -> Option<(Arc<str>, RunId)> {
        let (_, run) = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.remove(run).map(|namespace| (namespace, run))
    }

    fn remove(&mut self, run: RunId) -> Option<Arc<str>> {
        let (at, namespace) = self.by_run.remove(&run)?;
        self.by_time.remove(&(at, run));
        Some(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_one_time_and_gives_it_up_when_it_comes() {
        let (namespace, run) = ("default".into(), RunId::from_bits);
        let mut timers = Timers::default();
        timers.set(&namespace, run(1), Some(Time(30)));
        timers.set(&namespace, run(2), Some(Time(20)));
        timers.set(&namespace, run(1), Some(Time(10)));
        timers.set(&namespace, run(2), None);
        assert_eq!(timers.next(), Some(Time(10)));
        assert_eq!(timers.pop(Time(9)), None);
        assert_eq!(timers.pop(Time(10)), Some((namespace, run(1))));
        assert_eq!((timers.pop(Time(100)), timers.next()), (None, None));
    }
}
