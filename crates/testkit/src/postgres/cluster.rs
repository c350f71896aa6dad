//! A server of our own, from start to crash to start.
//!
//! Everything of it lies in one temporary folder: `data`, the socket and `server.log`. The port stays the same over all
//! restarts. Settings are lines at the end of `postgresql.conf`, so that `ALTER SYSTEM` in a test still goes before them.

use std::ops::Deref;
use std::path::Path;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use super::home;
use super::installation::Installation;
use super::server::Server;
use super::supervisor::{Signal, Supervisor};
use super::template;
use crate::port;

/// What PostgreSQL does for the case that the machine loses power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing (`fsync` off). What was committed still survives every death of processes, which is all that most
    /// tests inflict.
    Fast,
    /// What PostgreSQL does by default.
    Default,
}

/// How a cluster is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether it waits for the disk.
    pub durability: Durability,
    /// Settings by their names in `postgresql.conf`, with bare values.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self::new(Durability::Fast)
    }
}

impl Options {
    /// No settings besides the durability.
    pub fn new(durability: Durability) -> Self {
        Self {
            durability,
            settings: Vec::new(),
        }
    }

    /// Adds a setting.
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }
}

#[derive(Debug)]
enum Life {
    Running(Supervisor),
    Stopped,
    /// Its shared memory is still there, and found only by the next postmaster.
    Killed,
}

/// A private cluster; it also is the [`Server`] that runs there. Dropping it stops the server at once and removes
/// everything.
#[derive(Debug)]
pub struct Cluster {
    /// Before `home`, which must be removed last.
    life: Life,
    pub(super) durability: Durability,
    pub(super) server: Server,
    pub(super) installation: Installation,
    pub(super) home: TempDir,
}

impl Deref for Cluster {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Cluster {
    /// Starts a new cluster on a free loopback port.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let installation = Installation::find()?;
        let home = home::create(&installation, options.durability)?;
        template::copy_to(&installation, &home.path().join("data"))?;
        let mut settings = Vec::new();
        if options.durability == Durability::Fast {
            // Not `synchronous_commit`: without it a commit could be lost with a process alone.
            // The log's size is for the memory that it may lie in.
            settings.extend([("fsync", "off"), ("full_page_writes", "off"), ("max_wal_size", "256MB")]);
        }
        settings.extend(
            options
                .settings
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        home::append(&home.path().join("data/postgresql.conf"), &settings)?;
        Self::start_in(installation, home, options.durability, port::free)
    }

    /// Starts on a prepared `data` folder.
    pub(super) fn start_in(
        installation: Installation,
        home: TempDir,
        durability: Durability,
        mut free_port: impl FnMut() -> anyhow::Result<u16>,
    ) -> anyhow::Result<Self> {
        // Another process may take the port before the server does: then the next one is tried.
        const TRIES: u32 = 5;
        let mut tried = 1;
        loop {
            let port = free_port()?;
            let settings = [
                ("listen_addresses", "127.0.0.1"),
                ("port", &port.to_string()),
                ("unix_socket_directories", &home.path().to_string_lossy()),
            ];
            home::append(&home.path().join("data/postgresql.conf"), &settings)?;
            let failure = match Supervisor::start(&installation, home.path()) {
                Ok(supervisor) => {
                    return Ok(Self {
                        life: Life::Running(supervisor),
                        durability,
                        server: Server::at(&format!("postgres://postgres@127.0.0.1:{port}"))?,
                        installation,
                        home,
                    });
                }
                Err(failure) => failure.context(log_of(home.path())),
            };
            ensure!(
                tried < TRIES && log_of(home.path()).contains("Address already in use"),
                failure
            );
            tried += 1;
        }
    }

    /// Stops it in good order: sessions are ended, everything is written.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.end(Signal::Int)
    }

    /// Stops it as a crash does, but tidily for the processes (`pg_ctl stop -m immediate`).
    pub fn stop_immediate(&mut self) -> anyhow::Result<()> {
        self.end(Signal::Quit)
    }

    /// Kills the postmaster with SIGKILL, and waits for its backends to find out.
    pub fn kill_postmaster(&mut self) -> anyhow::Result<()> {
        self.end(Signal::Kill)
    }

    /// Starts it again on the same port, once it has been stopped or killed.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.pid().is_none(), "the cluster runs already");
        let supervisor = Supervisor::start(&self.installation, self.home.path()).with_context(|| self.log())?;
        self.life = Life::Running(supervisor);
        Ok(())
    }

    /// A crash and the recovery from it: an immediate stop, and a start on the same port.
    pub fn restart_immediate(&mut self) -> anyhow::Result<()> {
        self.stop_immediate()?;
        self.start_again()
    }

    /// Process id of the postmaster, while it runs.
    pub fn pid(&self) -> Option<u32> {
        match &self.life {
            Life::Running(supervisor) => Some(supervisor.pid),
            Life::Stopped | Life::Killed => None,
        }
    }

    /// What the server has written to its log.
    pub fn log(&self) -> String {
        log_of(self.home.path())
    }

    fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        ensure!(self.pid().is_some(), "the cluster does not run");
        let after = match signal {
            Signal::Kill => Life::Killed,
            Signal::Int | Signal::Quit => Life::Stopped,
        };
        match std::mem::replace(&mut self.life, after) {
            Life::Running(supervisor) => supervisor.end(signal).with_context(|| self.log()),
            Life::Stopped | Life::Killed => Ok(()),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if matches!(self.life, Life::Killed) {
            let _ = self.start_again();
        }
        let _ = self.end(Signal::Quit);
    }
}

fn log_of(home: &Path) -> String {
    std::fs::read_to_string(home.join("server.log")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_was_taken_meanwhile_is_given_up_for_another() {
        let installation = Installation::find().unwrap();
        let home = home::create(&installation, Durability::Fast).unwrap();
        template::copy_to(&installation, &home.path().join("data")).unwrap();
        let holder = port::listen().unwrap();
        let taken = holder.local_addr().unwrap().port();
        let mut drawn = [port::free().unwrap(), taken].to_vec();
        let cluster = Cluster::start_in(installation, home, Durability::Fast, || Ok(drawn.pop().unwrap())).unwrap();
        assert_ne!(cluster.address(), format!("127.0.0.1:{taken}"));
        assert_eq!(cluster.psql("postgres", "SELECT 1").unwrap(), "1");
    }

    #[test]
    fn a_server_that_does_not_start_tells_why() {
        let error = Cluster::start(&Options::default().set("max_connections", "many")).unwrap_err();
        assert!(
            format!("{error:#}").contains("invalid value for parameter \"max_connections\""),
            "{error:#}"
        );
    }
}
