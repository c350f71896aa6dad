//! The keys of an identity provider, fetched from the one URL of the settings.
//!
//! They are fetched at the start, then every hour, and when a token names a key that is not there, at most every 30 seconds
//! then, because whoever sends tokens can name any key. When the provider does not answer, the keys that were fetched last
//! are good for another day: an outage there is not an outage here, and a key that was taken back is not good for ever.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderMap, Method};
use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_executors::egress::{Call, Client, Redirects};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::key::PublicKey;

/// Between two fetches where nothing is missing.
const USUALLY_MS: u64 = 3_600_000;
/// Between two fetches in any case.
const SOONEST_MS: u64 = 30_000;
/// How long keys are good when no newer ones can be had.
const STALE_MS: u64 = 24 * 3_600_000;
/// Keys of one set, and bytes of it.
const MOST: usize = 100;
const LARGEST: usize = 512 << 10;
/// A request may wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was fetched.
#[derive(Default)]
struct State {
    keys: Arc<[PublicKey]>,
    fetched_at: Option<Time>,
    tried_at: Option<Time>,
}

/// The keys behind a URL.
pub struct Jwks {
    url: Url,
    client: Client,
    clock: Arc<dyn Clock>,
    state: RwLock<State>,
    /// One fetch at a time.
    fetching: tokio::sync::Mutex<()>,
}

impl Jwks {
    /// The keys behind this URL; nothing is fetched yet.
    pub fn new(url: Url, client: Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            url,
            client,
            clock,
            state: RwLock::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys that are good now.
    pub fn keys(&self, now: Time) -> Arc<[PublicKey]> {
        let state = self.state();
        let is_good = state.fetched_at.is_some_and(|at| now.ms_since(at) < STALE_MS);
        if is_good {
            Arc::clone(&state.keys)
        } else {
            Arc::default()
        }
    }

    /// Whether a key of this name could be there if it were looked for again.
    pub fn misses(&self, kid: &str, now: Time) -> bool {
        !self.keys(now).iter().any(|key| key.kid.as_deref() == Some(kid)) && self.may_fetch(now)
    }

    fn may_fetch(&self, now: Time) -> bool {
        self.state().tried_at.is_none_or(|at| now.ms_since(at) >= SOONEST_MS)
    }

    fn is_due(&self, now: Time) -> bool {
        let is_old = self.state().fetched_at.is_none_or(|at| now.ms_since(at) >= USUALLY_MS);
        is_old && self.may_fetch(now)
    }

    /// Fetches them if it is time to.
    pub async fn tick(&self) {
        if self.is_due(self.clock.now()) {
            self.fetch_once().await;
        }
    }

    /// Fetches them because one is missing. Waits for a fetch that is under way.
    pub async fn look_for(&self, kid: &str) {
        let _one = self.fetching.lock().await;
        if self.misses(kid, self.clock.now()) {
            self.fetch().await;
        }
    }

    async fn fetch_once(&self) {
        let _one = self.fetching.lock().await;
        if self.is_due(self.clock.now()) {
            self.fetch().await;
        }
    }

    async fn fetch(&self) {
        let now = self.clock.now();
        self.state.write().unwrap_or_else(PoisonError::into_inner).tried_at = Some(now);
        match self.get().await {
            Ok(keys) => {
                let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                tracing::debug!(url = %self.url, keys = keys.len(), "keys of tokens fetched");
                (state.keys, state.fetched_at) = (keys.into(), Some(now));
            }
            Err(reason) => {
                tracing::warn!(url = %self.url, reason, "keys of tokens (`auth.jwt`, `jwks_url`) cannot be fetched; those of before are good for a day");
            }
        }
    }

    async fn get(&self) -> Result<Vec<PublicKey>, String> {
        let call = Call {
            method: Method::GET,
            url: self.url.clone(),
            headers: HeaderMap::new(),
            body: None,
            timeout: PATIENCE,
            redirects: Redirects::Return,
        };
        let reply = self.client.call(call).await.map_err(|error| error.to_string())?;
        if reply.status != http::StatusCode::OK {
            return Err(format!("the answer is {}", reply.status));
        }
        read(&reply.body)
    }
}

/// The keys of a set that can verify tokens.
pub fn read(body: &[u8]) -> Result<Vec<PublicKey>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    if body.len() > LARGEST {
        return Err(format!("the set is larger than {LARGEST} bytes"));
    }
    let set: Set = serde_json::from_slice(body).map_err(|error| format!("the answer is no key set: {error}"))?;
    if set.keys.len() > MOST {
        return Err(format!("the set has more than {MOST} keys"));
    }
    let keys: Vec<PublicKey> = set.keys.iter().filter_map(PublicKey::from_jwk).collect();
    match keys.is_empty() {
        true => Err("the set has no key that can verify tokens".to_owned()),
        false => Ok(keys),
    }
}
