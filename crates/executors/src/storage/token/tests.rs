//! Both formats against vectors that Node's crypto and the workers' SDK made.

use std::sync::Mutex;

use super::*;
use serde_json::Value;

use crate::storage::SystemRandomness;

/// Gives what it was given, in that order.
struct Given(Mutex<Vec<Vec<u8>>>);

impl Randomness for Given {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        buffer.copy_from_slice(&self.0.lock().unwrap().remove(0));
        Ok(())
    }
}

fn given(bytes: &[&str]) -> Arc<dyn Randomness> {
    Arc::new(Given(Mutex::new(bytes.iter().map(|hex| unhex(hex)).collect())))
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).expect("vectors")
}

fn cipher(format: TokenFormat, secret: &str) -> TokenCipher {
    TokenCipher::new(format, secret, Arc::new(SystemRandomness)).expect("cipher")
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn the_sdks_vectors_come_out_both_ways() {
    let vectors = vectors();
    let vectors = vectors["sdk_format"].as_array().unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let [secret, plaintext, token] = ["secret", "pt", "token"].map(|name| text(vector, name));
        assert_eq!(repeated(secret.as_bytes()).as_slice(), unhex(text(vector, "key")));
        let with_iv = TokenCipher::new(TokenFormat::Sdk, secret, given(&[text(vector, "iv")])).unwrap();
        assert_eq!(with_iv.encrypt(plaintext.as_bytes()).as_deref(), Ok(token));
        assert_eq!(with_iv.decrypt(token).as_deref(), Ok(plaintext.as_bytes()));
    }
}

#[test]
fn the_orchestrators_vector_comes_out_both_ways() {
    let vectors = vectors();
    let vector = &vectors["orchestrator_format"];
    let [secret, plaintext, token] = ["secret", "pt", "token_base64url"].map(|name| text(vector, name));
    let random = given(&[text(vector, "salt_hex"), text(vector, "iv_hex")]);
    let with_iv = TokenCipher::new(TokenFormat::Pbkdf2, secret, random).unwrap();
    assert_eq!(with_iv.encrypt(plaintext.as_bytes()).as_deref(), Ok(token));
    assert_eq!(with_iv.decrypt(token).as_deref(), Ok(plaintext.as_bytes()));
    // With a salt of its own, it derives the key of the token's.
    assert_eq!(
        cipher(TokenFormat::Pbkdf2, secret).decrypt(token).as_deref(),
        Ok(plaintext.as_bytes())
    );
}

#[test]
fn another_secret_does_not_open_a_token() {
    for format in [TokenFormat::Sdk, TokenFormat::Pbkdf2] {
        let token = cipher(format, "right").encrypt(b"{}").unwrap();
        assert_eq!(cipher(format, "right").decrypt(&token).as_deref(), Ok(&b"{}"[..]));
        assert_eq!(cipher(format, "wrong").decrypt(&token), Err(TokenError::WrongKey));
    }
}

#[test]
fn only_the_first_32_bytes_of_a_secret_count_for_the_sdk() {
    let [one, other] = ["1", "2"].map(|rest| format!("{}{rest}", "x".repeat(32)));
    let token = cipher(TokenFormat::Sdk, &one).encrypt(b"{}").unwrap();
    assert!(cipher(TokenFormat::Sdk, &other).decrypt(&token).is_ok());
}

#[test]
fn a_token_must_have_three_whole_parts() {
    let cipher_ = cipher(TokenFormat::Sdk, "s");
    let token = cipher_.encrypt(b"{}").unwrap();
    let parts: Vec<&str> = token.split(':').collect();
    let short_tag = STANDARD.encode(&decode(parts[1]).unwrap()[..4]);
    for wrong in [
        String::new(),
        parts[..2].join(":"),
        format!("{token}:{}", parts[2]),
        format!("{}:{}:", parts[0], parts[1]),
        format!(":{}:{}", parts[1], parts[2]),
        format!("{}:{short_tag}:{}", parts[0], parts[2]),
        format!("{}:{}:?", parts[0], parts[1]),
        // The other format has no parts at all.
        text(&vectors()["orchestrator_format"], "token_base64url").to_owned(),
    ] {
        assert_eq!(cipher_.decrypt(&wrong), Err(TokenError::Malformed), "{wrong}");
    }
    for wrong in ["", "AAAA", &"A".repeat(85)] {
        assert_eq!(
            cipher(TokenFormat::Pbkdf2, "s").decrypt(wrong),
            Err(TokenError::Malformed)
        );
    }
}

#[test]
fn a_changed_token_is_refused() {
    let cipher_ = cipher(TokenFormat::Sdk, "s");
    let token = cipher_.encrypt(b"{\"id\":\"x\"}").unwrap();
    for part in 0..3 {
        let mut parts: Vec<Vec<u8>> = token.split(':').map(|part| decode(part).unwrap()).collect();
        parts[part][0] ^= 1;
        let changed = parts
            .iter()
            .map(|part| STANDARD.encode(part))
            .collect::<Vec<_>>()
            .join(":");
        assert_eq!(cipher_.decrypt(&changed), Err(TokenError::WrongKey));
    }
}

#[test]
fn url_safe_and_unpadded_parts_are_read() {
    let cipher_ = cipher(TokenFormat::Sdk, "s");
    let token = cipher_.encrypt(b"{\"id\":\"~~~???\"}").unwrap();
    let url_safe = token.replace('+', "-").replace('/', "_").replace('=', "");
    assert_eq!(cipher_.decrypt(&url_safe), cipher_.decrypt(&token));
}

#[test]
fn no_two_tokens_are_alike() {
    for format in [TokenFormat::Sdk, TokenFormat::Pbkdf2] {
        let cipher = cipher(format, "s");
        assert_ne!(cipher.encrypt(b"{}"), cipher.encrypt(b"{}"));
    }
}

#[test]
fn without_a_secret_there_is_no_cipher() {
    let made = TokenCipher::new(TokenFormat::Sdk, "", Arc::new(SystemRandomness));
    assert_eq!(made.err(), Some(TokenError::EmptySecret));
}

#[test]
fn formats_are_called_by_their_names() {
    assert_eq!("sdk".parse(), Ok(TokenFormat::Sdk));
    assert_eq!("pbkdf2".parse(), Ok(TokenFormat::Pbkdf2));
    assert_eq!("jwt".parse::<TokenFormat>(), Err(UnknownFormat));
}
