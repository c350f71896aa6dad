//! Whatever a user writes between braces, the engine never takes for a template.

use proptest::prelude::*;
use quintet_core::plan::Plan;
use serde_json::Value;

use super::super::super::document;
use super::super::*;

/// Every string of a plan that the engine may take for a template.
fn templates(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| templates(item, found)),
        Value::Object(map) => map.values().for_each(|item| templates(item, found)),
        _ => {}
    }
}

/// Whether a template is one that this room writes, with nothing but a quoted key from outside.
fn is_ours(text: &str) -> bool {
    let inside = text
        .strip_prefix("{{ ")
        .and_then(|rest| rest.strip_suffix(" }}"))
        .unwrap_or("{");
    let of_step = inside.strip_prefix("steps['").and_then(|rest| {
        let (key, field) = rest.rsplit_once("'].")?;
        Some(!key.contains(['{', '}', '%']) && ["output", "status", "error"].contains(&field))
    });
    of_step.unwrap_or(["item", "index"].contains(&inside))
}

fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{{"),
        Just("}}"),
        Just("{%"),
        Just("%}"),
        Just("{#"),
        Just("'"),
        Just("\\"),
        Just("\""),
        Just("payload"),
        Just("steps"),
        Just("item"),
        Just("."),
        Just("0"),
        Just("a"),
        Just(" "),
        Just("| length"),
        Just("\n"),
        Just("é"),
        Just("raw"),
        Just("endraw"),
    ];
    prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_that_a_user_writes_reaches_a_template_of_the_engine(
        ids in prop::collection::vec(nasty(), 3),
        texts in prop::collection::vec(nasty(), 6),
        flags in prop::collection::vec(any::<bool>(), 4),
    ) {
        let ids: Vec<String> = ids.iter().enumerate().map(|(n, id)| format!("{id}{n}")).collect();
        let first = &ids[0];
        let body = json!({
            "type": texts[0].replace('\n', " "), "payload": { "a": texts[1] }, "steps": [
                { "id": ids[0], "task": texts[2].replace('\n', "-"), "optional": flags[0], "runWhen": texts[3], "input": { "x": texts[4] } },
                { "id": ids[1], "task": "t", "dependsOn": [first], "runWhen": format!("{{{{steps.{first}}}}}"),
                  "input": { "y": format!("{{{{steps.{first}.{}}}}}", texts[5]), (texts[5].as_str()): [format!("{} {{{{steps.{first}}}}}", texts[1])] } },
                { "id": ids[2], "task": "t", "dependsOn": [ids[1]], "forEach": format!("{{{{steps.{}}}}}", ids[1]),
                  "input": { "z": "{{steps}} {{item}}" } },
            ],
        });
        let rules = Rules { graph_errors: if flags[1] { GraphErrors::AtRun } else { GraphErrors::AtSubmit }, ..Rules::default() };
        let Ok(task) = Task::parse(&body, &document::Rules::default()) else { return Ok(()) };
        let Ok(spec) = compile(&task, &rules) else { return Ok(()) };
        for step in &spec.steps {
            let mut found = Vec::new();
            templates(&step.input, &mut found);
            for text in found {
                prop_assert!(is_ours(&text), "{text}");
            }
            let items = step.for_each.as_ref().and_then(|each| each.items.as_str());
            for expression in step.when.as_deref().into_iter().chain(items) {
                let markup = ["{{", "}}", "{%", "%}", "{#"].iter().any(|markup| expression.contains(markup));
                prop_assert!(!markup, "{expression}");
            }
        }
        prop_assert!(Plan::compile(spec).is_ok());
    }
}
