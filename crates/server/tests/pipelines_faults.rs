//! What a network, a crash and a slow process may do between a server and its workers, and that a run comes through.
//!
//! Workers that die, deadlines over a restart and callbacks that overtake are among the contract's checks.

#[allow(unused_imports, reason = "workers are called here, and not the targets of steps")]
mod common;
mod pipelines;

use std::time::Duration;

use pipelines::{House, list, of_task, text};
use quintet_testkit::proxy::{Mode, Proxy};
use serde_json::{Value, json};

/// The only task of a service of the same name.
fn job(does: &Value, more: &Value) -> Value {
    let mut task = json!({ "does": does, "retries": 1, "retryDelayMs": 10, "heartbeatIntervalMs": 300 });
    let fields = more.as_object().expect("an object").clone();
    task.as_object_mut().expect("an object").extend(fields);
    json!({ "job": task })
}

fn wait_then_echo() -> Value {
    json!([{ "wait": "go" }, { "echo": true }])
}

#[test]
fn a_server_killed_in_mid_task_takes_the_callback_afterwards_and_goes_on() {
    let mut house = House::behind_proxy();
    let tasks = json!({
        "one": { "does": [{ "wait": "go" }, { "output": 1 }], "allowedNext": ["two", "three"] },
        "two": { "does": [{ "output": 2 }], "allowedNext": ["four"] },
        "three": { "does": [{ "output": 3 }], "allowedNext": ["four"] },
        "four": { "does": [{ "echo": true }] },
    });
    let mut worker = house.worker("diamond", &tasks);
    let runs: Vec<_> = (0..5).map(|n| house.trigger("diamond", &json!({ "n": n }))).collect();
    worker.nth("started", runs.len());
    house.until_accepted(runs.len());
    house.kill();
    house.open();
    worker.release("go");
    for run in &runs {
        let done = house.run_when(run, "completed");
        assert_eq!(list(&done, "tasks").len(), 4);
    }
    for task in ["one", "two", "three", "four"] {
        assert_eq!(worker.about("dispatch", task).len(), runs.len(), "{task}");
    }
}

#[test]
fn a_callback_that_never_arrives_is_made_up_for_by_another_attempt() {
    let house = House::behind_proxy();
    let mut worker = house.worker("job", &job(&wait_then_echo(), &json!({})));
    let run = house.queue("job", &json!({ "n": 1 }));
    worker.nth("heartbeat", 1);
    house.proxy().set(Mode::Reset);
    worker.release("go");
    // The success is lost, and so is the failure that the worker then tells of; it says nothing more.
    worker.wait("a lost callback", |events| {
        let mut lost = events.iter().filter(|event| event["event"] == "unheard");
        lost.any(|event| event["path"] == "callback").then_some(())
    });
    house.proxy().heal();
    let done = house.task_when(&run, "completed");
    assert_eq!((&done["attempt"], worker.all("dispatch").len()), (&json!(2), 2));
    assert_eq!(list(&done, "previousAttempts")[0]["errorCode"], "TIMEOUT");
    assert_eq!(text(&done, "outputPath"), format!("runs/{run}~2/output.json"));
}

#[test]
fn a_callback_that_arrives_twice_counts_once() {
    let house = House::start();
    let tasks = json!({
        "one": { "does": [{ "output": 1 }], "allowedNext": ["two"], "quirks": { "callBackTwice": true } },
        "two": { "does": [{ "echo": true }] },
    });
    let worker = house.worker("chain", &tasks);
    let run = house.trigger("chain", &json!({ "input": {} }));
    house.run_when(&run, "completed");
    let one = worker.first_about("dispatch", "one")["body"]["runId"].clone();
    let second = worker.wait("the second callback", |events| {
        let of_one = |event: &&Value| event["event"] == "callback" && event["runId"] == one;
        events.iter().filter(of_one).nth(1).cloned()
    });
    assert_eq!(second["status"], 200);
    assert_eq!(second["answer"], json!({ "acknowledged": true, "queuedDownstream": 0 }));
    assert_eq!(worker.about("dispatch", "two").len(), 1);
}

