//! What a crash, a backend that goes away and a receiver that is not there may do to tasks, and that all of them come
//! through, each recorded once.

#[allow(
    unused_imports,
    reason = "most tests here look at backends, and not at the targets of steps"
)]
mod common;
mod tasks;

use std::time::Duration;

use quintet_testkit::modal::{Answer, Fake};
use serde_json::{Value, json};
use tasks::{House, Site, list, noted, seconds_pass, step, text, when};

/// How often something of this name is in a run's history.
fn happened(house: &House, id: &str, event: &str) -> usize {
    house.events(id).iter().filter(|own| *own == event).count()
}

#[test]
fn a_task_whose_server_is_killed_in_mid_call_is_made_again_and_finishes_once() {
    let mut house = House::start();
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let id = house.submit(&json!({ "type": "slow", "payload": { "n": 1 }, "retry": { "attempts": 1 } }));
    house.nth("slow", 1);
    house.kill();
    house.abandoned("slow", 1);
    house.modal.teach("slow", Answer::Echo);
    house.open();
    let done = house.completed(&id);
    assert_eq!((&done["result"], done.get("error")), (&json!({ "n": 1 }), None));
    assert_eq!(house.count("slow"), 2);
    assert_eq!(happened(&house, &id, "step.succeeded"), 1, "{:?}", house.events(&id));
}

#[test]
fn steps_that_were_done_before_a_crash_are_not_repeated() {
    let mut house = House::start();
    house.modal.teach("c", Answer::held(Answer::Echo));
    let steps = json!([
        { "id": "a", "task": "a", "input": { "n": 1 } },
        { "id": "b", "task": "b", "dependsOn": ["a"], "forEach": "{{payload.items}}", "input": { "i": "{{index}}" } },
        { "id": "c", "task": "c", "dependsOn": ["b"], "input": { "n": "{{steps.a.n}}", "all": "{{steps.b}}" } },
        { "id": "d", "task": "d", "dependsOn": ["c"] },
    ]);
    let id = house.submit_steps(&json!({ "items": ["x", "y"] }), &steps);
    house.nth("c", 1);
    house.kill();
    house.modal.teach("c", Answer::Echo);
    house.open();
    let done = house.completed(&id);
    let counts = ["a", "b", "c", "d"].map(|kind| house.count(kind));
    assert_eq!(counts, [1, 2, 2, 1]);
    assert_eq!(
        house.payloads("c")[1],
        json!({ "n": 1, "all": [{ "i": 0 }, { "i": 1 }] })
    );
    assert_eq!(step(&done["result"], "a")["status"], "completed");
}

#[test]
fn many_tasks_come_through_a_crash_each_with_one_result() {
    let mut house = House::start();
    house.modal.teach("job", Answer::held(Answer::Echo));
    let ids: Vec<_> = (0..30)
        .map(|n| house.submit(&json!({ "type": "job", "payload": { "n": n } })))
        .collect();
    noted(&house.modal, "five calls", |notes| notes.of("job").count() == 5);
    house.kill();
    house.modal.teach("job", Answer::Echo);
    house.open();
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(house.completed(id)["result"], json!({ "n": n }));
        assert_eq!(happened(&house, id, "step.succeeded"), 1);
    }
    assert_eq!(
        house.count("job"),
        35,
        "only the five that were under way are made again"
    );
}

#[test]
fn a_task_is_cancelled_though_another_server_began_it() {
    let mut house = House::start();
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let id = house.submit_plain("slow");
    house.nth("slow", 1);
    house.kill();
    house.open();
    house.nth("slow", 2);
    house.cancel(&id);
    house.abandoned("slow", 2);
    assert_eq!(house.failed(&id)["error"], "cancelled");
}

#[test]
fn a_delayed_task_survives_a_restart_and_runs_when_it_is_due() {
    let mut house = House::start();
    house.completed(&house.submit_plain("mark"));
    let id = house.submit(&json!({ "type": "later", "payload": {}, "delay": 2500 }));
    house.kill();
    house.open();
    house.completed(&id);
    let waited = house.nth("later", 1).at - house.nth("mark", 1).at;
    assert!(waited >= Duration::from_millis(2500), "{waited:?}");
    assert_eq!(house.count("later"), 1);
}

#[test]
fn attempts_are_counted_over_a_restart() {
    let mut house = House::start();
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let id = house.submit(&json!({ "type": "bad", "payload": {}, "retry": { "attempts": 2, "delay": 2000 } }));
    house.task_when("waits for its retry", &id, |task| task["error"] == "boom");
    house.kill();
    house.open();
    house.failed(&id);
    assert_eq!(house.count("bad"), 2);
}

