//! Figures for operators, and what the server's settings mean for an acknowledged commit.

use std::time::Duration;

use quintet_core::machine::RunStatus;
use quintet_store::{QueueCount, StoreStatus};
use tokio_postgres::Row;

use crate::codec::{self, get};
use crate::error::Result;
use crate::migrate::SCHEMA;
use crate::session::{COMMIT, Database, Step};
use crate::sql;

/// Counts need every row: the way through an index, which statements are told to take, is the longer one. And it takes
/// its time on a large store.
pub const COUNTING: Step<'static> = Step::Plain(
    "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = on; \
     SET LOCAL statement_timeout = '5min'",
);

pub const PATIENCE: Duration = Duration::from_secs(60);

pub async fn status(database: &Database) -> Result<StoreStatus> {
    let of = |statement| Step::Run(statement, Vec::new());
    let steps = [
        COUNTING,
        of(&sql::RUNS_COUNT),
        of(&sql::QUEUE_COUNT),
        of(&sql::OUTBOX_COUNT),
        of(&sql::STATUS_BYTES),
        of(&sql::STATUS_SETTINGS),
        COMMIT,
    ];
    let answers = database.session().await?.with_patience(PATIENCE).flight(&steps).await?;
    let (queue, messages, bytes) = (answers[2].single()?, answers[3].single()?, answers[4].single()?);
    let settings = Settings::read(answers[5].single()?)?;
    Ok(StoreStatus {
        kind: "postgres".to_owned(),
        schema: SCHEMA,
        durability: settings.durability(),
        warnings: settings.warnings(),
        runs: codec::all(&answers[1].rows, count)?,
        queued: codec::unsigned(queue, 0)?,
        outbox: codec::unsigned(messages, 0)?,
        outbox_dead: codec::unsigned(messages, 1)?,
        bytes: Some(codec::unsigned(bytes, 0)?),
    })
}

/// What waits in the queues of a namespace.
pub async fn queues(database: &Database, namespace: &str) -> Result<Vec<QueueCount>> {
    let within = database.within(namespace);
    let namespace = codec::Text(namespace);
    let counted = within.count(Step::Run(&sql::QUEUE_COUNTS, vec![&namespace])).await?;
    codec::all(&counted.rows, |row| {
        Ok(QueueCount {
            queue: codec::text(row, 0)?,
            waiting: codec::unsigned(row, 1)?,
            oldest: codec::run_id(row, 2)?,
        })
    })
}

fn count(row: &Row) -> Result<(RunStatus, u64)> {
    Ok((codec::status(row, 0)?, codec::unsigned(row, 1)?))
}

/// What decides whether an acknowledged commit can be lost.
#[derive(Debug, Clone)]
struct Settings {
    version: String,
    fsync: String,
    full_page_writes: String,
    synchronous_commit: String,
    synchronous_standbys: String,
    in_recovery: bool,
    standbys: i64,
}

impl Settings {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            version: get(row, 0)?,
            fsync: get(row, 1)?,
            full_page_writes: get(row, 2)?,
            synchronous_commit: get(row, 3)?,
            synchronous_standbys: get(row, 4)?,
            in_recovery: get(row, 5)?,
            standbys: get(row, 6)?,
        })
    }

    fn flushes(&self) -> bool {
        self.fsync == "on" && self.synchronous_commit != "off"
    }

    /// With `local` the primary does not wait for its standbys, whichever are named.
    fn waits_for_standby(&self) -> bool {
        !self.synchronous_standbys.is_empty() && !matches!(&*self.synchronous_commit, "off" | "local")
    }

    fn durability(&self) -> String {
        let Self {
            version,
            fsync,
            full_page_writes,
            synchronous_commit,
            ..
        } = self;
        let settings = format!(
            "PostgreSQL {version}, fsync={fsync}, full_page_writes={full_page_writes}, \
             synchronous_commit={synchronous_commit}"
        );
        let survives = if !self.flushes() {
            "an acknowledged commit survives a crash of Quintet, but not always one of the database or its machine"
        } else if self.waits_for_standby() {
            "each acknowledged commit is flushed to the server's disk and received by a synchronous standby: it survives \
             a crash of the database, of its machine, a power cut, and a fail-over to that standby"
        } else {
            "each acknowledged commit is flushed to the server's disk: it survives a crash of the database, of its \
             machine, and a power cut"
        };
        format!("{settings}: {survives}.")
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |applies: bool, sentence: &str| {
            if applies {
                warnings.push(sentence.to_owned());
            }
        };
        warn(
            self.in_recovery,
            "The PostgreSQL server is a standby and accepts no writes: let database.url lead to the primary.",
        );
        warn(
            self.fsync != "on",
            "PostgreSQL runs with fsync=off: a crash of its machine or a power cut can lose acknowledged steps and \
             damage the database. Set fsync=on.",
        );
        warn(
            self.full_page_writes != "on",
            "PostgreSQL runs with full_page_writes=off: a power cut can damage the database unless the file system \
             never writes half a page. Set full_page_writes=on.",
        );
        warn(
            self.synchronous_commit == "off",
            "PostgreSQL runs with synchronous_commit=off: a crash of the database can lose the steps acknowledged \
             during the last moments before it. Set synchronous_commit=on.",
        );
        warn(
            self.standbys > 0 && !self.waits_for_standby(),
            "PostgreSQL has a standby and does not wait for it: a fail-over to it can lose the newest acknowledged \
             steps. Name it in synchronous_standby_names, with synchronous_commit=on.",
        );
        warn(
            self.waits_for_standby() && self.synchronous_commit == "remote_write",
            "PostgreSQL runs with synchronous_commit=remote_write: a fail-over right after a crash of the standby's \
             machine can lose the newest acknowledged steps. Set synchronous_commit=on.",
        );
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings = Settings {
            version: "15.18".to_owned(),
            fsync: "on".to_owned(),
            full_page_writes: "on".to_owned(),
            synchronous_commit: "on".to_owned(),
            synchronous_standbys: String::new(),
            in_recovery: false,
            standbys: 0,
        };
        change(&mut settings);
        settings
    }

    fn warning(change: impl FnOnce(&mut Settings)) -> String {
        let mut warnings = settings(change).warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        warnings.remove(0)
    }

    #[test]
    fn the_usual_settings_need_no_warning() {
        let usual = settings(|_| ());
        assert!(usual.warnings().is_empty());
        assert!(usual.durability().contains("power cut") && usual.durability().ends_with('.'));
    }

    #[test]
    fn each_setting_that_can_lose_a_step_is_named_with_its_remedy() {
        assert!(warning(|s| s.fsync = "off".into()).contains("Set fsync=on"));
        assert!(warning(|s| s.full_page_writes = "off".into()).contains("Set full_page_writes=on"));
        assert!(warning(|s| s.synchronous_commit = "off".into()).contains("Set synchronous_commit=on"));
        assert!(warning(|s| s.standbys = 1).contains("fail-over"));
        assert!(warning(|s| s.in_recovery = true).contains("primary"));
        let local = warning(|s| {
            s.standbys = 1;
            s.synchronous_standbys = "*".into();
            s.synchronous_commit = "local".into();
        });
        assert!(local.contains("fail-over"), "{local}");
        assert!(settings(|s| s.fsync = "off".into()).durability().contains("not always"));
    }

    #[test]
    fn a_synchronous_standby_survives_a_fail_over() {
        let waiting = settings(|s| {
            s.standbys = 1;
            s.synchronous_standbys = "*".into();
        });
        assert!(waiting.warnings().is_empty());
        assert!(waiting.durability().contains("fail-over"));
    }
}
