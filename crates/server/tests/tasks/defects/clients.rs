//! The second fault of the original: its own client library and its own dashboard get what they ask for.

use quintet_testkit::modal::Answer;
use serde_json::{Value, json};

use super::common::target::Answer as Said;
use super::common::{Target, until};
use super::tasks::{House, assert_refused, has_ended, list, text};

fn submit(house: &House, arguments: &Value) -> String {
    let submitted = house.client("submit", arguments).expect("it is taken");
    text(&submitted, "taskId")
}

#[test]
fn the_library_submits_waits_and_is_told_by_its_webhook() {
    let house = House::start();
    let hooks = Target::scripted(|_, _| Said::ok(""));
    let options = json!({ "priority": 5, "metadata": { "user": "ann" }, "webhookUrl": hooks.url("/hook") });
    let payload = json!({ "messages": [{ "role": "user", "content": "Hello!" }] });
    let id = submit(&house, &json!(["openai.chat", payload, options]));
    let done = house.client("wait", &json!([id, 20, 30_000])).expect("it ends");
    assert_eq!(
        done,
        json!({ "taskId": id, "status": "completed", "result": payload, "progress": 100 })
    );
    let call = until("the webhook", || hooks.calls_of("/hook").into_iter().next());
    let body = call.json();
    assert_eq!(
        (
            call.method.as_str(),
            &body["jobId"],
            &body["result"],
            &body["task"]["metadata"]
        ),
        ("POST", &json!(id), &payload, &json!({ "user": "ann" }))
    );
}

#[test]
fn the_librarys_webhook_tells_of_a_failure_too() {
    let house = House::start();
    let hooks = Target::scripted(|_, _| Said::ok(""));
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let body = json!({ "task": "bad", "payload": {}, "webhookUrl": hooks.url("/hook"), "retry": { "attempts": 1 } });
    let id = house.submit(&body);
    let told = until("the webhook", || hooks.calls_of("/hook").into_iter().next()).json();
    assert_eq!((&told["jobId"], &told["error"]), (&json!(id), &json!("boom")));
}

#[test]
fn the_library_cancels_and_its_wait_ends() {
    let house = House::start();
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let id = submit(&house, &json!(["slow", {}]));
    house.nth("slow", 1);
    let cancelled = house.client("cancel", &json!([id])).expect("it is cancelled");
    assert_eq!(cancelled["success"], true);
    let ended = house.client("wait", &json!([id, 20, 30_000])).expect("it ends");
    assert_eq!(
        (&ended["status"], &ended["error"]),
        (&json!("failed"), &json!("cancelled"))
    );
}

#[test]
fn the_library_shows_what_was_wrong() {
    let house = House::start();
    let said = |operation: &str, arguments: Value| house.client(operation, &arguments).expect_err("it is refused");
    assert_eq!(said("status", json!(["nope"])), "Task not found");
    assert_eq!(said("cancel", json!(["nope"])), "Task not found");
    assert_eq!(said("submit", json!(["openai.chat", null])), "task.payload is required");
    assert_eq!(said("submit", json!(["", {}])), "task.type is required");
    let id = submit(&house, &json!(["openai.chat", {}]));
    house.completed(&id);
    assert_eq!(said("cancel", json!([id])), "Task already finished");
}

#[test]
fn the_library_learns_which_tasks_there_are() {
    let house = House::start();
    house.modal.set_types(json!({ "total": 3, "categories": {
        "text": [{ "name": "text.chat" }], "image": [{ "name": "image.detect" }, { "name": "image.pose" }],
    } }));
    let names = || {
        let types = house.client("types", &json!([])).expect("a list");
        list(&types, "tasks")
    };
    let known = super::tasks::when("the types are known", || json!(names()), |names| names[0].is_string());
    assert_eq!(known, json!(["image.detect", "image.pose", "text.chat"]));
    let health = house.client("health", &json!([])).expect("an answer");
    assert_eq!(health["status"], "healthy");
    assert!(health["version"].is_string(), "{health}");
}

