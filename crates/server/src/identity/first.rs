//! The first admin's token: made once, where a key is needed and nobody has one that could make others.
//!
//! It is written to a file that only the server's user can read, and stored like any key. The file comes first: a crash in
//! between leaves a file that opens nothing, and the next start writes another. The other way round it would leave an
//! admin's key that nobody has. Where several nodes start at once, the store lets one of them win.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::IdentityError;
use super::caller::EVERY_NAMESPACE;
use super::keys::Keys;
use super::role::{Grant, Role};
use super::stored::Draft;

/// The file's name in the data folder.
const FILE: &str = "admin-token";
const NAME: &str = "first admin";

pub(super) async fn make(keys: &Keys, data_dir: &Path) -> Result<(), IdentityError> {
    let epoch = keys.epoch();
    let draft = Draft {
        name: NAME.to_owned(),
        namespace: EVERY_NAMESPACE.to_owned(),
        grants: vec![Grant::Role(Role::Admin)],
        queues: None,
        expires_at: None,
    };
    let shown = keys.make(draft, "quintet")?;
    let path = data_dir.join(FILE);
    let written = write(data_dir, &path, &shown.key);
    written.map_err(|source| IdentityError::FirstToken {
        path: path.display().to_string(),
        source,
    })?;
    if keys.create_at(&shown, epoch).await? {
        tracing::warn!(file = %path.display(), "a key is needed and there was no admin's: one was made and written to this file; make others with it, and revoke it");
    } else {
        tracing::info!("another node has made the first admin's token; it lies in that node's data folder");
        // It opens nothing; a file that stays is only confusing.
        let _ = std::fs::remove_file(&path);
    }
    Ok(())
}

/// Writes a file for its owner only, whole or not at all.
fn write(folder: &Path, path: &Path, key: &str) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let mut name = path.to_owned().into_os_string();
    name.push(".new");
    let new = PathBuf::from(name);
    // What a crash left behind may be another's to read.
    let _ = std::fs::remove_file(&new);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(key.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}
