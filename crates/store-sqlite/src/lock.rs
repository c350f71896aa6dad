//! One process per database: an advisory lock on `<database>.lock`, which also names the owner.
//!
//! The operating system releases the lock when the process ends, however it ends; the pid in the file is only there
//! for the sentence that a second process prints, and tells the next owner whether the last one closed properly: a
//! proper close empties the file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use quintet_store::StoreError;

/// Held while the store is open.
#[derive(Debug)]
pub struct OwnerLock {
    file: File,
    /// Whether the last owner ended without closing.
    pub abandoned: bool,
}

impl OwnerLock {
    /// Takes the lock, or says who has it.
    pub fn take(database: &Path) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let unavailable = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .clone();
        let mut file = options.open(&path).map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Refused(refusal(database, &read(&mut file)))),
            Err(TryLockError::Error(error)) => return Err(unavailable(error)),
        }
        let abandoned = !read(&mut file).is_empty();
        let mut lock = Self { file, abandoned };
        lock.write(&std::process::id().to_string()).map_err(unavailable)?;
        Ok(lock)
    }

    /// Marks a proper close; the lock itself goes with the value.
    pub fn release(mut self) {
        if let Err(error) = self.write("") {
            tracing::warn!(%error, "the lock file could not be emptied: the next start will check the database");
        }
    }

    fn write(&mut self, owner: &str) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(owner.as_bytes())
    }
}

/// `<database>.lock`, beside the database.
fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn read(file: &mut File) -> String {
    let mut text = String::new();
    // An unreadable owner is an unknown one; the lock alone decides.
    let _ = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_string(&mut text));
    text.trim().to_owned()
}

fn refusal(database: &Path, owner: &str) -> String {
    let owner = if owner.is_empty() {
        "another process".to_owned()
    } else {
        format!("the process with pid {owner}")
    };
    format!(
        "{} is in use by {owner}: an embedded store belongs to one process at a time; stop that one, or choose another \
         database",
        database.display()
    )
}
