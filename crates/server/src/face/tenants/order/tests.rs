//! What is sent over a real connection, and what answers are taken for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use proptest::prelude::*;
use quintet_core::event::Created;
use quintet_core::id::RunId;
use quintet_core::outcome::{Outcome, Token};
use quintet_core::plan::Digest;
use quintet_engine::executor::Executor;

use super::super::document;
use super::*;
use crate::config::Config;

const RUN: RunId = RunId::from_bits(7);

/// An attempt at the second of three tasks; the first has ended.
fn work(kind: &str) -> Work {
    let request = json!({
        "intent_id": "an intent",
        "tasks": [
            { "id": "a" },
            { "id": "b", "type": kind, "dependencies": ["a"], "parameters": { "p": "{{ secrets.X }}" }, "timeout": 1_500_000 },
            { "id": "c" },
        ],
        "context": { "region": "eu" },
    });
    let request = document::parse(request.to_string().as_bytes(), "acme").expect("request");
    let context = Arc::new(request.to_context());
    Work {
        token: Token {
            run: RUN,
            node: 1,
            attempt: 3,
        },
        namespace: "acme".into(),
        workflow: workflow_name("an intent").into(),
        step: "b".to_owned(),
        action: ACTION.into(),
        queue: ACTION.into(),
        input: json!({ "task": 1, "after": [0] }),
        secrets: Vec::new(),
        context: Arc::clone(&context),
        deadline: None,
        created: Arc::new(Created {
            namespace: "acme".into(),
            workflow: workflow_name("an intent").into(),
            workflow_version: 0,
            plan: Digest([0; 32]),
            context,
            priority: 0,
            labels: Map::new(),
            priority_is_for_all: false,
            not_before: None,
        }),
        attempt: 2,
        past: Vec::new(),
        upstream: vec![
            ("far away".to_owned(), Arc::new(json!("not wanted"))),
            (
                "a".to_owned(),
                Arc::new(json!({ "output": "done", "files": { "x": "y" } })),
            ),
        ],
    }
}

fn sent() -> Value {
    json!({
        "tenant_id": "acme",
        "workflow_id": "wf_an~20intent_00000000000000000000000007",
        "intent_id": "an intent",
        "attempt": 2,
        "task": {
            "id": "b", "type": "codegen", "description": "", "dependencies": ["a"], "priority": "", "agent_type": "",
            "parameters": { "p": "{{ secrets.X }}" }, "timeout": 1_500_000, "retries": 0, "metadata": null, "status": "",
            "created_at": "0001-01-01T00:00:00Z",
        },
        "context": {
            "project_type": "", "tech_stack": null, "requirements": null, "constraints": null, "environment": "",
            "region": "eu",
        },
        "dependencies": { "a": { "output": "done", "files": { "x": "y" }, "artifacts": null, "metrics": null } },
    })
}

#[test]
fn a_backend_is_sent_the_task_with_the_results_that_it_needs() {
    let order = for_backend(&work("codegen")).expect("order");
    assert_eq!(order.payload, sent());
    assert_eq!((order.task_type.as_str(), order.backend.as_deref()), ("codegen", None));
    assert_eq!(order.timeout, Some(Duration::from_millis(5_002)));
    let mut pinned = work("codegen");
    pinned.input = json!({ "task": 1, "backend": "modal", "task_type": "generate" });
    let order = for_backend(&pinned).expect("order");
    assert_eq!(
        (order.task_type.as_str(), order.backend.as_deref()),
        ("generate", Some("modal"))
    );
    assert_eq!(order.payload["dependencies"], json!({}));
}

#[test]
fn a_step_of_anybody_elses_run_is_not_taken_for_a_task() {
    let foreign = |change: fn(&mut Work)| {
        let mut work = work("codegen");
        change(&mut work);
        for_backend(&work).expect_err("foreign")
    };
    for failure in [
        foreign(|work| work.workflow = "wf_1".into()),
        foreign(|work| work.step = "c".to_owned()),
        foreign(|work| work.input = json!({ "task": 9 })),
        foreign(|work| work.input = json!({})),
        foreign(|work| Arc::make_mut(&mut work.created).context = Arc::new(json!({}))),
    ] {
        assert_eq!(
            (failure.kind.as_deref(), failure.retryable),
            (Some("invalid_input"), Some(false))
        );
    }
}

/// Takes one request and answers it: the head, and the body.
fn endpoint(answer: &'static str) -> (String, std::thread::JoinHandle<(Vec<String>, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("address").to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("connection");
        let mut reader = BufReader::new(stream.try_clone().expect("stream"));
        let lines = reader.by_ref().lines().map(|line| line.expect("line"));
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let length = head
            .iter()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.expect("length")];
        reader.read_exact(&mut body).expect("body");
        stream.write_all(answer.as_bytes()).expect("answered");
        (head, serde_json::from_slice(&body).expect("json"))
    });
    (address, served)
}

fn endpoints(rule: &str) -> Endpoints {
    let config = Config::parse(&format!("tenants: {{ types: {{ codegen: {rule} }} }}\n")).expect("settings");
    // Nothing inside of the network is permitted to users: the operator's word suffices.
    let client = config.executors(false).expect("executors").client().expect("client");
    Endpoints::open(&config, &client, None).expect("endpoints")
}

