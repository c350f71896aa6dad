//! Names that answer something else when they are asked again: between a look and a call, between attempts, and over
//! redirects. What counts is the address that is dialled.

mod support;

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use quintet_executors::egress::client::system_tls;
use quintet_executors::egress::{Client, Guard, Lookup, Policy};
use quintet_executors::http::Http;
use quintet_executors::http::service::Services;
use serde_json::json;
use support::{Target, fail, params, redirect, succeed};

/// A resolver whose answers all have no time to live: each is given once, the last one for ever, whatever the name.
struct Turning {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Turning {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().expect("address")).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(parse).collect()),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("lock").len()
    }
}

#[async_trait]
impl Lookup for Turning {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().expect("lock").push(host.to_owned());
        let mut answers = self.answers.lock().expect("lock");
        Ok(match answers.len() {
            1 => answers[0].clone(),
            _ => answers.remove(0),
        })
    }
}

fn http(names: &Arc<Turning>, allow: &[&str]) -> Http {
    let policy = Policy {
        allow: allow.iter().map(|entry| entry.parse().expect("entry")).collect(),
        ..Policy::default()
    };
    let client = Client::with_parts(Guard::new(policy), Arc::clone(names) as Arc<dyn Lookup>, system_tls());
    Http::new(client, Services::default(), params())
}

#[tokio::test]
async fn an_attempt_that_is_repeated_is_judged_by_its_own_answer() {
    let sink = Target::saying("reached").await;
    let port = sink.address.port();
    // The first answer is a place that may be reached, where nobody listens.
    let names = Turning::new(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let http = http(&names, &["127.0.0.2"]);
    let call = json!({ "url": format!("http://rebind.test:{port}/") });
    let first = fail(&http, call.clone()).await;
    assert_eq!((first.kind.as_deref(), first.retryable), (Some("connect"), None));
    let second = fail(&http, call).await;
    assert_eq!(
        (second.kind.as_deref(), second.retryable),
        (Some("blocked"), Some(false))
    );
    assert_eq!((names.asked(), sink.connections()), (2, 0));
}

#[tokio::test]
async fn a_name_is_asked_for_once_and_what_was_judged_is_dialled() {
    let permitted = Target::saying("permitted").await;
    let sink = Target::saying("reached").await;
    // Were it asked again between judging and dialling, the second answer would be taken.
    let names = Turning::new(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let allowed = permitted.address.to_string();
    let http = http(&names, &[&allowed]);
    let call = json!({ "url": format!("http://rebind.test:{}/", permitted.address.port()) });
    assert_eq!(succeed(&http, call).await.output.as_ref(), &json!("permitted"));
    assert_eq!((names.asked(), sink.connections()), (1, 0));
}

#[tokio::test]
async fn a_redirect_to_the_same_name_is_judged_by_the_answer_of_that_moment() {
    let sink = Target::saying("reached").await;
    for status in [301, 302, 303, 307, 308] {
        let inside = format!("http://rebind.test:{}/", sink.address.port());
        let location = inside.clone();
        let permitted = Target::start(move |_| redirect(status, &location)).await;
        let names = Turning::new(&[&["127.0.0.1"], &["::ffff:127.0.0.1"]]);
        let allowed = permitted.address.to_string();
        let http = http(&names, &[&allowed]);
        let call = json!({ "url": format!("http://rebind.test:{}/", permitted.address.port()) });
        let failure = fail(&http, call).await;
        assert_eq!(failure.kind.as_deref(), Some("blocked"), "{status}: {failure:?}");
        assert_eq!(permitted.seen().len(), 1);
    }
    assert_eq!(sink.connections(), 0);
}

#[tokio::test]
async fn one_closed_address_among_many_closes_the_name() {
    let sink = Target::saying("reached").await;
    let port = sink.address.port();
    for closed in [
        &["8.8.8.8", "8.8.4.4", "127.0.0.1"][..],
        &["127.0.0.1", "8.8.8.8"],
        &["2606:4700::1111", "::1"],
        &["8.8.8.8", "::ffff:169.254.169.254"],
        &["8.8.8.8", "64:ff9b::7f00:1"],
        &["8.8.8.8", "2002:7f00:1::"],
        &["8.8.8.8", "0.0.0.0"],
        &["8.8.8.8", "fd00:ec2::254"],
    ] {
        let names = Turning::new(&[closed]);
        let failure = fail(
            &http(&names, &[]),
            json!({ "url": format!("http://many.test:{port}/") }),
        )
        .await;
        assert_eq!(failure.kind.as_deref(), Some("blocked"), "{closed:?}: {failure:?}");
    }
    assert_eq!(sink.connections(), 0);
}

#[tokio::test]
async fn a_name_longer_than_names_can_be_is_a_failure_and_no_more() {
    let client = Client::new(Guard::new(Policy::default()));
    let http = Http::new(client, Services::default(), params());
    for host in ["a".repeat(64), "a.".repeat(200), format!("{}.test", "b".repeat(5_000))] {
        let failure = fail(&http, json!({ "url": format!("http://{host}/") })).await;
        assert!(
            matches!(failure.kind.as_deref(), Some("connect" | "timeout" | "invalid_input")),
            "{failure:?}"
        );
    }
}
