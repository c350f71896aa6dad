//! What the pipelines face shows of services, pipelines, runs, the queue and dead letters, while the worker's part is
//! played by the test: each state is there for as long as the test wants to look at it.

#[path = "pipelines_views/dead_letters.rs"]
mod dead_letters;
#[path = "pipelines_views/found.rs"]
mod found;
#[path = "pipelines_views/stage.rs"]
mod stage;

use serde_json::{Value, json};
use stage::{Stage, ids, statuses, text};

fn task(id: &str, next: &[&str]) -> Value {
    json!({ "id": id, "codeHash": "0000000000000001", "allowedNext": next, "retries": 0 })
}

/// a, then b and c, then d.
fn diamond() -> Vec<Value> {
    vec![
        task("a", &["b", "c"]),
        task("b", &["d"]),
        task("c", &["d"]),
        task("d", &[]),
    ]
}

#[tokio::test]
async fn what_was_registered_is_shown_until_the_service_is_removed() {
    let stage = Stage::open().await;
    let schema = json!({ "fields": [{ "name": "n", "type": "number", "label": "N", "required": true }] });
    let mut tasks = diamond();
    tasks[0]["inputSchema"] = schema.clone();
    stage.register("svc", "1.0.0", &tasks).await;
    let services = stage.get("/api/services").await.ok();
    let service = &services["services"][0];
    assert_eq!(
        (
            &service["id"],
            &service["serviceId"],
            &service["status"],
            &service["taskCount"]
        ),
        (&json!("svc"), &json!("svc"), &json!("active"), &json!(4))
    );
    assert!(
        service["lastHeartbeat"].is_string() && service.get("tasks").is_none(),
        "{service}"
    );
    let alone = stage.get("/api/services/svc").await.ok();
    assert_eq!(ids(&alone["service"]["tasks"]), ["a", "b", "c", "d"]);
    let listed = stage.get("/api/services/svc/tasks").await.ok();
    assert_eq!(
        (&listed["serviceId"], &listed["tasks"]),
        (&json!("svc"), &alone["service"]["tasks"])
    );

    let pipelines = stage.get("/api/pipelines").await.ok();
    assert_eq!(ids(&pipelines["pipelines"]), ["a", "svc"]);
    let shown = stage.get("/api/pipelines/svc").await.ok();
    assert_eq!(shown["pipeline"], pipelines["pipelines"][1]);
    assert_eq!(
        (&shown["pipeline"]["source"], &shown["pipeline"]["entry_tasks"]),
        (&json!("service"), &json!(["a"]))
    );
    assert_eq!(shown["pipeline"]["created_at"], service["registeredAt"]);
    let planned = stage.post("/api/pipelines/b/dry-run", &json!({})).await.ok();
    assert_eq!(
        (&planned["valid"], &planned["executionPlan"][1]["tasks"]),
        (&json!(true), &json!(["d"]))
    );
    let planned = stage
        .post("/api/pipelines/svc/dry-run", &json!({ "input": {} }))
        .await
        .ok();
    assert_eq!(planned["validationWarnings"]["a"][0]["field"], "n");

    let told = stage.get("/api/tasks/a/input-schema").await.ok();
    assert_eq!(told, json!({ "taskId": "a", "hasSchema": true, "schema": schema }));
    let checked = stage
        .post("/api/tasks/a/validate-input", &json!({ "input": null }))
        .await
        .ok();
    assert_eq!(checked["valid"], false);
    let history = stage.get("/api/tasks/a/history").await.ok();
    assert_eq!(
        (
            &history["history"][0]["code_version"],
            &history["history"][0]["codeVersion"]
        ),
        (&json!(1), &json!(1))
    );

    let removed = stage.delete("/api/services/svc").await.ok();
    assert_eq!(removed, json!({ "success": true, "serviceId": "svc" }));
    assert_eq!(stage.get("/api/services").await.ok(), json!({ "services": [] }));
    assert_eq!(stage.get("/api/pipelines").await.ok(), json!({ "pipelines": [] }));
    assert_eq!(stage.get("/api/tasks/a/history").await.ok(), json!({ "history": [] }));
    stage.close().await;
}

