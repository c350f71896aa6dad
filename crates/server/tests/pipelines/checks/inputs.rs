//! What section 1 of the contract says beyond the thirty checks: input schemas, temporary uploads, and the lists.

use serde_json::{Value, json};

use super::pipelines::{House, list, text};

fn order() -> Value {
    let schema = json!({ "strict": true, "fields": [
        { "name": "email", "type": "email", "label": "Mail", "required": true },
        { "name": "count", "type": "integer", "label": "Count", "min": 1 },
    ] });
    json!({ "order": { "does": [{ "echo": true }], "inputSchema": schema } })
}

fn wrong() -> Value {
    json!([
        { "field": "email", "message": "Invalid email address", "code": "invalid_string" },
        { "field": "count", "message": "Minimum value is 1", "code": "too_small" },
    ])
}

#[test]
fn a_tasks_input_schema_is_shown_and_inputs_are_checked_by_it() {
    let house = House::start();
    let mut tasks = order();
    tasks["free"] = json!({ "does": [{ "echo": true }] });
    let _worker = house.worker("orders", &tasks);
    let shown = house.read("/api/tasks/order/input-schema");
    assert_eq!((&shown["taskId"], &shown["hasSchema"]), (&json!("order"), &json!(true)));
    assert_eq!(shown["schema"], tasks["order"]["inputSchema"]);
    assert_eq!(
        house.read("/api/tasks/free/input-schema"),
        json!({ "taskId": "free", "hasSchema": false, "schema": null })
    );
    let unknown = house.get("/api/tasks/ghost/input-schema");
    assert_eq!(
        (unknown.status, unknown.json()),
        (404, json!({ "error": "Task not found" }))
    );
    let check = |task: &str, body: Value| house.post(&format!("/api/tasks/{task}/validate-input"), &body);
    let good = json!({ "input": { "email": "ada@example.com", "count": 2 } });
    assert_eq!(check("order", good).json(), json!({ "valid": true, "errors": [] }));
    let bad = json!({ "input": { "email": "ada", "count": 0 } });
    assert_eq!(check("order", bad).json(), json!({ "valid": false, "errors": wrong() }));
    assert_eq!(check("free", json!({ "input": 7 })).json()["valid"], true);
    let missing = check("order", json!({}));
    assert_eq!(
        (missing.status, missing.json()),
        (400, json!({ "error": "Input is required" }))
    );
}

#[test]
fn a_trigger_warns_of_a_wrong_input_and_refuses_it_where_it_is_told_to() {
    let house = House::start();
    let worker = house.worker("orders", &order());
    let input = json!({ "email": "ada", "count": 0 });
    let path = "/api/pipelines/orders/trigger";
    let strict = house.post(path, &json!({ "input": input, "validationMode": "strict" }));
    assert_eq!(strict.status, 400);
    assert_eq!(
        strict.json(),
        json!({ "error": "Input validation failed", "validationErrors": { "order": wrong() } })
    );
    assert_eq!(house.read("/api/runs")["total"], 0);
    let warned = house.send(path, &json!({ "input": input }));
    assert_eq!(warned["validationWarnings"], json!({ "order": wrong() }));
    let silent = house.send(path, &json!({ "input": input, "validationMode": "none" }));
    assert_eq!(silent.get("validationWarnings"), None);
    for started in [warned, silent] {
        house.run_when(&text(&started, "pipelineRunId"), "completed");
    }
    assert_eq!(worker.nth("started", 2)["input"], input, "as it was sent");
}

#[test]
fn pipelines_are_derived_from_what_may_follow_and_listed() {
    let house = House::start();
    let _worker = house.worker(
        "chain",
        &json!({ "a": { "does": [{ "echo": true }], "allowedNext": ["b"] }, "b": { "does": [{ "echo": true }] } }),
    );
    let shown = house.read("/api/pipelines/chain")["pipeline"].clone();
    let expected = json!({
        "id": "chain", "entry_tasks": ["a"], "failure_mode": "fail-fast",
        "structure": { "a": { "allowedNext": ["b"] }, "b": { "allowedNext": [] } },
    });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&shown[field], value, "{field}");
    }
    assert!(list(&house.read("/api/pipelines"), "pipelines").contains(&shown));
    let unknown = house.get("/api/pipelines/ghost");
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.json(),
        json!({ "error": "Pipeline not found", "pipelineId": "ghost" })
    );
}

