//! Checks 9 to 12: pause, resume, cancel, retry.

use serde_json::json;

use super::tenants::{Answer, House, assert_refused, configured, request, statuses, task, time, whole, workflow};

const CHAIN: [(&str, &[&str]); 3] = [("a", &[]), ("b", &["a"]), ("c", &["b"])];

#[test]
fn check_9_a_paused_workflow_starts_no_further_task() {
    let house = House::start();
    house.worker.teach("a", Answer::held("late"));
    let id = house.execute(&request(&CHAIN));
    house.worker.wait_for("a", 1);
    house.manage(&id, "pause", &json!({ "reason": "r" }));
    let paused = house.show(&id);
    assert_eq!(
        (&paused["status"], &paused["metadata"]["pause_reason"]),
        (&json!("paused"), &json!("r"))
    );
    time(&paused["metadata"], "paused_at");
    house.worker.release_all();
    let paused = house.when("has ended what was under way", &id, |execution| {
        task(execution, "a")["status"] == "completed"
    });
    house.seconds_pass(0.5);
    assert_eq!((&paused["status"], house.worker.count("b")), (&json!("paused"), 0));
    let again = house.control(&id, "pause", "{}");
    assert_refused(&again, 400, "workflow is not running, current status: paused");
    house.manage(&id, "resume", &json!({}));
    house.reach(&id, "completed");
    let late = house.control(&id, "pause", "{}");
    assert_refused(&late, 400, "workflow is not running, current status: completed");
}

#[test]
fn check_10_a_resumed_workflow_goes_on_where_it_was() {
    let house = House::start();
    house.worker.teach("b", Answer::held("late"));
    let id = house.execute(&request(&CHAIN));
    house.worker.wait_for("b", 1);
    let refused = house.control(&id, "resume", "{}");
    assert_refused(&refused, 400, "workflow is not paused, current status: running");
    house.manage(&id, "pause", &json!({}));
    house.worker.release_all();
    house.when("has ended what was under way", &id, |execution| {
        task(execution, "b")["status"] == "completed"
    });
    house.manage(&id, "resume", &json!({ "reason": "on we go" }));
    let done = house.reach(&id, "completed");
    assert_eq!(
        ["a", "b", "c"].map(|task| house.worker.count(task)),
        [1, 1, 1],
        "nothing is done twice"
    );
    assert_eq!(done["metadata"]["resume_reason"], "on we go");
    assert_eq!(done["metadata"]["pause_reason"], "");
    time(&done["metadata"], "resumed_at");
    assert_eq!(done["started_at"], house.show(&id)["started_at"]);
    let refused = house.control(&id, "resume", "{}");
    assert_refused(&refused, 400, "workflow is not paused, current status: completed");
}

#[test]
fn check_11_a_cancelled_workflow_stays_so_and_nothing_of_it_is_left_to_come() {
    let house = House::start();
    house.worker.teach("b", Answer::held("too late"));
    let id = house.execute(&request(&CHAIN));
    house.worker.wait_for("b", 1);
    house.manage(&id, "cancel", &json!({ "reason": "x", "force": true }));
    let cancelled = house.show(&id);
    assert_eq!(cancelled["status"], "cancelled");
    let metadata = &cancelled["metadata"];
    assert_eq!(
        (&metadata["cancel_reason"], &metadata["force_cancel"]),
        (&json!("x"), &json!(true))
    );
    time(metadata, "cancelled_at");
    assert!(time(&cancelled, "completed_at") >= time(&cancelled, "created_at"));
    assert_eq!(statuses(&cancelled), ["completed", "cancelled", "cancelled"]);
    house.worker.release_all();
    house.seconds_pass(0.5);
    assert_eq!(
        statuses(&house.show(&id)),
        ["completed", "cancelled", "cancelled"],
        "what comes late changes nothing"
    );
    assert_eq!(house.worker.count("c"), 0);
    for force in [true, false] {
        let again = house.control(&id, "cancel", &json!({ "force": force }).to_string());
        assert_refused(&again, 400, "workflow is already completed or cancelled");
    }
    let refused = house.control(&id, "pause", "{}");
    assert_refused(&refused, 400, "workflow is not running, current status: cancelled");
}

