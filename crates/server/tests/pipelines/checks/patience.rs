//! Checks 7 to 13 and the second half of 30: signs of life, their absence, and what follows a failure.

use serde_json::{Value, json};

use super::pipelines::{House, Worker, list, names, of_task, text, when};

/// Milliseconds from the failure of an attempt to the dispatch of the next one, for each retry.
fn waits(worker: &Worker, dispatches: usize) -> Vec<u64> {
    worker.nth("dispatch", dispatches);
    let at = |event: &Value| event["at"].as_u64().expect("a time");
    let failures = worker.all("callback");
    let starts = worker.all("dispatch");
    let pairs = failures.iter().zip(starts.iter().skip(1));
    pairs
        .map(|(failure, start)| at(start).saturating_sub(at(failure)))
        .collect()
}

/// Retries come when they are due: never before, and not much after on a busy machine.
fn assert_waits(waits: &[u64], due: &[u64]) {
    assert_eq!(waits.len(), due.len(), "{waits:?}");
    for (waited, due) in waits.iter().zip(due) {
        // The answer to the callback reaches the worker a little after the retry was scheduled.
        let range = due.saturating_sub(100)..due + 2_000;
        assert!(range.contains(waited), "{waits:?} instead of {due:?}");
    }
}

#[test]
fn check_7_heartbeats_are_acknowledged_whatever_they_are_about() {
    let house = House::start();
    let mut worker = house.worker(
        "slow",
        &json!({ "slow": { "does": [{ "wait": "go" }, { "output": 1 }] } }),
    );
    let run = house.queue("slow", &json!({}));
    worker.first("started");
    let calm = json!({ "acknowledged": true, "shouldCancel": false });
    assert_eq!(house.send("/api/heartbeat", &json!({ "runId": run })), calm);
    assert_eq!(house.send("/api/heartbeat", &json!({ "runId": "trun_unknown" })), calm);
    let half = json!({ "runId": run, "progress": 50.5, "message": "half" });
    assert_eq!(house.send("/api/progress", &half), calm);
    let progress = house.task_run(&run)["progress"].clone();
    assert_eq!(progress, json!({ "progress": 50.5, "message": "half" }));
    assert!(house.task_run(&run)["lastHeartbeat"].is_string());
    worker.release("go");
    house.task_when(&run, "completed");
    assert_eq!(house.send("/api/heartbeat", &json!({ "runId": run })), calm);
    for (body, field, message) in [
        (
            json!({ "runId": run, "progress": 101 }),
            "progress",
            "Number must be less than or equal to 100",
        ),
        (
            json!({ "runId": run, "progress": -1 }),
            "progress",
            "Number must be greater than or equal to 0",
        ),
        (json!({ "progress": 1 }), "runId", "Required"),
    ] {
        for path in ["/api/heartbeat", "/api/progress"] {
            let refused = house.post(path, &body);
            let details = json!({ "_errors": [], field: { "_errors": [message] } });
            assert_eq!(refused.status, 400, "{}", refused.text());
            assert_eq!(
                refused.json(),
                json!({ "error": "Invalid request", "details": details })
            );
        }
    }
}

#[test]
fn check_8_a_long_task_that_gives_signs_of_life_is_not_timed_out() {
    let house = House::start();
    let tasks = json!({ "long": { "does": [{ "wait": "go" }, { "output": 1 }], "heartbeatIntervalMs": 300 } });
    let mut worker = house.worker("long", &tasks);
    let run = house.queue("long", &json!({}));
    // Three times as long as it may be silent.
    worker.nth("heartbeat", 6);
    assert_eq!(house.task_run(&run)["status"], "running");
    worker.release("go");
    let done = house.task_when(&run, "completed");
    assert_eq!((&done["attempt"], &done["previousAttempts"]), (&json!(1), &json!([])));
    assert_eq!(worker.all("dispatch").len(), 1);
}

#[test]
fn check_9_a_killed_workers_task_times_out_and_is_made_again_until_it_is_dead() {
    let house = House::start();
    let tasks = json!({ "job": { "does": [{ "wait": "never" }], "retries": 1, "retryDelayMs": 10, "heartbeatIntervalMs": 200 } });
    let mut first = house.worker("job", &tasks);
    let run = house.queue("job", &json!({ "n": 7 }));
    first.first("started");
    first.kill();
    let mut second = house.worker("job", &tasks);
    let started = second.first("started");
    assert_eq!(
        (&started["attempt"], &started["input"]),
        (&json!(2), &json!({ "n": 7 }))
    );
    assert_eq!(second.first("dispatch")["body"]["runId"], format!("{run}~2"));
    let previous = list(&started, "previousAttempts");
    assert_eq!(previous.len(), 1);
    assert_eq!(
        (
            &previous[0]["attempt"],
            &previous[0]["errorCode"],
            &previous[0]["error"]
        ),
        (&json!(1), &json!("TIMEOUT"), &json!("Task heartbeat timeout"))
    );
    second.kill();
    let timed_out = house.task_when(&run, "timeout");
    assert_eq!(timed_out["errorCode"], "TIMEOUT");
    let dead = house.dead_letter();
    assert_eq!((&dead["attempts"], &dead["taskRunId"]), (&json!(2), &json!(run)));
}