#[test]
fn runs_are_listed_newest_first_by_pipeline_and_by_status() {
    let house = House::start();
    let _worker = house.worker(
        "pair",
        &json!({ "good": { "does": [{ "echo": true }] }, "bad": { "does": [{ "fail": {} }], "retries": 0 } }),
    );
    let mut good: Vec<_> = (0..3).map(|n| house.trigger("good", &json!({ "n": n }))).collect();
    let bad = house.trigger("bad", &json!({ "input": {}, "metadata": { "who": "ada" } }));
    for run in &good {
        house.run_when(run, "completed");
    }
    house.run_when(&bad, "failed");
    let ids = |path: &str| -> Vec<String> {
        list(&house.read(path), "runs")
            .iter()
            .map(|run| text(run, "id"))
            .collect()
    };
    good.reverse();
    assert_eq!(ids("/api/runs?pipelineId=good"), good);
    assert_eq!(ids("/api/runs?status=failed"), std::slice::from_ref(&bad));
    assert_eq!(ids("/api/runs?pipelineId=good&limit=1&offset=1"), [good[1].clone()]);
    let all = house.read("/api/runs");
    assert_eq!(
        (&all["total"], &all["limit"], &all["offset"]),
        (&json!(4), &json!(100), &json!(0))
    );
    let run = house.read(&format!("/api/runs/{bad}"))["run"].clone();
    assert_eq!(
        (&run["pipelineRunId"], &run["metadata"]["who"]),
        (&json!(bad), &json!("ada"))
    );
}

#[test]
fn a_temporary_upload_can_be_read_and_deleted_until_a_task_claims_it() {
    let house = House::start();
    let worker = house.worker("files", &json!({ "file": { "does": [{ "echo": true }] } }));
    let upload = |name: &str| {
        let body = format!(
            "--cut\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a b.txt\"\r\n\
             Content-Type: text/plain\r\n\r\nhello\r\n--cut--\r\n"
        );
        let headers = [
            ("content-type", "multipart/form-data; boundary=cut"),
            ("x-user-id", "ada"),
        ];
        house
            .server()
            .client()
            .call("POST", "/api/upload/temp", &headers, &body)
    };
    let refused = upload("other");
    assert!((400..=500).contains(&refused.status), "{}", refused.text());
    let uploaded = upload("file");
    assert_eq!(uploaded.status, 200, "{}", uploaded.text());
    let (uploaded, second) = (uploaded.json(), upload("file").json());
    let (id, other) = (text(&uploaded, "uploadId"), text(&second, "uploadId"));
    assert!(id.starts_with("tmp_") && id.len() == 25, "{id}");
    assert_eq!(
        (&uploaded["size"], &uploaded["mimeType"]),
        (&json!(5), &json!("text/plain"))
    );
    assert_eq!(
        house
            .get(&format!(
                "/api/storage/{}?raw=1",
                text(&uploaded, "storagePath").replace(' ', "%20")
            ))
            .text(),
        "hello"
    );
    let run = house.queue("file", &json!({ "attachment": id }));
    house.task_when(&run, "completed");
    assert_eq!(worker.first("started")["input"]["attachment"], json!(id));
    let path = format!("/api/upload/temp/{id}");
    let info = house.read(&path);
    assert_eq!(
        (&info["claimed"], &info["claimedByRunId"], &info["size"]),
        (&json!(true), &json!(run), &json!(5))
    );
    let claimed = house.server().delete(&path);
    assert_eq!((claimed.status, &claimed.json()["claimedByRunId"]), (409, &json!(run)));
    let path = format!("/api/upload/temp/{other}");
    let deleted = house.server().delete(&path);
    assert_eq!(
        (deleted.status, deleted.json()),
        (200, json!({ "success": true, "uploadId": other }))
    );
    assert_eq!(house.server().delete(&path).status, 410);
    assert_eq!(
        house.get("/api/upload/temp/tmp_none").json(),
        json!({ "error": "Upload not found" })
    );
    let stats = json!({ "total": 2, "expired": 0, "claimed": 1, "deleted": 1 });
    assert_eq!(house.read("/api/upload/stats"), stats);
}
