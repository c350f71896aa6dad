//! What steps may use and nobody may read.
//!
//! A secret is a record of its namespace. Its value is written once and comes out at one place only: where a step that
//! names it (`{{ secrets.NAME }}`) is sent. No answer of the API holds it, and neither does a run, its history or a log.
//!
//! # How values are kept
//!
//! In envelopes. The master key is the operator's (`secrets.master_key`, or a file beside the embedded store) and is
//! never in the store. It seals the data keys, of which each namespace has its own, and these seal the values. Who
//! gets hold of the store, its log or a backup has ciphertexts; who gets hold of one data key has one namespace.
//!
//! - The cipher is XChaCha20-Poly1305 with random nonces of 192 bits: no counter, because a restored snapshot would
//!   count the same numbers twice.
//! - A ciphertext is bound to its namespace, its name and the version of its record, so it cannot be moved to another
//!   secret, nor be put back after the secret was changed.
//! - A canary, sealed by the master key, is opened at each start: a wrong key is noticed then, and not when a step fails
//!   at night.
//!
//! Every write of a secret also writes the namespace's ring of data keys, unchanged: so it fails when the ring was
//! rotated meanwhile, and no value is ever sealed under a key that has just been thrown away.

mod canary;
mod error;
mod master;
mod ring;
mod rotate;
mod seal;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use quintet_core::expr::{MAX_SECRET_NAME, is_secret_name};
use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_executors::secrets::{MASKED_FROM, Plain, RevealError, Secrets};
use quintet_store::{Record, RecordWrite, Store};
use serde::{Deserialize, Serialize};

pub use error::{OpenError, SecretError};
use master::Masters;
use ring::Ring;
pub use rotate::Rotated;
use seal::{Key, KeyId, Sealed};

const KIND: &str = "secret";
/// Nobody's namespace: what the server keeps for itself.
const OWN: &str = "quintet";
/// Longest value, in bytes.
const MAX_VALUE: usize = 64 << 10;
/// Most secrets of a namespace.
const MAX_SECRETS: usize = 1000;
/// How often a write is tried again when others write to the same namespace.
const TRIES: usize = 16;
/// Data keys kept open.
const KEPT: usize = 1024;

/// Data keys that were opened, by namespace.
type OpenKeys = HashMap<(Arc<str>, KeyId), Arc<Key>>;

/// All secrets.
pub struct Vault {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    masters: Masters,
    /// The canary is known to be stored.
    has_canary: AtomicBool,
    open_keys: Mutex<OpenKeys>,
}

/// What is known of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: Arc<str>,
    /// From 1, one more with each value, and with each rotation.
    pub version: u64,
    /// Whether the value is masked where receivers repeat it: short ones are not.
    pub is_masked: bool,
    /// Who gave the value.
    pub by: Option<String>,
    /// When there first was one.
    pub created_at: Time,
    /// When it was last written.
    pub updated_at: Time,
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
struct Body {
    sealed: String,
    is_masked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// A value to be stored, by whom it was given.
struct Wish<'a> {
    namespace: &'a str,
    name: &'a str,
    value: &'a str,
    by: Option<String>,
}

impl Vault {
    /// Stores a value, over the one before it.
    pub async fn put(
        &self,
        namespace: &str,
        name: &str,
        value: &Plain,
        by: Option<&str>,
    ) -> Result<Known, SecretError> {
        check(name, value.reveal())?;
        for _ in 0..TRIES {
            let stored = self.store.record(namespace, KIND, name).await?;
            if stored.is_none() {
                self.check_room(namespace).await?;
            }
            let wish = Wish {
                namespace,
                name,
                value: value.reveal(),
                by: by.map(str::to_owned),
            };
            if self.try_store(&wish, stored.as_ref()).await? {
                return self.show(namespace, name).await;
            }
        }
        Err(SecretError::Contended)
    }

    /// All secrets of a namespace behind `after`, by name.
    pub async fn list(&self, namespace: &str, after: Option<&str>, limit: usize) -> Result<Vec<Known>, SecretError> {
        let records = self.store.records(namespace, KIND, after, limit).await?;
        records.iter().map(Known::of).collect()
    }

    /// What is known of a secret.
    pub async fn show(&self, namespace: &str, name: &str) -> Result<Known, SecretError> {
        let record = self.store.record(namespace, KIND, name).await?;
        Known::of(&record.ok_or(SecretError::NotFound)?)
    }

    /// Removes a secret. Steps that name it fail from now on.
    pub async fn remove(&self, namespace: &str, name: &str) -> Result<(), SecretError> {
        let record = self.store.record(namespace, KIND, name).await?;
        let record = record.ok_or(SecretError::NotFound)?;
        let write = RecordWrite {
            body: None,
            ..self.write(namespace, KIND, name, Some(record.version), String::new())
        };
        match self.store.put_records(vec![write]).await? {
            true => Ok(()),
            false => Err(SecretError::Contended),
        }
    }

