//! Checks 16 to 20 and 24: what runs after what, with what, and what a failure does to the rest.

use serde_json::{Value, json};

use super::pipelines::{House, Worker, list, names, of_task, text, when};

/// a, then b and c, then d.
fn diamond(a: Value, b: Value, c: Value, d: Value) -> Value {
    json!({
        "a": { "does": a, "allowedNext": ["b", "c"], "retries": 0 },
        "b": { "does": b, "allowedNext": ["d"], "retries": 0 },
        "c": { "does": c, "allowedNext": ["d"], "retries": 0 },
        "d": { "does": d, "retries": 0 },
    })
}

fn statuses(detail: &Value, tasks: &[&str]) -> Vec<Value> {
    tasks
        .iter()
        .map(|task| of_task(detail, task)["status"].clone())
        .collect()
}

/// Dispatches of a task for one pipeline run.
fn dispatches(worker: &Worker, task: &str, run: &str) -> usize {
    let mut events = worker.about("dispatch", task);
    events.retain(|event| event["body"]["pipelineRunId"] == run);
    events.len()
}

#[test]
fn check_16_parallel_tasks_that_finish_together_start_their_join_exactly_once() {
    let house = House::with(&[("MAX_CONCURRENCY", "1000")]);
    // b and c of a run answer in the same turn of the event loop; neither could if they were not made side by side.
    let branch = |name: &str| json!([{ "meet": 2 }, { "output": name }]);
    let worker = house.worker(
        "diamond",
        &diamond(
            json!([{ "output": "a" }]),
            branch("b"),
            branch("c"),
            json!([{ "echo": true }]),
        ),
    );
    // On the other store each run has a price in time, and what decides is the same.
    let count = if module_path!().contains("on_postgres") {
        20
    } else {
        100
    };
    let runs: Vec<_> = (0..count)
        .map(|n| house.trigger("diamond", &json!({ "input": { "n": n } })))
        .collect();
    for run in &runs {
        let done = house.run_when(run, "completed");
        assert_eq!(list(&done, "tasks").len(), 4);
        for task in ["a", "b", "c", "d"] {
            assert_eq!(dispatches(&worker, task, run), 1, "{task} of {run}");
        }
    }
    let joins = worker.about("started", "d");
    assert_eq!(joins.len(), count);
    for join in joins {
        assert_eq!(join["upstream"], json!({ "a": "a", "b": "b", "c": "c" }));
    }
}

#[test]
fn check_17_a_branch_that_was_not_chosen_is_not_waited_for() {
    let house = House::start();
    let choose = json!([{ "output": "a" }, { "runNext": ["b"] }]);
    let echo = json!([{ "echo": true }]);
    let worker = house.worker(
        "diamond",
        &diamond(choose, json!([{ "output": "b" }]), echo.clone(), echo),
    );
    let run = house.trigger("diamond", &json!({ "input": {} }));
    let done = house.run_when(&run, "completed");
    assert_eq!(
        worker.first_about("started", "d")["upstream"],
        json!({ "a": "a", "b": "b" })
    );
    assert_eq!(worker.about("dispatch", "c").len(), 0);
    assert_eq!(of_task(&done, "a")["selectedNext"], json!(["b"]));
}

#[test]
fn check_18_to_run_nothing_next_ends_the_branch() {
    let house = House::start();
    let tasks = json!({
        "a": { "does": [{ "output": 1 }, { "runNext": [] }], "allowedNext": ["b"] },
        "b": { "does": [{ "echo": true }] },
    });
    let worker = house.worker("chain", &tasks);
    let run = house.trigger("chain", &json!({ "input": {} }));
    house.run_when(&run, "completed");
    assert_eq!(worker.about("dispatch", "b").len(), 0);
    assert_eq!(worker.first("callback")["answer"]["queuedDownstream"], 0);
}

