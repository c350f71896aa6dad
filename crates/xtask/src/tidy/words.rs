//! Words that do not belong in the code, and the places where they do.
//!
//! Time, identity, chance and tasks are handed in, so that the engine runs in the simulator; clippy refuses the calls
//! it can resolve, and this refuses the words, in code that clippy never compiles too (another platform, a feature that
//! is off). The exceptions are in `tidy.toml`: path, words and a reason. Only code is searched: a comment or a message
//! may name what is banned.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::tidy::Finding;
use crate::tidy::source::{self, is_name};
use crate::tidy::tree::Tree;

const INJECT_TIME: &str = "the time is handed in, by the clock";
const INJECT_IDS: &str = "ids and chance are handed in, by the generator";
const NO_SLEEP: &str = "wait for a signal, or through the clock";
const NO_STUB: &str = "nothing unfinished lands";

/// What is banned, and what to do instead.
const BANNED: [(&str, &str); 13] = [
    ("SystemTime::now", INJECT_TIME),
    ("Instant::now", INJECT_TIME),
    ("Utc::now", INJECT_TIME),
    ("Timestamp::now", INJECT_TIME),
    ("rand::", INJECT_IDS),
    ("Uuid::now_v7", INJECT_IDS),
    ("thread::sleep", NO_SLEEP),
    ("tokio::time::sleep", NO_SLEEP),
    (
        "tokio::spawn(",
        "a task has a name and an owner that joins or aborts it",
    ),
    ("todo!(", NO_STUB),
    ("unimplemented!(", NO_STUB),
    ("dbg!(", NO_STUB),
    (
        "#[ignore",
        "a test that does not run protects nothing: make it run, or remove it",
    ),
];

/// The exceptions, as `tidy.toml` lists them.
pub struct Allowances {
    entries: Vec<Allowance>,
    /// Which (entry, word) was needed.
    used: RefCell<BTreeSet<(usize, usize)>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowance {
    /// A file, or a folder with `/` at its end.
    path: String,
    words: Vec<String>,
    reason: String,
}

impl Allowances {
    pub fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            allow: Vec<Allowance>,
        }
        let file: File = toml::from_str(text).context("crates/xtask/tidy.toml")?;
        for entry in &file.allow {
            ensure!(
                !entry.reason.trim().is_empty(),
                "crates/xtask/tidy.toml: {} has no reason",
                entry.path
            );
        }
        Ok(Self {
            entries: file.allow,
            used: RefCell::default(),
        })
    }

    /// Whether the word may stand in the file; the entry that says so has then been of use.
    pub fn allow(&self, path: &str, word: &str) -> bool {
        let mut allowed = false;
        for (number, entry) in self.entries.iter().enumerate() {
            let covers = if entry.path.ends_with('/') {
                path.starts_with(&entry.path)
            } else {
                path == entry.path
            };
            if let Some(place) = entry.words.iter().position(|listed| covers && listed == word) {
                self.used.borrow_mut().insert((number, place));
                allowed = true;
            }
        }
        allowed
    }

    /// Entries that allowed nothing: the code has moved on, and the next offender would hide behind them.
    pub fn unused(&self) -> Vec<Finding> {
        let used = self.used.borrow();
        let mut findings = Vec::new();
        for (number, entry) in self.entries.iter().enumerate() {
            for (place, word) in entry.words.iter().enumerate() {
                if !used.contains(&(number, place)) {
                    let message = format!("allows `{word}` in {}, where it is not: remove that", entry.path);
                    findings.push(Finding::new("crates/xtask/tidy.toml", 0, message));
                }
            }
        }
        findings
    }
}

pub fn check(tree: &Tree, allowances: &Allowances) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_ending(".rs") {
        for (number, line) in source::split(text).code.lines().enumerate() {
            for (word, instead) in BANNED {
                if contains_word(line, word) && !allowances.allow(path, word) {
                    findings.push(Finding::new(path, number + 1, format!("`{word}`: {instead}")));
                }
            }
        }
    }
    findings
}