/// What is said of a backend.
fn circuit(house: &House, backend: &str) -> Value {
    let backends = list(&house.read("/v1/backends"), "items");
    let found = backends.into_iter().find(|known| known["name"] == backend);
    found.unwrap_or_else(|| panic!("no backend {backend}"))
}

#[test]
fn a_backend_that_is_away_for_a_while_under_load_costs_no_task() {
    let rules = json!({ "probe_min_ms": 100, "probe_max_ms": 400, "health_ttl_ms": 100 });
    let house = Site::default().tasks(json!({ "backend_rules": rules })).open();
    house
        .modal
        .teach("job", Answer::late(Duration::from_millis(20), Answer::Echo));
    let submit = |range: std::ops::Range<usize>| -> Vec<String> {
        range
            .map(|n| house.submit(&json!({ "type": "job", "payload": { "n": n } })))
            .collect()
    };
    let mut ids = submit(0..20);
    house.nth("job", 3);
    house.modal.stop();
    ids.extend(submit(20..60));
    let open = when(
        "the circuit opens",
        || circuit(&house, "modal"),
        |seen| seen["circuit"] == "open",
    );
    assert_eq!(open["healthy"], false, "{open}");
    // Three attempts a second apart would be over by then.
    seconds_pass(&house, 4.0);
    let waits = house.read("/api/tasks?status=queued&limit=100");
    assert!(waits["count"].as_u64() >= Some(40), "{waits}");
    assert_eq!(house.list("status=failed&limit=100"), [] as [Value; 0]);
    house.modal.start_again().expect("the port is free");
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(house.completed(id)["result"], json!({ "n": n }));
    }
    when(
        "the circuit closes",
        || circuit(&house, "modal"),
        |seen| seen["circuit"] == "closed",
    );
}

#[test]
fn a_server_that_starts_while_its_backend_is_away_waits_for_it() {
    let rules = json!({ "probe_min_ms": 100, "probe_max_ms": 400, "health_ttl_ms": 100 });
    let mut house = Site::default().tasks(json!({ "backend_rules": rules })).open();
    // That the backend has been healthy is known before the second one ends.
    for _ in 0..2 {
        let id = house.submit_plain("job");
        house.completed(&id);
    }
    house.modal.stop();
    house.kill();
    house.open();
    let id = house.submit(&json!({ "type": "job", "payload": { "n": 7 } }));
    when(
        "the circuit opens",
        || circuit(&house, "modal"),
        |seen| seen["circuit"] == "open",
    );
    // Three attempts a second apart would be over by then.
    seconds_pass(&house, 4.0);
    assert_eq!(house.task(&id)["status"], "queued");
    house.modal.start_again().expect("the port is free");
    assert_eq!(house.completed(&id)["result"], json!({ "n": 7 }));
}

#[test]
fn a_webhook_whose_receiver_is_away_arrives_when_it_is_back() {
    let mut house = House::start();
    let receiver = Fake::start().expect("receiver");
    receiver.stop();
    let hook = json!([{ "$event": "webhook", "url": format!("{}/run_task", receiver.url()) }]);
    let id = house.submit(&json!({ "type": "t", "payload": {}, "onSuccess": hook }));
    house.completed(&id);
    // What has to be told is kept like the task itself.
    house.kill();
    house.open();
    receiver.start_again().expect("the port is free");
    noted(&receiver, "the webhook", |notes| notes.of("?").count() > 0);
    let told = receiver.calls_of("?");
    assert_eq!((text(&told[0].body, "jobId"), told.len()), (id, 1));
}

#[test]
fn a_task_that_is_queued_by_an_effect_is_queued_once_though_the_server_dies() {
    let mut house = House::start();
    house.modal.teach("child", Answer::held(Answer::Echo));
    let effect = json!([{ "$event": "enqueue", "task": { "type": "child", "payload": {} } }]);
    let ids: Vec<_> = (0..10)
        .map(|_| house.submit(&json!({ "type": "parent", "payload": {}, "onSuccess": effect })))
        .collect();
    house.nth("child", 1);
    house.kill();
    house.modal.teach("child", Answer::Echo);
    house.open();
    for id in &ids {
        house.completed(id);
    }
    let children = || {
        let mut tasks = house.list("limit=200");
        tasks.retain(|task| task["type"] == "child");
        let completed = tasks.iter().filter(|task| task["status"] == "completed").count();
        json!({ "all": tasks.len(), "completed": completed })
    };
    let ten = json!({ "all": 10, "completed": 10 });
    when("ten children", children, |seen| *seen == ten);
    let last = house.submit_plain("last");
    house.completed(&last);
    assert_eq!(children(), ten);
}
