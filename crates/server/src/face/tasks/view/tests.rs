mod attempts;

use quintet_core::command::Command;
use quintet_core::outcome::Failure;

use super::sim::{BEGIN, Sim};
use super::*;

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

fn cancel(sim: &mut Sim) {
    sim.command(Command::Cancel { by: None, reason: None });
}

#[test]
fn a_task_is_queued_then_running_then_completed() {
    let mut sim =
        Sim::start(json!({ "type": "text.chat", "payload": { "prompt": "Hello!" }, "delay": 5_000, "queue": "gpu" }));
    assert_eq!(status(&sim.state), Status::Queued);
    let waiting = sim.detail();
    assert_eq!(
        keys(&waiting),
        [
            "taskId",
            "status",
            "result",
            "progress",
            "id",
            "type",
            "queue",
            "priority",
            "createdAt"
        ]
    );
    assert_eq!(
        (&waiting["status"], &waiting["result"], &waiting["progress"]),
        (&json!("queued"), &Value::Null, &json!(0))
    );
    sim.next_timer();
    assert_eq!(status(&sim.state), Status::Running);
    let token = sim.work("task").token;
    sim.command(Command::Heartbeat {
        token,
        progress: Some(33.5),
        message: None,
    });
    assert_eq!(sim.detail()["progress"], 33.5);
    sim.wait(1_500).succeed("task", json!({ "text": "Hi" }));
    let done = item(&sim.state);
    let expected = [
        "taskId",
        "status",
        "result",
        "progress",
        "type",
        "queue",
        "id",
        "createdAt",
        "startedAt",
        "completedAt",
    ];
    assert_eq!(keys(&done), expected);
    assert_eq!(done["taskId"], sim.state.id.to_string());
    assert_eq!(
        (&done["status"], &done["result"], &done["progress"]),
        (&json!("completed"), &json!({ "text": "Hi" }), &json!(100))
    );
    assert_eq!((&done["type"], &done["queue"]), (&json!("text.chat"), &json!("gpu")));
    assert_eq!(done["createdAt"], "2026-11-21T10:00:00.000Z");
    assert_eq!(done["startedAt"], "2026-11-21T10:00:05.000Z");
    assert_eq!(done["completedAt"], "2026-11-21T10:00:06.500Z");
    assert_eq!(sim.detail()["totalDuration"], 1_500);
}

#[test]
fn a_task_that_will_be_tried_again_is_queued_with_its_error() {
    let mut sim = Sim::start(json!({ "type": "t", "payload": 1 }));
    sim.fail("task", Failure::new("x", "boom"));
    let between = sim.detail();
    assert_eq!(keys(&between)[..5], ["taskId", "status", "result", "error", "progress"]);
    assert_eq!(
        (&between["status"], &between["error"], &between["result"]),
        (&json!("queued"), &json!("boom"), &Value::Null)
    );
    sim.next_timer();
    assert_eq!(sim.now, BEGIN.plus_ms(1_000));
    let again = sim.detail();
    assert_eq!((&again["status"], &again["error"]), (&json!("running"), &json!("boom")));
    assert_eq!(again["startedAt"], "2026-11-21T10:00:00.000Z", "of the first attempt");
    sim.succeed("task", json!(null));
    let done = sim.detail();
    assert!(done.get("error").is_none(), "{done}");
    assert_eq!(
        (&done["status"], &done["totalDuration"]),
        (&json!("completed"), &json!(1_000))
    );
}

#[test]
fn three_failures_are_the_end_and_their_error_is_the_last_one() {
    let mut sim = Sim::start(json!({ "type": "t", "payload": 1 }));
    for text in ["one", "two", "three"] {
        sim.wait(100).fail("task", Failure::new("x", text));
        if text != "three" {
            sim.next_timer();
        }
    }
    let failed = sim.detail();
    assert_eq!(
        (&failed["status"], &failed["error"], &failed["result"]),
        (&json!("failed"), &json!("three"), &Value::Null)
    );
    assert_eq!(failed["totalDuration"], 2_300);
}

#[test]
fn what_was_called_off_has_failed() {
    let mut sim = Sim::start(json!({ "type": "t", "payload": 1 }));
    cancel(&mut sim);
    let called_off = sim.detail();
    assert_eq!(
        (&called_off["status"], &called_off["error"]),
        (&json!("failed"), &json!("cancelled"))
    );
    assert_eq!(error(&sim.state).as_deref(), Some("cancelled"));
}

