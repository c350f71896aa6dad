//! The twelfth fault of the original: what is repeated can be seen, paused and removed, and a server can be looked at and
//! kept closed.

use quintet_testkit::modal::Answer;
use serde_json::{Value, json};

use super::common::until;
use super::tasks::{House, Site, list, seconds_pass, text, when};

fn every_second(payload: &Value) -> Value {
    json!({ "type": "tick", "payload": payload, "cron": "* * * * * *" })
}

fn schedules(house: &House) -> Vec<Value> {
    list(&house.read("/v1/schedules"), "items")
}

#[test]
fn a_repeated_task_is_listed_and_each_of_its_times_is_a_task() {
    let house = House::start();
    let id = house.submit(&every_second(&json!({ "n": 1 })));
    let parts: Vec<_> = id.split(':').collect();
    assert!(parts.len() == 3 && parts[0] == "repeat" && parts[1].len() == 32, "{id}");
    let listed = schedules(&house);
    let [schedule] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(
        (&schedule["cron"], &schedule["paused"]),
        (&json!("* * * * * *"), &json!(false))
    );
    assert_eq!(schedule["target"]["document"]["type"], "tick", "{schedule}");
    assert!(schedule["next_at"].is_string(), "{schedule}");
    // By the id of its first time it is a task that waits, runs and completes.
    let first = house.completed(&id);
    assert_eq!((&first["result"], &first["taskId"]), (&json!({ "n": 1 }), &json!(id)));
    house.nth("tick", 3);
    let times = list(&house.read("/api/tasks?status=completed"), "tasks");
    assert!(
        times.len() >= 2 && times.iter().all(|task| task["type"] == "tick"),
        "{times:?}"
    );
    let payloads = house.payloads("tick");
    assert!(payloads.iter().all(|payload| *payload == json!({ "n": 1 })));
}

#[test]
fn a_task_that_is_repeated_twice_in_the_same_way_is_repeated_once() {
    let house = House::start();
    let task = json!({ "type": "t", "payload": {}, "cron": "0 3 * * *", "timezone": "Europe/Stockholm" });
    let (one, two) = (house.submit(&task), house.submit(&task));
    assert_eq!(one, two);
    assert_eq!(schedules(&house).len(), 1);
    house.submit(&json!({ "type": "t", "payload": {}, "cron": "0 4 * * *" }));
    assert_eq!(schedules(&house).len(), 2);
    assert_eq!(house.modal.calls().len(), 0);
}

#[test]
fn a_repeated_task_is_paused_resumed_triggered_and_removed() {
    let house = House::start();
    let id = house.submit(&every_second(&json!({})));
    house.nth("tick", 1);
    let schedule = format!("/v1/schedules/{}", text(&schedules(&house)[0], "id"));
    let act = |verb: &str| house.send(&format!("{schedule}/{verb}"), &json!({}));
    assert_eq!(act("pause")["paused"], true);
    let idle = || {
        let waits = house.read("/api/tasks?status=queued")["count"] == 0;
        json!(waits && house.read("/api/tasks?status=running")["count"] == 0)
    };
    when("all that was due is done", idle, |is_idle| *is_idle == true);
    let before = house.count("tick");
    seconds_pass(&house, 2.5);
    assert_eq!(house.count("tick"), before, "while it is paused nothing comes");
    act("trigger");
    house.nth("tick", before + 1);
    assert_eq!(act("resume")["paused"], false);
    house.nth("tick", before + 2);
    let removed = house.cancel(&id);
    assert_eq!(removed["cancelled"], true);
    assert_eq!(schedules(&house), [] as [Value; 0]);
    when("all that was due is done", idle, |is_idle| *is_idle == true);
    let before = house.count("tick");
    seconds_pass(&house, 2.5);
    assert_eq!(house.count("tick"), before, "what was removed does not come back");
}

#[test]
fn a_repetition_that_means_nothing_is_refused() {
    let house = House::start();
    for (field, cron, timezone) in [
        ("cron", "every day", None),
        ("cron", "61 * * * *", None),
        ("cron", "0 0 31 2 *", None),
        ("timezone", "0 3 * * *", Some("Mars/Olympus")),
    ] {
        let task = json!({ "type": "t", "payload": {}, "cron": cron, "timezone": timezone });
        let reply = house.post("/api/tasks", &task);
        assert_eq!(reply.status, 400, "{cron}: {}", reply.text());
        assert!(text(&reply.json(), "error").contains(field), "{cron}: {}", reply.text());
    }
    assert_eq!(schedules(&house), [] as [Value; 0]);
}

