//! Checks 26, 29 and 30: the plan of a dry run, the storage proxy, and how everything else is answered.

use serde_json::{Value, json};

use super::pipelines::{FOLDER, House, SECRET, list};

fn task(next: &[&str]) -> Value {
    json!({ "does": [{ "echo": true }], "allowedNext": next })
}

#[test]
fn check_26_a_dry_run_shows_the_plan() {
    let house = House::start();
    let tasks = json!({
        "a": task(&["b", "c"]), "b": task(&["d"]), "c": task(&["d"]), "d": task(&["e"]), "e": task(&[]),
    });
    let worker = house.worker("diamond", &tasks);
    let plan = house.send("/api/pipelines/diamond/dry-run", &json!({ "input": {} }));
    assert_eq!(
        plan,
        json!({
            "valid": true, "errors": [], "warnings": [],
            "executionPlan": [
                { "step": 0, "tasks": ["a"], "type": "entry" },
                { "step": 1, "tasks": ["b", "c"], "type": "parallel" },
                { "step": 2, "tasks": ["d"], "type": "join", "waitsFor": ["b", "c"] },
                { "step": 3, "tasks": ["e"], "type": "end" },
            ],
        })
    );
    assert_eq!(worker.all("dispatch").len(), 0);
    assert_eq!(house.read("/api/runs")["total"], 0);
}

#[test]
fn check_26_a_dry_run_of_a_circle_is_invalid_and_one_of_nothing_unknown() {
    let house = House::start();
    let _worker = house.worker(
        "round",
        &json!({ "a": task(&["b"]), "b": task(&["c"]), "c": task(&["b"]) }),
    );
    let plan = house.send("/api/pipelines/a/dry-run", &json!({}));
    assert_eq!((&plan["valid"], &plan["executionPlan"]), (&json!(false), &json!([])));
    let errors = list(&plan, "errors");
    assert!(errors.contains(&json!("Cycle detected: b -> c -> b")), "{errors:?}");
    let unknown = house.post("/api/pipelines/ghost/dry-run", &json!({}));
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.json(),
        json!({ "error": "Pipeline not found", "pipelineId": "ghost" })
    );
}

#[test]
fn check_29_the_storage_proxy_shows_what_is_in_the_storage_and_nothing_else() {
    let house = House::start();
    std::fs::create_dir_all(house.file("runs/x")).unwrap();
    std::fs::write(house.file("runs/x/plain.txt"), "not json").unwrap();
    std::fs::write(house.file("../outside.txt"), "a secret").unwrap();
    std::os::unix::fs::symlink(house.file("../outside.txt"), house.file("runs/x/link.txt")).unwrap();
    std::os::unix::fs::symlink(house.file(".."), house.file("runs/up")).unwrap();
    let plain = house.get("/api/storage/runs/x/plain.txt");
    assert_eq!((plain.status, plain.text().as_str()), (200, "not json"));
    let absent = house.get("/api/storage/runs/x/absent.json");
    assert_eq!(absent.status, 404);
    assert_eq!(
        absent.json(),
        json!({ "error": "File not found", "path": "runs/x/absent.json" })
    );
    let empty = house.get("/api/storage/");
    assert_eq!(
        (empty.status, empty.json()),
        (400, json!({ "error": "Missing storage path" }))
    );
    let absolute = house.file("../outside.txt").display().to_string();
    for path in [
        "..%2foutside.txt".to_owned(),
        "../outside.txt".to_owned(),
        "%2e%2e/outside.txt".to_owned(),
        "%2e%2e%2foutside.txt".to_owned(),
        "..%5coutside.txt".to_owned(),
        "runs/../../outside.txt".to_owned(),
        "runs%2f..%2f..%2foutside.txt".to_owned(),
        "..%252foutside.txt".to_owned(),
        "runs/x/link.txt".to_owned(),
        "runs/up/outside.txt".to_owned(),
        "runs/x/plain.txt%00".to_owned(),
        absolute.clone(),
        format!("%2f{}", &absolute[1..]),
        "/etc/hostname".to_owned(),
        "%2fetc%2fhostname".to_owned(),
        "..%2f..%2f..%2f..%2f..%2f..%2fetc%2fhostname".to_owned(),
    ] {
        let reply = house.get(&format!("/api/storage/{path}"));
        assert!(
            matches!(reply.status, 400 | 404),
            "{path}: {} {}",
            reply.status,
            reply.text()
        );
        assert!(!reply.text().contains("a secret"), "{path}");
    }
}

