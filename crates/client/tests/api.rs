//! The client against a server that says what the test wants.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream::{self, StreamExt};
use quintet_client::{Client, Decision, Error, RunFilter, StartRun, Submission};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Answers in the order of the requests, and what was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<Vec<Response>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("-")
            .to_owned()
    };
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let asked = format!(
        "{} {} auth={} key={} last={} {}",
        parts.method,
        parts.uri,
        header("authorization"),
        header("idempotency-key"),
        header("last-event-id"),
        String::from_utf8_lossy(&body)
    );
    script.asked.lock().unwrap().push(asked.trim_end().to_owned());
    let mut answers = script.answers.lock().unwrap();
    assert!(!answers.is_empty(), "one request more than expected: {}", parts.uri);
    answers.remove(0)
}

/// A server that gives these answers; it ends with the set.
async fn server(answers: Vec<Response>) -> (Client, Script, JoinSet<()>) {
    let script = Script {
        answers: Arc::new(Mutex::new(answers)),
        ..Script::default()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let router = Router::new().fallback(answer).with_state(script.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (client, script, tasks)
}

fn text(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).body(body.into()).unwrap()
}

fn run(status: &str) -> Response {
    text(200, json!({"id": "run_1", "status": status}).to_string())
}

/// A stream that breaks off in the middle, after what it said has left the server.
fn broken(part: &'static str) -> Response {
    let part = stream::iter([Ok(Bytes::from(part))]);
    let end = stream::once(async {
        tokio::task::yield_now().await;
        Err(std::io::Error::other("gone"))
    });
    text(200, Body::from_stream(part.chain(end)))
}

fn ended(part: &'static str) -> Response {
    text(
        200,
        Body::from_stream(stream::iter([Ok::<_, Infallible>(Bytes::from(part))])),
    )
}

async fn all(mut follower: quintet_client::Follower) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(message) = follower.next().await {
        seen.push(message.unwrap().data);
    }
    seen
}

#[tokio::test]
async fn following_goes_on_behind_the_last_message_when_a_connection_breaks() {
    let answers = vec![
        broken("id: 1.0\ndata: a\n\nid: 1.1\ndata: b\n\nid: 2.0\nda"),
        ended("id: 2.0\ndata: c\n\n"),
        run("SUCCEEDED"),
    ];
    let (client, script, _tasks) = server(answers).await;
    assert_eq!(all(client.runs().follow_events("run_1")).await, ["a", "b", "c"]);
    let asked = script.asked.lock().unwrap();
    assert!(
        asked[0].starts_with("GET /v1/runs/run_1/events ") && asked[0].ends_with("last=-"),
        "{asked:?}"
    );
    assert!(asked[1].ends_with("last=1.1"), "{asked:?}");
}

#[tokio::test]
async fn a_stream_that_ends_before_the_run_does_is_opened_again_without_repeating_lines() {
    let answers = vec![
        ended("data: a\n\n"),
        run("RUNNING"),
        ended("data: a\n\ndata: b\n\n"),
        run("FAILED"),
    ];
    let (client, _, _tasks) = server(answers).await;
    assert_eq!(all(client.runs().follow_logs("run_1")).await, ["a", "b"]);
}

#[tokio::test]
async fn following_an_unknown_run_is_an_error_and_then_the_end() {
    let (client, _, _tasks) = server(vec![text(
        404,
        r#"{"error":{"code":"run_not_found","message":"not found"}}"#,
    )])
    .await;
    let mut follower = client.runs().follow_events("run_1");
    assert!(follower.next().await.unwrap().unwrap_err().is_not_found());
    assert!(follower.next().await.is_none());
}

#[tokio::test]
async fn a_start_carries_key_wait_credentials_and_input() {
    let (client, script, _tasks) = server(vec![run("SUCCEEDED")]).await;
    let client = client.with_api_key("secret");
    let start = StartRun::workflow("wf 1/x")
        .context(json!({"a": 1}))
        .idempotency_key("k")
        .wait_ms(1500);
    assert!(client.runs().start(&start).await.unwrap().status.is_success());
    assert_eq!(
        script.asked.lock().unwrap()[0],
        r#"POST /v1/runs?wait=1500ms auth=Bearer secret key=k last=- {"workflow_id":"wf 1/x","context":{"a":1}}"#
    );
    assert!(!format!("{client:?}").contains("secret"));
}