#[test]
fn check_10_a_heartbeat_deadline_outlives_the_server() {
    let mut house = House::behind_proxy();
    let tasks = json!({ "job": { "does": [{ "wait": "never" }], "retries": 0, "heartbeatIntervalMs": 500 } });
    let mut worker = house.worker("job", &tasks);
    let run = house.queue("job", &json!({}));
    worker.first("started");
    house.until_accepted(1);
    house.kill();
    worker.kill();
    house.open();
    let timed_out = house.task_when(&run, "timeout");
    assert_eq!(timed_out["errorCode"], "TIMEOUT");
}

#[test]
fn check_10_a_callback_that_comes_after_a_restart_is_accepted() {
    let mut house = House::behind_proxy();
    let tasks = json!({
        "one": { "does": [{ "wait": "go" }, { "output": 1 }], "allowedNext": ["two"], "retries": 0 },
        "two": { "does": [{ "echo": true }] },
    });
    let mut worker = house.worker("chain", &tasks);
    let run = house.trigger("chain", &json!({ "input": {} }));
    worker.first("started");
    house.until_accepted(1);
    house.kill();
    house.open();
    worker.release("go");
    house.run_when(&run, "completed");
    assert_eq!(
        (
            worker.about("dispatch", "one").len(),
            worker.about("dispatch", "two").len()
        ),
        (1, 1)
    );
}

#[test]
fn check_11_fixed_retries_wait_the_same_time_and_bring_what_failed_before() {
    let house = House::start();
    let fail = json!({ "fail": { "times": 2, "error": "busy", "code": "BUSY" } });
    let tasks = json!({ "job": { "does": [fail, { "echo": true }], "retries": 2, "retryBackoff": "fixed", "retryDelayMs": 400 } });
    let worker = house.worker("job", &tasks);
    let run = house.queue("job", &json!({}));
    assert_waits(&waits(&worker, 3), &[400, 400]);
    let previous = list(&worker.nth("started", 3), "previousAttempts");
    let codes: Vec<_> = previous
        .iter()
        .map(|past| (&past["attempt"], &past["error"], &past["errorCode"]))
        .collect();
    let (busy, code) = (json!("busy"), json!("BUSY"));
    assert_eq!(codes, [(&json!(1), &busy, &code), (&json!(2), &busy, &code)]);
    assert_eq!(text(&previous[0], "timestamp").len(), 24);
    let done = house.task_when(&run, "completed");
    assert_eq!((&done["attempt"], &done["maxRetries"]), (&json!(3), &json!(2)));
    assert_eq!((&done["error"], &done["errorCode"]), (&Value::Null, &Value::Null));
}

#[test]
fn check_11_exponential_retries_double_the_wait_up_to_the_limit() {
    let house = House::start();
    let tasks = json!({ "job": {
        "does": [{ "fail": { "times": 3 } }, { "echo": true }],
        "retries": 3, "retryDelayMs": 300, "maxRetryDelayMs": 700,
    } });
    let worker = house.worker("job", &tasks);
    house.queue("job", &json!({}));
    assert_waits(&waits(&worker, 4), &[300, 600, 700]);
}

#[test]
fn check_12_retries_come_on_top_of_the_first_attempt_and_the_last_failure_leaves_a_dead_letter() {
    let house = House::start();
    let tasks =
        json!({ "job": { "does": [{ "fail": { "error": "no", "code": "NO" } }], "retries": 2, "retryDelayMs": 10 } });
    let worker = house.worker("job", &tasks);
    let run = house.queue("job", &json!({ "order": 7 }));
    house.task_when(&run, "failed");
    assert_eq!(worker.all("dispatch").len(), 3);
    let dead = house.dead_letter();
    let expected = json!({
        "taskRunId": run, "taskId": "job", "codeVersion": 1, "error": "no", "errorCode": "NO", "attempts": 3,
        "input": { "order": 7 }, "upstreamRefs": {},
    });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&dead[field], value, "{field}");
    }
    let attempts: Vec<_> = list(&dead, "previousAttempts")
        .iter()
        .map(|past| past["attempt"].clone())
        .collect();
    assert_eq!(attempts, [1, 2, 3]);
    let id = text(&dead, "id");
    assert!(id.starts_with("dlq_"), "{id}");
    assert_eq!(house.read(&format!("/api/dlq/{id}"))["taskRunId"], json!(run));
    assert_eq!(
        house.read(&format!("/api/dlq/{run}"))["id"],
        json!(id),
        "by the task run"
    );
    let status = house.read("/api/queue/status");
    assert_eq!(
        names(&status),
        [
            "completed",
            "dlq",
            "failed",
            "oldestPending",
            "pending",
            "running",
            "waiting"
        ]
    );
    assert_eq!((&status["dlq"], &status["failed"]), (&json!(1), &json!(1)));
    let unknown = house.get("/api/dlq/dlq_none");
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.json(),
        json!({ "error": "DLQ item not found", "dlqId": "dlq_none" })
    );
}

