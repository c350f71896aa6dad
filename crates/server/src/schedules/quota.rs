//! How many schedules a namespace may have.
//!
//! They are counted once, and then as this process adds and removes them. Where other nodes do so too, the count is made
//! again now and then: the limit keeps a store from being filled without end, and is not exact to the last one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quintet_core::time::Time;
use quintet_store::{Record, Store, StoreError};

use super::ScheduleError;
use super::model::KIND;

/// Schedules of one namespace.
const MOST: usize = 100_000;
/// Schedules read at a time to count them.
const PAGE: usize = 1000;
/// How long a count is believed where other nodes add schedules too.
const BELIEVED_MS: u64 = 60_000;

/// The counts of all namespaces.
pub(super) struct Quota {
    pub most: usize,
    counted: Mutex<HashMap<Arc<str>, Counted>>,
}

/// How many schedules a namespace had.
#[derive(Debug, Clone, Copy)]
struct Counted {
    number: usize,
    at: Time,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            most: MOST,
            counted: Mutex::default(),
        }
    }
}

impl Quota {
    /// Whether there may be one more.
    pub async fn make_room(&self, store: &dyn Store, namespace: &Arc<str>, now: Time) -> Result<(), ScheduleError> {
        let known = self.counts().get(namespace).copied();
        let believed = known.filter(|known| !store.is_shared() || now.ms_since(known.at) < BELIEVED_MS);
        let number = match believed {
            Some(counted) => counted.number,
            None => {
                let number = number(store, namespace).await?;
                self.counts().insert(Arc::clone(namespace), Counted { number, at: now });
                number
            }
        };
        if number >= self.most {
            return Err(ScheduleError::TooMany(self.most));
        }
        Ok(())
    }

    /// So many more, or less.
    pub fn count(&self, namespace: &Arc<str>, more: isize) {
        if let Some(counted) = self.counts().get_mut(namespace) {
            counted.number = counted.number.saturating_add_signed(more);
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Arc<str>, Counted>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn number(store: &dyn Store, namespace: &str) -> Result<usize, StoreError> {
    let (mut number, mut after) = (0, None::<Arc<str>>);
    loop {
        let page: Vec<Record> = store.records(namespace, KIND, after.as_deref(), PAGE).await?;
        number += page.len();
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(Arc::clone(&last.id)),
            _ => return Ok(number),
        }
    }
}
