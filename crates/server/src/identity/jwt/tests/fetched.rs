//! Keys of a provider, by a clock that the test sets.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use super::*;

/// A provider that serves what it is told, or answers 500.
struct Provider {
    url: String,
    set: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let url = format!("http://{}/keys", listener.local_addr().expect("address"));
        let (set, asked) = (Arc::new(Mutex::new(None::<Value>)), Arc::new(AtomicUsize::new(0)));
        let (serving, counting) = (Arc::clone(&set), Arc::clone(&asked));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                counting.fetch_add(1, Ordering::SeqCst);
                let (status, body) = match &*serving.lock().expect("lock") {
                    Some(set) => ("200 OK", set.to_string()),
                    None => ("500 Internal Server Error", String::new()),
                };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, set, asked }
    }

    fn serve(&self, keys: &[(&str, &Ed25519KeyPair)]) {
        let keys: Vec<Value> = { keys.iter() }
            .map(|(kid, key)| json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64(key.public_key()) }))
            .collect();
        *self.set.lock().expect("lock") = Some(json!({ "keys": keys }));
    }

    fn fail(&self) {
        *self.set.lock().expect("lock") = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

struct Stage {
    provider: Provider,
    clock: Arc<Set>,
    verifier: Verifier,
}

impl Stage {
    fn new() -> Self {
        let provider = Provider::start();
        let rules = json!({ "issuer": "https://id.example", "audience": ["quintet"], "jwks_url": provider.url });
        let rules: Jwt = serde_json::from_value(rules).expect("rules");
        let clock = Arc::new(Set(AtomicI64::new(NOW.0)));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let verifier = Verifier::new(&rules, &Client::new(Guard::new(Policy::default())), &shared);
        let verifier = verifier.expect("verifier");
        Self {
            provider,
            clock,
            verifier,
        }
    }

    fn pass_ms(&self, ms: u64) {
        self.clock.0.store(self.clock.now().plus_ms(ms).0, Ordering::Relaxed);
    }

    fn token(&self, kid: Option<&str>, key: &Ed25519KeyPair) -> String {
        let mut claims = claims();
        claims["exp"] = (self.clock.now().0 / 1_000_000 + 60).into();
        let header = match kid {
            Some(kid) => json!({ "alg": "EdDSA", "kid": kid }),
            None => json!({ "alg": "EdDSA" }),
        };
        by_ed25519(key, &header, &claims)
    }

    /// As the edge does it.
    async fn accepts(&self, kid: Option<&str>, key: &Ed25519KeyPair) -> bool {
        let token = self.token(kid, key);
        if let Some(kid) = self.verifier.missing_key(&token, self.clock.now()) {
            self.verifier.look_for(&kid).await;
        }
        self.verifier.caller(&token, self.clock.now()).is_ok()
    }
}

#[tokio::test]
async fn a_new_key_is_found_when_a_token_names_it_and_an_old_one_is_forgotten() {
    let (stage, one, two) = (Stage::new(), ed25519(), ed25519());
    stage.provider.serve(&[("one", &one)]);
    stage.verifier.tick().await;
    assert!(stage.accepts(Some("one"), &one).await);
    assert!(
        !stage.accepts(None, &one).await,
        "a fetched key is found by its name only"
    );
    stage.provider.serve(&[("two", &two)]);
    assert!(
        !stage.accepts(Some("two"), &two).await,
        "it was looked for a moment ago"
    );
    stage.pass_ms(30_000);
    assert!(stage.accepts(Some("two"), &two).await);
    assert!(!stage.accepts(Some("one"), &one).await, "it was taken back");
    assert_eq!(stage.provider.asked(), 2);
}

#[tokio::test]
async fn made_up_names_of_keys_ask_the_provider_once_in_thirty_seconds() {
    let (stage, one) = (Stage::new(), ed25519());
    stage.provider.serve(&[("one", &one)]);
    stage.verifier.tick().await;
    stage.pass_ms(30_000);
    for number in 0..20 {
        assert!(!stage.accepts(Some(&format!("made-up-{number}")), &one).await);
    }
    assert_eq!(stage.provider.asked(), 2);
}

#[tokio::test]
async fn keys_are_good_for_a_day_without_their_provider_and_not_longer() {
    let (stage, one) = (Stage::new(), ed25519());
    stage.provider.serve(&[("one", &one)]);
    stage.verifier.tick().await;
    stage.provider.fail();
    for _ in 0..23 {
        stage.pass_ms(3_600_000);
        stage.verifier.tick().await;
        assert!(stage.accepts(Some("one"), &one).await);
    }
    assert_eq!(stage.provider.asked(), 24, "it was asked every hour");
    stage.pass_ms(3_600_000);
    assert!(!stage.accepts(Some("one"), &one).await);
    stage.provider.serve(&[("one", &one)]);
    stage.pass_ms(30_000);
    stage.verifier.tick().await;
    assert!(stage.accepts(Some("one"), &one).await);
}
