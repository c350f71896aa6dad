//! Who is speaking: API keys.
//!
//! A key is 256 random bits, so its SHA-256 is enough to recognise it and useless to whoever reads it in the settings.
//! A presented key is hashed and compared with every known hash to the end, so that time tells nothing.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};

use crate::config::{ApiKey, Permission};

/// How every key begins, so that scanners for leaked secrets recognise it.
const PREFIX: &str = "qk_";
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Shorter keys of the operator's own making are refused: they could be guessed.
const SHORTEST: usize = 24;
const RANDOM_BYTES: usize = 32;

/// Who is speaking; in the extensions of every request that reaches a face.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key's name; `anonymous` when the server has no keys.
    pub name: Arc<str>,
    /// Whose workflows and runs it sees.
    pub namespace: Arc<str>,
    permissions: Permissions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Permissions(u8);

impl Caller {
    /// Everybody, where nobody needs a key.
    pub fn anonymous() -> Self {
        static ANONYMOUS: LazyLock<Caller> = LazyLock::new(|| Caller {
            name: "anonymous".into(),
            namespace: "default".into(),
            permissions: Permissions(u8::MAX),
        });
        ANONYMOUS.clone()
    }

    /// Somebody who showed no valid key where keys are needed.
    pub fn unknown() -> Self {
        Caller {
            name: "unknown".into(),
            namespace: "default".into(),
            permissions: Permissions(0),
        }
    }

    /// Whether it showed a key of another namespace than this one.
    pub fn is_of_another(&self, namespace: &str) -> bool {
        self.permissions != Permissions(0) && !self.is_anonymous() && *self.namespace != *namespace
    }

    /// Whether nobody needs a key here.
    pub fn is_anonymous(&self) -> bool {
        Arc::ptr_eq(&self.name, &Self::anonymous().name)
    }

    /// Whether it may do what needs this permission.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.0 & bit(permission) != 0
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts
            .extensions
            .get::<Caller>()
            .cloned()
            .unwrap_or_else(Caller::anonymous))
    }
}

const fn bit(permission: Permission) -> u8 {
    match permission {
        Permission::Viewer => 1,
        Permission::Operator => 2,
        Permission::Author => 4,
        Permission::Admin => 8,
    }
}

/// What a permission includes: whoever writes may read, and an admin may do everything.
const fn includes(permission: Permission) -> u8 {
    match permission {
        Permission::Viewer => bit(Permission::Viewer),
        Permission::Operator => bit(Permission::Operator) | bit(Permission::Viewer),
        Permission::Author => bit(Permission::Author) | bit(Permission::Viewer),
        Permission::Admin => u8::MAX,
    }
}

/// A key of the settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`auth.api_keys` ({name}): {reason}")]
pub struct KeyError {
    name: String,
    reason: String,
}

/// The keys that are accepted.
#[derive(Debug)]
pub(super) struct Keyring {
    keys: Vec<([u8; 32], Caller)>,
}

impl Keyring {
    pub fn new(keys: &[ApiKey]) -> Result<Self, KeyError> {
        let keys = keys
            .iter()
            .map(|key| Ok((digest_of(key)?, caller_of(key))))
            .collect::<Result<Vec<_>, KeyError>>()?;
        Ok(Self { keys })
    }

    /// Whether anybody may do anything.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whose key the request carries; `None` when it carries none that is known.
    pub fn caller(&self, headers: &HeaderMap) -> Option<&Caller> {
        let presented = hash(presented(headers)?.as_bytes());
        let mut found = None;
        for (known, caller) in &self.keys {
            let difference = known.iter().zip(&presented).fold(0, |all, (a, b)| all | (a ^ b));
            if std::hint::black_box(difference) == 0 {
                found = Some(caller);
            }
        }
        found
    }
}

/// Whether the request carries anything that is meant to be a key.
pub(super) fn is_presented(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || headers.contains_key(&X_API_KEY)
}

/// The key in `Authorization: Bearer` or `X-Api-Key`.
fn presented(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then_some(key.trim());
    }
    headers.get(&X_API_KEY)?.to_str().ok().map(str::trim)
}