#[tokio::test]
async fn a_task_is_posted_to_the_endpoint_of_its_type_and_its_answer_kept_as_it_came() {
    let (address, served) =
        endpoint("HTTP/1.1 200 OK\r\ncontent-length: 26\r\nconnection: close\r\n\r\n{\"output\":\"it\",\"extra\":[]}");
    let endpoints = endpoints(&format!(
        "{{ run: http, url: 'http://{address}/run', headers: {{ X-Own: mine }} }}"
    ));
    let Outcome::Succeeded(success) = endpoints.execute(work("codegen")).await else {
        panic!("failed")
    };
    assert_eq!(*success.output, json!({ "output": "it", "extra": [] }));
    let (head, body) = served.join().expect("served");
    assert_eq!(head[0], "POST /run HTTP/1.1");
    let has = |line: &str| head.iter().any(|one| one.eq_ignore_ascii_case(line));
    assert!(
        has("x-own: mine") && has(&format!("idempotency-key: {RUN}/b")),
        "{head:?}"
    );
    assert_eq!(body, sent());
}

#[tokio::test]
async fn a_refusal_of_the_endpoint_is_the_failure_of_the_attempt() {
    let (address, served) =
        endpoint("HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy");
    let outcome = endpoints(&format!("{{ run: http, url: 'http://{address}/' }}"))
        .execute(work("codegen"))
        .await;
    let Outcome::Failed(failure) = outcome else {
        panic!("succeeded")
    };
    assert_eq!(
        (failure.code, failure.retryable, failure.retry_after_ms),
        (Some(503), None, Some(7_000))
    );
    assert_eq!(failure.detail, Some(json!("busy")));
    served.join().expect("served");
}

#[tokio::test]
async fn a_type_whose_endpoint_has_gone_fails_with_a_sentence() {
    let Outcome::Failed(failure) = endpoints("{ run: noop }").execute(work("codegen")).await else {
        panic!("succeeded")
    };
    assert!(failure.message.contains("\"codegen\""), "{}", failure.message);
    assert_eq!(failure.retryable, Some(false));
}

#[test]
fn an_answer_with_the_fields_of_a_result_is_taken_field_by_field() {
    let answer = json!({
        "output": "text",
        "files": { "main.go": "package main" },
        "artifacts": ["a"],
        "metrics": { "tokens": 5 },
        "validation_result": {
            "status": "ok", "score": 1.0, "issues": [{ "type": "t", "severity": "low", "message": "m", "line": 3 }],
        },
        "sandbox_result": { "exit_code": 1, "stdout": null, "resource_usage": { "cpu_time": 7 } },
        "more": "ignored",
    });
    let result = result_of(&answer);
    assert_eq!(
        serde_json::to_value(&result).unwrap(),
        json!({
            "output": "text",
            "files": { "main.go": "package main" },
            "artifacts": ["a"],
            "metrics": { "tokens": 5 },
            "validation_result": {
                "status": "ok", "score": 1, "metadata": null,
                "issues": [{ "type": "t", "severity": "low", "message": "m", "line": 3 }],
            },
            "sandbox_result": {
                "exit_code": 1, "stdout": "", "stderr": "", "execution_time": 0, "artifacts": null,
                "resource_usage": { "cpu_time": 7, "memory_used": 0, "disk_used": 0, "network_io": 0 },
            },
        })
    );
    assert_eq!(result.usage().map(|usage| usage.cpu_time), Some(7));
    let own = result_of(&json!({ "resource_usage": { "memory_used": 9 }, "sandbox_result": { "resource_usage": {} } }));
    assert_eq!(own.usage().map(|usage| usage.memory_used), Some(9));
    assert_eq!(result_of(&json!({ "output": "x" })).usage(), None);
}

#[test]
fn any_other_answer_is_the_output() {
    for (answer, output) in [
        (json!(null), ""),
        (json!("text"), "text"),
        (json!(12), "12"),
        (json!({ "a": 1 }), r#"{"a":1}"#),
        (json!({ "output": { "a": 1 } }), r#"{"a":1}"#),
        (json!({ "output": null }), ""),
        // Fields that do not fit are no fields of a result.
        (
            json!({ "output": "x", "files": { "a": 1 } }),
            r#"{"output":"x","files":{"a":1}}"#,
        ),
        (json!({ "metrics": [] }), r#"{"metrics":[]}"#),
    ] {
        let expected = TaskResult {
            output: output.to_owned(),
            ..TaskResult::default()
        };
        assert_eq!(result_of(&answer), expected, "{answer}");
    }
}

proptest! {
    #[test]
    fn a_text_is_its_own_result_and_a_result_says_the_same_again(text in ".{0,40}", file in ".{0,10}") {
        prop_assert_eq!(result_of(&json!(text)).output, text.clone());
        let once = result_of(&json!({ "output": text, "files": { file: text } }));
        prop_assert_eq!(result_of(&serde_json::to_value(&once).unwrap()), once);
    }
}
