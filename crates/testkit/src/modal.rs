//! A compute backend for tests: it speaks as Modal's app and as Ray's ingress do, notes every call, and does what it is
//! told.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use quintet_testkit::modal::{Answer, Fake};
//! let backend = Fake::start()?; // MODAL_URL or RAY_URL is `backend.url()`
//! backend.teach("image.detect", Answer::Error("boom".to_owned()));
//! backend.teach("slow", Answer::held(Answer::Echo)); // hangs until `backend.release()`
//! backend.stop(); // connections break, new ones are refused
//! backend.start_again()?; // on the same port
//! # Ok(()) }
//! ```
//!
//! `POST /run_task` takes `{task_type, payload}` and `POST /task` takes `{type, payload}`; a type that was taught nothing
//! is echoed: its result is the payload. `GET /health_check` and `GET /health` answer with the status of
//! [`Fake::set_health`], `GET /tasks_list` and `GET /tasks` list what [`Fake::set_types`] said. [`Fake::calls`] are the
//! calls of tasks, [`Fake::requests`] are all; each has its time, its headers, its body, how many calls of tasks were in
//! flight with it, and whether the client went away before the answer.

mod serve;

use std::collections::{BTreeMap, HashMap};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use crate::port;

/// How a task is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The result is the payload.
    Echo,
    /// The result is this.
    Result(Value),
    /// Status 200 with this in `error`, which is how these backends say that a task failed.
    Error(String),
    /// Any status, with lines of headers by name and value, and any text as the body.
    Status(u16, Vec<(String, String)>, String),
    /// Another answer, this much later.
    Late(Duration, Box<Answer>),
    /// Another answer, once [`Fake::release`] is called.
    Held(Box<Answer>),
    /// The connection is closed instead.
    HangUp,
    /// The first for the first call, the second for the second, and the last for all that follow.
    Sequence(Vec<Answer>),
}

impl Answer {
    /// Status and body.
    pub fn status(status: u16, body: &str) -> Self {
        Self::Status(status, Vec::new(), body.to_owned())
    }

    /// An answer that waits for [`Fake::release`].
    pub fn held(answer: Answer) -> Self {
        Self::Held(Box::new(answer))
    }

    /// An answer that comes this much later.
    pub fn late(by: Duration, answer: Answer) -> Self {
        Self::Late(by, Box::new(answer))
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method and path: `POST /run_task`.
    pub line: String,
    /// Of a task its type, else empty.
    pub task_type: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as JSON; null where it is none.
    pub body: Value,
    /// When it came.
    pub at: Instant,
    /// When it was answered, or the client went away.
    pub ended_at: Option<Instant>,
    /// Calls of tasks that were being answered when it came, this one among them.
    pub in_flight: usize,
    /// The client closed the connection before the answer.
    pub is_abandoned: bool,
}

impl Call {
    /// Whether it is a task, rather than a question about the backend.
    pub fn is_task(&self) -> bool {
        !self.task_type.is_empty()
    }

    /// What a task was given.
    pub fn payload(&self) -> &Value {
        &self.body["payload"]
    }
}

/// What a backend remembers.
#[derive(Debug)]
pub struct Notes {
    requests: Vec<Call>,
    lessons: HashMap<String, Answer>,
    /// Calls so far, by type.
    counts: HashMap<String, usize>,
    health: u16,
    types: Option<Value>,
    cluster: Value,
    in_flight: usize,
    max_in_flight: usize,
    releases: u64,
    /// Open connections, to be broken when the backend stops.
    streams: HashMap<u64, TcpStream>,
    next_stream: u64,
    is_stopped: bool,
}

impl Notes {
    /// The calls of tasks, in the order in which they came.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.requests.iter().filter(|call| call.is_task())
    }

    /// The calls of tasks of a type.
    pub fn of<'a>(&'a self, task_type: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls().filter(move |call| call.task_type == task_type)
    }

    /// All requests.
    pub fn requests(&self) -> &[Call] {
        &self.requests
    }

    /// How often its health was asked.
    pub fn probes(&self) -> usize {
        let is_probe = |call: &&Call| call.line.starts_with("GET /health");
        self.requests.iter().filter(is_probe).count()
    }

    /// The most calls of tasks that were being answered at a time.
    pub fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }
}

