//! The form of keys, and making them.
//!
//! A stored key is `qk_<id>_<secret><check>`: an id of 12 letters and digits by which its record is found, 43 of secret
//! (256 bits), and 6 that are the CRC-32 of everything before them, so that scanners for leaked secrets know a real key from
//! a look-alike, and a mistyped one is turned away without a look-up. A secret of 256 random bits needs no slow hash: its
//! SHA-256 is enough to recognise it, and useless to whoever reads it in the store.

use std::fmt::Write as _;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

/// How every key begins.
pub const PREFIX: &str = "qk_";
/// Length of an id.
const ID: usize = 12;
/// Length of the secret: 62^43 is a little more than 2^256.
const SECRET: usize = 43;
/// Length of the check: 62^6 is more than 2^32.
const CHECK: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Random bytes from here on would make the first digits likelier than the last.
const UNFAIR: u8 = 248;

/// SHA-256 of a key.
pub type Digest = [u8; 32];

/// The operating system gives no randomness.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operating system gives no randomness: {0}")]
pub struct NoRandomness(getrandom::Error);

/// A new key for the settings.
#[derive(Clone)]
pub struct Minted {
    /// The key; it is shown once and kept nowhere.
    pub key: String,
    /// What the settings need to know of it.
    pub sha256: String,
}

/// Makes a key of 256 bits of the operating system's randomness, for the settings.
pub fn mint() -> Result<Minted, String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| NoRandomness(error).to_string())?;
    let key = format!(
        "{PREFIX}{}",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)
    );
    let sha256 = to_hex(&digest(&key));
    Ok(Minted { key, sha256 })
}

/// A new stored key.
pub struct Fresh {
    /// Its id, which is no secret.
    pub id: String,
    /// The key; it is shown once and kept nowhere.
    pub key: String,
}

/// Makes a stored key.
pub fn fresh() -> Result<Fresh, NoRandomness> {
    let id = random_text(ID)?;
    let body = format!("{PREFIX}{id}_{}", random_text(SECRET)?);
    let key = format!("{body}{}", check(&body));
    Ok(Fresh { id, key })
}

/// The id of a stored key; `None` for whatever is not one.
pub fn id_of(key: &str) -> Option<&str> {
    let rest = key.strip_prefix(PREFIX)?;
    let is_whole = key.len() == PREFIX.len() + ID + 1 + SECRET + CHECK;
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    // Only ASCII is cut below.
    let (id, secret) = rest.split_once('_').filter(|_| is_whole)?;
    if id.len() != ID || !is_plain(id) || !is_plain(secret) {
        return None;
    }
    let (body, said) = key.split_at(key.len() - CHECK);
    (check(body) == said).then_some(id)
}

/// SHA-256 of a key.
pub fn digest(key: &str) -> Digest {
    Sha256::digest(key.as_bytes()).into()
}

/// Compared to the end, so that time tells nothing.
pub fn is_same(one: &Digest, other: &Digest) -> bool {
    let difference = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

/// As the settings and records have it.
pub fn to_hex(digest: &Digest) -> String {
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// 64 hexadecimal digits.
pub fn from_hex(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Letters and digits, each as likely as the other.
fn random_text(length: usize) -> Result<String, NoRandomness> {
    let (mut text, mut random) = (String::with_capacity(length), [0; 64]);
    while text.len() < length {
        getrandom::fill(&mut random).map_err(NoRandomness)?;
        let fair = random.iter().filter(|byte| **byte < UNFAIR);
        let digits = fair.map(|byte| char::from(DIGITS[usize::from(byte % 62)]));
        text.extend(digits.take(length - text.len()));
    }
    Ok(text)
}

/// The CRC-32 of a text in base 62.
fn check(text: &str) -> String {
    let (mut left, mut digits) = (crc32(text.as_bytes()), [b'0'; CHECK]);
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(left % 62) as usize];
        left /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// CRC-32 as in zip and PNG, bit by bit: keys are short.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
            crc = crc >> 1 ^ carry;
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_the_usual_crc() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(check("").as_str(), "000000");
    }

    #[test]
    fn a_fresh_key_has_its_form_and_says_its_id() {
        let (one, other) = (fresh().expect("key"), fresh().expect("key"));
        assert_ne!(one.key, other.key);
        assert_eq!(one.key.len(), 65);
        assert_eq!(id_of(&one.key), Some(one.id.as_str()));
    }

    #[test]
    fn a_key_with_any_letter_changed_is_none() {
        let key = fresh().expect("key").key;
        for place in 0..key.len() {
            let mut bytes = key.clone().into_bytes();
            bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).expect("text");
            assert_eq!(id_of(&changed), None, "{changed}");
        }
        for text in [
            "",
            "qk_",
            "qk_a_b",
            &key[1..],
            &format!("{key}x"),
            &"é".repeat(33),
            &mint().expect("key").key,
        ] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }

    #[test]
    fn digests_are_read_as_they_are_written_and_nothing_else_is() {
        let one = digest("key");
        assert_eq!(from_hex(&to_hex(&one)), Some(one));
        assert!(is_same(&one, &digest("key")) && !is_same(&one, &digest("kez")));
        for text in ["", "00", &"g".repeat(64), &"+1".repeat(32), &"é".repeat(32)] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
