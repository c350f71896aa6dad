//! A real server for a test, a client that shows every byte of an answer, and a target that records what reaches it.
//!
//! The same tests run on both stores: a test binary whose name ends with `_on_postgres` gives each server a database of
//! its own, and servers that are started on the same folder one after the other the same one.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod client;
pub mod target;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::time::Duration;

use quintet_testkit::postgres::{self, Database};
use serde_json::Value;

pub use client::{Client, Reply};
pub use target::{Answer, Target};

/// How often a condition is looked at before a test gives up; with [`LOOK`] it makes about 20 seconds.
const LOOKS: usize = 2_000;
const LOOK: Duration = Duration::from_millis(10);

/// How long servers are believed to live after their last sign of life, unless a test says otherwise.
pub const LEASE_MS: &str = "2000";

/// Databases of folders, for as long as one of their servers is there.
static DATABASES: LazyLock<Mutex<HashMap<PathBuf, Weak<Database>>>> = LazyLock::new(Mutex::default);

/// The database that belongs to a folder; none where the tests are about the embedded store.
fn database_of(folder: &Path) -> Option<Arc<Database>> {
    if !env!("CARGO_CRATE_NAME").ends_with("_on_postgres") {
        return None;
    }
    let mut databases = DATABASES.lock().expect("databases");
    if let Some(known) = databases.get(folder).and_then(Weak::upgrade) {
        return Some(known);
    }
    let server = postgres::shared().expect("PostgreSQL");
    let fresh = Arc::new(server.fresh_database().expect("database"));
    databases.insert(folder.to_owned(), Arc::downgrade(&fresh));
    Some(fresh)
}

/// Looks until there is a value, and fails the test in the words given when there never is.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(value) = look() {
            return value;
        }
        std::thread::park_timeout(LOOK);
    }
    panic!("it never happened: {what}");
}

/// A running `quintet serve`, ended by its process id when it is dropped.
pub struct Server {
    child: Child,
    address: String,
    folder: PathBuf,
    _temporary: Option<tempfile::TempDir>,
    /// Dropped after the server has ended.
    _database: Option<Arc<Database>>,
}

impl Server {
    /// A server with a new store of its own.
    pub fn start() -> Self {
        Self::with(&[], &[])
    }

    /// One with further arguments and environment variables.
    pub fn with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let temporary = tempfile::tempdir().expect("folder");
        let mut server = Self::on(temporary.path(), arguments, environment);
        server._temporary = Some(temporary);
        server
    }

    /// One with a settings file of this text.
    pub fn configured(settings: &str) -> Self {
        let temporary = tempfile::tempdir().expect("folder");
        let file = temporary.path().join("config.yaml");
        std::fs::write(&file, settings).expect("settings");
        let mut server = Self::on(temporary.path(), &["--config", &file.display().to_string()], &[]);
        server._temporary = Some(temporary);
        server
    }

    /// One more server on the same store, which must be one that can be shared.
    pub fn beside(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let temporary = tempfile::tempdir().expect("folder");
        let database = self._database.as_ref().expect("a store that can be shared");
        let mut databases = DATABASES.lock().expect("databases");
        databases.insert(temporary.path().to_owned(), Arc::downgrade(database));
        drop(databases);
        let mut server = Self::on(temporary.path(), arguments, environment);
        server._temporary = Some(temporary);
        server
    }

    /// One on a store that may be there already.
    pub fn on(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let log = std::fs::File::create(folder.join("stderr.log")).expect("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_quintet"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder)
            .args(arguments);
        let database = database_of(folder);
        command
            .env_remove("HOST")
            .env_remove("PORT")
            .env_remove("DATABASE_URL")
            // So that what a killed server held is soon taken over by the next.
            .env("QUINTET_NODE__LEASE_MS", LEASE_MS)
            .envs(database.iter().map(|database| ("DATABASE_URL", database.url())))
            .envs(environment.iter().copied());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let ready = lines.by_ref().find_map(|line| {
            let line = line.ok()?;
            let rest = line.strip_prefix("quintet ready http=")?;
            rest.split_whitespace().next().map(str::to_owned)
        });
        let said = || std::fs::read_to_string(folder.join("stderr.log")).unwrap_or_default();
        let address = ready.unwrap_or_else(|| panic!("the server did not get ready: {}", said()));
        // What it says later must find a reader, or it would block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            folder: folder.to_owned(),
            _temporary: None,
            _database: database,
        }
    }

    /// What keeps the store there while no server is; nothing where it is a file.
    pub fn database(&self) -> Option<Arc<Database>> {
        self._database.clone()
    }

    pub fn client(&self) -> Client {
        Client::new(&self.address)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.client().call("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &str) -> Reply {
        self.client().call("POST", path, &[], body)
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.client().call("DELETE", path, &[], "")
    }

    /// Stores a workflow and returns its id.
    pub fn workflow(&self, document: &Value) -> String {
        let reply = self.post("/v1/workflows", &document.to_string());
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["id"].as_str().expect("id").to_owned()
    }

    /// Starts a run and returns its id.
    pub fn run(&self, workflow: &str, context: &Value) -> String {
        let body = serde_json::json!({ "workflow_id": workflow, "context": context }).to_string();
        let reply = self.post("/v1/runs", &body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["id"].as_str().expect("id").to_owned()
    }

    /// Stores a workflow of these steps and starts it.
    pub fn run_steps(&self, steps: &Value, context: &Value) -> String {
        let id = self.workflow(&serde_json::json!({ "name": "test", "steps": steps }));
        self.run(&id, context)
    }

    /// The run once it is in one of these states.
    pub fn when(&self, run: &str, statuses: &[&str]) -> Value {
        until(
            &format!("{run} is {statuses:?}; {}", self.get(&format!("/v1/runs/{run}")).text()),
            || {
                let state = self.get(&format!("/v1/runs/{run}")).json();
                let status = state["status"].as_str().unwrap_or_default();
                statuses.contains(&status).then_some(state)
            },
        )
    }

    /// The run once it has ended.
    pub fn ended(&self, run: &str) -> Value {
        self.when(run, &["SUCCEEDED", "FAILED", "CANCELED"])
    }

    pub fn log(&self, run: &str) -> Vec<String> {
        let lines = self.get(&format!("/v1/runs/{run}/logs")).json();
        lines["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|line| line.as_str().expect("text").to_owned())
            .collect()
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop and waits until it has; gives its exit code and what it said.
    pub fn stop(&mut self) -> (Option<i32>, String) {
        let asked = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(asked.expect("kill runs").success());
        let status = self.child.wait().expect("it ends");
        (status.code(), self.said())
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.join("stderr.log")).unwrap_or_default()
    }

    /// A figure of `/metrics`, 0 where it is not there.
    pub fn figure(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .unwrap_or(0.0)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.join("stderr.log")).unwrap_or_default();
            eprintln!("what the server said:\n{log}");
        }
    }
}
