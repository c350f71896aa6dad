//! Checks 21, 22, 25, 27 and 28: who comes first, how many at a time, what is made only once, and when nothing is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::pipelines::{House, list, text, when};

fn at_most(worker: &super::pipelines::Worker) -> u64 {
    let started = worker.all("started");
    let most = started.iter().map(|event| event["running"].as_u64().expect("a number"));
    most.max().unwrap_or(0)
}

#[test]
fn check_21_with_one_slot_the_lower_number_comes_first_and_equal_ones_in_their_order() {
    let house = House::with(&[("MAX_CONCURRENCY", "1")]);
    let tasks =
        json!({ "block": { "does": [{ "wait": "go" }, { "output": 1 }] }, "job": { "does": [{ "echo": true }] } });
    let mut worker = house.worker("mixed", &tasks);
    house.queue("block", &json!({}));
    worker.first_about("started", "block");
    let given = [(200, "e"), (100, "c"), (50, "a"), (100, "d"), (50, "b")];
    let mut last = String::new();
    for (priority, name) in given {
        let body = json!({ "taskId": "job", "input": name, "priority": priority });
        let queued = text(&house.send("/api/queue/task", &body), "runId");
        if name == "e" {
            last = queued;
        }
    }
    let items = house.read("/api/queue/items?status=pending");
    let listed: Vec<_> = list(&items, "items")
        .iter()
        .map(|item| item["priority"].clone())
        .collect();
    assert_eq!(
        (listed, &items["total"]),
        (
            vec![json!(50), json!(50), json!(100), json!(100), json!(200)],
            &json!(5)
        )
    );
    worker.release("go");
    house.task_when(&last, "completed");
    let order: Vec<_> = worker
        .about("started", "job")
        .iter()
        .map(|event| event["input"].clone())
        .collect();
    assert_eq!(order, ["a", "b", "c", "d", "e"]);
}

#[test]
fn check_21_a_task_with_two_slots_never_has_three_of_fifty_under_way() {
    let house = House::with(&[("MAX_CONCURRENCY", "100")]);
    let tasks = json!({ "job": { "does": [{ "pause": 5 }, { "output": 1 }], "concurrency": 2 } });
    let worker = house.worker("jobs", &tasks);
    let items: Vec<_> = (0..50).map(|n| json!({ "taskId": "job", "input": n })).collect();
    let queued = house.send("/api/queue/batch", &json!({ "tasks": items }));
    for result in list(&queued, "results") {
        house.task_when(&text(&result, "runId"), "completed");
    }
    assert_eq!((worker.all("started").len(), at_most(&worker)), (50, 2));
}

#[test]
fn check_21_the_servers_own_limit_holds_for_all_tasks_together() {
    let house = House::with(&[("MAX_CONCURRENCY", "3")]);
    let worker = house.worker("jobs", &json!({ "job": { "does": [{ "pause": 5 }, { "output": 1 }] } }));
    let items: Vec<_> = (0..12).map(|n| json!({ "taskId": "job", "input": n })).collect();
    let queued = house.send("/api/queue/batch", &json!({ "tasks": items }));
    for result in list(&queued, "results") {
        house.task_when(&text(&result, "runId"), "completed");
    }
    assert_eq!((worker.all("started").len(), at_most(&worker)), (12, 3));
    assert_eq!(house.read("/api/info")["maxConcurrency"], 3);
}

#[test]
fn what_waits_behind_a_limit_says_so() {
    let house = House::with(&[("MAX_CONCURRENCY", "2")]);
    let tasks = json!({
        "narrow": { "does": [{ "wait": "go" }], "concurrency": 1 },
        "wide": { "does": [{ "wait": "go" }] },
    });
    let worker = house.worker("mixed", &tasks);
    for (task, reason) in [
        ("narrow", None),
        ("narrow", Some("queue_concurrency")),
        ("wide", None),
        ("wide", Some("concurrency")),
    ] {
        house.queue(task, &json!({}));
        let Some(reason) = reason else {
            worker.first_about("started", task);
            continue;
        };
        let run = text(&list(&house.read("/v1/runs?limit=1"), "items")[0], "id");
        let why = || house.read(&format!("/v1/runs/{run}/why"))["items"][0]["reasons"][0].clone();
        let said = when("the reason", why, |said| said["reason"] == reason);
        assert!(text(&said, "text").contains("which is"), "{said}");
    }
}

#[test]
fn check_22_a_serverless_server_works_only_when_it_is_asked_to() {
    let house = House::with(&[("MODE", "serverless"), ("POLL_INTERVAL_MS", "10")]);
    let tasks = json!({
        "a": { "does": [{ "output": 1 }], "allowedNext": ["b"] },
        "b": { "does": [{ "echo": true }] },
    });
    let worker = house.worker("chain", &tasks);
    assert_eq!(house.read("/api/info")["mode"], "serverless");
    let run = house.trigger("chain", &json!({ "input": {} }));
    // Many times the interval at which the other mode would look.
    for _ in 0..200 {
        assert_eq!(house.read("/api/queue/status")["pending"], 1);
    }
    assert_eq!(worker.all("dispatch").len(), 0);
    for (path, task) in [("/api/process", "a"), ("/api/tick", "b")] {
        let worked = house.send(path, &json!({}));
        assert_eq!(
            (&worked["status"], &worked["processed"]),
            (&json!("ok"), &json!(1)),
            "{worked}"
        );
        assert!(worked["timestamp"].is_string());
        worker.first_about("dispatch", task);
        when(
            &format!("{task} is done"),
            || house.read("/api/queue/status"),
            |status| status["running"] == 0,
        );
    }
    house.run_when(&run, "completed");
    assert_eq!(house.send("/api/tick", &json!({}))["processed"], 0);
}

