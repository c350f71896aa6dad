//! Stored keys: made, listed, replaced and revoked over the API, and known to every node within two seconds.
//!
//! Requests are judged by a snapshot in memory. A change is stored together with a new epoch, this node reads all keys
//! again before the change is answered, and the others notice the epoch at their next look. A node that cannot reach the
//! store goes on with what it knows; nothing can be revoked then either.

use std::sync::{Arc, PoisonError, RwLock};

use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_store::{RecordWrite, Store, StoreError};

use super::Rejection;
use super::caller::{Caller, EVERY_NAMESPACE, OWN_NAMESPACE};
use super::key::{self, Digest, NoRandomness};
use super::permission::Permission;
use super::role::Grant;
use super::snapshot::{EPOCH_ID, EPOCH_KIND, Snapshot, epoch};
use super::stored::{Draft, KIND, State, StoredKey};

/// How often a change is tried that others come before.
const TRIES: usize = 10;
/// Keys of a namespace that are accepted at a time.
const MOST: usize = 1000;
const LONGEST_NAME: usize = 200;
const MOST_QUEUES: usize = 100;
const LONGEST_QUEUE: usize = 255;

/// A request about keys that is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// No such key that this caller may see.
    #[error("key not found")]
    NotFound,
    /// A field has an illegal value.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// The caller would hand out more than it has.
    #[error("{0}")]
    TooMuch(String),
    /// The key is no longer accepted.
    #[error("the key is {0} already")]
    Ended(&'static str),
    /// Others change it faster.
    #[error("the key is being changed by others")]
    Contended,
    /// No key can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key, and the only time that it is shown.
pub struct Shown {
    /// The key.
    pub key: String,
    /// What is kept of it.
    pub stored: StoredKey,
}

/// The keys of a store.
pub struct Keys {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    snapshot: RwLock<Arc<Snapshot>>,
}

impl Keys {
    pub(super) async fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let keys = Self {
            store,
            clock,
            snapshot: RwLock::default(),
        };
        keys.refresh().await?;
        Ok(keys)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there never was any.
    pub(super) fn is_empty(&self) -> bool {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).epoch == 0
    }

    pub(super) fn has_admin(&self) -> bool {
        self.snapshot().has_admin(self.clock.now())
    }

    /// Whether others may have written to the store.
    pub(super) fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// Whose key this is.
    pub(super) fn caller(&self, id: &str, presented: &Digest, now: Time) -> Result<Caller, Rejection> {
        let snapshot = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        snapshot.caller(id, presented, now).cloned()
    }

    /// Looks whether there is anything new.
    pub(super) async fn refresh(&self) -> Result<(), StoreError> {
        let now = epoch(self.store.as_ref()).await?;
        let before = self.snapshot();
        if now == before.epoch {
            return Ok(());
        }
        let loaded = Snapshot::load(self.store.as_ref(), now, &before).await?;
        let mut current = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever looked later has read more.
        if loaded.epoch > current.epoch {
            *current = Arc::new(loaded);
        }
        Ok(())
    }

    /// Makes a key for somebody else.
    pub async fn create(&self, by: &Caller, draft: Draft) -> Result<Shown, KeysError> {
        check(&draft, self.clock.now())?;
        self.check_rights(by, &draft)?;
        let shown = self.make(draft, &by.name)?;
        match self.put(vec![shown.stored.write(self.clock.now())]).await? {
            true => Ok(shown),
            // An id of 71 random bits is taken.
            false => Err(KeysError::Contended),
        }
    }

    /// Stores a key beside what is there at this epoch; false when there is more by now.
    pub(super) async fn create_at(&self, shown: &Shown, epoch: u64) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let stored = self
            .store
            .put_records(vec![shown.stored.write(now), next_epoch(Some(epoch), now)])
            .await?;
        self.refresh().await?;
        Ok(stored)
    }

    /// A key that is not stored yet.
    pub(super) fn make(&self, draft: Draft, by: &str) -> Result<Shown, NoRandomness> {
        let fresh = key::fresh()?;
        let stored = StoredKey::new(draft, &fresh, by, self.clock.now());
        Ok(Shown { key: fresh.key, stored })
    }

    /// The version of what is known.
    pub(super) fn epoch(&self) -> u64 {
        self.snapshot().epoch
    }

    /// A key that this caller may see.
    pub async fn get(&self, by: &Caller, id: &str) -> Result<StoredKey, KeysError> {
        let record = self.store.record(OWN_NAMESPACE, KIND, id).await?;
        let key = record.and_then(|record| StoredKey::read(&record).ok());
        let key = key.filter(|key| is_in_reach(by, key)).ok_or(KeysError::NotFound)?;
        Ok(self.with_use(key))
    }

    /// Keys that this caller may see, by id above `after`, at most `limit`; those of one namespace where that is named.
    pub async fn list(
        &self,
        by: &Caller,
        namespace: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StoredKey>, KeysError> {
        // What another node has stored a moment ago is there.
        self.refresh().await?;
        let snapshot = self.snapshot();
        let keys = snapshot.entries.values().map(|entry| &entry.key);
        let keys = keys
            .filter(|key| after.is_none_or(|after| *key.id > *after))
            .filter(|key| is_in_reach(by, key) && namespace.is_none_or(|wanted| key.namespace == wanted));
        Ok(keys.take(limit).map(|key| self.with_use(key.clone())).collect())
    }

    /// Ends a key at once. One that was revoked before stays as it is.
    pub async fn revoke(&self, by: &Caller, id: &str) -> Result<StoredKey, KeysError> {
        for _ in 0..TRIES {
            let (mut key, now) = (self.get(by, id).await?, self.clock.now());
            if key.revoked_at.is_some() {
                return Ok(key);
            }
            key.revoked_at = Some(now);
            if self.put(vec![key.write(now)]).await? {
                return Ok(key);
            }
        }
        Err(KeysError::Contended)
    }

    /// Makes a key with the same rights in place of this one, which ends to be valid after `grace_ms`. The new one lives
    /// as long as the old one was made for, unless `expires_at` says otherwise.
    pub async fn rotate(
        &self,
        by: &Caller,
        id: &str,
        grace_ms: u64,
        expires_at: Option<Time>,
    ) -> Result<Shown, KeysError> {
        for _ in 0..TRIES {
            let (mut old, now) = (self.get(by, id).await?, self.clock.now());
            match old.state(now) {
                State::Active => {}
                ended => return Err(KeysError::Ended(ended.as_str())),
            }
            let life = old.expires_at.map(|end| now.plus_ms(end.ms_since(old.created_at)));
            let draft = Draft {
                name: old.name.clone(),
                namespace: old.namespace.clone(),
                grants: old.grants.clone(),
                queues: old.queues.clone(),
                expires_at: expires_at.or(life),
            };
            check(&draft, now)?;
            self.check_rights(by, &draft)?;
            let mut shown = self.make(draft, &by.name)?;
            shown.stored.replaces = Some(old.id.to_string());
            match grace_ms {
                0 => old.revoked_at = Some(now),
                _ => {
                    old.expires_at = Some(
                        old.expires_at
                            .map_or(now.plus_ms(grace_ms), |end| end.min(now.plus_ms(grace_ms))),
                    )
                }
            }
            if self.put(vec![old.write(now), shown.stored.write(now)]).await? {
                return Ok(shown);
            }
        }
        Err(KeysError::Contended)
    }

    /// Stores when keys were last used here, where that is a minute later than what was stored.
    pub(super) async fn note_use(&self) -> Result<(), StoreError> {
        let snapshot = self.snapshot();
        for (entry, used) in { snapshot.entries.values() }.filter_map(|entry| Some((entry, entry.unnoted()?))) {
            let record = self.store.record(OWN_NAMESPACE, KIND, &entry.key.id).await?;
            let Some(mut key) = record.and_then(|record| StoredKey::read(&record).ok()) else {
                continue;
            };
            if key.last_used_at.is_none_or(|stored| stored < used) {
                key.last_used_at = Some(used);
                // Who came in between has stored something more important, and there is a next time.
                self.store.put_records(vec![key.write(self.clock.now())]).await?;
            }
            entry.noted(used);
        }
        Ok(())
    }

    async fn put(&self, mut writes: Vec<RecordWrite>) -> Result<bool, StoreError> {
        writes.push(next_epoch(None, self.clock.now()));
        let stored = self.store.put_records(writes).await?;
        self.refresh().await?;
        Ok(stored)
    }

    /// Nobody hands out more than it has.
    fn check_rights(&self, by: &Caller, draft: &Draft) -> Result<(), KeysError> {
        if !by.is_global() && *draft.namespace != *by.namespace {
            let message = format!("this key makes keys of the namespace `{}` only", by.namespace);
            return Err(KeysError::TooMuch(message));
        }
        let wanted = Grant::total(&draft.grants);
        if let Some(permission) = wanted.iter().find(|permission| !by.may(*permission)) {
            let message = format!("this key has no permission `{permission}`, and cannot give it to another");
            return Err(KeysError::TooMuch(message));
        }
        let is_served = |queue: &String| by.serves(queue);
        let serves_all = draft
            .queues
            .as_ref()
            .map_or(by.queues().is_none(), |queues| queues.iter().all(is_served));
        if !serves_all {
            let message = "this key serves certain queues only, and cannot let another serve more";
            return Err(KeysError::TooMuch(message.to_owned()));
        }
        if by.is_anonymous() && !(draft.namespace == EVERY_NAMESPACE && wanted.contains(Permission::AuthWrite)) {
            let message = "from the first key on only keys are let in, so it must be an admin's of all namespaces: \
                           role `admin`, namespace `*`";
            return Err(KeysError::TooMuch(message.to_owned()));
        }
        let (snapshot, now) = (self.snapshot(), self.clock.now());
        let live = { snapshot.entries.values() }
            .filter(|entry| entry.key.namespace == draft.namespace && entry.key.state(now) == State::Active);
        match live.count() {
            MOST.. => Err(KeysError::Invalid {
                field: "namespace",
                reason: format!("has {MOST} keys already; revoke some"),
            }),
            _ => Ok(()),
        }
    }

    fn with_use(&self, mut key: StoredKey) -> StoredKey {
        let here = self.snapshot().entries.get(&key.id).and_then(|entry| entry.used_at());
        key.last_used_at = key.last_used_at.max(here);
        key
    }
}

