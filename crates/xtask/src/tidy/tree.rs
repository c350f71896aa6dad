//! The files that the rules look at: those that git tracks, and those that it would take with the next `git add`.
//!
//! So a rule speaks before the commit, and what is ignored (build output, databases) is never looked at.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, anyhow};

use crate::shell;

/// Paths from the root, with `/`, and what lies there.
#[derive(Default)]
pub struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the working copy.
    pub fn read(root: &Path) -> Result<Self> {
        let mut git = shell::command("git");
        git.current_dir(root)
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed = shell::output(&mut git)?;
        let mut files = BTreeMap::new();
        for path in String::from_utf8(listed)
            .map_err(|_| anyhow!("a path is not UTF-8"))?
            .split_terminator('\0')
        {
            // Deleted but not committed, a submodule or a link to a folder: there is nothing to read.
            let Ok(bytes) = std::fs::read(root.join(path)) else {
                continue;
            };
            files.insert(path.to_owned(), String::from_utf8(bytes).ok());
        }
        Ok(Self { files })
    }

    /// Every path with its text; a file that is not text has none.
    pub fn files(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_deref()))
    }

    /// The text files whose path ends like this.
    pub fn with_ending(&self, ending: &'static str) -> impl Iterator<Item = (&str, &str)> {
        self.files()
            .filter_map(move |(path, text)| path.ends_with(ending).then_some((path, text?)))
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether a file or a folder lies at this path; the root itself does.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.files.contains_key(path)
            || self
                .files
                .range(folder.clone()..)
                .next()
                .is_some_and(|(next, _)| next.starts_with(&folder))
    }
}

/// The crate folder below `crates/` that a path belongs to.
pub fn crate_of(path: &str) -> Option<&str> {
    path.strip_prefix("crates/")?.split_once('/').map(|(folder, _)| folder)
}

#[cfg(test)]
impl Tree {
    /// A tree of text files.
    pub fn of<const N: usize>(files: [(&str, &str); N]) -> Self {
        Self {
            files: files
                .into_iter()
                .map(|(path, text)| (path.to_owned(), Some(text.to_owned())))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_there_and_others_are_not() {
        let tree = Tree::of([("docs/a.md", ""), ("docs-b/c.md", "")]);
        for there in ["", "docs", "docs/a.md", "docs-b"] {
            assert!(tree.has(there), "{there}");
        }
        for absent in ["doc", "docs/a", "docs/a.md/x", "c.md"] {
            assert!(!tree.has(absent), "{absent}");
        }
    }

    #[test]
    fn untracked_files_are_read_and_ignored_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        shell::run(
            shell::command("git")
                .args(["init", "--quiet"])
                .current_dir(folder.path()),
        )
        .unwrap();
        for (path, text) in [(".gitignore", "ignored\n"), ("new.rs", "//! New.\n"), ("ignored", "x")] {
            std::fs::write(folder.path().join(path), text).unwrap();
        }
        std::fs::write(folder.path().join("picture"), [0xff, 0xfe]).unwrap();
        let tree = Tree::read(folder.path()).unwrap();
        let seen: Vec<_> = tree.files().collect();
        assert_eq!(
            seen,
            [
                (".gitignore", Some("ignored\n")),
                ("new.rs", Some("//! New.\n")),
                ("picture", None)
            ]
        );
    }
}
