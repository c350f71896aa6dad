//! Requests as Go clients write them, and as people do.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(body: &Value) -> Workflow {
    parse(body.to_string().as_bytes(), "acme").unwrap_or_else(|error| panic!("{body}: {error}"))
}

fn error(body: &str) -> String {
    parse(body.as_bytes(), "acme").expect_err(body)
}

/// The least that is accepted, with something more.
fn with(more: Value) -> Value {
    let mut body = json!({ "intent_id": "i", "tasks": [{ "id": "a" }] });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn refused(more: Value) -> String {
    error(&with(more).to_string())
}

#[test]
fn the_least_that_is_accepted_gets_the_defaults_and_is_echoed_in_gos_shape() {
    let echoed = read(&with(json!({ "metadata": { "tenant_id": "mine", "a": 1 } }))).to_context();
    assert_eq!(
        echoed,
        json!({
            "tenant": "acme",
            "intent_id": "i",
            "tasks": [{
                "id": "a", "type": "", "description": "", "dependencies": null, "priority": "", "agent_type": "",
                "parameters": null, "timeout": 0, "retries": 0, "metadata": null, "status": "",
                "created_at": "0001-01-01T00:00:00Z",
            }],
            "dependencies": null,
            "configuration": {
                "max_concurrency": 4, "timeout": 1_800_000_000_000i64, "failure_policy": "abort",
                "retry_policy": { "max_retries": 0, "initial_delay": 0, "max_delay": 0, "backoff_factor": 0 },
                "notification_policy": "", "enable_hitl": false, "validation_level": "",
            },
            "context": {
                "project_type": "", "tech_stack": null, "requirements": null, "constraints": null, "environment": "",
                "region": "",
            },
            "metadata": { "tenant_id": "acme", "a": 1 },
        })
    );
}

#[test]
fn everything_that_is_said_comes_back() {
    let task = json!({
        "id": "a", "type": "codegen", "description": "d", "dependencies": ["b"], "priority": "high", "agent_type": "x",
        "parameters": { "deep": [1, { "x": null }] }, "timeout": 300, "retries": 2, "metadata": { "k": "v" },
        "status": "pending", "created_at": "2024-01-01T00:00:00.5Z", "started_at": "2024-01-01T00:00:01Z",
        "completed_at": "2024-01-01T00:00:02+01:00",
    });
    let edges = json!([{ "from": "a", "to": "b", "type": "data" }]);
    let configuration = json!({
        "max_concurrency": 1, "timeout": 5, "failure_policy": "retry",
        "retry_policy": { "max_retries": 2, "initial_delay": 1, "max_delay": 2, "backoff_factor": 2 },
        "notification_policy": "none", "enable_hitl": true, "validation_level": "strict",
    });
    let context = json!({
        "project_type": "web", "tech_stack": ["go"], "requirements": [], "constraints": { "k": "v" },
        "environment": "dev", "region": "eu", "budget": { "max_cost": 1.5, "currency": "EUR", "period": "month" },
    });
    let echoed = read(&with(json!({
        "intent_text": "dropped", "tasks": [task], "dependencies": edges, "configuration": configuration,
        "context": context,
    })));
    assert_eq!(Workflow::of_context(&echoed.to_context()).unwrap(), echoed);
    let echoed = echoed.to_context();
    assert_eq!(echoed["tasks"][0], task);
    assert_eq!(echoed["dependencies"], edges);
    assert_eq!(echoed["configuration"], configuration);
    assert_eq!(echoed["context"], context);
    assert!(echoed.get("intent_text").is_none());
}

#[test]
fn what_the_go_client_sends_for_unset_fields_is_accepted() {
    let task = json!({
        "id": "a", "type": "", "description": "", "dependencies": null, "priority": "", "agent_type": "",
        "parameters": null, "timeout": 0, "retries": 0, "metadata": null, "status": "",
        "created_at": "0001-01-01T00:00:00Z",
    });
    let unset = json!({
        "intent_text": "", "tasks": [task], "dependencies": null, "metadata": null, "context": null,
        "configuration": { "retry_policy": null, "failure_policy": "", "max_concurrency": 0, "timeout": 0 },
    });
    assert_eq!(read(&with(unset)), read(&with(json!({}))));
}

#[test]
fn names_match_without_regard_to_case_unknown_ones_are_ignored_and_what_follows_is_not_read() {
    let body = r#" {"Intent_ID":"i","TASKS":[{"ID":"a","Retries":2}, null],"new":[{}]} garbage"#;
    let workflow = parse(body.as_bytes(), "t").unwrap();
    assert_eq!((workflow.intent_id.as_str(), workflow.tasks[0].retries), ("i", 2));
    let null = with(json!({ "tasks": [{ "id": "a", "dependencies": [null] }] }));
    assert_eq!(read(&null).tasks[0].own_dependencies(), [""]);
    // Null is the zero task, and the graph is what has something against it.
    assert_eq!(workflow.tasks[1], Task::default());
}

#[test]
fn what_is_missing_is_named_in_the_originals_words() {
    assert_eq!(error("{}"), "intent_id is required");
    assert_eq!(error("null"), "intent_id is required");
    assert_eq!(error(r#"{"intent_id":"i"}"#), "at least one task is required");
    assert_eq!(
        error(r#"{"intent_id":"i","tasks":[]}"#),
        "at least one task is required"
    );
    assert_eq!(parse_graph(b"{}"), Err("at least one task is required".to_owned()));
}

#[test]
fn a_body_that_is_no_json_is_refused_in_gos_words() {
    for (body, text) in [
        ("", "EOF"),
        (" \n", "EOF"),
        ("{", "unexpected EOF"),
        (r#"{"intent_id":"i"#, "unexpected EOF"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("{x", "invalid character 'x' looking for beginning of object key string"),
        (r#"{"a" 1}"#, "invalid character '1' after object key"),
        (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        (
            "{\n  \"a\": ü\n}",
            "invalid character 'ü' looking for beginning of value",
        ),
        (
            "[]",
            "json: cannot unmarshal array into Go value of type models.ExecuteWorkflowRequest",
        ),
    ] {
        assert_eq!(error(body), format!("invalid request body: {text}"), "{body}");
    }
    assert_eq!(error(&"[".repeat(100_000)), "invalid request body: exceeded max depth");
}

#[test]
fn a_wrong_type_is_named_with_its_field_as_go_names_it() {
    for (more, text) in [
        (
            json!({ "tasks": [{ "id": "a" }, { "timeout": "30s" }] }),
            "string into Go struct field Task.tasks.timeout of type time.Duration",
        ),
        (
            json!({ "configuration": { "timeout": "30s" } }),
            "string into Go struct field WorkflowConfiguration.configuration.timeout of type time.Duration",
        ),
        (
            json!({ "configuration": { "retry_policy": { "initial_delay": "1s" } } }),
            "string into Go struct field RetryPolicy.configuration.retry_policy.initial_delay of type time.Duration",
        ),
        (
            json!({ "tasks": [{ "retries": 1.5 }] }),
            "number 1.5 into Go struct field Task.tasks.retries of type int",
        ),
        (
            json!({ "tasks": [{ "metadata": { "k": 1 } }] }),
            "number into Go struct field Task.tasks.metadata of type string",
        ),
        (
            json!({ "tasks": [{ "dependencies": "a" }] }),
            "string into Go struct field Task.tasks.dependencies of type []string",
        ),
        (
            json!({ "tasks": {} }),
            "object into Go struct field ExecuteWorkflowRequest.tasks of type []models.Task",
        ),
        (
            json!({ "tasks": ["a"] }),
            "string into Go struct field ExecuteWorkflowRequest.tasks of type models.Task",
        ),
        (
            json!({ "configuration": { "enable_hitl": 1 } }),
            "number into Go struct field WorkflowConfiguration.configuration.enable_hitl of type bool",
        ),
        (
            json!({ "intent_text": [] }),
            "array into Go struct field ExecuteWorkflowRequest.intent_text of type string",
        ),
        (
            json!({ "context": { "budget": { "max_cost": true } } }),
            "bool into Go struct field BudgetConstraints.context.budget.max_cost of type float64",
        ),
    ] {
        assert_eq!(
            refused(more),
            format!("invalid request body: json: cannot unmarshal {text}")
        );
    }
    let first = refused(json!({ "tasks": [{ "retries": "x", "priority": 1 }], "metadata": 1 }));
    assert!(first.contains("Task.tasks.priority of type string"), "{first}");
    let time = refused(json!({ "tasks": [{ "id": "a", "created_at": "yesterday" }] }));
    assert!(
        time.starts_with("invalid request body: parsing time \"yesterday\""),
        "{time}"
    );
}

#[test]
fn what_is_not_supported_is_refused_with_its_field_and_all_at_once() {
    for (more, text) in [
        (
            json!({ "configuration": { "failure_policy": "panic" } }),
            "configuration.failure_policy: \"panic\"",
        ),
        (
            json!({ "configuration": { "validation_level": "BASIC" } }),
            "configuration.validation_level: \"BASIC\"",
        ),
        (
            json!({ "configuration": { "notification_policy": "all" } }),
            "configuration.notification_policy: \"all\"",
        ),
        (
            json!({ "configuration": { "max_concurrency": -1 } }),
            "configuration.max_concurrency: must not be negative",
        ),
        (
            json!({ "configuration": { "max_concurrency": 5_000_000_000i64 } }),
            "configuration.max_concurrency: must be at",
        ),
        (
            json!({ "configuration": { "timeout": -1 } }),
            "configuration.timeout: must not be negative, and is -1",
        ),
        (
            json!({ "configuration": { "retry_policy": { "max_retries": -1 } } }),
            "retry_policy.max_retries: must not",
        ),
        (
            json!({ "configuration": { "retry_policy": { "initial_delay": -1 } } }),
            "retry_policy.initial_delay: must not",
        ),
        (
            json!({ "configuration": { "retry_policy": { "max_delay": -1 } } }),
            "retry_policy.max_delay: must not",
        ),
        (
            json!({ "configuration": { "retry_policy": { "backoff_factor": 1.5 } } }),
            "backoff_factor: 1.5 is not supported",
        ),
        (
            json!({ "configuration": { "retry_policy": { "backoff_factor": -1 } } }),
            "backoff_factor: -1 is not supported",
        ),
        (
            json!({ "tasks": [{ "id": "a", "timeout": -1 }] }),
            "tasks[0].timeout: must not be negative",
        ),
        (
            json!({ "tasks": [{ "id": "a", "retries": -1 }] }),
            "tasks[0].retries: must not be negative",
        ),
        (
            json!({ "tasks": [{ "id": "a", "retries": 1_001 }] }),
            "tasks[0].retries: must be at most 1000",
        ),
        (
            json!({ "tasks": [{ "id": "a", "priority": "soon" }] }),
            "tasks[0].priority: \"soon\" is not supported",
        ),
        (
            json!({ "tasks": [{ "id": "a\u{0}" }] }),
            "tasks[0].id: must not contain",
        ),
        (
            json!({ "intent_id": "i".repeat(201) }),
            "intent_id: must have at most 200 bytes",
        ),
    ] {
        let error = refused(more);
        assert!(error.contains(text), "{text}: {error}");
    }
    let both = refused(json!({ "configuration": { "timeout": -1, "failure_policy": "x" } }));
    assert_eq!(both.matches("; ").count(), 1, "{both}");
    let many: Vec<Value> = (0..100).map(|_| json!({ "id": "a", "timeout": -1 })).collect();
    assert!(refused(json!({ "tasks": many.clone() })).ends_with("; and 80 more"));
    let graph = json!({ "tasks": many }).to_string();
    assert!(
        parse_graph(graph.as_bytes())
            .unwrap_err()
            .starts_with("tasks[0].timeout: must")
    );
}

#[test]
fn priorities_are_words_or_numbers() {
    let rank = |priority: &str| {
        Task {
            priority: priority.to_owned(),
            ..Task::default()
        }
        .rank()
    };
    for (word, expected) in [
        ("", Some(5)),
        ("high", Some(10)),
        ("HIGH", Some(10)),
        ("medium", Some(5)),
        ("low", Some(0)),
        ("-3", Some(-3)),
        ("7", Some(7)),
        ("1.5", None),
        ("99999999999", None),
        ("urgent", None),
    ] {
        assert_eq!(rank(word), expected, "{word}");
    }
}

#[test]
fn a_control_may_have_no_body() {
    assert_eq!(parse_control(b""), Ok(Control::default()));
    assert_eq!(parse_control(b"{}"), Ok(Control::default()));
    let said = parse_control(br#"{"reason":"r","force":true,"task_id":"a"}"#).unwrap();
    assert_eq!(
        (said.reason.as_str(), said.force, said.task_id.as_str()),
        ("r", true, "a")
    );
    assert_eq!(
        parse_control(b"{"),
        Err("invalid request body: unexpected EOF".to_owned())
    );
    assert!(
        parse_control(br#"{"force":"yes"}"#)
            .unwrap_err()
            .contains("ControlRequest.force of type bool")
    );
}

/// Any JSON, mostly made of names that mean something.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,5}".prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "intent_id",
        "tasks",
        "id",
        "dependencies",
        "from",
        "to",
        "configuration",
        "timeout",
        "retries",
        "priority",
        "metadata",
        "context",
        "budget",
        "retry_policy",
        "backoff_factor",
        "created_at",
        "TYPE",
        "other",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&body, "t");
        let _ = parse_graph(&body);
        let _ = parse_control(&body);
    }

    #[test]
    fn cutting_a_body_short_anywhere_is_an_error_and_no_panic(value in values(), at in any::<prop::sample::Index>()) {
        let text = with(json!({ "x": value })).to_string();
        let at = at.index(text.len());
        prop_assert!(parse(&text.as_bytes()[..at], "t").is_err());
    }

    #[test]
    fn whatever_is_accepted_survives_being_stored(value in values()) {
        let mut body = value;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("intent_id".to_owned(), "i".into());
            fields.entry("tasks").or_insert_with(|| json!([{ "id": "a" }]));
        }
        if let Ok(workflow) = parse(body.to_string().as_bytes(), "t") {
            let stored = serde_json::to_string(&workflow.to_context()).unwrap();
            let back = Workflow::of_context(&serde_json::from_str(&stored).unwrap()).unwrap();
            prop_assert_eq!(back, workflow);
        }
    }
}
