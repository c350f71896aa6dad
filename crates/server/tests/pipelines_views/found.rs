//! The list of runs, and what it is asked for.

use serde_json::json;

use super::diamond;
use super::stage::{Stage, ids, statuses};

#[tokio::test]
async fn runs_are_found_by_their_status_their_pipeline_and_their_time() {
    let mut stage = Stage::open().await;
    stage.register("svc", "1.0.0", &diamond()).await;
    let fail = json!({ "status": "failed", "error": "no" });
    let mut runs = Vec::new();
    // One that merges what there is, one that has nothing to merge, one that merges all, and one that only fails.
    for (mode, a_fails, b_fails) in [
        ("partial-merge", false, true),
        ("partial-merge", true, false),
        ("partial-merge", false, false),
        ("continue", false, true),
    ] {
        let run = stage.trigger("svc", &json!({ "input": {}, "failureMode": mode })).await;
        let a = stage.dispatched("a").await;
        if a_fails {
            stage.callback(&a, &fail).await;
        } else {
            stage.succeed(&a, "a").await;
            let (b, c) = stage.dispatched_both("b", "c").await;
            stage.succeed(&c, "c").await;
            if b_fails {
                stage.callback(&b, &fail).await;
            } else {
                stage.succeed(&b, "b").await;
            }
            if !b_fails || mode == "partial-merge" {
                let d = stage.dispatched("d").await;
                stage.succeed(&d, "d").await;
            }
        }
        runs.push(run);
    }
    let going = stage.trigger("a", &json!({})).await;
    let pending = stage.dispatched("a").await;
    let [partial, nothing, merged, failed] = <[String; 4]>::try_from(runs).unwrap();
    for (query, expected) in [
        ("", vec![&going, &failed, &merged, &nothing, &partial]),
        ("status=completed", vec![&merged]),
        ("status=partial", vec![&partial]),
        ("status=failed", vec![&failed, &nothing]),
        ("status=running", vec![&going]),
        ("status=pending", vec![]),
        ("pipelineId=a", vec![&going]),
        ("pipelineId=svc&status=failed&limit=1", vec![&failed]),
        ("pipelineId=svc&status=failed&limit=1&offset=1", vec![&nothing]),
        ("from=2999-01-01", vec![]),
        ("to=2999-01-01&limit=2&offset=4", vec![&partial]),
        ("to=1999-01-01", vec![]),
    ] {
        let found = stage.get(&format!("/api/runs?{query}")).await.ok();
        assert_eq!(
            ids(&found["runs"]),
            expected.into_iter().cloned().collect::<Vec<_>>(),
            "{query}"
        );
        assert_eq!(found.get("totalIsExact"), None, "{query}");
    }
    let page = stage.get("/api/runs?limit=1&offset=1").await.ok();
    assert_eq!(
        (&page["total"], &page["limit"], &page["offset"]),
        (&json!(5), &json!(1), &json!(1))
    );
    let seen = stage.run(&partial).await;
    assert_eq!(
        statuses(&seen),
        [
            ("a", "completed"),
            ("b", "failed"),
            ("c", "completed"),
            ("d", "completed")
        ]
    );
    assert_eq!(seen["run"], stage.get("/api/runs?status=partial").await.ok()["runs"][0]);
    assert_eq!(
        statuses(&stage.run(&nothing).await),
        [("a", "failed")],
        "what was skipped is no task run"
    );
    let items = stage.get("/api/queue/items?status=failed&limit=1&offset=1").await.ok();
    assert_eq!(
        (&items["total"], items["items"].as_array().unwrap().len()),
        (&json!(3), 1)
    );

    // The reason of a cancel is told on the run and on its tasks.
    stage.succeed(&pending, "a").await;
    let (_b, _c) = stage.dispatched_both("b", "c").await;
    stage.cancel(&going, "enough").await;
    let seen = stage.run(&going).await;
    assert_eq!(
        (&seen["run"]["status"], &seen["run"]["error"]),
        (&json!("cancelled"), &json!("enough"))
    );
    assert_eq!(
        (&seen["tasks"][1]["status"], &seen["tasks"][1]["error"]),
        (&json!("cancelled"), &json!("enough"))
    );
    assert_eq!(
        ids(&stage.get("/api/runs?status=cancelled").await.ok()["runs"]),
        [going]
    );
    stage.close().await;
}
