//! A connection of the pooler to the server, lent to one session at a time.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, bail, ensure};

use super::lock;
use super::pool::Pool;
use super::session::Session;
use super::wire::{self, Key, Message};

/// See the module.
#[derive(Debug)]
pub(super) struct Backend {
    pub number: u64,
    socket: TcpStream,
    /// What the server wants to hear when a query here is to be cancelled.
    pub key: Key,
    /// What the server said of its settings.
    pub parameters: Vec<Message>,
    holder: Mutex<Option<Arc<Session>>>,
    gone: AtomicBool,
}

impl Backend {
    /// Opens a session at the server.
    pub fn open(upstream: &str, user: &str, database: &str, number: u64) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(upstream)?;
        socket.set_nodelay(true)?;
        let parameters = [
            ("user", user),
            ("database", database),
            ("application_name", "pooler"),
            ("client_encoding", "UTF8"),
        ];
        (&socket).write_all(&wire::startup(&parameters))?;
        let (mut key, mut parameters) = (None, Vec::new());
        loop {
            let message = Message::read(&mut &socket)?;
            match message.kind() {
                b'R' if message.payload() == [0; 4] => {}
                b'R' => bail!("the server wants a password"),
                b'S' => parameters.push(message),
                b'K' => key = message.told_key(),
                b'Z' => break,
                b'E' => bail!("{}", String::from_utf8_lossy(message.payload()).replace('\0', " ")),
                _ => {}
            }
        }
        Ok(Self {
            number,
            socket,
            key: key.context("the server told no key")?,
            parameters,
            holder: Mutex::default(),
            gone: AtomicBool::new(false),
        })
    }

    /// Lends it: what the server says from now on is for this session. An error when the server has hung up.
    pub fn lend(&self, session: &Arc<Session>) -> anyhow::Result<()> {
        *lock(&self.holder) = Some(Arc::clone(session));
        // Looked at afterwards: who hangs up later finds the session, and tells it.
        ensure!(!self.is_gone(), "the server hung up");
        Ok(())
    }

    /// Whether the server has hung up.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// Takes it back: what the server says now is for nobody.
    pub fn take_back(&self) {
        *lock(&self.holder) = None;
    }

    pub fn send(&self, message: &Message) -> std::io::Result<()> {
        (&self.socket).write_all(message.bytes())
    }

    /// Ends the server's session, and whatever transaction it was in.
    pub fn end(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Carries what the server says to whoever holds this, until the server has no more to say.
    pub fn listen(self: &Arc<Self>, pool: &Pool) {
        let mut reader = BufReader::new(&self.socket);
        while let Some(messages) = next_messages(&mut reader) {
            let holder = lock(&self.holder).clone();
            if let Some(session) = holder {
                session.hear(pool, self, &messages);
            }
        }
        self.gone.store(true, Ordering::SeqCst);
        pool.forget(self);
        if let Some(session) = lock(&self.holder).take() {
            session.fail("08P01", "server conn crashed?");
        }
    }
}

/// The next message, and those that have arrived with it, up to one that may end the loan.
fn next_messages(reader: &mut BufReader<impl Read>) -> Option<Vec<Message>> {
    let mut messages = vec![Message::read(reader).ok()?];
    while messages.last().is_some_and(|last| last.kind() != b'Z') && !reader.buffer().is_empty() {
        messages.push(Message::read(reader).ok()?);
    }
    Some(messages)
}
