//! Typed identifiers.
//!
//! An id is 128 bits, time-ordered (UUIDv7), so that new rows are appended to the end of every index.
//! Its text form is a prefix and 26 lower-case Crockford base-32 digits, which sort as the bits do.
//! Ids are minted only through [`IdSource`], which the caller of the core injects: the core itself
//! reads no clock and no randomness.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: usize = 26;

/// What an id names; gives the text form its prefix.
pub trait Kind: 'static {
    /// Text before the underscore, for instance `run`.
    const PREFIX: &'static str;
}

/// One execution of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Run {}

impl Kind for Run {
    const PREFIX: &'static str = "run";
}

/// A 128-bit id of a `K`.
pub struct Id<K> {
    bits: u128,
    kind: PhantomData<fn() -> K>,
}

/// The id of a run.
pub type RunId = Id<Run>;

/// The text was not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_<26 base-32 digits>")]
pub struct ParseIdError {
    prefix: &'static str,
}

impl<K> Id<K> {
    /// Makes an id from raw bits, as a store read them back.
    pub const fn from_bits(bits: u128) -> Self {
        Self {
            bits,
            kind: PhantomData,
        }
    }

    /// The raw bits.
    pub const fn bits(self) -> u128 {
        self.bits
    }

    /// Big-endian bytes, whose order is the order of the ids.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.bits.to_be_bytes()
    }

    /// Reads [`Id::to_bytes`] back.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::from_bits(u128::from_be_bytes(bytes))
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bits.cmp(&other.bits)
    }
}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bits.hash(state);
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0u8; DIGITS];
        let mut rest = self.bits;
        for slot in digits.iter_mut().rev() {
            *slot = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        let digits = std::str::from_utf8(&digits).unwrap_or_default();
        write!(f, "{}_{digits}", K::PREFIX)
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let error = ParseIdError { prefix: K::PREFIX };
        let digits = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .ok_or_else(|| error.clone())?;
        if digits.len() != DIGITS || digits.as_bytes()[0] > b'7' {
            return Err(error);
        }
        let mut bits = 0u128;
        for byte in digits.bytes() {
            let value = ALPHABET.iter().position(|digit| *digit == byte);
            let value = value.ok_or_else(|| error.clone())?;
            bits = (bits << 5) | value as u128;
        }
        Ok(Self::from_bits(bits))
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where ids come from; the shell gives random ones, a simulation gives seeded ones.
pub trait IdSource: Send {
    /// A fresh 128-bit id, not lower than the ones given before it within a millisecond's grain.
    fn next_bits(&mut self) -> u128;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_sorts_like_the_bits() {
        let ids: Vec<RunId> = [0, 1, 31, 32, 1 << 77, u128::MAX].map(RunId::from_bits).to_vec();
        for id in &ids {
            assert_eq!(id.to_string().parse::<RunId>(), Ok(*id));
            assert_eq!(RunId::from_bytes(id.to_bytes()), *id);
        }
        let texts: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
        assert!(texts.is_sorted());
    }

    #[test]
    fn foreign_text_is_refused() {
        for text in [
            "",
            "run_",
            "ghost",
            "wf_00000000000000000000000001",
            "run_0000000000000000000000000u",
            "run_80000000000000000000000000",
            "run_000000000000000000000000011",
        ] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }
}
