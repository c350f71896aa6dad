//! Checks 1 to 3 and 23: workers make themselves known, their code has versions, and a token is for one secret only.

use serde_json::{Value, json};

use super::pipelines::{House, SECRET, Worker, list, names, text};

/// Registers by hand, as another version of a worker that is there would.
fn register(house: &House, service: &str, version: &str, tasks: &[&str]) -> Value {
    house.send("/api/register", &body_of(service, version, tasks))
}

fn body_of(service: &str, version: &str, tasks: &[&str]) -> Value {
    let tasks: Vec<_> = tasks
        .iter()
        .map(|id| json!({ "id": id, "codeHash": "0123456789abcdef" }))
        .collect();
    json!({ "serviceId": service, "version": version, "baseUrl": "http://localhost:34999", "tasks": tasks })
}

#[test]
fn check_1_a_worker_with_three_tasks_registers_and_is_listed() {
    let house = House::start();
    let worker = house.worker(
        "thumbs",
        &json!({
            "load": { "does": [{ "echo": true }], "allowedNext": ["scale", "store"] },
            "scale": { "does": [{ "echo": true }], "timeout": 60, "retries": 1, "concurrency": 2, "description": "scales" },
            "store": { "does": [{ "echo": true }] },
        }),
    );
    assert_eq!(
        worker.first("registered")["answer"],
        json!({ "success": true, "codeChanges": [] })
    );
    let services = list(&house.read("/api/services"), "services");
    assert_eq!(services.len(), 1);
    let service = &services[0];
    assert_eq!(
        (&service["id"], &service["serviceId"], &service["version"]),
        (&json!("thumbs"), &json!("thumbs"), &json!("0.1.0"))
    );
    assert_eq!(
        (&service["baseUrl"], &service["status"], &service["taskCount"]),
        (&json!(worker.url()), &json!("active"), &json!(3))
    );
    let alone = house.read("/api/services/thumbs");
    assert_eq!(list(&alone["service"], "tasks").len(), 3, "{alone}");
    let tasks = house.read("/api/services/thumbs/tasks");
    assert_eq!(tasks["serviceId"], "thumbs");
    let tasks = list(&tasks, "tasks");
    let scale = tasks.iter().find(|task| task["id"] == "scale").expect("scale");
    let expected = json!({
        "id": "scale", "serviceId": "thumbs", "codeVersion": 1, "allowedNext": [], "timeout": 60, "retries": 1,
        "retryBackoff": "exponential", "retryDelayMs": 1_000, "maxRetryDelayMs": 86_400_000,
        "heartbeatIntervalMs": 60_000, "concurrency": 2, "priority": 100, "idempotencyTTL": 86_400,
        "description": "scales",
    });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&scale[field], value, "{field}");
    }
    let unknown = house.get("/api/services/nobody");
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.json(),
        json!({ "error": "Service not found", "serviceId": "nobody" })
    );
}

#[test]
fn check_1_what_workers_registered_outlives_the_server() {
    let mut house = House::behind_proxy();
    let worker = house.worker("echo", &json!({ "echo": { "does": [{ "echo": true }] } }));
    house.kill();
    house.open();
    let run = house.queue("echo", &json!({ "n": 1 }));
    house.task_when(&run, "completed");
    assert_eq!(worker.all("dispatch").len(), 1);
}

#[test]
fn check_2_the_same_code_changes_nothing_and_other_code_is_a_new_version_with_history() {
    let house = House::start();
    let service = |output: u32| json!({ "count": { "does": [{ "output": output }] } });
    drop(house.worker("counter", &service(1)));
    let again = house.worker("counter", &service(1));
    assert_eq!(again.first("registered")["answer"]["codeChanges"], json!([]));
    drop(again);
    let changed = house.worker("counter", &service(2)).first("registered");
    let changes = list(&changed["answer"], "codeChanges");
    assert_eq!(changes.len(), 1);
    assert_eq!(
        names(&changes[0]),
        ["newHash", "newVersion", "oldHash", "oldVersion", "taskId"]
    );
    assert_eq!(
        (
            &changes[0]["taskId"],
            &changes[0]["oldVersion"],
            &changes[0]["newVersion"]
        ),
        (&json!("count"), &json!(1), &json!(2))
    );
    let history = list(&house.read("/api/tasks/count/history"), "history");
    let seen: Vec<_> = history
        .iter()
        .map(|entry| (&entry["code_version"], &entry["code_hash"]))
        .collect();
    let (new, old) = (json!(2), json!(1));
    assert_eq!(seen, [(&new, &changes[0]["newHash"]), (&old, &changes[0]["oldHash"])]);
    assert_eq!(history[0]["codeVersion"], 2, "both spellings");
    assert_eq!(house.read("/api/tasks/nothing/history"), json!({ "history": [] }));
}

#[test]
fn check_2_a_changed_setting_is_no_change_of_code() {
    let house = House::start();
    let service = |timeout: u32| json!({ "count": { "does": [{ "output": 1 }], "timeout": timeout } });
    drop(house.worker("counter", &service(10)));
    let again = house.worker("counter", &service(20));
    assert_eq!(again.first("registered")["answer"]["codeChanges"], json!([]));
    let tasks = list(&house.read("/api/services/counter/tasks"), "tasks");
    assert_eq!(
        (&tasks[0]["timeout"], &tasks[0]["codeVersion"]),
        (&json!(20), &json!(1))
    );
}

