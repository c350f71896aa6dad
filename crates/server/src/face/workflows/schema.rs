//! JSON Schema in two places: the one that every workflow must satisfy, and the one that a workflow sets for the
//! context of its runs.
//!
//! The first comes from the program (`schema/workflow.schema.json`, embedded) or from the operator
//! (`policy.workflow_schema`). The second comes from users, so its cost is bounded before it is used, see [`cost`].
//! References to other documents are never followed.

mod cost;

use std::path::Path;
use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::document::{FieldError, FieldErrors, check_number};

/// The schema that the program brings along.
pub const DEFAULT: &str = include_str!("../../../../../schema/workflow.schema.json");
/// Largest compiled regular expression, in bytes.
const PATTERN_BYTES: usize = 1 << 20;
/// Findings reported.
const REPORTED: usize = 20;

/// A schema, ready to check.
#[derive(Debug)]
pub(crate) struct Schema {
    validator: Validator,
    cost: usize,
}

impl Schema {
    /// A schema of the operator's.
    pub fn trusted(schema: &Value) -> Result<Self, String> {
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES);
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(patterns)
            .build(schema);
        Ok(Self {
            validator: validator.map_err(|error| explain(&error))?,
            cost: 1,
        })
    }

    /// A schema of a user's.
    pub fn bounded(schema: &Value) -> Result<Self, String> {
        let cost = cost::of(schema)?;
        Ok(Self {
            cost,
            ..Self::trusted(schema)?
        })
    }

    /// The one that workflows must satisfy: the operator's, or the program's; an empty path means none.
    pub fn for_workflows(path: Option<&Path>) -> Result<Option<Self>, String> {
        let Some(path) = path else {
            let schema = serde_json::from_str(DEFAULT).map_err(|error| error.to_string())?;
            return Self::trusted(&schema).map(Some);
        };
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let failed = |error: String| format!("policy.workflow_schema: {}: {error}", path.display());
        let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let schema = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
        Self::trusted(&schema).map(Some).map_err(failed)
    }

    /// Checks a value; findings are named by their path below `root`.
    pub fn check(&self, value: &Value, root: &str) -> Result<(), FieldErrors> {
        if self.cost > 1 && self.cost.saturating_mul(cost::size_of(value)) > cost::WORK {
            let message = "is too large to be checked against its schema".to_owned();
            return Err(FieldErrors(vec![FieldError {
                field: root.to_owned(),
                message,
            }]));
        }
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let errors = self.validator.iter_errors(value).take(REPORTED);
        Err(FieldErrors(errors.map(|error| finding(root, &error)).collect()))
    }
}

/// The program's own schema, for whoever checks documents without a server.
static OWN: LazyLock<Schema> = LazyLock::new(|| {
    let schema = serde_json::from_str(DEFAULT).map_err(|error| error.to_string());
    schema
        .and_then(|schema| Schema::trusted(&schema))
        .expect("the schema is part of the program, and a test reads it")
});

/// Checks a document against the program's own schema.
pub fn check_workflow(document: &Value) -> Result<(), FieldErrors> {
    check_number(document)?;
    OWN.check(&without_nulls(document), "")
}

/// Absent and null are the same to the original, which validated what it had decoded.
pub(super) fn without_nulls(value: &Value) -> Value {
    let mut value = value.clone();
    let clean = |value: &mut Value| {
        if let Value::Object(map) = value {
            map.retain(|_, entry| !entry.is_null());
        }
    };
    clean(&mut value);
    if let Some(Value::Array(steps)) = value.get_mut("steps") {
        for step in steps {
            clean(step);
            step.get_mut("retry").into_iter().for_each(clean);
        }
    }
    value
}

/// Whether a value is a schema that runs can be checked against.
pub(super) fn check_is_schema(schema: &Value) -> Result<(), String> {
    if !schema.is_object() {
        return Err("must be a JSON Schema".to_owned());
    }
    Schema::bounded(schema).map(drop)
}

fn explain(error: &jsonschema::ValidationError<'_>) -> String {
    let at = path("", error.instance_path());
    if at.is_empty() {
        error.masked().to_string()
    } else {
        format!("{at}: {}", error.masked())
    }
}

