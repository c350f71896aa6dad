//! Tokens: what must be accepted, and everything by which verifiers were fooled before.

mod fetched;

use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quintet_executors::egress::{Guard, Policy};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::jwks::read;
use super::*;

const NOW: Time = Time(1_800_000_000_000_000);

struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ed25519() -> Ed25519KeyPair {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("key");
    Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("key")
}

fn p256() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("key");
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).expect("key")
}

fn pem(prefix: &[u8], key: &[u8]) -> String {
    let der = [prefix, key].concat();
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

fn ed25519_pem(key: &Ed25519KeyPair) -> String {
    let prefix = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00];
    pem(&prefix, key.public_key().as_ref())
}

fn p256_pem(key: &EcdsaKeyPair) -> String {
    let prefix = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
        0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    pem(&prefix, key.public_key().as_ref())
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": "quintet", "sub": "ann", "exp": 1_800_000_060, "namespace": "red",
        "roles": ["viewer"],
    })
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64(header.to_string()), base64(claims.to_string()))
}

fn by_ed25519(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let body = unsigned(header, claims);
    let signature = key.sign(body.as_bytes());
    format!("{body}.{}", base64(signature))
}

fn by_p256(key: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    let body = unsigned(header, claims);
    let signature = key.sign(&SystemRandom::new(), body.as_bytes()).expect("signature");
    format!("{body}.{}", base64(signature))
}

/// A verifier with these keys in its settings.
fn verifier(keys: Value) -> Verifier {
    let rules = json!({ "issuer": "https://id.example", "audience": ["quintet"], "keys": keys });
    let rules: Jwt = serde_json::from_value(rules).expect("rules");
    let clock: Arc<dyn Clock> = Arc::new(Set(AtomicI64::new(NOW.0)));
    let client = Client::new(Guard::new(Policy::default()));
    Verifier::new(&rules, &client, &clock).expect("verifier")
}

fn verdict(verifier: &Verifier, token: &str) -> Result<String, Reason> {
    verifier.caller(token, NOW).map(|caller| caller.name.to_string())
}

#[test]
fn tokens_signed_with_a_key_of_the_settings_are_accepted() {
    let (ed, ec) = (ed25519(), p256());
    let verifier = verifier(json!([{ "key": ed25519_pem(&ed) }, { "kid": "ec", "key": p256_pem(&ec) }]));
    for token in [
        by_ed25519(&ed, &json!({ "alg": "EdDSA", "typ": "JWT" }), &claims()),
        by_ed25519(
            &ed,
            &json!({ "alg": "EdDSA", "kid": "any", "typ": "at+jwt" }),
            &claims(),
        ),
        by_p256(&ec, &json!({ "alg": "ES256", "kid": "ec" }), &claims()),
        by_p256(&ec, &json!({ "alg": "ES256" }), &claims()),
    ] {
        assert_eq!(verdict(&verifier, &token).as_deref(), Ok("ann"), "{token}");
    }
}

#[test]
fn no_header_talks_the_verifier_into_another_algorithm_or_key() {
    let (ed, ec, other) = (ed25519(), p256(), ed25519());
    let verifier = verifier(json!([{ "kid": "a", "key": ed25519_pem(&ed) }, { "kid": "b", "key": p256_pem(&ec) }]));
    let hmac = |secret: &[u8], alg: &str| {
        let body = unsigned(&json!({ "alg": alg, "kid": "a" }), &claims());
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        format!("{body}.{}", base64(ring::hmac::sign(&key, body.as_bytes())))
    };
    let embedded = json!({
        "alg": "EdDSA", "jku": "https://evil.example/keys", "x5u": "https://evil.example/",
        "jwk": { "kty": "OKP", "crv": "Ed25519", "x": base64(other.public_key()) },
    });
    for (what, token) in [
        ("none", format!("{}.", unsigned(&json!({ "alg": "none" }), &claims()))),
        ("None", format!("{}.", unsigned(&json!({ "alg": "None" }), &claims()))),
        (
            "none, with a signature",
            by_ed25519(&ed, &json!({ "alg": "none" }), &claims()),
        ),
        (
            "HS256 with the text of the public key",
            hmac(ed25519_pem(&ed).as_bytes(), "HS256"),
        ),
        ("HS256 with its bytes", hmac(ed.public_key().as_ref(), "HS256")),
        ("EdDSA that is an HMAC", hmac(ed.public_key().as_ref(), "EdDSA")),
        (
            "the name of another algorithm",
            by_ed25519(&ed, &json!({ "alg": "ES256" }), &claims()),
        ),
        ("other letters", by_ed25519(&ed, &json!({ "alg": "eddsa" }), &claims())),
        (
            "another's key",
            by_ed25519(&other, &json!({ "alg": "EdDSA" }), &claims()),
        ),
        ("a key that it brings along", by_ed25519(&other, &embedded, &claims())),
        (
            "the name of another key",
            by_ed25519(&ed, &json!({ "alg": "EdDSA", "kid": "b" }), &claims()),
        ),
        (
            "an unknown key",
            by_ed25519(&ed, &json!({ "alg": "EdDSA", "kid": "c" }), &claims()),
        ),
        (
            "a path as the key",
            by_ed25519(&ed, &json!({ "alg": "EdDSA", "kid": "../../dev/null" }), &claims()),
        ),
    ] {
        assert_eq!(verdict(&verifier, &token), Err(Reason::Invalid), "{what}");
    }
    assert_eq!(
        verdict(&verifier, &by_ed25519(&ed, &json!({ "alg": "EdDSA" }), &claims())).as_deref(),
        Ok("ann"),
        "the key is good"
    );
}

