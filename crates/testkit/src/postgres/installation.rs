//! Where PostgreSQL's programs are, and who may run them.
//!
//! Debian keeps the programs of each major version in a folder of their own, outside of `PATH`. And PostgreSQL refuses
//! to run as root, as which many a container does everything: then the programs run as another user, who owns the
//! cluster's files.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

/// The environment variable that names the folder of the programs.
pub const PROGRAMS_VARIABLE: &str = "QUINTET_PG_BIN";

/// Where Debian has a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Whom root becomes, the first that exists.
const INSTEAD_OF_ROOT: [&str; 2] = ["postgres", "nobody"];

/// The folder with `postgres`, `initdb` and the others: the one that [`PROGRAMS_VARIABLE`] names, or the newest of
/// Debian's, or the one in `PATH`.
pub fn program_dir() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAMS_VARIABLE).map(PathBuf::from) {
        ensure!(
            is_program_dir(&named),
            "{PROGRAMS_VARIABLE} names {}, but there is no PostgreSQL server there",
            named.display()
        );
        return Ok(named);
    }
    newest_below(Path::new(DEBIAN)).or_else(in_path).with_context(|| {
        format!("PostgreSQL is not installed: nothing in {DEBIAN}, in PATH, or in {PROGRAMS_VARIABLE}")
    })
}

fn newest_below(versions: &Path) -> Option<PathBuf> {
    let number = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = std::fs::read_dir(versions).ok()?;
    folders
        .flatten()
        .filter_map(|entry| Some((number(&entry.path())?, entry.path().join("bin"))))
        .filter(|(_, programs)| is_program_dir(programs))
        .max()
        .map(|(_, programs)| programs)
}

fn in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).find(|folder| is_program_dir(folder))?;
    found.canonicalize().ok()
}

fn is_program_dir(folder: &Path) -> bool {
    ["postgres", "initdb"]
        .iter()
        .all(|program| folder.join(program).is_file())
}

/// The programs, with the user as whom they run.
#[derive(Debug, Clone)]
pub(super) struct Installation {
    programs: PathBuf,
    /// User and group to become; none when this process runs as an ordinary user.
    other: Option<(u32, u32)>,
}

impl Installation {
    /// What this machine has.
    pub fn find() -> anyhow::Result<Self> {
        let account = |name: &&str| Some((id(&["-u", name])?, id(&["-g", name])?));
        let other = match own_uid()? {
            0 => Some(
                INSTEAD_OF_ROOT
                    .iter()
                    .find_map(account)
                    .context("PostgreSQL does not run as root, and no other user is known here")?,
            ),
            _ => None,
        };
        Ok(Self {
            programs: program_dir()?,
            other,
        })
    }

    /// Path of one of PostgreSQL's programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A command that runs as the cluster's user, untouched by what the environment says of other servers.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        // The other user may not be able to enter the folder that this process is in.
        command.current_dir("/");
        without_settings(&mut command);
        if let Some((uid, gid)) = self.other {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Hands a folder to the cluster's user.
    pub fn give(&self, folder: &Path) -> anyhow::Result<()> {
        if let Some((uid, gid)) = self.other {
            std::os::unix::fs::chown(folder, Some(uid), Some(gid))
                .with_context(|| format!("{} cannot be given away", folder.display()))?;
        }
        Ok(())
    }

    /// What `postgres --version` says.
    pub fn version(&self) -> anyhow::Result<String> {
        output(self.command(self.program("postgres")).arg("--version"))
    }
}

/// Takes libpq's variables away: a test must not reach for the server of its surroundings.
pub(super) fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C");
}

/// Runs to the end; what it printed, or an error with what it complained of.
pub(super) fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("{program} cannot be started"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{program} ended with {}: {}", output.status, complaint.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// The user of this process.
pub(super) fn own_uid() -> anyhow::Result<u32> {
    id(&["-u"]).context("id -u says nothing")
}

fn id(arguments: &[&str]) -> Option<u32> {
    output(Command::new("id").args(arguments)).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with_versions(versions: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for version in versions {
            let programs = folder.path().join(version).join("bin");
            std::fs::create_dir_all(&programs).unwrap();
            std::fs::write(programs.join("postgres"), "").unwrap();
            std::fs::write(programs.join("initdb"), "").unwrap();
        }
        folder
    }

    #[test]
    fn the_newest_version_is_the_highest_number() {
        let folder = folder_with_versions(&["9", "15", "common"]);
        assert_eq!(newest_below(folder.path()), Some(folder.path().join("15/bin")));
    }

    #[test]
    fn a_version_of_which_only_the_clients_are_installed_does_not_count() {
        let folder = folder_with_versions(&["14", "16"]);
        std::fs::remove_file(folder.path().join("16/bin/postgres")).unwrap();
        assert_eq!(newest_below(folder.path()), Some(folder.path().join("14/bin")));
    }
}
