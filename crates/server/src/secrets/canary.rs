//! The start: a wrong master key is noticed before anything is served.
//!
//! Where the canary was sealed by a previous key, the operator has set a new one: then all rings are sealed anew under
//! it, and the canary last, so that a start that was cut short goes on where it stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use quintet_engine::clock::Clock;
use quintet_store::{Record, RecordWrite, Store};
use serde::{Deserialize, Serialize};

use super::master::Masters;
use super::seal::{self, Key, SealError, Sealed};
use super::{OWN, OpenError, SecretError, Vault, json, ring};
use crate::config::{Config, StoreUrl};

const KIND: &str = "secret.canary";
const ID: &str = "canary";
const SONG: &[u8] = b"the master key is the right one";
/// Namespaces read at a time.
const PAGE: usize = 500;

#[derive(Serialize, Deserialize)]
struct Canary {
    sealed: String,
}

impl Vault {
    /// Reads the keys and tries them on what is stored.
    pub async fn open(
        config: &Config,
        url: &StoreUrl,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        Self::with(Masters::open(config, url)?, store, clock).await
    }

    pub(super) async fn with(
        masters: Masters,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let vault = Self {
            store,
            clock,
            masters,
            has_canary: AtomicBool::new(false),
            open_keys: Mutex::default(),
        };
        if let Some(record) = vault.store.record(OWN, KIND, ID).await? {
            vault.has_canary.store(true, Ordering::Relaxed);
            vault.listen(&record).await?;
        }
        Ok(vault)
    }

    async fn listen(&self, record: &Record) -> Result<(), OpenError> {
        let sealed = sealed_of(record).map_err(OpenError::Damaged)?;
        let current = self.masters.current().ok_or_else(|| OpenError::KeyLost {
            place: self.masters.place(),
        })?;
        let key = self.masters.find(sealed.key).ok_or(OpenError::WrongKey {
            stored: sealed.key,
            here: current.id,
        })?;
        let song = key.open(&bound_to(), &sealed).map_err(SecretError::from);
        song.map_err(OpenError::Damaged)?;
        if key.id != current.id {
            self.change_masters(record, &current)
                .await
                .map_err(OpenError::Damaged)?;
            tracing::info!(from = %key.id, to = %current.id, "all data keys of secrets are sealed by the new master key");
        }
        Ok(())
    }

    async fn change_masters(&self, canary: &Record, current: &Key) -> Result<(), SecretError> {
        let mut after: Option<Arc<str>> = None;
        loop {
            let spaces = self.store.records(OWN, ring::SPACES, after.as_deref(), PAGE).await?;
            for space in &spaces {
                self.rewrap(&space.id).await?;
            }
            match spaces.last() {
                Some(last) if spaces.len() == PAGE => after = Some(Arc::clone(&last.id)),
                _ => break,
            }
        }
        let write = self.canary(current, Some(canary.version))?;
        // Where another server was faster, it has done the same.
        self.store.put_records(vec![write]).await?;
        Ok(())
    }

    /// Seals a namespace's data keys under the current master key.
    async fn rewrap(&self, namespace: &str) -> Result<(), SecretError> {
        for _ in 0..super::TRIES {
            let Some((ring, version)) = self.ring(namespace).await? else {
                return Ok(());
            };
            let ring = ring.rewrapped(&self.masters, namespace)?;
            let write = self.write(namespace, ring::KIND, ring::ID, Some(version), json(&ring));
            if self.store.put_records(vec![write]).await? {
                return Ok(());
            }
        }
        Err(SecretError::Contended)
    }

    /// The canary, to be stored with the first secret of all.
    pub(super) async fn first_canary(&self) -> Result<Option<RecordWrite>, SecretError> {
        if self.has_canary.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let current = self.masters.current().ok_or(SecretError::NoMasterKey)?;
        if let Some(record) = self.store.record(OWN, KIND, ID).await? {
            // Another server was first; its key must be ours.
            let sealed = sealed_of(&record)?;
            let key = self.masters.find(sealed.key).ok_or(SealError::UnknownKey(sealed.key))?;
            key.open(&bound_to(), &sealed)?;
            self.has_canary.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        self.canary(&current, Some(0)).map(Some)
    }

    fn canary(&self, master: &Key, expected: Option<u64>) -> Result<RecordWrite, SecretError> {
        let sealed = master.seal(&bound_to(), SONG)?;
        Ok(self.write(OWN, KIND, ID, expected, json(&Canary { sealed })))
    }
}

fn sealed_of(record: &Record) -> Result<Sealed, SecretError> {
    let canary: Canary = serde_json::from_str(&record.body).map_err(|_| SealError::Malformed)?;
    Ok(Sealed::parse(&canary.sealed)?)
}

fn bound_to() -> Vec<u8> {
    seal::parts(&[b"canary"])
}
