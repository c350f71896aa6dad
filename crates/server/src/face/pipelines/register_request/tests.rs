//! What a registration may leave out, and what it may not say.

use serde_json::json;

use super::*;

const MAX_DELAY_MS: u64 = 7_000;

fn body(task: Value) -> Value {
    json!({ "serviceId": "pdf", "version": "1.2.0", "baseUrl": "http://localhost:3001/", "tasks": [task] })
}

fn read_task(task: Value) -> TaskEntry {
    let registration = Registration::read(&body(task), MAX_DELAY_MS).map_err(|found| found.details().to_string());
    registration.unwrap().tasks.remove(0)
}

/// What is said about one field of the only task.
fn said(field: &str, value: Value) -> String {
    let mut task = json!({ "id": "a", "codeHash": "0123456789abcdef" });
    task[field] = value;
    said_at(&body(task), &format!("/tasks/0/{field}"))
}

fn said_at(body: &Value, path: &str) -> String {
    let details = match Registration::read(body, MAX_DELAY_MS) {
        Ok(_) => return "nothing".to_owned(),
        Err(found) => found.details(),
    };
    let errors = details.pointer(&format!("{path}/_errors")).cloned().unwrap_or_default();
    errors.as_array().map_or(details.to_string(), |errors| {
        errors.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" & ")
    })
}

#[test]
fn a_task_with_nothing_but_an_id_and_a_hash_gets_the_defaults_of_the_sdk() {
    let read = Registration::read(&body(json!({ "id": "a", "codeHash": "0f" })), MAX_DELAY_MS).unwrap();
    assert_eq!((read.service_id.as_str(), read.version.as_str()), ("pdf", "1.2.0"));
    assert_eq!(read.base_url, "http://localhost:3001");
    let task = TaskEntry {
        max_retry_delay_ms: MAX_DELAY_MS,
        ..TaskEntry::new("a", "0f")
    };
    assert_eq!(read.tasks, [task]);
}

#[test]
fn everything_that_the_sdk_sends_is_taken_over() {
    let schema = json!({ "fields": [{ "name": "x", "type": "string", "label": "X" }] });
    let task = read_task(json!({
        "id": "ocr", "codeHash": "0123456789abcdef", "allowedNext": ["b", "c", "b"], "timeout": 1.5, "retries": 0,
        "retryBackoff": "fixed", "retryDelayMs": 0.2, "maxRetryDelayMs": 86400000, "heartbeatIntervalMs": 50,
        "concurrency": 4.0, "priority": 9.6, "idempotencyTTL": 60, "description": "reads", "inputSchema": schema,
        "unheardOf": true,
    }));
    let expected = TaskEntry {
        id: "ocr".to_owned(),
        code_hash: "0123456789abcdef".to_owned(),
        allowed_next: vec!["b".to_owned(), "c".to_owned()],
        timeout_ms: 1_500,
        retries: 0,
        retry_backoff: Backoff::Fixed,
        retry_delay_ms: 1,
        max_retry_delay_ms: 86_400_000,
        heartbeat_interval_ms: 50,
        concurrency: 4,
        priority: 10,
        idempotency_ttl_ms: Some(60_000),
        description: Some("reads".to_owned()),
        input_schema: Some(schema),
    };
    assert_eq!(task, expected);
    let stored = serde_json::to_string(&task).unwrap();
    assert_eq!(serde_json::from_str::<TaskEntry>(&stored).unwrap(), expected);
}

#[test]
fn null_counts_as_absent_where_a_field_may_be_absent() {
    let task =
        read_task(json!({ "id": "a", "codeHash": "0f", "timeout": null, "description": null, "allowedNext": null }));
    assert_eq!(task.timeout_ms, 300_000);
    assert_eq!(said("id", Value::Null), "Expected string, received null");
}

#[test]
fn priorities_beyond_the_range_are_as_far_as_it_goes() {
    for (written, kept) in [(1e300, i32::MAX), (-1e300, i32::MIN), (-2.5, -3), (0.4, 0)] {
        let task = json!({ "id": "a", "codeHash": "0f", "priority": written });
        assert_eq!(read_task(task).priority, kept);
    }
}

