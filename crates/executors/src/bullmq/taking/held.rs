//! The jobs in hand, each with its lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

#[derive(Default)]
pub(super) struct Held {
    /// By lock: the same job can be in hand twice for a moment, when it was lost and taken again.
    jobs: Mutex<HashMap<String, InHand>>,
    count: AtomicU64,
}

struct InHand {
    id: String,
    lost: CancellationToken,
}

impl Held {
    /// A lock that no other job has.
    pub fn next_lock(&self, process: &str) -> String {
        format!("quintet-{process}:{}", self.count.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes a job in hand; the token tells when it is lost.
    pub fn add(&self, id: &str, lock: &str) -> CancellationToken {
        let lost = CancellationToken::new();
        let in_hand = InHand {
            id: id.to_owned(),
            lost: lost.clone(),
        };
        self.jobs().insert(lock.to_owned(), in_hand);
        lost
    }

    pub fn remove(&self, lock: &str) {
        self.jobs().remove(lock);
    }

    /// Ids and locks.
    pub fn all(&self) -> Vec<(String, String)> {
        let jobs = self.jobs();
        jobs.iter().map(|(lock, job)| (job.id.clone(), lock.clone())).collect()
    }

    /// Somebody else has the job, or nobody.
    pub fn lose(&self, lock: &str) {
        if let Some(job) = self.jobs().get(lock) {
            job.lost.cancel();
        }
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<String, InHand>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