#[test]
fn check_18_a_next_task_that_is_not_allowed_fails_and_is_not_tried_again() {
    let house = House::start();
    let tasks = json!({
        "a": { "does": [{ "output": 1 }, { "runNext": ["b", "z"] }], "allowedNext": ["b"], "retries": 3, "retryDelayMs": 1 },
        "b": { "does": [{ "echo": true }] },
    });
    let worker = house.worker("chain", &tasks);
    let run = house.trigger("chain", &json!({ "input": {} }));
    let failed = of_task(&house.run_when(&run, "failed"), "a");
    assert_eq!(
        (&failed["errorCode"], &failed["error"]),
        (&json!("INVALID_NEXT_TASKS"), &json!("Invalid next tasks: z"))
    );
    assert_eq!((worker.all("dispatch").len(), house.dead_letters().len()), (1, 1));
    assert_eq!(
        worker.first("callback")["answer"],
        json!({ "acknowledged": true, "retrying": false })
    );
}

#[test]
fn check_19_a_trigger_with_and_without_the_envelope_delivers_the_same_input() {
    let house = House::start();
    let worker = house.worker("pdf-processor", &json!({ "download": { "does": [{ "echo": true }] } }));
    let input = json!({ "pdfUrl": "https://example.com/document.pdf", "extractTables": true });
    let raw = house.trigger("pdf-processor", &input);
    house.run_when(&raw, "completed");
    let enveloped = house.trigger("pdf-processor", &json!({ "input": input }));
    house.run_when(&enveloped, "completed");
    let by_task = house.send("/api/pipelines/download/trigger", &json!({ "input": input }));
    assert_eq!(
        (&by_task["status"], &by_task["entryTasks"]),
        (&json!("running"), &json!(["download"]))
    );
    assert_eq!(
        by_task["inputPath"],
        format!("pipelines/{}/input.json", text(&by_task, "pipelineRunId"))
    );
    assert_eq!(list(&by_task, "queuedTasks").len(), 1);
    house.run_when(&text(&by_task, "pipelineRunId"), "completed");
    for started in [1, 2, 3].map(|number| worker.nth("started", number)) {
        assert_eq!(started["input"], input);
    }
    let empty = house.server().post("/api/pipelines/download/trigger", "");
    assert_eq!(empty.status, 200, "{}", empty.text());
    assert_eq!(worker.nth("started", 4)["input"], json!({}));
    let unknown = house.post("/api/pipelines/ghost/trigger", &json!({}));
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.json(),
        json!({ "error": "Pipeline not found", "pipelineId": "ghost" })
    );
    let array = house.post("/api/pipelines/download/trigger", &json!([1]));
    assert_eq!((array.status, &array.json()["error"]), (400, &json!("Invalid request")));
}

#[test]
fn check_19_every_task_of_a_run_gets_the_input_of_the_run() {
    let house = House::start();
    let tasks = json!({
        "a": { "does": [{ "output": 1 }], "allowedNext": ["b"] },
        "b": { "does": [{ "echo": true }] },
    });
    let worker = house.worker("chain", &tasks);
    let run = house.trigger("chain", &json!({ "user": "ada" }));
    house.run_when(&run, "completed");
    assert_eq!(worker.first_about("started", "b")["input"], json!({ "user": "ada" }));
}

#[test]
fn check_20_a_binary_asset_arrives_byte_by_byte_and_logs_are_read_through_the_proxy() {
    use base64::Engine as _;
    let house = House::start();
    let bytes: Vec<u8> = (0..=255).collect();
    let encoded = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let asset = json!({ "asset": { "key": "image.bin", "type": "binary", "value": encoded } });
    let tasks = json!({
        "a": { "does": [asset, { "log": "one" }, { "log": "two" }, { "output": 1 }], "allowedNext": ["b"] },
        "b": { "does": [{ "read": "image.bin" }] },
    });
    let _worker = house.worker("images", &tasks);
    let run = house.trigger("images", &json!({ "input": {} }));
    let done = house.run_when(&run, "completed");
    let (a, b) = (of_task(&done, "a"), of_task(&done, "b"));
    assert_eq!(house.stored(&text(&b, "outputPath")), json!(encoded));
    let image = &a["assets"]["image.bin"];
    assert_eq!((&image["size"], &image["type"]), (&json!(256), &json!("binary")));
    let raw = house.get(&format!("/api/storage/{}", text(image, "path")));
    assert_eq!((raw.status, raw.body), (200, bytes));
    let logs = house
        .get(&format!("/api/storage/{}?raw=1", text(&a, "logsPath")))
        .text();
    let messages: Vec<_> = logs
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["message"].clone())
        .collect();
    assert_eq!(messages, ["one", "two"]);
}

