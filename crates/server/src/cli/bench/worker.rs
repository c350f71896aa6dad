//! The push worker that is measured with: a process of its own, hidden as `quintet bench-worker`.
//!
//! It registers one task, says at once that it has whatever it is sent, and calls back on connections that it keeps. What
//! it notes are moments: whoever measures reads the parts of a step's time off them. It listens to its standard input:
//! `wait N` is answered when N callbacks were acknowledged, `report` with everything noted, and at the end of the input
//! it ends, so that it never outlives the measuring process.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use clap::Args as ClapArgs;
use quintet_core::time::Time;
use quintet_engine::tasks;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use super::child::now;
use super::load::{Answer, Connection};
use super::wire::{Message, Wire};

/// The task that is registered.
pub(super) const TASK: &str = "bench";
/// What is printed when it has registered.
pub(super) const READY: &str = "ready";
/// Callbacks under way.
const CALLBACKS: usize = 512;
/// What is answered to a dispatch.
const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/// Arguments of `quintet bench-worker`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Addresses of the nodes.
    #[arg(required = true)]
    nodes: Vec<String>,
}

/// A dispatch and its callback, as moments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    pub run: String,
    /// The dispatch was read.
    pub seen: Time,
    /// The 202 was written.
    pub accepted: Time,
    /// The callback is about to be written.
    pub called: Time,
    /// The callback's answer was read.
    pub answered: Time,
}

/// Everything that was noted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Noted {
    /// Connections of the server.
    pub connections: usize,
    /// Dispatches on them.
    pub requests: usize,
    /// Connections to the server that were opened for callbacks.
    pub callback_connections: usize,
    /// Callbacks that did not get through, in words.
    pub failures: Vec<String>,
    pub steps: Vec<Step>,
}

struct Worker {
    nodes: Vec<String>,
    places: Semaphore,
    /// Those not in use, by node; the latest is used first.
    idle: Vec<Mutex<Vec<Connection>>>,
    connections: AtomicUsize,
    requests: AtomicUsize,
    callback_connections: AtomicUsize,
    failures: Mutex<Vec<String>>,
    steps: Mutex<Vec<Step>>,
    finished: watch::Sender<usize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Works until the standard input ends.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work(args.nodes))?;
    Ok(ExitCode::SUCCESS)
}

async fn work(nodes: Vec<String>) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let worker = Arc::new(Worker {
        idle: nodes.iter().map(|_| Mutex::default()).collect(),
        nodes,
        places: Semaphore::new(CALLBACKS),
        connections: AtomicUsize::default(),
        requests: AtomicUsize::default(),
        callback_connections: AtomicUsize::default(),
        failures: Mutex::default(),
        steps: Mutex::default(),
        finished: watch::Sender::default(),
    });
    worker.register(&listener).await?;
    println!("{READY}");
    let mut words = words();
    loop {
        tokio::select! {
            connection = listener.accept() => {
                let (stream, _) = connection?;
                let worker = Arc::clone(&worker);
                tasks::spawn("dispatches", async move {
                    if let Err(error) = worker.serve(stream).await {
                        worker.failed(format!("a dispatch: {error:#}"));
                    }
                });
            }
            word = words.recv() => match word {
                Some(word) => worker.told(&word)?,
                None => return Ok(()),
            },
        }
    }
}

/// The lines of the standard input.
fn words() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for word in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(word).is_err() {
                break;
            }
        }
    });
    receiver
}

impl Worker {
    async fn register(&self, listener: &TcpListener) -> anyhow::Result<()> {
        let service = json!({
            "serviceId": "quintet-bench",
            "version": "1",
            "baseUrl": format!("http://{}", listener.local_addr()?),
            "tasks": [{ "id": TASK, "codeHash": "0000000000000000", "allowedNext": [], "concurrency": 0, "retries": 0 }],
        });
        let mut connection = Connection::open(&self.nodes[0]).await?;
        let answer = connection.call("POST", "/api/register", &service.to_string()).await?;
        answer.json().context("the worker was not registered")?;
        Ok(())
    }

    /// Takes the dispatches of one connection.
    async fn serve(self: &Arc<Self>, stream: TcpStream) -> anyhow::Result<()> {
        self.connections.fetch_add(1, Relaxed);
        let mut wire = Wire::new(stream)?;
        while let Some(dispatch) = wire.receive().await? {
            let (seen, nth) = (now(), self.requests.fetch_add(1, Relaxed));
            wire.send(ACCEPTED).await?;
            let (worker, accepted) = (Arc::clone(self), now());
            tasks::spawn("callback", async move {
                if let Err(error) = worker.answer(&dispatch, nth, seen, accepted).await {
                    worker.failed(format!("a callback: {error:#}"));
                }
            });
        }
        Ok(())
    }

    /// Calls back, and notes it.
    async fn answer(&self, dispatch: &Message, nth: usize, seen: Time, accepted: Time) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Dispatch {
            run_id: String,
        }
        let Dispatch { run_id: run } = serde_json::from_slice(&dispatch.body)?;
        let _place = self.places.acquire().await?;
        let node = nth % self.nodes.len();
        let body = json!({ "status": "success", "outputPath": format!("runs/{run}/output.json"), "outputSize": 2 });
        let path = format!("/api/callback/{run}");
        let called = now();
        let answer = self.call(node, &path, &body.to_string()).await?;
        let answered = now();
        ensure!(
            answer.status == 200,
            "status {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        lock(&self.steps).push(Step {
            run,
            seen,
            accepted,
            called,
            answered,
        });
        self.finished.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Calls a node, on a connection that is there if one is.
    async fn call(&self, node: usize, path: &str, body: &str) -> anyhow::Result<Answer> {
        let idle = lock(&self.idle[node]).pop();
        if let Some(mut connection) = idle
            && let Ok(answer) = connection.call("POST", path, body).await
        {
            lock(&self.idle[node]).push(connection);
            return Ok(answer);
        }
        // None was there, or the node had closed it; to call back twice does no harm.
        self.callback_connections.fetch_add(1, Relaxed);
        let mut connection = Connection::open(&self.nodes[node]).await?;
        let answer = connection.call("POST", path, body).await?;
        lock(&self.idle[node]).push(connection);
        Ok(answer)
    }

    fn failed(&self, what: String) {
        eprintln!("{what}");
        lock(&self.failures).push(what);
    }

    /// Does what a line of the standard input says.
    fn told(&self, word: &str) -> anyhow::Result<()> {
        if word == "report" {
            let noted = Noted {
                connections: self.connections.load(Relaxed),
                requests: self.requests.load(Relaxed),
                callback_connections: self.callback_connections.load(Relaxed),
                failures: lock(&self.failures).clone(),
                steps: lock(&self.steps).clone(),
            };
            println!("{}", serde_json::to_string(&noted)?);
            return Ok(());
        }
        let count = word.strip_prefix("wait ").and_then(|count| count.parse::<usize>().ok());
        let count = count.with_context(|| format!("the worker does not know the word `{word}`"))?;
        let mut finished = self.finished.subscribe();
        tasks::spawn("wait", async move {
            if finished.wait_for(|finished| *finished >= count).await.is_ok() {
                println!("{count}");
            }
        });
        Ok(())
    }
}
