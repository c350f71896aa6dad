//! A server in this process, and the worker's part in a channel: what it is told to do arrives there, and the test answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use http::{Method, StatusCode};
use quintet::app::{App, OpenOptions};
use quintet::config::Config;
use quintet_core::command::Command;
use quintet_core::id::RunId;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// How long a dispatch may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Stage {
    app: Arc<App>,
    url: String,
    orders: mpsc::Receiver<Value>,
    /// Came before it was asked for.
    early: Vec<Value>,
    _worker: JoinSet<()>,
    _folder: tempfile::TempDir,
}

pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The body of a 200.
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }
}

async fn accept(State(orders): State<mpsc::Sender<Value>>, request: Request) -> axum::response::Response {
    if request.method() == Method::GET {
        return StatusCode::OK.into_response();
    }
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("body");
    let order: Value = serde_json::from_slice(&body).expect("JSON");
    let answer = json!({ "acknowledged": true, "runId": order["runId"] });
    orders.send(order).await.expect("the test listens");
    (StatusCode::ACCEPTED, axum::Json(answer)).into_response()
}

impl Stage {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let settings = json!({ "store": { "url": "memory:" }, "data_dir": folder.path() });
        let config = Config::parse(&settings.to_string()).expect("settings");
        let app = App::open(config, OpenOptions::default()).await.expect("open");
        let (sender, orders) = mpsc::channel(64);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(accept).with_state(sender);
        let mut worker = JoinSet::new();
        worker.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self {
            app,
            url,
            orders,
            early: Vec::new(),
            _worker: worker,
            _folder: folder,
        }
    }

    pub async fn close(self) {
        self.app.shutdown().await;
    }

    async fn call(&self, method: Method, path: &str, body: String) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body))
            .expect("request");
        let response = App::router(&self.app).oneshot(request).await.expect("response");
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 24).await.expect("body");
        let body = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body:?}"));
        Answer { status, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, String::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, String::new()).await
    }

    pub async fn register(&self, service: &str, version: &str, tasks: &[Value]) {
        let body = json!({ "serviceId": service, "version": version, "baseUrl": self.url, "tasks": tasks });
        self.post("/api/register", &body).await.ok();
    }

    pub async fn trigger(&self, pipeline: &str, body: &Value) -> String {
        let started = self
            .post(&format!("/api/pipelines/{pipeline}/trigger"), body)
            .await
            .ok();
        text(&started, "pipelineRunId")
    }

    /// The id under which a task is to be done, once its worker is told.
    pub async fn dispatched(&mut self, task: &str) -> String {
        loop {
            if let Some(at) = self.early.iter().position(|order| order["taskId"] == task) {
                return text(&self.early.remove(at), "runId");
            }
            let order = tokio::time::timeout(PATIENCE, self.orders.recv()).await;
            let order = order.unwrap_or_else(|_| panic!("{task} was never dispatched: {:?}", self.early));
            self.early.push(order.expect("the worker serves"));
        }
    }

    pub async fn dispatched_both(&mut self, one: &str, other: &str) -> (String, String) {
        (self.dispatched(one).await, self.dispatched(other).await)
    }

    pub async fn callback(&self, id: &str, body: &Value) {
        self.post(&format!("/api/callback/{id}"), body).await.ok();
    }

    pub async fn succeed(&self, id: &str, task: &str) {
        let body = json!({ "status": "success", "outputPath": format!("runs/{task}/output.json") });
        self.callback(id, &body).await;
    }

    /// A run with its tasks.
    pub async fn run(&self, id: &str) -> Value {
        self.get(&format!("/api/runs/{id}")).await.ok()
    }

    pub async fn cancel(&self, run: &str, reason: &str) {
        let command = Command::Cancel {
            by: None,
            reason: Some(reason.to_owned()),
        };
        let cancelled = self
            .app
            .engine
            .command(&"default".into(), engine_id(run), command)
            .await;
        cancelled.expect("it can be cancelled");
    }

    pub async fn remove_run(&self, id: &str) {
        let store = self.app.engine.store();
        assert!(
            store.delete_run("default", engine_id(id)).await.expect("store"),
            "it has ended"
        );
    }
}

/// The run of a public id: 25 digits of base 36 after the prefix.
fn engine_id(id: &str) -> RunId {
    let digits = id.split_once('_').expect("a prefix").1[..25].chars();
    let bits = digits.fold(0u128, |bits, digit| {
        bits * 36 + u128::from(digit.to_digit(36).expect("a digit"))
    });
    RunId::from_bits(bits)
}

pub fn text(object: &Value, field: &str) -> String {
    object[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text `{field}` in {object}"))
        .to_owned()
}

pub fn ids(list: &Value) -> Vec<String> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|entry| text(entry, "id"))
        .collect()
}

/// Tasks of a run with their states, in its order.
pub fn statuses(run: &Value) -> Vec<(&str, &str)> {
    let tasks = run["tasks"].as_array().expect("tasks").iter();
    tasks
        .map(|task| {
            (
                task["taskId"].as_str().expect("taskId"),
                task["status"].as_str().expect("status"),
            )
        })
        .collect()
}
