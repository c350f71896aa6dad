//! The connections for one user and database.
//!
//! The one that has been idle the longest is lent first, but never the one that the session had last, if any other is
//! free or can be opened.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;

use super::backend::Backend;
use super::lock;

/// How long a session waits for a connection.
const WAIT: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(super) struct Pool {
    upstream: String,
    user: String,
    database: String,
    size: usize,
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: VecDeque<Arc<Backend>>,
    /// Idle, lent and being opened.
    count: usize,
    opened: u64,
    closed: bool,
}

impl Pool {
    pub fn new(upstream: &str, user: &str, database: &str, size: usize) -> Self {
        Self {
            upstream: upstream.to_owned(),
            user: user.to_owned(),
            database: database.to_owned(),
            size,
            state: Mutex::default(),
            released: Condvar::new(),
        }
    }

    /// A connection for a session; another than `last`, if that is possible without waiting.
    pub fn acquire(self: &Arc<Self>, last: Option<u64>) -> anyhow::Result<Arc<Backend>> {
        let mut state = lock(&self.state);
        loop {
            let another = state.idle.iter().position(|backend| Some(backend.number) != last);
            if let Some(backend) = another.and_then(|at| state.idle.remove(at)) {
                return Ok(backend);
            }
            if state.count < self.size {
                state.count += 1;
                state.opened += 1;
                let number = state.opened;
                drop(state);
                return self.open(number);
            }
            if let Some(backend) = state.idle.pop_front() {
                return Ok(backend);
            }
            let waited = self.released.wait_timeout(state, WAIT);
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                bail!("query_wait_timeout");
            }
            state = next;
        }
    }

    fn open(self: &Arc<Self>, number: u64) -> anyhow::Result<Arc<Backend>> {
        match Backend::open(&self.upstream, &self.user, &self.database, number) {
            Ok(backend) => {
                let backend = Arc::new(backend);
                let (pool, listener) = (Arc::clone(self), Arc::clone(&backend));
                std::thread::spawn(move || listener.listen(&pool));
                Ok(backend)
            }
            Err(error) => {
                lock(&self.state).count -= 1;
                self.released.notify_all();
                Err(error)
            }
        }
    }

    /// Takes a connection back that is in no transaction.
    pub fn release(&self, backend: &Arc<Backend>) {
        let mut state = lock(&self.state);
        if state.closed {
            backend.end();
        }
        // One that has hung up meanwhile was forgotten, or will be as soon as the state is free.
        if !backend.is_gone() {
            state.idle.push_back(Arc::clone(backend));
        }
        self.released.notify_all();
    }

    /// Knows that a connection has ended.
    pub fn forget(&self, backend: &Backend) {
        let mut state = lock(&self.state);
        state.count -= 1;
        state.idle.retain(|idle| idle.number != backend.number);
        self.released.notify_all();
    }

    /// Ends what is idle now, and what comes back later.
    pub fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        for backend in &state.idle {
            backend.end();
        }
    }
}