#[test]
fn what_cannot_be_a_token_is_told_so() {
    let ed = ed25519();
    let verifier = verifier(json!([{ "key": ed25519_pem(&ed) }]));
    let good = by_ed25519(&ed, &json!({ "alg": "EdDSA" }), &claims());
    let padding = "x".repeat(8 << 10);
    for token in [
        String::new(),
        "..".to_owned(),
        format!("{good}."),
        format!("{good}="),
        good.replacen('.', "..", 1),
        by_ed25519(&ed, &json!({ "alg": "EdDSA", "crit": ["exp"], "exp": 1 }), &claims()),
        by_ed25519(
            &ed,
            &json!({ "alg": "EdDSA", "b64": false, "crit": ["b64"] }),
            &claims(),
        ),
        by_ed25519(&ed, &json!({ "alg": "EdDSA", "typ": "secevent+jwt" }), &claims()),
        by_ed25519(&ed, &json!({ "alg": "EdDSA", "padding": padding }), &claims()),
        by_ed25519(&ed, &json!({ "kid": "a" }), &claims()),
        by_ed25519(&ed, &json!(["EdDSA"]), &claims()),
    ] {
        assert_eq!(verdict(&verifier, &token), Err(Reason::Malformed), "{token:.80}");
    }
    let twice = format!(
        "{}.{}",
        base64(r#"{"alg":"EdDSA","alg":"none"}"#),
        base64(claims().to_string())
    );
    let twice = format!("{twice}.{}", base64(ed.sign(twice.as_bytes())));
    assert_eq!(
        verdict(&verifier, &twice),
        Err(Reason::Malformed),
        "one word is there twice"
    );
}

#[test]
fn a_changed_token_is_refused_wherever_it_was_changed() {
    let ed = ed25519();
    let verifier = verifier(json!([{ "key": ed25519_pem(&ed) }]));
    let good = by_ed25519(&ed, &json!({ "alg": "EdDSA" }), &claims());
    for place in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).expect("text");
        assert!(verdict(&verifier, &changed).is_err(), "at {place}");
    }
}

#[test]
fn a_token_is_judged_by_its_claims_after_its_signature() {
    let ed = ed25519();
    let verifier = verifier(json!([{ "key": ed25519_pem(&ed) }]));
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        by_ed25519(&ed, &json!({ "alg": "EdDSA" }), &claims)
    };
    for (token, expected) in [
        (with("exp", json!(1_799_999_000)), Reason::Expired),
        (with("nbf", json!(1_800_001_000)), Reason::Invalid),
        (with("aud", json!("other")), Reason::Invalid),
        (with("iss", json!("https://evil.example")), Reason::Invalid),
    ] {
        assert_eq!(verdict(&verifier, &token), Err(expected));
    }
    let old = with("exp", json!(1_799_999_000));
    let forged = format!("{}.{}", old.rsplit_once('.').expect("dots").0, base64([0; 64]));
    assert_eq!(
        verdict(&verifier, &forged),
        Err(Reason::Invalid),
        "a forger hears nothing of the claims"
    );
}

