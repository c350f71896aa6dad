//! Secrets in http steps, against a real server on loopback: what is sent, and what comes back of it.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quintet_core::outcome::{Failure, Outcome, Success, Work};
use quintet_engine::executor::Executor;
use quintet_executors::http::Http;
use quintet_executors::secrets::{Plain, RevealError, Secrets, Slot};
use serde_json::{Value, json};
use support::{Target, answer, http, loopback, redirect, work};
use tokio::net::TcpListener;

const TOKEN: &str = "tok_5f0c9e7a\"é/+ =&";

struct Known;

#[async_trait]
impl Secrets for Known {
    async fn reveal(&self, namespace: &str, name: &str) -> Result<Option<Plain>, RevealError> {
        let value = match name {
            "TOKEN" => TOKEN,
            "PLAIN" => "plain-value-0123456789",
            "PIN" => "4711",
            _ => return Ok(None),
        };
        Ok((namespace == "default").then(|| Plain::new(value)))
    }
}

fn sender() -> Http {
    http(loopback()).with_secrets(Arc::new(Known))
}

/// An attempt in whose input each `<NAME>` stands for a secret.
fn attempt(input: Value) -> Work {
    let mut secrets = Vec::new();
    let input = place(&input, String::new(), &mut secrets);
    Work {
        secrets,
        ..work("http", input)
    }
}

fn place(value: &Value, pointer: String, secrets: &mut Vec<Slot>) -> Value {
    match value {
        Value::String(text) => {
            let mut masked = String::new();
            for part in text.split_inclusive('>') {
                let Some((before, name)) = part.strip_suffix('>').and_then(|part| part.split_once('<')) else {
                    masked.push_str(part);
                    continue;
                };
                masked.push_str(before);
                secrets.push(Slot {
                    pointer: pointer.as_str().into(),
                    at: masked.len(),
                    name: name.into(),
                });
                masked.push_str("***");
            }
            masked.into()
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(nth, item)| place(item, format!("{pointer}/{nth}"), secrets))
                .collect()
        }
        Value::Object(map) => {
            let entries = map.iter();
            let entries = entries.map(|(key, item)| (key.clone(), place(item, format!("{pointer}/{key}"), secrets)));
            Value::Object(entries.collect())
        }
        other => other.clone(),
    }
}

/// A port at which nobody listens.
async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    listener.local_addr().expect("address").port()
}

async fn succeeded(input: Value) -> Success {
    match sender().execute(attempt(input)).await {
        Outcome::Succeeded(success) => success,
        Outcome::Failed(failure) => panic!("failed: {failure:?}"),
    }
}

async fn failed(input: Value) -> Failure {
    match sender().execute(attempt(input)).await {
        Outcome::Failed(failure) => failure,
        Outcome::Succeeded(success) => panic!("succeeded: {success:?}"),
    }
}

#[tokio::test]
async fn secrets_are_sent_in_url_query_headers_and_body() {
    let target = Target::saying("ok").await;
    succeeded(json!({
        "url": format!("{}?key=<PLAIN>", target.url("/<PLAIN>/x")),
        "query": { "q": "<TOKEN>" },
        "headers": { "Authorization": "Bearer <PLAIN>", "X-Two": "<PIN>-<PLAIN>" },
        "body": { "deep": ["<TOKEN>"], "mask": "***", "data": "{{ secrets.PLAIN }}" },
    }))
    .await;
    let seen = &target.seen()[0];
    let plain = "plain-value-0123456789";
    assert!(
        seen.path
            .starts_with(&format!("/{plain}/x?key={plain}&q=tok_5f0c9e7a%22%C3%A9")),
        "{}",
        seen.path
    );
    assert_eq!(seen.headers["authorization"], format!("Bearer {plain}"));
    assert_eq!(seen.headers["x-two"], format!("4711-{plain}"));
    let body: Value = serde_json::from_str(&seen.body).expect("json");
    assert_eq!(
        body,
        json!({ "deep": [TOKEN], "mask": "***", "data": "{{ secrets.PLAIN }}" })
    );
}

