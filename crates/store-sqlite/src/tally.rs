//! How many runs are in each state, without counting ten million rows again and again.
//!
//! The writer adds up what its commits changed since the store was opened. The rows are counted once, when somebody
//! asks for the first time, in a snapshot whose place among the commits is known; from then on the sum of both is
//! the answer.

use std::sync::{Mutex, OnceLock, PoisonError};

use quintet_core::machine::RunStatus;

/// One number per stored state.
pub type Numbers = [i64; 16];

#[derive(Debug, Default)]
pub struct Tally {
    /// Rows at the time of opening.
    base: OnceLock<Numbers>,
    /// What changed since.
    change: Mutex<Numbers>,
}

impl Tally {
    /// Called by the writer after a commit.
    pub fn add(&self, numbers: &Numbers) {
        let mut change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        change.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
    }

    /// What changed since the store was opened.
    pub fn change(&self) -> Numbers {
        *self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows were counted in a snapshot that holds exactly `change`.
    pub fn found(&self, counted: &Numbers, change: &Numbers) {
        // Two that counted at the same time found the same.
        let _ = self.base.set(std::array::from_fn(|at| counted[at] - change[at]));
    }

    /// Runs by state, once the rows were counted.
    pub fn runs(&self) -> Option<Vec<(RunStatus, u64)>> {
        let (base, change) = (self.base.get()?, self.change());
        let states = (0u8..16).filter_map(RunStatus::from_number);
        let numbers = states.map(|status| {
            let at = usize::from(status.number());
            (status, u64::try_from(base[at] + change[at]).unwrap_or(0))
        });
        Some(numbers.filter(|(_, number)| *number > 0).collect())
    }
}
