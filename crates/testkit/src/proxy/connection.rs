//! One connection through the proxy: a client's socket, a server's, and a thread for each direction.
//!
//! An end of one side is passed on to the other as what it was: a half-close as a half-close, a reset as a reset. A
//! reset needs the linger time of zero, and that both sockets are closed, which they are when both threads are done.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socket2::SockRef;

use super::Direction;
use super::state::{Shared, Verdict};

/// How often a writer whose peer does not read looks whether its connection is over.
const LOOK: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    pub number: u64,
    client: TcpStream,
    server: OnceLock<TcpStream>,
    over: AtomicBool,
    hole: AtomicBool,
}

impl Connection {
    pub fn new(number: u64, client: TcpStream) -> Self {
        Self {
            number,
            client,
            server: OnceLock::new(),
            over: AtomicBool::new(false),
            hole: AtomicBool::new(false),
        }
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub fn has_a_hole(&self) -> bool {
        self.hole.load(Ordering::SeqCst)
    }

    pub fn make_hole(&self) {
        self.hole.store(true, Ordering::SeqCst);
    }

    /// Ends it with a reset on both sides.
    pub fn reset(&self) {
        for socket in self.sockets() {
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
        // Only the reading side: to close the writing one would say a polite good-bye before the reset.
        self.end(Shutdown::Read);
    }

    /// Ends it with a good-bye; what was written arrives.
    fn close(&self) {
        self.end(Shutdown::Both);
    }

    fn end(&self, how: Shutdown) {
        self.over.store(true, Ordering::SeqCst);
        for socket in self.sockets() {
            let _ = socket.shutdown(how);
        }
    }

    fn sockets(&self) -> impl Iterator<Item = &TcpStream> {
        std::iter::once(&self.client).chain(self.server.get())
    }
}

/// Carries a connection until it ends.
pub(super) fn serve(shared: &Shared, connection: Connection) {
    let connection = Arc::new(connection);
    shared.enter(&connection);
    if open(shared, &connection).is_none() {
        connection.reset();
    }
    if let Some(server) = connection.server.get() {
        let client = &connection.client;
        std::thread::scope(|scope| {
            scope.spawn(|| carry(shared, &connection, Direction::Up, client, server));
            carry(shared, &connection, Direction::Down, server, client);
        });
    }
    shared.leave(&connection);
}

fn open(shared: &Shared, connection: &Connection) -> Option<()> {
    let server = TcpStream::connect(shared.upstream(connection)?).ok()?;
    for socket in [&server, &connection.client] {
        socket.set_nodelay(true).ok()?;
        socket.set_write_timeout(Some(LOOK)).ok()?;
    }
    connection.server.set(server).ok()?;
    // Who reset it before the server's socket was known did not close that one.
    (!connection.is_over()).then_some(())
}

fn carry(shared: &Shared, connection: &Connection, direction: Direction, mut from: &TcpStream, to: &TcpStream) {
    let mut buffer = [0; 16 * 1024];
    let mut before = Vec::new();
    loop {
        let (read, failed) = match from.read(&mut buffer) {
            Ok(read) => (read, false),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => (0, true),
        };
        let piece = &buffer[..read];
        let done = match shared.judge(connection, direction, piece, &mut before) {
            Verdict::End => return,
            Verdict::Swallow => {
                shared.count(|counters| counters.bytes_dropped += read as u64);
                Ok(())
            }
            Verdict::CutAfter(keep) => {
                let _ = write(shared, connection, direction, to, &piece[..keep]);
                connection.close();
                return shared.count(|counters| counters.cuts += 1);
            }
            Verdict::Forward if failed => Err(ErrorKind::ConnectionReset.into()),
            Verdict::Forward if read == 0 => to.shutdown(Shutdown::Write),
            Verdict::Forward => write(shared, connection, direction, to, piece),
        };
        if done.is_err() {
            return connection.reset();
        }
        if read == 0 {
            return;
        }
    }
}

/// Writes a piece, and gives up when the connection is over.
fn write(
    shared: &Shared,
    connection: &Connection,
    direction: Direction,
    mut to: &TcpStream,
    piece: &[u8],
) -> std::io::Result<()> {
    let mut rest = piece;
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(written) => {
                rest = &rest[written..];
                shared.count(|counters| match direction {
                    Direction::Up => counters.bytes_up += written as u64,
                    Direction::Down => counters.bytes_down += written as u64,
                });
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                if connection.is_over() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
