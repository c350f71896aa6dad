//! What the disk can do, so that figures of Quintet can be read against the limit of the machine.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use quintet_store::StoreError;
use rusqlite::params;

use crate::connect::{self, Synchronous};
use crate::error::Result;

/// Medians, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Appending 4 KiB to a file and flushing its data.
    pub fdatasync_us_p50: u64,
    /// One SQLite transaction of one update and one insert, in WAL mode with `synchronous=FULL`.
    pub commit_us_p50: u64,
}

/// Measures in `dir`, in files of its own that are removed afterwards. Takes some `iterations` flushes, so it is not
/// for async threads.
///
/// # Errors
/// [`StoreError::Unavailable`] or [`StoreError::Full`] when `dir` cannot be written to.
pub fn probe(dir: &Path, iterations: u32) -> Result<Probe, StoreError> {
    let unavailable = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", dir.display()));
    let place = dir.join(format!("quintet-probe-{}", std::process::id()));
    std::fs::create_dir(&place).map_err(unavailable)?;
    let measured = measure_fsync(&place.join("append"), iterations)
        .map_err(unavailable)
        .and_then(|fdatasync_us_p50| {
            let commit_us_p50 = measure_commit(&place.join("probe.db"), iterations)?;
            Ok(Probe {
                fdatasync_us_p50,
                commit_us_p50,
            })
        });
    std::fs::remove_dir_all(&place).map_err(unavailable)?;
    measured
}

fn measure_fsync(path: &Path, iterations: u32) -> std::io::Result<u64> {
    let mut file: File = OpenOptions::new().append(true).create_new(true).open(path)?;
    let page = [0x51; 4096];
    let mut append = || file.write_all(&page).and_then(|()| file.sync_data());
    append()?;
    median(iterations, append)
}

fn measure_commit(path: &Path, iterations: u32) -> Result<u64> {
    let connection = connect::writer(path, Synchronous::Full)?;
    connection
        .execute_batch("CREATE TABLE state (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO state VALUES (1, 0);")?;
    connection.execute_batch("CREATE TABLE event (id INTEGER PRIMARY KEY, body TEXT)")?;
    let mut update = connection.prepare("UPDATE state SET n = n + 1 WHERE id = 1")?;
    let mut insert = connection.prepare("INSERT INTO event (body) VALUES (?1)")?;
    let body = "x".repeat(200);
    median(iterations, || -> Result<()> {
        let transaction = connection.unchecked_transaction()?;
        update.execute([])?;
        insert.execute(params![body])?;
        Ok(transaction.commit()?)
    })
}

/// Half of the rounds took no longer than this.
#[allow(clippy::disallowed_methods, reason = "a measurement needs the real clock")]
fn median<E>(iterations: u32, mut round: impl FnMut() -> Result<(), E>) -> Result<u64, E> {
    let mut micros = Vec::new();
    for _ in 0..iterations.max(1) {
        let start = Instant::now();
        round()?;
        micros.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    micros.sort_unstable();
    Ok(micros[micros.len() / 2])
}