#[test]
fn time_limits_are_told_by_type_step_or_item() {
    let mut sim = Sim::start(json!({ "type": "text.chat", "payload": 1, "resources": { "timeout": 2 } }));
    sim.next_timer();
    assert_eq!(sim.detail()["error"], "\"text.chat\" timed out after 2000ms");
    let mut sim = Sim::steps(json!({}), json!([{ "id": "a", "task": "t", "timeout": 0.2 }]));
    sim.next_timer();
    assert_eq!(sim.detail()["error"], "\"a\" timed out after 200ms");
    assert_eq!(sim.detail()["stepStatus"][0]["error"], "\"a\" timed out after 200ms");
    let mut sim = Sim::steps(
        json!([1, 2]),
        json!([{ "id": "a", "task": "t", "timeout": 0.3, "forEach": "{{payload}}", "forEachConcurrency": 1 }]),
    );
    sim.succeed("a[0]", json!(1)).next_timer();
    assert_eq!(sim.detail()["error"], "\"a[1]\" timed out after 300ms");
    let mut sim = Sim::steps(
        json!([1, 2]),
        json!([{ "id": "a", "task": "t", "forEach": "{{payload}}", "retry": { "attempts": 1 } }]),
    );
    sim.fail("a[1]", Failure::new("x", "boom")).succeed("a[0]", json!(1));
    assert_eq!(
        sim.detail()["error"],
        "boom",
        "an item's error is its step's, word for word"
    );
}

#[test]
fn a_loop_over_what_is_no_list_says_what_it_is() {
    let error = |payload: Value, template: &str| {
        let steps = json!([{ "task": "first" }, { "task": "t", "forEach": template }]);
        let mut sim = Sim::steps(payload, steps);
        sim.succeed("step_0", json!({ "o": {}, "list": [1] }));
        let detail = sim.detail();
        let failed = (&detail["status"], &detail["stepStatus"][1]["status"]);
        assert_eq!(failed, (&json!("failed"), &json!("failed")), "{detail}");
        detail["error"].as_str().unwrap_or_default().to_owned()
    };
    for (template, kind) in [
        ("{{payload.n}}", "number"),
        ("{{payload.s}}", "string"),
        ("{{payload.b}}", "boolean"),
        ("{{payload.nul}}", "object"),
        ("{{payload.none}}", "undefined"),
        ("{{payload.none.x}}", "undefined"),
        ("{{payload}}", "object"),
        ("{{steps.0.o}}", "object"),
        ("{{steps.0.list.length}}", "number"),
        ("{{steps.0.gone}}", "undefined"),
        ("{{user.x}}", "undefined"),
    ] {
        let payload = json!({ "n": 1, "s": "x", "b": false, "nul": null });
        let expected = format!("forEach template \"{template}\" did not resolve to array, got: {kind}");
        assert_eq!(error(payload, template), expected);
    }
}

/// a, then b and c, then d.
fn diamond() -> Value {
    json!([
        { "id": "a", "task": "t.a" },
        { "id": "b", "task": "t.b", "dependsOn": ["a"], "optional": true, "retry": { "attempts": 2, "delay": 10 } },
        { "id": "c", "task": "t.c", "dependsOn": ["a"], "runWhen": "{{payload.flag}}" },
        { "id": "d", "task": "t.d", "dependsOn": ["b", "c"] },
    ])
}

#[test]
fn a_graph_that_has_ended_is_told_whole() {
    let mut sim = Sim::steps(json!({ "flag": 0 }), diamond());
    sim.wait(10).succeed("a", json!({ "v": 1 }));
    assert_eq!(sim.detail()["progress"], 50, "a, and c which need not run");
    sim.wait(5).fail("b", Failure::new("x", "first"));
    let between = sim.detail();
    assert_eq!(
        (&between["status"], &between["error"]),
        (&json!("queued"), &json!("first"))
    );
    assert_eq!(between["stepStatus"][1]["status"], "running", "between its attempts");
    sim.next_timer();
    sim.wait(20).fail("b", Failure::new("x", "second"));
    assert_eq!(sim.detail()["progress"], 75);
    sim.wait(5).succeed("d", json!("end"));
    let skipped = json!({ "skipped": true, "reason": "condition-false", "condition": "{{payload.flag}}" });
    let excused = json!({ "error": "second", "skipped": true });
    let expected = json!({
        "steps": [{ "v": 1 }, excused, skipped, "end"],
        "stepResults": { "a": { "v": 1 }, "b": excused, "c": skipped, "d": "end" },
        "stepStatus": [
            { "id": "a", "task": "t.a", "status": "completed", "startedAt": "2026-11-21T10:00:00.000Z",
              "completedAt": "2026-11-21T10:00:00.010Z", "duration": 10, "result": { "v": 1 } },
            { "id": "b", "task": "t.b", "status": "skipped", "startedAt": "2026-11-21T10:00:00.010Z",
              "completedAt": "2026-11-21T10:00:00.045Z", "duration": 35, "error": "second", "retryAttempt": 2 },
            { "id": "c", "task": "t.c", "status": "skipped" },
            { "id": "d", "task": "t.d", "status": "completed", "startedAt": "2026-11-21T10:00:00.045Z",
              "completedAt": "2026-11-21T10:00:00.050Z", "duration": 5, "result": "end" },
        ],
        "finalResult": "end",
        "totalDuration": 50,
        "parallelGroups": [["b", "c"]],
    });
    let detail = sim.detail();
    assert_eq!(detail["result"], expected);
    assert_eq!(
        keys(&detail["result"]),
        [
            "steps",
            "stepResults",
            "stepStatus",
            "finalResult",
            "totalDuration",
            "parallelGroups"
        ]
    );
    assert_eq!(detail["result"].to_string(), expected.to_string(), "also in this order");
    assert_eq!(
        (&detail["status"], &detail["progress"]),
        (&json!("completed"), &json!(100))
    );
    assert_eq!(
        (&detail["stepStatus"], &detail["stepResults"]),
        (&expected["stepStatus"], &expected["stepResults"])
    );
    assert_eq!((&detail["steps"], &detail["totalDuration"]), (&diamond(), &json!(50)));
}

