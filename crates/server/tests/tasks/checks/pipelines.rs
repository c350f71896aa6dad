//! Checks 12 to 15: pipelines.

use quintet_testkit::modal::Answer;
use serde_json::{Value, json};

use super::tasks::{House, Site, assert_time, list, noted, step, text};

#[test]
fn check_12_a_sequence_hands_results_on_by_number() {
    let house = House::start();
    house
        .modal
        .teach("data.download", Answer::Result(json!({ "path": "/tmp/a.mp3" })));
    let steps = json!([
        { "task": "data.download", "input": { "url": "{{payload.u}}" } },
        { "task": "audio.transcribe", "input": { "audio_path": "{{steps.0.path}}", "fast": true } },
    ]);
    let id = house.submit_steps(&json!({ "u": "https://example.com/a.mp3" }), &steps);
    let done = house.completed(&id);
    assert_eq!(
        house.payloads("data.download"),
        [json!({ "url": "https://example.com/a.mp3" })]
    );
    let second = json!({ "audio_path": "/tmp/a.mp3", "fast": true });
    assert_eq!(house.payloads("audio.transcribe"), std::slice::from_ref(&second));
    assert!(
        house.payloads("pipeline").is_empty(),
        "the type of a pipeline is only its label"
    );
    let result = &done["result"];
    let first = json!({ "path": "/tmp/a.mp3" });
    assert_eq!(result["steps"], json!([first, second]));
    assert_eq!(result["stepResults"], json!({ "step_0": first, "step_1": second }));
    assert_eq!(result["finalResult"], second);
    assert_eq!(result["parallelGroups"], json!([]));
    assert!(result["totalDuration"].is_u64(), "{result}");
    let status = &result["stepStatus"][1];
    let expected = json!({ "id": "step_1", "task": "audio.transcribe", "status": "completed", "result": second });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&status[field], value, "{field} of {status}");
    }
    assert_time(&status["startedAt"]);
    assert_time(&status["completedAt"]);
    assert!(status["duration"].is_u64() && status.get("error").is_none() && status.get("retryAttempt").is_none());
}

#[test]
fn check_12_templates_keep_their_type_and_a_path_to_nothing_leaves_its_key_out() {
    let house = House::start();
    let made = json!({ "items": [{ "n": 1 }, { "n": 2 }], "none": null, "zero": 0 });
    house.modal.teach("make", Answer::Result(made));
    let steps = json!([
        { "task": "make" },
        { "task": "use", "input": {
            "all": "{{steps.0}}", "list": "{{ steps.0.items }}", "second": "{{steps.0.items.1.n}}", "zero": "{{steps.0.zero}}",
            "null": "{{steps.0.none}}", "gone": "{{steps.0.nothing.here}}", "flag": "{{payload.flag}}",
            "plain": "as it is", "number": 5,
        } },
    ]);
    let id = house.submit_steps(&json!({ "flag": false }), &steps);
    house.completed(&id);
    assert_eq!(house.payloads("make"), [json!({})]);
    assert_eq!(
        house.payloads("use"),
        [json!({
            "all": { "items": [{ "n": 1 }, { "n": 2 }], "none": null, "zero": 0 }, "list": [{ "n": 1 }, { "n": 2 }],
            "second": 2, "zero": 0, "null": null, "flag": false, "plain": "as it is", "number": 5,
        })]
    );
}

/// a, then b and c, then d.
fn diamond() -> Value {
    json!([
        { "id": "a", "task": "a" },
        { "id": "b", "task": "b", "dependsOn": ["a"], "input": { "from": "{{steps.a}}" } },
        { "id": "c", "task": "c", "dependsOn": ["a"] },
        { "id": "d", "task": "d", "dependsOn": ["b", "c"], "input": { "b": "{{steps.b}}", "c": "{{steps.c}}" } },
    ])
}