#[test]
fn check_3_the_workers_decoder_opens_the_tokens_of_the_contract() {
    let known = concat!(
        "AQIDBAUGBwgJCgsM:aDkwSgzTrOL8x/okiJSfFA==:F9OKchsLAhFFJiYWmV76EC8/2dqF01c3M3vD+IdNSqh6mu7BXuV6rs67/Sfgms9ODA9B78",
        "M5EqJow53T1bc902Tkz/HNQfgWxx0KxLnUMRg7XsT2+9dD9f3rqzwG/aNZVQiqm8I46xGzc6B9+6vm5iY1hcUPlUxTd50M5QV6EY5pP4aSX2H6bF",
        "BhEUHa3NOK8+J3",
    );
    let opened = Worker::open_token(SECRET, known).expect("V1 opens");
    assert_eq!(
        (&opened["provider"], &opened["credentials"]),
        (&json!("local"), &json!({ "basePath": "./storage" }))
    );
    assert_eq!(Worker::open_token("another", known), None);
}

#[test]
fn check_3_a_token_made_by_the_server_opens_in_the_worker() {
    let house = House::start();
    let worker = house.worker("echo", &json!({ "echo": { "does": [{ "echo": true }] } }));
    let run = house.queue("echo", &json!({}));
    house.task_when(&run, "completed");
    let token = worker.first("dispatch")["body"]["storageToken"].clone();
    let backend = Worker::open_token(SECRET, token.as_str().expect("a token")).expect("it opens");
    assert_eq!(
        (&backend["id"], &backend["provider"], &backend["bucket"]),
        (&json!("local-dev"), &json!("local"), &json!("data"))
    );
    assert_eq!(
        backend["credentials"]["basePath"],
        json!(house.file("").to_str().unwrap().trim_end_matches('/'))
    );
    assert!(
        backend["exp"].as_u64().unwrap() > backend["iat"].as_u64().unwrap(),
        "{backend}"
    );
}

#[test]
fn check_3_a_worker_with_another_secret_fails_with_invalid_token() {
    let house = House::start();
    let tasks = json!({ "echo": { "does": [{ "echo": true }], "retries": 0 } });
    let worker = house.hire(&json!({ "serviceId": "echo", "secretKey": "another", "tasks": tasks }));
    let run = house.queue("echo", &json!({}));
    let failed = house.task_when(&run, "failed");
    assert_eq!(
        (&failed["errorCode"], &failed["error"]),
        (&json!("INVALID_TOKEN"), &json!("Failed to decrypt storage token"))
    );
    assert_eq!(worker.all("started").len(), 0);
}

#[test]
fn check_23_a_new_version_without_a_task_cancels_its_pending_runs_and_the_same_version_does_not() {
    let house = House::start();
    let tasks =
        json!({ "old": { "does": [{ "wait": "never" }], "concurrency": 1 }, "kept": { "does": [{ "echo": true }] } });
    let worker = house.hire(&json!({ "serviceId": "pair", "version": "1.0.0", "tasks": tasks }));
    let running = house.queue("old", &json!({}));
    worker.first("started");
    let pending = house.queue("old", &json!({}));
    let same = register(&house, "pair", "1.0.0", &["kept"]);
    assert_eq!(same.get("orphanedTasks"), None, "{same}");
    assert_eq!(house.task_run(&pending)["status"], "pending");
    let next = register(&house, "pair", "2.0.0", &["kept"]);
    assert_eq!(next["orphanedTasks"], json!(["old"]));
    let cancelled = house.task_when(&pending, "cancelled");
    assert_eq!(text(&cancelled, "error"), "Task type removed in version 2.0.0");
    assert_eq!(house.task_run(&running)["status"], "running");
}

#[test]
fn a_service_that_is_removed_sets_its_tasks_free() {
    let house = House::start();
    register(&house, "first", "1.0.0", &["job"]);
    let taken = house.post("/api/register", &body_of("second", "1.0.0", &["job"]));
    assert_eq!(taken.status, 409, "{}", taken.text());
    assert_eq!(house.server().delete("/api/services/first").status, 200);
    assert_eq!(house.server().delete("/api/services/first").status, 404);
    assert_eq!(house.get("/api/services/first").status, 404);
    let unknown = house.post("/api/queue/task", &json!({ "taskId": "job" }));
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    register(&house, "second", "1.0.0", &["job"]);
    assert_eq!(list(&house.read("/api/services/second/tasks"), "tasks").len(), 1);
}

#[test]
fn what_a_task_does_not_say_itself_the_servers_settings_say() {
    let house = House::with(&[("MAX_RETRY_DELAY_MS", "5000")]);
    register(&house, "plain", "1.0.0", &["job"]);
    let task = list(&house.read("/api/services/plain/tasks"), "tasks")[0].clone();
    assert_eq!(
        (&task["maxRetryDelayMs"], &task["retries"], &task["priority"]),
        (&json!(5000), &json!(3), &json!(100)),
        "{task}"
    );
}
