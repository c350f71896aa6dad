//! All stored keys in memory, as of one moment: what requests are judged by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use quintet_core::time::Time;
use quintet_store::{Record, Store, StoreError};

use super::caller::{Caller, OWN_NAMESPACE};
use super::key::{self, Digest};
use super::permission::Permission;
use super::stored::{KIND, State, StoredKey};
use super::{Reason, Rejection};

/// The record whose version goes up with every change of any key, so that one look tells whether there is anything new.
pub(super) const EPOCH_KIND: &str = "auth.epoch";
pub(super) const EPOCH_ID: &str = "keys";
/// How much later than stored a use is before it is stored.
const USE_MS: u64 = 60_000;
/// Keys read at a time.
const PAGE: usize = 1000;

/// A key, ready to be compared.
#[derive(Debug)]
pub(super) struct Entry {
    pub key: StoredKey,
    digest: Digest,
    caller: Caller,
    /// When it was last used here, in microseconds; 0 when it was not.
    used: AtomicI64,
    /// The last use that was stored, likewise.
    noted: AtomicI64,
}

impl Entry {
    /// When it was last used here.
    pub fn used_at(&self) -> Option<Time> {
        Some(Time(self.used.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }

    /// A use that is to be stored.
    pub fn unnoted(&self) -> Option<Time> {
        let noted = Time(self.noted.load(Ordering::Relaxed));
        self.used_at().filter(|used| used.ms_since(noted) >= USE_MS)
    }

    /// This use was stored.
    pub fn noted(&self, used: Time) {
        self.noted.fetch_max(used.0, Ordering::Relaxed);
    }
}

/// All keys, as of one moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub epoch: u64,
    pub entries: BTreeMap<Arc<str>, Entry>,
}

/// The version that the keys have now; 0 before there was any.
pub(super) async fn epoch(store: &dyn Store) -> Result<u64, StoreError> {
    let record = store.record(OWN_NAMESPACE, EPOCH_KIND, EPOCH_ID).await?;
    Ok(record.map_or(0, |record| record.version))
}

impl Snapshot {
    /// Reads all keys. What is written meanwhile has another epoch, and is read the next time.
    pub async fn load(store: &dyn Store, epoch: u64, before: &Snapshot) -> Result<Self, StoreError> {
        let (mut entries, mut after) = (BTreeMap::new(), None::<Arc<str>>);
        loop {
            let page = store.records(OWN_NAMESPACE, KIND, after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|last| Arc::clone(&last.id));
            let read = page
                .iter()
                .filter_map(|record| Some((Arc::clone(&record.id), entry(record, before)?)));
            entries.extend(read);
            if is_last {
                return Ok(Self { epoch, entries });
            }
        }
    }

    /// Whose key this is.
    pub fn caller(&self, id: &str, presented: &Digest, now: Time) -> Result<&Caller, Rejection> {
        let Some(entry) = self.entries.get(id) else {
            return Err(Rejection::of(Reason::Invalid));
        };
        if !key::is_same(&entry.digest, presented) {
            return Err(Rejection {
                reason: Reason::Invalid,
                key: Some(Arc::clone(&entry.key.id)),
            });
        }
        match entry.key.state(now) {
            State::Active => {
                entry.used.fetch_max(now.0, Ordering::Relaxed);
                Ok(&entry.caller)
            }
            State::Expired => Err(Rejection::of(Reason::Expired)),
            State::Revoked => Err(Rejection::of(Reason::Revoked)),
        }
    }

    /// Whether one that is accepted may make keys for all namespaces.
    pub fn has_admin(&self, now: Time) -> bool {
        self.entries.values().any(|entry| {
            let is_active = entry.key.state(now) == State::Active;
            is_active && entry.caller.is_global() && entry.caller.may(Permission::AuthWrite)
        })
    }
}

/// A key that cannot be read is not accepted.
fn entry(record: &Record, before: &Snapshot) -> Option<Entry> {
    let key = StoredKey::read(record).ok();
    let Some((digest, key)) = key.and_then(|key| Some((key.digest()?, key))) else {
        tracing::error!(key = &*record.id, "a stored key cannot be read; it is not accepted");
        return None;
    };
    let old = before.entries.get(&key.id);
    let carried = |of: fn(&Entry) -> &AtomicI64| old.map_or(0, |old| of(old).load(Ordering::Relaxed));
    let noted = key.last_used_at.map_or(0, |at| at.0).max(carried(|old| &old.noted));
    Some(Entry {
        digest,
        caller: key.caller(),
        used: AtomicI64::new(carried(|old| &old.used)),
        noted: AtomicI64::new(noted),
        key,
    })
}
