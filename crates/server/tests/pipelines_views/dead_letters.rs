//! What failed for good, and its second life.

use serde_json::json;

use super::stage::{Stage, statuses, text};
use super::{diamond, task};

#[tokio::test]
async fn a_dead_letter_is_retried_once_and_its_run_goes_on() {
    let mut stage = Stage::open().await;
    stage.register("svc", "1.0.0", &diamond()).await;
    let run = stage.trigger("svc", &json!({ "input": { "n": 1 } })).await;
    let a = stage.dispatched("a").await;
    stage.succeed(&a, "a").await;
    let (b, c) = stage.dispatched_both("b", "c").await;
    stage.succeed(&c, "c").await;
    stage
        .callback(&b, &json!({ "status": "failed", "error": "no", "errorCode": "NO" }))
        .await;
    let seen = stage.run(&run).await;
    assert_eq!(
        statuses(&seen),
        [
            ("a", "completed"),
            ("b", "failed"),
            ("c", "completed"),
            ("d", "cancelled")
        ]
    );
    assert_eq!(seen["run"]["error"], "Task 'b' failed: no");
    assert_eq!(seen["tasks"][3]["error"], "Pipeline failed in fail-fast mode");

    let list = stage.get("/api/dlq?pipelineId=svc&taskId=b").await.ok();
    assert_eq!(
        (&list["total"], &list["limit"], &list["offset"]),
        (&json!(1), &json!(100), &json!(0))
    );
    let letter = &list["items"][0];
    let expected = json!({
        "taskRunId": b, "taskId": "b", "pipelineRunId": run, "pipelineId": "svc", "codeVersion": 1,
        "codeHash": "0000000000000001", "error": "no", "errorCode": "NO", "attempts": 1, "input": { "n": 1 },
        "upstreamRefs": { "a": { "outputPath": "runs/a/output.json" } },
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&letter[key], value, "{key}");
    }
    assert_eq!(letter["previousAttempts"].as_array().unwrap().len(), 1);
    assert_eq!(stage.get("/api/dlq?pipelineId=other").await.ok()["total"], 0);
    let id = text(letter, "id");
    for name in [&id, &b] {
        assert_eq!(&stage.get(&format!("/api/dlq/{name}")).await.ok(), letter);
    }

    let mut tasks = diamond();
    tasks[1]["codeHash"] = json!("0000000000000002");
    stage.register("svc", "1.0.0", &tasks).await;
    assert_eq!(
        stage.get(&format!("/api/dlq/{id}")).await.ok()["codeVersion"],
        1,
        "the one that failed"
    );
    let path = format!("/api/dlq/{id}/retry");
    stage.post("/api/maintenance/request", &json!({})).await.ok();
    assert_eq!(stage.post(&path, &json!({})).await.status, 503);
    assert_eq!(stage.post("/api/dlq/retry-all", &json!({})).await.status, 503);
    stage.post("/api/maintenance/exit", &json!({})).await.ok();
    let retried = stage.post(&path, &json!({})).await.ok();
    assert_eq!(
        retried,
        json!({ "newRunId": format!("{b}~2"), "status": "queued", "codeVersion": 2 })
    );
    let again = stage.post(&path, &json!({})).await;
    assert_eq!((again.status, &again.body["dlqId"]), (409, &json!(id)));
    assert_eq!(stage.get("/api/dlq").await.ok()["total"], 0);
    let kept = stage.get("/api/dlq?includeRetried=true").await.ok();
    assert_eq!(
        (&kept["items"][0]["retryRunId"], &kept["total"]),
        (&retried["newRunId"], &json!(1))
    );

    assert_eq!(stage.dispatched("b").await, format!("{b}~2"));
    let task = stage.get(&format!("/api/task-runs/{b}~2")).await.ok();
    assert_eq!(
        (
            &task["id"],
            &task["status"],
            &task["attempt"],
            &task["previousAttempts"]
        ),
        (&json!(b), &json!("running"), &json!(1), &json!([]))
    );
    stage.succeed(&format!("{b}~2"), "b").await;
    let d = stage.dispatched("d").await;
    stage.succeed(&d, "d").await;
    let seen = stage.run(&run).await;
    assert_eq!(
        (&seen["run"]["status"], &seen["tasks"][1]["codeVersion"]),
        (&json!("completed"), &json!(2))
    );
    stage.close().await;
}

#[tokio::test]
async fn all_open_dead_letters_are_retried_and_what_cannot_be_is_told() {
    let mut stage = Stage::open().await;
    stage.register("one", "1.0.0", &[task("x", &[])]).await;
    stage.register("two", "1.0.0", &[task("y", &[])]).await;
    let mut failed = Vec::new();
    for name in ["x", "y", "x"] {
        let queued = stage.post("/api/queue/task", &json!({ "taskId": name })).await.ok();
        let id = stage.dispatched(name).await;
        assert_eq!(queued["runId"], json!(id));
        stage.callback(&id, &json!({ "status": "failed" })).await;
        failed.push(id);
    }
    stage.remove_run(&failed[0]).await;
    stage.delete("/api/services/two").await.ok();
    assert_eq!(
        stage.get("/api/dlq").await.ok()["total"],
        2,
        "a removed run takes its letters with it"
    );
    let only_y = stage.post("/api/dlq/retry-all", &json!({ "taskId": "y" })).await.ok();
    assert_eq!(
        (&only_y["retried"], &only_y["failed"][0]["error"]),
        (&json!(0), &json!("Task is not registered"))
    );
    let all = stage.post("/api/dlq/retry-all", &json!({})).await.ok();
    assert_eq!(
        (
            &all["retried"],
            all["failed"].as_array().unwrap().len(),
            all.get("remaining")
        ),
        (&json!(1), 1, None)
    );
    assert_eq!(all["results"][0]["newRunId"], format!("{}~2", failed[2]));
    assert_eq!(stage.dispatched("x").await, format!("{}~2", failed[2]));
    assert_eq!(
        stage.post("/api/dlq/retry-all", &json!({ "taskId": 1 })).await.status,
        400
    );

    assert_eq!(
        stage.post("/api/dlq/purge", &json!({})).await.ok(),
        json!({ "purged": 0 })
    );
    assert_eq!(
        stage
            .post("/api/dlq/purge", &json!({ "olderThan": "soon" }))
            .await
            .status,
        400
    );
    let purged = stage.post("/api/dlq/purge", &json!({ "olderThanDays": 0 })).await.ok();
    assert_eq!(purged, json!({ "purged": 2 }), "the retried one too");
    stage.close().await;
}
