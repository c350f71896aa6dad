//! What every store asserts about a commit before it touches anything.
//!
//! These are defects of the caller, never of the data: a commit that breaks one of them is refused as a whole,
//! in release builds too, because a wrong row would outlive the process that wrote it.

use crate::commit::{Commit, RunWrite};
use crate::error::StoreError;

impl Commit {
    /// Whether the commit can be applied at all.
    ///
    /// # Errors
    /// [`StoreError::Internal`] when a version does not follow the expected one, or when the end of a run and
    /// its state disagree.
    pub fn check(&self) -> Result<(), StoreError> {
        let mut writes = self.units.iter().flat_map(|unit| &unit.runs);
        writes
            .find_map(defect)
            .map_or(Ok(()), |defect| Err(StoreError::Internal(defect)))
    }
}

fn defect(write: &RunWrite) -> Option<String> {
    let row = &write.row;
    if write.expected.checked_add(1) != Some(row.version) {
        return Some(format!(
            "{} goes from version {} to {}",
            row.id, write.expected, row.version
        ));
    }
    if i64::try_from(row.version).is_err() {
        return Some(format!("{} has a version beyond what a store can hold", row.id));
    }
    if row.status.is_terminal() != row.finished_at.is_some() {
        return Some(format!(
            "{} is {} but its end is {:?}",
            row.id,
            row.status.as_str(),
            row.finished_at
        ));
    }
    None
}
