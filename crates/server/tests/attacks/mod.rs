//! An attack, a bystander, and a look at the server's memory.

mod bodies;
mod crowds;
mod files;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::serving::{self, Answer, Server, file, folder, quintet, run};
use quintet_core::time::Time;
use quintet_engine::clock::{Clock, SystemClock};
use serde_json::json;
use tempfile::TempDir;

/// More memory than before, at most.
const MORE_KIB: u64 = 200 << 10;
/// Until an answer: a second, and more where nothing is optimised and other tests run beside.
const SOON: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });

/// A moment of the machine's clock.
#[derive(Clone, Copy)]
struct Began(Time);

impl Began {
    fn now() -> Self {
        Self(SystemClock.now())
    }

    fn elapsed(self) -> Duration {
        Duration::from_millis(SystemClock.now().ms_since(self.0))
    }
}

/// A figure of a process, in KiB.
fn kib(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Asks for something all the time, and knows how long the longest answer took.
struct Bystander {
    stop: Arc<AtomicBool>,
    asking: std::thread::JoinHandle<(u32, Duration)>,
}

impl Bystander {
    /// From an address of its own: the attacker's is another one.
    fn begin(address: SocketAddr, key: Option<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let asking = std::thread::spawn(move || {
            let (mut served, mut longest) = (0, Duration::ZERO);
            let key = key
                .map(|key| format!("authorization: Bearer {key}\r\n"))
                .unwrap_or_default();
            while !stopped.load(Ordering::Relaxed) || served == 0 {
                let began = Began::now();
                let mut stream = from_elsewhere(address);
                let request =
                    format!("GET /v1/workflows HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{key}\r\n");
                stream.write_all(request.as_bytes()).expect("sent");
                let answer = Answer::read(stream);
                assert_eq!(answer.status, 200, "{answer:?}");
                (served, longest) = (served + 1, longest.max(began.elapsed()));
                std::thread::park_timeout(Duration::from_millis(20));
            }
            (served, longest)
        });
        Self { stop, asking }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (served, longest) = self.asking.join().expect("the bystander is served");
        assert!(longest < SOON, "of {served} the longest took {longest:?}");
    }
}

/// A connection from 127.0.0.2.
fn from_elsewhere(to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("socket");
        socket.bind(([127, 0, 0, 2], 0).into()).expect("bound");
        socket.connect(to).await.expect("connected").into_std()
    });
    let stream = stream.expect("a stream");
    stream.set_nonblocking(false).expect("blocking");
    stream.set_read_timeout(Some(serving::PATIENCE)).expect("timeout");
    stream
}

/// Attacks a server while a bystander is served, and looks at its memory.
fn under_attack(server: &Server, key: Option<&str>, attack: impl FnOnce()) {
    let pid = server.pid();
    let before = kib(pid, "VmRSS").expect("a process");
    // From here on the highest mark is this attack's.
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("its own process");
    let bystander = Bystander::begin(server.address, key.map(str::to_owned));
    attack();
    bystander.end();
    let most = kib(pid, "VmHWM").expect("it lives");
    let more = most.saturating_sub(before);
    println!("{more} KiB more than {before} KiB");
    assert!(more < MORE_KIB, "{more} KiB more than {before} KiB");
}

/// The answer to a request, which must come soon.
fn soon(what: &str, ask: impl FnOnce() -> Answer) -> Answer {
    let began = Began::now();
    let answer = ask();
    let took = began.elapsed();
    println!("{what}: {} after {took:?}", answer.status);
    assert!(took < SOON, "{what}: {took:?}");
    answer
}

fn serve() -> (TempDir, Server) {
    let folder = folder();
    let server = Server::start(folder.path());
    (folder, server)
}

/// Every place that takes a JSON body of anybody.
const ENTRANCES: [&str; 15] = [
    "/v1/workflows",
    "/v1/workflows/validate",
    "/v1/templates",
    "/v1/runs",
    "/v1/runs/batch",
    "/v1/schedules",
    "/v1/runs/run_1/cancel",
    "/api/tasks",
    "/api/visualize",
    "/api/register",
    "/api/heartbeat",
    "/api/callback/trun_1",
    "/api/queue/task",
    "/api/queue/batch",
    "/api/pipelines/p/trigger",
];
