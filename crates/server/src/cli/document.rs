//! Reading what the user hands in: workflow documents and inputs.
//!
//! A document is YAML or JSON. Two sections of it are for the command line alone and never reach the server:
//! `fixtures` (services to start for a run) and `input` (what a run gets when no `--input` is given).

use std::fmt::Display;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use crate::config::MOST_VALUES;
use crate::face::workflows::document::{MAX_DEPTH, parse as parse_document};
use crate::http::depth::excess;

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// A workflow document, taken apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// What the server gets.
    pub workflow: Value,
    /// Services to start for a run.
    pub fixtures: Option<Value>,
    /// What a run gets when nothing else is said.
    pub input: Map<String, Value>,
    /// The text that it was read from, to find lines in.
    pub source: String,
}

/// What was handed in cannot be used. Ends the program with exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", prefix(field))]
pub struct BadInput {
    /// Which field, or empty.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

fn prefix(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{field}: ")
    }
}

impl BadInput {
    /// Something is wrong with a field.
    pub fn at(field: impl Into<String>, message: impl Display) -> Self {
        Self {
            field: field.into(),
            message: message.to_string(),
        }
    }

    /// Something is wrong as a whole.
    pub fn new(message: impl Display) -> Self {
        Self::at("", message)
    }
}

/// Reads a document; `-` is the standard input.
pub fn read(path: &Path) -> Result<Document, BadInput> {
    let source = text(path)?;
    parse(&source).map_err(|error| BadInput::at(format!("{}{}", path.display(), colon(&error.field)), error.message))
}

fn colon(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!(": {field}")
    }
}

fn parse(source: &str) -> Result<Document, BadInput> {
    let mut value = value(source)?;
    let fields = value
        .as_object_mut()
        .ok_or_else(|| BadInput::new("a workflow document is an object with `steps`"))?;
    let fixtures = fields.shift_remove("fixtures").filter(|section| !section.is_null());
    let input = match fields.shift_remove("input") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(input)) => input,
        Some(_) => return Err(BadInput::at("input", "must be an object")),
    };
    Ok(Document {
        workflow: value,
        fixtures,
        input,
        source: source.to_owned(),
    })
}

/// Reads a value from YAML or JSON, within the bounds that the server has.
fn value(source: &str) -> Result<Value, BadInput> {
    // Read as YAML, a mistake in a JSON text would be explained in a way that nobody understands.
    if source.trim_start().starts_with(['{', '[']) {
        if let Some(excess) = excess(source.as_bytes(), MAX_DEPTH, 4 * MOST_VALUES) {
            return Err(BadInput::new(excess));
        }
        match serde_json::from_str(source) {
            Ok(value) => return Ok(value),
            // A flow mapping of YAML begins like this too.
            Err(error) if parse_document(source.as_bytes(), "yaml").is_err() => return Err(BadInput::new(error)),
            Err(_) => {}
        }
    }
    parse_document(source.as_bytes(), "yaml").map_err(BadInput::new)
}

/// Reads `--input`: a JSON object itself, `@FILE` with JSON or YAML, or `@-` for the standard input.
pub fn input(argument: &str) -> Result<Value, BadInput> {
    match any_input(argument)? {
        value @ Value::Object(_) => Ok(value),
        _ => Err(BadInput::at(
            "--input",
            "must be a JSON object, such as '{\"order\": 7}'",
        )),
    }
}

/// The same where any value will do.
pub fn any_input(argument: &str) -> Result<Value, BadInput> {
    let named = |message: &dyn Display| BadInput::at("--input", message);
    match argument.strip_prefix('@') {
        Some(path) => value(&text(Path::new(path))?).map_err(|error| named(&error.message)),
        None => serde_json::from_str(argument).map_err(|error| named(&format!("is not JSON: {error}"))),
    }
}

/// Reads a file that holds an object, in JSON or YAML; `-` is the standard input.
pub fn object(path: &Path) -> Result<Map<String, Value>, BadInput> {
    let named = |message: String| BadInput::at(path.display().to_string(), message);
    match value(&text(path)?).map_err(|error| named(error.message))? {
        Value::Object(object) => Ok(object),
        _ => Err(named("must hold an object".to_owned())),
    }
}

fn text(path: &Path) -> Result<String, BadInput> {
    let failed = |error: std::io::Error| BadInput::at(path.display().to_string(), error);
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(failed)?;
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
            .map_err(failed)?;
    }
    Ok(text)
}

/// The line of a YAML or JSON text, from 1, in which the step of a path such as `steps[3].retry` begins, as far as its
/// layout tells: found by the step's key, which is written literally.
pub fn line_of(document: &Document, field: &str) -> Option<usize> {
    let nth: usize = field.strip_prefix("steps[")?.split(']').next()?.parse().ok()?;
    let step = document.workflow.get("steps")?.get(nth)?;
    let wanted = ["id", "key", "name"]
        .iter()
        .find_map(|name| Some((*name, step.get(name)?.as_str()?)))?;
    let lines = document.source.lines().enumerate();
    let mut found = lines.filter(|(_, line)| names(line, wanted.0, wanted.1));
    let first = found.next()?.0 + 1;
    // Said only where it is sure.
    found.next().is_none().then_some(first)
}

fn names(line: &str, name: &str, value: &str) -> bool {
    let bare = |text: &str| text.trim().trim_matches(['"', '\'', ',', '{', '}']).trim().to_owned();
    let line = line.trim().trim_start_matches("- ").trim_start_matches('{');
    let pair = line.split(',').next().unwrap_or_default();
    pair.split_once(':')
        .is_some_and(|(key, rest)| bare(key) == name && bare(rest) == value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fixtures_and_input_are_taken_out_of_the_document() {
        let document = parse("name: a\ninput: {n: 1}\nfixtures: {shop: {routes: []}}\nsteps: []\n").unwrap();
        assert_eq!(document.workflow, json!({"name": "a", "steps": []}));
        assert_eq!(document.fixtures, Some(json!({"shop": {"routes": []}})));
        assert_eq!(Value::Object(document.input), json!({"n": 1}));
    }

    #[test]
    fn json_and_yaml_are_both_read_and_other_things_are_refused() {
        assert_eq!(value("{\"a\": 1}").unwrap(), json!({"a": 1}));
        assert_eq!(value("{a: 1}").unwrap(), json!({"a": 1}));
        assert_eq!(value("a: 1").unwrap(), json!({"a": 1}));
        assert!(parse("just text").is_err());
        assert!(parse("a: [1").is_err());
        assert!(
            parse("steps: []\ninput: [1]")
                .unwrap_err()
                .to_string()
                .starts_with("input: ")
        );
    }

    #[test]
    fn an_input_is_an_object_and_says_so_otherwise() {
        assert_eq!(input("{\"a\": [1]}").unwrap(), json!({"a": [1]}));
        assert_eq!(input("[1]").unwrap_err().field, "--input");
        assert!(input("{").unwrap_err().message.starts_with("is not JSON"));
        assert!(input("@/no/such/file").is_err());
    }

    #[test]
    fn the_line_of_a_step_is_found_by_its_id() {
        let document =
            parse("name: x\nsteps:\n  - id: one\n    action: noop\n  - {id: \"two\", action: noop}\n").unwrap();
        assert_eq!(line_of(&document, "steps[0].retry"), Some(3));
        assert_eq!(line_of(&document, "steps[1]"), Some(5));
        assert_eq!(line_of(&document, "settings"), None);
    }
}
