//! How much a namespace may use of this engine.
//!
//! The engine asks before it takes a start in, and before a step of a namespace begins; what the answer is, and from
//! which figures it comes, is the affair of whoever implements [`Quota`].

use std::sync::Arc;

use quintet_core::time::Time;

/// Says how much each namespace may use.
pub trait Quota: Send + Sync + 'static {
    /// Whether so many runs may be started now; counts them if they may.
    ///
    /// # Errors
    ///
    /// What is used up.
    fn admit(&self, namespace: &str, runs: usize, now: Time) -> Result<(), QuotaExceeded>;

    /// A start that was admitted did not happen.
    fn undo(&self, namespace: &str, runs: usize);

    /// Runs that were admitted are stored.
    fn started(&self, namespace: &str, runs: usize) {
        let _ = (namespace, runs);
    }

    /// A run is over.
    fn ended(&self, namespace: &str) {
        let _ = namespace;
    }

    /// How many steps of the namespace this process may have in progress at a time; as many as there are when absent.
    fn max_running_steps(&self, namespace: &str) -> Option<u32>;

    /// Whether steps of the namespace may begin at all.
    fn is_active(&self, namespace: &str) -> bool;
}

/// A limit of a namespace that is reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the namespace has reached its limit: {what} is {limit}")]
pub struct QuotaExceeded {
    /// Which limit, by the name that its setting has.
    pub what: &'static str,
    /// How much it permits.
    pub limit: u64,
    /// In how many milliseconds the same request can succeed, as far as is known.
    pub retry_after_ms: u64,
}

/// Starts that were admitted and are taken back unless they happen.
pub(crate) struct Admitted {
    quota: Option<Arc<dyn Quota>>,
    runs: Vec<(Arc<str>, usize)>,
}

impl Admitted {
    /// Nothing yet.
    pub fn of(quota: Option<&Arc<dyn Quota>>) -> Self {
        Self {
            quota: quota.map(Arc::clone),
            runs: Vec::new(),
        }
    }

    /// Asks for some of one namespace.
    pub fn add(&mut self, namespace: &Arc<str>, runs: usize, now: Time) -> Result<(), QuotaExceeded> {
        if let Some(quota) = &self.quota {
            quota.admit(namespace, runs, now)?;
            self.runs.push((Arc::clone(namespace), runs));
        }
        Ok(())
    }

    /// They happened.
    pub fn keep(mut self) {
        let runs = std::mem::take(&mut self.runs);
        let Some(quota) = &self.quota else { return };
        for (namespace, runs) in runs {
            quota.started(&namespace, runs);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some(quota) = &self.quota else { return };
        for (namespace, runs) in &self.runs {
            quota.undo(namespace, *runs);
        }
    }
}
