//! Every error code has a page under `docs/errors/`, and every page there a code.
//!
//! The codes are read where they are given their names: the arms `=> "snake_code",` inside `fn as_str` of the server's
//! table. A table in which none is found fails: the rule would otherwise hold for nothing.

use std::collections::BTreeMap;

use crate::tidy::Finding;
use crate::tidy::source;
use crate::tidy::tree::Tree;

const TABLE: &str = "crates/server/src/error_code.rs";
const PAGES: &str = "docs/errors/";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(table) = tree.text(TABLE) else {
        return Vec::new();
    };
    let codes = codes(table);
    if codes.is_empty() {
        return vec![Finding::new(
            TABLE,
            0,
            "no code found: `fn as_str` has arms of the form `=> \"snake_code\",`",
        )];
    }
    let mut findings = Vec::new();
    for (code, line) in &codes {
        let page = format!("{PAGES}{code}.md");
        if !tree.has(&page) {
            findings.push(Finding::new(
                TABLE,
                *line,
                format!("`{code}` has no page: write {page}"),
            ));
        }
    }
    for (path, _) in tree.with_ending(".md") {
        let Some(name) = path.strip_prefix(PAGES).and_then(|name| name.strip_suffix(".md")) else {
            continue;
        };
        if !codes.contains_key(name) && !["README", "index"].contains(&name) {
            findings.push(Finding::new(path, 0, format!("no error code is called `{name}`")));
        }
    }
    findings
}

/// The codes with their lines.
fn codes(table: &str) -> BTreeMap<String, usize> {
    let code = source::split(table).code;
    let Some(start) = code.find("fn as_str") else {
        return BTreeMap::new();
    };
    let end = start + body_length(&code[start..]);
    let first = code[..start].matches('\n').count();
    let body = code[start..end].matches('\n').count() + 1;
    let arms = table.lines().enumerate().skip(first).take(body);
    arms.filter_map(|(number, line)| {
        let (_, rest) = line.split_once("=> \"")?;
        let (code, _) = rest.split_once("\",")?;
        Some((code.to_owned(), number + 1))
    })
    .collect()
}

/// Up to the bracket that closes the first one opened.
fn body_length(code: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: &str = "impl ErrorCode {\n    pub fn as_str(self) -> &'static str {\n        match self {\n            \
                         Self::A => \"run_not_found\",\n            Self::B => \"conflict\",\n        }\n    }\n\n    \
                         fn title(self) -> &'static str {\n        match self { Self::A => \"no_such_code\", }\n    }\n}\n";

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let mut all = [("x", ""); 4];
        all[..files.len()].copy_from_slice(files);
        check(&Tree::of(all))
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn a_code_without_a_page_is_found_at_its_line() {
        let found = messages(&[
            (TABLE, CODES),
            ("docs/errors/conflict.md", ""),
            ("docs/errors/README.md", ""),
        ]);
        let path = "crates/server/src/error_code.rs";
        assert_eq!(
            found,
            [format!(
                "{path}:4: `run_not_found` has no page: write docs/errors/run_not_found.md"
            )]
        );
    }

    #[test]
    fn a_page_without_a_code_is_found() {
        let pages = [
            ("docs/errors/conflict.md", ""),
            ("docs/errors/run_not_found.md", ""),
            ("docs/errors/old.md", ""),
        ];
        let found = messages(&[&[(TABLE, CODES)], &pages[..]].concat());
        assert_eq!(found, ["docs/errors/old.md: no error code is called `old`"]);
    }

    #[test]
    fn a_table_without_a_readable_code_is_an_error() {
        assert_eq!(messages(&[(TABLE, "enum ErrorCode {}")]).len(), 1);
        assert_eq!(messages(&[]), Vec::<String>::new());
    }
}