    async fn check_room(&self, namespace: &str) -> Result<(), SecretError> {
        let all = self.store.records(namespace, KIND, None, MAX_SECRETS).await?;
        if all.len() < MAX_SECRETS {
            Ok(())
        } else {
            Err(SecretError::TooMany(MAX_SECRETS))
        }
    }

    /// Seals a value under the namespace's current key; false when somebody else wrote meanwhile.
    async fn try_store(&self, wish: &Wish<'_>, stored: Option<&Record>) -> Result<bool, SecretError> {
        let namespace = wish.namespace;
        let (ring, ring_version) = self.ring_or_new(namespace).await?;
        let key = self.data_key(&ring, namespace, ring.current())?;
        let version = stored.map_or(0, |record| record.version);
        let sealed = key.seal(&bound_to(namespace, wish.name, version + 1), wish.value.as_bytes())?;
        let body = Body {
            sealed,
            is_masked: wish.value.len() >= MASKED_FROM,
            by: wish.by.clone(),
        };
        let mut writes = vec![
            self.write(namespace, KIND, wish.name, Some(version), json(&body)),
            self.write(namespace, ring::KIND, ring::ID, Some(ring_version), json(&ring)),
        ];
        if ring_version == 0 {
            writes.push(self.write(OWN, ring::SPACES, namespace, None, "{}".to_owned()));
        }
        writes.extend(self.first_canary().await?);
        Ok(self.store.put_records(writes).await?)
    }

    /// The value of a secret, opened.
    async fn open_value(&self, namespace: &str, record: &Record) -> Result<Plain, SecretError> {
        let sealed = Sealed::parse(&Body::of(record)?.sealed)?;
        let kept = self.kept(namespace, sealed.key);
        let key = match kept {
            Some(key) => key,
            None => {
                let (ring, _) = self
                    .ring(namespace)
                    .await?
                    .ok_or(seal::SealError::UnknownKey(sealed.key))?;
                self.data_key(&ring, namespace, sealed.key)?
            }
        };
        let value = key.open(&bound_to(namespace, &record.id, record.version), &sealed)?;
        let text = std::str::from_utf8(&value).map_err(|_| seal::SealError::Malformed)?;
        Ok(Plain::new(text))
    }

    fn kept(&self, namespace: &str, id: KeyId) -> Option<Arc<Key>> {
        let keys = self.open_keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(&(Arc::from(namespace), id)).cloned()
    }

    /// A data key of a ring, opened once.
    fn data_key(&self, ring: &Ring, namespace: &str, id: KeyId) -> Result<Arc<Key>, SecretError> {
        if let Some(key) = self.kept(namespace, id) {
            return Ok(key);
        }
        let key = Arc::new(ring.open(&self.masters, namespace, id)?);
        let mut keys = self.open_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEPT {
            keys.clear();
        }
        keys.insert((Arc::from(namespace), id), Arc::clone(&key));
        Ok(key)
    }

    fn write(&self, namespace: &str, kind: &str, id: &str, expected: Option<u64>, body: String) -> RecordWrite {
        RecordWrite {
            namespace: namespace.into(),
            kind: kind.into(),
            id: id.into(),
            expected,
            body: Some(body),
            expires_at: None,
            at: self.clock.now(),
        }
    }
}

#[async_trait]
impl Secrets for Vault {
    async fn reveal(&self, namespace: &str, name: &str) -> Result<Option<Plain>, RevealError> {
        let found = match self.store.record(namespace, KIND, name).await {
            Ok(Some(record)) => self.open_value(namespace, &record).await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error.into()),
        };
        found.map_err(|error| RevealError {
            is_retryable: matches!(&error, SecretError::Store(error) if error.is_retryable()),
            reason: error.to_string(),
        })
    }
}

impl Body {
    fn of(record: &Record) -> Result<Self, SecretError> {
        serde_json::from_str(&record.body).map_err(|_| seal::SealError::Malformed.into())
    }
}

impl Known {
    fn of(record: &Record) -> Result<Self, SecretError> {
        let body = Body::of(record)?;
        Ok(Self {
            name: Arc::clone(&record.id),
            version: record.version,
            is_masked: body.is_masked,
            by: body.by,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}

/// What the ciphertext of a value belongs to.
fn bound_to(namespace: &str, name: &str, version: u64) -> Vec<u8> {
    seal::parts(&[b"secret", namespace.as_bytes(), name.as_bytes(), &version.to_be_bytes()])
}

fn check(name: &str, value: &str) -> Result<(), SecretError> {
    let wrong = |field, reason: String| Err(SecretError::Invalid { field, reason });
    if !is_secret_name(name) {
        return wrong(
            "name",
            format!("must have 1 to {MAX_SECRET_NAME} of the signs A-Z a-z 0-9 _ - and ."),
        );
    }
    if value.is_empty() || value.len() > MAX_VALUE {
        return wrong("value", format!("must have 1 to {MAX_VALUE} bytes"));
    }
    Ok(())
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and names are JSON")
}