#[test]
fn a_worker_that_was_frozen_past_its_deadline_is_told_to_stop_and_its_result_does_not_count() {
    let house = House::start();
    // Long enough for the other worker to get ready on a busy machine.
    let tasks = job(&wait_then_echo(), &json!({ "heartbeatIntervalMs": 1_500 }));
    let mut frozen = house.worker("job", &tasks);
    let run = house.queue("job", &json!({}));
    frozen.first("started");
    // The one that registered last gets what is dispatched from now on.
    let mut other = house.worker("job", &tasks);
    frozen.signal("STOP");
    other.first("started");
    frozen.signal("CONT");
    frozen.wait("a heartbeat that is told to stop", |events| {
        let mut beats = events.iter().filter(|event| event["event"] == "heartbeat");
        beats.any(|beat| beat["answer"]["shouldCancel"] == true).then_some(())
    });
    frozen.release("go");
    let zombie = frozen.first("callback");
    assert_eq!(
        (&zombie["status"], &zombie["answer"]["acknowledged"]),
        (&json!(200), &json!(true))
    );
    let still = house.task_run(&run);
    assert_eq!((&still["status"], &still["attempt"]), (&json!("running"), &json!(2)));
    other.release("go");
    let done = house.task_when(&run, "completed");
    assert_eq!(text(&done, "outputPath"), format!("runs/{run}~2/output.json"));
}

#[test]
fn a_heartbeat_that_comes_late_but_in_time_keeps_the_attempt() {
    let house = House::start();
    // The event loop is busy for more than one interval and less than two.
    let does = json!([{ "block": 1_500 }, { "pause": 900 }, { "echo": true }]);
    let worker = house.worker("job", &job(&does, &json!({ "heartbeatIntervalMs": 1_000 })));
    let run = house.queue("job", &json!({}));
    let done = house.task_when(&run, "completed");
    assert_eq!((&done["attempt"], worker.all("dispatch").len()), (&json!(1), 1));
    assert!(!worker.all("heartbeat").is_empty());
}

#[test]
fn a_task_that_keeps_its_worker_too_busy_for_heartbeats_times_out_and_its_late_result_changes_nothing() {
    let house = House::start();
    let does = json!([{ "block": 1_500 }, { "echo": true }]);
    let worker = house.worker("job", &job(&does, &json!({ "heartbeatIntervalMs": 250, "retries": 0 })));
    let run = house.queue("job", &json!({}));
    let timed_out = house.task_when(&run, "timeout");
    assert_eq!(timed_out["errorCode"], "TIMEOUT");
    // What it says when it wakes up changes nothing any more.
    let late = worker.first("callback");
    assert_eq!(
        (&late["body"]["status"], &late["status"]),
        (&json!("success"), &json!(200))
    );
    let still = house.task_run(&run);
    assert_eq!(
        (&still["status"], &still["errorCode"]),
        (&json!("timeout"), &json!("TIMEOUT"))
    );
}

#[test]
fn a_worker_that_is_busy_or_away_costs_no_attempt() {
    let house = House::start();
    let quirks = json!({ "retries": 0, "quirks": { "refuseTimes": 2 } });
    let worker = house.worker("job", &job(&json!([{ "echo": true }]), &quirks));
    let run = house.queue("job", &json!({}));
    let done = house.task_when(&run, "completed");
    assert_eq!((&done["attempt"], worker.all("dispatch").len()), (&json!(1), 3));
}

