//! The nodes, each before its own way to the database, and the way from clients to any of them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::crash::way::{Answered, Way};
use crate::http::Request;
use crate::patience;
use crate::proxy::Proxy;
use crate::random::Random;
use crate::server::{Launch, Server};

/// How long a client waits for a node before it goes to another.
const SILENCE: Duration = Duration::from_secs(3);
/// For how long a client goes from node to node.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(25);
/// How long a node may take to come back, with a database that comes back too.
const START: Duration = Duration::from_secs(60);

/// A node.
pub(super) struct Node {
    launch: Launch,
    /// Its way to the database.
    pub proxy: Proxy,
    /// By which door its calls reach the receiver.
    pub door: usize,
    server: Mutex<Option<Server>>,
}

impl Node {
    pub fn new(launch: Launch, proxy: Proxy, door: usize) -> Self {
        Self {
            launch,
            proxy,
            door,
            server: Mutex::new(None),
        }
    }

    /// Starts it for the first time.
    pub fn start(&self) -> anyhow::Result<()> {
        let server = self.launch.start()?;
        *self.server() = Some(server);
        Ok(())
    }

    /// Starts it, again and again as a supervisor does while there is no database.
    pub fn start_again(&self) -> anyhow::Result<()> {
        let mut last = Ok(());
        patience::until(START, || {
            last = self.start();
            last.is_ok()
        });
        last.context("the node does not come back")
    }

    /// Kills it with SIGKILL.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.server().take().context("the node does not run")?.kill()
    }

    /// Ends it with SIGTERM; the exit code.
    pub fn terminate(&self) -> anyhow::Result<Option<i32>> {
        let server = self.server().take().context("the node does not run")?;
        server.terminate()
    }

    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        self.server().as_ref().context("the node does not run")?.signal(name)
    }

    /// Where it listens, while it runs.
    pub fn address(&self) -> Option<String> {
        self.server().as_ref().map(|server| server.address.clone())
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All nodes, as clients see them.
pub(super) struct Nodes {
    pub all: Vec<Node>,
    random: Mutex<Random>,
    complaints: Mutex<Vec<String>>,
}

impl Nodes {
    pub fn new(all: Vec<Node>, random: Random) -> Self {
        Self {
            all,
            random: Mutex::new(random),
            complaints: Mutex::default(),
        }
    }

    /// Starts all of them at once.
    pub fn start_all(&self) -> anyhow::Result<()> {
        std::thread::scope(|scope| {
            let starts: Vec<_> = self.all.iter().map(|node| scope.spawn(|| node.start())).collect();
            starts
                .into_iter()
                .try_for_each(|start| start.join().unwrap_or_else(|_| bail!("a start panicked")))
        })
    }

    /// The way to one node alone.
    pub fn at(&self, number: usize) -> At<'_> {
        At { nodes: self, number }
    }

    /// What no fault of a machine explains, since this was last asked.
    pub fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn complain(&self, what: String) {
        self.complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(what);
    }

    fn any(&self, not_at: Option<usize>) -> usize {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let number = random.below(self.all.len() as u64) as usize;
        if Some(number) == not_at {
            (number + 1) % self.all.len()
        } else {
            number
        }
    }

    fn send(&self, request: &Request<'_>, number: usize) -> anyhow::Result<Answered> {
        let address = self.all[number].address().context("the node is down")?;
        let answer = request.send(&address, SILENCE)?;
        if answer.status == 500 {
            self.complain(format!(
                "{} {} was answered 500 by node {number}: {}",
                request.method, request.path, answer.body
            ));
        }
        let server = number;
        Ok(Answered { server, answer })
    }

    /// Asks until somebody knows an answer.
    #[allow(clippy::disallowed_methods, reason = "a client's patience is by the machine's clock")]
    fn insist(&self, request: &Request<'_>, mut next: impl FnMut() -> usize) -> anyhow::Result<Answered> {
        let until = Instant::now() + PATIENCE;
        loop {
            let number = next();
            let problem = match self.send(request, number) {
                Ok(answered) if !is_to_be_repeated(answered.answer.status) => return Ok(answered),
                Ok(answered) => format!("status {}: {}", answered.answer.status, answered.answer.body),
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() > until {
                let Request { method, path, .. } = request;
                let complaint =
                    format!("{method} {path} found no answer for {PATIENCE:?}, lastly at node {number}: {problem}");
                self.complain(complaint.clone());
                bail!(complaint);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn is_to_be_repeated(status: u16) -> bool {
    matches!(status, 429 | 500 | 503)
}

impl Way for Nodes {
    fn ask_once(&self, request: &Request<'_>) -> anyhow::Result<Answered> {
        self.send(request, self.any(None))
    }

    fn ask(&self, request: &Request<'_>, not_at: Option<usize>) -> anyhow::Result<Answered> {
        // Only at first: it may be the only one left.
        let mut not_at = not_at;
        self.insist(request, || self.any(not_at.take()))
    }
}

/// The way to one node, whatever becomes of it.
pub(super) struct At<'a> {
    nodes: &'a Nodes,
    number: usize,
}

impl Way for At<'_> {
    fn ask_once(&self, request: &Request<'_>) -> anyhow::Result<Answered> {
        self.nodes.send(request, self.number)
    }

    fn ask(&self, request: &Request<'_>, _: Option<usize>) -> anyhow::Result<Answered> {
        self.nodes.insist(request, || self.number)
    }
}
