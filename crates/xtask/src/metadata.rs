//! What `cargo metadata` knows of the workspace: the little of it that the checks read.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::shell;

/// The packages of the workspace and, when asked, of everything below it.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// SPDX expression.
    pub license: Option<String>,
    /// Absent for a package that lies in this repository.
    pub source: Option<String>,
    pub dependencies: Vec<Dependency>,
}

/// One line of a package's manifest.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    pub name: String,
    /// Absent for a path dependency.
    pub source: Option<String>,
    pub req: String,
    /// `dev`, `build`, or absent for a normal one.
    pub kind: Option<String>,
}

/// Which packages to read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    Workspace,
    Everything,
}

/// Asks cargo.
pub fn read(depth: Depth) -> Result<Metadata> {
    let mut cargo = shell::cargo_build(["metadata", "--format-version", "1", "--all-features"]);
    if depth == Depth::Workspace {
        cargo.arg("--no-deps");
    }
    serde_json::from_slice(&shell::output(&mut cargo)?).context("cargo metadata printed something unreadable")
}
