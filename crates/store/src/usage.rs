//! What a namespace holds, for limits and for people who look after it.

/// Runs whose histories are measured: of a namespace with more, the newest of them stand for all.
pub const MEASURED_RUNS: usize = 256;

/// How much there is of a namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NamespaceUsage {
    /// Runs that are not over.
    pub live_runs: u64,
    /// Runs that are over.
    pub finished_runs: u64,
    /// Workflows.
    pub workflows: u64,
    /// Documents of faces: schedules, registrations, switches.
    pub records: u64,
    /// Dead letters, open or not.
    pub letters: u64,
    /// Bytes of content: histories, versions of workflows, documents and dead letters. Exact up to [`MEASURED_RUNS`]
    /// runs; of more, the histories of the newest stand for those of all. What the store itself needs for rows and
    /// indices is not in it, nor are plans, which namespaces share.
    pub stored_bytes: u64,
}

impl NamespaceUsage {
    /// Adds the histories of `runs` runs, of which `measured` have `bytes` bytes.
    #[must_use]
    pub fn with_histories(mut self, measured: usize, bytes: u64) -> Self {
        let runs = u128::from(self.live_runs + self.finished_runs);
        let all = match measured {
            0 => 0,
            measured => u128::from(bytes) * runs.max(measured as u128) / measured as u128,
        };
        self.stored_bytes = self.stored_bytes.saturating_add(u64::try_from(all).unwrap_or(u64::MAX));
        self
    }

    /// Whether nothing of the namespace is left.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