#[derive(Debug)]
struct Room {
    notes: Mutex<Notes>,
    changed: Condvar,
}

impl Room {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running backend. It ends with the value.
#[derive(Debug)]
pub struct Fake {
    address: String,
    room: Arc<Room>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

impl Fake {
    /// Starts a healthy backend on a free loopback port; it echoes everything and lists no types.
    pub fn start() -> anyhow::Result<Self> {
        // It is stopped and started again, so it needs a port that nobody takes in between.
        let listener = port::listen()?;
        let notes = Notes {
            requests: Vec::new(),
            lessons: HashMap::new(),
            counts: HashMap::new(),
            health: 200,
            types: None,
            cluster: Value::Null,
            in_flight: 0,
            max_in_flight: 0,
            releases: 0,
            streams: HashMap::new(),
            next_stream: 0,
            is_stopped: false,
        };
        let fake = Self {
            address: listener.local_addr()?.to_string(),
            room: Arc::new(Room {
                notes: Mutex::new(notes),
                changed: Condvar::new(),
            }),
            acceptor: Mutex::default(),
        };
        fake.accept(listener);
        Ok(fake)
    }

    /// Its base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How tasks of a type are answered from now on; a sequence begins anew.
    pub fn teach(&self, task_type: &str, answer: Answer) {
        let mut notes = self.room.notes();
        notes.counts.remove(task_type);
        notes.lessons.insert(task_type.to_owned(), answer);
    }

    /// The status with which it answers questions after its health.
    pub fn set_health(&self, status: u16) {
        self.room.notes().health = status;
    }

    /// What it answers when it is asked for its types, verbatim: Modal's `{total, categories}` or Ray's `{tasks}`.
    pub fn set_types(&self, types: Value) {
        self.room.notes().types = Some(types);
    }

    /// What it answers as a Ray dashboard at `GET /api/cluster_status`; until then it is none.
    pub fn set_cluster_status(&self, status: Value) {
        self.room.notes().cluster = status;
    }

    /// Answers all calls that are held.
    pub fn release(&self) {
        self.room.notes().releases += 1;
        self.room.changed.notify_all();
    }

    /// Breaks all connections and refuses new ones. Calls under way are never answered.
    pub fn stop(&self) {
        {
            let mut notes = self.room.notes();
            notes.is_stopped = true;
            for stream in notes.streams.values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.room.changed.notify_all();
        // A thread that waits for a connection is woken by nothing but one.
        let _ = TcpStream::connect(&self.address);
        let acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(acceptor) = acceptor {
            let _ = acceptor.join();
        }
    }

    /// Listens again on the same port, and knows what it knew.
    pub fn start_again(&self) -> anyhow::Result<()> {
        let listener =
            TcpListener::bind(&self.address).with_context(|| format!("{} cannot be bound again", self.address))?;
        self.room.notes().is_stopped = false;
        self.accept(listener);
        Ok(())
    }

    /// The calls of tasks so far.
    pub fn calls(&self) -> Vec<Call> {
        self.room.notes().calls().cloned().collect()
    }

    /// The calls of tasks of a type so far.
    pub fn calls_of(&self, task_type: &str) -> Vec<Call> {
        self.room.notes().of(task_type).cloned().collect()
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Call> {
        self.room.notes().requests.clone()
    }

    /// How often its health was asked.
    pub fn probes(&self) -> usize {
        self.room.notes().probes()
    }

    /// The most calls of tasks that were being answered at a time.
    pub fn max_in_flight(&self) -> usize {
        self.room.notes().max_in_flight
    }

    /// Waits for requests, for their answers, or for clients to go away; whether what is waited for came within the time.
    pub fn wait_until(&self, limit: Duration, mut came: impl FnMut(&Notes) -> bool) -> bool {
        let waiting = |notes: &mut Notes| !came(notes);
        let waited = self.room.changed.wait_timeout_while(self.room.notes(), limit, waiting);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn accept(&self, listener: TcpListener) {
        let room = Arc::clone(&self.room);
        let acceptor = std::thread::spawn(move || serve::accept(&room, &listener));
        *self.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = Some(acceptor);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}
