//! What the original did not do, and what is done here: faults 1 to 3, 8 and 11.

use serde_json::{Value, json};

use super::tenants::{Answer, House, configured, request, statuses, task};

#[test]
fn fault_1_nothing_is_complete_that_nobody_did() {
    let house = House::start();
    house.worker.teach("a", Answer::held("late"));
    let id = house.execute(&request(&[("a", &[])]));
    house.worker.wait_for("a", 1);
    house.seconds_pass(1.2);
    assert_eq!(
        statuses(&house.show(&id)),
        ["running"],
        "a second is no reason to be complete"
    );
    house.worker.release_all();
    let done = house.reach(&id, "completed");
    assert_eq!(
        task(&done, "a")["result"]["output"],
        "late",
        "it is what the worker said"
    );
}

#[test]
fn fault_1_without_rules_nothing_is_accepted_and_nothing_is_simulated() {
    let house = House::with(json!({ "tenants": {} }));
    let reply = house.post(&super::tenants::workflows("t1"), &request(&[("a", &[])]).to_string());
    let error = super::tenants::refusal(&reply, 400)["error"].clone();
    let error = error.as_str().expect("text");
    assert!(error.contains("codegen") && error.contains("tenants.types"), "{error}");
    assert_eq!(house.list("t1", "")["total"], 0);
}

#[test]
fn faults_2_and_3_a_workflow_is_not_complete_before_its_tasks_are() {
    let house = House::start();
    house.worker.teach("b", Answer::held("late"));
    let id = house.execute(&request(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]));
    house.worker.wait_for("b", 1);
    let seen = house.show(&id);
    assert_eq!(
        (&seen["status"], statuses(&seen)),
        (
            &json!("running"),
            vec!["completed".to_owned(), "running".to_owned(), "pending".to_owned()]
        )
    );
    assert!(seen.get("completed_at").is_none(), "{seen:#}");
    assert_eq!(house.worker.count("c"), 0, "dependencies are waited for");
    house.worker.release_all();
    let done = house.reach(&id, "completed");
    assert!(statuses(&done).iter().all(|status| status == "completed"));
}

#[test]
fn fault_8_a_resume_repeats_nothing_a_retry_runs_and_a_cancellation_is_not_overwritten() {
    let house = House::start();
    for task in ["b", "d"] {
        house.worker.teach(task, Answer::held("late"));
    }
    let resumed = house.execute(&request(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]));
    house.worker.wait_for("b", 1);
    house.manage(&resumed, "pause", &json!({}));
    house.manage(&resumed, "resume", &json!({}));
    let cancelled = house.execute(&request(&[("d", &[]), ("e", &["d"])]));
    house.worker.wait_for("d", 1);
    house.manage(&cancelled, "cancel", &json!({}));
    house.worker.release_all();
    house.reach(&resumed, "completed");
    assert_eq!(["a", "b", "c"].map(|task| house.worker.count(task)), [1, 1, 1]);
    assert_eq!(statuses(&house.show(&cancelled)), ["cancelled", "cancelled"]);
    assert_eq!(house.worker.count("e"), 0);
}

#[test]
fn fault_11_what_a_task_says_of_itself_counts_like_the_list() {
    let house = House::start();
    let mut body = request(&[("b", &[]), ("a", &[])]);
    body["tasks"][0]["dependencies"] = json!(["a"]);
    // Both say it, and it is one dependency.
    body["dependencies"] = json!([{ "from": "a", "to": "b", "type": "data" }]);
    let id = house.execute(&body);
    house.reach(&id, "completed");
    let order: Vec<String> = house.worker.calls().into_iter().map(|call| call.task).collect();
    assert_eq!(order, ["a", "b"]);
    let mut unknown = request(&[("a", &[])]);
    unknown["tasks"][0]["dependencies"] = json!(["gone"]);
    let checked = house.post("/api/v1/dag/validate", &unknown.to_string()).json();
    assert_eq!(
        checked,
        json!({ "valid": false, "errors": ["Dependency references non-existent task: gone"] })
    );
    let lenient = |level: &str| {
        let mut body = configured(&[("a", &[])], json!({ "validation_level": level }));
        body["tasks"][0]["dependencies"] = json!(["gone"]);
        house.post(&super::tenants::workflows("t1"), &body.to_string()).status
    };
    assert_eq!(
        ["", "basic", "strict", "none"].map(lenient),
        [400, 400, 400, 201],
        "the original looked away"
    );
}

#[test]
fn fault_2_every_setting_is_obeyed_or_refused() {
    let house = House::start();
    let refused = |configuration: Value, field: &str| {
        let body = configured(&[("a", &[])], configuration).to_string();
        let error = super::tenants::refusal(&house.post(&super::tenants::workflows("t1"), &body), 400)["error"].clone();
        assert!(
            error.as_str().is_some_and(|error| error.contains(field)),
            "{field}: {error}"
        );
    };
    refused(
        json!({ "notification_policy": "carrier pigeon" }),
        "notification_policy",
    );
    refused(json!({ "retry_policy": { "backoff_factor": 1.5 } }), "backoff_factor");
    refused(json!({ "retry_policy": { "max_retries": -1 } }), "max_retries");
}