fn is_in_reach(by: &Caller, key: &StoredKey) -> bool {
    by.is_global() || *key.namespace == *by.namespace
}

fn next_epoch(expected: Option<u64>, now: Time) -> RecordWrite {
    RecordWrite {
        namespace: OWN_NAMESPACE.into(),
        kind: EPOCH_KIND.into(),
        id: EPOCH_ID.into(),
        expected,
        body: Some("{}".to_owned()),
        expires_at: None,
        at: now,
    }
}

fn check(draft: &Draft, now: Time) -> Result<(), KeysError> {
    let wrong = |field, reason: &str| {
        Err(KeysError::Invalid {
            field,
            reason: reason.to_owned(),
        })
    };
    let is_word = |text: &str, most| !text.trim().is_empty() && text.len() <= most && !text.contains(char::is_control);
    if !is_word(&draft.name, LONGEST_NAME) {
        return wrong("name", "must be a text of 1 to 200 bytes");
    }
    if draft.namespace != EVERY_NAMESPACE && !super::is_namespace(&draft.namespace) {
        return wrong(
            "namespace",
            "must be `*`, or 1 to 63 letters, digits and ._-, and not `quintet`",
        );
    }
    if draft.grants.is_empty() {
        return wrong("roles", "is required, unless `permissions` says what the key may do");
    }
    let are_names = |queues: &Vec<String>| {
        (1..=MOST_QUEUES).contains(&queues.len()) && queues.iter().all(|queue| is_word(queue, LONGEST_QUEUE))
    };
    if !draft.queues.as_ref().is_none_or(are_names) {
        return wrong("queues", "must be 1 to 100 names of at most 255 bytes");
    }
    match draft.expires_at {
        Some(end) if end <= now => wrong("expires_at", "must be later than now"),
        _ => Ok(()),
    }
}
