//! Mermaid text, for pages that draw it themselves (GitHub, GitLab, many wikis).

use std::fmt::Write;

use quintet_core::plan::EdgeOn;

use super::{Node, Picture, State, edge_label, shorten};

/// The picture as a `graph TD`: nodes in the order of the definition, then edges, then styles.
pub fn mermaid(picture: &Picture) -> String {
    let ids: Vec<String> = picture
        .nodes
        .iter()
        .enumerate()
        .map(|(at, node)| id(at, &node.key))
        .collect();
    let mut text = String::from("graph TD\n");
    for (id, node) in ids.iter().zip(&picture.nodes) {
        let (open, close) = shape(node);
        let _ = writeln!(text, "  {id}{open}\"{}\"{close}", label(node));
    }
    for edge in &picture.edges {
        let arrow = match edge.on {
            EdgeOn::Success => "-->".to_owned(),
            EdgeOn::Failure | EdgeOn::Always => format!("-. {} .->", edge_label(edge.on).unwrap_or_default()),
        };
        let _ = writeln!(text, "  {} {arrow} {}", ids[edge.from], ids[edge.to]);
    }
    let optional = chosen(picture, &ids, |node| node.optional);
    if !optional.is_empty() {
        let _ = writeln!(text, "  style {optional} stroke-dasharray: 5 5");
    }
    for state in State::ALL {
        let nodes = chosen(picture, &ids, |node| node.state == Some(state));
        if !nodes.is_empty() {
            let (name, [fill, stroke, colour]) = (state.name(), state.colours());
            let _ = writeln!(text, "  classDef {name} fill:{fill},stroke:{stroke},color:{colour}");
            let _ = writeln!(text, "  class {nodes} {name}");
        }
    }
    text
}

/// A name that Mermaid takes: the key where it is one.
fn id(at: usize, key: &str) -> String {
    let plain =
        key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !key.starts_with(|c: char| c.is_ascii_digit());
    // These words mean something to Mermaid wherever they stand.
    let reserved =
        ["end", "graph", "subgraph", "style", "class", "click", "default"].contains(&key.to_lowercase().as_str());
    if plain && !reserved && !key.is_empty() {
        key.to_owned()
    } else {
        format!("step_{at}")
    }
}

fn shape(node: &Node) -> (&'static str, &'static str) {
    if node.for_each {
        ("{{", "}}")
    } else if node.approval {
        ("([", "])")
    } else {
        ("[", "]")
    }
}

fn label(node: &Node) -> String {
    let mut lines = vec![escape(&shorten(&node.label, 60)), escape(&shorten(&node.action, 60))];
    if node.for_each {
        lines[1].push_str(", for each");
    }
    lines.extend(
        node.when
            .as_ref()
            .map(|when| format!("if {}", escape(&shorten(when, 48)))),
    );
    lines.extend(node.join.as_ref().map(|join| format!("join: {join}")));
    lines.extend(node.note.as_deref().map(escape));
    lines.join("<br/>")
}

/// Inside quotes Mermaid still reads quotes, angle brackets and entities.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("#quot;"),
            '#' => escaped.push_str("#35;"),
            '<' => escaped.push_str("#lt;"),
            '>' => escaped.push_str("#gt;"),
            '&' => escaped.push_str("#amp;"),
            '\n' | '\r' => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn chosen(picture: &Picture, ids: &[String], wanted: impl Fn(&Node) -> bool) -> String {
    let nodes = ids.iter().zip(&picture.nodes).filter(|(_, node)| wanted(node));
    nodes.map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::super::tests::order;
    use super::*;

    #[test]
    fn a_plan_becomes_nodes_then_edges_then_styles() {
        let expected = r#"graph TD
  fetch["fetch order<br/>http"]
  price{{"price<br/>http, for each"}}
  step_2(["end<br/>approval<br/>if context.total #gt; #quot;a#quot;"])
  mend["mend<br/>http<br/>join: any"]
  fetch --> price
  price --> step_2
  fetch -. on failure .-> mend
  price -. always .-> mend
  style mend stroke-dasharray: 5 5
"#;
        assert_eq!(mermaid(&order()), expected);
    }

    #[test]
    fn a_run_is_coloured_by_the_state_of_its_steps() {
        let mut picture = order();
        picture.nodes[0].state = Some(State::Succeeded);
        picture.nodes[1].state = Some(State::Failed);
        picture.nodes[3].state = Some(State::Succeeded);
        let text = mermaid(&picture);
        assert!(text.ends_with(
            "  classDef succeeded fill:#dcfce7,stroke:#16a34a,color:#14532d\n  class fetch,mend succeeded\n  \
             classDef failed fill:#fee2e2,stroke:#dc2626,color:#7f1d1d\n  class price failed\n"
        ));
    }
}
