//! Who may speak as a worker, about what, and where the server lets itself be sent.

#[allow(unused_imports, reason = "workers are called here, and not the targets of steps")]
mod common;
mod pipelines;

use pipelines::{House, Worker, list, text};
use serde_json::{Value, json};

const TOKEN: &str = "a-token-of-the-workers";

fn guarded() -> House {
    House::with(&[("QUINTET_PIPELINES__WORKER_TOKEN", TOKEN)])
}

fn waiting() -> Value {
    json!({ "job": { "does": [{ "wait": "go" }, { "output": 1 }], "retries": 0 } })
}

/// A worker of a server that wants a token from it.
fn admitted(house: &House, tasks: &Value) -> Worker {
    let url = format!("{}/w/{TOKEN}", house.url());
    house.hire(&json!({ "serviceId": "job", "tasks": tasks, "orchestratorUrl": url }))
}

fn registration(base: &str) -> Value {
    json!({
        "serviceId": "evil", "version": "1.0.0", "baseUrl": base,
        "tasks": [{ "id": "job", "codeHash": "0123456789abcdef" }],
    })
}

#[test]
fn a_worker_without_the_token_is_refused_and_one_with_it_in_the_path_works() {
    let house = guarded();
    for url in [
        house.url(),
        format!("{}/w/wrong", house.url()),
        format!("{}/w/", house.url()),
    ] {
        let given = json!({ "serviceId": "job", "tasks": waiting(), "orchestratorUrl": url });
        let Err(said) = Worker::start(&house.specification(&given)) else {
            panic!("{url} was let in");
        };
        assert!(
            said.contains("Registration failed: 401") || said.contains("Registration failed: 404"),
            "{said}"
        );
    }
    assert_eq!(list(&house.read("/api/services"), "services").len(), 0);
    let mut worker = admitted(&house, &waiting());
    let run = house.queue("job", &json!({}));
    worker.first("started");
    worker.release("go");
    house.task_when(&run, "completed");
}

#[test]
fn the_token_is_taken_as_a_bearer_too() {
    let house = guarded();
    let bearer = format!("Bearer {TOKEN}");
    let body = registration("http://localhost:34999").to_string();
    let call = |headers: &[(&str, &str)]| house.server().client().call("POST", "/api/register", headers, &body);
    assert_eq!(call(&[("authorization", "Bearer wrong")]).status, 401);
    let admitted = call(&[("authorization", &bearer), ("content-type", "application/json")]);
    assert_eq!(admitted.status, 200, "{}", admitted.text());
}

#[test]
fn a_forged_callback_without_the_token_changes_nothing() {
    let house = guarded();
    let mut worker = admitted(&house, &waiting());
    let run = house.queue("job", &json!({}));
    worker.first("started");
    let success = json!({ "status": "success", "outputPath": format!("standalone/{run}/input.json") });
    for (path, body) in [
        (format!("/api/callback/{run}"), success.clone()),
        (format!("/w/wrong/api/callback/{run}"), success),
        (
            format!("/api/callback/{run}"),
            json!({ "status": "failed", "error": "forged" }),
        ),
        ("/api/heartbeat".to_owned(), json!({ "runId": run })),
        ("/api/progress".to_owned(), json!({ "runId": run, "progress": 99 })),
    ] {
        let refused = house.post(&path, &body);
        assert!(
            matches!(refused.status, 401 | 404),
            "{path}: {} {}",
            refused.status,
            refused.text()
        );
    }
    let still = house.task_run(&run);
    assert_eq!((&still["status"], &still["error"]), (&json!("running"), &Value::Null));
    assert_ne!(still["progress"]["progress"], 99);
    worker.release("go");
    house.task_when(&run, "completed");
}

