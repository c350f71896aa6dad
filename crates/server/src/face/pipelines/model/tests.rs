//! Keys and spellings of the answers.

use serde_json::json;

use super::super::graph::tests::pipeline;
use super::*;

const AT: Time = Time(1_732_183_200_123_456);
const WRITTEN: &str = "2024-11-21T10:00:00.123Z";

fn keys(value: &impl Serialize) -> Vec<String> {
    serde_json::to_value(value)
        .unwrap()
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

fn task_run() -> TaskRun {
    TaskRun {
        id: "trun_1".to_owned(),
        run_id: "trun_1".to_owned(),
        task_id: "ocr".to_owned(),
        pipeline_run_id: None,
        status: TaskStatus::Timeout,
        code_version: 2,
        code_hash: "0f".to_owned(),
        code_changed: None,
        attempt: 1,
        max_retries: 3,
        max_attempts: 4,
        priority: 100,
        input_path: "standalone/trun_1/input.json".to_owned(),
        output_path: None,
        output_size: None,
        assets: None,
        logs_path: None,
        error: None,
        error_code: None,
        idempotency_key: None,
        upstream_refs: json!({}),
        selected_next: None,
        previous_attempts: Vec::new(),
        scheduled_at: None,
        started_at: None,
        completed_at: None,
        last_heartbeat: None,
        progress: None,
        created_at: Stamp(AT),
        updated_at: Stamp(AT),
        metadata: json!({}),
    }
}

#[test]
fn times_have_milliseconds_and_a_z() {
    assert_eq!(Stamp(AT).to_string(), WRITTEN);
    assert_eq!(Stamp(Time(0)).to_string(), "1970-01-01T00:00:00.000Z");
}

#[test]
fn a_task_is_shown_as_it_was_registered() {
    let entry = TaskEntry {
        timeout_ms: 1_500,
        idempotency_ttl_ms: Some(60_000),
        ..TaskEntry::new("ocr", "0f")
    };
    let facts = TaskFacts {
        service_id: "pdf",
        code_version: 2,
        registered_at: AT,
        updated_at: AT,
    };
    let expected = json!({
        "id": "ocr", "serviceId": "pdf", "codeHash": "0f", "codeVersion": 2, "allowedNext": [], "timeout": 1.5,
        "retries": 3, "retryBackoff": "exponential", "retryDelayMs": 1000, "maxRetryDelayMs": 86400000,
        "heartbeatIntervalMs": 60000, "concurrency": 0, "priority": 100, "idempotencyTTL": 60,
        "registeredAt": WRITTEN, "updatedAt": WRITTEN,
    });
    assert_eq!(
        serde_json::to_value(TaskDefinition::of(&entry, facts)).unwrap(),
        expected
    );
}

#[test]
fn what_came_from_tables_has_both_spellings() {
    let row = PipelineRow::of(&pipeline("s: a -> b\ns: b", "s"), Time(0), AT);
    let shown = serde_json::to_value(&row).unwrap();
    for (snake, camel) in [
        ("entry_tasks", "entryTasks"),
        ("failure_mode", "failureMode"),
        ("created_at", "createdAt"),
        ("updated_at", "updatedAt"),
    ] {
        assert!(!shown[snake].is_null(), "{snake}");
        assert_eq!(shown[snake], shown[camel]);
    }
    assert_eq!(
        (&shown["entry_tasks"], &shown["failure_mode"]),
        (&json!(["a"]), &json!("fail-fast"))
    );
    assert_eq!(
        (&shown["name"], &shown["source"], &shown["updated_at"]),
        (&json!("s"), &json!("service"), &json!(WRITTEN))
    );
    assert_eq!(
        shown["structure"],
        json!({ "a": { "allowedNext": ["b"] }, "b": { "allowedNext": [] } })
    );
    let version = CodeVersion {
        code_version: 2,
        code_hash: "0f".to_owned(),
        service_version: "1.0".to_owned(),
        recorded_at: AT,
    };
    let expected = json!({
        "code_version": 2, "codeVersion": 2, "code_hash": "0f", "codeHash": "0f", "service_version": "1.0",
        "serviceVersion": "1.0", "recorded_at": WRITTEN, "recordedAt": WRITTEN,
    });
    assert_eq!(serde_json::to_value(version).unwrap(), expected);
}

#[test]
fn a_task_run_leaves_out_what_it_has_not_and_keeps_what_is_always_there() {
    let always = [
        "id",
        "runId",
        "taskId",
        "status",
        "codeVersion",
        "codeHash",
        "attempt",
        "maxRetries",
        "maxAttempts",
        "priority",
        "inputPath",
        "upstreamRefs",
        "selectedNext",
        "previousAttempts",
        "createdAt",
        "updatedAt",
        "metadata",
    ];
    assert_eq!(keys(&task_run()), always);
    let full = TaskRun {
        pipeline_run_id: Some("prun_1".to_owned()),
        code_changed: Some(true),
        output_path: Some("o".to_owned()),
        output_size: Some(Number::from(3)),
        assets: Some(json!({})),
        logs_path: Some("l".to_owned()),
        error: Some("e".to_owned()),
        error_code: Some("E".to_owned()),
        idempotency_key: Some("k".to_owned()),
        scheduled_at: Some(Stamp(AT)),
        started_at: Some(Stamp(AT)),
        completed_at: Some(Stamp(AT)),
        last_heartbeat: Some(Stamp(AT)),
        progress: Some(Progress {
            progress: Some(50.0),
            message: Some("half".to_owned()),
        }),
        previous_attempts: vec![PreviousAttempt {
            attempt: 1,
            error: "late".to_owned(),
            error_code: None,
            timestamp: Stamp(AT),
        }],
        ..task_run()
    };
    let shown = keys(&full);
    for key in [
        "pipelineRunId",
        "codeChanged",
        "outputPath",
        "outputSize",
        "assets",
        "logsPath",
        "error",
        "errorCode",
        "idempotencyKey",
        "scheduledAt",
        "startedAt",
        "completedAt",
        "lastHeartbeat",
        "progress",
    ] {
        assert!(shown.iter().any(|shown| shown == key), "{key}");
    }
    let shown = serde_json::to_value(&full).unwrap();
    assert_eq!(shown["status"], "timeout");
    assert_eq!(shown["progress"], json!({ "progress": 50.0, "message": "half" }));
    assert_eq!(
        shown["previousAttempts"],
        json!([{ "attempt": 1, "error": "late", "timestamp": WRITTEN }])
    );
}

#[test]
fn services_runs_and_dead_letters_have_the_keys_of_the_contract() {
    let service = Service {
        id: "pdf".to_owned(),
        service_id: "pdf".to_owned(),
        version: "1.0".to_owned(),
        base_url: "http://localhost:1".to_owned(),
        status: Liveness::Active,
        registered_at: Stamp(AT),
        last_heartbeat: None,
        task_count: 0,
        tasks: None,
    };
    let of_service = [
        "id",
        "serviceId",
        "version",
        "baseUrl",
        "status",
        "registeredAt",
        "lastHeartbeat",
        "taskCount",
    ];
    assert_eq!(keys(&service), of_service);
    assert_eq!(serde_json::to_value(&service).unwrap()["status"], "active");
    let run = PipelineRun {
        id: "prun_1".to_owned(),
        pipeline_run_id: "prun_1".to_owned(),
        pipeline_id: "pdf".to_owned(),
        status: PipelineStatus::Partial,
        failure_mode: FailureMode::PartialMerge,
        input_path: "pipelines/prun_1/input.json".to_owned(),
        output_path: None,
        structure_snapshot: json!({}),
        pipeline_version: "1".to_owned(),
        error: None,
        started_at: None,
        completed_at: None,
        created_at: Stamp(AT),
        updated_at: Stamp(AT),
        metadata: json!({}),
    };
    let of_run = [
        "id",
        "pipelineRunId",
        "pipelineId",
        "status",
        "failureMode",
        "inputPath",
        "structureSnapshot",
        "pipelineVersion",
        "createdAt",
        "updatedAt",
        "metadata",
    ];
    assert_eq!(keys(&run), of_run);
    assert_eq!(serde_json::to_value(&run).unwrap()["status"], "partial");
    let letter = DeadLetter {
        id: "dlq_1".to_owned(),
        task_run_id: "trun_1".to_owned(),
        task_id: "ocr".to_owned(),
        pipeline_run_id: None,
        pipeline_id: None,
        code_version: 1,
        code_hash: "0f".to_owned(),
        error: "it broke".to_owned(),
        error_code: None,
        attempts: 4,
        failed_at: Stamp(AT),
        input: json!({ "x": 1 }),
        input_path: "standalone/trun_1/input.json".to_owned(),
        upstream_refs: json!({}),
        previous_attempts: Vec::new(),
        retried_at: None,
        retry_run_id: None,
    };
    let of_letter = [
        "id",
        "taskRunId",
        "taskId",
        "codeVersion",
        "codeHash",
        "error",
        "attempts",
        "failedAt",
        "input",
        "inputPath",
        "upstreamRefs",
        "previousAttempts",
    ];
    assert_eq!(keys(&letter), of_letter);
}
