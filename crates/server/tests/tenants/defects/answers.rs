//! What the original answered, and what is answered here: faults 5 to 7, 9, 10 and 12.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::tenants::{Answer, House, assert_refused, request, statuses, task, text, whole, workflow, workflows};

#[test]
fn fault_5_pages_are_stable_and_their_total_is_that_of_all() {
    let house = House::start();
    let all: Vec<String> = (0..7).map(|_| house.execute(&request(&[("a", &[])]))).collect();
    let seen = |page: u64| {
        let page = house.list("t1", &format!("?page={page}&page_size=3"));
        assert_eq!(page["total"], 7);
        let workflows = page["workflows"].as_array().expect("a list").clone();
        workflows.iter().map(|summary| text(summary, "id")).collect::<Vec<_>>()
    };
    let expected: Vec<String> = all.iter().rev().cloned().collect();
    for _ in 0..3 {
        let together: Vec<String> = (0..3).flat_map(seen).collect();
        assert_eq!(together, expected);
    }
}

#[test]
fn fault_6_starts_of_one_intent_are_different_workflows_and_every_id_can_be_asked_for() {
    let house = House::start();
    let ids: HashSet<String> = (0..20).map(|_| house.execute(&request(&[("a", &[])]))).collect();
    assert_eq!(ids.len(), 20);
    for intent in ["a/b", "ü ?#%", "..", "x~2Fy", &"long".repeat(40)] {
        let mut body = request(&[("a", &[])]);
        body["intent_id"] = intent.into();
        let id = house.execute(&body);
        let shown = house.reach(&id, "completed");
        assert_eq!(shown["intent_id"], intent);
    }
}

#[test]
fn fault_7_a_graph_that_is_wrong_is_the_clients_fault() {
    let house = House::start();
    let reply = house.post(&workflows("t1"), &request(&[("a", &["a"])]).to_string());
    assert_refused(
        &reply,
        400,
        "workflow execution failed: invalid DAG: [Self-dependency detected: a]",
    );
}

#[test]
fn fault_9_results_are_filled_and_no_figure_is_made_up() {
    let house = House::start();
    let id = house.execute(&request(&[("a", &[]), ("b", &[])]));
    let done = house.reach(&id, "completed");
    for id in ["a", "b"] {
        assert_eq!(done["results"][id]["output"], format!("did {id}"));
    }
    let metrics = house.metrics(&id);
    let nothing = json!({ "cpu_time": 0, "memory_used": 0, "disk_used": 0, "network_io": 0 });
    assert_eq!(metrics["resource_usage"], nothing);
    assert!(whole(&metrics, "execution_time") > 0);
}

#[test]
fn fault_10_an_answer_is_of_one_moment() {
    let house = House::start();
    let names: Vec<String> = (0..30).map(|n| format!("t{n}")).collect();
    let tasks: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
    let reply = house.post(&workflows("t1"), &request(&tasks).to_string()).json();
    assert_eq!(
        (&reply["status"], &reply["execution"]["status"]),
        (&json!("pending"), &json!("pending"))
    );
    assert!(statuses(&reply["execution"]).iter().all(|status| status == "pending"));
    let id = text(&reply, "workflow_id");
    let consistent = |execution: &Value| {
        let count = |word: &str| statuses(execution).iter().filter(|status| *status == word).count() as i64;
        let progress = &execution["progress"];
        assert_eq!(whole(progress, "completed_tasks"), count("completed"), "{execution:#}");
        assert_eq!(whole(progress, "running_tasks"), count("running"), "{execution:#}");
        assert_eq!(
            whole(progress, "pending_tasks"),
            count("pending") + count("queued") + count("retrying")
        );
        let is_done = count("completed") == 30;
        assert_eq!(execution["status"] == "completed", is_done, "{execution:#}");
        assert_eq!(execution.get("completed_at").is_some(), is_done);
        assert_eq!(
            execution["results"].as_object().map(|all| all.len() as i64),
            Some(count("completed"))
        );
    };
    let done = house.when("is completed, and never torn", &id, |execution| {
        consistent(execution);
        execution["status"] == "completed"
    });
    consistent(&done);
}

#[test]
fn fault_12_a_control_works_without_a_body() {
    let house = House::start();
    house.worker.teach("a", Answer::held("late"));
    let id = house.execute(&request(&[("a", &[])]));
    house.worker.wait_for("a", 1);
    assert_eq!(house.control(&id, "pause", "").status, 200);
    let paused = house.show(&id);
    assert_eq!(
        (&paused["status"], &paused["metadata"]["pause_reason"]),
        (&json!("paused"), &json!(""))
    );
    assert_eq!(task(&paused, "a")["status"], "running");
    assert_eq!(house.get(&workflow("t1", &id)).status, 200);
}
