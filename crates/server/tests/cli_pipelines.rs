//! The commands for pipelines, against a server that gives the answers of the contract.

mod cli;

use cli::Place;
use cli::stub::Stub;
use serde_json::{Value, json};

fn started() -> Value {
    json!({"pipelineRunId": "prun_1", "status": "running", "inputPath": "pipelines/prun_1/input.json",
        "entryTasks": ["download"], "queuedTasks": ["trun_1"]})
}

fn run(status: &str, tasks: &Value) -> Value {
    json!({"run": {"id": "prun_1", "pipelineRunId": "prun_1", "pipelineId": "pdf", "status": status,
        "createdAt": "2026-01-01T00:00:00.000Z",
        "completedAt": (status != "running").then_some("2026-01-01T00:00:04.000Z")}, "tasks": tasks})
}

fn task(id: &str, status: &str, error: Option<&str>) -> Value {
    json!({"id": format!("trun_{id}"), "taskId": id, "status": status, "attempt": 1, "error": error,
        "outputPath": (status == "completed").then(|| format!("runs/trun_{id}/output.json"))})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_trigger_prints_the_id_of_the_run_and_sends_what_was_given() {
    let stub = Stub::start()
        .await
        .on("POST /api/pipelines/pdf/trigger", 200, started());
    let printed = stub.quintet(&["pipelines", "trigger", "pdf", "-i", r#"{"url": "x"}"#]);
    assert_eq!(printed.ok(), "prun_1\n");
    stub.place.file("input.json", r#"["a", 1]"#);
    let all = [
        "pipelines",
        "trigger",
        "pdf",
        "-f",
        "input.json",
        "-p",
        "-5",
        "--failure-mode",
        "partial-merge",
        "--validation-mode",
        "strict",
        "--idempotency-key",
        "order-7",
        "--token",
        "secret",
        "--json",
    ];
    assert_eq!(stub.quintet(&all).json(), started());
    stub.quintet(&["pipelines", "trigger", "pdf"]).ok();
    assert_eq!(
        stub.asked(),
        [
            r#"POST /api/pipelines/pdf/trigger {"input":{"url":"x"}}"#,
            r#"POST /api/pipelines/pdf/trigger {"input":["a",1],"priority":-5,"failureMode":"partial-merge","validationMode":"strict"} key=order-7 auth=Bearer secret"#,
            r#"POST /api/pipelines/pdf/trigger {"input":{}}"#,
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_is_followed_to_its_end_across_a_restart_and_each_change_is_told_once() {
    let stub = Stub::start()
        .await
        .on("POST /api/pipelines/pdf/trigger", 200, started())
        .on(
            "GET /api/runs/prun_1",
            200,
            run("running", &json!([task("download", "running", None)])),
        )
        .on(
            "GET /api/runs/prun_1",
            200,
            run("running", &json!([task("download", "running", None)])),
        )
        .on("GET /api/runs/prun_1", 503, json!({"error": "starting"}))
        .on(
            "GET /api/runs/prun_1",
            200,
            run(
                "completed",
                &json!([task("download", "completed", None), task("mail", "completed", None)]),
            ),
        );
    let done = stub.quintet(&["pipelines", "trigger", "pdf", "--wait"]);
    assert_eq!(
        done.err,
        "prun_1 started\ndownload running\ndownload completed\nmail completed\n"
    );
    let shown = done.ok();
    assert!(
        shown.contains("status    completed\n") && shown.contains("took      4.0s\n"),
        "{shown}"
    );
    assert!(shown.contains("runs/trun_mail/output.json"), "{shown}");
    assert_eq!(stub.asked().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_that_ends_in_anything_but_success_is_exit_code_1() {
    for status in ["failed", "cancelled", "partial"] {
        let tasks = json!([task("download", "failed", Some("Error: boom"))]);
        let stub = Stub::start()
            .await
            .on("POST /api/pipelines/pdf/trigger", 200, started())
            .on("GET /api/runs/prun_1", 200, run(status, &tasks));
        let done = stub.quintet(&["pipelines", "trigger", "pdf", "--wait", "--json"]);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.err.contains("download failed: Error: boom"), "{}", done.err);
        assert_eq!(serde_json::from_str::<Value>(&done.out).unwrap(), run(status, &tasks));
        let watched = stub.quintet(&["pipelines", "status", "prun_1", "--watch"]);
        assert_eq!(watched.code, 1, "{watched:?}");
        assert_eq!(stub.quintet(&["pipelines", "status", "prun_1"]).code, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_input_that_is_refused_is_bad_input_with_every_finding() {
    let found = json!([{"field": "url", "message": "Required", "code": "invalid_type"},
        {"field": "", "message": "Unrecognized key(s) in object: 'a'", "code": "unrecognized_keys"}]);
    let trigger = "POST /api/pipelines/pdf/trigger";
    let strict = json!({"error": "Input validation failed", "validationErrors": {"download": found}});
    let refused = Stub::start().await.on(trigger, 400, strict);
    let refused = refused.quintet(&["pipelines", "trigger", "pdf"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert_eq!(
        refused.err,
        "error: Input validation failed\n  download: url: Required\n  download: Unrecognized key(s) in object: 'a'\n"
    );
    let mut warned = started();
    warned["validationWarnings"] = json!({"download": found});
    let warned = Stub::start().await.on(trigger, 200, warned);
    let warned = warned.quintet(&["pipelines", "trigger", "pdf"]);
    assert!(
        warned.err.starts_with("warning: download: url: Required\n"),
        "{warned:?}"
    );
    assert_eq!(warned.ok(), "prun_1\n");
    let broken = Stub::start().await.quintet(&["pipelines", "trigger", "pdf", "-i", "{"]);
    assert_eq!(broken.code, 2, "{broken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn refusals_say_what_can_be_done() {
    let stub = Stub::start()
        .await
        .on(
            "POST /api/pipelines/x/trigger",
            404,
            json!({"error": "Pipeline not found", "pipelineId": "x"}),
        )
        .on(
            "POST /api/pipelines/busy/trigger",
            503,
            json!({"error": "Orchestrator is in maintenance mode"}),
        )
        .on(
            "POST /api/dlq/dlq_1/retry",
            409,
            json!({"error": "Already retried", "message": "as trun_9"}),
        )
        .on(
            "GET /api/services/x",
            404,
            json!({"error": "Service not found", "serviceId": "x"}),
        );
    let unknown = stub.quintet(&["pipelines", "trigger", "x"]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(
        unknown.err.contains("Pipeline not found") && unknown.err.contains("`quintet pipelines list`"),
        "{unknown:?}"
    );
    let busy = stub.quintet(&["pipelines", "trigger", "busy"]);
    assert_eq!(busy.code, 1, "{busy:?}");
    assert!(busy.err.contains("maintenance mode"), "{busy:?}");
    let twice = stub.quintet(&["dlq", "retry", "dlq_1"]);
    assert_eq!(twice.code, 1, "{twice:?}");
    assert!(twice.err.contains("Already retried: as trun_9"), "{twice:?}");
    assert!(
        stub.quintet(&["services", "show", "x"])
            .err
            .contains("`quintet services list`")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dry_run_prints_the_plan_or_what_is_wrong() {
    let plan = json!({"valid": true, "errors": [], "warnings": ["Task 'b' has concurrency limit of 2"],
        "executionPlan": [{"step": 0, "tasks": ["a"], "type": "entry"}, {"step": 1, "tasks": ["b", "c"], "type": "parallel"},
            {"step": 2, "tasks": ["d"], "type": "join", "waitsFor": ["b", "c"]}]});
    let cycle = json!({"valid": false, "errors": ["Cycle detected: a -> b -> a"], "warnings": [], "executionPlan": []});
    let stub = Stub::start()
        .await
        .on("POST /api/pipelines/pdf/dry-run", 200, plan.clone())
        .on("POST /api/pipelines/round/dry-run", 200, cycle);
    let printed = stub.quintet(&["pipelines", "dry-run", "pdf", "-i", r#"{"n": 1}"#]).ok();
    assert_eq!(
        printed,
        "✓ Pipeline 'pdf' validated\n\nExecution plan:\n  1. a (entry)\n  2. b, c (parallel)\n  \
         3. d (join, waits for: b, c)\n\nWarnings:\n  - Task 'b' has concurrency limit of 2\n"
    );
    assert_eq!(stub.asked(), [r#"POST /api/pipelines/pdf/dry-run {"input":{"n":1}}"#]);
    assert_eq!(stub.quintet(&["pipelines", "dry-run", "pdf", "--json"]).json(), plan);
    let invalid = stub.quintet(&["pipelines", "dry-run", "round"]);
    assert_eq!(invalid.code, 2, "{invalid:?}");
    assert!(
        invalid
            .out
            .contains("✗ Pipeline 'round' is invalid\n\nErrors:\n  - Cycle detected: a -> b -> a\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pipelines_and_services_are_listed_and_shown() {
    let pipeline = json!({"id": "pdf", "name": "pdf", "description": null, "entry_tasks": ["download"],
        "structure": {"download": {"allowedNext": ["text", "mail"]}, "text": {"allowedNext": []}, "mail": {"allowedNext": []}},
        "version": "1.0.0", "failure_mode": "fail-fast", "created_at": "2026-01-01T00:00:00.000Z",
        "updated_at": "2026-01-01T00:00:00.000Z", "metadata": null, "source": "service"});
    let service = json!({"id": "pdf", "serviceId": "pdf", "version": "1.2.0", "baseUrl": "http://localhost:8080",
        "status": "active", "registeredAt": "2026-01-01T00:00:00.000Z", "lastHeartbeat": null, "taskCount": 3});
    let mut whole = service.clone();
    whole["tasks"] = json!([{"id": "download", "serviceId": "pdf", "codeHash": "00", "codeVersion": 4,
        "allowedNext": ["text", "mail"], "timeout": 300, "retries": 3, "concurrency": 0, "priority": 100}]);
    let stub = Stub::start()
        .await
        .on("GET /api/pipelines", 200, json!({"pipelines": [pipeline]}))
        .on("GET /api/pipelines/pdf", 200, json!({"pipeline": pipeline}))
        .on("GET /api/services", 200, json!({"services": [service]}))
        .on("GET /api/services/pdf", 200, json!({"service": whole}));
    let list = stub.quintet(&["pipelines", "list"]).ok();
    assert!(list.contains("pdf  service  download     3      fail-fast"), "{list}");
    let listed = stub.quintet(&["pipelines", "list", "--json"]).json();
    assert_eq!(
        (&listed[0]["source"], &listed[0]["version"]),
        (&json!("service"), &json!("1.0.0"))
    );
    let shown = stub.quintet(&["pipelines", "show", "pdf"]).ok();
    assert!(shown.contains("download  first  text, mail\n"), "{shown}");
    let list = stub.quintet(&["services", "list"]).ok();
    assert!(list.contains("pdf  1.2.0    active  3 "), "{list}");
    let shown = stub.quintet(&["services", "show", "pdf"]).ok();
    assert!(
        shown.contains("download  4     text, mail  3        300 s    no limit     100\n"),
        "{shown}"
    );
    assert_eq!(
        stub.quintet(&["services", "show", "pdf", "--json"]).json()["tasks"],
        whole["tasks"]
    );
}

fn dead_letter(number: u32) -> Value {
    json!({"id": format!("dlq_{number}"), "taskRunId": format!("trun_{number}"), "taskId": "mail", "pipelineRunId": "prun_1",
        "pipelineId": "pdf", "codeVersion": 2, "codeHash": "ab", "error": "Error: boom", "errorCode": "SMTP", "attempts": 4,
        "failedAt": "2026-01-01T00:00:00.000Z", "retriedAt": null, "retryRunId": null, "input": {"to": "ann"},
        "previousAttempts": [{"attempt": 1, "error": "Error: first", "errorCode": "SMTP", "timestamp": "2026-01-01T00:00:00.000Z"}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn dead_letters_are_listed_page_by_page_and_shown_with_their_attempts() {
    let page = |from: u32, to: u32| json!({"items": (from..to).map(dead_letter).collect::<Vec<_>>(), "total": 130});
    let stub = Stub::start()
        .await
        .on("GET /api/dlq", 200, page(0, 100))
        .on("GET /api/dlq", 200, page(100, 120))
        .on("GET /api/dlq/trun_3", 200, dead_letter(3));
    let filter = [
        "dlq",
        "list",
        "--pipeline",
        "pdf",
        "--task",
        "mail",
        "--all",
        "--limit",
        "120",
    ];
    let done = stub.quintet(&filter);
    assert!(done.err.contains("130 in all"), "{}", done.err);
    let list = done.ok();
    assert_eq!(list.lines().count(), 121, "{list}");
    assert!(list.contains("dlq_119  mail (v2)  prun_1"), "{list}");
    let scope = "pipelineId=pdf&taskId=mail&includeRetried=true";
    assert_eq!(
        stub.asked(),
        [
            format!("GET /api/dlq?{scope}&limit=100&offset=0"),
            format!("GET /api/dlq?{scope}&limit=20&offset=100"),
        ]
    );
    let shown = stub.quintet(&["dlq", "show", "trun_3"]).ok();
    assert!(
        shown.contains("input         {\"to\":\"ann\"}\n") && shown.contains("Error: first"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn dead_letters_are_tried_again_and_removed() {
    let retried = json!({"newRunId": "trun_9", "status": "queued", "codeVersion": 3});
    let stub = Stub::start()
        .await
        .on("POST /api/dlq/dlq_1/retry", 200, retried.clone())
        .on(
            "POST /api/dlq/retry-all",
            200,
            json!({"retried": 2, "results": [retried, retried]}),
        )
        .on("POST /api/dlq/purge", 200, json!({"purged": 5}));
    assert_eq!(stub.quintet(&["dlq", "retry", "dlq_1"]).ok(), "trun_9\n");
    assert_eq!(
        stub.quintet(&["dlq", "retry-all", "--task", "mail"]).ok(),
        "2 tried again\n"
    );
    assert_eq!(
        stub.quintet(&["dlq", "retry-all", "--json"]).json()["results"][1],
        retried
    );
    assert_eq!(stub.quintet(&["dlq", "purge"]).ok(), "5 removed\n");
    assert_eq!(
        stub.quintet(&["dlq", "purge", "--older-than", "24h", "--json"]).json(),
        json!({"purged": 5})
    );
    assert_eq!(
        stub.asked(),
        [
            "POST /api/dlq/dlq_1/retry {}",
            r#"POST /api/dlq/retry-all {"taskId":"mail"}"#,
            "POST /api/dlq/retry-all {}",
            r#"POST /api/dlq/purge {"olderThan":"30d"}"#,
            r#"POST /api/dlq/purge {"olderThan":"24h"}"#,
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn maintenance_is_asked_for_entered_and_left() {
    let state = |mode: &str| {
        json!({"mode": mode, "canEnterMaintenance": false, "pendingTasks": 2, "runningTasks": 1,
            "modeChangedAt": "2026-01-01T00:00:00.000Z", "message": "Waiting for 3 tasks to complete"})
    };
    let stub = Stub::start()
        .await
        .on("GET /api/maintenance", 200, state("running"))
        .on("POST /api/maintenance/request", 200, state("waiting_for_maintenance"))
        .on(
            "POST /api/maintenance/enter",
            409,
            json!({"error": "Cannot enter maintenance", "message": "3 tasks to go"}),
        )
        .on("POST /api/maintenance/exit", 200, state("running"));
    assert_eq!(
        stub.quintet(&["maintenance", "status", "--json"]).json(),
        state("running")
    );
    let requested = stub.quintet(&["maintenance", "request"]).ok();
    assert!(
        requested.starts_with("mode     waiting_for_maintenance (Waiting for 3 tasks to complete)\n"),
        "{requested}"
    );
    assert!(requested.ends_with("tasks    2 pending, 1 running\n"), "{requested}");
    let early = stub.quintet(&["maintenance", "enter"]);
    assert_eq!(early.code, 1, "{early:?}");
    assert!(
        early.err.contains("Cannot enter maintenance: 3 tasks to go"),
        "{early:?}"
    );
    stub.quintet(&["maintenance", "exit"]).ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_originals_variables_name_the_server_and_the_key() {
    let stub = Stub::start()
        .await
        .on("GET /api/pipelines", 200, json!({"pipelines": []}));
    let mut command = stub.place.command(&["pipelines", "list"]);
    command
        .env("PIPEWEAVE_ORCHESTRATOR_URL", &stub.url)
        .env("PIPEWEAVE_API_TOKEN", "secret");
    assert!(command.output().unwrap().status.success());
    assert_eq!(stub.asked(), ["GET /api/pipelines  auth=Bearer secret"]);
}

#[test]
fn a_store_is_made_by_its_url() {
    let place = Place::new();
    let made = place
        .quintet(&["db", "init", "--url", "sqlite:kept.db", "--json"])
        .json();
    assert_eq!(made["kind"], "sqlite");
    assert!(place.path().join("kept.db").exists());
    let status = place
        .quintet(&["db", "status", "--url", "sqlite:kept.db", "--json"])
        .json();
    assert_eq!(status["id"], made["id"]);
    place.quintet(&["db", "migrate", "--url", "sqlite:kept.db"]).ok();
    assert_eq!(place.quintet(&["db", "status", "--url", "sqlite:other.db"]).code, 2);
}
