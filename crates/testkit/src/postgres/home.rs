//! The folder that has everything of a cluster.
//!
//! A cluster that need not survive the loss of power lies in memory, where that is plentiful: a database is three hundred
//! files, and a disk's file system may take a millisecond to create each, when as many were deleted just before.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::cluster::Durability;
use super::installation::{Installation, output};

/// Linux's file system in memory.
const MEMORY: &str = "/dev/shm";

/// With less room than this (KiB), memory is left alone. A container often has only 64 MiB there.
const ROOM_KIB: u64 = 8 * 1024 * 1024;

/// An empty folder that belongs to the cluster's user.
pub(super) fn create(installation: &Installation, durability: Durability) -> anyhow::Result<TempDir> {
    let in_memory = durability == Durability::Fast && room_kib(MEMORY).is_some_and(|room| room >= ROOM_KIB);
    // Short: the path of a socket has room for about a hundred bytes.
    let mut builder = tempfile::Builder::new();
    builder.prefix("quintet-pg-");
    let home = if in_memory {
        builder.tempdir_in(MEMORY)?
    } else {
        builder.tempdir()?
    };
    installation.give(home.path())?;
    Ok(home)
}

/// Adds lines to a file of settings; the last line for a name is the one that holds.
pub(super) fn append(file: &Path, settings: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut lines = String::from("\n");
    for (name, value) in settings {
        lines.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
    }
    let mut file = std::fs::OpenOptions::new().append(true).open(file)?;
    Ok(file.write_all(lines.as_bytes())?)
}

/// What the file system of a folder has room for; none where there is no such folder.
fn room_kib(folder: &str) -> Option<u64> {
    let table = output(Command::new("df").args(["-Pk", folder])).ok()?;
    table.lines().last()?.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_room_and_one_that_is_not_there_has_none() {
        assert!(room_kib("/").is_some());
        assert_eq!(room_kib("/no such folder"), None);
    }

    #[test]
    fn what_is_to_last_does_not_lie_in_memory() {
        let home = create(&Installation::find().unwrap(), Durability::Default).unwrap();
        assert!(!home.path().starts_with(MEMORY));
    }
}