#[test]
fn a_worker_whose_connections_break_for_a_while_costs_no_attempt() {
    let house = House::start();
    let free = std::net::TcpListener::bind("[::]:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    // What stands between the server and the worker decides whether there is one.
    let between = Proxy::start(&format!("localhost:{port}")).expect("proxy");
    let base = format!("http://{}", between.address());
    let tasks = job(&json!([{ "echo": true }]), &json!({ "retries": 0 }));
    let worker = house.hire(&json!({ "serviceId": "job", "tasks": tasks, "port": port, "baseUrl": base }));
    between.set(Mode::Reset);
    let run = house.queue("job", &json!({}));
    let is_tried_again = between.wait_until(Duration::from_secs(30), |seen| seen.accepted >= 2);
    assert!(is_tried_again, "{:?}: {}", between.counters(), house.task_run(&run));
    between.heal();
    let done = house.task_when(&run, "completed");
    assert_eq!((&done["attempt"], worker.all("dispatch").len()), (&json!(1), 1));
}

#[test]
fn a_server_killed_before_it_knew_that_the_worker_has_the_attempt_comes_to_one_result() {
    let mut house = House::behind_proxy();
    // The worker has the message, and does not answer it: nobody but the killed process knew that it was sent.
    let held = json!({ "quirks": { "callBackFirst": true }, "heartbeatIntervalMs": 2_000 });
    let mut worker = house.worker("job", &job(&wait_then_echo(), &held));
    let run = house.queue("job", &json!({}));
    worker.first("started");
    house.kill();
    house.open();
    worker.release("go");
    let done = house.task_when(&run, "completed");
    assert!(worker.all("dispatch").len() <= 2, "{done}");
    assert_eq!(house.dead_letters(), [] as [Value; 0]);
}

#[test]
fn a_worker_that_does_not_know_the_task_fails_the_attempt() {
    let house = House::start();
    let worker = house.worker("job", &job(&json!([{ "echo": true }]), &json!({})));
    // The service's address now belongs to somebody who has no such task.
    let other = house.worker("other", &json!({ "else": { "does": [{ "echo": true }] } }));
    let body = json!({
        "serviceId": "job", "version": "0.1.0", "baseUrl": other.url(),
        "tasks": [{ "id": "job", "codeHash": "0123456789abcdef", "retries": 0 }],
    });
    house.send("/api/register", &body);
    let run = house.queue("job", &json!({}));
    let failed = house.task_when(&run, "failed");
    assert_eq!(failed["errorCode"], "DISPATCH_FAILED");
    assert!(text(&failed, "error").contains("404"), "{failed}");
    assert_eq!(worker.all("dispatch").len(), 0);
}

#[test]
fn dispatches_share_connections_and_none_is_lost_to_one_that_the_worker_closed_in_between() {
    let house = House::start();
    let tasks = json!({
        "busy": { "does": [{ "output": 1 }], "allowedNext": ["rest"] },
        "last": { "does": [{ "echo": true }], "retries": 0 },
    });
    let worker = house.worker("front", &tasks);
    // Longer than an idle connection lives on the worker's side, which closes it after five seconds.
    let _rest = house.worker(
        "rest",
        &json!({ "rest": { "does": [{ "pause": 5_500 }, { "output": 1 }], "allowedNext": ["last"] } }),
    );
    for n in 0..20 {
        let run = house.queue("last", &json!(n));
        house.task_when(&run, "completed");
    }
    let sockets: std::collections::BTreeSet<_> = worker
        .all("dispatch")
        .iter()
        .map(|event| event["socket"].to_string())
        .collect();
    assert!(sockets.len() < 20, "each of 20 dispatches had a connection of its own");
    let run = house.trigger("busy", &json!({ "input": {} }));
    let done = house.run_when(&run, "completed");
    assert_eq!(of_task(&done, "last")["attempt"], 1);
}

#[test]
fn a_worker_process_that_exits_in_the_middle_of_a_task_is_like_one_that_is_killed() {
    let house = House::start();
    let mut worker = house.worker("job", &job(&json!([{ "exit": 3 }]), &json!({})));
    let run = house.queue("job", &json!({}));
    assert_eq!(worker.ended(), Some(3));
    let second = house.worker("job", &job(&json!([{ "echo": true }]), &json!({})));
    let done = house.task_when(&run, "completed");
    assert_eq!((&done["attempt"], second.all("dispatch").len()), (&json!(2), 1));
}

#[test]
fn the_worker_of_these_tests_ends_on_a_body_that_is_not_json_as_the_originals_does() {
    let house = House::start();
    let mut worker = house.worker("job", &job(&json!([{ "echo": true }]), &json!({})));
    let address = worker.url();
    let client = common::Client::new(address.strip_prefix("http://").expect("an address"));
    drop(client.send("POST", "/tasks/job", &[("content-type", "application/json")], "{bad"));
    assert_eq!(worker.ended(), Some(1));
}
