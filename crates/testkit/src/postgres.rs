//! PostgreSQL for tests: private clusters from the installed programs, and fresh databases in them.
//!
//! A [`Cluster`] is a server of the test's own, to be stopped, killed, promoted and thrown away. Most tests need no
//! server of their own but only an empty [`Database`]; those take it from the [`shared`] one. What holds for all of
//! them: a cluster listens on loopback only, trusts whoever reaches it, belongs to a user who is not root, and never
//! outlives the process that started it, not even when that is killed (`supervisor.rs`).

mod cluster;
mod home;
mod installation;
mod psql;
mod server;
mod standby;
mod supervisor;
mod template;

use std::sync::OnceLock;

use anyhow::anyhow;

pub use cluster::{Cluster, Durability, Options};
pub use installation::{PROGRAMS_VARIABLE, program_dir};
pub use server::{Database, Server};
pub use standby::Replication;

/// The environment variable with the base URL (`postgres://user@host:port`, no database) of a server for all tests.
pub const SHARED_VARIABLE: &str = "QUINTET_TEST_POSTGRES";

/// The server for tests that need no one of their own: the one that [`SHARED_VARIABLE`] names, or else one that this
/// process starts at the first call and that ends with the process.
pub fn shared() -> anyhow::Result<&'static Server> {
    static SHARED: OnceLock<Result<(Server, Option<Cluster>), String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| found_or_started().map_err(|error| format!("{error:#}")));
    match shared {
        Ok((server, _)) => Ok(server),
        Err(message) => Err(anyhow!("there is no PostgreSQL for the tests: {message}")),
    }
}

fn found_or_started() -> anyhow::Result<(Server, Option<Cluster>)> {
    if let Ok(url) = std::env::var(SHARED_VARIABLE) {
        return Ok((Server::at(&url)?, None));
    }
    // A static is never dropped: this one ends when its supervisor sees that the process has.
    let cluster = Cluster::start(&Options::default())?;
    Ok(((*cluster).clone(), Some(cluster)))
}
