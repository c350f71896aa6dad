//! A server, whoever owns it, and databases for tests in it.
//!
//! Every test has a database of its own, so that tests may run side by side and none sees what another left. The cheap
//! way to a prepared one is a template: [`Server::template`] prepares it once for all test processes, and
//! [`Server::create_from`] copies it, which PostgreSQL does by files.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, ensure};

use super::{psql, template};

/// The database that every server has; statements about databases are made from there.
const MAINTENANCE: &str = "postgres";

/// A server that can be reached.
#[derive(Debug, Clone)]
pub struct Server {
    base: String,
}

impl Server {
    /// The server at a base URL: `postgres://user@host:port`.
    pub fn at(base: &str) -> anyhow::Result<Self> {
        let base = base.trim_end_matches('/');
        let rest = base
            .strip_prefix("postgres://")
            .or_else(|| base.strip_prefix("postgresql://"))
            .with_context(|| format!("{base} does not begin with postgres://"))?;
        ensure!(
            !rest.contains(['/', '?']),
            "{base} must end with the port: the database is added to it"
        );
        Ok(Self { base: base.to_owned() })
    }

    /// The URL without a database.
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.base)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        let rest = self.base.split_once("://").map_or("", |(_, rest)| rest);
        rest.rsplit_once('@').map_or(rest, |(_, address)| address)
    }

    /// The same server, reached by another address: that of a proxy or a pooler before it.
    pub fn through(&self, address: &str) -> Self {
        let user = self.base.split_once(self.address()).map_or("", |(user, _)| user);
        Self {
            base: format!("{user}{address}"),
        }
    }

    /// Runs statements with `psql`, each in a transaction of its own, up to the first that fails. The rows come back one
    /// a line, their columns parted by `|`.
    pub fn psql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        psql::run(&self.url(database), sql)
    }

    /// An empty database with a name that no other has.
    pub fn fresh_database(&self) -> anyhow::Result<Database> {
        self.create_database(&unique_name())
    }

    /// An empty database.
    pub fn create_database(&self, name: &str) -> anyhow::Result<Database> {
        // Not `template1`: a session in it, whosoever, would keep it from being copied.
        self.copy_database("template0", name)
    }

    /// A copy of a database to which nobody is connected, with a name that no other has.
    pub fn create_from(&self, template: &str) -> anyhow::Result<Database> {
        self.copy_database(template, &unique_name())
    }

    /// Prepares a database once, for all processes that ask this server for one of this name, and gives the name back.
    /// The name should change with what is prepared (a digest of the migrations, say). `prepare` is given the URL, and
    /// must have closed its connections when it returns.
    pub fn template(&self, name: &str, prepare: impl FnOnce(&str) -> anyhow::Result<()>) -> anyhow::Result<String> {
        check_name(name)?;
        let _lock = template::lock(&format!("database-{name}"))?;
        let exists = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
        if self.psql(MAINTENANCE, &exists)? == "0" {
            let unfinished = format!("{name}_unfinished");
            self.psql(
                MAINTENANCE,
                &format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"),
            )?;
            self.psql(MAINTENANCE, &format!("CREATE DATABASE {unfinished} TEMPLATE template0"))?;
            prepare(&self.url(&unfinished))?;
            self.psql(MAINTENANCE, &format!("ALTER DATABASE {unfinished} RENAME TO {name}"))?;
        }
        Ok(name.to_owned())
    }

    fn copy_database(&self, template: &str, name: &str) -> anyhow::Result<Database> {
        check_name(name)?;
        check_name(template)?;
        self.psql(MAINTENANCE, &format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
        Ok(Database {
            server: self.clone(),
            name: name.to_owned(),
        })
    }
}

/// A database of a test; dropped with the value, whoever is still connected.
#[derive(Debug)]
pub struct Database {
    server: Server,
    name: String,
}

impl Database {
    /// Its URL.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Its URL by another address of the server: that of a proxy or a pooler before it.
    pub fn url_through(&self, address: &str) -> String {
        self.server.through(address).url(&self.name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs statements in it; see [`Server::psql`].
    pub fn psql(&self, sql: &str) -> anyhow::Result<String> {
        self.server.psql(&self.name, sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The server may be gone already, and the database with it.
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let _ = self.server.psql(MAINTENANCE, &drop);
    }
}

/// Names go into statements and URLs as they are.
fn check_name(name: &str) -> anyhow::Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    ensure!(
        !name.is_empty() && name.len() < 52 && name.bytes().all(plain),
        "a test's database is named by up to 51 of a-z, 0-9 and _, which {name:?} is not"
    );
    Ok(())
}

/// Unique among the processes that share a server, also when process ids come round again.
fn unique_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let chance = RandomState::new().build_hasher().finish() & 0xffff_ffff;
    format!("test_{}_{count}_{chance:08x}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_gives_databases_and_the_address() {
        let server = Server::at("postgres://postgres@127.0.0.1:5433/").unwrap();
        assert_eq!(server.url("a"), "postgres://postgres@127.0.0.1:5433/a");
        assert_eq!(server.address(), "127.0.0.1:5433");
        assert_eq!(server.through("h:1").base_url(), "postgres://postgres@h:1");
    }

    #[test]
    fn a_base_url_with_a_database_is_refused() {
        for wrong in ["postgres://h:1/db", "postgres://h:1?sslmode=off", "mysql://h:1"] {
            assert!(Server::at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_that_need_quotes_are_refused() {
        for wrong in ["", "a b", "A", "a\"; DROP DATABASE b"] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
        check_name(&unique_name()).unwrap();
    }
}