/// The word, and not the end of a longer name: `operand::` is not `rand::`.
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| at == 0 || !is_name(line.as_bytes()[at - 1]))
}

/// Paths that only one machine has; `concat!` keeps them out of this very file.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/fa", "rm/"),
    concat!("/tmp/stu", "dio"),
    concat!("../sha", "red"),
];

/// Nothing that is checked in may name a place outside the repository.
pub fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        for (number, line) in text.unwrap_or_default().lines().enumerate() {
            for place in MACHINE_PATHS.into_iter().filter(|place| names_place(line, place)) {
                findings.push(Finding::new(
                    path,
                    number + 1,
                    format!("names `{place}`, a place on one machine"),
                ));
            }
        }
    }
    findings
}

/// The place itself, and not the middle of a longer path or of an address (`/v1/work/`).
fn names_place(line: &str, place: &str) -> bool {
    let inner = |byte: u8| is_name(byte) || matches!(byte, b'.' | b'-' | b'}');
    line.match_indices(place)
        .any(|(at, _)| !place.starts_with('/') || at == 0 || !inner(line.as_bytes()[at - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "";

    fn messages(path: &str, text: &str, allowances: &str) -> Vec<String> {
        let allowances = Allowances::parse(allowances).unwrap();
        let mut findings = check(&Tree::of([(path, text)]), &allowances);
        findings.extend(allowances.unused());
        findings.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn each_banned_word_is_found_at_its_line() {
        for (word, instead) in BANNED {
            let found = messages("a.rs", &format!("//! A.\nlet x = std::{word};\n"), NONE);
            assert!(
                found.contains(&format!("a.rs:2: `{word}`: {instead}")),
                "{word}: {found:?}"
            );
        }
    }

    #[test]
    fn comments_messages_and_longer_names_are_not_taken_for_the_word() {
        let text = "//! Instant::now\nlet x = operand::new(\"tokio::spawn(\"); // dbg!(\nmytodo!();\n";
        assert_eq!(messages("a.rs", text, NONE), Vec::<String>::new());
    }

    #[test]
    fn an_allowance_covers_its_words_in_its_place_only() {
        let list = "[[allow]]\npath = \"src/clock/\"\nwords = [\"Instant::now\"]\nreason = \"the source of time\"\n";
        assert_eq!(
            messages("src/clock/real.rs", "Instant::now()", list),
            Vec::<String>::new()
        );
        assert_eq!(messages("src/clock/real.rs", "Instant::now(); dbg!(1)", list).len(), 1);
        assert_eq!(messages("src/clock.rs", "Instant::now()", list).len(), 2);
    }

    #[test]
    fn an_allowance_that_is_not_needed_is_found() {
        let list = "[[allow]]\npath = \"a.rs\"\nwords = [\"dbg!(\"]\nreason = \"none left\"\n";
        let found = messages("a.rs", "fine()", list);
        assert_eq!(
            found,
            ["crates/xtask/tidy.toml: allows `dbg!(` in a.rs, where it is not: remove that"]
        );
    }

    #[test]
    fn an_allowance_without_a_reason_is_refused() {
        assert!(Allowances::parse("[[allow]]\npath = \"a.rs\"\nwords = [\"dbg!(\"]\nreason = \" \"\n").is_err());
        assert!(Allowances::parse("[[allow]]\npath = \"a.rs\"\nwords = [\"dbg!(\"]\n").is_err());
    }

    #[test]
    fn a_place_on_one_machine_is_found_in_any_text() {
        let text = format!("see {}main\nand `{}/x`\n", MACHINE_PATHS[0], MACHINE_PATHS[3]);
        let found = machine_paths(&Tree::of([("README.md", &text)]));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn an_address_that_looks_like_a_place_is_none() {
        let text = format!("GET /v1{0}claim and http://host{0}x and {{base}}{0}y", MACHINE_PATHS[0]);
        assert_eq!(machine_paths(&Tree::of([("a.md", &text)])), []);
    }
}
