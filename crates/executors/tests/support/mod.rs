//! A recording HTTP target on loopback, and the parts that tests of outbound requests need.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use quintet_core::event::Created;
use quintet_core::id::RunId;
use quintet_core::outcome::{Failure, Outcome, Success, Token, Work};
use quintet_core::plan::Digest;
use quintet_engine::executor::Executor;
use quintet_executors::egress::{Client, Guard, Policy};
use quintet_executors::http::service::Services;
use quintet_executors::http::{Http, HttpParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// One request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// What to answer: raw bytes, or nothing until the client hangs up.
pub enum Answer {
    Raw(Vec<u8>),
    Never,
}

type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

/// What a test may wait for.
#[derive(Default)]
struct Signals {
    request: Notify,
    hang_up: Notify,
}

/// A server that records what reaches it. It ends with the value.
pub struct Target {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    signals: Arc<Signals>,
    _accepting: JoinSet<()>,
}

impl Target {
    pub async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let (connections, signals) = (Arc::new(AtomicUsize::new(0)), Arc::new(Signals::default()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let service = Service {
            seen: Arc::clone(&seen),
            signals: Arc::clone(&signals),
            script: Arc::new(script),
        };
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&connections), service));
        Self {
            address,
            seen,
            connections,
            signals,
            _accepting: accepting,
        }
    }

    /// Answers everything with 200 and this body.
    pub async fn saying(body: &'static str) -> Self {
        Self::start(move |_| answer(200, "", body)).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("lock").clone()
    }

    /// Until a request has arrived.
    pub async fn request(&self) {
        self.signals.request.notified().await;
    }

    /// Until a client has given up waiting for [`Answer::Never`].
    pub async fn hang_up(&self) {
        self.signals.hang_up.notified().await;
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A complete answer; `headers` are lines that end in `\r\n`.
pub fn answer(status: u16, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Raw(format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into_bytes())
}

pub fn redirect(status: u16, to: &str) -> Answer {
    answer(status, &format!("location: {to}\r\n"), "")
}

#[derive(Clone)]
struct Service {
    seen: Arc<Mutex<Vec<Seen>>>,
    signals: Arc<Signals>,
    script: Arc<Script>,
}

async fn accept(listener: TcpListener, connections: Arc<AtomicUsize>, service: Service) {
    let mut serving = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        connections.fetch_add(1, Ordering::SeqCst);
        serving.spawn(serve(stream, service.clone()));
    }
}

async fn serve(mut stream: TcpStream, service: Service) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let answer = (service.script)(&request);
        service.seen.lock().expect("lock").push(request);
        service.signals.request.notify_one();
        match answer {
            // A client that hung up early is not this server's problem.
            Answer::Raw(bytes) if stream.write_all(&bytes).await.is_ok() => {}
            Answer::Raw(_) => return,
            Answer::Never => {
                while stream.read_buf(&mut buffer).await.is_ok_and(|length| length > 0) {}
                service.signals.hang_up.notify_one();
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let mut request = parse_head(&String::from_utf8_lossy(&buffer[..end]));
            let length: usize = request
                .headers
                .get("content-length")
                .map_or(0, |text| text.parse().expect("length"));
            if buffer.len() >= end + 4 + length {
                request.body = String::from_utf8_lossy(&buffer[end + 4..end + 4 + length]).into_owned();
                buffer.drain(..end + 4 + length);
                return Some(request);
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse_head(head: &str) -> Seen {
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let headers = lines.filter_map(|line| line.split_once(": "));
    Seen {
        method: first.next().unwrap_or_default(),
        path: first.next().unwrap_or_default(),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body: String::new(),
    }
}

/// Settings under which the targets of these tests may be reached.
pub fn loopback() -> Policy {
    Policy {
        allow_loopback: true,
        ..Policy::default()
    }
}

pub fn params() -> HttpParams {
    HttpParams {
        concurrency: 4,
        timeout: std::time::Duration::from_secs(30),
    }
}

/// The http executor under these settings, without services.
pub fn http(policy: Policy) -> Http {
    Http::new(Client::new(Guard::new(policy)), Services::default(), params())
}

/// What the run of [`work`] was started with.
pub fn created() -> Arc<Created> {
    Arc::new(Created {
        namespace: "default".into(),
        workflow: "wf".into(),
        workflow_version: 1,
        plan: Digest([0; 32]),
        context: Arc::new(json!({})),
        priority: 0,
        labels: serde_json::Map::new(),
        priority_is_for_all: false,
        not_before: None,
    })
}

/// Second attempt of the step `fetch[0]`.
pub fn work(action: &str, input: Value) -> Work {
    Work {
        token: Token {
            run: RunId::from_bits(7),
            node: 0,
            attempt: 2,
        },
        namespace: "default".into(),
        workflow: "wf".into(),
        step: "fetch[0]".to_owned(),
        action: action.into(),
        queue: action.into(),
        input,
        secrets: Vec::new(),
        context: Arc::new(json!({})),
        deadline: None,
        created: created(),
        attempt: 1,
        past: Vec::new(),
        upstream: Vec::new(),
    }
}

pub async fn succeed(http: &Http, input: Value) -> Success {
    match http.execute(work("http", input)).await {
        Outcome::Succeeded(success) => success,
        Outcome::Failed(failure) => panic!("failed: {failure:?}"),
    }
}

pub async fn fail(http: &Http, input: Value) -> Failure {
    match http.execute(work("http", input)).await {
        Outcome::Failed(failure) => failure,
        Outcome::Succeeded(success) => panic!("succeeded: {success:?}"),
    }
}
