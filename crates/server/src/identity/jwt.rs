//! Tokens of an identity provider (JWT): verified with its public keys, never made here.
//!
//! [`jws`] decides which key a signature is checked with, [`claims`] whether the token is for this server and for now. Keys
//! come from the settings or from the provider's JWKS ([`jwks`]). A token is verified anew with each request: that costs
//! some microseconds, and nothing has to be remembered or forgotten.

mod claims;
mod der;
mod jwks;
mod jws;
mod key;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_executors::egress::Client;

use super::Reason;
use super::caller::Caller;
use crate::config::Jwt;
use jwks::Jwks;
use jws::Parsed;

pub use jws::is_token;
pub use key::{Algorithm, PublicKey};

/// Verifies tokens.
pub struct Verifier {
    rules: Jwt,
    keys: Vec<PublicKey>,
    jwks: Option<Jwks>,
}

impl Verifier {
    /// One by these settings, which were checked. The client is for URLs that the operator chose.
    pub fn new(rules: &Jwt, client: &Client, clock: &Arc<dyn Clock>) -> Result<Self, String> {
        let keys = rules.public_keys()?;
        let jwks = rules.jwks_url.clone();
        let jwks = jwks.map(|url| Jwks::new(url, client.for_operator(), Arc::clone(clock)));
        Ok(Self {
            rules: rules.clone(),
            keys,
            jwks,
        })
    }

    /// The bearer of this token.
    pub fn caller(&self, token: &str, now: Time) -> Result<Caller, Reason> {
        let parsed = Parsed::read(token)?;
        let is_permitted = |key: &&PublicKey| self.rules.algorithms.contains(&key.algorithm());
        let kid = parsed.header.kid.as_deref();
        // A key of the settings without a name is tried for any token, one with a name for those that name it or none.
        let is_named = |key: &&PublicKey| key.kid.as_deref().is_none_or(|own| kid.is_none_or(|kid| kid == own));
        let fetched = self.jwks.as_ref().map(|jwks| jwks.keys(now)).unwrap_or_default();
        let fetched = fetched.iter().filter(|key| kid.is_some() && key.kid.as_deref() == kid);
        let keys = self.keys.iter().filter(is_named).chain(fetched).filter(is_permitted);
        claims::caller(parsed.verified(keys)?, &self.rules, now)
    }

    /// The name of the key of this token, where it is not known and could be looked for.
    pub fn missing_key(&self, token: &str, now: Time) -> Option<String> {
        let jwks = self.jwks.as_ref()?;
        let header = Parsed::read(token).ok()?.header;
        let is_ours = self
            .rules
            .algorithms
            .iter()
            .any(|algorithm| algorithm.as_str() == header.alg);
        header.kid.filter(|kid| is_ours && jwks.misses(kid, now))
    }

    /// Looks for the key of this name where keys are fetched from.
    pub async fn look_for(&self, kid: &str) {
        if let Some(jwks) = &self.jwks {
            jwks.look_for(kid).await;
        }
    }

    /// Fetches keys if it is time to.
    pub async fn tick(&self) {
        if let Some(jwks) = &self.jwks {
            jwks.tick().await;
        }
    }
}
