//! The encryption of storage tokens, in the two formats of the originals.
//!
//! Neither is a JWT, whatever they were called. The *SDK format* is the one that workers open:
//! `base64(iv):base64(tag):base64(ciphertext)` of AES-256-GCM with a 12-byte iv, under a key that is the secret's own
//! bytes, repeated or cut to 32. Nothing strengthens that key: a secret of 64 hexadecimal digits gives 128 bits, and a
//! short one gives what it has. The *PBKDF2 format* is `base64url(salt ‖ iv ‖ tag ‖ ciphertext)` with a 16-byte iv,
//! under PBKDF2-HMAC-SHA256(secret, salt, 100 000 rounds); it is for workers that know it.
//!
//! Deriving a PBKDF2 key takes tens of milliseconds. The salt only has to be hard to guess in advance and not new for
//! each token, so a cipher draws it once and keeps the key; the iv is new each time.
//!
//! In both, a tag of fewer than 16 bytes is refused here, though the SDK takes one: it would let forgers guess.

use std::fmt;
use std::sync::Arc;

use aes_gcm::AesGcm;
use aes_gcm::aead::array::ArraySize;
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{Aead, KeyInit, Nonce};
use aes_gcm::aes::Aes256;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::Sha256;

use super::random::{RandomError, Randomness};

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const SALT_BYTES: usize = 32;
const SDK_IV_BYTES: usize = 12;
const PBKDF2_IV_BYTES: usize = 16;
const ROUNDS: u32 = 100_000;

/// Reads what any encoder of the standard alphabet wrote, padded or not.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How tokens are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenFormat {
    /// As the workers' SDK reads them.
    #[default]
    Sdk,
    /// With a derived key; the SDK refuses them.
    Pbkdf2,
}

/// A token cannot be made or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There must be a secret: without one, the key would be all zeroes.
    #[error("the secret of storage tokens is empty")]
    EmptySecret,
    /// The parts are not there.
    #[error("invalid storage token format")]
    Malformed,
    /// Another secret made it, or somebody changed it.
    #[error("the storage token cannot be decrypted with this secret")]
    WrongKey,
    /// Its time is over.
    #[error("the storage token has expired")]
    Expired,
    /// It opens, and what is inside makes no sense.
    #[error("the storage token has no claims")]
    NoClaims,
    /// There is nothing to make it from.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl std::str::FromStr for TokenFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "sdk" => Ok(Self::Sdk),
            "pbkdf2" => Ok(Self::Pbkdf2),
            _ => Err(UnknownFormat),
        }
    }
}

/// The text names no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the format of storage tokens is sdk or pbkdf2")]
pub struct UnknownFormat;

/// Encrypts and decrypts in one format with one secret. Neither is shown.
pub struct TokenCipher {
    secret: Vec<u8>,
    key: Key,
    random: Arc<dyn Randomness>,
}

enum Key {
    Sdk([u8; KEY_BYTES]),
    Pbkdf2 {
        salt: [u8; SALT_BYTES],
        key: [u8; KEY_BYTES],
    },
}

impl fmt::Debug for TokenCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCipher")
            .field("format", &self.format())
            .finish_non_exhaustive()
    }
}

impl TokenCipher {
    /// A cipher with the secret that workers have too. For the PBKDF2 format this takes tens of milliseconds.
    pub fn new(format: TokenFormat, secret: &str, random: Arc<dyn Randomness>) -> Result<Self, TokenError> {
        let secret = secret.as_bytes().to_vec();
        if secret.is_empty() {
            return Err(TokenError::EmptySecret);
        }
        let key = match format {
            TokenFormat::Sdk => Key::Sdk(repeated(&secret)),
            TokenFormat::Pbkdf2 => {
                let mut salt = [0; SALT_BYTES];
                random.fill(&mut salt)?;
                let key = derived(&secret, &salt);
                Key::Pbkdf2 { salt, key }
            }
        };
        Ok(Self { secret, key, random })
    }

    /// The format it writes and reads.
    pub fn format(&self) -> TokenFormat {
        match self.key {
            Key::Sdk(_) => TokenFormat::Sdk,
            Key::Pbkdf2 { .. } => TokenFormat::Pbkdf2,
        }
    }

