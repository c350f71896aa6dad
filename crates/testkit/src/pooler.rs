//! An imitation of a connection pooler in transaction mode, as PgBouncer is run before many a PostgreSQL.
//!
//! A client holds a connection of the server only while a transaction of its own is open; the next transaction gets
//! another one, on purpose, as soon as the pool has two. So everything that belongs to a session is visibly lost between
//! transactions, or met again in a stranger's: named prepared statements, `LISTEN`, advisory locks of the session,
//! `SET`. What works through this works through the real ones. Nothing is done to spare the client: statements are not
//! tracked and sessions not cleaned (PgBouncer does not clean them in this mode either).
//!
//! It speaks protocol 3.0, without TLS, to a server that trusts it. Startup parameters that PgBouncer refuses by default
//! it refuses too, in the same words.

mod backend;
mod pool;
mod session;
mod wire;

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::ensure;

use pool::Pool;
use session::Session;

/// A running pooler. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Pooler {
    address: String,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    size: usize,
    /// By user and database.
    pools: Mutex<HashMap<(String, String), Arc<Pool>>>,
    /// By the process id that the client was told.
    sessions: Mutex<HashMap<u32, Arc<Session>>>,
    transactions: AtomicU64,
    closing: AtomicBool,
}

impl Pooler {
    /// Starts a pooler on a free loopback port, before the server at `upstream` (`host:port`), with up to `size`
    /// connections for each user and database.
    pub fn start(upstream: &str, size: usize) -> anyhow::Result<Self> {
        ensure!(
            size >= 2,
            "with one connection, no transaction gets another than the last"
        );
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            size,
            pools: Mutex::default(),
            sessions: Mutex::default(),
            transactions: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept(&shared, &listener))
        };
        Ok(Self {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// Where it listens: `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How often a client was given a connection.
    pub fn transactions(&self) -> u64 {
        self.shared.transactions.load(Ordering::SeqCst)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // A thread that waits for a connection is woken by nothing but one.
        let _ = TcpStream::connect(&self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for session in lock(&self.shared.sessions).values() {
            session.end();
        }
        for pool in lock(&self.shared.pools).values() {
            pool.close();
        }
    }
}

impl Shared {
    fn pool(&self, user: &str, database: &str) -> Arc<Pool> {
        let mut pools = lock(&self.pools);
        let pool = pools
            .entry((user.to_owned(), database.to_owned()))
            .or_insert_with(|| Arc::new(Pool::new(&self.upstream, user, database, self.size)));
        Arc::clone(pool)
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for stream in listener.incoming() {
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A client that leaves in the middle is an everyday event, and no one is here to be told of it.
            let _ = session::serve(&shared, stream);
        });
    }
}

/// No thread leaves a half-done change behind when it panics, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
