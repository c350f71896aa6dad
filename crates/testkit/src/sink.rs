//! A receiver of the calls that steps make: it notes each one and answers with a word nobody else has.
//!
//! It can have several doors. They lead to the same room; where each server is told of a door of its own, a call shows
//! which server made it. And it can hold calls: the first one of a step hangs until it is released, so that whoever
//! made it surely has it under way, and a later one of the same step shows that somebody else took over.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::http::{header, read_message};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// `X-Quintet-Run`.
    pub run: String,
    /// `X-Quintet-Step`.
    pub step: String,
    /// `X-Quintet-Attempt`.
    pub attempt: u32,
    /// The word in the answer, empty when the answer was an error.
    pub word: String,
    /// The door that it came by; the first one is 0.
    pub door: usize,
    /// When it came.
    pub at: Instant,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            run,
            step,
            attempt,
            word,
            door,
            ..
        } = self;
        write!(f, "{run} {step} attempt {attempt} by door {door}, word {word:?}")
    }
}

/// A running receiver. It lives as long as the process.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Where its first door is.
    pub address: String,
    room: Arc<Room>,
}

/// What all doors lead to.
#[derive(Debug, Default)]
struct Room {
    notes: Mutex<Notes>,
    changed: Condvar,
}

/// What the receiver remembers.
#[derive(Debug, Default)]
pub struct Notes {
    calls: Vec<Call>,
    by_run: HashMap<String, Vec<usize>>,
    /// Run and step of calls that were refused or held once.
    once: HashSet<(String, String)>,
    doors: usize,
    /// How often held calls have been released.
    releases: u64,
}

impl Notes {
    /// The calls of a run, in the order in which they came.
    pub fn of(&self, run: &str) -> impl Iterator<Item = &Call> {
        let numbers = self.by_run.get(run).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().map(|number| &self.calls[*number])
    }

    fn note(&mut self, call: Call) {
        self.by_run.entry(call.run.clone()).or_default().push(self.calls.len());
        self.calls.push(call);
    }
}

impl Sink {
    /// Starts a receiver on a free loopback port. Paths say how it answers: `/ok`, `/flaky` (503 the first
    /// time for each run and step), `/hang` (the first time for each run and step only once it is released),
    /// `/slow?ms=n` (after a while).
    pub fn start() -> anyhow::Result<Self> {
        let mut sink = Self {
            address: String::new(),
            room: Arc::default(),
        };
        sink.address = sink.open_door()?.1;
        Ok(sink)
    }

    /// Opens another door: its number and its address.
    pub fn open_door(&self) -> anyhow::Result<(usize, String)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let door = {
            let mut notes = self.room.notes();
            notes.doors += 1;
            notes.doors - 1
        };
        let room = Arc::clone(&self.room);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let room = Arc::clone(&room);
                std::thread::spawn(move || while room.serve(&stream, door).is_ok() {});
            }
        });
        Ok((door, address))
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.room.notes().calls.clone()
    }

    /// The calls of a run so far.
    pub fn calls_of(&self, run: &str) -> Vec<Call> {
        self.room.notes().of(run).cloned().collect()
    }

    /// Waits for calls; whether what is waited for came within the time.
    pub fn wait_until(&self, limit: Duration, mut came: impl FnMut(&Notes) -> bool) -> bool {
        let waiting = |notes: &mut Notes| !came(notes);
        let waited = self.room.changed.wait_timeout_while(self.room.notes(), limit, waiting);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Answers all calls that hang.
    pub fn release(&self) {
        self.room.notes().releases += 1;
        self.room.changed.notify_all();
    }
}

impl Room {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[allow(clippy::disallowed_methods, reason = "a slow receiver is slow by the clock")]
    fn serve(&self, mut stream: &TcpStream, door: usize) -> anyhow::Result<()> {
        let (head, _) = read_message(&mut BufReader::new(stream))?;
        let path = head[0].split(' ').nth(1).unwrap_or_default();
        let (word, hangs) = self.note(&head, path, door);
        if let Some(before) = hangs {
            let held = |notes: &mut Notes| notes.releases == before;
            drop(self.changed.wait_while(self.notes(), held));
        }
        if let Some(ms) = path.split_once("ms=").and_then(|(_, ms)| ms.parse().ok()) {
            std::thread::sleep(Duration::from_millis(ms));
        }
        let (status, body) = if word.is_empty() {
            ("503 Busy", "{}".to_owned())
        } else {
            ("200 OK", format!("{{\"word\":\"{word}\"}}"))
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        Ok(())
    }

    /// Notes a call before it is answered: whatever Quintet has recorded, the notes have too. Gives the word of the
    /// answer, and for a call that hangs the number of releases before it.
    #[allow(
        clippy::disallowed_methods,
        reason = "when a call came is told by the machine's clock"
    )]
    fn note(&self, head: &[String], path: &str, door: usize) -> (String, Option<u64>) {
        let value = |name| header(head, name).unwrap_or_default().to_owned();
        let (run, step) = (value("x-quintet-run"), value("x-quintet-step"));
        let mut notes = self.notes();
        let is_special = path.starts_with("/flaky") || path.starts_with("/hang");
        let is_first = is_special && notes.once.insert((run.clone(), step.clone()));
        let word = if is_first && path.starts_with("/flaky") {
            String::new()
        } else {
            format!("w{}", notes.calls.len())
        };
        let hangs = (is_first && path.starts_with("/hang")).then_some(notes.releases);
        notes.note(Call {
            run,
            step,
            attempt: value("x-quintet-attempt").parse().unwrap_or(0),
            word: word.clone(),
            door,
            at: Instant::now(),
        });
        self.changed.notify_all();
        (word, hangs)
    }
}