#[test]
fn wrong_types_and_ranges_are_told_in_the_words_of_zod() {
    assert_eq!(said("timeout", json!("5")), "Expected number, received string");
    assert_eq!(said("timeout", json!(0)), "Number must be greater than 0");
    assert_eq!(
        said("timeout", json!(1e12)),
        "Number must be less than or equal to 315576000"
    );
    assert_eq!(said("retries", json!(-1)), "Number must be greater than or equal to 0");
    assert_eq!(said("retries", json!(1.5)), "Expected integer, received float");
    assert_eq!(said("retryDelayMs", json!(0)), "Number must be greater than 0");
    assert_eq!(said("concurrency", json!(true)), "Expected number, received boolean");
    assert_eq!(said("priority", json!("high")), "Expected number, received string");
    let backoff = "Invalid enum value. Expected 'fixed' | 'exponential', received 'linear'";
    assert_eq!(said("retryBackoff", json!("linear")), backoff);
    assert_eq!(said("inputSchema", json!([])), "Expected object, received array");
    assert_eq!(
        said("codeHash", json!("")),
        "String must contain at least 1 character(s)"
    );
    assert_eq!(said("allowedNext", json!("b")), "Expected array, received string");
}

#[test]
fn only_ids_that_are_safe_in_a_path_are_taken() {
    for id in ["a b", "a/b", "ä", "%41", "a?b", ".", ".."] {
        assert!(said("id", json!(id)).starts_with("Task ids consist of"), "{id}");
    }
    assert_eq!(said("id", json!("")), "String must contain at least 1 character(s)");
    assert_eq!(
        said("id", json!("a".repeat(256))),
        "String must contain at most 255 character(s)"
    );
    for id in ["a".repeat(255).as_str(), "A_9.~-", "...", "0"] {
        assert_eq!(said("id", json!(id)), "nothing", "{id}");
    }
    let mut next = body(json!({ "id": "a", "codeHash": "0f", "allowedNext": ["b", "c/d", 1] }));
    assert!(said_at(&next, "/tasks/0/allowedNext/1").starts_with("Task ids consist of"));
    assert_eq!(
        said_at(&next, "/tasks/0/allowedNext/2"),
        "Expected string, received number"
    );
    next["tasks"][0]["allowedNext"] = json!(["b"]);
    assert_eq!(said_at(&next, ""), "nothing");
}

#[test]
fn a_task_that_is_named_twice_is_refused_with_its_id() {
    let mut twice = body(json!({ "id": "a", "codeHash": "0f" }));
    let copy = twice["tasks"][0].clone();
    twice["tasks"].as_array_mut().unwrap().push(copy);
    assert_eq!(said_at(&twice, "/tasks/1/id"), "Duplicate task id 'a'");
}

#[test]
fn the_address_is_plain_http() {
    let said = |url: &str| {
        let mut body = body(json!({ "id": "a", "codeHash": "0f" }));
        body["baseUrl"] = json!(url);
        said_at(&body, "/baseUrl")
    };
    for url in [
        "",
        "localhost:3000",
        "ftp://host",
        "http://",
        "/tasks",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ] {
        assert_eq!(said(url), "Invalid url", "{url}");
    }
    assert_eq!(
        said("http://me:secret@host"),
        "Invalid url: it must not contain credentials"
    );
    assert!(said("http://host?a=b").starts_with("Invalid url: paths are appended"));
    assert!(said("http://host/#a").starts_with("Invalid url: paths are appended"));
    for url in [
        "http://localhost:1",
        "https://w.example.com/base/path/",
        "http://[::1]:3000",
    ] {
        assert_eq!(said(url), "nothing", "{url}");
    }
}

#[test]
fn counts_and_depths_are_bounded() {
    let mut deep = json!({});
    for _ in 0..MAX_SCHEMA_DEPTH + 1 {
        deep = json!({ "a": deep });
    }
    assert_eq!(
        said("inputSchema", deep.clone()),
        "Schema must not be nested deeper than 32"
    );
    assert_eq!(said("inputSchema", deep["a"].clone()), "nothing");
    let mut many = body(json!({ "id": "a", "codeHash": "0f" }));
    many["tasks"] = (0..=MAX_TASKS)
        .map(|nth| json!({ "id": format!("t{nth}"), "codeHash": "0f" }))
        .collect();
    assert_eq!(said_at(&many, "/tasks"), "Array must contain at most 10000 element(s)");
    many["tasks"].as_array_mut().unwrap().pop();
    assert_eq!(said_at(&many, ""), "nothing");
}

#[test]
fn all_faults_are_told_at_once() {
    let body = json!({ "version": 1, "baseUrl": "x", "tasks": [1, { "id": "a" }] });
    let details = Registration::read(&body, MAX_DELAY_MS).unwrap_err().details();
    let tree = json!({
        "_errors": [],
        "serviceId": { "_errors": ["Required"] },
        "version": { "_errors": ["Expected string, received number"] },
        "baseUrl": { "_errors": ["Invalid url"] },
        "tasks": {
            "_errors": [],
            "0": { "_errors": ["Expected object, received number"] },
            "1": { "_errors": [], "codeHash": { "_errors": ["Required"] } },
        },
    });
    assert_eq!(details, tree);
    assert_eq!(said_at(&json!([]), ""), "Expected object, received array");
}
