//! The keys of the settings.
//!
//! A presented key is hashed and compared with every known hash to the end, so that time tells nothing.

use super::caller::{Caller, Credential, EVERY_NAMESPACE, Who};
use super::key::{self, Digest};
use super::permission::Permission;
use super::role::Grant;
use crate::config::ApiKey;

/// Shorter keys of the operator's own making are refused: they could be guessed.
const SHORTEST: usize = 24;

/// A key of the settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`auth.api_keys` ({name}): {reason}")]
pub struct KeyError {
    name: String,
    reason: String,
}

/// The keys of the settings that are accepted.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    keys: Vec<(Digest, Caller)>,
}

impl Keyring {
    pub fn new(keys: &[ApiKey]) -> Result<Self, KeyError> {
        let keys = keys
            .iter()
            .map(|key| Ok((digest_of(key)?, caller_of(key))))
            .collect::<Result<Vec<_>, KeyError>>()?;
        Ok(Self { keys })
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether one of them may make keys.
    pub fn has_admin(&self) -> bool {
        self.keys.iter().any(|(_, caller)| caller.may(Permission::AuthWrite))
    }

    /// Whose key has this hash.
    pub fn caller(&self, presented: &Digest) -> Option<&Caller> {
        let mut found = None;
        for (known, caller) in &self.keys {
            if key::is_same(known, presented) {
                found = Some(caller);
            }
        }
        found
    }
}

fn caller_of(key: &ApiKey) -> Caller {
    let who = Who {
        credential: Credential::Setting,
        is_global: key.namespace == EVERY_NAMESPACE,
        permissions: Grant::total(&key.permissions),
        grants: key.permissions.clone(),
        queues: key.queues.clone(),
        expires_at: None,
    };
    Caller::new(key.name.as_str().into(), &key.namespace, who)
}

fn digest_of(key: &ApiKey) -> Result<Digest, KeyError> {
    let wrong = |reason: String| KeyError {
        name: key.name.clone(),
        reason,
    };
    if let Some(hex) = &key.sha256 {
        return key::from_hex(hex).ok_or_else(|| wrong("`sha256` has 64 hexadecimal digits".to_owned()));
    }
    let Some(reference) = &key.key else {
        return Err(wrong("needs either `sha256` or `key`".to_owned()));
    };
    let text = reference.reveal().map_err(wrong)?;
    if text.len() < SHORTEST {
        return Err(wrong(format!(
            "the key is shorter than {SHORTEST} characters: `quintet keys create` makes a good one"
        )));
    }
    Ok(key::digest(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::identity::key::mint;
    use crate::identity::role::Role;

    fn api_key(name: &str, sha256: Option<String>, key: Option<Secret>) -> ApiKey {
        ApiKey {
            name: name.into(),
            sha256,
            key,
            permissions: vec![Grant::Role(Role::Operator)],
            namespace: "default".into(),
            queues: None,
        }
    }

    fn caller<'a>(keyring: &'a Keyring, text: &str) -> Option<&'a str> {
        keyring.caller(&key::digest(text)).map(|caller| caller.name.as_ref())
    }

    #[test]
    fn a_minted_key_is_recognised_by_its_hash() {
        let (one, other) = (mint().expect("key"), mint().expect("key"));
        assert_ne!(one.key, other.key);
        assert!(one.key.starts_with("qk_") && one.key.len() == 46, "{}", one.key);
        let keyring = Keyring::new(&[
            api_key("one", Some(one.sha256), None),
            api_key("other", Some(other.sha256), None),
        ])
        .expect("keys");
        assert_eq!(caller(&keyring, &one.key), Some("one"));
        assert_eq!(caller(&keyring, &other.key), Some("other"));
        assert_eq!(caller(&keyring, &format!("{}x", one.key)), None);
        assert!(!keyring.has_admin());
    }

    #[test]
    fn keys_of_files_are_read_and_short_ones_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        let reference = || Some(Secret::new(format!("file:{}", path.display())));
        std::fs::write(&path, "0123456789abcdef01234567\n").expect("written");
        let keyring = Keyring::new(&[api_key("file", None, reference())]).expect("keys");
        assert_eq!(caller(&keyring, "0123456789abcdef01234567"), Some("file"));
        std::fs::write(&path, "short\n").expect("written");
        let error = Keyring::new(&[api_key("file", None, reference())])
            .expect_err("refused")
            .to_string();
        assert!(error.contains("shorter") && !error.contains("short\n"), "{error}");
    }
}