fn pipeline() -> Value {
    json!([
        { "id": "a", "task": "make", "input": { "n": 1 } },
        { "id": "b", "task": "use", "dependsOn": ["a"], "input": { "n": "{{steps.a.n}}" } },
    ])
}

#[test]
fn the_dashboard_shows_a_pipeline_with_its_steps() {
    let house = House::start();
    let id = house.submit_steps(&json!({}), &pipeline());
    house.completed(&id);
    let shown = house.client("detail", &json!([id])).expect("a detail");
    assert_eq!(
        (&shown["id"], &shown["type"], &shown["status"]),
        (&json!(id), &json!("pipeline"), &json!("completed"))
    );
    assert_eq!(shown["steps"], pipeline(), "the steps as they were submitted");
    assert_eq!(
        (&shown["result"]["finalResult"], &shown["progress"]),
        (&json!({ "n": 1 }), &json!(100))
    );
    for time in ["createdAt", "startedAt", "completedAt"] {
        assert!(shown[time].is_string(), "{time}: {shown:#}");
    }
    assert!(shown["totalDuration"].is_u64(), "{shown:#}");
    let standing: Vec<_> = list(&shown, "stepStatus")
        .iter()
        .map(|step| (text(step, "id"), text(step, "task"), text(step, "status")))
        .collect();
    let expected =
        [("a", "make"), ("b", "use")].map(|(id, task)| (id.to_owned(), task.to_owned(), "completed".to_owned()));
    assert_eq!(standing, expected);
}

#[test]
fn the_dashboard_lists_tasks_by_their_id_with_times() {
    let house = House::start();
    let id = house.submit(&json!({ "type": "t", "payload": {}, "queue": "gpu" }));
    house.task_when("has ended", &id, has_ended);
    let jobs = house.client("jobs", &json!([{ "queue": "gpu", "status": "completed", "limit": 10 }]));
    let jobs = jobs.expect("a list");
    assert_eq!(jobs.as_array().map(Vec::len), Some(1), "{jobs}");
    assert_eq!(
        (&jobs[0]["id"], &jobs[0]["type"], &jobs[0]["queue"]),
        (&json!(id), &json!("t"), &json!("gpu"))
    );
    for time in ["createdAt", "startedAt", "completedAt"] {
        assert!(jobs[0][time].is_string(), "{time}: {jobs}");
    }
}

#[test]
fn the_dashboard_follows_a_pipeline_by_messages_without_names() {
    let house = House::start();
    house.modal.teach("make", Answer::held(Answer::Echo));
    let id = house.submit_steps(&json!({}), &pipeline());
    house.nth("make", 1);
    let messages = house.follow(&id, || house.modal.release());
    let of_steps: Vec<_> = messages
        .iter()
        .filter(|message| message["type"].as_str().is_some_and(|kind| kind.starts_with("step:")))
        .map(|message| {
            (
                text(message, "type"),
                text(message, "stepId"),
                text(message, "stepTask"),
            )
        })
        .collect();
    let expected = [
        ("step:start", "a", "make"),
        ("step:complete", "a", "make"),
        ("step:start", "b", "use"),
        ("step:complete", "b", "use"),
    ];
    let expected = expected.map(|(kind, id, task)| (kind.to_owned(), id.to_owned(), task.to_owned()));
    assert_eq!(of_steps, expected, "{messages:#?}");
    let complete = messages
        .iter()
        .find(|message| message["type"] == "step:complete")
        .expect("one");
    assert_eq!(complete["data"], json!({ "n": 1 }));
    let last = messages.last().expect("one");
    assert_eq!(
        (&last["type"], &last["data"]["stepCount"]),
        (&json!("pipeline:complete"), &json!(2))
    );
    assert!(last["data"]["totalDuration"].is_u64(), "{last}");
    assert!(
        messages.iter().all(|message| message["timestamp"].is_number()),
        "{messages:#?}"
    );
}

