//! Check 16: what a task does when it has succeeded.

use serde_json::json;

use super::common::target::Answer;
use super::common::{Target, until};
use super::tasks::House;

#[test]
fn check_16_a_webhook_is_posted_once_with_the_task_and_its_result() {
    let house = House::start();
    let hooks = Target::scripted(|_, _| Answer::ok("thanks"));
    let task = json!({
        "type": "text.chat", "payload": { "prompt": "Hello!" }, "metadata": { "kept": true },
        "onSuccess": [{ "$event": "webhook", "url": hooks.url("/done"), "headers": { "X-Own": "yes" } }],
        "onError": [{ "$event": "webhook", "url": hooks.url("/failed") }],
    });
    let id = house.submit(&task);
    house.completed(&id);
    let call = until("the webhook", || hooks.calls_of("/done").into_iter().next());
    assert_eq!(
        (call.method.as_str(), call.header("content-type")),
        ("POST", Some("application/json"))
    );
    assert_eq!(call.header("x-own"), Some("yes"));
    let body = call.json();
    assert_eq!(
        (&body["task"], &body["result"], &body["jobId"]),
        (&task, &json!({ "prompt": "Hello!" }), &json!(id))
    );
    assert!(body.get("error").is_none(), "{body}");
    // A second task's webhook comes after whatever the first one still had to send.
    let second = house.submit(&task);
    house.completed(&second);
    until("the second webhook", || {
        (hooks.calls_of("/done").len() >= 2).then_some(())
    });
    let ids: Vec<_> = hooks
        .calls_of("/done")
        .iter()
        .map(|call| call.json()["jobId"].clone())
        .collect();
    assert_eq!(ids, [json!(id), json!(second)]);
    assert_eq!(hooks.calls_of("/failed").len(), 0);
}

#[test]
fn check_16_a_task_that_is_queued_on_success_gets_the_values_of_the_result() {
    let house = House::start();
    let child = json!({ "type": "child", "payload": { "x": "{{result.x}}", "of": "task {{jobId}} of {{task.type}}" } });
    let id = house.submit(&json!({
        "type": "parent", "payload": { "x": "forty-two" }, "onSuccess": [{ "$event": "enqueue", "task": child }],
    }));
    house.completed(&id);
    let call = house.nth("child", 1);
    assert_eq!(
        *call.payload(),
        json!({ "x": "forty-two", "of": format!("task {id} of parent") })
    );
    let child = until("the child completes", || {
        let tasks = house.list("status=completed");
        tasks.into_iter().find(|task| task["type"] == "child")
    });
    assert_eq!(child["result"]["x"], "forty-two");
    assert_eq!(house.count("child"), 1);
}

#[test]
fn check_16_a_failure_tells_its_error() {
    let house = House::start();
    let hooks = Target::scripted(|_, _| Answer::ok(""));
    house
        .modal
        .teach("bad", quintet_testkit::modal::Answer::Error("boom".to_owned()));
    let id = house.submit(&json!({
        "type": "bad", "payload": {}, "retry": { "attempts": 1 },
        "onSuccess": [{ "$event": "webhook", "url": hooks.url("/done") }],
        "onError": [{ "$event": "webhook", "url": hooks.url("/failed"), "method": "PUT" }],
    }));
    house.failed(&id);
    let call = until("the webhook", || hooks.calls_of("/failed").into_iter().next());
    let body = call.json();
    assert_eq!(
        (call.method.as_str(), &body["error"], &body["jobId"]),
        ("PUT", &json!("boom"), &json!(id))
    );
    assert_eq!(hooks.calls_of("/done").len(), 0);
}
