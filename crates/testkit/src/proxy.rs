//! A TCP proxy that misbehaves on command, to be put between a client and its server.
//!
//! What it can do is what networks and the death of machines do: nothing more arrives and nobody says so
//! ([`Mode::Freeze`]), one direction is lost ([`Mode::Drop`]), a connection is reset, a port is closed, an answer is lost
//! after the deed ([`Mode::CutAt`]). It knows no protocol, so it serves any. A mode holds for the connections that are
//! there and for new ones, until the next one is set; when [`Proxy::set`] returns, it holds.
//!
//! Blocking threads, two for each connection: a reader is woken by closing its side of the socket, and everything that
//! waits for a mode to change waits on one condition variable.

mod accept;
mod connection;
mod state;

use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use state::Counters;
use state::Shared;

use crate::port;

/// A way that bytes take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// On which side of the pattern the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The pattern does not arrive.
    BeforeForward,
    /// The pattern arrives, and nothing that comes after it.
    AfterForward,
}

/// What is done to the traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Everything arrives.
    Pass,
    /// Nothing arrives, an end of a connection neither. New connections are taken and hang. What was held back arrives
    /// afterwards.
    Freeze,
    /// What goes this way is swallowed. A connection that lost something is reset when the next mode is set, because
    /// a stream with a hole is something that TCP never delivers.
    Drop(Direction),
    /// Each piece arrives this much later: latency to a dialogue, and a low rate to a stream.
    Delay(Duration),
    /// All connections are reset, and new ones as soon as they are made.
    Reset,
    /// New connections are refused, as by a machine on which no server runs. Those that are there go on.
    Refuse,
    /// Closes the first connection on which these bytes go this way, and then is [`Mode::Pass`]. They are also
    /// recognised in pieces; of a pattern that came in pieces, the first ones have arrived when the last is kept back.
    CutAt {
        /// The way that is watched.
        direction: Direction,
        /// The bytes to wait for; for instance `COMMIT\0`, the end of PostgreSQL's answer to a commit.
        pattern: Vec<u8>,
        /// Whether they still arrive.
        cut: Cut,
    },
}

/// A running proxy. Dropping it resets its connections and frees its port.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy on a free loopback port, before the server at `upstream` (`host:port`).
    pub fn start(upstream: &str) -> anyhow::Result<Self> {
        // It closes the port to refuse, and must get it back.
        let listener = port::listen()?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(upstream));
        let acceptor = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept::run(&shared, listener, address))
        };
        Ok(Self {
            address: address.to_string(),
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// Where it listens: `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Changes what is done to the traffic.
    pub fn set(&self, mode: Mode) {
        self.shared.set(mode, || self.wake_acceptor());
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        self.set(Mode::Pass);
    }

    /// Resets the connections that are there, and changes nothing for new ones.
    pub fn reset_connections(&self) {
        self.shared.reset_connections();
    }

    /// Leads new connections to another server, as an address does that moves with the primary.
    pub fn redirect(&self, upstream: &str) {
        self.shared.redirect(upstream);
    }

    /// What went through until now.
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Waits for the traffic to reach a point; whether it did within the time.
    pub fn wait_until(&self, limit: Duration, reached: impl FnMut(&Counters) -> bool) -> bool {
        self.shared.wait_until(limit, reached)
    }

    fn wake_acceptor(&self) {
        // A thread that waits for a connection is woken by nothing but one.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.close();
        self.wake_acceptor();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}
