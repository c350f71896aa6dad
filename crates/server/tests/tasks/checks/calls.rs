//! Checks 7, 8 and 18: failures of backends, retries, and which backend is called.

use std::time::Duration;

use quintet_testkit::modal::Answer;
use serde_json::{Value, json};

use super::tasks::{House, Site, nth};

fn once(kind: &str) -> Value {
    json!({ "type": kind, "payload": {}, "retry": { "attempts": 1 } })
}

#[test]
fn check_7_an_error_that_modal_tells_with_status_200_fails_the_task() {
    let house = House::start();
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let id = house.submit(&once("bad"));
    let failed = house.failed(&id);
    assert_eq!((&failed["error"], &failed["result"]), (&json!("boom"), &Value::Null));
    assert_eq!(house.count("bad"), 1);
}

#[test]
fn check_7_a_status_that_is_no_success_is_in_the_error_with_its_text() {
    let house = House::start();
    house.modal.teach("bad", Answer::status(500, "oops"));
    let id = house.submit(&once("bad"));
    assert_eq!(house.failed(&id)["error"], "Modal error: 500 - oops");
    assert_eq!(house.count("bad"), 1);
}

#[test]
fn check_7_an_answer_without_a_result_is_null() {
    let house = House::start();
    house
        .modal
        .teach("void", Answer::status(200, "{\"task_type\":\"void\"}"));
    let id = house.submit(&once("void"));
    let done = house.completed(&id);
    assert_eq!((&done["result"], &done["progress"]), (&Value::Null, &json!(100)));
}

#[test]
fn check_8_a_task_that_always_fails_is_called_three_times_a_second_apart() {
    let house = House::start();
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let id = house.submit_plain("bad");
    house.nth("bad", 1);
    let between = house.task_when("waits for its retry", &id, |task| {
        task["status"] == "queued" && task.get("error").is_some()
    });
    assert_eq!((&between["error"], &between["result"]), (&json!("boom"), &Value::Null));
    let failed = house.failed(&id);
    assert_eq!(failed["error"], "boom");
    let calls = house.modal.calls_of("bad");
    assert_eq!(calls.len(), 3);
    for pair in calls.windows(2) {
        let apart = pair[1].at - pair[0].at;
        assert!(
            apart >= Duration::from_millis(990) && apart < Duration::from_millis(2500),
            "{apart:?}"
        );
    }
}

#[test]
fn check_18_where_modal_is_ill_ray_is_called() {
    let house = Site::default().with_ray().prepared(|modal, _| modal.set_health(503));
    let id = house.submit(&json!({ "type": "text.chat", "payload": { "prompt": "Hello!" } }));
    let call = nth(house.ray(), "text.chat", 1);
    assert_eq!(call.line, "POST /task");
    assert_eq!(
        call.body,
        json!({ "type": "text.chat", "payload": { "prompt": "Hello!" } })
    );
    assert!(
        !call.headers.contains_key("authorization"),
        "what Modal is shown is for Modal"
    );
    assert_eq!(house.completed(&id)["result"], json!({ "prompt": "Hello!" }));
    assert_eq!(house.modal.calls().len(), 0);
}

#[test]
fn check_18_where_both_are_well_modal_is_called() {
    let house = Site::default().with_ray().open();
    let id = house.submit_plain("text.chat");
    house.completed(&id);
    assert_eq!((house.modal.calls().len(), house.ray().calls().len()), (1, 0));
}

#[test]
fn check_18_a_backend_that_was_named_and_is_ill_fails_the_task() {
    let house = Site::default().with_ray().prepared(|modal, _| modal.set_health(503));
    let id = house.submit(&json!({
        "type": "text.chat", "payload": {}, "backend": "modal", "retry": { "attempts": 1 },
    }));
    assert_eq!(house.failed(&id)["error"], "Backend \"modal\" is not healthy");
    assert_eq!((house.modal.calls().len(), house.ray().calls().len()), (0, 0));
}

#[test]
fn check_18_a_backend_that_was_named_is_called_though_another_comes_first() {
    let house = Site::default().with_ray().open();
    let id = house.submit(&json!({ "type": "text.chat", "payload": { "n": 1 }, "backend": "ray" }));
    assert_eq!(house.completed(&id)["result"], json!({ "n": 1 }));
    assert_eq!((house.modal.calls().len(), house.ray().calls().len()), (0, 1));
    house.ray().teach("bad", Answer::status(418, "teapot"));
    let id = house.submit(&json!({ "type": "bad", "payload": {}, "backend": "ray", "retry": { "attempts": 1 } }));
    assert_eq!(house.failed(&id)["error"], "Ray error: 418 - teapot");
}

#[test]
fn check_18_a_backend_that_nobody_registered_is_said_to_be_none() {
    let house = House::start();
    let task = json!({ "type": "t", "payload": {}, "backend": "ray", "retry": { "attempts": 1 } });
    let reply = house.post("/api/tasks", &task);
    // At the latest when it is due; where it is known at once, it may be said at once.
    let error = match reply.status {
        200 => house.failed(&super::tasks::text(&reply.json(), "taskId"))["error"].clone(),
        _ => reply.json()["error"].clone(),
    };
    assert_eq!(error, "Backend \"ray\" not registered");
}