#[test]
fn the_path_with_the_token_leads_to_the_workers_endpoints_only() {
    let house = guarded();
    for path in ["api/runs", "api/services", "api/dlq", "v1/runs", "metrics"] {
        let reply = house.get(&format!("/w/{TOKEN}/{path}"));
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
}

#[test]
fn a_callback_of_a_run_that_does_not_exist_is_not_found() {
    let house = House::start();
    let _worker = house.worker("job", &waiting());
    let run = house.queue("job", &json!({}));
    // One of a run that is there, but of a step that it does not have.
    let foreign = format!("{run}zz");
    for id in [
        "trun_0000000000000000000000000",
        "trun_00000000000000000000000000",
        "prun_0000000000000000000000000",
        "trun_",
        "x",
        "trun_..%2f..%2fx",
        &foreign,
        &format!("{run}~9"),
        &format!("{run}~0"),
        &format!("{run}~x"),
    ] {
        for body in [
            json!({ "status": "success" }),
            json!({ "status": "failed", "error": "no" }),
        ] {
            let refused = house.post(&format!("/api/callback/{id}"), &body);
            assert_eq!(refused.status, 404, "{id}: {}", refused.text());
            assert_eq!(refused.json()["error"], "Task run not found");
        }
    }
    assert_eq!(house.dead_letters(), [] as [Value; 0]);
}

#[test]
fn a_callback_about_a_task_that_was_never_dispatched_does_not_end_it() {
    let house = House::with(&[("MAX_CONCURRENCY", "1")]);
    let mut worker = house.worker("job", &waiting());
    let first = house.queue("job", &json!(1));
    worker.first("started");
    let pending = house.queue("job", &json!(2));
    for body in [
        json!({ "status": "success", "outputPath": format!("standalone/{pending}/input.json") }),
        json!({ "status": "failed", "error": "forged" }),
    ] {
        house.post(&format!("/api/callback/{pending}"), &body);
        assert_eq!(house.task_run(&pending)["status"], "pending");
    }
    worker.release("go");
    house.task_when(&first, "completed");
    house.task_when(&pending, "completed");
    assert_eq!(worker.all("dispatch").len(), 2);
}

#[test]
fn a_callback_cannot_name_a_place_outside_of_the_storage() {
    let house = House::start();
    std::fs::write(house.file("../outside.json"), "\"a secret\"").unwrap();
    let tasks = json!({
        "one": { "does": [{ "wait": "go" }, { "output": 1 }], "allowedNext": ["two"], "retries": 0 },
        "two": { "does": [{ "echo": true }], "retries": 0 },
    });
    let mut worker = house.worker("chain", &tasks);
    let run = house.trigger("chain", &json!({ "input": {} }));
    let one = text(&worker.first("started"), "runId");
    for path in [
        "../outside.json",
        "/etc/hostname",
        "runs/../../outside.json",
        "runs\\..\\..\\outside.json",
    ] {
        let asset = json!({ "x": { "path": path, "size": 1, "type": "text" } });
        for body in [
            json!({ "status": "success", "outputPath": path }),
            json!({ "status": "success", "outputPath": format!("runs/{one}/output.json"), "assets": asset }),
            json!({ "status": "success", "outputPath": format!("runs/{one}/output.json"), "logsPath": path }),
        ] {
            let refused = house.post(&format!("/api/callback/{one}"), &body);
            assert_eq!(refused.status, 400, "{body}: {}", refused.text());
        }
    }
    worker.release("go");
    house.run_when(&run, "completed");
    assert_eq!(worker.first_about("started", "two")["upstream"], json!({ "one": 1 }));
}

#[test]
fn a_worker_cannot_send_the_server_to_where_it_must_not_go() {
    let house = House::start();
    for base in [
        "http://169.254.169.254/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1",
        "http://192.168.1.1:8080",
        "http://172.16.0.1",
        "http://[fd00::1]:80",
        "http://[fe80::1]",
        "http://[::ffff:10.0.0.1]",
        "http://0x0a000001/",
        "http://metadata.google.internal/",
        "http://user:password@localhost:34999",
        "ftp://localhost/",
        "file:///etc/hostname",
        "localhost:34999",
        "",
    ] {
        let refused = house.post("/api/register", &registration(base));
        assert!(
            (400..500).contains(&refused.status),
            "{base}: {} {}",
            refused.status,
            refused.text()
        );
        assert!(refused.json()["error"].is_string(), "{base}: {}", refused.text());
    }
    assert_eq!(list(&house.read("/api/services"), "services").len(), 0);
}

#[test]
fn task_ids_that_cannot_be_in_a_path_are_refused_at_registration() {
    let house = House::start();
    for id in ["a/b", "a b", "a%2fb", "..", ".", "", "ä", "a?b", "a#b"] {
        let mut body = registration("http://localhost:34999");
        body["tasks"][0]["id"] = json!(id);
        let refused = house.post("/api/register", &body);
        assert_eq!(refused.status, 400, "{id:?}: {}", refused.text());
    }
}

#[test]
fn a_service_cannot_take_over_the_task_of_another() {
    let house = House::start();
    let mut worker = house.worker("job", &waiting());
    let refused = house.post("/api/register", &registration("http://localhost:34999"));
    assert_eq!(refused.status, 409, "{}", refused.text());
    let run = house.queue("job", &json!({}));
    worker.first("started");
    worker.release("go");
    house.task_when(&run, "completed");
}