#[test]
fn a_sequence_has_no_groups_and_times_for_what_was_skipped() {
    let mut sim = Sim::steps(
        json!({}),
        json!([{ "task": "a" }, { "task": "b", "runWhen": "on-demand" }, { "task": "c", "runWhen": "{{payload.no}}" }, { "task": "d" }]),
    );
    assert_eq!(sim.detail()["progress"], 0);
    sim.wait(7).succeed("step_0", json!(null));
    assert_eq!(sim.detail()["progress"], 75);
    sim.succeed("step_3", json!(0));
    let result = &sim.detail()["result"];
    assert_eq!(result["parallelGroups"], json!([]));
    assert_eq!(
        (&result["finalResult"], &result["stepResults"]["step_1"]),
        (&json!(0), &json!({ "skipped": true, "reason": "on-demand" }))
    );
    let at = "2026-11-21T10:00:00.007Z";
    let expected =
        json!({ "id": "step_1", "task": "b", "status": "skipped", "startedAt": at, "completedAt": at, "duration": 0 });
    assert_eq!(result["stepStatus"][1], expected);
}

#[test]
fn percents_are_rounded_as_javascript_rounds_them() {
    let percents: Vec<f64> = (0..=8).map(|done| percent(done, 8)).collect();
    assert_eq!(percents, [0.0, 13.0, 25.0, 38.0, 50.0, 63.0, 75.0, 88.0, 100.0]);
    assert_eq!((percent(1, 3), percent(2, 3), percent(0, 0)), (33.0, 67.0, 0.0));
    assert_eq!((number(5.0), number(0.5)), (json!(5), json!(0.5)));
}

#[test]
fn of_a_pipeline_that_failed_the_results_that_there_are_stay_visible() {
    let steps = json!([
        { "id": "a", "task": "t" }, { "id": "b", "task": "t", "dependsOn": ["a"] }, { "id": "late", "task": "t", "dependsOn": ["b"] },
        { "id": "other", "task": "t", "dependsOn": ["a"] },
    ]);
    let mut sim = Sim::steps(json!({}), steps);
    sim.succeed("a", json!(1)).break_down("b", "boom");
    assert_eq!(sim.detail()["status"], "running", "what is under way may finish");
    sim.succeed("other", json!(2));
    let failed = sim.detail();
    assert_eq!(
        (&failed["status"], &failed["error"], &failed["result"]),
        (&json!("failed"), &json!("boom"), &Value::Null)
    );
    assert_eq!(
        (&failed["progress"], &failed["stepResults"]),
        (&json!(50), &json!({ "a": 1, "other": 2 }))
    );
    let statuses: Vec<&str> = (0..4)
        .filter_map(|n| failed["stepStatus"][n]["status"].as_str())
        .collect();
    assert_eq!(statuses, ["completed", "failed", "pending", "completed"]);
}

#[test]
fn of_several_failures_the_one_of_the_lowest_level_is_told() {
    let steps = json!([
        { "id": "deep", "task": "t", "dependsOn": ["x"] }, { "id": "x", "task": "t" }, { "id": "y", "task": "t" },
    ]);
    let mut sim = Sim::steps(json!({}), steps);
    sim.succeed("x", json!(1))
        .break_down("deep", "deep down")
        .break_down("y", "on top");
    assert_eq!(sim.detail()["error"], "on top");
}

#[test]
fn steps_that_were_called_off_have_failed_and_others_are_pending() {
    let mut sim = Sim::steps(json!({}), json!([{ "task": "a" }, { "task": "b" }]));
    cancel(&mut sim);
    let detail = sim.detail();
    let told = (
        &detail["stepStatus"][0]["status"],
        &detail["stepStatus"][0]["error"],
        &detail["stepStatus"][1]["status"],
    );
    assert_eq!(told, (&json!("failed"), &json!("cancelled"), &json!("pending")));
}

#[test]
fn optional_loops_excuse_their_items_one_by_one() {
    let mut sim = Sim::steps(
        json!([1, 2, 3]),
        json!([{ "id": "a", "task": "t", "forEach": "{{payload}}", "optional": true, "retry": { "attempts": 1 } }]),
    );
    sim.succeed("a[0]", json!("x"))
        .fail("a[1]", Failure::new("x", "boom"))
        .succeed("a[2]", json!("z"));
    let detail = sim.detail();
    assert_eq!(
        detail["result"]["stepResults"]["a"],
        json!(["x", { "error": "boom", "skipped": true }, "z"])
    );
    assert_eq!(detail["stepStatus"][0]["status"], "completed");
}
