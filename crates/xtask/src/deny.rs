//! What may come in from outside: licences, sources, versions, and crates that are not wanted.
//!
//! `deny.toml` is the one list. The rules of it that need nothing but `cargo metadata` are checked here, the same on
//! every machine and within a second; cargo-deny adds the rest (the licence texts themselves, and on request the
//! advisories) where it is installed, and CI installs it. Without it a line says what was not looked at.

mod spdx;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::metadata::{self, Depth, Metadata};
use crate::shell;

/// The version that CI installs: a new one may judge differently, and should do so in a change of its own.
const CARGO_DENY: &str = "0.20.2";

#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Debug, Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
    /// Who may depend on it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
}

/// How cargo names the one registry that packages may come from.
const CRATES_IO: &str = "/rust-lang/crates.io-index";

pub fn run(install: bool, advisories: bool) -> Result<()> {
    let text = std::fs::read_to_string(shell::root().join("deny.toml")).context("cannot read deny.toml")?;
    let rules: Rules = toml::from_str(&text).context("deny.toml")?;
    let metadata = metadata::read(Depth::Everything)?;
    let findings = judge(&metadata, &rules);
    for finding in &findings {
        shell::say(finding);
    }
    if !findings.is_empty() {
        bail!("{} packages break a rule of deny.toml", findings.len());
    }
    shell::say(&format!(
        "{} packages obey deny.toml's licences, sources, versions and bans",
        metadata.packages.len()
    ));
    let Some(mut deny) = cargo_deny(install)? else {
        shell::say(
            "cargo-deny is not installed: licence texts and advisories were not looked at (--install installs it)",
        );
        return Ok(());
    };
    deny.args([
        "--all-features",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    if advisories {
        deny.arg("advisories");
    }
    shell::run(&mut deny)
}

/// cargo-deny, installed if that was asked for or this is CI; a failed installation in CI leaves the check above.
fn cargo_deny(install: bool) -> Result<Option<std::process::Command>> {
    if find_cargo_deny().is_none() && (install || shell::in_ci()) {
        let outcome = shell::step("install cargo-deny", || {
            shell::run(&mut shell::cargo([
                "install",
                "--quiet",
                "--locked",
                "cargo-deny",
                "--version",
                CARGO_DENY,
            ]))
        });
        if install {
            outcome?;
        }
    }
    Ok(find_cargo_deny().map(|program| {
        let mut command = shell::command(program);
        command.args(if shell::in_ci() { &["--locked"][..] } else { &[] });
        command
    }))
}

fn find_cargo_deny() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let installed = home
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))?
        .join("bin/cargo-deny");
    shell::which("cargo-deny").or_else(|| installed.is_file().then_some(installed))
}

impl Rules {
    /// The ban on a package that somebody may depend on all the same.
    fn wrapped(&self, name: &str) -> Option<&Banned> {
        self.bans
            .deny
            .iter()
            .find(|banned| banned.name == name && !banned.wrappers.is_empty())
    }
}

