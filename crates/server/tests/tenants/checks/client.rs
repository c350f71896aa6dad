//! Check 18: the face's Go client, which is not changed.

use serde_json::{Value, json};

use super::tenants::go::{OrchestratorClient, request, task};
use super::tenants::{Answer, House};

fn edge(from: &str, to: &str) -> Value {
    json!({ "from": from, "to": to, "type": "prerequisite" })
}

#[test]
fn check_18_the_client_understands_every_answer() {
    let house = House::start();
    let result = json!({
        "output": "ok", "sandbox_result": { "exit_code": 0, "stdout": "1 passed", "stderr": "", "execution_time": 5 },
    });
    house.worker.teach("b", Answer::Json(result));
    let client = OrchestratorClient {
        house: &house,
        tenant: "t1",
    };
    let tasks = || vec![task("a", "codegen"), task("b", "test")];
    let asked = request("release/42 ü", tasks(), json!([edge("a", "b")]));
    let accepted = client.execute(&asked).expect("accepted");
    assert_eq!(
        (accepted.status.as_str(), accepted.message.as_str()),
        ("pending", "Workflow execution started")
    );
    let id = accepted.workflow_id;
    assert!(id.starts_with("wf_release~2F42"), "ids go into paths as they are: {id}");
    assert_eq!(
        accepted.execution.map(|execution| execution.status),
        Some("pending".to_owned())
    );
    house.reach(&id, "completed");
    let shown = client.workflow(&id).expect("shown").execution.expect("an execution");
    assert_eq!(
        (shown.intent_id.as_str(), shown.status.as_str()),
        ("release/42 ü", "completed")
    );
    let done = shown.tasks.expect("tasks");
    assert!(
        done.iter()
            .all(|task| task.status == "completed" && task.duration > 0 && task.attempts == 1)
    );
    let sandbox = done[1]
        .result
        .as_ref()
        .and_then(|result| result.sandbox_result.as_ref());
    assert_eq!(sandbox.map(|sandbox| sandbox.stdout.as_str()), Some("1 passed"));
    assert!(
        shown
            .results
            .is_some_and(|results| results.contains_key("a") && results.contains_key("b"))
    );
    let page = client.list(0, 10, "").expect("a page");
    assert_eq!(
        (
            page.total,
            page.page,
            page.page_size,
            page.workflows.map(|all| all.len())
        ),
        (1, 0, 10, Some(1))
    );
    let empty = client.list(3, 0, "failed").expect("a page");
    assert_eq!((empty.total, empty.workflows.map(|all| all.len())), (0, Some(0)));
    let checked = client.validate(tasks(), json!([edge("a", "b")])).expect("a report");
    assert_eq!(
        (checked.valid, checked.execution_order),
        (true, Some(vec!["a".to_owned(), "b".to_owned()]))
    );
    let checked = client
        .validate(tasks(), json!([edge("a", "b"), edge("b", "a")]))
        .expect("a report");
    assert_eq!(checked.errors, Some(vec!["Cycle detected: [a b a]".to_owned()]));
    let metrics = client.metrics(&id).expect("figures");
    assert_eq!(
        (metrics.task_metrics.map(|all| all.len()), metrics.error_rate),
        (Some(2), 0.0)
    );
}

#[test]
fn check_18_the_client_controls_workflows_and_shows_why_it_could_not() {
    let house = House::start();
    let client = OrchestratorClient {
        house: &house,
        tenant: "t1",
    };
    house.worker.teach("a", Answer::held("late"));
    let answers = vec![Answer::Status(400, "no"), Answer::Json(json!({ "output": "yes" }))];
    house.worker.teach("b", Answer::Sequence(answers));
    let asked = request(
        "i",
        vec![task("a", "codegen"), task("b", "test")],
        json!([edge("a", "b")]),
    );
    let id = client.execute(&asked).expect("accepted").workflow_id;
    house.worker.wait_for("a", 1);
    client.pause(&id, "wait").expect("paused");
    let error = client.pause(&id, "").expect_err("paused already");
    assert!(
        error.contains("status 400") && error.contains("workflow is not running, current status: paused"),
        "{error}"
    );
    client.resume(&id, "").expect("resumed");
    house.worker.release_all();
    house.reach(&id, "failed");
    let failed = client.workflow(&id).expect("shown").execution.expect("an execution");
    let errors = failed.errors.expect("errors");
    assert_eq!(errors.first().and_then(|error| error.task_id.as_deref()), Some("b"));
    client.retry(&id, "b", "it was the network").expect("retried");
    house.reach(&id, "completed");
    let error = client.cancel(&id, "", true).expect_err("it has ended");
    assert!(error.contains("workflow is already completed or cancelled"), "{error}");
    let error = client.workflow("wf_none").expect_err("no such workflow");
    assert!(
        error.contains("status 404") && error.contains("workflow not found"),
        "{error}"
    );
}
