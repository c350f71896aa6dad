//! Many requests over a few connections that are kept open, each timed: to fill a queue quickly, and to say how long
//! answers take.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use crate::http::{Answer, Request, read_message};

/// How long an answer may take.
const SILENCE: Duration = Duration::from_secs(60);

/// A connection that is kept.
struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
}

/// An answer, and how long it took.
#[derive(Debug)]
pub struct Timed {
    /// What came back.
    pub answer: Answer,
    /// From the first byte that was sent to the last one that came back.
    pub took: Duration,
}

/// How long answers took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Half took no longer.
    pub p50: Duration,
    /// One in a hundred took longer.
    pub p99: Duration,
    /// None took longer.
    pub max: Duration,
}

impl Connection {
    fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            address: address.to_owned(),
        })
    }

    #[allow(clippy::disallowed_methods, reason = "it measures the machine")]
    fn send(&mut self, request: &Request<'_>) -> anyhow::Result<Timed> {
        let Request { method, path, body, .. } = request;
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in request.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let begun = Instant::now();
        self.stream.get_mut().write_all(text.as_bytes())?;
        let (head, body) = read_message(&mut self.stream)?;
        let took = begun.elapsed();
        let status = head[0].split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.context("no status")?;
        Ok(Timed {
            answer: Answer { status, body },
            took,
        })
    }
}

/// A request that a load makes: method, path, and a body where there is one.
pub type Asked = (&'static str, String, Option<Value>);

/// Makes `count` requests over so many connections, each as soon as its connection is free; the answers by number.
pub fn run(
    address: &str,
    connections: usize,
    count: usize,
    request: impl Fn(usize) -> Asked + Sync,
) -> anyhow::Result<Vec<Timed>> {
    run_as(address, &[], connections, count, request)
}

/// The same, with further headers on every request.
pub fn run_as(
    address: &str,
    headers: &[(&str, &str)],
    connections: usize,
    count: usize,
    request: impl Fn(usize) -> Asked + Sync,
) -> anyhow::Result<Vec<Timed>> {
    let plain = headers.to_vec();
    let with_body = [headers, &[("content-type", "application/json")]].concat();
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::with_capacity(count));
    let work = || -> anyhow::Result<()> {
        let mut connection = Connection::open(address)?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            let (method, path, body) = request(number);
            let text = body.as_ref().map(Value::to_string).unwrap_or_default();
            let asked = Request {
                method,
                path: &path,
                headers: if body.is_some() { &with_body } else { &plain },
                body: &text,
            };
            let timed = connection.send(&asked)?;
            all.lock().expect("answers").push((number, timed));
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        let mut ended = workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker of the load"));
        ended.try_for_each(|ended| ended)
    })?;
    let mut all = all.into_inner().expect("answers");
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, timed)| timed).collect())
}

impl Spread {
    /// Of some answers, at least one.
    pub fn of(answers: &[Timed]) -> Self {
        let mut times: Vec<_> = answers.iter().map(|timed| timed.took).collect();
        times.sort();
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        Self {
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::modal::Fake;

    #[test]
    fn every_request_is_answered_once_and_under_its_number() {
        let backend = Fake::start().expect("a server");
        let address = backend.url().replace("http://", "");
        let answers = run(&address, 4, 50, |n| {
            let body = json!({ "type": "t", "payload": n });
            ("POST", "/task".to_owned(), Some(body))
        });
        let answers = answers.expect("answers");
        assert_eq!((answers.len(), backend.calls().len()), (50, 50));
        for (n, timed) in answers.iter().enumerate() {
            assert_eq!(timed.answer.json().expect("JSON")["result"], n);
        }
        assert!(backend.max_in_flight() <= 4);
    }

    #[test]
    fn a_spread_is_of_all_answers() {
        let timed = |ms| Timed {
            answer: Answer {
                status: 200,
                body: String::new(),
            },
            took: Duration::from_millis(ms),
        };
        let spread = Spread::of(&(1..=101).rev().map(timed).collect::<Vec<_>>());
        let ms = [spread.p50, spread.p99, spread.max].map(|took| took.as_millis());
        assert_eq!(ms, [51, 100, 101]);
    }
}
