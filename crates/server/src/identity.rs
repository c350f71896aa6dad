//! Who is speaking, and what they may do.
//!
//! A caller is recognised by a key of the settings (`keyring`), by a key that was made over the API and is kept in the store
//! ([`Keys`]), or by a token of an identity provider (`jwt`). All of it is looked up in memory: a request costs no read of
//! the store. [`Identity::keep`] keeps the memory fresh, so that what is revoked on one node is refused by all of them
//! within seconds.
//!
//! What a caller may do is a set of [`Permission`]s, granted as [`Role`]s or one by one. What a request *needs* is another
//! table's business (`http::access`), and which namespace it is about another room's.
//!
//! Whether anything is needed at all: as soon as there is any key or token to recognise somebody by, or where the settings
//! say so. Keys that were revoked count as well, so that revoking the last one opens nothing.

mod caller;
mod first;
mod jwt;
mod key;
mod keyring;
mod keys;
mod permission;
mod presented;
mod role;
mod snapshot;
mod stored;
#[cfg(test)]
mod tests;
mod throttle;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;
use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_engine::tasks;
use quintet_executors::egress::Client;
use quintet_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Required};
use caller::Who;
use jwt::Verifier;
use keyring::Keyring;
use presented::{Presented, presented};

pub use caller::{Caller, Credential, EVERY_NAMESPACE, OWN_NAMESPACE, USUAL_NAMESPACE};
pub use jwt::{Algorithm, PublicKey};
pub use key::{Minted, NoRandomness, mint};
pub use keyring::KeyError;
pub use keys::{Keys, KeysError, Shown};
pub use permission::{Permission, Permissions};
pub use role::{Grant, Role, UnknownGrant};
pub use stored::{Draft, State, StoredKey};
pub use throttle::Throttle;

pub(crate) use crate::tenancy::is_name as is_namespace;

/// Between two looks at what other nodes did.
const REFRESH: Duration = Duration::from_secs(2);

/// Why somebody is not recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing was shown.
    Missing,
    /// What was shown cannot be a key or token.
    Malformed,
    /// What was shown is not valid here.
    Invalid,
    /// It was valid once.
    Expired,
    /// It was taken back.
    Revoked,
}

impl Reason {
    /// For whoever shows it. Only who holds a key or token that was good is told that it no longer is.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Missing | Self::Malformed | Self::Invalid => {
                "send a valid key in `Authorization: Bearer` or `X-Api-Key`"
            }
            Self::Expired => "this key or token has expired",
            Self::Revoked => "this key was revoked",
        }
    }

    /// One word, for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Somebody who is not recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// The key whose id was shown with a wrong secret.
    pub key: Option<Arc<str>>,
}

impl Rejection {
    pub(crate) fn of(reason: Reason) -> Self {
        Self { reason, key: None }
    }
}