#[test]
fn check_13_steps_that_can_run_together_do_and_are_a_group() {
    let house = House::start();
    house.modal.teach("a", Answer::Result(json!("A")));
    // Neither is answered before both are there.
    house.modal.teach("b", Answer::held(Answer::Result(json!("B"))));
    house.modal.teach("c", Answer::held(Answer::Result(json!("C"))));
    let id = house.submit_steps(&json!({}), &diamond());
    noted(&house.modal, "b and c at the same time", |notes| {
        notes.of("b").count() == 1 && notes.of("c").count() == 1
    });
    assert_eq!(house.count("d"), 0);
    house.modal.release();
    let done = house.completed(&id);
    let groups = list(&done["result"], "parallelGroups");
    assert_eq!(groups, [json!(["b", "c"])]);
    assert_eq!(house.payloads("b"), [json!({ "from": "A" })]);
    assert_eq!(house.payloads("d"), [json!({ "b": "B", "c": "C" })]);
    let last = json!({ "b": "B", "c": "C" });
    assert_eq!(
        done["result"]["stepResults"],
        json!({ "a": "A", "b": "B", "c": "C", "d": last })
    );
    assert_eq!(done["result"]["finalResult"], last);
}

#[test]
fn check_13_an_optional_step_that_fails_is_skipped_and_what_depends_on_it_runs() {
    let house = House::start();
    house.modal.teach("b", Answer::Error("no luck".to_owned()));
    let mut steps = diamond();
    steps[1]["optional"] = json!(true);
    let id = house.submit_steps(&json!({}), &steps);
    let done = house.completed(&id);
    let skipped = json!({ "error": "no luck", "skipped": true });
    assert_eq!(done["result"]["stepResults"]["b"], skipped);
    assert_eq!(house.payloads("d"), [json!({ "b": skipped, "c": {} })]);
    let status = step(&done["result"], "b");
    assert_eq!(
        (&status["status"], &status["error"]),
        (&json!("skipped"), &json!("no luck"))
    );
    assert!(
        status["startedAt"].is_string() && status["duration"].is_u64(),
        "{status}"
    );
}

#[test]
fn check_13_a_condition_that_does_not_hold_skips_its_step() {
    let house = House::start();
    let mut steps = diamond();
    steps[2]["runWhen"] = json!("{{payload.flag}}");
    for falsy in [json!(false), json!(0), json!(""), Value::Null] {
        let before = house.count("d");
        let id = house.submit_steps(&json!({ "flag": falsy }), &steps);
        let done = house.completed(&id);
        let skipped = json!({ "skipped": true, "reason": "condition-false", "condition": "{{payload.flag}}" });
        assert_eq!(done["result"]["stepResults"]["c"], skipped, "{falsy}");
        assert_eq!(step(&done["result"], "c")["status"], "skipped");
        assert_eq!((house.count("c"), house.count("d")), (0, before + 1));
    }
    for truthy in [json!(true), json!(1), json!("no"), json!([]), json!({})] {
        let before = house.count("c");
        house.completed(&house.submit_steps(&json!({ "flag": truthy }), &steps));
        assert_eq!(house.count("c"), before + 1, "{truthy}");
    }
}

#[test]
fn check_13_an_on_demand_step_that_nobody_asked_for_is_skipped() {
    let house = House::start();
    let mut steps = diamond();
    steps[1]["runWhen"] = json!("on-demand");
    steps[2]["runWhen"] = json!("always");
    let id = house.submit_steps(&json!({}), &steps);
    let done = house.completed(&id);
    assert_eq!(
        done["result"]["stepResults"]["b"],
        json!({ "skipped": true, "reason": "on-demand" })
    );
    assert_eq!((house.count("b"), house.count("c"), house.count("d")), (0, 1, 1));
}

fn for_each(concurrency: usize) -> Value {
    json!([
        { "id": "list", "task": "list" },
        {
            "id": "each", "task": "each", "dependsOn": ["list"], "forEach": "{{steps.list.items}}",
            "forEachConcurrency": concurrency,
            "input": { "name": "{{item.name}}", "item": "{{item}}", "at": "{{index}}", "of": "{{payload.title}}" },
        },
    ])
}

#[test]
fn check_14_a_loop_gives_its_results_in_order_with_so_many_calls_at_a_time() {
    let house = Site::default().variable("WORKER_CONCURRENCY", "10").open();
    let items = json!([{ "name": "x" }, { "name": "y" }, { "name": "z" }]);
    house.modal.teach("list", Answer::Result(json!({ "items": items })));
    house.modal.teach("each", Answer::held(Answer::Echo));
    let id = house.submit_steps(&json!({ "title": "T" }), &for_each(2));
    noted(&house.modal, "two items", |notes| notes.of("each").count() == 2);
    house.modal.release();
    noted(&house.modal, "the third item", |notes| notes.of("each").count() == 3);
    house.modal.release();
    let done = house.completed(&id);
    let result = |n: usize, name: &str| json!({ "name": name, "item": { "name": name }, "at": n, "of": "T" });
    let expected = json!([result(0, "x"), result(1, "y"), result(2, "z")]);
    assert_eq!(done["result"]["stepResults"]["each"], expected);
    assert_eq!(done["result"]["finalResult"], expected);
    assert!(house.modal.calls_of("each").iter().all(|call| call.in_flight <= 2));
}

