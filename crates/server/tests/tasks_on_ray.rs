//! The tasks face over a real Ray cluster: a pipeline whose steps an app of Ray Serve does, and jobs of its Jobs API.

#[allow(
    unused_imports,
    reason = "the tests here look at Ray, and not at the targets of steps"
)]
mod common;
mod tasks;

use std::time::Duration;

use quintet_testkit::patience;
use quintet_testkit::ray::{self, Cluster};
use serde_json::{Value, json};
use tasks::{House, Site, has_ended, list, step, text};

/// How long Ray may take to start a process, beside everything else that this machine does.
const START: Duration = Duration::from_secs(120);

// One test: a cluster takes a while to start, and where each test has a process of its own it would be started for each.
#[test]
fn pipelines_and_jobs_are_done_by_a_real_cluster() {
    let cluster = ray::shared().expect("Ray");
    let house = Site::default()
        .without_modal()
        .variable("RAY_URL", &cluster.ingress_url)
        .variable("RAY_DASHBOARD_URL", &cluster.dashboard_url)
        .tasks(json!({ "backend_rules": { "job_poll_min_ms": 100 } }))
        .open();
    the_types_of_the_app_are_those_of_the_face(&house);
    a_pipeline_hands_results_on_from_step_to_step(&house);
    what_the_app_cannot_do_fails_its_pipeline_in_the_apps_words(&house);
    a_job_is_followed_to_its_end(&house, &cluster);
    a_job_whose_task_is_deleted_is_stopped(&house, &cluster);
}

fn the_types_of_the_app_are_those_of_the_face(house: &House) {
    let types = house.read("/api/tasks/types");
    for name in ["math.sum", "text.upper"] {
        assert!(types.to_string().contains(name), "{types}");
    }
}

/// A greeting and a loop of sums, which the last two steps put together.
fn steps() -> Value {
    json!([
        { "id": "greet", "task": "text.upper", "input": { "text": "hello {{payload.name}}" } },
        {
            "id": "each", "task": "math.sum", "forEach": "{{payload.rows}}", "forEachConcurrency": 2,
            "input": { "numbers": "{{item}}" },
        },
        {
            "id": "total", "task": "math.sum", "dependsOn": ["each"],
            "input": { "numbers": ["{{steps.each.0.sum}}", "{{steps.each.1.sum}}", "{{steps.each.2.sum}}"] },
        },
        {
            "id": "say", "task": "text.upper", "dependsOn": ["greet", "total"],
            "input": { "text": "{{steps.greet.text}}, it makes {{steps.total.sum}}" },
        },
    ])
}

fn a_pipeline_hands_results_on_from_step_to_step(house: &House) {
    let payload = json!({ "name": "ray", "rows": [[1, 2], [3.5], [10, 20, 30]] });
    let id = house.submit_steps(&payload, &steps());
    let result = house.completed(&id)["result"].clone();
    let said = json!({ "text": "HELLO RAY, IT MAKES 66.5" });
    assert_eq!(
        result["stepResults"],
        json!({
            "greet": { "text": "HELLO RAY" },
            "each": [{ "sum": 3 }, { "sum": 3.5 }, { "sum": 60 }],
            "total": { "sum": 66.5 },
            "say": said,
        })
    );
    assert_eq!(result["finalResult"], said);
    for id in ["greet", "each", "total", "say"] {
        assert_eq!(step(&result, id)["status"], "completed", "{result:#}");
    }
    let events = house.events(&id);
    let count = |name: &str| events.iter().filter(|event| *event == name).count();
    // Six calls: three steps of one each, and one of three items.
    assert_eq!((count("step.succeeded"), count("step.failed")), (6, 0), "{events:?}");
}

fn what_the_app_cannot_do_fails_its_pipeline_in_the_apps_words(house: &House) {
    let mut steps = steps();
    steps[2]["task"] = json!("math.product");
    let payload = json!({ "name": "ray", "rows": [[1], [2], [3]] });
    let failed = house.failed(&house.submit_steps(&payload, &steps));
    assert_eq!(failed["error"], "Unknown task: math.product", "{failed:#}");
}

fn submit_job(house: &House, entrypoint: &str) -> String {
    house.submit(&json!({
        "type": "job", "backend": "ray-jobs", "retry": { "attempts": 1 }, "payload": { "entrypoint": entrypoint },
    }))
}

/// What a task's one job is called, and what it has written so far.
fn log_of(house: &House, id: &str) -> Option<(String, String)> {
    let reply = house.get(&format!("/api/tasks/{id}/logs"));
    // Between the claim of the step and its submission Ray does not know the job.
    if reply.status != 200 {
        return None;
    }
    let steps = list(&reply.json(), "steps");
    steps.first().map(|step| (text(step, "job"), text(step, "logs")))
}

fn a_job_is_followed_to_its_end(house: &House, cluster: &Cluster) {
    let id = submit_job(house, "echo one; echo two");
    assert!(
        patience::until(START, || has_ended(&house.task(&id))),
        "{:#}",
        house.task(&id)
    );
    let done = house.completed(&id);
    let result = &done["result"];
    assert_eq!(result["status"], "SUCCEEDED", "{done:#}");
    assert!(text(result, "logs").contains("one\ntwo"), "{done:#}");
    let job = text(result, "submission_id");
    assert_eq!(
        cluster.job_status(&job).expect("a status").as_deref(),
        Some("SUCCEEDED")
    );
    assert_eq!(log_of(house, &id), Some((job, text(result, "logs"))));
}

fn a_job_whose_task_is_deleted_is_stopped(house: &House, cluster: &Cluster) {
    let id = submit_job(house, "echo begun; sleep 1000");
    let mut seen = None;
    let has_begun = patience::until(START, || {
        seen = log_of(house, &id);
        seen.as_ref().is_some_and(|(_, log)| log.contains("begun"))
    });
    assert!(has_begun, "{seen:?}; {:#}", house.task(&id));
    let (job, _) = seen.expect("a log");
    assert_eq!(house.task(&id)["status"], "running");
    let status = || cluster.job_status(&job).expect("a status");
    assert_eq!(status().as_deref(), Some("RUNNING"));

    house.cancel(&id);
    assert_eq!(house.failed(&id)["error"], "cancelled");
    let is_stopped = patience::until(START, || status().as_deref() == Some("STOPPED"));
    assert!(is_stopped, "{job} is {:?}", status());
    assert!(log_of(house, &id).is_none_or(|(_, log)| log.contains("begun")));
}