    /// A token with this inside.
    pub fn encrypt(&self, plaintext: &[u8]) -> Result<String, TokenError> {
        match &self.key {
            Key::Sdk(key) => {
                let mut iv = [0; SDK_IV_BYTES];
                self.random.fill(&mut iv)?;
                let (sealed, tag) = seal::<U12>(key, &iv.into(), plaintext);
                Ok([&iv[..], &tag, &sealed].map(|part| STANDARD.encode(part)).join(":"))
            }
            Key::Pbkdf2 { salt, key } => {
                let mut iv = [0; PBKDF2_IV_BYTES];
                self.random.fill(&mut iv)?;
                let (sealed, tag) = seal::<U16>(key, &iv.into(), plaintext);
                Ok(URL_SAFE_NO_PAD.encode([&salt[..], &iv, &tag, &sealed].concat()))
            }
        }
    }

    /// What is inside of a token of this cipher's format, whoever made it with the secret.
    pub fn decrypt(&self, token: &str) -> Result<Vec<u8>, TokenError> {
        match &self.key {
            Key::Sdk(key) => open_sdk(key, token),
            Key::Pbkdf2 { salt, key } => {
                let bytes = decode(token)?;
                let (their_salt, rest) = bytes.split_first_chunk().ok_or(TokenError::Malformed)?;
                let (iv, rest) = rest
                    .split_first_chunk::<PBKDF2_IV_BYTES>()
                    .ok_or(TokenError::Malformed)?;
                let (tag, sealed) = rest.split_first_chunk::<TAG_BYTES>().ok_or(TokenError::Malformed)?;
                let key = if their_salt == salt {
                    *key
                } else {
                    derived(&self.secret, their_salt)
                };
                unseal::<U16>(&key, &(*iv).into(), sealed, tag)
            }
        }
    }
}

fn open_sdk(key: &[u8; KEY_BYTES], token: &str) -> Result<Vec<u8>, TokenError> {
    let parts: Vec<Vec<u8>> = token.split(':').map(decode).collect::<Result<_, _>>()?;
    let [iv, tag, sealed] = parts.try_into().map_err(|_| TokenError::Malformed)?;
    if sealed.is_empty() {
        return Err(TokenError::Malformed);
    }
    let tag: [u8; TAG_BYTES] = tag.try_into().map_err(|_| TokenError::Malformed)?;
    // The SDK itself writes 12 bytes and reads any number; 16 is what Node's own examples use.
    if let Ok(iv) = <[u8; SDK_IV_BYTES]>::try_from(&iv[..]) {
        return unseal::<U12>(key, &iv.into(), &sealed, &tag);
    }
    let iv = <[u8; PBKDF2_IV_BYTES]>::try_from(iv).map_err(|_| TokenError::Malformed)?;
    unseal::<U16>(key, &iv.into(), &sealed, &tag)
}

/// Base64 of either alphabet, padded or not.
fn decode(text: &str) -> Result<Vec<u8>, TokenError> {
    let standard = text.replace('-', "+").replace('_', "/");
    LENIENT.decode(standard).map_err(|_| TokenError::Malformed)
}

/// The secret's bytes, over and over.
fn repeated(secret: &[u8]) -> [u8; KEY_BYTES] {
    std::array::from_fn(|at| secret[at % secret.len()])
}

fn derived(secret: &[u8], salt: &[u8; SALT_BYTES]) -> [u8; KEY_BYTES] {
    pbkdf2::pbkdf2_hmac_array::<Sha256, KEY_BYTES>(secret, salt, ROUNDS)
}

type Cipher<N> = AesGcm<Aes256, N>;

fn seal<N: ArraySize>(key: &[u8; KEY_BYTES], iv: &Nonce<Cipher<N>>, plaintext: &[u8]) -> (Vec<u8>, [u8; TAG_BYTES])
where
    Cipher<N>: Aead + KeyInit,
{
    let mut sealed = cipher::<N>(key)
        .encrypt(iv, plaintext)
        .expect("a claim is shorter than 64 GiB");
    let tag = sealed.split_off(sealed.len() - TAG_BYTES);
    (sealed, tag.try_into().expect("the tag comes last and is whole"))
}

fn unseal<N: ArraySize>(
    key: &[u8; KEY_BYTES],
    iv: &Nonce<Cipher<N>>,
    sealed: &[u8],
    tag: &[u8; TAG_BYTES],
) -> Result<Vec<u8>, TokenError>
where
    Cipher<N>: Aead + KeyInit,
{
    let whole = [sealed, tag].concat();
    cipher::<N>(key)
        .decrypt(iv, whole.as_slice())
        .map_err(|_| TokenError::WrongKey)
}

fn cipher<N: ArraySize>(key: &[u8; KEY_BYTES]) -> Cipher<N>
where
    Cipher<N>: KeyInit,
{
    Cipher::<N>::new_from_slice(key).expect("AES-256 takes 32 bytes")
}

#[cfg(test)]
mod tests;
