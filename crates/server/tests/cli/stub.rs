//! A server that gives the answers that a test wrote for it, and notes what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Done, Place};

/// One answer.
#[derive(Clone)]
struct Answer {
    status: u16,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            kind: "application/json",
            body: body.to_string(),
        }
    }
}

/// What is answered by method and path, the last answer again and again; and what was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<HashMap<String, VecDeque<Answer>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// The server, and a folder to call commands in.
pub struct Stub {
    pub place: Place,
    pub url: String,
    script: Script,
    _serving: JoinSet<()>,
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut asked = format!("{} {} {}", parts.method, parts.uri, String::from_utf8_lossy(&body));
    if let Some(key) = header("idempotency-key") {
        asked += &format!(" key={key}");
    }
    if let Some(authorization) = header("authorization") {
        asked += &format!(" auth={authorization}");
    }
    script.asked.lock().unwrap().push(asked.trim_end().to_owned());
    let mut answers = script.answers.lock().unwrap();
    let queue = answers.get_mut(&format!("{} {}", parts.method, parts.uri.path()));
    let answer = match queue {
        None => Answer::json(404, &json!({"error": "Not found"})),
        Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
        Some(queue) => queue[0].clone(),
    };
    let response = Response::builder().status(answer.status);
    let response = response.header(header::CONTENT_TYPE, answer.kind);
    response.body(Body::from(answer.body)).unwrap()
}

impl Stub {
    pub async fn start() -> Self {
        let script = Script::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(script.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            place: Place::new(),
            url,
            script,
            _serving: serving,
        }
    }

    /// Answers a request, such as `GET /api/runs/prun_1`; the next time with what is said the next time.
    pub fn on(self, request: &str, status: u16, body: Value) -> Self {
        self.with(request, Answer::json(status, &body))
    }

    /// Answers with a stream of these messages, numbered from 1, and its end.
    pub fn streams(self, request: &str, messages: &[Value]) -> Self {
        let numbered = messages.iter().enumerate();
        let body = numbered.map(|(number, message)| format!("id: {}\ndata: {message}\n\n", number + 1));
        let answer = Answer {
            status: 200,
            kind: "text/event-stream",
            body: body.collect(),
        };
        self.with(request, answer)
    }

    fn with(self, request: &str, answer: Answer) -> Self {
        let mut answers = self.script.answers.lock().unwrap();
        answers.entry(request.to_owned()).or_default().push_back(answer);
        drop(answers);
        self
    }

    pub fn quintet(&self, arguments: &[&str]) -> Done {
        self.place
            .quintet(&[arguments, &["--server", self.url.as_str()]].concat())
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.script.asked.lock().unwrap())
    }
}
