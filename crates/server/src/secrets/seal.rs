//! Sealing bytes under a key: XChaCha20-Poly1305, with what they belong to as associated data.
//!
//! A sealed text is the base64 of: the format (one byte), the id of the key (8), the nonce (24), the ciphertext with
//! its tag. Format and key id are part of the associated data too. Nonces are random: at 192 bits they do not repeat,
//! however many there are and whatever snapshot the process was restored from.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
const FORMAT: u8 = 1;
const ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;

/// Which key. It says nothing about the key's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; ID_BYTES]);

/// A key with its id. Wiped when it is dropped.
#[derive(Clone)]
pub(super) struct Key {
    pub id: KeyId,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

/// Something sealed.
pub(super) struct Sealed {
    pub key: KeyId,
    nonce: [u8; NONCE_BYTES],
    ciphertext: Vec<u8>,
}

/// Something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The stored form is not one of ours.
    #[error("it is damaged")]
    Malformed,
    /// It was sealed under a key that is not here.
    #[error("it was sealed under the key {0}, which is not here")]
    UnknownKey(KeyId),
    /// The tag does not fit.
    #[error("it was changed, or belongs to another secret, or to another key of the same id")]
    Refused,
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    NoRandomness(String),
}

impl Key {
    /// A new key with an id of its own.
    pub fn random() -> Result<Self, SealError> {
        let mut id = [0; ID_BYTES];
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        fill(&mut id)?;
        fill(&mut *bytes)?;
        Ok(Self { id: KeyId(id), bytes })
    }

    /// A key that exists, under this id.
    pub fn of(id: KeyId, bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self { id, bytes }
    }

    /// A key whose id is made of its bytes, so that everybody who has it calls it the same.
    pub fn named_by_itself(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"quintet master key id\0");
        hash.update(*bytes);
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&hash.finalize()[..ID_BYTES]);
        Self { id: KeyId(id), bytes }
    }

    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.bytes).into())
    }

    /// Seals a text that belongs to `bound_to`.
    pub fn seal(&self, bound_to: &[u8], plain: &[u8]) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        fill(&mut nonce)?;
        let aad = associated(self.id, bound_to);
        let payload = Payload { msg: plain, aad: &aad };
        let ciphertext = self.cipher().encrypt(&XNonce::from(nonce), payload);
        // The only way to fail is a text of 256 gigabytes.
        let ciphertext = ciphertext.map_err(|_| SealError::Malformed)?;
        let mut whole = vec![FORMAT];
        whole.extend_from_slice(&self.id.0);
        whole.extend_from_slice(&nonce);
        whole.extend_from_slice(&ciphertext);
        Ok(STANDARD.encode(whole))
    }

    /// Opens what was sealed for `bound_to`.
    pub fn open(&self, bound_to: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        if sealed.key != self.id {
            return Err(SealError::UnknownKey(sealed.key));
        }
        let aad = associated(self.id, bound_to);
        let payload = Payload {
            msg: &sealed.ciphertext,
            aad: &aad,
        };
        let opened = self.cipher().decrypt(&XNonce::from(sealed.nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| SealError::Refused)
    }
}

impl Sealed {
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let whole = STANDARD.decode(text).map_err(|_| SealError::Malformed)?;
        let (format, rest) = whole.split_first().ok_or(SealError::Malformed)?;
        let (id, rest) = rest.split_first_chunk().ok_or(SealError::Malformed)?;
        let (nonce, ciphertext) = rest.split_first_chunk().ok_or(SealError::Malformed)?;
        if *format != FORMAT {
            return Err(SealError::Malformed);
        }
        Ok(Self {
            key: KeyId(*id),
            nonce: *nonce,
            ciphertext: ciphertext.to_vec(),
        })
    }
}

/// Several parts as one text that no other parts give: each with its length before it.
pub(super) fn parts(parts: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

fn associated(key: KeyId, bound_to: &[u8]) -> Vec<u8> {
    parts(&[b"quintet secrets", &[FORMAT], &key.0, bound_to])
}

fn fill(buffer: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(buffer).map_err(|error| SealError::NoRandomness(error.to_string()))
}

impl KeyId {
    pub fn parse(text: &str) -> Option<Self> {
        let digits = Some(text).filter(|text| text.len() == 2 * ID_BYTES && text.is_ascii())?;
        let mut id = [0; ID_BYTES];
        for (nth, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * nth..2 * nth + 2], 16).ok()?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(key: &Key, bound_to: &[u8], text: &str) -> Result<Vec<u8>, SealError> {
        key.open(bound_to, &Sealed::parse(text)?).map(|plain| plain.to_vec())
    }

    #[test]
    fn what_is_sealed_opens_again_and_never_looks_the_same() {
        let key = Key::random().unwrap();
        let (first, second) = (key.seal(b"a", b"value").unwrap(), key.seal(b"a", b"value").unwrap());
        assert_ne!(first, second);
        assert_eq!(open(&key, b"a", &first).unwrap(), b"value");
        assert_eq!(open(&key, b"a", &second).unwrap(), b"value");
        assert!(!first.contains("value"));
    }

    #[test]
    fn a_ciphertext_that_was_moved_is_refused() {
        let key = Key::random().unwrap();
        let sealed = key.seal(&parts(&[b"a", b"bc"]), b"value").unwrap();
        for elsewhere in [
            parts(&[b"ab", b"c"]),
            parts(&[b"a", b"bc", b""]),
            parts(&[b"a"]),
            vec![],
        ] {
            assert_eq!(open(&key, &elsewhere, &sealed), Err(SealError::Refused));
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let key = Key::random().unwrap();
        let sealed = STANDARD.decode(key.seal(b"a", b"value").unwrap()).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&key, b"a", &STANDARD.encode(changed)).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(
                open(&key, b"a", &STANDARD.encode(&sealed[..length])).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn another_key_opens_nothing_also_under_the_same_id() {
        let key = Key::random().unwrap();
        let sealed = key.seal(b"a", b"value").unwrap();
        let other = Key::random().unwrap();
        assert_eq!(open(&other, b"a", &sealed), Err(SealError::UnknownKey(key.id)));
        let impostor = Key::of(key.id, other.bytes.clone());
        assert_eq!(open(&impostor, b"a", &sealed), Err(SealError::Refused));
    }

    #[test]
    fn ids_are_read_back_and_name_the_same_key_everywhere() {
        let key = Key::random().unwrap();
        assert_eq!(KeyId::parse(&key.id.to_string()), Some(key.id));
        assert_eq!((KeyId::parse("xyz"), KeyId::parse("éééééééé")), (None, None));
        let bytes = || Zeroizing::new([7; KEY_BYTES]);
        assert_eq!(Key::named_by_itself(bytes()).id, Key::named_by_itself(bytes()).id);
        assert_eq!(format!("{:?}", Key::named_by_itself(bytes())).len(), "Key()".len() + 16);
    }
}
