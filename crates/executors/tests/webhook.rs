//! Delivery of signed messages to a server on loopback.

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_executors::egress::{Client, Guard, Policy};
use quintet_executors::webhook::{Hook, HookError, HookSender, WebhookSecret};
use support::{Answer, Target, answer, redirect};

const BODY: &[u8] = br#"{"test": 2432232314}"#;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Time {
        Time(1_614_265_330_999_999)
    }
}

fn sender() -> HookSender {
    HookSender::new(&Client::new(Guard::new(Policy::default())), Arc::new(Stopped))
}

async fn send(url: &str) -> Result<(), HookError> {
    sender()
        .send(url, "msg_p5jXN8AQM9LWM0D4loKWxJek", Bytes::from_static(BODY), None)
        .await
}

#[tokio::test]
async fn a_message_arrives_signed_although_users_may_not_reach_its_address() {
    let target = Target::start(|_| answer(204, "", "")).await;
    let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().expect("secret");
    let (sender, url) = (sender(), target.url("/v1/events"));
    let sent = sender
        .send(
            &url,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            Bytes::from_static(BODY),
            Some(&secret),
        )
        .await;
    assert_eq!(sent, Ok(()));
    let [seen] = &target.seen()[..] else {
        panic!("one request expected")
    };
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str(), seen.body.as_bytes()),
        ("POST", "/v1/events", BODY)
    );
    for (name, value) in [
        ("content-type", "application/json"),
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ] {
        assert_eq!(seen.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[tokio::test]
async fn without_a_secret_there_is_no_signature() {
    let target = Target::saying("ok").await;
    assert_eq!(send(&target.url("/")).await, Ok(()));
    assert!(!target.seen()[0].headers.contains_key("webhook-signature"));
}

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    let header = |(name, value): &(&'static str, &str)| (name.parse().expect("name"), value.parse().expect("value"));
    list.iter().map(header).collect()
}

#[tokio::test]
async fn a_users_method_and_headers_are_sent_but_not_what_speaks_for_the_sender() {
    let target = Target::saying("ok").await;
    let guard = Guard::new(Policy {
        allow_loopback: true,
        ..Policy::default()
    });
    let sender = HookSender::for_users(&Client::new(guard), Arc::new(Stopped));
    let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().expect("secret");
    let hook = Hook {
        url: &target.url("/done"),
        method: Method::PUT,
        headers: headers(&[
            ("authorization", "Bearer x"),
            ("content-type", "application/cloudevents+json"),
            ("webhook-id", "forged"),
            ("webhook-signature", "forged"),
            ("webhook-timestamp", "1"),
            ("host", "elsewhere"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
        ]),
        id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
        body: Bytes::from_static(BODY),
        secret: Some(&secret),
    };
    assert_eq!(sender.deliver(hook).await, Ok(()));
    let seen = &target.seen()[0];
    assert_eq!((&*seen.method, seen.body.as_bytes()), ("PUT", BODY));
    let host = target.address.to_string();
    for (name, value) in [
        ("authorization", Some("Bearer x")),
        ("content-type", Some("application/cloudevents+json")),
        ("webhook-id", Some("msg_p5jXN8AQM9LWM0D4loKWxJek")),
        ("webhook-timestamp", Some("1614265330")),
        (
            "webhook-signature",
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ),
        ("host", Some(&*host)),
        ("content-length", Some("20")),
        ("transfer-encoding", None),
    ] {
        assert_eq!(seen.headers.get(name).map(String::as_str), value, "{name}");
    }
}

#[tokio::test]
async fn a_users_url_is_judged_by_the_rules_for_users() {
    let target = Target::saying("ok").await;
    let sender = HookSender::for_users(&Client::new(Guard::new(Policy::default())), Arc::new(Stopped));
    let error = sender.send(&target.url("/"), "msg_1", Bytes::new(), None).await;
    let error = error.expect_err("loopback is not for users");
    assert!(!error.retryable && error.message.contains("loopback"), "{error:?}");
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn only_a_status_of_the_200s_is_a_delivery_and_gone_is_final() {
    for (status, retryable) in [(304, true), (400, true), (429, true), (503, true), (410, false)] {
        let target = Target::start(move |_| answer(status, "retry-after: 3\r\n", "")).await;
        let expected = HookError {
            retryable,
            retry_after_ms: Some(3000),
            message: format!("http status {status}"),
        };
        assert_eq!(send(&target.url("/")).await, Err(expected));
    }
    let other = Target::saying("reached").await;
    let url = other.url("/");
    let target = Target::start(move |_| redirect(307, &url)).await;
    let error = send(&target.url("/")).await.expect_err("a redirect is no delivery");
    assert_eq!(
        (error.message.as_str(), error.retryable, other.connections()),
        ("http status 307", true, 0)
    );
}

#[tokio::test]
async fn silence_may_be_retried_and_a_wrong_url_may_not() {
    let target = Target::start(|_| Answer::Never).await;
    let sender = sender().with_timeout(Duration::from_millis(30));
    let error = sender
        .send(&target.url("/"), "msg_1", Bytes::new(), None)
        .await
        .expect_err("silence");
    assert!(error.retryable && error.message.contains("timed out"), "{error:?}");
    for (url, id) in [
        ("ftp://x/", "msg_1"),
        ("http://user@127.0.0.1/", "msg_1"),
        (&*target.url("/"), "line\nbreak"),
    ] {
        let error = sender.send(url, id, Bytes::new(), None).await.expect_err("wrong");
        assert!(!error.retryable, "{error:?}");
    }
}