#[test]
fn news_of_a_failed_step_have_its_error_and_can_be_taken_up_where_they_broke_off() {
    let house = House::start();
    house.modal.teach("use", Answer::Error("no luck".to_owned()));
    let id = house.submit_steps(&json!({}), &pipeline());
    house.failed(&id);
    let mut news = house.stream(&id);
    assert_eq!(news.status, 200);
    assert!(
        news.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    );
    let mut sent = Vec::new();
    while let Some(event) = news.next() {
        assert_eq!(event.name, "", "a name would hide it from the dashboard");
        if event.data.is_empty() {
            continue;
        }
        let message: Value = serde_json::from_str(&event.data.join("\n")).expect("JSON");
        let is_error = message["type"] == "step:error";
        sent.push((event.id, message));
        if is_error {
            break;
        }
    }
    let (_, error) = sent.last().expect("a message");
    assert_eq!(
        (&error["stepId"], &error["data"]["error"]),
        (&json!("b"), &json!("no luck"))
    );
    let (id_of_start, _) = sent
        .iter()
        .find(|(_, message)| message["stepId"] == "b")
        .expect("the start of b");
    let path = format!("/api/tasks/stream?taskId={id}");
    let mut again = house.server().client().stream(&path, &[("last-event-id", id_of_start)]);
    // What says only that the connection stands is no news, and has no id.
    let mut news = std::iter::from_fn(|| again.next()).filter(|sent| !sent.id.is_empty());
    let first = news.next().expect("what came after it");
    assert!(first.data.join("\n").contains("step:error"), "{first:?}");
}

#[test]
fn news_of_nothing_are_refused() {
    let house = House::start();
    assert_refused(&house.get("/api/tasks/stream?taskId=nope"), 404, "Task not found");
}

#[test]
fn the_dashboard_retries_a_failed_task_as_a_new_one() {
    let house = House::start();
    house.modal.teach(
        "bad",
        Answer::Sequence(vec![Answer::Error("boom".to_owned()), Answer::Echo]),
    );
    let id = house.submit(&json!({ "type": "bad", "payload": { "n": 1 }, "queue": "cpu", "retry": { "attempts": 1 } }));
    house.failed(&id);
    let new = house.client("retry", &json!([id])).expect("an id");
    let new = new.as_str().expect("an id");
    assert_ne!(new, id);
    let done = house.completed(new);
    assert_eq!(
        (&done["result"], &done["type"], &done["queue"]),
        (&json!({ "n": 1 }), &json!("bad"), &json!("cpu"))
    );
    assert_eq!(house.task(&id)["status"], "failed", "the first one is what it was");
    let unknown = house.post("/api/tasks/nope/retry", &json!({}));
    assert_refused(&unknown, 404, "Task not found");
}

#[test]
fn the_dashboard_cancels() {
    let house = House::start();
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let id = house.submit_plain("slow");
    house.nth("slow", 1);
    assert_eq!(house.client("cancelTask", &json!([id])), Ok(json!(true)));
    house.abandoned("slow", 1);
    house.failed(&id);
}

#[test]
fn browsers_of_other_origins_may_ask() {
    let house = House::start();
    let client = house.server().client();
    let origin = [
        ("origin", "https://dashboard.example"),
        ("access-control-request-method", "DELETE"),
    ];
    let asked = client.call("OPTIONS", "/api/tasks/x", &origin, "");
    assert_eq!(asked.status, 204);
    let methods = asked.header("access-control-allow-methods").expect("methods");
    assert!(
        ["GET", "POST", "DELETE"].iter().all(|method| methods.contains(method)),
        "{methods}"
    );
    for path in ["/api/tasks", "/api/tasks/nope", "/api/tasks/types"] {
        let reply = client.call("GET", path, &origin[..1], "");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{path}");
    }
    let one = House::with(&[("CORS_ORIGIN", "https://dashboard.example")]);
    assert_eq!(
        one.get("/api/tasks").header("access-control-allow-origin"),
        Some("https://dashboard.example")
    );
}