#[test]
fn check_24_fail_fast_cancels_what_is_pending_and_starts_nothing_more() {
    let house = House::with(&[("MAX_CONCURRENCY", "1")]);
    let mut tasks = diamond(
        json!([{ "output": 1 }]),
        json!([{ "fail": {} }]),
        json!([{ "echo": true }]),
        json!([{ "echo": true }]),
    );
    // The lower number is made first.
    tasks["b"]["priority"] = json!(1);
    let worker = house.worker("diamond", &tasks);
    let run = house.trigger("diamond", &json!({ "input": {}, "failureMode": "fail-fast" }));
    let failed = house.run_when(&run, "failed");
    assert_eq!(failed["run"]["failureMode"], "fail-fast");
    assert_eq!(
        statuses(&failed, &["a", "b", "c"]),
        ["completed", "failed", "cancelled"]
    );
    assert_eq!(
        text(&of_task(&failed, "c"), "error"),
        "Pipeline failed in fail-fast mode"
    );
    assert_eq!(
        (worker.about("dispatch", "c").len(), worker.about("dispatch", "d").len()),
        (0, 0)
    );
}

#[test]
fn check_24_fail_fast_is_the_mode_where_none_is_given() {
    let house = House::start();
    let _worker = house.worker("alone", &json!({ "alone": { "does": [{ "fail": {} }], "retries": 0 } }));
    let run = house.trigger("alone", &json!({ "input": {} }));
    assert_eq!(house.run_when(&run, "failed")["run"]["failureMode"], "fail-fast");
}

#[test]
fn check_24_continue_ends_the_other_branches_and_leaves_out_the_join() {
    let house = House::start();
    let mut tasks = diamond(
        json!([{ "output": 1 }]),
        json!([{ "fail": {} }]),
        json!([{ "wait": "b failed" }, { "output": 3 }]),
        json!([{ "echo": true }]),
    );
    tasks["c"]["allowedNext"] = json!(["d", "e"]);
    tasks["e"] = json!({ "does": [{ "echo": true }] });
    let mut worker = house.worker("diamond", &tasks);
    let run = house.trigger("diamond", &json!({ "input": {}, "failureMode": "continue" }));
    worker.first_about("started", "c");
    when(
        "b has failed",
        || house.read(&format!("/api/runs/{run}")),
        |seen| of_task(seen, "b")["status"] == "failed",
    );
    worker.release("b failed");
    let ended = house.run_when(&run, "failed");
    assert_eq!(
        statuses(&ended, &["a", "b", "c", "e"]),
        ["completed", "failed", "completed", "completed"]
    );
    assert_eq!(worker.about("dispatch", "d").len(), 0);
}

#[test]
fn check_24_partial_merge_joins_what_there_is_and_the_run_is_partial() {
    let house = House::start();
    let tasks = diamond(
        json!([{ "output": 1 }]),
        json!([{ "fail": {} }]),
        json!([{ "output": 3 }]),
        json!([{ "echo": true }]),
    );
    let worker = house.worker("diamond", &tasks);
    let run = house.trigger("diamond", &json!({ "input": {}, "failureMode": "partial-merge" }));
    let ended = house.run_when(&run, "partial");
    assert_eq!(
        statuses(&ended, &["a", "b", "c", "d"]),
        ["completed", "failed", "completed", "completed"]
    );
    assert_eq!(names(&worker.first_about("started", "d")["upstream"]), ["a", "c"]);
}

#[test]
fn a_run_keeps_the_structure_with_which_it_was_started() {
    let house = House::start();
    let tasks = |next: &str| {
        json!({
            "a": { "does": [{ "wait": "go" }, { "output": 1 }], "allowedNext": [next] },
            "b": { "does": [{ "output": "b" }] },
            "c": { "does": [{ "output": "c" }] },
        })
    };
    let mut first = house.worker("chain", &tasks("b"));
    let run = house.trigger("a", &json!({ "input": {} }));
    first.first("started");
    let second = house.worker("chain", &tasks("c"));
    first.release("go");
    let done = house.run_when(&run, "completed");
    assert_eq!(statuses(&done, &["a", "b"]), ["completed", "completed"]);
    assert_eq!(
        (second.about("dispatch", "b").len(), second.about("dispatch", "c").len()),
        (1, 0)
    );
}