#[tokio::test]
async fn what_is_not_there_is_told_with_its_id() {
    let stage = Stage::open().await;
    for (path, error, key, id) in [
        ("/api/services/x", "Service not found", "serviceId", "x"),
        ("/api/services/x/tasks", "Service not found", "serviceId", "x"),
        ("/api/pipelines/x", "Pipeline not found", "pipelineId", "x"),
        ("/api/runs/prun_x", "Run not found", "runId", "prun_x"),
        (
            "/api/runs/prun_0000000000000000000000001",
            "Run not found",
            "runId",
            "prun_0000000000000000000000001",
        ),
        ("/api/task-runs/trun_x", "Task run not found", "taskRunId", "trun_x"),
        ("/api/dlq/dlq_x", "DLQ item not found", "dlqId", "dlq_x"),
    ] {
        let answer = stage.get(path).await;
        assert_eq!(
            (answer.status, answer.body),
            (404, json!({ "error": error, key: id })),
            "{path}"
        );
    }
    for path in [
        "/api/pipelines/x/dry-run",
        "/api/tasks/x/validate-input",
        "/api/dlq/dlq_x/retry",
    ] {
        assert_eq!(stage.post(path, &json!({ "input": 1 })).await.status, 404, "{path}");
    }
    assert_eq!(stage.delete("/api/services/x").await.status, 404);
    stage.close().await;
}

#[tokio::test]
async fn a_wrong_parameter_is_refused_by_its_name() {
    let stage = Stage::open().await;
    for (path, name) in [
        ("/api/runs?limit=1001", "limit"),
        ("/api/runs?status=done", "status"),
        ("/api/runs?from=yesterday", "from"),
        ("/api/runs?to=x", "to"),
        ("/api/queue/items?status=partial", "status"),
        ("/api/queue/items?offset=-1", "offset"),
        ("/api/dlq?includeRetried=maybe", "includeRetried"),
    ] {
        let answer = stage.get(path).await;
        assert_eq!(
            (answer.status, &answer.body["error"]),
            (400, &json!("Invalid request")),
            "{path}"
        );
        assert!(
            answer.body["details"][name]["_errors"][0].is_string(),
            "{path}: {}",
            answer.body
        );
    }
    stage.close().await;
}

