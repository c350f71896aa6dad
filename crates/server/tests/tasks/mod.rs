//! A server with compute backends that note what reaches them, and what the tests ask of both.
//!
//! The backends are the testkit's: they speak as Modal's app and as Ray's ingress do, echo what they were not taught, and
//! are never where a test is right or wrong by a pause. Between the server and a backend nothing stands, so a call that the
//! server gives up is seen there as a closed connection.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod sdk;
pub mod site;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quintet_testkit::modal::{Call, Fake, Notes};
use quintet_testkit::patience;
use quintet_testkit::postgres::Database;
use serde_json::{Value, json};

use super::common::client::Stream;
use super::common::{Reply, Server};
pub use site::Site;

/// How long something may take to come about.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What backends are shown.
pub const TOKEN: &str = "modal-token-of-the-tests";

/// A server, its folder and its backends.
pub struct House {
    server: Option<Server>,
    site: Site,
    pub modal: Fake,
    /// Where the site has one.
    ray: Option<Fake>,
    /// Outlives the servers that are killed.
    database: Option<Arc<Database>>,
    /// Dropped last.
    folder: tempfile::TempDir,
}

impl House {
    /// A server with a Modal backend and nothing else set.
    pub fn start() -> Self {
        Site::default().open()
    }

    /// One with further variables in the server's environment.
    pub fn with(environment: &[(&str, &str)]) -> Self {
        let add = |site: Site, (name, value): &(&str, &str)| site.variable(name, value);
        environment.iter().fold(Site::default(), add).open()
    }

    /// Ends the server as a crash does.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts the server anew on what it left behind.
    pub fn open(&mut self) {
        let server = self.launch(|arguments, environment| Server::on(self.folder.path(), arguments, environment));
        self.database = server.database();
        self.server = Some(server);
    }

    /// One more server on the same store, which must be one that can be shared, with the same backends.
    pub fn beside(&self) -> Server {
        self.launch(|arguments, environment| self.server().beside(arguments, environment))
    }

    fn launch(&self, start: impl FnOnce(&[&str], &[(&str, &str)]) -> Server) -> Server {
        let environment = self.site.environment(&self.modal, self.ray.as_ref());
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let arguments = self.site.arguments(self.folder.path());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        start(&arguments, &environment)
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs")
    }

