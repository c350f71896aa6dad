//! The blocking side of the backend: one thread for each connection.
//!
//! While a call is held or late its thread looks at the connection now and again: nothing else tells that the client has
//! closed it.

use std::collections::BTreeMap;
use std::io::{BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Answer, Call, Notes, Room};
use crate::http::read_message;

/// Between two looks at a connection whose call waits.
const LOOK: Duration = Duration::from_millis(5);

/// The dialect that a path belongs to: it decides under which key the type comes.
fn type_key(line: &str) -> Option<&'static str> {
    match line {
        "POST /run_task" => Some("task_type"),
        "POST /task" => Some("type"),
        _ => None,
    }
}

/// What goes back.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string(),
        }
    }
}

/// The moment to answer.
#[derive(Clone, Copy)]
enum Until {
    Elapsed(Duration),
    /// When there have been more releases than these.
    ReleasedAfter(u64),
}

/// How a wait for the moment to answer ended.
#[derive(PartialEq)]
enum Wait {
    Over,
    /// The client went away.
    Abandoned,
}

/// Takes connections until the backend is stopped.
pub(super) fn accept(room: &Arc<Room>, listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        let mut notes = room.notes();
        if notes.is_stopped {
            return;
        }
        let Ok(copy) = stream.try_clone() else { continue };
        let number = notes.next_stream;
        notes.next_stream += 1;
        notes.streams.insert(number, copy);
        drop(notes);
        let room = Arc::clone(room);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(&stream);
            while serve(&room, &stream, &mut reader).is_ok() {}
            room.notes().streams.remove(&number);
            let _ = stream.shutdown(std::net::Shutdown::Both);
        });
    }
}

fn serve(room: &Room, mut stream: &TcpStream, reader: &mut BufReader<&TcpStream>) -> anyhow::Result<()> {
    let (head, text) = read_message(reader)?;
    let line = head[0].rsplit_once(' ').map_or("", |(line, _)| line).to_owned();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let (number, releases, mut answer) = note(room, &line, &head, body.clone());
    let task_type = type_key(&line).map(|key| body[key].clone());
    let reply = loop {
        let waited = match answer {
            Answer::Late(by, next) => {
                let waited = wait(room, stream, Until::Elapsed(by));
                answer = *next;
                waited
            }
            Answer::Held(next) => {
                let waited = wait(room, stream, Until::ReleasedAfter(releases));
                answer = *next;
                waited
            }
            Answer::HangUp => break None,
            ready => break Some(compose(ready, task_type.as_ref(), &body)),
        };
        if waited == Wait::Abandoned {
            end(room, number, true);
            anyhow::bail!("the client went away");
        }
    };
    end(room, number, false);
    let Some(reply) = reply else { anyhow::bail!("hung up") };
    let mut text = format!(
        "HTTP/1.1 {} Status\r\ncontent-length: {}\r\n",
        reply.status,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n{}", reply.body).as_bytes())?;
    Ok(())
}

fn compose(answer: Answer, task_type: Option<&Value>, body: &Value) -> Reply {
    match answer {
        Answer::Result(result) => Reply::json(200, &json!({ "result": result, "task_type": task_type })),
        Answer::Error(error) => Reply::json(200, &json!({ "error": error, "task_type": task_type })),
        Answer::Status(status, headers, body) => Reply { status, headers, body },
        Answer::Echo | Answer::Late(..) | Answer::Held(_) | Answer::HangUp | Answer::Sequence(_) => {
            Reply::json(200, &json!({ "result": body["payload"], "task_type": task_type }))
        }
    }
}

/// Notes a request before it is answered: its number, the releases before it, and how it is to be answered.
#[allow(
    clippy::disallowed_methods,
    reason = "when a call came is told by the machine's clock"
)]
fn note(room: &Room, line: &str, head: &[String], body: Value) -> (usize, u64, Answer) {
    let headers: BTreeMap<String, String> = head
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let task_type = type_key(line).map(|key| body[key].as_str().unwrap_or("?").to_owned());
    let mut notes = room.notes();
    let answer = match &task_type {
        Some(task_type) => {
            notes.in_flight += 1;
            notes.max_in_flight = notes.max_in_flight.max(notes.in_flight);
            lesson(&mut notes, task_type)
        }
        None => about_itself(&notes, line),
    };
    let in_flight = notes.in_flight;
    notes.requests.push(Call {
        line: line.to_owned(),
        task_type: task_type.unwrap_or_default(),
        headers,
        body,
        at: Instant::now(),
        ended_at: None,
        in_flight,
        is_abandoned: false,
    });
    room.changed.notify_all();
    (notes.requests.len() - 1, notes.releases, answer)
}

fn lesson(notes: &mut Notes, task_type: &str) -> Answer {
    let count = notes.counts.entry(task_type.to_owned()).or_default();
    let number = *count;
    *count += 1;
    match notes.lessons.get(task_type) {
        Some(Answer::Sequence(answers)) => {
            let answer = answers.get(number).or(answers.last());
            answer.cloned().unwrap_or(Answer::Echo)
        }
        Some(answer) => answer.clone(),
        None => Answer::Echo,
    }
}

fn about_itself(notes: &Notes, line: &str) -> Answer {
    let json = |status: u16, body: &Value| {
        let reply = Reply::json(status, body);
        Answer::Status(status, reply.headers, reply.body)
    };
    match line {
        "GET /health_check" | "GET /health" => json(notes.health, &json!({ "status": notes.health })),
        "GET /tasks_list" | "GET /tasks" if notes.types.is_some() => {
            json(200, notes.types.as_ref().unwrap_or(&Value::Null))
        }
        "GET /api/cluster_status" if !notes.cluster.is_null() => json(200, &notes.cluster),
        _ => json(404, &json!({ "detail": "Not Found" })),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "when a call ended is told by the machine's clock"
)]
fn end(room: &Room, number: usize, is_abandoned: bool) {
    let mut notes = room.notes();
    let call = &mut notes.requests[number];
    call.ended_at = Some(Instant::now());
    call.is_abandoned = is_abandoned;
    if call.is_task() {
        notes.in_flight -= 1;
    }
    room.changed.notify_all();
}

#[allow(clippy::disallowed_methods, reason = "a late answer is late by the clock")]
fn wait(room: &Room, stream: &TcpStream, until: Until) -> Wait {
    let begun = Instant::now();
    let mut notes = room.notes();
    loop {
        let left = match until {
            Until::Elapsed(limit) => limit.saturating_sub(begun.elapsed()),
            Until::ReleasedAfter(before) if notes.releases > before => Duration::ZERO,
            Until::ReleasedAfter(_) => LOOK,
        };
        if notes.is_stopped || is_closed(stream) {
            return Wait::Abandoned;
        }
        if left.is_zero() {
            return Wait::Over;
        }
        let waited = room.changed.wait_timeout(notes, left.min(LOOK));
        notes = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn is_closed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    if stream.set_nonblocking(true).is_err() {
        return true;
    }
    let seen = stream.peek(&mut byte);
    let restored = stream.set_nonblocking(false);
    match seen {
        Ok(0) => true,
        Ok(_) => restored.is_err(),
        Err(error) => error.kind() != ErrorKind::WouldBlock || restored.is_err(),
    }
}
