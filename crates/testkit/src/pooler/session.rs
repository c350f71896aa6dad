//! A client's connection: its own startup, and then a loan of a backend for every transaction.
//!
//! The loan ends with a `ReadyForQuery` that says "idle", but only when it answers the last thing that the client asked
//! for: a client may send several `Sync`s before it reads, and then the answers to the later ones must come from the same
//! backend. So each `Sync` and `Query` is noted when it goes up, and struck out when its `ReadyForQuery` comes down; and
//! nothing is returned while there are messages up there that wait for their `Sync`.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context;

use super::backend::Backend;
use super::pool::Pool;
use super::wire::{self, Introduction, Key, Message, read_introduction};
use super::{Shared, lock};

/// The startup parameters that PgBouncer takes without being configured to.
const PARAMETERS: [&str; 7] = [
    "user",
    "database",
    "application_name",
    "client_encoding",
    "datestyle",
    "standard_conforming_strings",
    "timezone",
];

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    socket: TcpStream,
    key: Key,
    loan: Mutex<Loan>,
}

#[derive(Debug, Default)]
struct Loan {
    backend: Option<Arc<Backend>>,
    /// The kinds of messages whose `ReadyForQuery` is still to come.
    awaited: VecDeque<u8>,
    /// Whether a message went up after the last `Sync`, and waits for the next.
    unsynced: bool,
    /// Whether the server reads rows: then it overlooks any `Sync`.
    copying: bool,
    last: Option<u64>,
}

/// Serves a client until it leaves.
pub(super) fn serve(shared: &Shared, socket: TcpStream) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = BufReader::new(socket.try_clone()?);
    let Some(parameters) = introduced(shared, &socket, &mut reader)? else {
        return Ok(());
    };
    let session = Arc::new(Session::new(socket));
    lock(&shared.sessions).insert(session.key.0, Arc::clone(&session));
    let outcome = session.run(shared, &mut reader, &parameters);
    lock(&shared.sessions).remove(&session.key.0);
    session.leave();
    outcome
}

/// The client's startup parameters; none when it only came to cancel something.
fn introduced(
    shared: &Shared,
    mut socket: &TcpStream,
    reader: &mut impl Read,
) -> anyhow::Result<Option<Vec<(String, String)>>> {
    loop {
        match read_introduction(reader)? {
            Introduction::Encryption => socket.write_all(b"N")?,
            Introduction::Startup(parameters) => return Ok(Some(parameters)),
            Introduction::Cancel(key) => {
                let session = lock(&shared.sessions).get(&key.0).cloned();
                let session = session.filter(|session| session.key == key);
                let backend = session.and_then(|session| lock(&session.loan).backend.clone());
                if let Some(backend) = backend {
                    TcpStream::connect(&shared.upstream)?.write_all(&wire::cancel(backend.key))?;
                }
                return Ok(None);
            }
        }
    }
}

