//! A server with a storage backend of its own, real worker processes beside it, and what the tests ask of both.
//!
//! Workers are `worker.mjs` in Node, so that what reaches the server is what Node's own HTTP client sends, and what reaches
//! the worker goes through Node's own server with its keep-alive. Between a worker and the server may stand a proxy:
//! the address by which the worker knows the server then survives the server, and answers can get lost.
#![allow(dead_code, reason = "each test binary uses its own part")]

mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quintet_testkit::patience;
use quintet_testkit::postgres::Database;
use quintet_testkit::proxy::Proxy;
use serde_json::{Value, json};

use super::common::{Reply, Server, until};
pub use worker::Worker;

/// How long something may take to come about.
const PATIENCE: Duration = Duration::from_secs(30);

/// A secret of the recommended length.
pub const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// A part of the credentials of the storage backend that must not be seen anywhere.
pub const FOLDER: &str = "objects";

/// A server and its folder; the workers are the tests'.
pub struct House {
    server: Option<Server>,
    proxy: Option<Proxy>,
    environment: Vec<(String, String)>,
    /// Outlives the servers that are killed.
    database: Option<Arc<Database>>,
    /// Dropped last.
    folder: tempfile::TempDir,
}

impl House {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With further variables in the server's environment.
    pub fn with(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let objects = folder.path().join(FOLDER);
        std::fs::create_dir(&objects).expect("folder of the objects");
        let backends = json!([{
            "id": "local-dev",
            "provider": "local",
            "endpoint": "file://",
            "bucket": "data",
            "credentials": { "basePath": objects },
            "isDefault": true,
        }]);
        let given = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut house = Self {
            server: None,
            proxy: None,
            database: None,
            environment: [
                ("STORAGE_BACKENDS".to_owned(), backends.to_string()),
                ("PIPEWEAVE_SECRET_KEY".to_owned(), SECRET.to_owned()),
            ]
            .into_iter()
            .chain(given)
            .collect(),
            folder,
        };
        house.open();
        house
    }

    /// One whose workers reach the server through a proxy, and still do when it is another process.
    pub fn behind_proxy() -> Self {
        let mut house = Self::start();
        house.proxy = Some(Proxy::start(house.server().address()).expect("proxy"));
        house
    }

    /// Ends the server as a crash does.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts the server anew on what it left behind.
    pub fn open(&mut self) {
        let environment: Vec<_> = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let server = Server::on(self.folder.path(), &[], &environment);
        if let Some(proxy) = &self.proxy {
            proxy.redirect(server.address());
        }
        self.database = server.database();
        self.server = Some(server);
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs")
    }

    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("there is a proxy")
    }

    /// The address by which workers know the server.
    pub fn url(&self) -> String {
        let address = self.proxy.as_ref().map_or(self.server().address(), Proxy::address);
        format!("http://{address}")
    }

    /// The full specification of a worker; what is given wins.
    pub fn specification(&self, given: &Value) -> Value {
        let mut specification = json!({ "orchestratorUrl": self.url(), "secretKey": SECRET });
        let fields = given.as_object().expect("an object").clone();
        specification.as_object_mut().expect("an object").extend(fields);
        specification
    }

    /// Starts a worker with these tasks and waits until it has registered.
    pub fn worker(&self, service: &str, tasks: &Value) -> Worker {
        self.hire(&json!({ "serviceId": service, "tasks": tasks }))
    }

    /// Starts a worker by its specification and waits until it has registered.
    pub fn hire(&self, given: &Value) -> Worker {
        Worker::start(&self.specification(given)).unwrap_or_else(|said| panic!("the worker was refused: {said}"))
    }

    pub fn get(&self, path: &str) -> Reply {
        self.server().get(path)
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

    /// Starts a pipeline; the id of the run.
    pub fn trigger(&self, pipeline: &str, body: &Value) -> String {
        let started = self.send(&format!("/api/pipelines/{pipeline}/trigger"), body);
        text(&started, "pipelineRunId")
    }

    /// Queues a task alone; the id of its run.
    pub fn queue(&self, task: &str, input: &Value) -> String {
        let queued = self.send("/api/queue/task", &json!({ "taskId": task, "input": input }));
        text(&queued, "runId")
    }

    pub fn task_run(&self, id: &str) -> Value {
        self.read(&format!("/api/task-runs/{id}"))
    }

    /// The task run once it has this status.
    pub fn task_when(&self, id: &str, status: &str) -> Value {
        when(
            &format!("{id} is {status}"),
            || self.task_run(id),
            |seen| seen["status"] == status,
        )
    }

    /// `{run, tasks}` once the pipeline run has this status.
    pub fn run_when(&self, id: &str, status: &str) -> Value {
        when(
            &format!("{id} is {status}"),
            || self.read(&format!("/api/runs/{id}")),
            |seen| seen["run"]["status"] == status,
        )
    }

    /// Waits until it is stored of so many attempts that their workers have them: from then on they do not depend on the
    /// server's process.
    pub fn until_accepted(&self, count: usize) {
        let accepted = || {
            let runs = list(&self.read("/v1/runs?limit=100"), "items");
            let histories = runs
                .iter()
                .map(|run| self.read(&format!("/v1/runs/{}/history?limit=1000", text(run, "id"))));
            let events = histories.flat_map(|history| list(&history, "items"));
            json!(events.filter(|event| event["event"] == "step.accepted").count())
        };
        when("attempts that their workers have", accepted, |now| {
            now.as_u64() == Some(count as u64)
        });
    }

    /// What a key of the storage holds, as the storage proxy says it.
    pub fn stored(&self, key: &str) -> Value {
        self.read(&format!("/api/storage/{key}"))["content"].clone()
    }

    /// The file of a key of the storage.
    pub fn file(&self, key: &str) -> PathBuf {
        self.folder.path().join(FOLDER).join(key)
    }

    /// The entries of the dead letter list that are open.
    pub fn dead_letters(&self) -> Vec<Value> {
        list(&self.read("/api/dlq"), "items")
    }

    /// The only open dead letter, once there is one.
    pub fn dead_letter(&self) -> Value {
        let found = until("a dead letter", || self.dead_letters().into_iter().next());
        assert_eq!(self.dead_letters().len(), 1);
        found
    }
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

/// The names of an object's fields, sorted.
pub fn names(object: &Value) -> Vec<String> {
    let mut names: Vec<_> = object.as_object().expect("an object").keys().cloned().collect();
    names.sort();
    names
}

/// The task run of a task in `{run, tasks}`; null where it has none.
pub fn of_task(detail: &Value, task: &str) -> Value {
    let found = list(detail, "tasks").into_iter().find(|run| run["taskId"] == task);
    found.unwrap_or_default()
}
