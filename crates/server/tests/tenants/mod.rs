//! A server with an endpoint that does its tenants' tasks, and what the tests ask of both.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod go;
pub mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quintet_testkit::patience;
use quintet_testkit::postgres::Database;
use serde_json::{Map, Value, json};

use super::common::{Reply, Server};
pub use worker::{Answer, Worker};

/// How long something may take to come about.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server, its folder and its worker.
pub struct House {
    server: Option<Server>,
    pub worker: Worker,
    settings: Value,
    /// Outlives the servers that are killed.
    database: Option<Arc<Database>>,
    /// Dropped last.
    folder: tempfile::TempDir,
}

impl House {
    /// A server all of whose types of tasks are done by the worker.
    pub fn start() -> Self {
        Self::with(json!({}))
    }

    /// One with further sections of settings, which go before the usual ones.
    pub fn with(sections: Value) -> Self {
        let worker = Worker::start();
        let mut settings = json!({
            "tenants": { "types": { "default": { "run": "http", "url": worker.url() }, "rest": { "run": "noop" } } },
        });
        for (name, section) in sections.as_object().into_iter().flatten() {
            settings[name] = section.clone();
        }
        let mut house = Self {
            server: None,
            worker,
            settings,
            database: None,
            folder: tempfile::tempdir().expect("folder"),
        };
        house.open();
        house
    }

    /// Ends the server as a crash does.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts the server anew on what it left behind.
    pub fn open(&mut self) {
        // JSON is YAML too.
        let file = self.folder.path().join("settings.yaml");
        std::fs::write(&file, self.settings.to_string()).expect("settings");
        let server = Server::on(self.folder.path(), &["--config", &file.display().to_string()], &[]);
        self.database = server.database();
        self.server = Some(server);
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn get(&self, path: &str) -> Reply {
        self.server().get(path)
    }

    pub fn post(&self, path: &str, body: &str) -> Reply {
        self.server().post(path, body)
    }

    /// Starts a workflow of `t1`; its id.
    pub fn execute(&self, body: &Value) -> String {
        self.execute_for("t1", body)
    }

    pub fn execute_for(&self, tenant: &str, body: &Value) -> String {
        let reply = self.post(&workflows(tenant), &body.to_string());
        assert_eq!(reply.status, 201, "{}", reply.text());
        text(&reply.json(), "workflow_id")
    }

    /// A workflow of `t1`.
    pub fn show(&self, id: &str) -> Value {
        let reply = self.get(&workflow("t1", id));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let shown = reply.json();
        assert_eq!(
            (&shown["workflow_id"], &shown["execution"]["id"]),
            (&json!(id), &json!(id))
        );
        shown["execution"].clone()
    }

    /// A workflow of `t1` once it is as it should be.
    pub fn when(&self, what: &str, id: &str, right: impl Fn(&Value) -> bool) -> Value {
        when(&format!("{id} {what}"), || self.show(id), right)
    }

    /// A workflow of `t1` once it has this status.
    pub fn reach(&self, id: &str, status: &str) -> Value {
        self.when(&format!("is {status}"), id, |execution| execution["status"] == status)
    }

    /// Does something about a workflow of `t1`.
    pub fn control(&self, id: &str, verb: &str, body: &str) -> Reply {
        self.post(&format!("{}/{verb}", workflow("t1", id)), body)
    }

    /// The same, which must be possible.
    pub fn manage(&self, id: &str, verb: &str, body: &Value) {
        let reply = self.control(id, verb, &body.to_string());
        assert_eq!((reply.status, reply.text().as_str()), (200, ""), "{verb}");
    }

    pub fn list(&self, tenant: &str, query: &str) -> Value {
        let reply = self.get(&format!("{}{query}", workflows(tenant)));
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    pub fn metrics(&self, id: &str) -> Value {
        let reply = self.get(&format!("{}/metrics", workflow("t1", id)));
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Waits by the server's clock, where what is to be shown is that nothing happens.
    pub fn seconds_pass(&self, count: f64) {
        let uptime = || self.get("/api/info").json()["uptime"].clone();
        let begun = uptime().as_f64().expect("seconds");
        when("time passes", uptime, |now| now.as_f64() >= Some(begun + count));
    }
}

/// The paths of the face.
pub fn workflows(tenant: &str) -> String {
    format!("/api/v1/tenants/{tenant}/workflows")
}

pub fn workflow(tenant: &str, id: &str) -> String {
    format!("{}/{id}", workflows(tenant))
}

/// A request with these tasks, each with the ids of those that the list says come before it.
pub fn request(tasks: &[(&str, &[&str])]) -> Value {
    let each: Vec<Value> = tasks
        .iter()
        .map(|(id, _)| json!({ "id": id, "type": "codegen" }))
        .collect();
    let edges = tasks
        .iter()
        .flat_map(|(to, before)| before.iter().map(move |from| json!({ "from": from, "to": to })));
    json!({ "intent_id": "intent-1", "tasks": each, "dependencies": edges.collect::<Vec<Value>>() })
}

/// The same with a configuration.
pub fn configured(tasks: &[(&str, &[&str])], configuration: Value) -> Value {
    let mut request = request(tasks);
    request["configuration"] = configuration;
    request
}

/// A task of an execution.
pub fn task<'e>(execution: &'e Value, id: &str) -> &'e Value {
    let tasks = execution["tasks"].as_array().expect("tasks");
    let found = tasks.iter().find(|task| task["task"]["id"] == id);
    found.unwrap_or_else(|| panic!("no task {id} in {execution:#}"))
}

/// The statuses of all tasks, in the order written.
pub fn statuses(execution: &Value) -> Vec<String> {
    let tasks = execution["tasks"].as_array().expect("tasks");
    tasks.iter().map(|task| text(task, "status")).collect()
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

/// A text in an object.
pub fn text(object: &Value, field: &str) -> String {
    let text = object[field].as_str();
    text.unwrap_or_else(|| panic!("no text `{field}` in {object}"))
        .to_owned()
}

/// A whole number in an object.
pub fn whole(object: &Value, field: &str) -> i64 {
    object[field]
        .as_i64()
        .unwrap_or_else(|| panic!("no whole number `{field}` in {object}"))
}

/// A time in an object.
pub fn time(object: &Value, field: &str) -> jiff::Timestamp {
    let text = text(object, field);
    assert!(text.ends_with('Z'), "{field}: {text}");
    text.parse().unwrap_or_else(|error| panic!("{field}: {text}: {error}"))
}

/// Fails unless an answer is this face's error with this status and text.
pub fn assert_refused(reply: &Reply, status: u16, error: &str) {
    let body = refusal(reply, status);
    assert_eq!(body["error"], error, "{}", reply.text());
}

/// This face's error of this status.
pub fn refusal(reply: &Reply, status: u16) -> Map<String, Value> {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let said = reply.text();
    assert!(
        said.ends_with("}\n") && said.matches('\n').count() == 1,
        "compact, and a newline: {said}"
    );
    let body = reply.json();
    let shape = time(&body, "timestamp").to_string();
    assert_eq!(shape.len(), "2026-11-21T10:00:00Z".len(), "whole seconds: {shape}");
    assert_eq!(body["status"], status);
    let fields = body.as_object().expect("an object").clone();
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["error", "timestamp", "status"]);
    fields
}