fn judge(metadata: &Metadata, rules: &Rules) -> Vec<String> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let who = format!("{} {}", package.name, package.version);
        match &package.license {
            None => findings.push(format!("{who}: names no licence")),
            Some(license) => match spdx::allows(license, &rules.licenses.allow) {
                Ok(true) => {}
                Ok(false) => findings.push(format!("{who}: licence `{license}` is not allowed")),
                Err(error) => findings.push(format!("{who}: licence `{license}` is unreadable: {error}")),
            },
        }
        if let Some(source) = &package.source
            && !(source.starts_with("registry+") && source.ends_with(CRATES_IO))
        {
            findings.push(format!("{who}: comes from {source}, not from crates.io"));
        }
        // Who depends on what in this build is known to cargo-deny; the list of packages only tells who might.
        let is_banned = |banned: &&Banned| banned.name == package.name && banned.wrappers.is_empty();
        if let Some(banned) = rules.bans.deny.iter().find(is_banned) {
            findings.push(format!("{who}: is banned: {}", banned.reason));
        }
        let ours = package.source.is_none();
        for banned in package.dependencies.iter().filter_map(|line| rules.wrapped(&line.name)) {
            if ours && !banned.wrappers.contains(&package.name) {
                findings.push(format!(
                    "{who}: depends on {}, which is banned: {}",
                    banned.name, banned.reason
                ));
            }
        }
        for wild in package
            .dependencies
            .iter()
            .filter(|line| ours && line.source.is_some() && line.req == "*")
        {
            findings.push(format!("{who}: takes any version of {}", wild.name));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Dependency, Package};

    const REGISTRY: &str = "registry+https://example.test/rust-lang/crates.io-index";

    fn rules() -> Rules {
        toml::from_str(
            r#"
            [licenses]
            allow = ["MIT"]
            [bans]
            deny = [
                { crate = "bad", reason = "it is bad" },
                { crate = "wrapped", wrappers = ["wrapper"], reason = "it is bad too" },
            ]
            "#,
        )
        .unwrap()
    }

    fn package(name: &str, license: Option<&str>, source: Option<&str>) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            source: source.map(str::to_owned),
            dependencies: Vec::new(),
        }
    }

    fn findings(package: Package) -> Vec<String> {
        judge(
            &Metadata {
                packages: vec![package],
            },
            &rules(),
        )
    }

    #[test]
    fn a_package_that_obeys_is_not_mentioned() {
        assert_eq!(
            findings(package("good", Some("MIT"), Some(REGISTRY))),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_broken_rule_is_found() {
        assert_eq!(
            findings(package("x", None, Some(REGISTRY))),
            ["x 1.0.0: names no licence"]
        );
        assert_eq!(
            findings(package("x", Some("GPL-3.0"), None)),
            ["x 1.0.0: licence `GPL-3.0` is not allowed"]
        );
        assert_eq!(
            findings(package("x", Some("MIT"), Some("git+https://example.test/x"))),
            ["x 1.0.0: comes from git+https://example.test/x, not from crates.io"]
        );
        assert_eq!(
            findings(package("bad", Some("MIT"), Some(REGISTRY))),
            ["bad 1.0.0: is banned: it is bad"]
        );
    }

    #[test]
    fn a_wildcard_is_found_in_our_manifests_only() {
        let line = || Dependency {
            name: "any".to_owned(),
            source: Some(REGISTRY.to_owned()),
            req: "*".to_owned(),
            kind: None,
        };
        let mut ours = package("ours", Some("MIT"), None);
        ours.dependencies.push(line());
        assert_eq!(findings(ours), ["ours 1.0.0: takes any version of any"]);
        let mut theirs = package("theirs", Some("MIT"), Some(REGISTRY));
        theirs.dependencies.push(line());
        assert_eq!(findings(theirs), Vec::<String>::new());
    }

    #[test]
    fn what_only_a_library_may_use_is_no_business_of_ours() {
        let wrapped = package("wrapped", Some("MIT"), Some(REGISTRY));
        assert_eq!(findings(wrapped), Vec::<String>::new());
        let mut ours = package("ours", Some("MIT"), None);
        ours.dependencies.push(Dependency {
            name: "wrapped".to_owned(),
            source: Some(REGISTRY.to_owned()),
            req: "^1".to_owned(),
            kind: None,
        });
        assert_eq!(
            findings(ours),
            ["ours 1.0.0: depends on wrapped, which is banned: it is bad too"]
        );
    }

    #[test]
    fn the_rules_of_this_repository_can_be_read() {
        let text = std::fs::read_to_string(shell::root().join("deny.toml")).unwrap();
        let rules: Rules = toml::from_str(&text).unwrap();
        assert!(rules.licenses.allow.iter().any(|license| license == "MIT"));
    }
}
