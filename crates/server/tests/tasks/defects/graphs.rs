//! The eighth and the eleventh fault of the original: graphs are looked at whole when they are submitted, results are kept
//! and steps seen while a pipeline runs, loops work in both modes, and what is on demand can be asked for.

use quintet_testkit::modal::Answer;
use serde_json::{Value, json};

use super::tasks::{House, assert_time, noted, step, text};

fn refused(house: &House, steps: &Value) -> String {
    let reply = house.post("/api/tasks", &json!({ "type": "p", "payload": {}, "steps": steps }));
    assert_eq!(reply.status, 400, "{}", reply.text());
    let body = reply.json();
    assert!(body["message"].is_string() && body["statusCode"] == 400, "{body}");
    format!("{} {}", text(&body, "error"), text(&body, "message"))
}

#[test]
fn a_graph_that_cannot_be_run_is_refused_with_its_fault_named() {
    let house = House::start();
    let after = |id: &str, dependencies: &[&str]| json!({ "id": id, "task": "t", "dependsOn": dependencies });
    let said = refused(
        &house,
        &json!([
            after("one", &["three"]),
            after("two", &["one"]),
            after("three", &["two"])
        ]),
    );
    assert!(
        ["one", "two", "three"].iter().all(|id| said.contains(id)),
        "the circle: {said}"
    );
    let said = refused(&house, &json!([after("one", &[]), after("two", &["ghost"])]));
    assert!(
        said.contains("ghost") && said.contains("steps[1]"),
        "the unknown step: {said}"
    );
    let said = refused(&house, &json!([after("one", &[]), after("one", &[])]));
    assert!(said.contains("one"), "the name that two steps have: {said}");
    let reads_unknown = json!([{ "id": "one", "task": "t", "input": { "x": "{{steps.ghost.x}}" } }]);
    let said = refused(&house, &reads_unknown);
    assert!(said.contains("ghost"), "the template of an unknown step: {said}");
    let said = refused(&house, &json!([after("me", &["me"])]));
    assert!(said.contains("me"), "the step that waits for itself: {said}");
    refused(&house, &json!([{ "id": "a" }]));
    refused(&house, &json!("a, b"));
    assert_eq!((house.list("limit=10").len(), house.modal.calls().len()), (0, 0));
}

#[test]
fn steps_are_seen_while_a_pipeline_runs() {
    let house = House::start();
    house.modal.teach("b", Answer::held(Answer::Echo));
    let steps = json!([
        { "id": "a", "task": "a", "input": { "n": 1 } },
        { "id": "b", "task": "b", "dependsOn": ["a"] },
        { "id": "c", "task": "c", "dependsOn": ["b"] },
        { "id": "d", "task": "c", "dependsOn": ["c"] },
    ]);
    let id = house.submit_steps(&json!({}), &steps);
    house.nth("b", 1);
    let running = house.task_when("shows b under way", &id, |task| step(task, "b")["status"] == "running");
    assert_eq!(
        (&running["status"], &running["progress"]),
        (&json!("running"), &json!(25))
    );
    let a = step(&running, "a");
    assert_eq!(
        (&a["status"], &a["result"], &a["task"]),
        (&json!("completed"), &json!({ "n": 1 }), &json!("a"))
    );
    assert_time(&a["completedAt"]);
    assert_time(&step(&running, "b")["startedAt"]);
    assert_eq!(step(&running, "c")["status"], "pending");
    assert_eq!(running["steps"], steps);
    house.modal.release();
    assert_eq!(house.completed(&id)["progress"], 100);
}

#[test]
fn what_was_done_before_a_failure_is_still_there() {
    let house = House::start();
    house.modal.teach("bad", Answer::Error("no luck".to_owned()));
    let steps = json!([
        { "id": "a", "task": "a", "input": { "n": 1 } },
        { "id": "b", "task": "bad", "dependsOn": ["a"] },
        { "id": "c", "task": "c", "dependsOn": ["b"] },
    ]);
    let failed = house.failed(&house.submit_steps(&json!({}), &steps));
    assert_eq!((&failed["error"], &failed["result"]), (&json!("no luck"), &Value::Null));
    assert_eq!(step(&failed, "a")["result"], json!({ "n": 1 }));
    assert_eq!(
        (&step(&failed, "b")["status"], &step(&failed, "b")["error"]),
        (&json!("failed"), &json!("no luck"))
    );
    assert_ne!(step(&failed, "c")["status"], "completed");
    assert_eq!(house.count("c"), 0);
}

#[test]
fn a_sequence_can_loop() {
    let house = House::start();
    house
        .modal
        .teach("list", Answer::Result(json!([{ "n": 1 }, { "n": 2 }])));
    let steps = json!([
        { "task": "list" },
        { "task": "each", "forEach": "{{steps.0}}", "input": { "n": "{{item.n}}", "i": "{{index}}" } },
        { "task": "last", "input": { "second": "{{steps.1.1.n}}" } },
    ]);
    let done = house.completed(&house.submit_steps(&json!({}), &steps));
    assert_eq!(
        done["result"]["stepResults"]["step_1"],
        json!([{ "n": 1, "i": 0 }, { "n": 2, "i": 1 }])
    );
    assert_eq!(done["result"]["finalResult"], json!({ "second": 2 }));
    assert_eq!(house.count("each"), 2);
}

