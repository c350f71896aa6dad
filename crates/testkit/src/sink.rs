//! A receiver of the calls that steps make: it notes each one and answers with a word nobody else has.

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
}

/// A running receiver. It lives as long as the process.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Where it listens.
    pub address: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

#[derive(Default)]
struct Script {
    words: AtomicU64,
    refused: Mutex<HashMap<(String, String), u32>>,
}

impl Sink {
    /// Starts a receiver on a free loopback port. Paths say how it answers: `/ok`, `/flaky` (503 the first
    /// time for each run and step), `/slow?ms=n` (after a while).
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let sink = Self {
            address: listener.local_addr()?.to_string(),
            calls: Arc::default(),
        };
        let (calls, script) = (Arc::clone(&sink.calls), Arc::new(Script::default()));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (calls, script) = (Arc::clone(&calls), Arc::clone(&script));
                std::thread::spawn(move || while serve(&stream, &calls, &script).is_ok() {});
            }
        });
        Ok(sink)
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[allow(clippy::disallowed_methods, reason = "a slow receiver is slow by the clock")]
fn serve(mut stream: &TcpStream, calls: &Mutex<Vec<Call>>, script: &Script) -> anyhow::Result<()> {
    let (head, _) = read_message(&mut BufReader::new(stream))?;
    let path = head[0].split(' ').nth(1).unwrap_or_default().to_owned();
    let value = |name| header(&head, name).unwrap_or_default().to_owned();
    let (run, step) = (value("x-quintet-run"), value("x-quintet-step"));
    let attempt = value("x-quintet-attempt").parse().unwrap_or(0);
    let refuses = path.starts_with("/flaky") && {
        let mut refused = script.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let times = refused.entry((run.clone(), step.clone())).or_default();
        *times += 1;
        *times == 1
    };
    let word = if refuses {
        String::new()
    } else {
        format!("w{}", script.words.fetch_add(1, Ordering::Relaxed))
    };
    // Noted before it is answered: whatever Quintet has recorded, this list has too.
    calls.lock().unwrap_or_else(PoisonError::into_inner).push(Call {
        run,
        step,
        attempt,
        word: word.clone(),
    });
    if let Some(ms) = path.split_once("ms=").and_then(|(_, ms)| ms.parse().ok()) {
        std::thread::sleep(Duration::from_millis(ms));
    }
    let (status, body) = if refuses {
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
