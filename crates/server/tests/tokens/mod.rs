//! Tokens of an identity provider that the test is itself.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::common::{Server, until};
use crate::speaker;

const ISSUER: &str = "https://id.example";

/// The same key for the same number.
fn key(number: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[number; 32]).expect("key")
}

fn pem(key: &Ed25519KeyPair) -> String {
    let prefix = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00];
    let text = STANDARD.encode([&prefix[..], key.public_key().as_ref()].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

/// Long ago, and long from now, in seconds since 1970: these tests need no clock.
const PAST: i64 = 1_000_000_000;
const FUTURE: i64 = 10_000_000_000;

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": ["other", "quintet"], "sub": "ann@example.com", "exp": FUTURE, "namespace": "red",
        "roles": ["operator"],
    })
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn sign(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let body = unsigned(header, claims);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(body.as_bytes()));
    format!("{body}.{signature}")
}

fn settings(more: &Value) -> String {
    let mut jwt = json!({ "issuer": ISSUER, "audience": ["quintet"] });
    jwt.as_object_mut()
        .expect("object")
        .extend(more.as_object().expect("object").clone());
    json!({ "auth": { "jwt": jwt } }).to_string()
}

#[test]
fn tokens_open_what_they_say_and_nothing_else_does() {
    let (key, other) = (key(1), key(2));
    let server = Server::configured(&settings(&json!({ "keys": [{ "kid": "one", "key": pem(&key) }] })));
    let header = json!({ "alg": "EdDSA", "kid": "one", "typ": "JWT" });
    let good = speaker(&server, &sign(&key, &header, &claims()));
    let me = good.get("/v1/auth/me").json();
    assert_eq!(
        (me["name"].as_str(), me["credential"].as_str()),
        (Some("ann@example.com"), Some("token"))
    );
    assert_eq!(
        (me["home"].as_str(), me["roles"][0].as_str()),
        (Some("red"), Some("operator"))
    );
    assert_eq!(good.get("/v1/runs").status, 200);
    assert_eq!(good.call("POST", "/v1/workflows", "{}").status, 403);

    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        sign(&key, &header, &claims)
    };
    let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, pem(&key).as_bytes());
    let confused = unsigned(&json!({ "alg": "HS256", "kid": "one" }), &claims());
    let confused = format!(
        "{confused}.{}",
        URL_SAFE_NO_PAD.encode(ring::hmac::sign(&hmac, confused.as_bytes()))
    );
    for (what, token) in [
        ("expired", with("exp", json!(PAST))),
        ("not yet", with("nbf", json!(FUTURE - 1))),
        ("for another", with("aud", json!("other"))),
        ("from another", with("iss", json!("https://evil.example"))),
        ("of Quintet's own namespace", with("namespace", json!("quintet"))),
        (
            "unsigned",
            format!("{}.", unsigned(&json!({ "alg": "none" }), &claims())),
        ),
        ("signed with the public key", confused),
        ("signed by another", sign(&other, &header, &claims())),
        (
            "with an unknown key",
            sign(&key, &json!({ "alg": "EdDSA", "kid": "two" }), &claims()),
        ),
    ] {
        let reply = speaker(&server, &token).get("/v1/runs");
        assert!(
            matches!(reply.status, 401 | 429),
            "{what}: {} {}",
            reply.status,
            reply.text()
        );
    }
    assert_eq!(good.get("/v1/runs").status, 200, "others' tokens do not lock it out");
    let powerless = speaker(&server, &with("roles", json!(["somebody"])));
    assert_eq!(powerless.get("/v1/auth/me").status, 200);
    assert_eq!(powerless.get("/v1/runs").status, 403);
}

#[test]
fn keys_of_tokens_are_fetched_from_where_the_settings_say() {
    let key = key(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}/keys", listener.local_addr().expect("address"));
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": URL_SAFE_NO_PAD.encode(key.public_key()) });
    let set = json!({ "keys": [jwk] }).to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                set.len()
            );
            let _ = stream.write_all(format!("{head}{set}").as_bytes());
        }
    });
    let server = Server::configured(&settings(&json!({ "jwks_url": url })));
    let token = sign(&key, &json!({ "alg": "EdDSA", "kid": "one" }), &claims());
    let good = speaker(&server, &token);
    let status = until("the keys are there", || {
        Some(good.get("/v1/runs").status).filter(|status| *status != 401)
    });
    assert_eq!(status, 200);
    let nameless = speaker(&server, &sign(&key, &json!({ "alg": "EdDSA" }), &claims()));
    assert_eq!(nameless.get("/v1/runs").status, 401);
}