#[tokio::test]
async fn a_run_is_shown_at_every_stage_of_its_way() {
    let mut stage = Stage::open().await;
    stage.register("svc", "1.0.0", &diamond()).await;
    let input = json!({ "input": { "n": 1 }, "priority": 7, "metadata": { "who": "ada" } });
    let run = stage.trigger("svc", &input).await;
    let a = stage.dispatched("a").await;
    let seen = stage.run(&run).await;
    assert_eq!(
        (&seen["run"]["status"], &seen["run"]["metadata"]),
        (&json!("running"), &json!({ "who": "ada" }))
    );
    assert_eq!(
        seen["run"]["structureSnapshot"]["a"],
        json!({ "allowedNext": ["b", "c"] })
    );
    assert_eq!(statuses(&seen), [("a", "running")]);
    stage
        .post(
            "/api/progress",
            &json!({ "runId": a, "progress": 50, "message": "half" }),
        )
        .await
        .ok();
    stage.post("/api/heartbeat", &json!({ "runId": a })).await.ok();
    let task = stage.get(&format!("/api/task-runs/{a}")).await.ok();
    assert_eq!(task["progress"], json!({ "progress": 50.0, "message": "half" }));
    assert_eq!((&task["priority"], &task["pipelineRunId"]), (&json!(7), &json!(run)));
    assert!(task["lastHeartbeat"].is_string() && task["startedAt"].is_string() && task["createdAt"].is_string());

    let result = json!({
        "status": "success", "outputPath": "runs/a/output.json", "outputSize": 3, "logsPath": "runs/a/logs.jsonl",
        "assets": { "k": { "path": "runs/a/assets/k", "size": 1, "type": "text" } }, "selectedNext": ["b", "c"],
    });
    stage.callback(&a, &result).await;
    let (b, c) = stage.dispatched_both("b", "c").await;
    stage.succeed(&b, "b").await;
    let seen = stage.run(&run).await;
    assert_eq!(
        statuses(&seen),
        [
            ("a", "completed"),
            ("b", "completed"),
            ("c", "running"),
            ("d", "waiting")
        ]
    );
    let first = &seen["tasks"][0];
    assert_eq!(
        (
            &first["outputPath"],
            &first["outputSize"],
            &first["selectedNext"],
            &first["codeVersion"]
        ),
        (&json!("runs/a/output.json"), &json!(3), &json!(["b", "c"]), &json!(1))
    );
    let refs = json!({ "a": { "outputPath": "runs/a/output.json", "assets": first["assets"] } });
    assert_eq!(seen["tasks"][1]["upstreamRefs"], refs);
    assert!(first["completedAt"].is_string() && first["codeChanged"] == false);
    let counts = stage.get("/api/queue/status").await.ok();
    let expected = json!({
        "pending": 0, "running": 1, "waiting": 1, "completed": 2, "failed": 0, "dlq": 0, "oldestPending": null,
    });
    assert_eq!(counts, expected);
    for (query, expected) in [
        ("status=running", vec!["c"]),
        ("status=waiting", vec!["d"]),
        ("taskId=b", vec!["b"]),
        ("status=timeout", vec![]),
        ("limit=2&offset=1", vec!["b", "c"]),
    ] {
        let path = format!("/api/queue/items?pipelineRunId={run}&{query}");
        let items = stage.get(&path).await.ok();
        let tasks: Vec<String> = items["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| text(item, "taskId"))
            .collect();
        assert_eq!(tasks, expected, "{query}");
    }
    assert_eq!(
        stage.get("/api/queue/items?pipelineRunId=prun_x").await.ok()["total"],
        0
    );

    stage.succeed(&c, "c").await;
    let d = stage.dispatched("d").await;
    stage.succeed(&d, "d").await;
    let seen = stage.run(&run).await;
    assert_eq!(
        (&seen["run"]["status"], &seen["run"]["outputPath"]),
        (&json!("completed"), &json!("runs/d/output.json"))
    );
    assert!(seen["run"]["completedAt"].is_string() && seen["run"].get("error").is_none());
    assert_eq!(statuses(&seen).len(), 4);
    stage.close().await;
}

#[tokio::test]
async fn a_task_with_other_code_than_in_the_run_before_is_marked() {
    let mut stage = Stage::open().await;
    let mut tasks = vec![task("a", &["b"]), task("b", &[])];
    stage.register("svc", "1.0.0", &tasks).await;
    let mut runs = Vec::new();
    for hash in ["0000000000000001", "0000000000000002"] {
        tasks[1]["codeHash"] = json!(hash);
        stage.register("svc", "1.0.0", &tasks).await;
        let run = stage.trigger("svc", &json!({})).await;
        for task in ["a", "b"] {
            let id = stage.dispatched(task).await;
            stage.succeed(&id, task).await;
        }
        runs.push(run);
    }
    for (run, expected) in runs.iter().zip([[(1, false), (1, false)], [(1, false), (2, true)]]) {
        let seen = stage.run(run).await;
        let tasks = seen["tasks"].as_array().unwrap().iter();
        let codes: Vec<(&Value, &Value)> = tasks.map(|task| (&task["codeVersion"], &task["codeChanged"])).collect();
        let expected = expected.map(|(version, changed)| (json!(version), json!(changed)));
        assert_eq!(
            codes,
            expected
                .iter()
                .map(|(version, changed)| (version, changed))
                .collect::<Vec<_>>()
        );
    }
    stage.close().await;
}

#[tokio::test]
async fn a_task_by_itself_is_retried_and_shows_what_failed_before() {
    let mut stage = Stage::open().await;
    let mut job = task("job", &[]);
    (job["retries"], job["retryDelayMs"]) = (json!(1), json!(86_400_000));
    stage.register("svc", "1.0.0", &[job]).await;
    let body = json!({ "taskId": "job", "input": 1, "idempotencyKey": "k" });
    let queued = stage.post("/api/queue/task", &body).await.ok();
    let id = text(&queued, "runId");
    assert_eq!(stage.dispatched("job").await, id);
    stage
        .callback(&id, &json!({ "status": "failed", "error": "no", "errorCode": "NO" }))
        .await;
    let task = stage.get(&format!("/api/task-runs/{id}")).await.ok();
    assert_eq!(
        (
            &task["status"],
            &task["attempt"],
            &task["maxRetries"],
            &task["maxAttempts"]
        ),
        (&json!("pending"), &json!(2), &json!(1), &json!(2))
    );
    assert_eq!(
        (task.get("error"), task.get("startedAt"), task.get("pipelineRunId")),
        (None, None, None)
    );
    assert!(task["scheduledAt"].is_string(), "{task}");
    assert_eq!(
        (&task["inputPath"], &task["idempotencyKey"]),
        (&queued["inputPath"], &json!("k"))
    );
    let previous = &task["previousAttempts"][0];
    assert_eq!(
        (&previous["attempt"], &previous["error"], &previous["errorCode"]),
        (&json!(1), &json!("no"), &json!("NO"))
    );
    let alias = stage.get(&format!("/api/task-runs/{id}~2")).await.ok();
    assert_eq!(alias["id"], json!(id), "the next attempt has a name already");
    assert_eq!(stage.get(&format!("/api/task-runs/{id}~3")).await.status, 404);
    let counts = stage.get("/api/queue/status").await.ok();
    assert_eq!(
        (&counts["pending"], counts["oldestPending"].is_string()),
        (&json!(1), true)
    );
    assert_eq!(
        stage.get("/api/runs").await.ok()["total"],
        0,
        "it is no run of a pipeline"
    );
    stage.close().await;
}
