//! `cargo xtask tidy`: the rules of this house that no compiler knows, each with the place where it is broken.
//!
//! A rule is a function from the `Tree` (every file that git knows or would take) to findings; it does no I/O, so its
//! tests are a few lines of text, and each has a test in which it fails. Exceptions are not made in the rules but in
//! `tidy.toml`, by path and word and with a reason; one that is not needed any more is itself a finding.

mod edges;
mod errors;
mod files;
mod links;
mod source;
mod sql;
mod tree;
mod words;

use anyhow::{Context, Result, bail};

use crate::metadata::{self, Depth};
use crate::shell;
use tree::Tree;
use words::Allowances;

/// One place where a rule is broken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    path: String,
    /// Counted from 1; 0 is the file as a whole.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

pub fn run() -> Result<()> {
    let tree = Tree::read(shell::root())?;
    let text = tree
        .text("crates/xtask/tidy.toml")
        .context("crates/xtask/tidy.toml is missing")?;
    let allowances = Allowances::parse(text)?;

    for warning in files::long(&tree) {
        shell::say(&format!("warning: {warning}"));
    }
    let mut findings = edges::check(&metadata::read(Depth::Workspace)?);
    findings.extend(files::check(&tree));
    findings.extend(words::check(&tree, &allowances));
    findings.extend(words::machine_paths(&tree));
    findings.extend(sql::check(&tree, &allowances));
    findings.extend(links::check(&tree));
    findings.extend(errors::check(&tree));
    findings.extend(allowances.unused());
    findings.sort();
    for finding in &findings {
        shell::say(&finding.to_string());
    }
    if !findings.is_empty() {
        bail!("{} places break a house rule", findings.len());
    }
    shell::say(&format!("{} files obey the house rules", tree.files().count()));
    Ok(())
}