#[tokio::test]
async fn an_answer_that_repeats_a_secret_is_masked() {
    let token = serde_json::to_string(TOKEN).expect("json");
    let encoded = STANDARD.encode(format!("user:{TOKEN}"));
    let form: String = url::form_urlencoded::byte_serialize(TOKEN.as_bytes()).collect();
    for body in [
        TOKEN.to_owned(),
        format!("you said {TOKEN}!"),
        format!("{{ \"echo\": {token} }}"),
        format!("{{\"{form}\":[{token}]}}"),
        format!("Basic {encoded}"),
        "{\"u\":\"tok_5f0c9e7\\u0061\\\"\\u00e9\\/+ =&\"}".to_owned(),
    ] {
        let said = body.clone();
        let target = Target::start(move |_| answer(200, "", &said)).await;
        let input = json!({ "url": target.url("/"), "headers": { "X-A": "<PLAIN>" }, "body": "<TOKEN>" });
        let success = succeeded(input).await;
        let shown = format!("{} {:?}", success.output, success.text);
        assert!(shown.contains("***"), "{shown}");
        for left in ["5f0c9e7", &encoded[8..20]] {
            assert!(!shown.contains(left), "{body} left {shown}");
        }
    }
}

#[tokio::test]
async fn a_refusal_that_repeats_a_secret_is_masked_also_where_it_is_cut() {
    for body in [
        format!("bad token {TOKEN}"),
        format!("{}{TOKEN}", "x".repeat(4096 - 9)),
        "{\"error\":\"bad plain-value-0123456789\"}".to_owned(),
    ] {
        let target = Target::start(move |_| answer(401, "", &body)).await;
        let input = json!({ "url": target.url("/"), "body": "<TOKEN>", "headers": { "X": "<PLAIN>" } });
        let failure = failed(input).await;
        let shown = failure.detail.expect("detail").to_string();
        assert!(
            shown.contains("***") && !shown.contains("tok_") && !shown.contains("plain-"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn errors_that_name_the_url_name_no_secret_of_it() {
    let closed = closed_port().await;
    for url in [
        format!("http://127.0.0.1:{closed}/<PLAIN>/a<PIN>b"),
        "http://<PLAIN>.invalid/".to_owned(),
        "http://user:<PLAIN>@127.0.0.1/".to_owned(),
        "<PLAIN>".to_owned(),
        format!("http://127.0.0.1:{closed}/%zz<TOKEN>"),
    ] {
        let failure = failed(json!({ "url": url })).await;
        let shown = format!("{failure:?}");
        for value in ["plain-value", "4711", "5f0c9e7"] {
            assert!(!shown.contains(value), "{url}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_secret_outside_of_what_is_sent_is_refused_and_not_shown() {
    let target = Target::saying("ok").await;
    for (field, value) in [("method", json!("<PLAIN>")), ("timeout_ms", json!("<PLAIN>"))] {
        let mut input = json!({ "url": target.url("/") });
        input[field] = value;
        let failure = failed(input).await;
        assert!(
            failure.message.contains("url, headers, query and body only"),
            "{failure:?}"
        );
        assert_eq!(failure.retryable, Some(false));
    }
    let unknown = failed(json!({ "url": target.url("/"), "body": "<GHOST>" })).await;
    assert_eq!(unknown.kind.as_deref(), Some("secret_not_found"));
    assert!(unknown.message.contains("\"GHOST\""), "{unknown:?}");
    assert!(target.seen().is_empty());
}

#[tokio::test]
async fn redirects_take_no_secret_to_another_place() {
    let far = Target::saying("far").await;
    let to = far.url("/landed");
    let near = Target::start(move |seen| match seen.path.as_str() {
        "/303" => redirect(303, &to),
        "/307" => redirect(307, &to),
        _ => redirect(307, "/end"),
    })
    .await;
    let input = |path: &str, body: &str| json!({ "url": near.url(path), "headers": { "X-Custom": "<PLAIN>", "X-Free": "free" }, "body": body });
    succeeded(input("/303", "<TOKEN>")).await;
    succeeded(input("/307", "no secret")).await;
    let refused = failed(input("/307", "<TOKEN>")).await;
    assert_eq!(
        (refused.kind.as_deref(), refused.retryable),
        (Some("redirect"), Some(false))
    );
    let seen = far.seen();
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert!(!seen.headers.contains_key("x-custom") && seen.headers["x-free"] == "free");
        assert!(!seen.body.contains("tok_"));
    }
}
