//! Links between the documents lead somewhere. What they say about other hosts is not looked at.

use crate::tidy::Finding;
use crate::tidy::tree::Tree;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_ending(".md") {
        let mut fence = None;
        for (number, line) in text.lines().enumerate() {
            if let Some(mark) = fence_mark(line) {
                fence = if fence == Some(mark) {
                    None
                } else {
                    fence.or(Some(mark))
                };
                continue;
            }
            if fence.is_some() {
                continue;
            }
            for target in targets(line) {
                let missing = resolve(path, &target).is_none_or(|file| !tree.has(&file));
                if is_relative(&target) && missing {
                    findings.push(Finding::new(
                        path,
                        number + 1,
                        format!("links to `{target}`, which is not there"),
                    ));
                }
            }
        }
    }
    findings
}

fn fence_mark(line: &str) -> Option<&'static str> {
    ["```", "~~~"]
        .into_iter()
        .find(|mark| line.trim_start().starts_with(mark))
}

/// The targets of `[text](target "title")`, `![text](target)` and `[label]: target`.
fn targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let mut found = Vec::new();
    for (at, _) in line.match_indices("](") {
        let rest = &line[at + 2..];
        let target = match rest.strip_prefix('<') {
            Some(rest) => rest.split('>').next(),
            None => rest.split([')', ' ']).next(),
        };
        found.extend(target.map(str::to_owned));
    }
    if let Some((label, target)) = line.trim_start().split_once("]: ")
        && label.starts_with('[')
        && !label.starts_with("[^")
    {
        found.extend(target.split_whitespace().next().map(str::to_owned));
    }
    found
}

/// The line with the insides of `code` blanked out.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    let last = parts.len() - 1;
    // An odd part lies between two ticks, unless the line ends before the second one.
    let keep = |number: usize| number.is_multiple_of(2) || number == last;
    parts
        .iter()
        .enumerate()
        .filter(|(number, _)| keep(*number))
        .map(|(_, part)| *part)
        .collect()
}

fn is_relative(target: &str) -> bool {
    let scheme = target
        .split_once(':')
        .is_some_and(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    !target.is_empty() && !target.starts_with('#') && !target.starts_with("//") && !scheme
}

/// The path from the root that the link in `from` means, or nothing when it leads out of the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let target = target.split(['#', '?']).next().unwrap_or_default().replace("%20", " ");
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => from.split('/').collect(),
    };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str) -> Vec<String> {
        let tree = Tree::of([
            ("docs/page.md", text),
            ("docs/other.md", ""),
            ("README.md", ""),
            ("a b.md", ""),
        ]);
        check(&tree).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        let text = "[a](other.md) [b](../README.md#top \"Title\") ![c](/README.md) [d](<../a b.md>) [e](./)\n\
                    [f](#here) [g](https://example.test/x.md) [h](mailto:x@example.test) [i](../a%20b.md)\n\
                    [label]: other.md\n";
        assert_eq!(broken(text), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_are_found_at_their_line() {
        assert_eq!(
            broken("x\n[a](gone.md#x)"),
            ["docs/page.md:2: links to `gone.md#x`, which is not there"]
        );
        assert_eq!(broken("[a](README.md)").len(), 1);
        assert_eq!(broken("[a](../../outside.md)").len(), 1);
        assert_eq!(broken("[label]: gone.md").len(), 1);
        assert_eq!(broken("[a](other.md) and [b](gone.md)").len(), 1);
    }

    #[test]
    fn code_is_not_searched_for_links() {
        assert_eq!(broken("`[a](gone.md)`\n```\n[a](gone.md)\n```\n"), Vec::<String>::new());
        assert_eq!(broken("```\ncode\n```\n[a](gone.md)\n").len(), 1);
    }
}