#[test]
fn check_29_no_answer_has_credentials() {
    let house = House::start();
    let _worker = house.worker("echo", &json!({ "echo": task(&[]) }));
    let backends = house.read("/api/storage/backends");
    let expected =
        json!({ "id": "local-dev", "provider": "local", "endpoint": "file://", "bucket": "data", "isDefault": true });
    assert_eq!(backends, json!({ "backends": [expected], "default": "local-dev" }));
    let run = house.queue("echo", &json!({}));
    house.task_when(&run, "completed");
    let folder = house.file("").display().to_string();
    for path in [
        "/api/storage/backends",
        "/api/info",
        "/health",
        "/api/services",
        "/api/services/echo",
        &format!("/api/task-runs/{run}"),
        "/api/queue/items",
    ] {
        let shown = house.get(path).text();
        for secret in [
            SECRET,
            &format!("/{FOLDER}"),
            folder.as_str(),
            "basePath",
            "storageToken",
        ] {
            assert!(!shown.contains(secret), "{path} shows {secret}: {shown}");
        }
    }
    let said = house.server().said();
    assert!(!said.contains(SECRET) && !said.contains("basePath"), "{said}");
}

#[test]
fn check_30_unknown_paths_and_broken_bodies_are_the_callers_mistake_and_browsers_may_ask() {
    let house = House::start();
    let unknown = house.get("/api/nothing/here");
    assert_eq!((unknown.status, &unknown.json()["error"]), (404, &json!("Not found")));
    let broken = house.server().post("/api/queue/task", "{bad");
    assert_eq!((broken.status, &broken.json()["error"]), (400, &json!("Invalid JSON")));
    assert!(broken.json()["message"].is_string());
    for path in ["/api/runs", "/api/services", "/api/nothing/here"] {
        assert_eq!(
            house.get(path).header("access-control-allow-origin"),
            Some("*"),
            "{path}"
        );
    }
    let asked = house.server().client().call("OPTIONS", "/api/runs", &[], "");
    assert_eq!(asked.status, 204);
    assert_eq!(asked.header("access-control-allow-origin"), Some("*"));
    assert!(
        asked
            .header("access-control-allow-methods")
            .is_some_and(|methods| methods.contains("POST"))
    );
    for (path, id) in [
        ("/api/runs/prun_none", "runId"),
        ("/api/task-runs/trun_none", "taskRunId"),
    ] {
        let absent = house.get(path);
        assert_eq!(
            (absent.status, absent.json()[id].is_string()),
            (404, true),
            "{}",
            absent.text()
        );
    }
}

#[test]
fn check_30_health_and_info_have_the_documented_fields() {
    let house = House::start();
    let health = house.read("/health");
    assert_eq!(
        (&health["status"], &health["database"]),
        (&json!("healthy"), &json!("connected"))
    );
    let maintenance = json!({ "mode": "running", "pendingTasks": 0, "runningTasks": 0 });
    for (field, value) in maintenance.as_object().expect("an object") {
        assert_eq!(&health["maintenance"][field], value, "{field}");
    }
    assert_eq!(health["maintenance"]["message"], "Orchestrator is running normally");
    let info = house.read("/api/info");
    let expected = json!({
        "mode": "standalone", "maxConcurrency": 10, "pollIntervalMs": 1_000, "storageBackends": ["local-dev"],
        "defaultStorageBackend": "local-dev",
    });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&info[field], value, "{field}");
    }
    assert!(info["uptime"].is_number() && info["version"].is_string());
}