#[test]
fn algorithms_that_the_settings_leave_out_are_refused() {
    let (ed, ec) = (ed25519(), p256());
    let rules = json!({
        "issuer": "https://id.example", "audience": ["quintet"], "algorithms": ["ES256"],
        "keys": [{ "key": ed25519_pem(&ed) }, { "key": p256_pem(&ec) }],
    });
    let rules: Jwt = serde_json::from_value(rules).expect("rules");
    let clock: Arc<dyn Clock> = Arc::new(Set(AtomicI64::new(NOW.0)));
    let verifier = Verifier::new(&rules, &Client::new(Guard::new(Policy::default())), &clock).expect("verifier");
    let by_ed = by_ed25519(&ed, &json!({ "alg": "EdDSA" }), &claims());
    let by_ec = by_p256(&ec, &json!({ "alg": "ES256" }), &claims());
    assert_eq!(verdict(&verifier, &by_ed), Err(Reason::Invalid));
    assert_eq!(verdict(&verifier, &by_ec).as_deref(), Ok("ann"));
}

#[test]
fn keys_that_are_none_or_too_weak_are_refused_in_words() {
    let secret = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n";
    let said = PublicKey::from_pem(secret, None).err();
    assert!(said.is_some_and(|said| said.contains("private key")), "{said:?}");
    for text in [
        "",
        "key",
        "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----",
        &pem(&[0x30, 0x00], &[]),
    ] {
        assert!(PublicKey::from_pem(text, None).is_err(), "{text}");
    }
    let rsa = |bytes: usize| json!({ "kty": "RSA", "n": base64(vec![0xFF; bytes]), "e": "AQAB" });
    assert!(PublicKey::from_jwk(&rsa(256)).is_some());
    for weak in [rsa(128), rsa(255), rsa(1025)] {
        assert!(PublicKey::from_jwk(&weak).is_none());
    }
}

#[test]
fn of_a_key_set_only_keys_for_signatures_are_taken() {
    let x = base64(ed25519().public_key());
    let key = |more: Value| {
        let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a" });
        key.as_object_mut()
            .expect("object")
            .extend(more.as_object().expect("object").clone());
        key
    };
    let good = key(json!({ "use": "sig", "alg": "EdDSA", "key_ops": ["verify"] }));
    let set = json!({ "keys": [
        key(json!({ "use": "enc" })), key(json!({ "alg": "RS256" })), key(json!({ "key_ops": ["sign"] })),
        key(json!({ "crv": "X25519" })), { "kty": "oct", "k": "AAAA" }, 7,
        ["OKP", "Ed25519", "a", "EdDSA", "sig", null, null, null, x], good,
    ]});
    assert_eq!(read(set.to_string().as_bytes()).map(|keys| keys.len()), Ok(1));
    let many = json!({ "keys": vec![key(json!({})); 101] });
    for (body, expected) in [
        (many.to_string(), "more than 100"),
        (json!({ "keys": [] }).to_string(), "no key"),
        ("[]".to_owned(), "no key set"),
        (" ".repeat(513 << 10), "larger"),
    ] {
        let said = read(body.as_bytes()).expect_err("refused");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn the_example_of_rfc_8037_verifies() {
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbh\
                 ijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let key = PublicKey::from_jwk(&key).expect("key");
    let parsed = Parsed::read(token).map_err(|_| ()).expect("token");
    assert_eq!(
        parsed.verified([&key].into_iter()),
        Ok(&b"Example of Ed25519 signing"[..])
    );
}

/// What the vectors call valid and is refused here all the same, because the algorithm does not exist here.
fn exists_here(key: &Value) -> bool {
    matches!(key["alg"].as_str(), Some("RS256" | "ES256" | "EdDSA"))
}

#[test]
fn the_vectors_of_project_wycheproof_are_judged_as_they_should() {
    let vectors: Value = serde_json::from_str(include_str!("tests/wycheproof.json")).expect("vectors");
    let (mut accepted, mut refused) = (0, 0);
    for group in vectors["groups"].as_array().expect("groups") {
        let key = PublicKey::from_jwk(&group["key"]);
        for test in group["tests"].as_array().expect("tests") {
            let token = test[2].as_str().expect("token");
            let verified = Parsed::read(token).and_then(|parsed| parsed.verified(key.iter()).map(<[u8]>::to_vec));
            let expected = test[3] == true && exists_here(&group["key"]);
            assert_eq!(
                verified.is_ok(),
                expected,
                "{} {}: {}",
                test[0],
                test[1],
                group["comment"]
            );
            *(if expected { &mut accepted } else { &mut refused }) += 1;
        }
    }
    assert!(
        accepted >= 10 && refused >= 130,
        "{accepted} accepted, {refused} refused"
    );
}
