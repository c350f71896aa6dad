//! Whoever does the tasks: an HTTP endpoint that notes what it is sent, and does what it is told.
//!
//! When calls came and ended is told by a count of both, so nothing here depends on a clock.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use super::PATIENCE;

/// How a call is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// 200 with this.
    Json(Value),
    /// Another status, with this text.
    Status(u16, &'static str),
    /// Another answer, once the task is released.
    Held(Box<Answer>),
    /// The first for the first call, the second for the second, the last for all that follow.
    Sequence(Vec<Answer>),
}

impl Answer {
    /// A result with this output, once the task is released.
    pub fn held(output: &str) -> Self {
        Self::Held(Box::new(Self::Json(json!({ "output": output }))))
    }
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Id of the task.
    pub task: String,
    pub body: Value,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its place among all beginnings and ends.
    pub began: usize,
    /// The same; absent while it is under way.
    pub ended: Option<usize>,
}

#[derive(Debug, Default)]
pub struct Notes {
    calls: Vec<Call>,
    lessons: HashMap<String, Answer>,
    released: HashSet<String>,
    all_are_released: bool,
    moments: usize,
    in_flight: usize,
    most_in_flight: usize,
}

impl Notes {
    /// The calls of a task.
    pub fn of<'n>(&'n self, task: &'n str) -> impl Iterator<Item = &'n Call> {
        self.calls.iter().filter(move |call| call.task == task)
    }

    /// Calls that are under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn is_released(&self, task: &str) -> bool {
        self.all_are_released || self.released.contains(task)
    }

    fn moment(&mut self) -> usize {
        self.moments += 1;
        self.moments
    }

    fn lesson(&self, task: &str, nth: usize) -> Answer {
        let usual = || Answer::Json(json!({ "output": format!("did {task}") }));
        match self.lessons.get(task).cloned().unwrap_or_else(usual) {
            Answer::Sequence(answers) => answers[nth.min(answers.len() - 1)].clone(),
            other => other,
        }
    }
}

#[derive(Debug, Default)]
struct Room {
    notes: Mutex<Notes>,
    changed: Condvar,
}

/// A running endpoint. It lives as long as the process.
#[derive(Debug, Clone)]
pub struct Worker {
    address: String,
    room: Arc<Room>,
}

impl Worker {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let room = Arc::<Room>::default();
        let shared = Arc::clone(&room);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let room = Arc::clone(&shared);
                std::thread::spawn(move || while room.serve(&stream).is_some() {});
            }
        });
        Self { address, room }
    }

    pub fn url(&self) -> String {
        format!("http://{}/tasks", self.address)
    }

    /// How a task is answered from now on.
    pub fn teach(&self, task: &str, answer: Answer) {
        self.room.notes().lessons.insert(task.to_owned(), answer);
    }

    /// Answers what is held of a task, now and from now on.
    pub fn release(&self, task: &str) {
        self.room.notes().released.insert(task.to_owned());
        self.room.changed.notify_all();
    }

    pub fn release_all(&self) {
        self.room.notes().all_are_released = true;
        self.room.changed.notify_all();
    }

    pub fn calls(&self) -> Vec<Call> {
        self.room.notes().calls.clone()
    }

    pub fn calls_of(&self, task: &str) -> Vec<Call> {
        self.room.notes().of(task).cloned().collect()
    }

    /// How often a task was called.
    pub fn count(&self, task: &str) -> usize {
        self.room.notes().of(task).count()
    }

    /// The most calls that were under way at a time.
    pub fn most_in_flight(&self) -> usize {
        self.room.notes().most_in_flight
    }

    /// Waits for calls, and fails when they never come.
    pub fn wait(&self, what: &str, mut came: impl FnMut(&Notes) -> bool) {
        let waiting = |notes: &mut Notes| !came(notes);
        let waited = self
            .room
            .changed
            .wait_timeout_while(self.room.notes(), PATIENCE, waiting);
        let (notes, timeout) = waited.expect("notes");
        assert!(
            !timeout.timed_out(),
            "the worker never saw {what}; its calls: {:#?}",
            notes.calls
        );
    }

    /// Waits until a task was called so often.
    pub fn wait_for(&self, task: &str, count: usize) {
        self.wait(&format!("call {count} of {task}"), |notes| {
            notes.of(task).count() >= count
        });
    }
}

impl Room {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("notes")
    }

    /// Serves one request; nothing when the connection is over.
    fn serve(&self, mut stream: &TcpStream) -> Option<()> {
        let (headers, body) = read(stream)?;
        let task = body["task"]["id"].as_str().unwrap_or_default().to_owned();
        let (at, lesson) = {
            let mut notes = self.notes();
            let lesson = notes.lesson(&task, notes.of(&task).count());
            let began = notes.moment();
            notes.in_flight += 1;
            notes.most_in_flight = notes.most_in_flight.max(notes.in_flight);
            let ended = None;
            let call = Call {
                task: task.clone(),
                body,
                headers,
                began,
                ended,
            };
            notes.calls.push(call);
            self.changed.notify_all();
            (notes.calls.len() - 1, lesson)
        };
        let (status, text) = self.answer(&task, lesson);
        {
            let mut notes = self.notes();
            notes.in_flight -= 1;
            notes.calls[at].ended = Some(notes.moment());
            self.changed.notify_all();
        }
        let head = format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        stream.write_all((head + &text).as_bytes()).ok()
    }

    fn answer(&self, task: &str, answer: Answer) -> (u16, String) {
        match answer {
            Answer::Json(value) => (200, value.to_string()),
            Answer::Status(status, text) => (status, text.to_owned()),
            Answer::Held(then) => {
                let held = |notes: &mut Notes| !notes.is_released(task);
                drop(self.changed.wait_while(self.notes(), held));
                self.answer(task, *then)
            }
            Answer::Sequence(_) => (500, "a sequence in a sequence".to_owned()),
        }
    }
}

fn read(stream: &TcpStream) -> Option<(BTreeMap<String, String>, Value)> {
    stream.set_read_timeout(Some(Duration::from_secs(600))).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((headers, serde_json::from_slice(&body).unwrap_or_default()))
}