#[test]
fn check_13_a_dead_letter_is_retried_once_with_the_new_code_and_its_pipeline_goes_on() {
    let house = House::start();
    let tasks = |two: Value| {
        json!({
            "one": { "does": [{ "output": 1 }], "allowedNext": ["two"] },
            "two": { "does": [two], "retries": 0, "allowedNext": ["three"] },
            "three": { "does": [{ "echo": true }] },
        })
    };
    let broken = house.worker("chain", &tasks(json!({ "fail": {} })));
    let run = house.trigger("chain", &json!({ "input": { "n": 1 } }));
    house.run_when(&run, "failed");
    drop(broken);
    let mended = house.worker("chain", &tasks(json!({ "output": 2 })));
    let dead = house.dead_letter();
    assert_eq!(dead["pipelineRunId"], json!(run));
    let retry = format!("/api/dlq/{}/retry", text(&dead, "id"));
    let retried = house.send(&retry, &json!({}));
    assert_eq!(names(&retried), ["codeVersion", "newRunId", "status"]);
    assert_eq!(
        (&retried["status"], &retried["codeVersion"]),
        (&json!("queued"), &json!(2))
    );
    assert_eq!(house.dead_letters(), [] as [Value; 0]);
    let second = house.post(&retry, &json!({}));
    assert_eq!(second.status, 409, "{}", second.text());
    let done = house.run_when(&run, "completed");
    assert_eq!(
        house.task_when(&text(&retried, "newRunId"), "completed")["codeVersion"],
        2
    );
    let started = mended.first_about("started", "two");
    assert_eq!((&started["attempt"], &started["codeVersion"]), (&json!(1), &json!(2)));
    assert_eq!(
        (&started["input"], &started["upstream"]),
        (&json!({ "n": 1 }), &json!({ "one": 1 }))
    );
    assert_eq!(
        mended.first_about("started", "three")["upstream"],
        json!({ "one": 1, "two": 2 })
    );
    assert_eq!(of_task(&done, "three")["status"], "completed");
    assert_eq!(mended.about("dispatch", "one").len(), 0);
    let kept = list(&house.read("/api/dlq?includeRetried=true"), "items");
    assert_eq!(kept[0]["retryRunId"], retried["newRunId"]);
}

#[test]
fn all_dead_letters_of_a_task_are_retried_at_once_and_those_of_others_are_not() {
    let house = House::start();
    let tasks = |does: Value| json!({ "bad": { "does": [does], "retries": 0 }, "other": { "does": [{ "fail": {} }], "retries": 0 } });
    let broken = house.worker("pair", &tasks(json!({ "fail": {} })));
    let failed: Vec<_> = ["bad", "bad", "bad", "other"]
        .map(|task| house.queue(task, &json!({})))
        .into();
    for run in &failed {
        house.task_when(run, "failed");
    }
    drop(broken);
    let _mended = house.worker("pair", &tasks(json!({ "output": 1 })));
    let retried = house.send("/api/dlq/retry-all", &json!({ "taskId": "bad" }));
    assert_eq!(
        (&retried["retried"], list(&retried, "results").len()),
        (&json!(3), 3),
        "{retried}"
    );
    for run in &failed[..3] {
        house.task_when(run, "completed");
    }
    assert_eq!(house.dead_letter()["taskId"], "other");
}

#[test]
fn check_13_purging_removes_the_dead_letters_that_are_old_enough() {
    let house = House::start();
    let _worker = house.worker("job", &json!({ "job": { "does": [{ "fail": {} }], "retries": 0 } }));
    for n in 0..3 {
        house.task_when(&house.queue("job", &json!(n)), "failed");
    }
    assert_eq!(
        house.send("/api/dlq/purge", &json!({})),
        json!({ "purged": 0 }),
        "none is 30 days old"
    );
    assert_eq!(
        house.send("/api/dlq/purge", &json!({ "olderThanDays": 0 })),
        json!({ "purged": 3 })
    );
    assert_eq!(house.dead_letters(), [] as [Value; 0]);
}

#[test]
fn check_30_a_task_that_exceeds_its_time_is_timed_out_although_it_gives_signs_of_life() {
    let house = House::start();
    let tasks = json!({ "long": { "does": [{ "wait": "never" }], "timeout": 1, "retries": 1, "retryDelayMs": 10, "heartbeatIntervalMs": 100 } });
    let worker = house.worker("long", &tasks);
    let run = house.queue("long", &json!({}));
    let second = worker.nth("started", 2);
    assert_eq!(second["previousAttempts"][0]["errorCode"], "TIMEOUT");
    let timed_out = house.task_when(&run, "timeout");
    assert_eq!(timed_out["errorCode"], "TIMEOUT");
    // The handler goes on: the worker knows no cancellation, but it is told.
    when(
        "a heartbeat that is told to stop",
        || json!(worker.all("heartbeat")),
        |beats| {
            beats
                .as_array()
                .is_some_and(|beats| beats.iter().any(|beat| beat["answer"]["shouldCancel"] == true))
        },
    );
}
