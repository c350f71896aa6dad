//! From an error to what the user reads and to the exit code: 0 it worked, 1 it did not, 2 the input was bad.

use std::process::ExitCode;

use quintet_client::Error;
use serde_json::Value;

use super::connect::hint;
use super::document::{BadInput, Document, line_of};

/// The program could not do what was asked.
pub const FAILED: u8 = 1;
/// What was handed in cannot be used.
pub const BAD_INPUT: u8 = 2;

/// Tells the user, and gives the exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let api = error.downcast_ref::<Error>();
    eprintln!("error: {error:#}");
    for line in api.map(details).unwrap_or_default() {
        eprintln!("  {line}");
    }
    if let Some(hint) = api.map(hint).filter(|hint| !hint.is_empty()) {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    let refused = error.downcast_ref::<Error>().and_then(Error::api).is_some_and(|api| {
        // What an endpoint says about the body it was given, not about the state of things.
        matches!(api.status.as_u16(), 400 | 413 | 415 | 422) && api.message != "not found"
    });
    if refused || error.downcast_ref::<BadInput>().is_some() {
        BAD_INPUT
    } else {
        FAILED
    }
}

/// The other findings, where the server has several.
fn details(error: &Error) -> Vec<String> {
    let Some(body) = error.api().and_then(|api| api.body.as_ref()) else {
        return Vec::new();
    };
    // The pipelines face names findings by task, and those about a body in a tree.
    if let Some(by_task) = body.get("validationErrors").and_then(Value::as_object) {
        let found = by_task.iter().flat_map(|(task, found)| {
            let found = found.as_array().into_iter().flatten();
            found.map(move |found| finding(task, found))
        });
        return found.collect();
    }
    if let Some(tree) = body.get("details") {
        let mut lines = Vec::new();
        leaves("", tree, &mut lines);
        return lines;
    }
    // The tasks face has them beside the error, the product's own API inside it.
    let within = || body.get("error").and_then(|error| error.get("errors"));
    let errors = body.get("problems").or_else(within).and_then(Value::as_array);
    let Some(errors) = errors.filter(|errors| errors.len() > 1) else {
        return Vec::new();
    };
    let text = |error: &Value, name: &str| Some(error.get(name)?.as_str()?.to_owned());
    errors
        .iter()
        .filter_map(|error| Some(format!("{}: {}", text(error, "field")?, text(error, "message")?)))
        .collect()
}

/// What is wrong with a field of a task's input; a field without a name is the input as a whole.
pub fn finding(task: &str, found: &Value) -> String {
    let text = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("field") {
        "" => format!("{task}: {}", text("message")),
        field => format!("{task}: {field}: {}", text("message")),
    }
}

/// The messages of a tree such as `{"tasks": {"0": {"id": {"_errors": ["Required"]}}}}`, each with its path.
fn leaves(path: &str, tree: &Value, lines: &mut Vec<String>) {
    for (name, below) in tree.as_object().into_iter().flatten() {
        if name == "_errors" {
            let messages = below.as_array().into_iter().flatten().filter_map(Value::as_str);
            lines.extend(messages.map(|message| match path {
                "" => message.to_owned(),
                path => format!("{path}: {message}"),
            }));
        } else {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            leaves(&path, below, lines);
        }
    }
}

/// The server's finding about a document, with the line of the document where it can be told.
pub fn with_line(error: Error, document: &Document) -> anyhow::Error {
    let line = error.api().and_then(|api| line_of(document, api.field.as_deref()?));
    match line {
        Some(line) => anyhow::Error::from(error).context(format!("line {line}")),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn findings_in_a_tree_become_lines_with_paths() {
        let tree = json!({"_errors": [], "tasks": {"_errors": ["too few"], "0": {"id": {"_errors": ["Required"]}}}});
        let mut lines = Vec::new();
        leaves("", &tree, &mut lines);
        lines.sort();
        assert_eq!(lines, ["tasks.0.id: Required", "tasks: too few"]);
    }

    #[test]
    fn bad_input_is_told_apart_from_failure_through_any_context() {
        assert_eq!(
            code(&anyhow::Error::from(BadInput::new("x")).context("line 3")),
            BAD_INPUT
        );
        assert_eq!(code(&anyhow::anyhow!("x")), FAILED);
    }
}