#[test]
fn check_22_a_standalone_server_answers_a_tick_too() {
    let house = House::start();
    assert_eq!(house.read("/api/info")["mode"], "standalone");
    assert_eq!(house.send("/api/tick", &json!({}))["status"], "ok");
}

#[test]
fn check_25_the_same_key_is_executed_once_and_answered_with_the_first_run() {
    let house = House::start();
    let worker = house.worker("job", &json!({ "job": { "does": [{ "output": 1 }] } }));
    let body = json!({ "taskId": "job", "input": {}, "idempotencyKey": "monday" });
    let first = text(&house.send("/api/queue/task", &body), "runId");
    house.task_when(&first, "completed");
    let second = house.send("/api/queue/task", &body);
    assert_eq!(
        (&second["runId"], &second["status"]),
        (&json!(first), &json!("completed"))
    );
    let header = [("idempotency-key", "monday"), ("content-type", "application/json")];
    let bare = json!({ "taskId": "job", "input": {} }).to_string();
    let third = house.server().client().call("POST", "/api/queue/task", &header, &bare);
    assert_eq!(third.json()["runId"], json!(first));
    let other = json!({ "taskId": "job", "input": {}, "idempotencyKey": "tuesday" });
    let fourth = text(&house.send("/api/queue/task", &other), "runId");
    house.task_when(&fourth, "completed");
    assert_eq!(worker.all("dispatch").len(), 2);
}

#[test]
fn check_25_what_is_queued_twice_at_the_same_time_is_executed_once() {
    let house = House::start();
    let mut worker = house.worker(
        "job",
        &json!({ "job": { "does": [{ "wait": "go" }, { "output": 1 }] } }),
    );
    let body = json!({ "taskId": "job", "input": {}, "idempotencyKey": "now" });
    let runs: BTreeSet<String> = std::thread::scope(|scope| {
        let queued: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| text(&house.send("/api/queue/task", &body), "runId")))
            .collect();
        queued
            .into_iter()
            .map(|queued| queued.join().expect("an answer"))
            .collect()
    });
    assert_eq!(runs.len(), 1, "{runs:?}");
    worker.release("go");
    house.task_when(runs.first().expect("one"), "completed");
    assert_eq!(worker.all("dispatch").len(), 1);
}

#[test]
fn check_25_a_pipeline_with_a_known_key_takes_the_cached_result_and_goes_on_from_it() {
    let house = House::start();
    let tasks = json!({
        "a": { "does": [{ "output": { "costly": true } }], "allowedNext": ["b"] },
        "b": { "does": [{ "echo": true }] },
    });
    let worker = house.worker("chain", &tasks);
    let body = json!({ "input": { "n": 1 }, "idempotencyKey": "once" });
    let first = house.trigger("chain", &body);
    house.run_when(&first, "completed");
    let second = house.trigger("chain", &body);
    assert_ne!(first, second);
    house.run_when(&second, "completed");
    assert_eq!(
        (worker.about("dispatch", "a").len(), worker.about("dispatch", "b").len()),
        (1, 2)
    );
    let again = &worker.about("started", "b")[1];
    assert_eq!(again["upstream"], json!({ "a": { "costly": true } }));
}

#[test]
fn check_25_a_failure_is_not_kept() {
    let house = House::start();
    let worker = house.worker("job", &json!({ "job": { "does": [{ "fail": {} }], "retries": 0 } }));
    let body = json!({ "taskId": "job", "input": {}, "idempotencyKey": "again" });
    for number in 1..=2 {
        let run = text(&house.send("/api/queue/task", &body), "runId");
        house.task_when(&run, "failed");
        worker.nth("dispatch", number);
    }
}

#[test]
fn check_25_after_its_time_the_same_key_is_executed_again() {
    let house = House::start();
    let worker = house.worker(
        "job",
        &json!({ "job": { "does": [{ "output": 1 }], "idempotencyTTL": 1 } }),
    );
    let body = json!({ "taskId": "job", "input": {}, "idempotencyKey": "hourly" });
    let first = text(&house.send("/api/queue/task", &body), "runId");
    house.task_when(&first, "completed");
    let next = when(
        "another run for the same key",
        || house.send("/api/queue/task", &body),
        |queued| queued["runId"] != json!(first),
    );
    house.task_when(&text(&next, "runId"), "completed");
    assert_eq!(worker.all("dispatch").len(), 2);
}

