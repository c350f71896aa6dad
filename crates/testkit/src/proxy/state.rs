//! What the threads of a proxy share: the mode, the connections, the counters, and the one condition variable.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::{Cut, Direction, Mode};

/// How long the acceptor may take to close or to get back its port.
const ACCEPTOR: Duration = Duration::from_secs(30);

/// What went through a proxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that clients made, refused ones excepted.
    pub accepted: u64,
    /// Those of them that are there now.
    pub open: u64,
    /// Bytes that were passed on to the server.
    pub bytes_up: u64,
    /// Bytes that were passed on to the client.
    pub bytes_down: u64,
    /// Bytes that were swallowed, either way.
    pub bytes_dropped: u64,
    /// Connections that were cut at a pattern.
    pub cuts: u64,
}

/// Whether the port is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Open,
    Closed,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    upstream: String,
    port: Port,
    closing: bool,
    connections: HashMap<u64, Arc<Connection>>,
    counters: Counters,
}

/// What is to be done with a piece of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Forward,
    Swallow,
    /// So many bytes go on, then the connection is closed.
    CutAfter(usize),
    /// The connection is no more.
    End,
}

/// What the acceptor is to do with a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Serve,
    Reset,
    /// Close the port, too.
    Refuse,
    /// The proxy ends.
    Close,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub fn new(upstream: &str) -> Self {
        let state = State {
            mode: Mode::Pass,
            upstream: upstream.to_owned(),
            port: Port::Open,
            closing: false,
            connections: HashMap::new(),
            counters: Counters::default(),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Sets the mode, and waits until the port is as it demands.
    pub fn set(&self, mode: Mode, wake_acceptor: impl FnOnce()) {
        let port = if mode == Mode::Refuse { Port::Closed } else { Port::Open };
        {
            let mut state = self.lock();
            match mode {
                Mode::Reset => state.reset_connections(|_| true),
                _ => state.reset_connections(Connection::has_a_hole),
            }
            state.mode = mode;
            self.changed.notify_all();
            if state.port == port {
                return;
            }
        }
        if port == Port::Closed {
            wake_acceptor();
        }
        let waiting = |state: &mut State| state.port != port;
        let (_state, timeout) = self
            .changed
            .wait_timeout_while(self.lock(), ACCEPTOR, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "the proxy's port is not {port:?} in time");
    }

    pub fn redirect(&self, upstream: &str) {
        self.lock().upstream = upstream.to_owned();
    }

    pub fn reset_connections(&self) {
        self.lock().reset_connections(|_| true);
        self.changed.notify_all();
    }

    /// Ends everything.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        state.reset_connections(|_| true);
        self.changed.notify_all();
    }

    pub fn counters(&self) -> Counters {
        self.lock().counters
    }

    pub fn wait_until(&self, limit: Duration, mut reached: impl FnMut(&Counters) -> bool) -> bool {
        let waiting = |state: &mut State| !reached(&state.counters);
        let waited = self.changed.wait_timeout_while(self.lock(), limit, waiting);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Counts something.
    pub fn count(&self, add: impl FnOnce(&mut Counters)) {
        add(&mut self.lock().counters);
        self.changed.notify_all();
    }

    pub fn admission(&self) -> Admission {
        let state = self.lock();
        match state.mode {
            _ if state.closing => Admission::Close,
            Mode::Refuse => Admission::Refuse,
            Mode::Reset => Admission::Reset,
            Mode::Pass | Mode::Freeze | Mode::Drop(_) | Mode::Delay(_) | Mode::CutAt { .. } => Admission::Serve,
        }
    }

    /// Says that the port is closed, and waits until it must be opened again.
    pub fn wait_closed(&self) -> Admission {
        let mut state = self.lock();
        state.port = Port::Closed;
        self.changed.notify_all();
        let closed = |state: &mut State| state.mode == Mode::Refuse && !state.closing;
        let state = self
            .changed
            .wait_while(state, closed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.closing {
            Admission::Close
        } else {
            Admission::Serve
        }
    }

    /// Says that the port is open again.
    pub fn opened(&self) {
        self.lock().port = Port::Open;
        self.changed.notify_all();
    }

    /// Takes a connection in.
    pub fn enter(&self, connection: &Arc<Connection>) {
        let mut state = self.lock();
        state.counters.accepted += 1;
        state.counters.open += 1;
        // The mode may have changed since it was asked for.
        if state.closing || state.mode == Mode::Reset {
            connection.reset();
        }
        state.connections.insert(connection.number, Arc::clone(connection));
        self.changed.notify_all();
    }

    /// Forgets a connection.
    pub fn leave(&self, connection: &Connection) {
        let mut state = self.lock();
        state.connections.remove(&connection.number);
        state.counters.open -= 1;
        self.changed.notify_all();
    }

    /// Where a new connection leads, once nothing is frozen; none when it has been reset meanwhile.
    pub fn upstream(&self, connection: &Connection) -> Option<String> {
        let frozen = |state: &mut State| state.mode == Mode::Freeze && !connection.is_over();
        let state = self
            .changed
            .wait_while(self.lock(), frozen)
            .unwrap_or_else(PoisonError::into_inner);
        (!connection.is_over()).then(|| state.upstream.clone())
    }

    /// Judges a piece of a stream (an empty one is its end), when it is time for it to go on. `before` is what of the
    /// stream may belong to the same pattern, and is kept up to date here.
    #[allow(clippy::disallowed_methods, reason = "a delay is by the machine's clock")]
    pub fn judge(&self, connection: &Connection, direction: Direction, piece: &[u8], before: &mut Vec<u8>) -> Verdict {
        let arrived = Instant::now();
        let mut state = self.lock();
        loop {
            if connection.is_over() {
                return Verdict::End;
            }
            match &state.mode {
                Mode::Freeze => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Mode::Delay(delay) if arrived.elapsed() < *delay => {
                    let rest = delay.saturating_sub(arrived.elapsed());
                    let waited = self.changed.wait_timeout(state, rest);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Mode::Drop(lost) if *lost == direction => {
                    connection.make_hole();
                    return Verdict::Swallow;
                }
                Mode::CutAt {
                    direction: watched,
                    pattern,
                    cut,
                } if *watched == direction => {
                    let Some(keep) = cut_at(before, piece, pattern, *cut) else {
                        return Verdict::Forward;
                    };
                    state.mode = Mode::Pass;
                    return Verdict::CutAfter(keep);
                }
                Mode::Pass | Mode::Delay(_) | Mode::Drop(_) | Mode::CutAt { .. } | Mode::Reset | Mode::Refuse => {
                    before.clear();
                    return Verdict::Forward;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn reset_connections(&mut self, which: impl Fn(&Connection) -> bool) {
        for connection in self.connections.values().filter(|connection| which(connection)) {
            connection.reset();
        }
    }
}

/// How many bytes of `piece` go on when the pattern is complete in it.
fn cut_at(before: &mut Vec<u8>, piece: &[u8], pattern: &[u8], cut: Cut) -> Option<usize> {
    let known = before.len();
    before.extend_from_slice(piece);
    if let Some(start) = before.windows(pattern.len().max(1)).position(|bytes| bytes == pattern) {
        let end = match cut {
            Cut::BeforeForward => start,
            Cut::AfterForward => start + pattern.len(),
        };
        return Some(end.saturating_sub(known));
    }
    let useless = before.len().saturating_sub(pattern.len().saturating_sub(1));
    before.drain(..useless);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_across_pieces_and_cut_on_the_side_that_was_asked_for() {
        for (cut, keep) in [(Cut::BeforeForward, 0), (Cut::AfterForward, 3)] {
            let mut before = Vec::new();
            assert_eq!(cut_at(&mut before, b"xxCOM", b"COMMIT", cut), None);
            assert_eq!(cut_at(&mut before, b"MITyy", b"COMMIT", cut), Some(keep));
        }
        for (cut, keep) in [(Cut::BeforeForward, 2), (Cut::AfterForward, 8)] {
            assert_eq!(cut_at(&mut Vec::new(), b"xxCOMMITyy", b"COMMIT", cut), Some(keep));
        }
    }

    #[test]
    fn no_more_is_kept_than_may_belong_to_the_pattern() {
        let mut before = Vec::new();
        assert_eq!(cut_at(&mut before, &[b'x'; 1000], b"COMMIT", Cut::AfterForward), None);
        assert_eq!(before.len(), 5);
    }
}