fn finding(root: &str, error: &jsonschema::ValidationError<'_>) -> FieldError {
    let at = path(root, error.instance_path());
    if let ValidationErrorKind::Required { property } = error.kind() {
        let property = property.as_str().unwrap_or_default();
        return FieldError {
            field: join(&at, property),
            message: "is required".to_owned(),
        };
    }
    FieldError {
        field: at,
        message: error.masked().to_string(),
    }
}

fn path(root: &str, location: &Location) -> String {
    let mut path = root.to_owned();
    for segment in location {
        match segment {
            LocationSegment::Index(index) => path.push_str(&format!("[{index}]")),
            LocationSegment::Property(name) => path = join(&path, &name),
        }
    }
    path
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_default_schema_names_the_field_that_is_missing_or_wrong() {
        let schema = Schema::for_workflows(None).unwrap().unwrap();
        assert!(
            schema
                .check(
                    &json!({ "name": "n", "steps": [{ "name": "s", "action": "http" }] }),
                    ""
                )
                .is_ok()
        );
        for (document, expected) in [
            (
                json!({ "name": "n", "steps": [{ "name": "s" }] }),
                "steps[0].action: is required",
            ),
            (
                json!({ "name": "n", "steps": [{ "name": "s", "action": "a", "input": "x" }] }),
                "steps[0].input: ",
            ),
            (
                json!({ "name": "", "steps": [{ "name": "s", "action": "a" }] }),
                "name: ",
            ),
            (
                json!({ "name": "n", "steps": [{ "name": "s", "action": "a", "retry": { "max": -1 } }] }),
                "steps[0].retry.max: ",
            ),
        ] {
            let found = schema.check(&document, "").unwrap_err();
            assert!(found.to_string().starts_with(expected), "{found}");
        }
    }

    #[test]
    fn a_schema_file_that_cannot_be_used_says_which_it_is() {
        let error = Schema::for_workflows(Some(Path::new("no/such/schema.json"))).unwrap_err();
        assert!(
            error.starts_with("policy.workflow_schema: no/such/schema.json: "),
            "{error}"
        );
        assert!(Schema::for_workflows(Some(Path::new(""))).unwrap().is_none());
    }

    #[test]
    fn schemas_that_could_run_for_ever_are_refused() {
        let mut definitions = serde_json::Map::new();
        for level in 0..40 {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            definitions.insert(format!("d{level}"), json!({ "allOf": [next, next] }));
        }
        definitions.insert("d40".to_owned(), json!({ "type": "object" }));
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }] }),
            json!({ "properties": { "child": { "$ref": "#" } } }),
            json!({ "$defs": definitions, "$ref": "#/$defs/d0" }),
            json!({ "$ref": "http://example.com/schema.json" }),
            json!({ "$ref": "file:///etc/hostname" }),
            json!({ "$dynamicRef": "#x" }),
            json!({ "pattern": "(a{1000}){1000}" }),
            json!({ "$ref": "#/$defs/ghost" }),
        ] {
            assert!(check_is_schema(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn a_context_is_checked_with_its_field_named() {
        let schema = Schema::bounded(&json!({ "type": "object", "required": ["user"],
            "properties": { "user": { "$ref": "#/$defs/user" } },
            "$defs": { "user": { "type": "object", "properties": { "age": { "type": "integer" } } } } }))
        .unwrap();
        assert!(schema.check(&json!({ "user": { "age": 3 } }), "context").is_ok());
        let error = |value: Value| schema.check(&value, "context").unwrap_err().to_string();
        assert_eq!(error(json!({})), "context.user: is required");
        assert_eq!(
            error(json!({ "user": { "age": "secret" } })),
            "context.user.age: value is not of type \"integer\""
        );
    }

    #[test]
    fn a_context_too_large_for_its_schema_is_refused() {
        let many: Vec<Value> = (0..400).map(|n| json!({ "const": n })).collect();
        let schema = Schema::bounded(&json!({ "items": { "anyOf": many } })).unwrap();
        assert!(schema.check(&json!(vec![1; 200_000]), "context").is_err());
        assert!(schema.check(&json!(vec![1; 100]), "context").is_ok());
    }
}
