//! A consistent copy, made while the store is in use.
//!
//! The copy grows beside its final name and gets that name only when it is complete, checked and flushed, so that a
//! file under that name is always a whole backup. An existing file is never written over.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use quintet_store::StoreError;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::error::Result;
use crate::read::Reader;

pub fn backup(reader: &Reader, path: &Path) -> Result<()> {
    reserve(path)?;
    let partial = partial_path(path);
    let copied = copy(reader, &partial).and_then(|()| finish(&partial, path));
    if copied.is_err() {
        // The failure is what is reported; what it left behind is removed as far as that goes.
        let _ = std::fs::remove_file(&partial);
        let _ = std::fs::remove_file(path);
    }
    copied
}

/// Takes the final name with an empty file.
fn reserve(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let path = path.display();
            Err(StoreError::Refused(format!(
                "{path} exists: a backup never writes over a file, choose another name"
            )))
        }
        Err(error) => Err(unavailable(path, &error)),
    }
}

fn copy(reader: &Reader, partial: &Path) -> Result<()> {
    let mut target = Connection::open(partial)?;
    {
        let backup = Backup::new(reader.connection(), &mut target)?;
        // All pages in one step: one snapshot, which the writer does not disturb.
        match backup.step(-1)? {
            StepResult::Done => {}
            other => return Err(StoreError::Unavailable(format!("the backup did not finish: {other:?}")).into()),
        }
    }
    let mode: String = target.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    let finding: String = target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if mode != "delete" || finding != "ok" {
        return Err(
            StoreError::Corrupt(format!("the backup failed its check: {finding} (journal mode {mode})")).into(),
        );
    }
    Ok(())
}

fn finish(partial: &Path, path: &Path) -> Result<()> {
    let flush = |file: &Path| File::open(file).and_then(|file| file.sync_all());
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let done = flush(partial)
        .and_then(|()| std::fs::rename(partial, path))
        .and_then(|()| flush(parent));
    Ok(done.map_err(|error| unavailable(path, &error))?)
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn unavailable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}
