//! The commands for tasks, queues and backends, against a server that gives the answers of the contract.

mod cli;

use cli::stub::Stub;
use serde_json::{Value, json};

const ONE: &str = "GET /api/tasks/run_1";
const STREAM: &str = "GET /api/tasks/stream";

fn accepted() -> Value {
    json!({"taskId": "run_1", "status": "queued", "queue": "gpu"})
}

fn task(status: &str, steps: &Value) -> Value {
    let mut task = json!({"taskId": "run_1", "id": "run_1", "status": status, "result": null, "progress": 50,
        "type": "clip", "queue": "gpu", "createdAt": "2026-01-01T00:00:00.000Z", "startedAt": "2026-01-01T00:00:01.000Z"});
    if steps.as_array().is_some_and(|steps| !steps.is_empty()) {
        task["stepStatus"] = steps.clone();
    }
    match status {
        "completed" => task["result"] = json!({"finalResult": {"path": "/b"}}),
        "failed" => task["error"] = "boom".into(),
        _ => return task,
    }
    task["completedAt"] = "2026-01-01T00:00:03.500Z".into();
    task
}

fn step(id: &str, status: &str) -> Value {
    json!({"id": id, "task": format!("video.{id}"), "status": status, "duration": 1200})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_task_is_submitted_from_flags_from_a_file_and_from_both() {
    let stub = Stub::start().await.on("POST /api/tasks", 200, accepted());
    let flags = [
        "tasks",
        "submit",
        "--type",
        "text.chat",
        "--payload",
        r#"{"prompt": "Hello!"}"#,
    ];
    assert_eq!(stub.quintet(&flags).ok(), "run_1\n");
    stub.place
        .file("task.yaml", "type: clip\npayload: {url: x}\nqueue: cpu\n");
    let file = [
        "tasks",
        "submit",
        "task.yaml",
        "--queue",
        "gpu",
        "--priority",
        "7",
        "--delay",
        "2s",
        "--idempotency-key",
        "k",
        "--json",
    ];
    assert_eq!(stub.quintet(&file).json(), accepted());
    assert_eq!(
        stub.asked(),
        [
            r#"POST /api/tasks {"type":"text.chat","payload":{"prompt":"Hello!"}}"#,
            r#"POST /api/tasks {"type":"clip","payload":{"url":"x"},"queue":"gpu","priority":7,"delay":2000} key=k"#,
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_task_is_followed_to_its_end_and_what_happens_is_told_on_the_standard_error() {
    let messages = [
        json!({"type": "step:start", "stepId": "fetch", "stepTask": "video.fetch", "timestamp": 1}),
        json!({"type": "step:retry", "stepId": "fetch", "data": {"error": "503", "attempt": 1}}),
        json!({"type": "toast", "taskId": "run_1", "text": "half done", "variant": "info"}),
        json!({"type": "step:complete", "stepId": "fetch", "data": 1, "duration": 1200}),
        json!({"type": "progress", "data": {"progress": 50}}),
        json!({"type": "step:progress", "stepId": "each", "data": {"done": 2, "total": 3}}),
        json!({"type": "step:complete", "stepId": "cut", "data": {"skipped": true, "reason": "on-demand"}}),
        json!({"type": "step:error", "stepId": "mail", "data": {"error": "no", "optional": true}}),
        json!({"type": "pipeline:complete", "data": {"totalDuration": 2500, "stepCount": 2}}),
    ];
    let stub = Stub::start()
        .await
        .on("POST /api/tasks", 200, accepted())
        .on(
            ONE,
            200,
            task("running", &json!([step("fetch", "running"), step("cut", "pending")])),
        )
        .on(
            ONE,
            200,
            task(
                "completed",
                &json!([step("fetch", "completed"), step("cut", "skipped")]),
            ),
        )
        .streams(STREAM, &messages);
    let done = stub.quintet(&["tasks", "submit", "--type", "clip", "--wait"]);
    assert_eq!(
        done.err,
        "run_1 submitted\nfetch started\nfetch failed, and is tried again: 503\ntask half done\n\
         fetch completed in 1.2s\neach 2 of 3\ncut skipped: on-demand\nmail failed, and is optional: no\n"
    );
    let shown = done.ok();
    for part in [
        "status    completed\n",
        "took      2.5s\n",
        "cut    video.cut    skipped",
        r#"result    {"path":"/b"}"#,
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(stub.asked().contains(&"GET /api/tasks/stream?taskId=run_1".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_task_that_failed_is_exit_code_1_for_whoever_waits_and_0_for_whoever_looks() {
    let stub = Stub::start().await.on(ONE, 200, task("failed", &json!([])));
    let watched = stub.quintet(&["tasks", "watch", "run_1", "--json"]);
    assert_eq!(watched.code, 1, "{watched:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&watched.out).unwrap(),
        task("failed", &json!([]))
    );
    assert!(
        stub.quintet(&["tasks", "get", "run_1"])
            .ok()
            .contains("error     boom\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bad_input_is_exit_code_2_with_every_problem_and_a_task_in_the_wrong_state_is_1() {
    let problems = json!({"error": "steps[0].task is required", "message": "steps[0].task is required", "statusCode": 400,
        "problems": [{"field": "steps[0].task", "message": "is required"}, {"field": "retry.attempts", "message": "must be a number"}]});
    let finished = json!({"error": "Task already finished", "message": "Task already finished", "statusCode": 400});
    let absent = json!({"error": "Task not found", "message": "Task not found", "statusCode": 404});
    let stub = Stub::start()
        .await
        .on("POST /api/tasks", 400, problems)
        .on("DELETE /api/tasks/run_1", 400, finished)
        .on(ONE, 404, absent);
    let refused = stub.quintet(&["tasks", "submit", "--type", "clip"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.err.contains("  retry.attempts: must be a number\n"),
        "{}",
        refused.err
    );
    let cancelled = stub.quintet(&["tasks", "cancel", "run_1"]);
    assert_eq!(
        (cancelled.code, cancelled.err.as_str()),
        (1, "error: Task already finished\n")
    );
    let missing = stub.quintet(&["tasks", "watch", "run_1"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("quintet tasks list"), "{}", missing.err);
    assert_eq!(stub.quintet(&["tasks", "submit"]).code, 2);
    assert_eq!(stub.quintet(&["tasks", "submit", "no-such-file.json"]).code, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn tasks_are_listed_called_off_and_tried_again() {
    let page = |next: Option<&str>| json!({"queue": "gpu", "count": 1, "tasks": [task("running", &json!([]))], "nextCursor": next});
    let stub = Stub::start()
        .await
        .on("GET /api/tasks", 200, page(Some("run_1")))
        .on("GET /api/tasks", 200, page(None))
        .on(
            "DELETE /api/tasks/run_1",
            200,
            json!({"taskId": "run_1", "cancelled": true, "success": true}),
        )
        .on("POST /api/tasks/run_1/retry", 200, json!({"taskId": "run_2"}))
        .on(
            "GET /api/tasks/types",
            200,
            json!({"tasks": ["text.chat", "video.cut"]}),
        );
    let listed = stub
        .quintet(&["tasks", "list", "-q", "gpu", "-s", "running", "--limit", "5"])
        .ok();
    assert!(
        listed.starts_with("ID     TYPE  QUEUE  STATUS   PROGRESS  CREATED"),
        "{listed}"
    );
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert_eq!(stub.quintet(&["tasks", "list", "--json"]).json(), page(None)["tasks"]);
    assert_eq!(
        stub.quintet(&["tasks", "cancel", "run_1"]).ok(),
        "run_1 is called off\n"
    );
    assert_eq!(stub.quintet(&["tasks", "retry", "run_1"]).ok(), "run_2\n");
    assert_eq!(stub.quintet(&["tasks", "types"]).ok(), "text.chat\nvideo.cut\n");
    assert_eq!(
        stub.asked()[..3],
        [
            "GET /api/tasks?queue=gpu&status=running&limit=5",
            "GET /api/tasks?queue=gpu&status=running&limit=4&cursor=run_1",
            "GET /api/tasks?queue=all&limit=50"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn queues_say_what_keeps_them_and_are_paused_and_resumed() {
    let queue = |name: &str, paused: bool, closed: Option<&str>| {
        json!({"name": name, "face": "tasks", "waiting": 3, "running": 1, "oldest_at": "2026-01-01T00:00:00Z", "limit": 5,
            "ageing_ms": 30000, "paused": paused.then(|| json!({"by": "ada", "at": "2026-01-01T00:00:00Z"})), "closed": closed, "bridge": null})
    };
    let away = "the circuit of modal is open";
    let items = json!({"items": [queue("default", false, None), queue("cpu", true, Some(away)), queue("gpu", false, Some(away))]});
    let absent =
        json!({"error": "Queue not found", "message": "there is no queue \"nope\"; there are cpu", "statusCode": 404});
    let stub = Stub::start()
        .await
        .on("GET /v1/queues", 200, items.clone())
        .on("POST /v1/queues/gpu/pause", 200, queue("gpu", true, None))
        .on("POST /v1/queues/nope/resume", 404, absent);
    let shown = stub.quintet(&["queues", "list"]).ok();
    let states: Vec<_> = shown
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(2))
        .collect();
    assert_eq!(states, ["open", "paused", "closed"], "{shown}");
    assert!(shown.contains(away) && shown.contains("30s"), "{shown}");
    assert_eq!(stub.quintet(&["queues", "list", "--json"]).json(), items["items"]);
    assert!(
        stub.quintet(&["queues", "pause", "gpu"])
            .ok()
            .contains("quintet queues resume gpu")
    );
    let missing = stub.quintet(&["queues", "resume", "nope"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("quintet queues list"), "{}", missing.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn backends_are_listed_with_what_went_wrong() {
    let items = json!({"items": [
        {"name": "modal", "kind": "modal", "url": "http://modal.example", "healthy": true, "circuit": "closed", "in_flight": 2,
            "gpus": [{"model": "A100", "available": true}, {"model": "T4", "available": false}]},
        {"name": "ray", "kind": "ray", "url": "http://ray.example", "healthy": false, "circuit": "open", "in_flight": 0,
            "since": "2026-01-01T00:00:00Z", "last_error": "connection refused", "gpus": []},
    ]});
    let stub = Stub::start().await.on("GET /v1/backends", 200, items);
    let shown = stub.quintet(&["backends", "list"]).ok();
    let lines: Vec<_> = shown.lines().collect();
    assert!(
        lines[1].contains("healthy") && lines[1].contains("A100") && !lines[1].contains("T4"),
        "{shown}"
    );
    assert!(
        lines[2].contains("unhealthy  open") && lines[2].contains("connection refused"),
        "{shown}"
    );
}