#[test]
fn check_27_a_batch_with_an_unknown_task_queues_nothing_and_a_good_one_keeps_its_order() {
    let house = House::start();
    let worker = house.worker(
        "pair",
        &json!({ "x": { "does": [{ "echo": true }] }, "y": { "does": [{ "echo": true }] } }),
    );
    let bad = json!({ "tasks": [{ "taskId": "x", "input": 1 }, { "taskId": "ghost", "input": 2 }] });
    let refused = house.post("/api/queue/batch", &bad);
    assert_eq!(refused.status, 404, "{}", refused.text());
    assert_eq!(house.read("/api/queue/items")["total"], 0);
    let good = json!({ "tasks": [{ "taskId": "x", "input": 1 }, { "taskId": "y", "input": 2 }, { "taskId": "x", "input": 3 }] });
    let queued = house.send("/api/queue/batch", &good);
    assert_eq!(queued["queued"], 3);
    let results = list(&queued, "results");
    let order: Vec<_> = results.iter().map(|result| result["taskId"].clone()).collect();
    assert_eq!(order, ["x", "y", "x"]);
    for (result, input) in results.iter().zip([1, 2, 3]) {
        assert_eq!(result["status"], "queued");
        let id = text(result, "runId");
        house.task_when(&id, "completed");
        assert_eq!(house.stored(&format!("standalone/{id}/input.json")), json!(input));
    }
    assert_eq!(worker.all("dispatch").len(), 3);
}

#[test]
fn check_28_maintenance_refuses_new_work_lets_the_old_end_and_begins_by_itself() {
    let house = House::start();
    let tasks = json!({
        "a": { "does": [{ "wait": "go" }, { "output": 1 }], "allowedNext": ["b"] },
        "b": { "does": [{ "echo": true }] },
    });
    let mut worker = house.worker("chain", &tasks);
    let mode = || house.read("/health")["maintenance"]["mode"].clone();
    assert_eq!(mode(), "running");
    let run = house.trigger("chain", &json!({ "input": {} }));
    worker.first("started");
    assert!(
        (400..500).contains(&house.post("/api/maintenance/enter", &json!({})).status),
        "from running"
    );
    let asked = house.send("/api/maintenance/request", &json!({}));
    assert_eq!(
        (&asked["mode"], &asked["canEnterMaintenance"], &asked["runningTasks"]),
        (&json!("waiting_for_maintenance"), &json!(false), &json!(1))
    );
    let message = text(&asked, "message");
    assert!(
        message.starts_with("Waiting for ") && message.ends_with(" tasks to complete"),
        "{message}"
    );
    for (path, body) in [
        ("/api/pipelines/chain/trigger", json!({ "input": {} })),
        ("/api/queue/task", json!({ "taskId": "a" })),
        ("/api/queue/batch", json!({ "tasks": [{ "taskId": "a" }] })),
    ] {
        let refused = house.post(path, &body);
        assert_eq!(refused.status, 503, "{path}: {}", refused.text());
        assert_eq!(
            refused.json(),
            json!({ "error": "Orchestrator is in maintenance mode" })
        );
    }
    worker.release("go");
    house.run_when(&run, "completed");
    when("maintenance", mode, |mode| mode == "maintenance");
    assert_eq!(
        house.read("/api/maintenance")["message"],
        "Maintenance mode active - no new tasks accepted"
    );
    assert_eq!(house.read("/health")["canAcceptTasks"], false);
    let left = house.send("/api/maintenance/exit", &json!({}));
    assert_eq!(left["message"], "Orchestrator is running normally");
    let run = house.trigger("chain", &json!({ "input": {} }));
    house.run_when(&run, "completed");
}

#[test]
fn check_28_maintenance_outlives_the_server() {
    let mut house = House::start();
    house.send("/api/maintenance/request", &json!({}));
    when(
        "maintenance",
        || house.read("/api/maintenance"),
        |state| state["mode"] == "maintenance",
    );
    house.kill();
    house.open();
    assert_eq!(house.read("/api/maintenance")["mode"], Value::from("maintenance"));
}

#[test]
fn a_task_that_is_scheduled_for_later_is_not_handed_out_before() {
    let house = House::start();
    let worker = house.worker("jobs", &json!({ "job": { "does": [{ "output": 1 }] } }));
    let stamp = |object: &Value, field: &str| text(object, field).parse::<jiff::Timestamp>().expect("a time");
    let at = stamp(&house.read("/health"), "timestamp") + jiff::SignedDuration::from_millis(1_500);
    let body = json!({ "taskId": "job", "input": {}, "scheduledFor": at.to_string() });
    let queued = text(&house.send("/api/queue/task", &body), "runId");
    assert_eq!(house.read(&format!("/api/task-runs/{queued}"))["status"], "pending");
    worker.first_about("started", "job");
    let done = house.task_when(&queued, "completed");
    assert!(stamp(&done, "startedAt") >= at, "{done}");
    let body = json!({ "taskId": "job", "input": {}, "scheduledFor": "tomorrow" });
    let refused = house.post("/api/queue/task", &body);
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json()["details"]["scheduledFor"]["_errors"][0],
        "Invalid datetime"
    );
}
