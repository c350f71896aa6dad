//! Public keys, from PEM or from a JWK, each with the one algorithm that it is good for.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::der::{self, Der};

/// How a token is signed. Only asymmetric ones: whoever can verify must not be able to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA over P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// RSA of 2048 to 8192 bits with SHA-256 and the padding of PKCS #1 1.5.
    #[serde(rename = "RS256")]
    Rs256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EdDsa, Self::Es256, Self::Rs256];

    /// Its name in headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// Bits of the shortest and longest RSA keys that are accepted.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Ed25519([u8; 32]),
    /// An uncompressed point.
    P256([u8; 65]),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Its name.
    pub kid: Option<String>,
    material: Material,
}

/// One entry of a JWKS, as far as it is read.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl PublicKey {
    /// The one algorithm that it is good for.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Ed25519(_) => Algorithm::EdDsa,
            Material::P256(_) => Algorithm::Es256,
            Material::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// Whether this signature is its owner's.
    pub fn is_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
            Material::Rsa { modulus, exponent } => {
                let key = RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        verified.is_ok()
    }

    /// `-----BEGIN PUBLIC KEY-----`, as `openssl pkey -pubout` writes it.
    pub fn from_pem(text: &str, kid: Option<String>) -> Result<Self, &'static str> {
        const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
        const END: &str = "-----END PUBLIC KEY-----";
        if text.contains("PRIVATE KEY") {
            return Err("is a private key: only its public part belongs here");
        }
        let inside = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
        let Some((inside, _)) = inside else {
            return Err("must be a PEM text that begins with -----BEGIN PUBLIC KEY-----");
        };
        let base64: String = inside.split_ascii_whitespace().collect();
        let der = STANDARD.decode(base64).map_err(|_| "is not a PEM text")?;
        let material = from_spki(&der).ok_or("must be an Ed25519, P-256 or RSA key of 2048 to 8192 bits")?;
        Ok(Self { kid, material })
    }

    /// An entry of a JWKS; `None` where it is not a key that can verify tokens.
    pub fn from_jwk(value: &Value) -> Option<Self> {
        let jwk = Jwk::deserialize(value).ok().filter(|_| value.is_object())?;
        let verifies = jwk
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") || !verifies {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&jwk.x)?.try_into().ok()?),
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
                let is_whole = x.len() == 32 && y.len() == 32;
                point(&[&[4], x.as_slice(), y.as_slice()].concat()).filter(|_| is_whole)?
            }
            ("RSA", _) => rsa(&bytes(&jwk.n)?, &bytes(&jwk.e)?)?,
            _ => return None,
        };
        let key = Self { kid: jwk.kid, material };
        let is_for = jwk.alg.as_deref().is_none_or(|alg| alg == key.algorithm().as_str());
        is_for.then_some(key)
    }
}

fn point(bytes: &[u8]) -> Option<Material> {
    let point: [u8; 65] = bytes.try_into().ok()?;
    (point[0] == 4).then_some(Material::P256(point))
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Material> {
    let trimmed = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes[zeros..].to_vec()
    };
    let (modulus, exponent) = (trimmed(modulus), trimmed(exponent));
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    let is_usable = RSA_BITS.contains(&bits) && (1..=4).contains(&exponent.len());
    is_usable.then_some(Material::Rsa { modulus, exponent })
}

/// SubjectPublicKeyInfo (RFC 5280, 8410, 5480).
fn from_spki(bytes: &[u8]) -> Option<Material> {
    const ED25519: &[u8] = &[0x2B, 0x65, 0x70];
    const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
    const EC: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
    const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
    let mut whole = Der(bytes);
    let mut info = Der(whole.value(der::SEQUENCE)?);
    let mut algorithm = Der(info.value(der::SEQUENCE)?);
    let id = algorithm.value(der::OBJECT_ID)?;
    // The first byte counts the bits of the last one that do not belong to the key.
    let key = info.value(der::BIT_STRING)?.strip_prefix(&[0])?;
    if !whole.is_empty() || !info.is_empty() {
        return None;
    }
    match id {
        ED25519 => Some(Material::Ed25519(key.try_into().ok()?)),
        EC if algorithm.value(der::OBJECT_ID)? == P256 => point(key),
        RSA => {
            let mut outer = Der(key);
            let mut numbers = Der(outer.value(der::SEQUENCE)?);
            rsa(numbers.value(der::INTEGER)?, numbers.value(der::INTEGER)?)
        }
        _ => None,
    }
}
