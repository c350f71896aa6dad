//! The fourth and the fifth fault of the original: higher priorities come first and are seen, and ids are unique.

use std::collections::BTreeSet;

use quintet_testkit::modal::Answer;
use serde_json::{Value, json};

use super::tasks::{House, assert_refused, noted, text};

/// One at a time, and one is under way.
fn busy() -> House {
    let house = House::with(&[("WORKER_CONCURRENCY", "1")]);
    house.modal.teach("first", Answer::held(Answer::Echo));
    house.submit_plain("first");
    house.nth("first", 1);
    house
}

fn with_priority(priority: &Value) -> Value {
    let mut task = json!({ "type": "job", "payload": { "priority": priority } });
    if !priority.is_null() {
        task["priority"] = priority.clone();
    }
    task
}

#[test]
fn higher_priorities_come_first_and_equal_ones_in_their_order() {
    let house = busy();
    for (n, priority) in [json!(0), json!(5), Value::Null, json!(10), json!(-3), json!(5)]
        .iter()
        .enumerate()
    {
        let mut task = with_priority(priority);
        task["payload"]["n"] = json!(n);
        house.submit(&task);
    }
    house.modal.release();
    noted(&house.modal, "all six", |notes| notes.of("job").count() == 6);
    let order: Vec<_> = house
        .payloads("job")
        .iter()
        .map(|payload| payload["n"].clone())
        .collect();
    assert_eq!(order, [3, 1, 5, 0, 2, 4].map(Value::from));
}

#[test]
fn waiting_tasks_are_listed_whatever_their_priority() {
    let house = busy();
    let ids: BTreeSet<_> = [json!(7), Value::Null, json!(0)]
        .iter()
        .map(|priority| house.submit(&with_priority(priority)))
        .collect();
    let listed = |query: &str| house.ids(query).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(listed("status=queued"), ids);
    assert!(listed("queue=default").is_superset(&ids));
    assert_eq!(listed("queue=default").len(), 4);
}

#[test]
fn a_priority_that_is_none_is_refused() {
    let house = House::start();
    for priority in [
        json!(2_097_153),
        json!(-2_097_153),
        json!(1.5),
        json!("high"),
        json!(1e300),
    ] {
        let reply = house.post("/api/tasks", &with_priority(&priority));
        assert_eq!(reply.status, 400, "{priority}: {}", reply.text());
        assert!(text(&reply.json(), "error").contains("priority"), "{}", reply.text());
    }
    for priority in [2_097_152, -2_097_152] {
        let id = house.submit(&with_priority(&json!(priority)));
        house.completed(&id);
    }
}

#[test]
fn ids_are_unique_over_the_queues_and_found_without_naming_one() {
    let house = House::start();
    let mut ids = BTreeSet::new();
    for n in 0..3 {
        for queue in ["default", "gpu", "cpu"] {
            let payload = json!({ "queue": queue, "n": n });
            let id = house.submit(&json!({ "type": "t", "payload": payload, "queue": queue }));
            let done = house.completed(&id);
            assert_eq!((&done["result"], &done["queue"]), (&payload, &json!(queue)));
            ids.insert(id);
        }
    }
    assert_eq!(ids.len(), 9);
}

#[test]
fn a_named_queue_narrows_where_a_task_is_looked_for() {
    let house = House::start();
    let id = house.submit(&json!({ "type": "t", "payload": {}, "queue": "gpu" }));
    house.completed(&id);
    assert_eq!(house.task(&format!("{id}?queue=gpu"))["taskId"], json!(id));
    assert_refused(&house.get(&format!("/api/tasks/{id}?queue=cpu")), 404, "Task not found");
}