#[test]
fn check_14_a_loop_over_nothing_is_done_with_nothing() {
    let house = House::start();
    house.modal.teach("list", Answer::Result(json!({ "items": [] })));
    let done = house.completed(&house.submit_steps(&json!({}), &for_each(2)));
    assert_eq!(done["result"]["stepResults"]["each"], json!([]));
    assert_eq!(house.count("each"), 0);
}

#[test]
fn check_14_a_loop_over_what_is_no_list_fails() {
    let house = House::start();
    for (items, kind) in [
        (json!({}), "object"),
        (json!("abc"), "string"),
        (json!(3), "number"),
        (Value::Null, "object"),
    ] {
        house.modal.teach("list", Answer::Result(json!({ "items": items })));
        let failed = house.failed(&house.submit_steps(&json!({}), &for_each(2)));
        let expected = format!("forEach template \"{{{{steps.list.items}}}}\" did not resolve to array, got: {kind}");
        assert_eq!(failed["error"], expected);
    }
    house.modal.teach("list", Answer::Result(json!({})));
    let failed = house.failed(&house.submit_steps(&json!({}), &for_each(2)));
    assert!(text(&failed, "error").ends_with("got: undefined"), "{failed}");
}

fn circle() -> Value {
    json!([
        { "id": "a", "task": "first.task" },
        { "id": "b", "task": "second.task", "dependsOn": ["a", "c"] },
        { "id": "c", "task": "third.task", "dependsOn": ["b"] },
    ])
}

#[test]
fn check_15_a_circle_is_refused_where_it_is_submitted() {
    let house = House::start();
    let reply = house.post("/api/tasks", &json!({ "type": "p", "payload": {}, "steps": circle() }));
    assert_eq!(reply.status, 400, "{}", reply.text());
    let error = text(&reply.json(), "error");
    assert!(error.starts_with("Pipeline deadlock"), "{error}");
    assert_eq!((house.list("limit=10").len(), house.modal.calls().len()), (0, 0));
}

#[test]
fn check_15_a_circle_fails_its_task_where_that_was_chosen() {
    let house = Site::default().tasks(json!({ "graph_errors": "at_run" })).open();
    let id = house.submit_steps(&json!({}), &circle());
    let failed = house.failed(&id);
    assert_eq!(
        failed["error"],
        "Pipeline deadlock: cannot run remaining steps [second.task, third.task]. Check for circular dependencies or missing \
         dependency IDs."
    );
    assert_eq!(failed["result"], Value::Null);
    let id = house.submit_steps(
        &json!({}),
        &json!([{ "id": "a", "task": "lone.task", "dependsOn": ["ghost"] }]),
    );
    assert!(
        text(&house.failed(&id), "error").starts_with("Pipeline deadlock: cannot run remaining steps [lone.task].")
    );
}

#[test]
fn check_15_a_step_that_takes_too_long_is_timed_out() {
    let house = House::start();
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let steps = json!([{ "id": "a", "task": "slow", "timeout": 0.2 }]);
    let id = house.submit_steps(&json!({}), &steps);
    assert_eq!(house.failed(&id)["error"], "\"a\" timed out after 200ms");
}

#[test]
fn check_15_an_item_that_takes_too_long_is_named_by_its_number() {
    let house = House::start();
    house
        .modal
        .teach("slow", Answer::Sequence(vec![Answer::Echo, Answer::held(Answer::Echo)]));
    let steps = json!([{
        "id": "a", "task": "slow", "timeout": 0.3, "forEach": "{{payload.items}}", "forEachConcurrency": 1,
    }]);
    let id = house.submit_steps(&json!({ "items": [1, 2] }), &steps);
    assert_eq!(house.failed(&id)["error"], "\"a[1]\" timed out after 300ms");
}
