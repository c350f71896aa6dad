//! What goes over the wire, and what its answers become.

use std::time::Duration;

use quintet_executors::backend::{BackendSettings, Kind, Rules};
use quintet_executors::storage::Secret;
use quintet_testkit::modal::{Answer, Fake};
use serde_json::json;

use super::{PATIENCE, Rig, modal, rules, task, task_for, until};

fn ray(url: &str) -> BackendSettings {
    BackendSettings::new(Kind::Ray, url)
}

#[tokio::test]
async fn modal_gets_its_body_and_token_and_its_health_is_asked_without_one() {
    let fake = Fake::start().expect("fake");
    let settings = BackendSettings {
        token: Some(Secret::new("sesame")),
        ..modal(&format!("{}/", fake.url()))
    };
    let rig = Rig::new(vec![("modal", settings)]);
    let success = rig
        .succeed(json!({ "type": "text.chat", "payload": { "prompt": "Hello!" } }))
        .await;
    assert_eq!(*success.output, json!({ "prompt": "Hello!" }));

    let [health, call] = &fake.requests()[..] else {
        panic!("two requests expected")
    };
    assert_eq!(
        (health.line.as_str(), health.headers.get("authorization")),
        ("GET /health_check", None)
    );
    assert_eq!(call.line, "POST /run_task");
    assert_eq!(
        call.body,
        json!({ "task_type": "text.chat", "payload": { "prompt": "Hello!" } })
    );
    for (name, value) in [
        ("authorization", "Bearer sesame"),
        ("content-type", "application/json"),
        ("x-quintet-attempt", "2"),
    ] {
        assert_eq!(call.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[tokio::test]
async fn ray_gets_its_own_body() {
    let fake = Fake::start().expect("fake");
    let rig = Rig::new(vec![("ray", ray(&fake.url()))]);
    rig.succeed(json!({ "type": "llm.chat", "payload": [1] })).await;
    let lines: Vec<String> = fake.requests().into_iter().map(|call| call.line).collect();
    assert_eq!(lines, ["GET /health", "POST /task"]);
    assert_eq!(fake.calls()[0].body, json!({ "type": "llm.chat", "payload": [1] }));
}

#[tokio::test]
async fn any_other_service_is_reached_by_configuration() {
    let fake = Fake::start().expect("fake");
    let settings = BackendSettings {
        run_path: Some("run_task".to_owned()),
        health_path: Some("health_check".to_owned()),
        type_key: Some("task_type".to_owned()),
        payload_key: Some("input".to_owned()),
        result_key: Some("task_type".to_owned()),
        ..BackendSettings::new(Kind::Http, &fake.url())
    };
    let rig = Rig::new(vec![("own", settings)]);
    assert_eq!(*rig.succeed(task("x.y")).await.output, json!("x.y"));
    assert_eq!(fake.calls()[0].body, json!({ "task_type": "x.y", "input": { "n": 1 } }));
}

#[tokio::test]
async fn failures_are_told_in_the_contracts_words_and_classed() {
    let fake = Fake::start().expect("fake");
    fake.teach("boom", Answer::Error("boom".to_owned()));
    fake.teach("oops", Answer::status(500, "oops"));
    fake.teach("bad", Answer::status(422, "bad input"));
    let slow_down = vec![("retry-after".to_owned(), "7".to_owned())];
    fake.teach("busy", Answer::Status(429, slow_down, "busy".to_owned()));
    let rig = Rig::new(vec![("modal", modal(&fake.url())), ("ray", ray(&fake.url()))]);
    for (input, message, kind, retryable, after_ms) in [
        (task("boom"), "boom", "task_failed", None, None),
        (task("oops"), "Modal error: 500 - oops", "http_status", None, None),
        (
            task_for("ray", "oops"),
            "Ray error: 500 - oops",
            "http_status",
            None,
            None,
        ),
        (
            task("bad"),
            "Modal error: 422 - bad input",
            "http_status",
            Some(false),
            None,
        ),
        (
            task("busy"),
            "Modal error: 429 - busy",
            "http_status",
            None,
            Some(7_000),
        ),
    ] {
        let failure = rig.fail(input).await;
        assert_eq!(
            (failure.message.as_str(), failure.kind.as_deref()),
            (message, Some(kind))
        );
        assert_eq!(
            (failure.retryable, failure.retry_after_ms),
            (retryable, after_ms),
            "{message}"
        );
    }
    let [modal, ray] = &rig.backends.describe()[..] else {
        panic!("two backends expected")
    };
    assert_eq!(
        (modal.calls.failed, modal.calls.unavailable, ray.calls.failed),
        (4, 0, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_takes_too_long_is_closed_and_not_held_against_a_healthy_backend() {
    let fake = Fake::start().expect("fake");
    fake.teach("slow", Answer::held(Answer::Echo));
    let settings = BackendSettings {
        failures_to_open: Some(1),
        ..modal(&fake.url())
    };
    let rig = Rig::new(vec![("modal", settings)]);
    let failure = rig
        .fail(json!({ "type": "slow", "payload": {}, "timeout_ms": 50 }))
        .await;
    assert_eq!((failure.kind.as_deref(), failure.retryable), (Some("timeout"), None));
    assert!(
        failure.message.ends_with("timed out: no answer within 50 ms"),
        "{}",
        failure.message
    );
    assert!(fake.wait_until(PATIENCE, |notes| notes.of("slow").all(|call| call.is_abandoned)));
    assert_eq!(fake.probes(), 2, "one before the call, one after it");
    assert!(!rig.backends.is_open("modal"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_called_off_closes_its_connection() {
    let fake = Fake::start().expect("fake");
    fake.teach("slow", Answer::held(Answer::Echo));
    let rig = Rig::new(vec![("modal", modal(&fake.url()))]);
    {
        let attempt = rig.execute(task("slow"));
        tokio::pin!(attempt);
        tokio::select! {
            biased;
            outcome = &mut attempt => panic!("{outcome:?}"),
            () = until(|| !fake.calls().is_empty()) => {}
        }
    }
    assert!(fake.wait_until(PATIENCE, |notes| notes.of("slow").all(|call| call.is_abandoned)));
    let [modal] = &rig.backends.describe()[..] else {
        panic!("one backend expected")
    };
    assert_eq!((modal.calls.abandoned, modal.in_flight), (1, 0));
}

#[tokio::test]
async fn health_is_believed_for_a_while_and_asked_once_for_many() {
    let fake = Fake::start().expect("fake");
    let rig = Rig::new(vec![("modal", modal(&fake.url()))]);
    let many = (0..20).map(|_| rig.succeed(task("echo")));
    futures_util::future::join_all(many).await;
    assert_eq!((fake.probes(), fake.calls().len()), (1, 20));
    rig.clock.move_on(Duration::from_millis(1_999));
    rig.succeed(task("echo")).await;
    assert_eq!(fake.probes(), 1);
    rig.clock.move_on(Duration::from_millis(1));
    rig.succeed(task("echo")).await;
    assert_eq!(fake.probes(), 2);
}

#[tokio::test]
async fn a_health_check_that_does_not_answer_is_a_bad_one() {
    // Nobody takes connections from its backlog, so they are made and nothing is said.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    let quick = Rules {
        health_timeout_ms: 30,
        ..rules()
    };
    let rig = Rig::with_rules(vec![("modal", modal(&url))], &quick);
    let failure = rig.fail(task_for("modal", "echo")).await;
    assert_eq!(failure.message, "Backend \"modal\" is not healthy");
    let detail = failure.detail.expect("a reason").to_string();
    assert!(detail.contains("no answer within 30 ms"), "{detail}");
}

#[tokio::test]
async fn types_are_listed_once_in_a_while_and_a_failure_leaves_the_last_list() {
    let (first, second) = (Fake::start().expect("fake"), Fake::start().expect("fake"));
    first.set_types(
        json!({ "total": 2, "categories": { "text": ["text.chat"], "image": [{ "name": "image.detect" }] } }),
    );
    second.set_types(json!({ "tasks": ["llm.chat", "text.chat"] }));
    let rig = Rig::new(vec![("modal", modal(&first.url())), ("ray", ray(&second.url()))]);
    let all = ["image.detect", "llm.chat", "text.chat"];
    assert_eq!(rig.backends.types().await, all);
    first.set_types(json!({ "categories": { "text": ["other"] } }));
    assert_eq!(rig.backends.types().await, all);
    assert_eq!(first.requests().len(), 1);
    first.stop();
    rig.clock.move_on(Duration::from_secs(60));
    assert_eq!(rig.backends.types().await, all);
    assert_eq!(second.requests().len(), 2);
}

#[tokio::test]
async fn a_description_shows_neither_token_nor_query() {
    let settings = BackendSettings {
        token: Some(Secret::new("sesame")),
        ..modal("http://127.0.0.1:9/base?key=sesame")
    };
    let rig = Rig::new(vec![("modal", settings)]);
    let told = serde_json::to_value(rig.backends.describe()).expect("JSON");
    assert!(!told.to_string().contains("sesame"), "{told}");
    assert_eq!(told[0]["url"], "http://127.0.0.1:9/base");
    assert_eq!(
        (&told[0]["circuit"], &told[0]["healthy"]),
        (&json!("closed"), &json!(null))
    );
    assert_eq!(told[0]["gpus"], json!(["T4", "A10G", "A100"]));
}