impl Session {
    fn new(socket: TcpStream) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let process = COUNT.fetch_add(1, Ordering::Relaxed);
        let secret = RandomState::new().build_hasher().finish() as u32;
        Self {
            socket,
            key: (process, secret),
            loan: Mutex::default(),
        }
    }

    fn run(
        self: &Arc<Self>,
        shared: &Shared,
        reader: &mut impl Read,
        parameters: &[(String, String)],
    ) -> anyhow::Result<()> {
        let unknown = |name: &&String| !PARAMETERS.contains(&name.to_ascii_lowercase().as_str());
        if let Some(name) = parameters.iter().map(|(name, _)| name).find(unknown) {
            self.fail("08P01", &format!("unsupported startup parameter: {name}"));
            return Ok(());
        }
        let value = |wanted: &str| {
            parameters
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value)
        };
        let user = value("user").context("the client names no user")?;
        let pool = shared.pool(user, value("database").unwrap_or(user));
        self.welcome(&pool)?;
        loop {
            let message = Message::read(reader)?;
            if message.kind() == b'X' {
                return Ok(());
            }
            self.backend_for(shared, &pool, &message)?.send(&message)?;
        }
    }

    /// Says what the server would say at the start of a session.
    fn welcome(&self, pool: &Arc<Pool>) -> anyhow::Result<()> {
        let backend = self.acquire(pool, None)?;
        let mut words = Message::new(b'R', &[0; 4]).bytes().to_vec();
        for parameter in &backend.parameters {
            words.extend(parameter.bytes());
        }
        pool.release(&backend);
        words.extend(Message::key(self.key).bytes());
        words.extend(Message::new(b'Z', b"I").bytes());
        Ok((&self.socket).write_all(&words)?)
    }

    /// The backend that a message goes to: the one on loan, or a new loan.
    fn backend_for(
        self: &Arc<Self>,
        shared: &Shared,
        pool: &Arc<Pool>,
        message: &Message,
    ) -> anyhow::Result<Arc<Backend>> {
        let (on_loan, last) = {
            let mut loan = lock(&self.loan);
            // Noted under the same lock as the loan is looked up: it cannot end in between.
            if loan.backend.is_some() {
                loan.note(message.kind());
            }
            (loan.backend.clone(), loan.last)
        };
        if let Some(backend) = on_loan {
            return Ok(backend);
        }
        let backend = self.acquire(pool, last)?;
        shared.transactions.fetch_add(1, Ordering::SeqCst);
        let mut loan = lock(&self.loan);
        loan.note(message.kind());
        loan.backend = Some(Arc::clone(&backend));
        loan.last = Some(backend.number);
        if let Err(error) = backend.lend(self) {
            self.fail("08P01", "server conn crashed?");
            return Err(error);
        }
        Ok(backend)
    }

    fn acquire(&self, pool: &Arc<Pool>, last: Option<u64>) -> anyhow::Result<Arc<Backend>> {
        pool.acquire(last)
            .inspect_err(|error| self.fail("08P01", &format!("{error:#}")))
    }

    /// Passes on what a backend said, and ends the loan when it is over.
    pub fn hear(&self, pool: &Pool, backend: &Arc<Backend>, messages: &[Message]) {
        let mut loan = lock(&self.loan);
        if loan.backend.as_ref().is_none_or(|lent| lent.number != backend.number) {
            return;
        }
        let over = messages
            .iter()
            .fold(false, |over, message| over | loan.answered(message));
        let words: Vec<u8> = messages.iter().flat_map(|message| message.bytes()).copied().collect();
        if !over {
            // Without the lock: a client that sends before it reads must not be kept from sending.
            drop(loan);
            let _ = (&self.socket).write_all(&words);
            return;
        }
        // Under the lock: the client sends its next message only when it has heard this, and must find the loan ended.
        let _ = (&self.socket).write_all(&words);
        loan.backend = None;
        backend.take_back();
        pool.release(backend);
    }

    /// Ends the session with an error.
    pub fn fail(&self, code: &str, text: &str) {
        let _ = (&self.socket).write_all(Message::fatal(code, text).bytes());
        self.end();
    }

    /// Ends the connection.
    pub fn end(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// The client is gone. A backend in the middle of its transaction goes too, as nobody else can end that.
    fn leave(&self) {
        self.end();
        if let Some(backend) = lock(&self.loan).backend.take() {
            backend.take_back();
            backend.end();
        }
    }
}

impl Loan {
    /// Notes what goes up.
    fn note(&mut self, kind: u8) {
        match kind {
            b'Q' | b'F' => self.awaited.push_back(kind),
            b'S' if self.copying => {}
            b'S' => {
                self.awaited.push_back(kind);
                self.unsynced = false;
            }
            b'c' | b'f' => self.copying = false,
            b'd' => {}
            _ => self.unsynced = true,
        }
    }

    /// Strikes out what came down; whether the loan is over.
    fn answered(&mut self, message: &Message) -> bool {
        match message.kind() {
            b'G' => {
                self.copying = true;
                // Sent ahead of the rows, this `Sync` is overlooked; the client sends another after them.
                if self.awaited.front() == Some(&b'S') {
                    self.awaited.pop_front();
                }
            }
            b'E' => self.copying = false,
            b'Z' => {
                self.awaited.pop_front();
                return self.awaited.is_empty() && !self.unsynced && message.payload() == b"I";
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays messages by their letters, `>` what goes up and `<` what comes down; whether the last ended the loan.
    fn ends(script: &str) -> bool {
        let mut loan = Loan::default();
        let mut over = false;
        for word in script.split(' ') {
            let (way, message) = word.split_at(1);
            let kind = message.as_bytes()[0];
            over = match way {
                ">" => {
                    loan.note(kind);
                    false
                }
                _ => loan.answered(&Message::new(kind, &message.as_bytes()[1..])),
            };
        }
        over
    }

    #[test]
    fn a_loan_ends_with_the_answer_to_the_last_question() {
        assert!(ends(">Q <T <D <C <ZI"));
        assert!(ends(">P >B >E >S <1 <2 <C <ZI"));
        assert!(!ends(">P >B >E >S >B >E >S <1 <2 <C <ZI"));
        assert!(ends(">P >B >E >S >B >E >S <1 <2 <C <ZI <2 <C <ZI"));
    }

    #[test]
    fn a_loan_goes_on_in_a_transaction_and_before_a_sync() {
        assert!(!ends(">Q <C <ZT"));
        assert!(!ends(">Q <C <ZE"));
        assert!(!ends(">Q >P >B <C <ZI"));
        assert!(ends(">Q >P >B <C <ZI >E >S <ZI"));
    }

    #[test]
    fn a_sync_that_is_sent_ahead_of_copied_rows_is_answered_once_with_the_one_after_them() {
        assert!(ends(">B >E >S <2 <G >d >d >c >S <C <ZI"));
        assert!(ends(">B >E <2 <G >S >d >c >S <C <ZI"));
        assert!(ends(">Q <G >d >c <C <ZI"));
    }
}
