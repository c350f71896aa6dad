//! Tokens for dispatches, made rarely and handed out often.
//!
//! Each dispatch carries a token, and the same backend's tokens differ only in their dates. So one is made and handed
//! out for half of its life: whoever gets it last still has the other half. The dates are for workers that look at them;
//! the SDK does not.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use quintet_core::time::Time;
use serde_json::{Map, Value};

use super::backend::Backend;
use super::token::{TokenCipher, TokenError};

/// As in the originals.
const DEFAULT_LIFETIME_MS: u64 = 3_600_000;

/// Makes tokens. Share it: what it made last is kept inside.
pub struct TokenMint {
    cipher: TokenCipher,
    lifetime_ms: u64,
    /// By backend's id.
    made: Mutex<HashMap<String, Made>>,
}

struct Made {
    token: Arc<str>,
    /// From when to when it is handed out.
    from: Time,
    until: Time,
}

/// What is inside of a token: the backend's settings as a worker needs them, `iat` and `exp`. It holds credentials, and
/// `Debug` shows only the backend's id.
#[derive(Clone, PartialEq)]
pub struct Claims(pub Map<String, Value>);

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("id", &self.0.get("id"))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenMint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TokenMint");
        shown
            .field("cipher", &self.cipher)
            .field("lifetime_ms", &self.lifetime_ms)
            .finish_non_exhaustive()
    }
}

impl TokenMint {
    /// Tokens that live for an hour.
    pub fn new(cipher: TokenCipher) -> Self {
        Self {
            cipher,
            lifetime_ms: DEFAULT_LIFETIME_MS,
            made: Mutex::default(),
        }
    }

    /// Tokens that live for this long; at least two seconds, as their dates are in seconds.
    #[must_use]
    pub fn with_lifetime_ms(self, lifetime_ms: u64) -> Self {
        Self {
            lifetime_ms: lifetime_ms.max(2000),
            ..self
        }
    }

    /// A token for a backend as it was opened: with the absolute path of a local folder. It lives for at least half of
    /// the lifetime from `now` on.
    pub fn mint(&self, backend: &Backend, now: Time) -> Result<Arc<str>, TokenError> {
        // Encryption under the lock takes microseconds; outside of it, a burst of dispatches would make as many tokens.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = made.get(&backend.id)
            && (kept.from..kept.until).contains(&now)
        {
            return Ok(Arc::clone(&kept.token));
        }
        let token: Arc<str> = self.encrypt(backend, now)?.into();
        let kept = Made {
            token: Arc::clone(&token),
            from: now,
            until: now.plus_ms(self.lifetime_ms / 2),
        };
        made.insert(backend.id.clone(), kept);
        Ok(token)
    }

    /// What is inside of a token that has not expired.
    pub fn open(&self, token: &str, now: Time) -> Result<Claims, TokenError> {
        let plaintext = self.cipher.decrypt(token)?;
        let claims: Map<String, Value> = serde_json::from_slice(&plaintext).map_err(|_| TokenError::NoClaims)?;
        match claims.get("exp") {
            Some(expires) if expires.as_i64().ok_or(TokenError::NoClaims)? < seconds(now) => Err(TokenError::Expired),
            _ => Ok(Claims(claims)),
        }
    }

    fn encrypt(&self, backend: &Backend, now: Time) -> Result<String, TokenError> {
        let mut claims = backend.claims();
        claims.insert("iat".to_owned(), seconds(now).into());
        claims.insert("exp".to_owned(), seconds(now.plus_ms(self.lifetime_ms)).into());
        self.cipher.encrypt(Value::Object(claims).to_string().as_bytes())
    }
}

fn seconds(time: Time) -> i64 {
    time.as_ms().div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::backend::tests::local;
    use crate::storage::{SystemRandomness, TokenFormat};

    const NOW: Time = Time(1_700_000_000_000_000);

    fn mint(format: TokenFormat) -> TokenMint {
        TokenMint::new(TokenCipher::new(format, "dev-secret-key", Arc::new(SystemRandomness)).unwrap())
    }

    #[test]
    fn a_token_is_handed_out_for_half_of_its_life() {
        for format in [TokenFormat::Sdk, TokenFormat::Pbkdf2] {
            let mint = mint(format);
            let backend = local("/tmp/x");
            let first = mint.mint(&backend, NOW).unwrap();
            assert_eq!(mint.mint(&backend, NOW.plus_ms(1_799_999)).unwrap(), first);
            let second = mint.mint(&backend, NOW.plus_ms(1_800_000)).unwrap();
            assert_ne!(second, first);
            assert_eq!(mint.mint(&backend, NOW.plus_ms(1_800_001)).unwrap(), second);
            // A clock that was set back would otherwise hand out a token of the future for long.
            assert_ne!(mint.mint(&backend, NOW).unwrap(), second);
        }
    }

    #[test]
    fn backends_have_tokens_of_their_own_with_their_settings_and_dates() {
        let mint = mint(TokenFormat::Sdk);
        let (a, mut b) = (local("/a"), local("/b"));
        b.id = "b".to_owned();
        assert_ne!(mint.mint(&a, NOW).unwrap(), mint.mint(&b, NOW).unwrap());
        let claims = mint.open(&mint.mint(&b, NOW).unwrap(), NOW).unwrap();
        let expected = serde_json::json!({
            "id": "b", "provider": "local", "endpoint": "file://", "bucket": "local",
            "credentials": { "basePath": "/b" }, "iat": 1_700_000_000, "exp": 1_700_003_600,
        });
        assert_eq!(Value::Object(claims.0), expected);
    }

    #[test]
    fn an_expired_token_is_refused() {
        let mint = mint(TokenFormat::Sdk);
        let token = mint.mint(&local("/a"), NOW).unwrap();
        assert!(mint.open(&token, NOW.plus_ms(3_600_000)).is_ok());
        assert_eq!(mint.open(&token, NOW.plus_ms(3_601_000)), Err(TokenError::Expired));
    }

    #[test]
    fn what_is_no_object_has_no_claims() {
        let mint = mint(TokenFormat::Sdk);
        for plaintext in ["[1]", "hunter2", r#"{"exp":"soon"}"#] {
            let token = mint.cipher.encrypt(plaintext.as_bytes()).unwrap();
            assert_eq!(mint.open(&token, NOW), Err(TokenError::NoClaims));
        }
    }

    #[test]
    fn debug_shows_no_credential() {
        let mint = mint(TokenFormat::Sdk);
        let claims = mint.open(&mint.mint(&local("/hunter2"), NOW).unwrap(), NOW).unwrap();
        let shown = format!("{mint:?} {claims:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("dev-secret-key"),
            "{shown}"
        );
    }
}