    pub fn ray(&self) -> &Fake {
        self.ray.as_ref().expect("the site has Ray")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn get(&self, path: &str) -> Reply {
        self.server().get(path)
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.server().delete(path)
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        let headers = [("content-type", "application/json")];
        self.server().client().call("POST", path, &headers, &body.to_string())
    }

    /// What is answered with 200.
    pub fn read(&self, path: &str) -> Value {
        good(path, &self.get(path))
    }

    /// What is answered to a body with 200.
    pub fn send(&self, path: &str, body: &Value) -> Value {
        good(path, &self.post(path, body))
    }

    /// Submits a task; its id.
    pub fn submit(&self, task: &Value) -> String {
        text(&self.send("/api/tasks", task), "taskId")
    }

    /// Submits a task of one call with a payload that nobody looks at; its id.
    pub fn submit_plain(&self, kind: &str) -> String {
        self.submit(&json!({ "type": kind, "payload": {} }))
    }

    /// Submits a pipeline of these steps; its id.
    pub fn submit_steps(&self, payload: &Value, steps: &Value) -> String {
        self.submit(&json!({ "type": "pipeline", "payload": payload, "retry": { "attempts": 1 }, "steps": steps }))
    }

    pub fn task(&self, id: &str) -> Value {
        self.read(&format!("/api/tasks/{id}"))
    }

    /// The task once it is as it should be.
    pub fn task_when(&self, what: &str, id: &str, right: impl Fn(&Value) -> bool) -> Value {
        when(&format!("{id} {what}"), || self.task(id), right)
    }

    /// The task once it has ended.
    pub fn ended(&self, id: &str) -> Value {
        self.task_when("has ended", id, has_ended)
    }

    /// The task once it has ended; fails unless it completed.
    pub fn completed(&self, id: &str) -> Value {
        let task = self.ended(id);
        assert_eq!(task["status"], "completed", "{task:#}");
        task
    }

    /// The task once it has ended; fails unless it failed.
    pub fn failed(&self, id: &str) -> Value {
        let task = self.ended(id);
        assert_eq!(task["status"], "failed", "{task:#}");
        task
    }

    /// Cancels a task, which must be possible.
    pub fn cancel(&self, id: &str) -> Value {
        let path = format!("/api/tasks/{id}");
        good(&path, &self.delete(&path))
    }

    /// The tasks of a list.
    pub fn list(&self, query: &str) -> Vec<Value> {
        list(&self.read(&format!("/api/tasks?{query}")), "tasks")
    }

    /// The ids of a list.
    pub fn ids(&self, query: &str) -> Vec<String> {
        self.list(query).iter().map(|task| text(task, "taskId")).collect()
    }

    /// Live news of a task.
    pub fn stream(&self, id: &str) -> Stream {
        self.server().client().stream(
            &format!("/api/tasks/stream?taskId={id}"),
            &[("accept", "text/event-stream")],
        )
    }

    /// Waits for calls of a type that have reached the backend; the last of them.
    pub fn nth(&self, kind: &str, number: usize) -> Call {
        nth(&self.modal, kind, number)
    }

    /// Waits until the backend saw its client go away during this call of a type.
    pub fn abandoned(&self, kind: &str, number: usize) {
        abandoned(&self.modal, kind, number);
    }

    /// What calls of this type were given, in the order in which they came.
    pub fn payloads(&self, kind: &str) -> Vec<Value> {
        payloads(&self.modal, kind)
    }

    /// How many calls of this type came.
    pub fn count(&self, kind: &str) -> usize {
        self.modal.calls_of(kind).len()
    }

    /// The events of a run's history, by name.
    pub fn events(&self, id: &str) -> Vec<String> {
        let history = self.read(&format!("/v1/runs/{id}/history?limit=1000"));
        list(&history, "items").iter().map(|item| text(item, "event")).collect()
    }
}

/// Waits for something in a backend's notes, and else fails with what there is.
pub fn noted(backend: &Fake, what: &str, came: impl FnMut(&Notes) -> bool) {
    let came = backend.wait_until(PATIENCE, came);
    let requests: Vec<_> = backend.requests().into_iter().filter(Call::is_task).collect();
    assert!(came, "the backend never saw {what}; its calls: {requests:#?}");
}

/// The call of a type with this number, counted from 1, once it is there.
pub fn nth(backend: &Fake, kind: &str, number: usize) -> Call {
    noted(backend, &format!("call {number} of {kind}"), |notes| {
        notes.of(kind).count() >= number
    });
    backend.calls_of(kind)[number - 1].clone()
}

/// Waits until the client of a call went away before its answer.
pub fn abandoned(backend: &Fake, kind: &str, number: usize) {
    noted(backend, &format!("call {number} of {kind} given up"), |notes| {
        notes.of(kind).nth(number - 1).is_some_and(|call| call.is_abandoned)
    });
}

/// What calls of this type were given.
pub fn payloads(backend: &Fake, kind: &str) -> Vec<Value> {
    let calls = backend.calls_of(kind);
    calls.iter().map(|call| call.payload().clone()).collect()
}

/// Looks until what is seen is as it should be, and else fails with what was seen instead.
pub fn when(what: &str, mut look: impl FnMut() -> Value, right: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let came = patience::until(PATIENCE, || {
        last = look();
        right(&last)
    });
    assert!(came, "it never happened: {what}; there was {last:#}");
    last
}

/// Waits by the server's clock, where what is to be shown is that nothing happens.
pub fn seconds_pass(house: &House, count: f64) {
    let uptime = || house.read("/api/info")["uptime"].clone();
    let begun = uptime().as_f64().expect("seconds");
    when("time passes", uptime, |now| now.as_f64() >= Some(begun + count));
}

/// Whether nothing more becomes of a task.
pub fn has_ended(task: &Value) -> bool {
    task["status"] == "completed" || task["status"] == "failed"
}

fn good(path: &str, reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

/// A text in an object.
pub fn text(object: &Value, field: &str) -> String {
    object[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text `{field}` in {object}"))
        .to_owned()
}

/// A list in an object.
pub fn list(object: &Value, field: &str) -> Vec<Value> {
    object[field]
        .as_array()
        .unwrap_or_else(|| panic!("no list `{field}` in {object}"))
        .clone()
}

/// Fails unless a time is written as `Date.toISOString` does.
pub fn assert_time(value: &Value) {
    let time = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{time}");
}

/// Fails unless an answer is an error that every reader of this face understands: the handlers' `error`, and what the
/// client library and the framework's readers look for.
pub fn assert_refused(reply: &Reply, status: u16, error: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    let body = reply.json();
    assert_eq!(
        (&body["error"], &body["statusCode"]),
        (&json!(error), &json!(status)),
        "{body}"
    );
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
}

/// How a step of a pipeline stands, in a task's detail.
pub fn step<'a>(task: &'a Value, id: &str) -> &'a Value {
    let steps = task["stepStatus"]
        .as_array()
        .unwrap_or_else(|| panic!("no steps: {task:#}"));
    let found = steps.iter().find(|step| step["id"] == id);
    found.unwrap_or_else(|| panic!("no step {id}: {task:#}"))
}
