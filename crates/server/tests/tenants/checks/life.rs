//! Checks 5, 6, 15, 16 and 17: how workflows run.

use serde_json::{Value, json};

use super::tenants::{
    Answer, House, assert_refused, configured, request, statuses, task, text, time, whole, workflow, workflows,
};

#[test]
fn check_5_a_workflow_ends_completed_with_the_results_of_its_tasks() {
    let house = House::start();
    let result = json!({
        "output": "func main() {}", "files": { "main.go": "package main" }, "artifacts": ["main.go"],
        "metrics": { "tokens": 12 },
    });
    house.worker.teach("a", Answer::Json(result.clone()));
    house.worker.teach("b", Answer::Json(json!({ "free": "form" })));
    let id = house.execute(&request(&[("a", &[]), ("b", &["a"])]));
    let done = house.reach(&id, "completed");
    let progress = json!({
        "total_tasks": 2, "completed_tasks": 2, "failed_tasks": 0, "running_tasks": 0, "pending_tasks": 0,
        "percent_complete": 100.0, "estimated_time_left": 0,
    });
    assert_eq!(done["progress"], progress);
    let (a, b) = (task(&done, "a"), task(&done, "b"));
    assert_eq!(a["result"], result);
    assert_eq!(b["result"]["output"], r#"{"free":"form"}"#);
    assert_eq!(done["results"], json!({ "a": a["result"], "b": b["result"] }));
    for done in [a, b] {
        assert_eq!((&done["status"], whole(done, "attempts")), (&json!("completed"), 1));
        let (began, ended) = (time(done, "started_at"), time(done, "completed_at"));
        assert_eq!(
            i128::from(whole(done, "duration")),
            (ended.as_nanosecond() - began.as_nanosecond()),
            "{done}"
        );
        let agent = format!("agent_{}_{}", text(&done["task"], "id"), began.as_second());
        assert_eq!(done["agent_id"], agent);
    }
    let (began, ended) = (time(&done, "started_at"), time(&done, "completed_at"));
    assert_eq!(
        i128::from(whole(&done, "duration")),
        (ended.as_nanosecond() - began.as_nanosecond())
    );
    assert!(time(&done, "created_at") <= began && began < ended);
}

#[test]
fn check_5_whoever_does_a_task_is_told_what_the_client_wrote_and_what_came_before() {
    let house = House::start();
    house.worker.teach("a", Answer::Json(json!({ "output": "from a" })));
    let mut body = request(&[("a", &[]), ("b", &["a"])]);
    body["tasks"][1]["parameters"] = json!({ "text": "{{ steps.a.output }} {{ secrets.x }} stays as it is" });
    body["context"] = json!({ "environment": "prod" });
    let id = house.execute(&body);
    house.reach(&id, "completed");
    let call = house.worker.calls_of("b").remove(0).body;
    assert_eq!(
        (&call["tenant_id"], &call["workflow_id"], &call["attempt"]),
        (&json!("t1"), &json!(id), &json!(1))
    );
    assert_eq!(call["task"]["parameters"], body["tasks"][1]["parameters"]);
    assert_eq!(call["context"]["environment"], "prod");
    assert_eq!(call["dependencies"]["a"]["output"], "from a");
}

#[test]
fn check_6_a_task_starts_after_those_that_both_lists_name() {
    let house = House::start();
    let mut body = request(&[("a", &[]), ("b", &["a"]), ("c", &[])]);
    body["tasks"][2]["dependencies"] = json!(["b"]);
    let id = house.execute(&body);
    let done = house.reach(&id, "completed");
    for (before, after) in [("a", "b"), ("b", "c")] {
        assert!(time(task(&done, before), "completed_at") <= time(task(&done, after), "started_at"));
        let (one, other) = (&house.worker.calls_of(before)[0], &house.worker.calls_of(after)[0]);
        assert!(one.ended.is_some_and(|ended| ended < other.began), "{before} {after}");
    }
}

#[test]
fn progress_is_what_there_is_and_an_estimate_follows_from_what_has_ended() {
    let house = House::start();
    let tasks: [(&str, &[&str]); 4] = [("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &[])];
    for task in ["a", "b", "d"] {
        house.worker.teach(task, Answer::held("done"));
    }
    let id = house.execute(&request(&tasks));
    house.worker.wait_for("a", 1);
    house.worker.wait_for("d", 1);
    let begun = house.show(&id);
    assert_eq!(begun["progress"]["estimated_time_left"], 0, "nothing is known yet");
    assert_eq!(
        ["running_tasks", "pending_tasks", "completed_tasks"].map(|field| whole(&begun["progress"], field)),
        [2, 2, 0]
    );
    house.seconds_pass(0.3);
    house.worker.release("a");
    house.worker.wait_for("b", 1);
    let half = house.show(&id);
    assert_eq!(half["progress"]["percent_complete"], 25.0);
    // `c` has not begun, and is expected to take as long as `a` did.
    let took = whole(task(&half, "a"), "duration");
    let left = whole(&half["progress"], "estimated_time_left");
    assert!(
        took >= 300_000_000 && (took..=2 * took).contains(&left),
        "{took} {left}"
    );
    house.worker.release_all();
    let done = house.reach(&id, "completed");
    assert_eq!(done["progress"]["estimated_time_left"], 0);
}

#[test]
fn check_15_figures_are_what_was_measured_and_what_was_reported() {
    let house = House::start();
    let usage = json!({ "cpu_time": 7_000, "memory_used": 1_024, "disk_used": 5, "network_io": 0 });
    let reported = json!({ "output": "x", "metrics": { "tokens": 3 }, "resource_usage": usage });
    house.worker.teach("a", Answer::Json(reported));
    house.worker.teach("bad", Answer::Status(400, "no"));
    let tasks: [(&str, &[&str]); 3] = [("a", &[]), ("b", &[]), ("bad", &[])];
    let id = house.execute(&configured(&tasks, json!({ "failure_policy": "continue" })));
    let execution = house.reach(&id, "failed");
    let metrics = house.metrics(&id);
    assert_eq!(
        (&metrics["workflow_id"], &metrics["execution_time"]),
        (&json!(id), &execution["duration"])
    );
    assert_eq!(
        metrics["custom_metrics"],
        json!({ "total_retries": 0, "total_tasks": 3, "completed_tasks": 2, "failed_tasks": 1 })
    );
    assert!(
        metrics["error_rate"]
            .as_f64()
            .is_some_and(|rate| (rate - 1.0 / 3.0).abs() < 1e-9)
    );
    let hours = whole(&execution, "duration") as f64 / 3.6e12;
    let throughput = metrics["throughput_tasks_per_hour"].as_f64().expect("a number");
    assert!(
        (throughput * hours - 2.0).abs() < 1e-6,
        "two tasks were completed: {throughput}"
    );
    let each = metrics["task_metrics"].as_array().expect("a list");
    assert_eq!(each.len(), 3);
    assert_eq!(
        (&each[0]["resource_usage"], &each[0]["custom_metrics"]),
        (&usage, &json!({ "tokens": 3 }))
    );
    let nothing = json!({ "cpu_time": 0, "memory_used": 0, "disk_used": 0, "network_io": 0 });
    assert_eq!(
        (&each[1]["resource_usage"], &each[1]["custom_metrics"]),
        (&nothing, &json!({})),
        "nothing is made up"
    );
    assert_eq!(metrics["resource_usage"], usage, "all together");
    for (metrics, id) in each.iter().zip(["a", "b", "bad"]) {
        assert_eq!((&metrics["task_id"], whole(metrics, "retry_count")), (&json!(id), 0));
        assert_eq!(metrics["execution_time"], task(&execution, id)["duration"]);
    }
    let unknown = house.get(&format!(
        "{}/metrics",
        workflow("t1", "wf_x_00000000000000000000000000")
    ));
    assert_refused(&unknown, 404, "workflow not found");
}

#[test]
fn check_16_never_more_tasks_run_at_a_time_than_allowed() {
    for (most, expected) in [(1, 1), (2, 2), (0, 4)] {
        let house = House::start();
        let names: Vec<String> = (0..8).map(|n| format!("t{n}")).collect();
        names
            .iter()
            .for_each(|name| house.worker.teach(name, Answer::held("done")));
        let tasks: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
        let id = house.execute(&configured(&tasks, json!({ "max_concurrency": most })));
        house
            .worker
            .wait("as many as allowed", |notes| notes.in_flight() == expected);
        house.seconds_pass(0.3);
        house.worker.release_all();
        house.reach(&id, "completed");
        assert_eq!(house.worker.most_in_flight(), expected, "max_concurrency {most}");
    }
}

#[test]
fn check_16_what_does_not_need_a_failed_task_goes_on_and_what_needs_it_is_skipped() {
    let house = House::start();
    house.worker.teach("bad", Answer::Status(400, "no"));
    let tasks: [(&str, &[&str]); 5] = [("bad", &[]), ("b", &["bad"]), ("c", &["b"]), ("d", &[]), ("e", &["d"])];
    let configuration = json!({ "max_concurrency": 1, "failure_policy": "continue" });
    let id = house.execute(&configured(&tasks, configuration));
    let done = house.reach(&id, "failed");
    assert_eq!(
        statuses(&done),
        ["failed", "skipped", "skipped", "completed", "completed"]
    );
    assert_eq!(house.worker.most_in_flight(), 1);
    assert_eq!(done["errors"].as_array().map(Vec::len), Some(1));
    let progress = json!({
        "total_tasks": 5, "completed_tasks": 2, "failed_tasks": 1, "running_tasks": 0, "pending_tasks": 0,
        "percent_complete": 40.0, "estimated_time_left": 0,
    });
    assert_eq!(done["progress"], progress);
    assert_eq!(
        done["results"]
            .as_object()
            .map(|results| results.keys().cloned().collect()),
        Some(vec!["d".to_owned(), "e".to_owned()])
    );
}

#[test]
fn check_16_by_default_nothing_starts_after_a_failure() {
    let house = House::start();
    house.worker.teach("bad", Answer::Status(400, "no"));
    let tasks: [(&str, &[&str]); 3] = [("bad", &[]), ("b", &[]), ("c", &[])];
    let id = house.execute(&configured(&tasks, json!({ "max_concurrency": 1 })));
    let done = house.reach(&id, "failed");
    assert_eq!(statuses(&done), ["failed", "skipped", "skipped"]);
    assert_eq!((house.worker.count("b"), house.worker.count("c")), (0, 0));
}

#[test]
fn failed_attempts_are_made_again_as_often_as_the_task_or_the_policy_says() {
    let house = House::start();
    let flaky = |failures: usize| {
        let mut answers = vec![Answer::Status(503, "busy"); failures];
        answers.push(Answer::Json(json!({ "output": "at last" })));
        Answer::Sequence(answers)
    };
    house.worker.teach("own", flaky(2));
    house.worker.teach("policy", flaky(3));
    house.worker.teach("given_up", flaky(9));
    let quick = json!({ "initial_delay": 1_000_000, "max_delay": 2_000_000, "backoff_factor": 2 });
    let of = |task: &str, policy: &str| {
        configured(
            &[(task, &[])],
            json!({ "failure_policy": policy, "retry_policy": quick }),
        )
    };
    let mut own = of("own", "abort");
    own["tasks"][0]["retries"] = 2.into();
    let own = house.execute(&own);
    let policy = house.execute(&of("policy", "retry"));
    let given_up = house.execute(&of("given_up", "retry"));
    let done = house.reach(&own, "completed");
    let (task_of, logs) = (task(&done, "own"), &task(&done, "own")["logs"]);
    assert_eq!((whole(task_of, "attempts"), house.worker.count("own")), (3, 3));
    assert_eq!(
        logs.as_array().map(Vec::len),
        Some(2),
        "a line for each failed attempt: {logs}"
    );
    assert_eq!(house.metrics(&own)["task_metrics"][0]["retry_count"], 2);
    assert_eq!(whole(task(&house.reach(&policy, "completed"), "policy"), "attempts"), 4);
    let failed = house.reach(&given_up, "failed");
    assert_eq!(
        (
            whole(task(&failed, "given_up"), "attempts"),
            house.worker.count("given_up")
        ),
        (4, 4)
    );
}

#[test]
fn a_task_between_two_attempts_is_retrying() {
    let house = House::start();
    house.worker.teach("a", Answer::Status(503, "busy"));
    let hour = 3_600_000_000_000_u64;
    let policy = json!({ "max_retries": 1, "initial_delay": hour, "max_delay": hour });
    let id = house.execute(&configured(&[("a", &[])], json!({ "retry_policy": policy })));
    let waiting = house.when("waits for its next attempt", &id, |execution| {
        statuses(execution) == ["retrying"]
    });
    assert_eq!(
        (&waiting["status"], whole(&waiting["progress"], "pending_tasks")),
        (&json!("running"), 1)
    );
    assert_eq!(whole(task(&waiting, "a"), "attempts"), 1);
    house.manage(&id, "cancel", &json!({}));
    assert_eq!(statuses(&house.show(&id)), ["cancelled"]);
}

#[test]
fn timeouts_in_nanoseconds_hold_for_tasks_and_for_the_whole() {
    let house = House::start();
    house.worker.teach("slow", Answer::held("never"));
    let mut of_task = request(&[("slow", &[])]);
    of_task["tasks"][0]["timeout"] = 200_000_000.into();
    let id = house.execute(&of_task);
    let failed = house.reach(&id, "failed");
    assert_eq!(statuses(&failed), ["failed"]);
    assert!(
        text(&task(&failed, "slow")["error"], "message").contains("timed out"),
        "{failed:#}"
    );
    let id = house.execute(&configured(
        &[("slow", &[]), ("b", &["slow"])],
        json!({ "timeout": 200_000_000 }),
    ));
    let failed = house.reach(&id, "failed");
    assert_eq!(statuses(&failed), ["cancelled", "cancelled"]);
    assert!(
        text(&failed["errors"][0], "message").contains("timed out"),
        "{failed:#}"
    );
    assert!(failed["errors"][0].get("task_id").is_none());
}

#[test]
fn what_is_urgent_runs_first() {
    let house = House::start();
    house.worker.teach("first", Answer::held("done"));
    let tasks: [(&str, &[&str]); 5] = [
        ("first", &[]),
        ("low", &[]),
        ("usual", &[]),
        ("high", &[]),
        ("twelve", &[]),
    ];
    let mut body = configured(&tasks, json!({ "max_concurrency": 1 }));
    for (nth, priority) in [(0, "100"), (1, "low"), (3, "high"), (4, "12")] {
        body["tasks"][nth]["priority"] = priority.into();
    }
    let id = house.execute(&body);
    house.worker.wait_for("first", 1);
    house.worker.release_all();
    house.reach(&id, "completed");
    let order: Vec<String> = house.worker.calls().into_iter().map(|call| call.task).collect();
    assert_eq!(order, ["first", "twelve", "high", "usual", "low"]);
}

#[test]
fn a_workflow_with_a_human_in_the_loop_begins_when_somebody_agrees() {
    let house = House::start();
    let tasks: [(&str, &[&str]); 3] = [("a", &[]), ("approval", &["a"]), ("c", &[])];
    let hitl = || configured(&tasks, json!({ "enable_hitl": true }));
    let of_default = |id: &str| house.get(&workflow("default", id)).json()["execution"].clone();
    let id = house.execute_for("default", &hitl());
    house.seconds_pass(0.3);
    let waiting = of_default(&id);
    assert_eq!(
        (&waiting["status"], statuses(&waiting)),
        (&json!("pending"), vec!["pending".to_owned(); 3])
    );
    assert!(
        waiting.get("started_at").is_none() && waiting["duration"] == 0,
        "{waiting:#}"
    );
    assert!(house.worker.calls().is_empty());
    let early = house.post(&format!("{}/pause", workflow("default", &id)), "{}");
    assert_refused(&early, 400, "workflow is not running, current status: pending");
    assert_eq!(house.list("default", "?status=pending")["total"], 1);
    let run = format!("run_{}", id.rsplit_once('_').expect("an id").1);
    assert_eq!(
        house.get("/v1/approvals").json()["items"].as_array().map(Vec::len),
        Some(1)
    );
    let approved = house.post(&format!("/v1/runs/{run}/approve"), r#"{"by":"ann"}"#);
    assert_eq!(approved.status, 200, "{}", approved.text());
    let ended = |id: &str, status: &str| {
        super::tenants::when(
            &format!("{id} is {status}"),
            || of_default(id),
            |execution| execution["status"] == status,
        )
    };
    let done = ended(&id, "completed");
    assert_eq!(statuses(&done), ["completed"; 3]);
    assert!(time(&done, "started_at") > time(&done, "created_at"));
    let id = house.execute_for("default", &hitl());
    let run = format!("run_{}", id.rsplit_once('_').expect("an id").1);
    house.post(
        &format!("/v1/runs/{run}/reject"),
        r#"{"by":"ann","comment":"not today"}"#,
    );
    let failed = ended(&id, "failed");
    assert_eq!(statuses(&failed), ["skipped"; 3]);
    assert!(
        text(&failed["errors"][0], "message").contains("not today"),
        "{failed:#}"
    );
}

#[test]
fn check_17_a_server_that_was_killed_goes_on_where_it_was() {
    let mut house = House::start();
    house.worker.teach("b", Answer::held("done"));
    let done = house.execute(&request(&[("quick", &[])]));
    house.reach(&done, "completed");
    let id = house.execute(&request(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]));
    house.worker.wait_for("b", 1);
    house.kill();
    house.open();
    let page = house.list("t1", "");
    assert_eq!(page["total"], 2);
    house.worker.release_all();
    let ended = house.reach(&id, "completed");
    assert_eq!(statuses(&ended), ["completed"; 3]);
    assert_eq!(
        (house.worker.count("a"), house.worker.count("c")),
        (1, 1),
        "what was done is not done again"
    );
    assert_eq!(house.show(&done)["status"], "completed");
    assert_eq!(house.worker.count("quick"), 1);
}

#[test]
fn check_17_a_pause_outlives_the_server() {
    let mut house = House::start();
    house.worker.teach("a", Answer::held("done"));
    let id = house.execute(&request(&[("a", &[]), ("b", &["a"])]));
    house.worker.wait_for("a", 1);
    house.manage(&id, "pause", &json!({ "reason": "r" }));
    house.kill();
    house.worker.release_all();
    house.open();
    let paused = house.show(&id);
    assert_eq!(
        (&paused["status"], &paused["metadata"]["pause_reason"]),
        (&json!("paused"), &json!("r"))
    );
    house.manage(&id, "resume", &json!({}));
    house.reach(&id, "completed");
    assert_eq!(house.worker.count("b"), 1);
}

#[test]
fn types_are_done_as_the_settings_say_for_all_and_for_a_tenant_and_others_are_refused() {
    let own = super::tenants::Worker::start();
    let types = |url: String| json!({ "codegen": { "run": "http", "url": url, "headers": { "x-team": "blue" } } });
    let first = super::tenants::Worker::start();
    let house = House::with(json!({ "tenants": {
        "types": { "codegen": types(first.url())["codegen"], "rest": { "run": "noop" } },
        "of": { "t2": { "types": types(own.url()) } },
    } }));
    let body = request(&[("a", &[])]);
    let id = house.execute(&body);
    house.reach(&id, "completed");
    house.execute_for("t2", &body);
    own.wait_for("a", 1);
    assert_eq!((first.count("a"), own.count("a")), (1, 1));
    assert_eq!(own.calls()[0].headers.get("x-team").map(String::as_str), Some("blue"));
    let mut rest = request(&[("a", &[])]);
    rest["tasks"][0]["type"] = "rest".into();
    let rest = house.execute(&rest);
    assert_eq!(statuses(&house.reach(&rest, "completed")), ["completed"]);
    let mut unknown = request(&[("a", &[])]);
    unknown["tasks"][0]["type"] = "paint".into();
    let reply = house.post(&workflows("t1"), &unknown.to_string());
    let error: Value = super::tenants::refusal(&reply, 400)["error"].clone();
    let error = error.as_str().expect("text");
    assert!(error.contains("paint") && error.contains("tenants.types"), "{error}");
}
