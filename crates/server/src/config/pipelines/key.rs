//! The secret of a server that was given none: made once, kept in the data folder, readable by its owner only.
//!
//! It is written whole before it gets its name, so that two processes that start at the same moment agree on one and
//! nobody reads half of it.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const FILE: &str = "pipelines.key";
/// Makes 32 characters: the worker SDK uses the first 32 bytes of the text, and repeats a shorter one.
const RANDOM_BYTES: usize = 24;

/// The secret in this folder.
pub(super) fn kept(data_dir: &Path) -> Result<String, String> {
    let path = data_dir.join(FILE);
    match read(&path)? {
        Some(secret) => Ok(secret),
        None => {
            make(data_dir, &path)?;
            // It may be the one of another process.
            read(&path)?.ok_or_else(|| format!("{} is gone as soon as it was written", path.display()))
        }
    }
}

fn read(path: &Path) -> Result<Option<String>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
    };
    let others = std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0);
    if others {
        tracing::warn!(file = %path.display(), "others can read the secret of the pipelines: chmod 600");
    }
    Ok(Some(text.trim().to_owned()))
}

fn make(data_dir: &Path, path: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| format!("the operating system gives no randomness: {error}"))?;
    std::fs::create_dir_all(data_dir).map_err(failed)?;
    // Temporary files belong to their owner alone.
    let mut file = tempfile::NamedTempFile::new_in(data_dir).map_err(failed)?;
    writeln!(file, "{}", URL_SAFE_NO_PAD.encode(random)).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => {
            tracing::info!(file = %path.display(), "made a secret for pipelines; workers need the same one");
            Ok(())
        }
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_belongs_to_its_owner() {
        let folder = tempfile::tempdir().expect("folder");
        let data = folder.path().join("data");
        let secret = kept(&data).expect("secret");
        assert_eq!(secret.len(), 32);
        assert_eq!(kept(&data).as_ref(), Ok(&secret));
        let mode = std::fs::metadata(data.join(FILE)).expect("file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let files = std::fs::read_dir(&data).expect("folder").count();
        assert_eq!(files, 1, "nothing is left beside it");
        let other = tempfile::tempdir().expect("folder");
        assert_ne!(kept(other.path()).expect("secret"), secret);
    }

    #[test]
    fn processes_that_start_at_once_agree_on_one_secret() {
        let folder = tempfile::tempdir().expect("folder");
        let secrets: Vec<String> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| kept(folder.path()))).collect();
            starts
                .into_iter()
                .map(|start| start.join().expect("thread").expect("secret"))
                .collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]), "{secrets:?}");
    }

    #[test]
    fn a_secret_that_cannot_be_kept_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert!(kept(&file).expect_err("refused").contains("pipelines.key"));
    }
}
