//! One `initdb` per machine and version: every cluster begins as a copy of its result.
//!
//! `initdb` takes seconds, a copy tens of milliseconds. Test processes race for the template: a file lock lets one of
//! them build while the others wait, and the template gets its name only when it is whole, so that one who is killed in
//! the middle leaves nothing that passes for a template.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::installation::{Installation, output, own_uid};

/// Copies the template to a folder that does not exist yet.
pub(super) fn copy_to(installation: &Installation, data: &Path) -> anyhow::Result<()> {
    let template = ensure_template(installation, &common_dir()?)?;
    output(installation.command("cp").arg("-a").arg(template).arg(data)).context("the template cannot be copied")?;
    Ok(())
}

/// Takes a lock that processes of one machine share; it ends with the file.
pub(super) fn lock(name: &str) -> anyhow::Result<File> {
    let path = common_dir()?.join(format!("{name}.lock"));
    let file = File::options().create(true).append(true).open(&path)?;
    file.lock()
        .with_context(|| format!("{} cannot be locked", path.display()))?;
    Ok(file)
}

/// What test processes of one user share, in the folder for temporary files: that one can be entered by the cluster's
/// user, which a working copy below root's home cannot.
fn common_dir() -> anyhow::Result<PathBuf> {
    let uid = own_uid()?;
    let folder = std::env::temp_dir().join(format!("quintet-postgres-{uid}"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    // Anybody may have made it: a template from a stranger is a program from a stranger.
    let owner = std::fs::symlink_metadata(&folder)?.uid();
    ensure!(owner == uid, "{} belongs to user {owner}", folder.display());
    Ok(folder)
}

fn ensure_template(installation: &Installation, common: &Path) -> anyhow::Result<PathBuf> {
    let version = installation.version()?;
    let name: String = version
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    let template = common.join(name);
    if template.is_dir() {
        return Ok(template.join("data"));
    }
    let _lock = lock("template")?;
    if !template.is_dir() {
        let aside = common.join("unfinished");
        if aside.exists() {
            std::fs::remove_dir_all(&aside)?;
        }
        std::fs::create_dir(&aside)?;
        initialise(installation, &aside.join("data"))?;
        std::fs::rename(&aside, &template)?;
    }
    Ok(template.join("data"))
}

fn initialise(installation: &Installation, data: &Path) -> anyhow::Result<()> {
    DirBuilder::new().mode(0o700).create(data)?;
    installation.give(data)?;
    let mut initdb = installation.command(installation.program("initdb"));
    initdb.args([
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
    ]);
    output(initdb.arg("--pgdata").arg(data)).context("no cluster can be made")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn racers_for_the_template_all_get_the_same_whole_one() {
        let installation = Installation::find().unwrap();
        let common = tempfile::tempdir().unwrap();
        std::fs::set_permissions(common.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        // What one who was killed half-way leaves behind.
        std::fs::create_dir(common.path().join("unfinished")).unwrap();
        let templates: Vec<PathBuf> = std::thread::scope(|scope| {
            let race = || ensure_template(&installation, common.path()).unwrap();
            let racers: Vec<_> = (0..3).map(|_| scope.spawn(race)).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        for template in &templates {
            assert_eq!(template, &templates[0]);
            assert!(template.join("global/pg_control").is_file());
        }
        assert!(!common.path().join("unfinished").exists());
    }
}