#[tokio::test]
async fn ids_are_escaped_in_paths_and_values_in_queries() {
    let (client, script, _tasks) = server(vec![run("RUNNING"), text(200, r#"{"items":[]}"#), run("RUNNING")]).await;
    client.runs().get("a/b?c").await.unwrap();
    let filter = RunFilter {
        workflow_id: Some("x&y".to_owned()),
        limit: Some(5),
        ..RunFilter::default()
    };
    client.runs().list(&filter).await.unwrap();
    let decision = Decision {
        step: Some("s[1]".to_owned()),
        reason: Some("done".to_owned()),
        ..Decision::default()
    };
    client
        .runs()
        .resolve("run_1", &decision, Some(Value::Null))
        .await
        .unwrap();
    let asked = script.asked.lock().unwrap();
    assert!(asked[0].starts_with("GET /v1/runs/a%2Fb%3Fc "), "{asked:?}");
    assert!(
        asked[1].starts_with("GET /v1/runs?workflow_id=x%26y&limit=5 "),
        "{asked:?}"
    );
    assert!(
        asked[2].starts_with("POST /v1/runs/run_1/steps/s[1]/resolve "),
        "{asked:?}"
    );
    assert!(asked[2].ends_with(r#"{"reason":"done","output":null}"#), "{asked:?}");
}

#[tokio::test]
async fn a_followed_pipeline_run_gives_each_change_once_and_ends_with_it() {
    let state = |status: &str, tasks: Value| {
        text(
            200,
            json!({"run": {"id": "prun_1", "status": status}, "tasks": tasks}).to_string(),
        )
    };
    let running = || json!([{"id": "trun_1", "status": "running", "attempt": 1}]);
    let answers = vec![
        state("running", json!([])),
        state("running", running()),
        text(503, r#"{"error":"starting"}"#),
        state("running", running()),
        state("completed", running()),
    ];
    let (client, script, _tasks) = server(answers).await;
    let (mut follower, mut seen) = (client.pipelines().follow("prun_1"), Vec::new());
    while let Some(state) = follower.next().await {
        let state = state.unwrap();
        seen.push((state.run.status.clone(), state.tasks.len(), state.run.is_success()));
    }
    let expected = [("running", 0, false), ("running", 1, false), ("completed", 1, true)];
    assert_eq!(
        seen,
        expected.map(|(status, tasks, success)| (status.to_owned(), tasks, success))
    );
    assert_eq!(script.asked.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn following_an_unknown_pipeline_run_is_an_error_and_then_the_end() {
    let (client, _, _tasks) = server(vec![text(404, r#"{"error":"Run not found","runId":"prun_1"}"#)]).await;
    let mut follower = client.pipelines().follow("prun_1");
    assert!(follower.next().await.unwrap().unwrap_err().is_not_found());
    assert!(follower.next().await.is_none());
}

#[tokio::test]
async fn a_followed_task_goes_on_behind_its_last_message_and_ends_with_the_task() {
    let task = |status: &str| {
        text(
            200,
            json!({"taskId": "run_1", "status": status, "progress": 50}).to_string(),
        )
    };
    let answers = vec![
        broken("data: c\n\nid: 1.0\ndata: a\n\nid: 2.0\nda"),
        ended("data: c\n\nid: 2.0\ndata: b\n\n"),
        task("running"),
        ended("data: c\n\n"),
        task("failed"),
    ];
    let (client, script, _tasks) = server(answers).await;
    assert_eq!(all(client.tasks().follow("run_1")).await, ["c", "a", "c", "b", "c"]);
    let asked = script.asked.lock().unwrap();
    assert!(asked[0].starts_with("GET /api/tasks/stream?taskId=run_1 "), "{asked:?}");
    assert!(
        asked[1].ends_with("last=1.0") && asked[3].ends_with("last=2.0"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_task_is_submitted_with_its_key_and_keeps_what_this_client_does_not_know() {
    let known = json!({"taskId": "run_1", "status": "completed", "result": [1], "progress": 100, "type": "t", "colour": "red",
        "stepStatus": [{"id": "a", "task": "x", "status": "skipped", "duration": 1.5, "result": {"skipped": true}}]});
    let accepted = r#"{"taskId":"run_1","status":"queued","queue":"gpu"}"#;
    let (client, script, _tasks) = server(vec![text(200, accepted), text(200, known.to_string())]).await;
    let submission = Submission::new("t", json!({"a": 1}))
        .queue("gpu")
        .priority(-2)
        .idempotency_key("k");
    assert_eq!(client.tasks().submit(&submission).await.unwrap().task_id, "run_1");
    assert_eq!(
        script.asked.lock().unwrap()[0],
        r#"POST /api/tasks auth=- key=k last=- {"type":"t","payload":{"a":1},"queue":"gpu","priority":-2}"#
    );
    let task = client.tasks().get("run_1").await.unwrap();
    assert!(task.is_finished() && task.is_success());
    assert_eq!(serde_json::to_value(&task).unwrap(), known);
}

#[tokio::test]
async fn refusals_and_silence_are_told_apart() {
    let body = r#"{"error":{"code":"invalid_workflow","message":"is required","field":"steps[0].action"}}"#;
    let (client, _, tasks) = server(vec![text(400, body), text(200, "<html>")]).await;
    let refused = client.workflows().create(&json!({})).await.unwrap_err();
    assert_eq!(refused.api().unwrap().field.as_deref(), Some("steps[0].action"));
    assert!(matches!(client.workflows().get("x").await, Err(Error::Protocol { .. })));
    drop(tasks);
    // The port that was just let go of answers nobody.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = Client::new(&format!("http://{closed}"))
        .unwrap()
        .health()
        .await
        .unwrap_err();
    assert!(
        matches!(&nobody, Error::Unreachable { .. }) && nobody.is_retryable(),
        "{nobody}"
    );
    assert!(matches!(Client::new("ftp://x"), Err(Error::BadUrl { .. })));
}