#[test]
fn check_11_a_paused_and_a_failed_workflow_can_be_cancelled_and_a_completed_one_cannot() {
    let house = House::start();
    house.worker.teach("a", Answer::held("late"));
    house.worker.teach("bad", Answer::Status(400, "no"));
    let paused = house.execute(&request(&[("a", &[]), ("b", &["a"])]));
    house.worker.wait_for("a", 1);
    house.manage(&paused, "pause", &json!({}));
    house.manage(&paused, "cancel", &json!({ "force": false }));
    let cancelled = house.show(&paused);
    assert_eq!(
        (&cancelled["status"], &cancelled["metadata"]["force_cancel"]),
        (&json!("cancelled"), &json!(false))
    );
    let failed = house.execute(&request(&[("bad", &[]), ("b", &["bad"])]));
    house.reach(&failed, "failed");
    house.manage(
        &failed,
        "cancel",
        &json!({ "reason": "not worth mending", "force": true }),
    );
    let cancelled = house.show(&failed);
    assert_eq!(
        (&cancelled["status"], &cancelled["metadata"]["cancel_reason"]),
        (&json!("cancelled"), &json!("not worth mending"))
    );
    assert_eq!(statuses(&cancelled)[0], "failed");
    let completed = house.execute(&request(&[("quick", &[])]));
    house.reach(&completed, "completed");
    let refused = house.control(&completed, "cancel", "{}");
    assert_refused(&refused, 400, "workflow is already completed or cancelled");
}

#[test]
fn check_12_a_failed_task_runs_again_when_it_is_retried_and_the_workflow_goes_on() {
    let house = House::start();
    let answers = vec![
        Answer::Status(400, "broken pipe"),
        Answer::Json(json!({ "output": "mended" })),
    ];
    house.worker.teach("b", Answer::Sequence(answers));
    let id = house.execute(&request(&CHAIN));
    let failed = house.reach(&id, "failed");
    assert_eq!(statuses(&failed), ["completed", "failed", "skipped"]);
    let error = &task(&failed, "b")["error"];
    for field in ["type", "message", "code", "details"] {
        assert!(error[field].is_string(), "{field}: {error}");
    }
    assert!(error["recoverable"].is_boolean());
    time(error, "timestamp");
    let of_workflow = &failed["errors"][0];
    assert_eq!(
        (&of_workflow["task_id"], &of_workflow["message"]),
        (&json!("b"), &error["message"])
    );
    let refused = |body: &str, text: &str| assert_refused(&house.control(&id, "retry", body), 400, text);
    refused("{}", "task_id is required");
    refused(r#"{"task_id":"zz"}"#, "task not found: zz");
    refused(r#"{"task_id":"a"}"#, "task is not in failed state: completed");
    refused(r#"{"task_id":"c"}"#, "task is not in failed state: skipped");
    house.manage(&id, "retry", &json!({ "task_id": "b", "reason": "the disk was full" }));
    let done = house.reach(&id, "completed");
    let b = task(&done, "b");
    assert_eq!((whole(b, "attempts"), &b["result"]["output"]), (2, &json!("mended")));
    assert!(b.get("error").is_none() && done["errors"] == json!([]), "{done:#}");
    assert_eq!(
        ["a", "b", "c"].map(|task| house.worker.count(task)),
        [1, 2, 1],
        "what was done stays done"
    );
    let refused = house.control(&id, "retry", r#"{"task_id":"b"}"#);
    assert_refused(&refused, 400, "task is not in failed state: completed");
    assert_eq!(
        house.get(&workflow("t1", &id)).json()["execution"]["status"],
        "completed"
    );
}

#[test]
fn a_failed_task_can_be_retried_while_others_go_on() {
    let house = House::start();
    let answers = vec![Answer::Status(400, "no"), Answer::Json(json!({ "output": "yes" }))];
    house.worker.teach("bad", Answer::Sequence(answers));
    house.worker.teach("long", Answer::held("done"));
    let tasks: [(&str, &[&str]); 3] = [("bad", &[]), ("long", &[]), ("after", &["bad"])];
    let id = house.execute(&configured(&tasks, json!({ "failure_policy": "continue" })));
    house.when("has a failed task", &id, |execution| {
        task(execution, "bad")["status"] == "failed"
    });
    house.manage(&id, "retry", &json!({ "task_id": "bad" }));
    house.when("has mended it", &id, |execution| {
        task(execution, "after")["status"] == "completed"
    });
    house.worker.release_all();
    let done = house.reach(&id, "completed");
    assert_eq!(statuses(&done), ["completed"; 3]);
    assert_eq!(house.worker.count("long"), 1);
}

#[test]
fn a_cancelled_workflow_goes_on_when_its_failed_task_is_retried() {
    let house = House::start();
    let answers = vec![Answer::Status(400, "no"), Answer::Json(json!({ "output": "yes" }))];
    house.worker.teach("bad", Answer::Sequence(answers));
    let id = house.execute(&request(&[("bad", &[]), ("b", &["bad"])]));
    house.reach(&id, "failed");
    house.manage(&id, "cancel", &json!({}));
    house.manage(&id, "retry", &json!({ "task_id": "bad" }));
    let done = house.reach(&id, "completed");
    assert_eq!(statuses(&done), ["completed"; 2]);
    assert!(done["metadata"].get("cancel_reason").is_none(), "{done:#}");
}
