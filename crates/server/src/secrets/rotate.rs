//! A new data key for a namespace: everything is sealed under it, and the old ones are thrown away.
//!
//! Values stay, and so do the steps that use them. What was copied out of the store before cannot be opened with the
//! new key, and what is in the store cannot be opened with the old one.

use std::collections::BTreeSet;
use std::sync::Arc;

use quintet_store::Record;

use super::seal::{KeyId, Sealed};
use super::{Body, KIND, SecretError, TRIES, Vault, Wish, json, ring};

/// Secrets read at a time.
const PAGE: usize = 200;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The id of the new key.
    pub key: KeyId,
    /// How many secrets were sealed under it.
    pub secrets: usize,
}

impl Vault {
    /// Gives a namespace a new data key.
    pub async fn rotate(&self, namespace: &str) -> Result<Rotated, SecretError> {
        let key = self.new_current(namespace).await?;
        let mut secrets = 0;
        for record in self.all(namespace).await? {
            secrets += usize::from(self.seal_anew(namespace, record, key).await?);
        }
        self.forget_unused(namespace).await?;
        Ok(Rotated { key, secrets })
    }

    async fn new_current(&self, namespace: &str) -> Result<KeyId, SecretError> {
        for _ in 0..TRIES {
            let (ring, version) = self.ring(namespace).await?.ok_or(SecretError::NotFound)?;
            let mut ring = ring.rewrapped(&self.masters, namespace)?;
            let key = ring.add(&self.masters, namespace)?;
            let write = self.write(namespace, ring::KIND, ring::ID, Some(version), json(&ring));
            if self.store.put_records(vec![write]).await? {
                return Ok(key);
            }
        }
        Err(SecretError::Contended)
    }

    /// False when the secret is gone, or was sealed under the new key by somebody else.
    async fn seal_anew(&self, namespace: &str, mut record: Record, key: KeyId) -> Result<bool, SecretError> {
        for _ in 0..TRIES {
            let body = Body::of(&record)?;
            if Sealed::parse(&body.sealed)?.key == key {
                return Ok(false);
            }
            let value = self.open_value(namespace, &record).await?;
            let wish = Wish {
                namespace,
                name: &record.id,
                value: value.reveal(),
                by: body.by,
            };
            if self.try_store(&wish, Some(&record)).await? {
                return Ok(true);
            }
            match self.store.record(namespace, KIND, &record.id).await? {
                Some(now) => record = now,
                None => return Ok(false),
            }
        }
        Err(SecretError::Contended)
    }

    /// The ring is read before the secrets are: whoever seals one meanwhile writes the ring too, and this fails.
    async fn forget_unused(&self, namespace: &str) -> Result<(), SecretError> {
        for _ in 0..TRIES {
            let Some((mut ring, version)) = self.ring(namespace).await? else {
                return Ok(());
            };
            let mut used = BTreeSet::new();
            for record in self.all(namespace).await? {
                used.insert(Sealed::parse(&Body::of(&record)?.sealed)?.key.to_string());
            }
            ring.retain(|id| used.contains(id));
            let write = self.write(namespace, ring::KIND, ring::ID, Some(version), json(&ring));
            if self.store.put_records(vec![write]).await? {
                return Ok(());
            }
        }
        Err(SecretError::Contended)
    }

    async fn all(&self, namespace: &str) -> Result<Vec<Record>, SecretError> {
        let (mut all, mut after): (Vec<Record>, Option<Arc<str>>) = (Vec::new(), None);
        loop {
            let page = self.store.records(namespace, KIND, after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|last| Arc::clone(&last.id));
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }
}
