//! Checks 4 to 6, 14 and 15: what is queued is stored, dispatched and completed, and the first callback counts.

use quintet_testkit::proxy::{Cut, Direction, Mode};
use serde_json::{Value, json};

use super::pipelines::{House, list, names, of_task, text};

fn echo() -> Value {
    json!({ "echo": { "does": [{ "echo": true }], "heartbeatIntervalMs": 45_000 } })
}

#[test]
fn check_4_a_queued_task_is_answered_and_its_input_is_stored_before_it_is_dispatched() {
    let house = House::start();
    let worker = house.worker("echo", &echo());
    let input = json!({ "text": "schön", "list": [1, 2.5, null], "deep": { "x": true } });
    let queued = house.send("/api/queue/task", &json!({ "taskId": "echo", "input": input }));
    let id = text(&queued, "runId");
    assert!(id.starts_with("trun_"), "{id}");
    let path = format!("standalone/{id}/input.json");
    assert_eq!(
        queued,
        json!({ "runId": id, "status": "queued", "taskId": "echo", "inputPath": path })
    );
    let dispatched = worker.first("dispatch");
    assert_eq!(dispatched["body"]["inputPath"], json!(path));
    let stored = std::fs::read(house.file(&path)).expect("the input object");
    assert_eq!(serde_json::from_slice::<Value>(&stored).expect("JSON"), input);
    assert_eq!(worker.first("started")["input"], input);
}

#[test]
fn check_4_an_unknown_task_is_not_queued() {
    let house = House::start();
    let refused = house.post("/api/queue/task", &json!({ "taskId": "ghost", "input": {} }));
    assert_eq!(refused.status, 404, "{}", refused.text());
    assert!(refused.text().contains("ghost"), "{}", refused.text());
    let refused = house.post("/api/queue/task", &json!({ "input": {} }));
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json(),
        json!({ "error": "Invalid request", "details": { "_errors": [], "taskId": { "_errors": ["Required"] } } })
    );
}

#[test]
fn check_5_a_dispatch_has_every_field_and_a_standalone_one_no_pipeline_run() {
    let house = House::start();
    let worker = house.worker("echo", &echo());
    let run = house.queue("echo", &json!({}));
    let dispatched = worker.first("dispatch");
    let body = &dispatched["body"];
    assert_eq!(
        names(body),
        [
            "attempt",
            "codeHash",
            "codeVersion",
            "heartbeatIntervalMs",
            "inputPath",
            "previousAttempts",
            "runId",
            "storageToken",
            "taskId",
            "upstreamRefs",
        ]
    );
    let expected = json!({
        "attempt": 1, "codeVersion": 1, "heartbeatIntervalMs": 45_000, "previousAttempts": [], "runId": run,
        "taskId": "echo", "upstreamRefs": {}, "inputPath": format!("standalone/{run}/input.json"),
    });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&body[field], value, "{field}");
    }
    assert_eq!(text(body, "codeHash").len(), 16);
    assert_eq!(dispatched["headers"]["content-type"], "application/json");
}

#[test]
fn check_5_a_task_of_a_pipeline_is_told_its_run_and_what_was_done_before() {
    let house = House::start();
    let worker = house.worker(
        "chain",
        &json!({
            "one": { "does": [{ "asset": { "key": "note", "type": "text", "value": "hello" } }, { "output": 1 }], "allowedNext": ["two"] },
            "two": { "does": [{ "echo": true }] },
        }),
    );
    let run = house.trigger("chain", &json!({ "input": { "n": 1 } }));
    let body = worker.first_about("dispatch", "two")["body"].clone();
    assert_eq!(body["pipelineRunId"], json!(run));
    let one = of_task(&house.run_when(&run, "completed"), "one");
    let expected = json!({
        "outputPath": one["outputPath"],
        "assets": { "note": { "path": format!("runs/{}/assets/note", text(&one, "id")), "size": 5, "type": "text" } },
    });
    assert_eq!(body["upstreamRefs"], json!({ "one": expected }));
}

#[test]
fn check_6_a_success_completes_the_run_and_its_output_is_read_through_the_proxy() {
    let house = House::start();
    let worker = house.worker("echo", &json!({ "echo": { "does": [{ "output": { "total": 3 } }] } }));
    let run = house.queue("echo", &json!({}));
    let completed = house.task_when(&run, "completed");
    let path = format!("runs/{run}/output.json");
    assert_eq!(
        (
            &completed["outputPath"],
            &completed["outputSize"],
            &completed["attempt"]
        ),
        (&json!(path), &json!(11), &json!(1))
    );
    assert_eq!(
        house.read(&format!("/api/storage/{path}")),
        json!({ "path": path, "content": { "total": 3 } })
    );
    let callback = worker.first("callback");
    assert_eq!(
        (&callback["status"], &callback["answer"]),
        (&json!(200), &json!({ "acknowledged": true, "queuedDownstream": 0 }))
    );
    for time in ["createdAt", "startedAt", "completedAt"] {
        let time = text(&completed, time);
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
}

#[test]
fn check_6_a_result_that_is_nothing_cannot_be_stored_and_fails() {
    let house = House::start();
    let _worker = house.worker(
        "void",
        &json!({ "void": { "does": [{ "nothing": true }], "retries": 0 } }),
    );
    let run = house.queue("void", &json!({}));
    let failed = house.task_when(&run, "failed");
    assert!(text(&failed, "error").contains("ERR_INVALID_ARG_TYPE"), "{failed}");
}

#[test]
fn check_14_a_success_whose_answer_was_lost_stays_one_when_the_worker_then_says_failed() {
    let house = House::behind_proxy();
    let mut worker = house.worker(
        "chain",
        &json!({
            "one": { "does": [{ "wait": "go" }, { "output": 1 }], "allowedNext": ["two"] },
            "two": { "does": [{ "wait": "end" }, { "echo": true }] },
        }),
    );
    let run = house.trigger("chain", &json!({ "input": {} }));
    worker.first("started");
    // From here on the first answer that comes back is the one to the callback.
    house.proxy().set(Mode::CutAt {
        direction: Direction::Down,
        pattern: b"HTTP/1.1 200".to_vec(),
        cut: Cut::BeforeForward,
    });
    worker.release("go");
    let second = worker.first("callback");
    assert_eq!(
        (&second["body"]["status"], &second["body"]["error"]),
        (&json!("failed"), &json!("TypeError: fetch failed"))
    );
    assert_eq!(
        (&second["status"], &second["answer"]),
        (&json!(200), &json!({ "acknowledged": true, "retrying": false }))
    );
    worker.release("end");
    let done = house.run_when(&run, "completed");
    let one = of_task(&done, "one");
    assert_eq!((&one["status"], &one["error"]), (&json!("completed"), &Value::Null));
    assert_eq!(
        (
            worker.about("dispatch", "one").len(),
            worker.about("dispatch", "two").len()
        ),
        (1, 1)
    );
}

#[test]
fn check_15_a_callback_that_overtakes_the_answer_to_the_dispatch_completes_the_run() {
    let house = House::start();
    let tasks = json!({ "quick": { "does": [{ "output": 1 }], "retries": 0, "quirks": { "callBackFirst": true } } });
    let worker = house.worker("quick", &tasks);
    let runs: Vec<_> = (0..10).map(|n| house.queue("quick", &json!(n))).collect();
    for run in &runs {
        house.task_when(run, "completed");
    }
    assert_eq!(worker.all("dispatch").len(), runs.len());
    assert_eq!(house.read("/api/queue/status")["running"], 0);
    assert_eq!(list(&house.read("/api/dlq"), "items").len(), 0);
}
