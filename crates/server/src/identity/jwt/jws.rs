//! A token in its compact form (RFC 7515): three parts between dots, the last of which signs the others.
//!
//! The signature is checked with `ring`; what is decided here is only which key and which algorithm it is checked with, and
//! that is where verifiers were broken. So: the algorithm is a property of the *key*. The token's own `alg` must name the
//! same, and chooses nothing. `none` and the HMAC algorithms do not exist here. Headers that bring a key along or say where
//! one is (`jwk`, `jku`, `x5u`, `x5c`) are not read. A header that must be understood (`crit`) is refused, because none is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::key::PublicKey;
use crate::identity::Reason;

/// Longer tokens are not looked at.
pub const LONGEST: usize = 8 << 10;

/// What a token says about itself. A field that is there twice is an error.
#[derive(Debug, Deserialize)]
pub struct Header {
    /// What it claims to be signed with.
    pub alg: String,
    /// The name of its key.
    #[serde(default)]
    pub kid: Option<String>,
    /// What kind of token it is.
    #[serde(default)]
    typ: Option<String>,
    /// Extensions that must be understood.
    #[serde(default)]
    crit: Option<Value>,
}

/// A token that was taken apart; nothing about it is known to be true.
pub struct Parsed<'a> {
    /// What it says about itself.
    pub header: Header,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Whether this could be a token: two dots, and nothing but what tokens are made of.
pub fn is_token(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.bytes().filter(|byte| *byte == b'.').count() == 2 && text.bytes().all(is_known)
}

/// Reads a header, which must be an object: a list of its values would be taken for one.
fn object(bytes: &[u8]) -> Result<Header, Reason> {
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    let header = serde_json::from_slice(bytes).ok().filter(|_| is_object);
    header.ok_or(Reason::Malformed)
}

impl<'a> Parsed<'a> {
    /// Takes a token apart.
    pub fn read(token: &'a str) -> Result<Self, Reason> {
        if token.len() > LONGEST {
            return Err(Reason::Malformed);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::Malformed);
        let (signed, signature) = token.rsplit_once('.').ok_or(Reason::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Reason::Malformed)?;
        if payload.contains('.') {
            return Err(Reason::Malformed);
        }
        let header = object(&decode(header)?)?;
        let is_known_kind = |kind: &str| ["jwt", "at+jwt", "application/at+jwt"].contains(&&*kind.to_ascii_lowercase());
        if header.crit.is_some() || !header.typ.as_deref().is_none_or(is_known_kind) {
            return Err(Reason::Malformed);
        }
        Ok(Self {
            header,
            signed,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// What it says, if one of these keys has signed it.
    pub fn verified<'k>(&self, keys: impl Iterator<Item = &'k PublicKey>) -> Result<&[u8], Reason> {
        let fitting = keys.filter(|key| key.algorithm().as_str() == self.header.alg);
        let mut fitting = fitting.filter(|key| key.is_signed(self.signed.as_bytes(), &self.signature));
        match fitting.next() {
            Some(_) => Ok(&self.payload),
            None => Err(Reason::Invalid),
        }
    }
}
