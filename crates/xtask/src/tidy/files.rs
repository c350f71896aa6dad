//! The shape of a source file: it says first what it is, and it stays short enough to be read at one sitting.
//!
//! Every admired project has a file of five thousand lines that nobody stopped while it had eight hundred.

use crate::tidy::Finding;
use crate::tidy::tree::Tree;

/// From here on, think about parting it.
const LONG: usize = 400;
/// Beyond this, part it.
const TOO_LONG: usize = 600;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_ending(".rs") {
        let lines = text.lines().count();
        if lines > TOO_LONG {
            findings.push(Finding::new(
                path,
                0,
                format!("has {lines} lines, more than {TOO_LONG}: part it"),
            ));
        }
        if !text.starts_with("//!") && !is_test(path) {
            findings.push(Finding::new(
                path,
                1,
                "does not begin with `//!`: say what this file is and why",
            ));
        }
    }
    findings
}

/// Files that are on the way to be too long; not yet a fault.
pub fn long(tree: &Tree) -> Vec<Finding> {
    let lengths = tree.with_ending(".rs").map(|(path, text)| (path, text.lines().count()));
    let long = lengths.filter(|(_, lines)| (LONG + 1..=TOO_LONG).contains(lines));
    long.map(|(path, lines)| Finding::new(path, 0, format!("has {lines} lines; {TOO_LONG} is the limit")))
        .collect()
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_limited_with_a_warning_before() {
        let of = |lines: usize| format!("//! Long.\n{}", "x\n".repeat(lines - 1));
        let (fine, long_one, too_long) = (of(LONG), of(TOO_LONG), of(TOO_LONG + 1));
        let tree = Tree::of([
            ("a.rs", &fine),
            ("b.rs", &long_one),
            ("c.rs", &too_long),
            ("d.sql", &too_long),
        ]);
        assert_eq!(
            check(&tree),
            [Finding::new("c.rs", 0, "has 601 lines, more than 600: part it")]
        );
        assert_eq!(
            long(&tree),
            [Finding::new("b.rs", 0, "has 600 lines; 600 is the limit")]
        );
    }

    #[test]
    fn a_file_begins_with_what_it_is() {
        let bare = "use std::fs;\n";
        let tree = Tree::of([
            ("src/a.rs", bare),
            ("tests/b.rs", bare),
            ("src/c/tests.rs", bare),
            ("src/d.rs", "//! D."),
        ]);
        let found: Vec<String> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["src/a.rs"]);
    }
}
