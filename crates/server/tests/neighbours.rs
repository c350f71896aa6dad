//! A noisy namespace beside a quiet one, where the slots of an executor are scarce.
//!
//! The noisy one keeps ten times as much waiting as the executor can do at a time. What is measured is printed.

#[allow(unused_imports, reason = "no step waits for anybody here")]
mod common;

use std::time::Duration;

use common::Server;
use quintet_testkit::load::{self, Spread};
use quintet_testkit::modal::{Answer, Fake};
use serde_json::{Value, json};

/// What the executor can do at a time.
const SLOTS: usize = 8;
/// How long a call takes.
const CALL: Duration = Duration::from_millis(100);
/// Runs of the quiet one, one after the other.
const QUIET: usize = 40;
/// Runs of the noisy one: enough for the whole time.
const NOISY: usize = 1_000;

fn within(namespace: &str) -> [(&'static str, &str); 1] {
    [("x-quintet-namespace", namespace)]
}

/// A workflow that calls the target once.
fn create(server: &Server, namespace: &str, target: &Fake) {
    let input = json!({
        "method": "POST",
        "url": format!("{}/run_task", target.url()),
        "body": { "task_type": namespace, "payload": {} },
    });
    let document =
        json!({ "id": "call", "name": "call", "steps": [{ "name": "a", "action": "http", "input": input }] });
    let body = document.to_string();
    let reply = server.client().call("POST", "/v1/workflows", &within(namespace), &body);
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
}

/// How long runs take from their start to their end.
fn runs(server: &Server, namespace: &str, at_a_time: usize, count: usize) -> Spread {
    let start = |_| {
        let body: Value = json!({ "workflow_id": "call" });
        ("POST", "/v1/runs?wait=30s".to_owned(), Some(body))
    };
    let answers = load::run_as(server.address(), &within(namespace), at_a_time, count, start).expect("answers");
    for timed in &answers {
        let run = timed.answer.json().expect("JSON");
        assert_eq!(run["status"], "SUCCEEDED", "{run}");
    }
    Spread::of(&answers)
}

#[test]
fn who_keeps_ten_times_as_much_waiting_does_not_double_the_time_of_who_asks_for_little() {
    let target = Fake::start().expect("a target");
    for namespace in ["quiet", "noisy"] {
        target.teach(namespace, Answer::late(CALL, Answer::Echo));
    }
    let settings = json!({
        "http_action": { "concurrency": SLOTS },
        "limits": { "requests_per_second": 0 },
    });
    let server = Server::configured(&settings.to_string());
    create(&server, "quiet", &target);
    create(&server, "noisy", &target);
    let alone = runs(&server, "quiet", 1, QUIET);
    let (beside, noise) = beside_noise(&server, &target);
    println!("alone {alone:?}, beside noise {beside:?}, the noisy one itself {noise:?}");
    assert!(noise.p50 > CALL * 5, "the slots were scarce: {noise:?}");
    assert!(beside.p50 < alone.p50 * 2, "alone {alone:?}, beside noise {beside:?}");
    // Other tests that run meanwhile lengthen the worst of forty, but not to what waiting in one line would make of it.
    assert!(
        beside.p99 < noise.p50 / 2,
        "beside noise {beside:?}, the noisy one {noise:?}"
    );
}

/// How long runs of the quiet one take while the noisy one is at it, and those of the noisy one.
fn beside_noise(server: &Server, target: &Fake) -> (Spread, Spread) {
    std::thread::scope(|scope| {
        let noise = scope.spawn(|| runs(server, "noisy", SLOTS * 10, NOISY));
        target.wait_until(CALL * 100, |notes| notes.of("noisy").count() >= 2 * SLOTS);
        let beside = runs(server, "quiet", 1, QUIET);
        let came = target.calls_of("noisy").len();
        assert!(came < NOISY, "the noise was over before the measurement");
        (beside, noise.join().expect("noise"))
    })
}
