//! DOT text, for Graphviz and everything that reads it.

use std::fmt::Write;

use quintet_core::plan::EdgeOn;

use super::{Node, Picture, State, edge_label, shorten};

/// The picture as a directed graph.
pub fn dot(picture: &Picture) -> String {
    let mut text = String::from("digraph workflow {\n");
    if !picture.title.is_empty() {
        let _ = writeln!(text, "  label={}; labelloc=t;", quoted(&picture.title));
    }
    text.push_str("  rankdir=TB; fontname=\"Helvetica\";\n");
    text.push_str("  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11];\n");
    text.push_str("  edge [color=\"#94a3b8\", fontname=\"Helvetica\", fontsize=9];\n");
    for node in &picture.nodes {
        let _ = writeln!(text, "  {} [{}];", quoted(&node.key), attributes(node));
    }
    for edge in &picture.edges {
        let (from, to) = (
            quoted(&picture.nodes[edge.from].key),
            quoted(&picture.nodes[edge.to].key),
        );
        let look = match edge.on {
            EdgeOn::Success => String::new(),
            EdgeOn::Failure => format!(" [style=dashed, color=\"#dc2626\", label={}]", edge_words(edge.on)),
            EdgeOn::Always => format!(" [style=dashed, label={}]", edge_words(edge.on)),
        };
        let _ = writeln!(text, "  {from} -> {to}{look};");
    }
    text.push_str("}\n");
    text
}

fn edge_words(on: EdgeOn) -> String {
    quoted(edge_label(on).unwrap_or_default())
}

fn attributes(node: &Node) -> String {
    let [fill, border, colour] = node.state.unwrap_or(State::Pending).colours();
    let mut lines = vec![shorten(&node.label, 60), shorten(&node.action, 60)];
    if node.for_each {
        lines[1].push_str(", for each");
    }
    lines.extend(node.when.as_ref().map(|when| format!("if {}", shorten(when, 48))));
    lines.extend(node.join.as_ref().map(|join| format!("join: {join}")));
    lines.extend(node.note.clone());
    let label = quoted(&lines.join("\n"));
    let mut all = format!("label={label}, fillcolor=\"{fill}\", color=\"{border}\", fontcolor=\"{colour}\"");
    if node.for_each {
        all.push_str(", peripheries=2");
    }
    if node.optional {
        all.push_str(", style=\"rounded,filled,dashed\"");
    }
    all
}

fn quoted(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\r', "")
            .replace('\n', "\\n")
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::order;
    use super::*;

    #[test]
    fn keys_labels_and_edges_are_quoted() {
        let text = dot(&order());
        assert!(text.starts_with("digraph workflow {\n  label=\"order\"; labelloc=t;\n"));
        assert!(text.contains("  \"fetch\" [label=\"fetch order\\nhttp\", "));
        assert!(text.contains("if context.total > \\\"a\\\""));
        assert!(text.contains("  \"fetch\" -> \"price\";\n"));
        assert!(text.contains("  \"fetch\" -> \"mend\" [style=dashed, color=\"#dc2626\", label=\"on failure\"];\n"));
        assert!(text.ends_with("}\n"));
    }
}
