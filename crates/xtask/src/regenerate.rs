//! `cargo xtask regenerate`: writes the checked-in artefacts anew from the code that they describe.
//!
//! The server prints each of them, so what is documented is what is built. With `--check` nothing is written: what the
//! code says now is held against what is checked in, and a difference is shown and fails. A generator that the server
//! does not offer is skipped only as long as its artefact is not there either.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{server, shell};

#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail when something is out of date.
    #[arg(long)]
    check: bool,
}

/// A subcommand of the server, and where its output is kept.
struct Generator {
    words: &'static [&'static str],
    artefact: &'static str,
}

const GENERATORS: [Generator; 3] = [
    Generator {
        words: &["openapi"],
        artefact: "schema/openapi.json",
    },
    Generator {
        words: &["docs", "config"],
        artefact: "docs/reference/configuration.md",
    },
    Generator {
        words: &["docs", "state-machines"],
        artefact: "docs/state-machines.md",
    },
];

/// How an artefact stands to what the code says.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Same,
    Different,
    /// Neither the generator nor the artefact exists yet.
    Absent,
}

pub fn run(args: &Args) -> Result<()> {
    let binary = server::build(server::Profile::Debug)?;
    let mut stale = Vec::new();
    for generator in &GENERATORS {
        let artefact = shell::root().join(generator.artefact);
        match examine(&binary, generator, &artefact)? {
            (Outcome::Absent, _) => {
                shell::say(&format!(
                    "{}: `quintet {}` is not there yet",
                    generator.artefact,
                    generator.words.join(" ")
                ));
            }
            (Outcome::Same, _) => shell::say(&format!("{}: up to date", generator.artefact)),
            (Outcome::Different, new) if args.check => {
                show_difference(&artefact, &new)?;
                stale.push(generator.artefact);
            }
            (Outcome::Different, new) => {
                write(&artefact, &new)?;
                shell::say(&format!("{}: written", generator.artefact));
            }
        }
    }
    if !stale.is_empty() {
        bail!(
            "out of date: {}; run `cargo xtask regenerate` and commit",
            stale.join(", ")
        );
    }
    Ok(())
}

fn examine(binary: &Path, generator: &Generator, artefact: &Path) -> Result<(Outcome, Vec<u8>)> {
    let known = artefact.is_file();
    if !offers(binary, generator.words) {
        if known {
            bail!(
                "{} is checked in, but `quintet {}` is not there",
                generator.artefact,
                generator.words.join(" ")
            );
        }
        return Ok((Outcome::Absent, Vec::new()));
    }
    let new = shell::output(shell::command(binary).args(generator.words))?;
    if new.trim_ascii().is_empty() {
        bail!("`quintet {}` printed nothing", generator.words.join(" "));
    }
    let same = known && std::fs::read(artefact)? == new;
    Ok((if same { Outcome::Same } else { Outcome::Different }, new))
}

/// Whether the subcommand exists: its own help names it, which the help of its parent would not.
fn offers(binary: &Path, words: &[&str]) -> bool {
    let mut help = shell::command(binary);
    let Ok(output) = help.args(words).arg("--help").output() else {
        return false;
    };
    let usage = format!("quintet {}", words.join(" "));
    output.status.success()
        && String::from_utf8_lossy(&output.stdout)
            .lines()
            .any(|line| line.contains("Usage:") && line.contains(&usage))
}

fn write(artefact: &Path, content: &[u8]) -> Result<()> {
    let folder = artefact.parent().context("an artefact lies in a folder")?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(artefact, content).with_context(|| format!("cannot write {}", artefact.display()))
}

fn show_difference(artefact: &Path, new: &[u8]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let generated = folder.path().join("generated");
    std::fs::write(&generated, new)?;
    let old: PathBuf = if artefact.is_file() {
        artefact.to_owned()
    } else {
        "/dev/null".into()
    };
    let mut diff = shell::command("git");
    diff.args(["--no-pager", "diff", "--no-index", "--stat", "--patch", "--"])
        .args([&old, &generated]);
    // Exit code 1 is how diff says that there is a difference.
    let shown = String::from_utf8_lossy(&diff.output()?.stdout).into_owned();
    let lines: Vec<&str> = shown.lines().collect();
    shell::say(&lines[..lines.len().min(60)].join("\n"));
    if lines.len() > 60 {
        shell::say(&format!("... {} more lines", lines.len() - 60));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const GENERATOR: Generator = Generator {
        words: &["docs", "thing"],
        artefact: "docs/thing.md",
    };

    fn fake(folder: &Path, script: &str) -> PathBuf {
        let file = folder.join("fake-quintet");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    const OFFERING: &str = r#"case "$*" in *--help) echo "Usage: quintet docs thing";; *) echo "the thing";; esac"#;

    #[test]
    fn an_artefact_that_differs_from_the_code_is_seen_and_then_not_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let binary = fake(folder.path(), OFFERING);
        let artefact = folder.path().join("docs/thing.md");

        let (outcome, new) = examine(&binary, &GENERATOR, &artefact).unwrap();
        assert_eq!(outcome, Outcome::Different);
        write(&artefact, &new).unwrap();
        assert_eq!(examine(&binary, &GENERATOR, &artefact).unwrap().0, Outcome::Same);

        std::fs::write(&artefact, "an older thing\n").unwrap();
        assert_eq!(examine(&binary, &GENERATOR, &artefact).unwrap().0, Outcome::Different);
    }

    #[test]
    fn a_missing_generator_is_skipped_only_while_its_artefact_is_missing_too() {
        let folder = tempfile::tempdir().unwrap();
        let binary = fake(folder.path(), "exit 0");
        let artefact = folder.path().join("docs/thing.md");
        assert_eq!(examine(&binary, &GENERATOR, &artefact).unwrap().0, Outcome::Absent);

        write(&artefact, b"the thing\n").unwrap();
        let error = examine(&binary, &GENERATOR, &artefact).unwrap_err();
        assert!(error.to_string().contains("checked in"), "{error}");
    }

    #[test]
    fn a_generator_that_prints_nothing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let binary = fake(
            folder.path(),
            r#"case "$*" in *--help) echo "Usage: quintet docs thing";; esac"#,
        );
        assert!(examine(&binary, &GENERATOR, &folder.path().join("docs/thing.md")).is_err());
    }
}
