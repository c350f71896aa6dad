//! SQL stays in the stores, and every index says which query it is for.
//!
//! A statement outside a store is a second opinion about the state; an index without a query is a cost that nobody will
//! dare to remove.

use crate::tidy::Finding;
use crate::tidy::source;
use crate::tidy::tree::{Tree, crate_of};
use crate::tidy::words::Allowances;

/// How a statement is recognised; `concat!` keeps these very strings from being one.
const STATEMENTS: [&str; 2] = [concat!("SEL", "ECT "), concat!("INSERT ", "INTO")];

pub fn check(tree: &Tree, allowances: &Allowances) -> Vec<Finding> {
    let mut findings = statements(tree, allowances);
    findings.extend(
        tree.with_ending(".sql")
            .flat_map(|(path, text)| indexes(path, text, text)),
    );
    for (path, text) in tree.with_ending(".rs").filter(|(path, _)| in_store(path)) {
        findings.extend(indexes(path, text, &source::split(text).strings));
    }
    findings
}

fn in_store(path: &str) -> bool {
    crate_of(path).is_some_and(|name| name.starts_with("store-"))
}

fn statements(tree: &Tree, allowances: &Allowances) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree
        .with_ending(".rs")
        .filter(|(path, _)| crate_of(path).is_some() && !in_store(path))
    {
        for (number, line) in source::split(text).strings.lines().enumerate() {
            for statement in STATEMENTS.into_iter().filter(|statement| line.contains(statement)) {
                if !allowances.allow(path, statement.trim_end()) {
                    findings.push(Finding::new(
                        path,
                        number + 1,
                        "SQL outside a store: put it behind the store's trait",
                    ));
                }
            }
        }
    }
    let misplaced = tree
        .with_ending(".sql")
        .filter(|(path, _)| crate_of(path).is_some() && !in_store(path));
    findings.extend(misplaced.map(|(path, _)| Finding::new(path, 0, "SQL outside a store")));
    findings
}

/// `statements` has the lines of `text`, and in them only what may be SQL.
fn indexes(path: &str, text: &str, statements: &str) -> Vec<Finding> {
    let lines: Vec<&str> = text.lines().collect();
    let mut findings = Vec::new();
    for (number, line) in statements.lines().enumerate() {
        if !creates_index(line) {
            continue;
        }
        let above = number
            .checked_sub(1)
            .and_then(|above| lines.get(above))
            .map_or("", |above| above.trim_start());
        let comment = above.strip_prefix("--").or_else(|| above.strip_prefix("//"));
        if comment.is_none_or(|comment| !comment.bytes().any(|byte| byte.is_ascii_alphanumeric())) {
            findings.push(Finding::new(
                path,
                number + 1,
                "an index without a comment above that names its query",
            ));
        }
    }
    findings
}

fn creates_index(line: &str) -> bool {
    let line = line.split("--").next().unwrap_or_default().to_ascii_uppercase();
    let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "UNIQUE").collect();
    // In a string, the two words alone are what a test searches for.
    words.windows(3).any(|three| three[..2] == ["CREATE", "INDEX"])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];
    const INDEX: &str = concat!("CREATE ", "INDEX runs_by_state ON runs (state);\n");
    const UNIQUE: &str = concat!("create unique ", "index runs_by_key ON runs (key);\n");

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let none = Allowances::parse("").unwrap();
        check(&Tree::of([(path, text)]), &none)
            .into_iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn a_statement_outside_the_stores_is_found() {
        for statement in STATEMENTS {
            let text = format!("//! E.\nlet sql = \"{statement} x\";\n");
            assert_eq!(lines("crates/engine/src/a.rs", &text), [2]);
            assert_eq!(lines("crates/store-sqlite/src/a.rs", &text), NONE);
            assert_eq!(
                lines(
                    "crates/engine/src/a.rs",
                    &format!("//! {statement} is said here only.\n")
                ),
                NONE
            );
        }
        assert_eq!(lines("crates/engine/sql/a.sql", "DELETE FROM runs;"), [0]);
    }

    #[test]
    fn an_index_needs_a_comment_directly_above() {
        let file = "crates/store-sqlite/migrations/0001.sql";
        assert_eq!(
            lines(file, &format!("-- runs/claim.sql\n{INDEX}-- runs/find.sql\n{UNIQUE}")),
            NONE
        );
        assert_eq!(lines(file, INDEX), [1]);
        assert_eq!(lines(file, &format!("-- runs/claim.sql\n\n{INDEX}")), [3]);
        assert_eq!(lines(file, &format!("-- runs/claim.sql\n{INDEX}{UNIQUE}")), [3]);
        assert_eq!(lines(file, &format!("--\n{UNIQUE}")), [2]);
    }

    #[test]
    fn an_index_in_a_string_of_a_store_is_held_to_the_same() {
        let file = "crates/store-sqlite/src/schema.rs";
        assert_eq!(lines(file, &format!("//! S.\nconst S: &str = \"\n{INDEX}\";\n")), [3]);
        assert_eq!(
            lines(
                file,
                &format!("//! S.\nlet found = line.contains(\"{}\");\n", &INDEX[..12])
            ),
            NONE
        );
        assert_eq!(
            lines(
                file,
                &format!("//! S.\nconst S: &str = \"\n-- runs/claim.sql\n{INDEX}\";\n")
            ),
            NONE
        );
    }
}