fn caller_of(key: &ApiKey) -> Caller {
    let permissions = key
        .permissions
        .iter()
        .fold(0, |all, permission| all | includes(*permission));
    Caller {
        name: key.name.as_str().into(),
        namespace: key.namespace.as_str().into(),
        permissions: Permissions(permissions),
    }
}

fn digest_of(key: &ApiKey) -> Result<[u8; 32], KeyError> {
    let wrong = |reason: String| KeyError {
        name: key.name.clone(),
        reason,
    };
    if let Some(hex) = &key.sha256 {
        return from_hex(hex).ok_or_else(|| wrong("`sha256` has 64 hexadecimal digits".to_owned()));
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
    Ok(hash(text.as_bytes()))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(bytes)
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A new key.
#[derive(Clone)]
pub struct Minted {
    /// The key; it is shown once and kept nowhere.
    pub key: String,
    /// What the settings need to know of it.
    pub sha256: String,
}

/// Makes a key of 256 bits of the operating system's randomness.
pub fn mint() -> Result<Minted, String> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| format!("the operating system gives no randomness: {error}"))?;
    let key = format!(
        "{PREFIX}{}",
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, random)
    );
    let sha256 = hash(key.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    Ok(Minted { key, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn api_key(name: &str, sha256: Option<String>, key: Option<Secret>) -> ApiKey {
        let permissions = vec![Permission::Operator];
        ApiKey {
            name: name.into(),
            sha256,
            key,
            permissions,
            namespace: "default".into(),
        }
    }

    fn caller<'a>(keyring: &'a Keyring, name: &'static str, value: &str) -> Option<&'a str> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("header"));
        keyring.caller(&headers).map(|caller| caller.name.as_ref())
    }

    #[test]
    fn a_minted_key_is_recognised_by_its_hash_in_either_header() {
        let (one, other) = (mint().expect("key"), mint().expect("key"));
        assert_ne!(one.key, other.key);
        assert!(one.key.starts_with("qk_") && one.key.len() == 46, "{}", one.key);
        let keyring = Keyring::new(&[
            api_key("one", Some(one.sha256), None),
            api_key("other", Some(other.sha256), None),
        ])
        .expect("keys");
        assert_eq!(
            caller(&keyring, "authorization", &format!("Bearer {}", one.key)),
            Some("one")
        );
        assert_eq!(
            caller(&keyring, "authorization", &format!("bearer {}", other.key)),
            Some("other")
        );
        assert_eq!(caller(&keyring, "x-api-key", &one.key), Some("one"));
        for wrong in [
            one.key.clone(),
            format!("Basic {}", one.key),
            format!("Bearer {}x", one.key),
            "Bearer ".to_owned(),
        ] {
            assert_eq!(caller(&keyring, "authorization", &wrong), None, "{wrong}");
        }
    }

    #[test]
    fn keys_of_files_are_read_and_short_ones_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        let reference = || Some(Secret::new(format!("file:{}", path.display())));
        std::fs::write(&path, "0123456789abcdef01234567\n").expect("written");
        let keyring = Keyring::new(&[api_key("file", None, reference())]).expect("keys");
        assert_eq!(caller(&keyring, "x-api-key", "0123456789abcdef01234567"), Some("file"));
        std::fs::write(&path, "short\n").expect("written");
        let error = Keyring::new(&[api_key("file", None, reference())])
            .expect_err("refused")
            .to_string();
        assert!(error.contains("shorter") && !error.contains("short\n"), "{error}");
    }

    #[test]
    fn permissions_include_what_they_need_and_no_more() {
        let may = |permissions: Vec<Permission>| {
            let key = ApiKey {
                permissions,
                ..api_key("x", None, None)
            };
            let caller = caller_of(&key);
            [
                Permission::Viewer,
                Permission::Operator,
                Permission::Author,
                Permission::Admin,
            ]
            .map(|one| caller.may(one))
        };
        assert_eq!(may(vec![Permission::Viewer]), [true, false, false, false]);
        assert_eq!(may(vec![Permission::Operator]), [true, true, false, false]);
        assert_eq!(may(vec![Permission::Author]), [true, false, true, false]);
        assert_eq!(
            may(vec![Permission::Operator, Permission::Author]),
            [true, true, true, false]
        );
        assert_eq!(may(vec![Permission::Admin]), [true; 4]);
    }
}
