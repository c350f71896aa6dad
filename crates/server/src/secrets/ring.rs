//! The data keys of a namespace: one record, with the keys sealed by a master key.
//!
//! The current key seals; older ones stay until nothing is sealed under them any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::master::Masters;
use super::seal::{self, Key, KeyId, SealError, Sealed};
use super::{SecretError, Vault};

pub(super) const KIND: &str = "secret.key";
pub(super) const ID: &str = "ring";
/// Which namespaces have a ring: records of the server's own namespace, by their names.
pub(super) const SPACES: &str = "secret.space";

/// The data keys of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ring {
    current: String,
    /// Sealed keys by their ids.
    keys: BTreeMap<String, String>,
}

impl Ring {
    /// A ring with one new key.
    pub fn fresh(masters: &Masters, namespace: &str) -> Result<Self, SecretError> {
        let mut ring = Self {
            current: String::new(),
            keys: BTreeMap::new(),
        };
        ring.add(masters, namespace)?;
        Ok(ring)
    }

    /// Adds a new key, which seals from now on.
    pub fn add(&mut self, masters: &Masters, namespace: &str) -> Result<KeyId, SecretError> {
        let key = Key::random()?;
        self.keys.insert(key.id.to_string(), wrap(masters, namespace, &key)?);
        self.current = key.id.to_string();
        Ok(key.id)
    }

    /// The key that seals.
    pub fn current(&self) -> KeyId {
        // A ring is made with a current key, and one that is none opens nothing.
        KeyId::parse(&self.current).unwrap_or_else(|| panic!("the ring's current key is {:?}", self.current))
    }

    /// One of its keys.
    pub fn open(&self, masters: &Masters, namespace: &str, id: KeyId) -> Result<Key, SecretError> {
        let sealed = self.keys.get(&id.to_string()).ok_or(SealError::UnknownKey(id))?;
        let sealed = Sealed::parse(sealed)?;
        let master = masters.find(sealed.key).ok_or(SealError::UnknownKey(sealed.key))?;
        let opened = master.open(&bound_to(namespace, id), &sealed)?;
        let mut bytes = Zeroizing::new([0; seal::KEY_BYTES]);
        if opened.len() != bytes.len() {
            return Err(SealError::Malformed.into());
        }
        bytes.copy_from_slice(&opened);
        Ok(Key::of(id, bytes))
    }

    /// The same keys, all sealed by the current master key.
    pub fn rewrapped(&self, masters: &Masters, namespace: &str) -> Result<Self, SecretError> {
        let mut ring = self.clone();
        for (text, sealed) in &mut ring.keys {
            let id = KeyId::parse(text).ok_or(SealError::Malformed)?;
            *sealed = wrap(masters, namespace, &self.open(masters, namespace, id)?)?;
        }
        Ok(ring)
    }

    /// Forgets keys other than the current one that are not in use.
    pub fn retain(&mut self, is_used: impl Fn(&str) -> bool) {
        let current = &self.current;
        self.keys.retain(|id, _| id == current || is_used(id));
    }
}

fn wrap(masters: &Masters, namespace: &str, key: &Key) -> Result<String, SecretError> {
    let master = masters.current().ok_or(SecretError::NoMasterKey)?;
    Ok(master.seal(&bound_to(namespace, key.id), key.bytes())?)
}

fn bound_to(namespace: &str, id: KeyId) -> Vec<u8> {
    seal::parts(&[b"data key", namespace.as_bytes(), id.to_string().as_bytes()])
}

impl Vault {
    /// A namespace's ring and its record's version.
    pub(super) async fn ring(&self, namespace: &str) -> Result<Option<(Ring, u64)>, SecretError> {
        let Some(record) = self.store.record(namespace, KIND, ID).await? else {
            return Ok(None);
        };
        let ring: Ring = serde_json::from_str(&record.body).map_err(|_| SealError::Malformed)?;
        KeyId::parse(&ring.current).ok_or(SealError::Malformed)?;
        Ok(Some((ring, record.version)))
    }

    /// The same; one that is yet to be stored, of version 0, where there is none.
    pub(super) async fn ring_or_new(&self, namespace: &str) -> Result<(Ring, u64), SecretError> {
        if let Some(found) = self.ring(namespace).await? {
            return Ok(found);
        }
        self.masters.ready()?;
        Ok((Ring::fresh(&self.masters, namespace)?, 0))
    }
}