#[test]
fn a_sequence_runs_its_steps_one_after_the_other() {
    let house = House::start();
    house.modal.teach("a", Answer::held(Answer::Echo));
    let id = house.submit_steps(&json!({}), &json!([{ "task": "a" }, { "task": "b" }, { "task": "c" }]));
    house.nth("a", 1);
    let running = house.task_when("is at its first step", &id, |task| task["status"] == "running");
    assert_eq!(running["progress"], 0);
    assert_eq!((house.count("b"), house.count("c")), (0, 0));
    house.modal.release();
    house.completed(&id);
    assert!(house.modal.calls().iter().all(|call| call.in_flight == 1));
}

#[test]
fn a_step_on_demand_runs_where_it_was_asked_for() {
    let house = House::start();
    let steps = json!([
        { "id": "a", "task": "a" },
        { "id": "wanted", "task": "b", "runWhen": "on-demand", "dependsOn": ["a"] },
        { "id": "unwanted", "task": "c", "runWhen": "on-demand", "dependsOn": ["a"] },
    ]);
    let task = json!({ "type": "p", "payload": {}, "steps": steps, "onDemand": ["wanted"] });
    let done = house.completed(&house.submit(&task));
    assert_eq!((house.count("b"), house.count("c")), (1, 0));
    assert_eq!(step(&done, "wanted")["status"], "completed");
    assert_eq!(step(&done, "unwanted")["status"], "skipped");
    let unknown = json!({ "type": "p", "payload": {}, "steps": steps, "onDemand": ["ghost"] });
    let reply = house.post("/api/tasks", &unknown);
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(reply.text().contains("ghost"), "{}", reply.text());
}

#[test]
fn templates_within_a_text_are_filled_in() {
    let house = House::start();
    house
        .modal
        .teach("make", Answer::Result(json!({ "n": 7, "list": [1, "a"], "name": "x" })));
    let steps = json!([
        { "task": "make" },
        { "task": "use", "input": {
            "hello": "hello {{payload.u}}", "two": "{{steps.0.name}}-{{ steps.0.n }}", "list": "all: {{steps.0.list}}",
            "gone": "[{{payload.gone}}]", "braces": "{ {payload.u} }", "open": "{{payload.u", "whole": "{{steps.0.n}}",
        } },
    ]);
    house.completed(&house.submit_steps(&json!({ "u": "Ann \"A\"" }), &steps));
    assert_eq!(
        house.payloads("use"),
        [json!({
            "hello": "hello Ann \"A\"", "two": "x-7", "list": "all: [1,\"a\"]", "gone": "[]",
            "braces": "{ {payload.u} }", "open": "{{payload.u", "whole": 7,
        })]
    );
}

#[test]
fn what_looks_like_a_template_in_data_stays_data() {
    let house = House::start();
    house.modal.teach(
        "make",
        Answer::Result(json!({ "text": "{{payload.secret}} {{ steps.make }}" })),
    );
    let steps = json!([
        { "id": "make", "task": "make", "input": { "given": "{{payload.given}}" } },
        { "id": "use", "task": "use", "dependsOn": ["make"], "input": { "text": "{{steps.make.text}}" } },
    ]);
    let payload = json!({ "secret": "s", "given": "{{payload.secret}}" });
    house.completed(&house.submit_steps(&payload, &steps));
    assert_eq!(house.payloads("make"), [json!({ "given": "{{payload.secret}}" })]);
    assert_eq!(
        house.payloads("use"),
        [json!({ "text": "{{payload.secret}} {{ steps.make }}" })]
    );
    let plain = json!({ "a": "{{payload.secret}}", "b": "{{ nothing() }}", "c": "{{" });
    let id = house.submit(&json!({ "type": "single", "payload": plain }));
    assert_eq!(house.completed(&id)["result"], plain);
}

#[test]
fn independent_steps_of_many_pipelines_share_the_slots_of_their_queue() {
    let house = House::with(&[("WORKER_CONCURRENCY", "3"), ("GPU_WORKER_CONCURRENCY", "1")]);
    house.modal.teach("held", Answer::held(Answer::Echo));
    let wide = |queue: &str| {
        let steps: Vec<_> = (0..4)
            .map(|n| json!({ "id": format!("s{n}"), "task": "held" }))
            .collect();
        json!({ "type": "p", "payload": {}, "queue": queue, "steps": steps })
    };
    let ids = [
        house.submit(&wide("default")),
        house.submit(&wide("gpu")),
        house.submit(&wide("gpu")),
    ];
    for under_way in [4, 6, 7, 8, 9, 10, 11, 12] {
        noted(&house.modal, &format!("{under_way} calls"), |notes| {
            notes.of("held").count() == under_way
        });
        house.modal.release();
    }
    for id in &ids {
        house.completed(id);
    }
    assert_eq!(house.modal.max_in_flight(), 4);
}