/// It cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A key of `auth.api_keys` cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The keys of `auth.jwt` cannot be used.
    #[error("`auth.jwt`: {0}")]
    Jwt(String),
    /// No key can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The first admin's token cannot be written.
    #[error("the first admin's token cannot be written to {path}: {source}")]
    FirstToken {
        /// Where it should lie.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who is known here.
pub struct Identity {
    clock: Arc<dyn Clock>,
    required: Required,
    keyring: Keyring,
    keys: Keys,
    jwt: Option<Verifier>,
    /// Of wrong credentials.
    pub throttle: Throttle,
    /// This program's own key, where it needs one.
    process: OnceLock<(key::Digest, Caller)>,
}

impl Identity {
    /// Reads the settings and the stored keys, and makes the first admin's token where there must be one.
    pub async fn open(
        config: &Config,
        store: Arc<dyn Store>,
        client: &Client,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, IdentityError> {
        let jwt = config.auth.jwt.as_ref();
        let jwt = jwt.map(|rules| Verifier::new(rules, client, clock)).transpose();
        let identity = Self {
            clock: Arc::clone(clock),
            required: config.auth.required,
            keyring: Keyring::new(&config.auth.api_keys)?,
            keys: Keys::open(store, Arc::clone(clock)).await?,
            jwt: jwt.map_err(IdentityError::Jwt)?,
            throttle: Throttle::default(),
            process: OnceLock::new(),
        };
        if identity.needs_first() {
            first::make(&identity.keys, &config.data_dir).await?;
        }
        Ok(identity)
    }

    /// Whether a key is needed and nobody could make any. Whoever gave keys in the settings and asks for nothing more gets
    /// nothing more.
    fn needs_first(&self) -> bool {
        let is_asked_for = self.required == Required::Always || !self.keys.is_empty();
        is_asked_for && !self.keyring.has_admin() && self.jwt.is_none() && !self.keys.has_admin()
    }

    /// Whether nobody needs a key.
    pub fn is_open(&self) -> bool {
        self.required == Required::Auto && self.keyring.is_empty() && self.jwt.is_none() && self.keys.is_empty()
    }

    /// The stored keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Who has sent this, as far as something was shown that is valid now.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Rejection> {
        let text = match presented(headers) {
            Presented::Nothing => return Err(Rejection::of(Reason::Missing)),
            Presented::Malformed => return Err(Rejection::of(Reason::Malformed)),
            Presented::Text(text) => text,
        };
        let (digest, now) = (key::digest(text), self.clock.now());
        if let Some(caller) = self.keyring.caller(&digest) {
            return Ok(caller.clone());
        }
        if let Some((_, caller)) = self.process.get().filter(|(own, _)| key::is_same(own, &digest)) {
            return Ok(caller.clone());
        }
        if let Some(id) = key::id_of(text) {
            return self.keys.caller(id, &digest, now);
        }
        match self.jwt.as_ref().filter(|_| jwt::is_token(text)) {
            Some(jwt) => jwt.caller(text, now).map_err(Rejection::of),
            None => Err(Rejection::of(Reason::Invalid)),
        }
    }

    /// The name of the key of the token that was sent, where it is worth looking for it first.
    pub fn missing_key(&self, headers: &HeaderMap) -> Option<String> {
        let jwt = self.jwt.as_ref()?;
        match presented(headers) {
            Presented::Text(text) if jwt::is_token(text) => jwt.missing_key(text, self.clock.now()),
            _ => None,
        }
    }

    /// Looks for the key of this name where keys of tokens are fetched from.
    pub async fn look_for(&self, kid: &str) {
        if let Some(jwt) = &self.jwt {
            jwt.look_for(kid).await;
        }
    }

    /// A key for this process to speak to itself with, where one is needed.
    pub fn own_key(&self) -> Result<Option<String>, NoRandomness> {
        if self.is_open() {
            return Ok(None);
        }
        let fresh = key::fresh()?;
        let grants = vec![Grant::Role(Role::Admin)];
        let who = Who {
            credential: Credential::Process,
            is_global: true,
            permissions: Grant::total(&grants),
            grants,
            queues: None,
            expires_at: None,
        };
        let caller = Caller::new("quintet run".into(), USUAL_NAMESPACE, who);
        let is_first = self.process.set((key::digest(&fresh.key), caller)).is_ok();
        Ok(is_first.then_some(fresh.key))
    }

    /// Keeps what is known fresh until the server stops.
    pub async fn keep(self: Arc<Self>, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = self.tick() => {}
                () = stopping.cancelled() => return,
            }
            tokio::select! {
                () = tasks::pause(Some(REFRESH)) => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    /// One round: what other nodes changed, which keys were used, and keys of tokens.
    pub async fn tick(&self) {
        let keys = async {
            if self.keys.is_shared() {
                self.keys.refresh().await?;
            }
            self.keys.note_use().await
        };
        let tokens = async {
            if let Some(jwt) = &self.jwt {
                jwt.tick().await;
            }
        };
        // A provider that does not answer holds up nothing else.
        let (looked, ()) = tokio::join!(keys, tokens);
        if let Err(error) = looked {
            tracing::warn!(error = %error, "stored keys cannot be looked at; those that are known stay as they are");
        }
    }

    /// The moment by which credentials are judged.
    pub fn now(&self) -> Time {
        self.clock.now()
    }
}
