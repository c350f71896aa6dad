//! A streaming standby, to be promoted when its primary is gone.
//!
//! It has a replication slot at the primary, so that the primary keeps the log that a stopped standby still needs.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::cluster::Cluster;
use super::home;
use super::installation::output;
use crate::{patience, port};

/// How long a standby may take to follow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a commit at the primary waits for the standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// It does not: what was committed last can be lost in a fail-over.
    Asynchronous,
    /// It does, until the standby has written it: while the standby is down, commits hang.
    Synchronous,
}

impl Cluster {
    /// Makes a standby of this cluster; it follows when this returns.
    pub fn standby(&self, replication: Replication) -> anyhow::Result<Self> {
        let home = home::create(&self.installation, self.durability)?;
        let name = self.base_backup(&home.path().join("data"))?;
        // The backup has the primary's own settings too: the standby, once promoted, waits for nobody.
        home::append(
            &home.path().join("data/postgresql.auto.conf"),
            &[("synchronous_standby_names", "")],
        )?;
        let standby = Self::start_in(self.installation.clone(), home, self.durability, port::free)?;
        if replication == Replication::Synchronous {
            let names = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'; SELECT pg_reload_conf()");
            self.psql("postgres", &names)?;
        }
        self.wait_until_followed(&name, replication)?;
        Ok(standby)
    }

    /// Makes a standby the primary of its own; it takes writes when this returns.
    pub fn promote(&mut self) -> anyhow::Result<()> {
        let promoted = self.psql("postgres", "SELECT pg_promote(true, 60)")?;
        ensure!(promoted == "t", "the standby did not become a primary within a minute");
        Ok(())
    }

    /// Copies the data, with the settings to follow this cluster; the name under which the copy will.
    fn base_backup(&self, data: &Path) -> anyhow::Result<String> {
        let slots = self.psql("postgres", "SELECT count(*) FROM pg_replication_slots")?;
        let name = format!("standby_{slots}");
        let mut backup = self.installation.command(self.installation.program("pg_basebackup"));
        backup.arg("--pgdata").arg(data);
        backup
            .arg("--dbname")
            .arg(format!("{}?application_name={name}", self.url("postgres")));
        backup.args([
            "--checkpoint=fast",
            "--wal-method=stream",
            "--write-recovery-conf",
            "--no-sync",
        ]);
        output(backup.args(["--create-slot", "--slot", &name]))?;
        Ok(name)
    }

    fn wait_until_followed(&self, name: &str, replication: Replication) -> anyhow::Result<()> {
        let wanted = match replication {
            Replication::Asynchronous => "async",
            Replication::Synchronous => "sync",
        };
        let question = format!(
            "SELECT sync_state FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'"
        );
        let follows = || self.psql("postgres", &question).is_ok_and(|state| state == wanted);
        ensure!(
            patience::until(PATIENCE, follows),
            "the standby does not follow after {PATIENCE:?}"
        );
        Ok(())
    }
}
