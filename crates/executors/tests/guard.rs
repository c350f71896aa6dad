//! The guard with real connections: a sink counts what reaches it, and nothing may.

mod support;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use quintet_executors::egress::client::system_tls;
use quintet_executors::egress::{Client, Guard, Lookup, Policy};
use quintet_executors::http::Http;
use quintet_executors::http::service::Services;
use serde_json::json;
use support::{Target, fail, http, params, redirect, succeed};

/// Names with a list of answers, given one after the other; the last one stays.
struct Names(Mutex<HashMap<&'static str, Vec<Vec<IpAddr>>>>);

impl Names {
    fn new(entries: &[(&'static str, &[&[&str]])]) -> Self {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().expect("address")).collect();
        let names = entries
            .iter()
            .map(|(name, answers)| (*name, answers.iter().map(parse).collect()));
        Self(Mutex::new(names.collect()))
    }
}

#[async_trait]
impl Lookup for Names {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut names = self.0.lock().expect("lock");
        let answers = names.get_mut(host).ok_or_else(|| io::Error::other("no such name"))?;
        Ok(if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0].clone()
        })
    }
}

fn http_with(policy: Policy, names: Names) -> Http {
    let client = Client::with_parts(Guard::new(policy), Arc::new(names), system_tls());
    Http::new(client, Services::default(), params())
}

fn allowing(entries: &[&str]) -> Policy {
    Policy {
        allow: entries.iter().map(|entry| entry.parse().expect("entry")).collect(),
        ..Policy::default()
    }
}

#[tokio::test]
async fn nothing_reaches_loopback_while_it_is_closed() {
    let sink = Target::saying("reached").await;
    let port = sink.address.port();
    let http = http(Policy::default());
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "localhost",
        "LOCALHOST",
        "0",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "１２７.0.0.1",
    ] {
        let failure = fail(&http, json!({"url": format!("http://{host}:{port}/")})).await;
        assert_eq!(
            (failure.kind.as_deref(), failure.retryable),
            (Some("blocked"), Some(false)),
            "{host}: {failure:?}"
        );
        assert!(failure.message.contains("egress.allow"), "{}", failure.message);
    }
    assert_eq!(sink.connections(), 0);
}

#[tokio::test]
async fn a_redirect_from_a_permitted_place_reaches_no_forbidden_one() {
    let sink = Target::saying("reached").await;
    for status in [301, 302, 303, 307, 308] {
        for to in [
            sink.url("/"),
            format!("//{}/", sink.address),
            format!("http://localhost:{}/", sink.address.port()),
            format!("http://0x7f.1:{}/", sink.address.port()),
            format!("http://user@{}/", sink.address),
            "http://169.254.169.254/".to_owned(),
            "http://[64:ff9b::7f00:1]/".to_owned(),
            "ftp://127.0.0.1/".to_owned(),
        ] {
            let location = to.clone();
            let permitted = Target::start(move |_| redirect(status, &location)).await;
            let http = http(allowing(&[&permitted.address.to_string()]));
            let failure = fail(&http, json!({"url": permitted.url("/")})).await;
            assert_eq!(failure.retryable, Some(false), "{status} {to}: {failure:?}");
            assert_eq!(permitted.seen().len(), 1);
        }
    }
    assert_eq!(sink.connections(), 0);
}

#[tokio::test]
async fn the_addresses_of_a_name_are_judged_when_it_is_dialled() {
    let sink = Target::saying("reached").await;
    let url = |host: &str| json!({"url": format!("http://{host}:{}/", sink.address.port())});
    let names = Names::new(&[
        ("private.test", &[&["10.0.0.1"]]),
        ("loopback.test", &[&["127.0.0.1"]]),
        ("mapped.test", &[&["::ffff:127.0.0.1"]]),
        ("both.test", &[&["8.8.8.8", "::1"]]),
        ("second.test", &[&["8.8.8.8", "127.0.0.1"]]),
        ("metadata.test", &[&["169.254.169.254"]]),
        ("translated.test", &[&["64:ff9b::7f00:1"]]),
    ]);
    let http = http_with(Policy::default(), names);
    for host in [
        "private.test",
        "loopback.test",
        "mapped.test",
        "both.test",
        "second.test",
        "metadata.test",
        "translated.test",
    ] {
        let failure = fail(&http, url(host)).await;
        assert_eq!(failure.kind.as_deref(), Some("blocked"), "{host}: {failure:?}");
        assert!(failure.message.contains(host), "{}", failure.message);
    }
    assert_eq!(sink.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_answer_is_judged_by_the_answer_that_is_dialled() {
    let sink = Target::saying("reached").await;
    let url = json!({"url": format!("http://rebind.test:{}/", sink.address.port())});
    let policy = allowing(&["127.0.0.0/30"]);
    let names = Names::new(&[("rebind.test", &[&["127.0.0.1"], &["127.0.0.9"], &["10.0.0.1"]])]);
    let http = http_with(policy, names);
    succeed(&http, url.clone()).await;
    // The first connection is in the pool and was judged; another port needs a new one, and a new answer.
    assert_eq!(sink.connections(), 1);
    let other = Target::saying("reached").await;
    for _ in 0..2 {
        let failure = fail(
            &http,
            json!({"url": format!("http://rebind.test:{}/", other.address.port())}),
        )
        .await;
        assert_eq!(failure.kind.as_deref(), Some("blocked"));
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn permission_for_a_port_holds_for_this_port_only() {
    let (open, closed) = (Target::saying("open").await, Target::saying("closed").await);
    let names = Names::new(&[("worker.internal", &[&["127.0.0.1"]])]);
    let http = http_with(allowing(&[&format!("worker.internal:{}", open.address.port())]), names);
    let url = |target: &Target| json!({"url": format!("http://worker.internal:{}/", target.address.port())});
    assert_eq!(succeed(&http, url(&open)).await.output.as_ref(), &json!("open"));
    assert_eq!(fail(&http, url(&closed)).await.kind.as_deref(), Some("blocked"));
    assert_eq!(closed.connections(), 0);
}

#[tokio::test]
async fn names_without_an_answer_are_connection_failures_that_name_the_host() {
    let http = http_with(Policy::default(), Names::new(&[("empty.test", &[&[]])]));
    for host in ["empty.test", "unknown.test"] {
        let failure = fail(&http, json!({"url": format!("http://{host}/")})).await;
        assert_eq!((failure.kind.as_deref(), failure.retryable), (Some("connect"), None));
        assert!(
            failure.message.contains(&format!("cannot resolve host {host}")),
            "{}",
            failure.message
        );
    }
}

#[tokio::test]
async fn a_lookup_that_never_ends_is_cut_off() {
    struct Silent;
    #[async_trait]
    impl Lookup for Silent {
        async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            std::future::pending().await
        }
    }
    let policy = Policy {
        connect_timeout_ms: 20,
        ..Policy::default()
    };
    let client = Client::with_parts(Guard::new(policy), Arc::new(Silent), system_tls());
    let failure = fail(
        &Http::new(client, Services::default(), params()),
        json!({"url": "http://slow.test/"}),
    )
    .await;
    assert_eq!(failure.kind.as_deref(), Some("timeout"));
    assert!(
        failure.message.contains("no connection within 20 ms"),
        "{}",
        failure.message
    );
}
