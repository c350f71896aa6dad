//! A worker process, and the events that it prints.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// How long an event may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pipelines/worker.mjs");

/// What a worker has told so far.
#[derive(Default)]
struct Told {
    events: Vec<Value>,
    ended: bool,
}

/// A running worker, ended by its process id when it is dropped.
pub struct Worker {
    child: Child,
    stdin: ChildStdin,
    told: Arc<(Mutex<Told>, Condvar)>,
}

impl Worker {
    /// Starts a worker and waits until it has registered; what it said where it was refused.
    pub fn start(specification: &Value) -> Result<Self, String> {
        let mut child = Command::new("node")
            .arg(PROGRAM)
            .env("WORKER", specification.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Node starts (the tests need it, version 20 or later)");
        let told = Arc::<(Mutex<Told>, Condvar)>::default();
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let telling = Arc::clone(&told);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                telling.0.lock().expect("events").events.push(event);
                telling.1.notify_all();
            }
            telling.0.lock().expect("events").ended = true;
            telling.1.notify_all();
        });
        let stdin = child.stdin.take().expect("stdin");
        let mut worker = Self { child, stdin, told };
        let first = worker.wait("a registration", |events| events.first().cloned());
        if first["event"] == "registered" {
            return Ok(worker);
        }
        let status = worker.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(1), "a refused worker ends with 1");
        Err(first["error"].as_str().expect("an error").to_owned())
    }

    /// What `worker.mjs open` makes of a storage token; nothing where it cannot be opened.
    pub fn open_token(secret: &str, token: &str) -> Option<Value> {
        let opened = Command::new("node").args([PROGRAM, "open", secret, token]).output();
        let opened = opened.expect("Node starts");
        let plain = serde_json::from_slice(&opened.stdout).ok();
        plain.filter(|_| opened.status.success())
    }

    /// Waits until something is to be seen in the events; fails the test where it never is.
    pub fn wait<T>(&self, what: &str, mut pick: impl FnMut(&[Value]) -> Option<T>) -> T {
        let (told, news) = &*self.told;
        let mut found = None;
        let told = told.lock().expect("events");
        let (told, _) = news
            .wait_timeout_while(told, PATIENCE, |told| {
                found = pick(&told.events);
                found.is_none() && !told.ended
            })
            .expect("events");
        let events = &told.events;
        found.unwrap_or_else(|| panic!("the worker never told of {what} (ended: {}): {events:#?}", told.ended))
    }

    /// The event of this kind with this number, counted from 1, once it is there.
    pub fn nth(&self, event: &str, number: usize) -> Value {
        self.wait(&format!("{event} number {number}"), |events| {
            let mut of_kind = events.iter().filter(|told| told["event"] == event);
            of_kind.nth(number - 1).cloned()
        })
    }

    /// The first event of this kind.
    pub fn first(&self, event: &str) -> Value {
        self.nth(event, 1)
    }

    /// The events of this kind so far.
    pub fn all(&self, event: &str) -> Vec<Value> {
        let told = self.told.0.lock().expect("events");
        let of_kind = told.events.iter().filter(|told| told["event"] == event);
        of_kind.cloned().collect()
    }

    /// The events of this kind about a task so far.
    pub fn about(&self, event: &str, task: &str) -> Vec<Value> {
        let mut events = self.all(event);
        events.retain(|told| told["task"] == task);
        events
    }

    /// The first event of this kind about a task.
    pub fn first_about(&self, event: &str, task: &str) -> Value {
        self.wait(&format!("{event} of {task}"), |events| {
            let mut found = events
                .iter()
                .filter(|told| told["event"] == event && told["task"] == task);
            found.next().cloned()
        })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.first("registered")["port"])
    }

    /// Ends all waits of this name, those to come included.
    pub fn release(&mut self, name: &str) {
        writeln!(self.stdin, "{}", json!({ "release": name })).expect("the worker reads");
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by its name, for instance `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until it has ended by itself; its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}