#[test]
fn answers_have_the_id_of_their_request_and_requests_are_counted() {
    let house = House::start();
    let client = house.server().client();
    let own = [
        ("x-request-id", "req-of-the-test"),
        ("content-type", "application/json"),
    ];
    for (method, path, body) in [
        ("POST", "/api/tasks", "{}"),
        ("GET", "/api/tasks", ""),
        ("GET", "/api/tasks/no", ""),
    ] {
        let reply = client.call(method, path, &own, body);
        assert_eq!(reply.header("x-request-id"), Some("req-of-the-test"), "{method} {path}");
        let reply = client.call(method, path, &own[1..], body);
        assert!(
            reply.header("x-request-id").is_some_and(|id| id.len() >= 8),
            "{method} {path}"
        );
    }
    house.completed(&house.submit_plain("t"));
    let metrics = house.get("/metrics").text();
    for figure in [
        "quintet_http_requests_total{method=\"POST\",route=\"/api/tasks\",status=\"2xx\"} 1",
        "quintet_http_requests_total{method=\"POST\",route=\"/api/tasks\",status=\"4xx\"} 2",
        "quintet_http_requests_total{method=\"GET\",route=\"/api/tasks\",status=\"2xx\"} 2",
    ] {
        assert!(metrics.contains(figure), "{figure} is not in:\n{metrics}");
    }
}

/// A new key with these permissions, and its entry in the settings.
fn key(namespace: &str, permission: &str) -> (String, Value) {
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_quintet"))
        .args([
            "keys",
            "create",
            "--json",
            "--name",
            namespace,
            "--permissions",
            permission,
            "--namespace",
            namespace,
        ])
        .output()
        .expect("the binary runs");
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    (text(&made, "key"), made["entry"].clone())
}

#[test]
fn with_keys_nobody_else_is_let_in_and_the_client_librarys_key_is_one() {
    let (own, own_entry) = key("default", "operator");
    let (other, other_entry) = key("elsewhere", "admin");
    let house = Site::default()
        .section("auth", json!({ "api_keys": [own_entry, other_entry] }))
        .open();
    let client = house.server().client();
    let task = json!({ "task": "t", "payload": { "n": 1 } }).to_string();
    let call = |key: Option<&str>, method: &str, path: &str, body: &str| {
        let bearer = key.map(|key| format!("Bearer {key}")).unwrap_or_default();
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        client.call(method, path, if key.is_some() { &headers } else { &headers[..1] }, body)
    };
    let refused = call(None, "POST", "/api/tasks", &task);
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert!(
        refused.json()["message"].is_string() && refused.json()["error"].is_string(),
        "{}",
        refused.text()
    );
    let taken = call(Some(&own), "POST", "/api/tasks", &task);
    assert_eq!(taken.status, 200, "{}", taken.text());
    let path = format!("/api/tasks/{}", text(&taken.json(), "taskId"));
    let done = until("the task completes", || {
        let task = call(Some(&own), "GET", &path, "").json();
        (task["status"] == "completed").then_some(task)
    });
    assert_eq!(done["result"], json!({ "n": 1 }));
    let strangers = call(Some(&other), "GET", &path, "");
    assert_eq!(
        strangers.status,
        404,
        "not 403: that would tell that it exists; {}",
        strangers.text()
    );
    assert_eq!(call(Some(&other), "DELETE", &path, "").status, 404);
}

#[test]
fn a_submission_that_is_sent_twice_with_a_key_takes_effect_once() {
    let house = House::start();
    let body = json!({ "type": "t", "payload": { "n": 1 } }).to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", "once")];
    let client = house.server().client();
    let send = |body: &str| client.call("POST", "/api/tasks", &headers, body);
    let id = text(&send(&body).json(), "taskId");
    assert_eq!(text(&send(&body).json(), "taskId"), id);
    house.completed(&id);
    assert_eq!(text(&send(&body).json(), "taskId"), id);
    assert_eq!(house.count("t"), 1);
    let other = send(&json!({ "type": "other", "payload": {} }).to_string());
    assert_eq!(other.status, 409, "{}", other.text());
}

#[test]
fn a_queue_is_seen_paused_and_resumed() {
    let house = House::start();
    house.modal.teach("held", Answer::held(Answer::Echo));
    let running = house.submit(&json!({ "type": "held", "payload": {}, "queue": "gpu" }));
    house.nth("held", 1);
    let paused = house.send("/v1/queues/gpu/pause", &json!({}));
    assert!(
        !paused["paused"].is_null() && paused["paused"] != json!(false),
        "{paused}"
    );
    let waiting = house.submit(&json!({ "type": "t", "payload": {}, "queue": "gpu" }));
    let other = house.submit(&json!({ "type": "t", "payload": {}, "queue": "cpu" }));
    house.completed(&other);
    house.modal.release();
    house.completed(&running);
    let queue = || {
        let queues = list(&house.read("/v1/queues"), "items");
        queues
            .into_iter()
            .find(|queue| queue["name"] == "gpu")
            .expect("the queue")
    };
    let seen = when("one waits", queue, |queue| queue["waiting"] == 1);
    assert_eq!((&seen["running"], &seen["limit"]), (&json!(0), &json!(2)));
    assert_eq!(
        (house.task(&waiting)["status"].clone(), house.count("t")),
        (json!("queued"), 1)
    );
    house.send("/v1/queues/gpu/resume", &json!({}));
    house.completed(&waiting);
}
