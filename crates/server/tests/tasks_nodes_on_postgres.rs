//! Several servers on one store: whichever is asked answers for all, and what one was doing is finished by another.

#[allow(
    unused_imports,
    reason = "most tests here look at backends, and not at the targets of steps"
)]
mod common;
mod tasks;

use quintet_testkit::modal::Answer;
use serde_json::{Value, json};
use tasks::{House, has_ended, noted, text, when};

/// The task as this server shows it, once it has ended.
fn ended(server: &common::Server, id: &str) -> Value {
    let look = || server.get(&format!("/api/tasks/{id}")).json();
    when(&format!("{id} has ended"), look, has_ended)
}

#[test]
fn a_task_that_another_server_does_is_cancelled_and_its_call_is_given_up() {
    let house = House::start();
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let id = house.submit_plain("slow");
    house.nth("slow", 1);
    let other = house.beside();
    let cancelled = other.delete(&format!("/api/tasks/{id}"));
    assert_eq!((cancelled.status, &cancelled.json()["cancelled"]), (200, &json!(true)));
    house.abandoned("slow", 1);
    assert_eq!(ended(&other, &id)["error"], "cancelled");
    assert_eq!(house.failed(&id)["error"], "cancelled");
    assert_eq!(house.count("slow"), 1);
}

#[test]
fn two_servers_do_each_task_once_and_each_shows_all() {
    let house = House::start();
    let other = house.beside();
    let servers = [house.server(), &other];
    let ids: Vec<_> = (0..60)
        .map(|n| {
            let body = json!({ "type": "job", "payload": { "n": n } }).to_string();
            let headers = [("content-type", "application/json")];
            let reply = servers[n % 2].client().call("POST", "/api/tasks", &headers, &body);
            text(&reply.json(), "taskId")
        })
        .collect();
    for (n, id) in ids.iter().enumerate() {
        let done = ended(servers[(n + 1) % 2], id);
        assert_eq!(
            (&done["status"], &done["result"]),
            (&json!("completed"), &json!({ "n": n }))
        );
    }
    assert_eq!(house.count("job"), ids.len());
}

#[test]
fn what_a_killed_server_was_doing_another_finishes() {
    let mut house = House::start();
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let ids: Vec<_> = (0..5).map(|_| house.submit_plain("slow")).collect();
    noted(&house.modal, "five calls", |notes| notes.of("slow").count() == 5);
    let other = house.beside();
    house.modal.teach("slow", Answer::Echo);
    house.kill();
    for id in &ids {
        assert_eq!(ended(&other, id)["status"], "completed");
    }
    assert_eq!(house.count("slow"), 10);
}

#[test]
fn live_news_come_from_a_server_that_does_not_do_the_task() {
    let house = House::start();
    house.modal.teach("a", Answer::held(Answer::Echo));
    let id = house.submit_steps(&json!({}), &json!([{ "id": "one", "task": "a" }]));
    house.nth("a", 1);
    let other = house.beside();
    let path = format!("/api/tasks/stream?taskId={id}");
    let mut news = other.client().stream(&path, &[]);
    assert_eq!(news.status, 200);
    let mut next = || {
        let sent = news.next().expect("the stream goes on");
        serde_json::from_str::<Value>(&sent.data.join("\n")).unwrap_or_default()
    };
    while next()["type"] != "step:start" {}
    house.modal.release();
    while next()["type"] != "pipeline:complete" {}
}

#[test]
fn a_queue_that_is_paused_on_one_server_is_paused_on_all() {
    let house = House::start();
    let other = house.beside();
    let headers = [("content-type", "application/json")];
    let act = |verb: &str| {
        let reply = other
            .client()
            .call("POST", &format!("/v1/queues/gpu/{verb}"), &headers, "{}");
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    act("pause");
    let seen = || {
        let queues = tasks::list(&house.read("/v1/queues"), "items");
        let queue = queues.into_iter().find(|queue| queue["name"] == "gpu");
        queue.expect("the queue")["paused"].clone()
    };
    when("the first server knows", seen, |paused| {
        paused.is_object() || *paused == true
    });
    let id = house.submit(&json!({ "type": "t", "payload": {}, "queue": "gpu" }));
    let proof = house.submit(&json!({ "type": "proof", "payload": {} }));
    house.completed(&proof);
    assert_eq!(
        (house.task(&id)["status"].clone(), house.count("t")),
        (json!("queued"), 0)
    );
    act("resume");
    house.completed(&id);
}
