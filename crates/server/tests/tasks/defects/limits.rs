//! The ninth fault of the original: time limits end the call, for single tasks and on Ray too.

use std::time::Duration;

use quintet_testkit::modal::Answer;
use serde_json::json;

use super::tasks::{House, Site, abandoned, text};

#[test]
fn the_time_limit_of_a_single_task_ends_its_call() {
    let house = House::start();
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let id = house.submit(&json!({ "type": "slow", "payload": {}, "resources": { "timeout": 1.5 } }));
    assert_eq!(house.failed(&id)["error"], "\"slow\" timed out after 1500ms");
    house.abandoned("slow", 1);
    assert_eq!(house.count("slow"), 1, "the limit covers all attempts");
}

#[test]
fn a_time_limit_holds_on_ray_too() {
    let house = Site::default().with_ray().without_modal().open();
    house.ray().teach("slow", Answer::held(Answer::Echo));
    let id = house.submit(&json!({ "type": "slow", "payload": {}, "resources": { "timeout": 1.5 } }));
    assert_eq!(house.failed(&id)["error"], "\"slow\" timed out after 1500ms");
    abandoned(house.ray(), "slow", 1);
}

#[test]
fn a_step_without_a_time_limit_has_its_tasks_and_its_own_wins() {
    let house = House::start();
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let pipeline = |steps: serde_json::Value| json!({ "type": "p", "payload": {}, "resources": { "timeout": 0.25 }, "steps": steps });
    let id = house.submit(&pipeline(json!([{ "id": "a", "task": "slow" }])));
    assert_eq!(house.failed(&id)["error"], "\"a\" timed out after 250ms");
    let id = house.submit(&pipeline(json!([{ "id": "a", "task": "slow", "timeout": 0.35 }])));
    assert_eq!(house.failed(&id)["error"], "\"a\" timed out after 350ms");
}

#[test]
fn an_attempt_that_the_time_limit_would_not_let_begin_is_not_waited_for() {
    let house = House::start();
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let id = house.submit(&json!({
        "type": "bad", "payload": {}, "resources": { "timeout": 0.5 }, "retry": { "attempts": 3, "delay": 600_000 },
    }));
    assert_eq!(house.failed(&id)["error"], "boom");
    assert_eq!(house.count("bad"), 1);
}

#[test]
fn an_optional_step_that_is_timed_out_is_skipped() {
    let house = House::start();
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let steps = json!([
        { "id": "a", "task": "slow", "timeout": 1.5, "optional": true },
        { "id": "b", "task": "b", "dependsOn": ["a"] },
    ]);
    let done = house.completed(&house.submit_steps(&json!({}), &steps));
    assert_eq!(
        done["result"]["stepResults"]["a"],
        json!({ "error": "\"a\" timed out after 1500ms", "skipped": true })
    );
    house.abandoned("slow", 1);
}

#[test]
fn a_time_limit_begins_with_the_work_and_not_with_the_wait_for_a_slot() {
    let house = House::with(&[("WORKER_CONCURRENCY", "1")]);
    house
        .modal
        .teach("first", Answer::late(Duration::from_millis(900), Answer::Echo));
    let first = house.submit_plain("first");
    house.nth("first", 1);
    let id = house.submit(&json!({ "type": "second", "payload": {}, "resources": { "timeout": 0.5 } }));
    house.completed(&first);
    let done = house.ended(&id);
    assert_eq!(done["status"], "completed", "{}", text(&done, "error"));
}
