//! The first fault of the original: a cancelled task really stops, wherever it stands.

use quintet_testkit::modal::Answer;
use serde_json::{Value, json};

use super::tasks::{House, Site, assert_refused, noted, step};

fn assert_cancelled(task: &Value) {
    assert_eq!(
        (&task["status"], &task["error"], &task["result"]),
        (&json!("failed"), &json!("cancelled"), &Value::Null),
        "{task:#}"
    );
}

#[test]
fn a_task_that_waits_for_its_turn_is_cancelled_and_never_called() {
    let house = House::with(&[("WORKER_CONCURRENCY", "1")]);
    house.modal.teach("first", Answer::held(Answer::Echo));
    let first = house.submit_plain("first");
    house.nth("first", 1);
    let second = house.submit_plain("second");
    let third = house.submit_plain("third");
    assert_eq!(house.task(&second)["status"], "queued");
    house.cancel(&second);
    assert_cancelled(&house.ended(&second));
    house.modal.release();
    house.completed(&first);
    house.completed(&third);
    assert_eq!((house.count("second"), house.count("third")), (0, 1));
    assert_cancelled(&house.task(&second));
}

#[test]
fn a_running_task_is_cancelled_and_its_call_is_given_up() {
    let house = House::start();
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let id = house.submit_plain("slow");
    house.nth("slow", 1);
    assert_eq!(house.task(&id)["status"], "running");
    let cancelled = house.cancel(&id);
    assert_eq!(cancelled["cancelled"], true);
    house.abandoned("slow", 1);
    assert_cancelled(&house.ended(&id));
    // It is neither made again nor finished by an answer that comes too late.
    house.modal.release();
    let other = house.submit_plain("other");
    house.completed(&other);
    assert_cancelled(&house.task(&id));
    assert_eq!(house.count("slow"), 1);
    assert_refused(&house.delete(&format!("/api/tasks/{id}")), 400, "Task already finished");
}

#[test]
fn a_task_on_ray_is_cancelled_and_its_call_is_given_up() {
    let house = Site::default().with_ray().without_modal().open();
    house.ray().teach("slow", Answer::held(Answer::Echo));
    let id = house.submit_plain("slow");
    super::tasks::nth(house.ray(), "slow", 1);
    house.cancel(&id);
    super::tasks::abandoned(house.ray(), "slow", 1);
    assert_cancelled(&house.ended(&id));
}

#[test]
fn a_task_between_two_attempts_is_cancelled_and_not_tried_again() {
    let house = House::start();
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let id = house.submit(&json!({ "type": "bad", "payload": {}, "retry": { "attempts": 2, "delay": 1000 } }));
    house.task_when("waits for its retry", &id, |task| {
        task["status"] == "queued" && task["error"] == "boom"
    });
    house.cancel(&id);
    assert_cancelled(&house.ended(&id));
    // Due later than the retry would have been.
    let proof = house.submit(&json!({ "type": "proof", "payload": {}, "delay": 1500 }));
    house.completed(&proof);
    assert_eq!(house.count("bad"), 1);
}

#[test]
fn a_pipeline_is_cancelled_in_its_middle_and_what_was_done_is_still_shown() {
    let house = House::start();
    house.modal.teach("b", Answer::held(Answer::Echo));
    let steps = json!([
        { "id": "a", "task": "a", "input": { "n": 1 } },
        { "id": "b", "task": "b", "dependsOn": ["a"] },
        { "id": "c", "task": "c", "dependsOn": ["b"] },
    ]);
    let id = house.submit_steps(&json!({}), &steps);
    house.nth("b", 1);
    house.cancel(&id);
    house.abandoned("b", 1);
    let ended = house.ended(&id);
    assert_cancelled(&ended);
    assert_eq!(step(&ended, "a")["status"], "completed");
    assert_eq!(step(&ended, "a")["result"], json!({ "n": 1 }));
    assert_ne!(step(&ended, "b")["status"], "completed");
    assert_ne!(step(&ended, "c")["status"], "completed");
    assert_eq!(house.count("c"), 0);
}

#[test]
fn a_loop_is_cancelled_and_all_its_calls_are_given_up() {
    let house = House::start();
    house.modal.teach("each", Answer::held(Answer::Echo));
    let steps = json!([{ "id": "each", "task": "each", "forEach": "{{payload.items}}", "forEachConcurrency": 2 }]);
    let id = house.submit_steps(&json!({ "items": [1, 2, 3, 4] }), &steps);
    noted(&house.modal, "two items", |notes| notes.of("each").count() == 2);
    house.cancel(&id);
    house.abandoned("each", 1);
    house.abandoned("each", 2);
    assert_cancelled(&house.ended(&id));
    let other = house.submit_plain("other");
    house.completed(&other);
    assert_eq!(house.count("each"), 2);
}
