//! The definition language: a JSON or YAML document, read into what is stored of it and the plan that runs.
//!
//! A document is a name and a list of steps. Without any `depends_on` the steps run in the order written; with one,
//! exactly the edges that are written hold. Every other field is optional. What a step is called in templates is its
//! `id`; one that has none gets its name in lower case with `_` for everything else (`call ai-router` is
//! `steps.call_ai_router`), made unique by a number, or `step_<n>` where there is no name either.
//!
//! Fields that this language does not know are accepted and dropped, as the original did; known ones with a wrong
//! type are refused by their path, all of them at once.

mod ids;
mod parse;
mod read;
mod step;

use std::sync::Arc;

use quintet_core::plan::{FailurePolicy, MAX_STEPS, Plan, PlanError, PlanSpec, Settings};
use quintet_engine::Registry;
use serde::Serialize;
use serde_json::{Map, Value};

pub(crate) use parse::is_nested_at_most;
pub use parse::{DocumentError, MAX_BYTES, MAX_DEPTH, MAX_YAML_BYTES, first_json, parse};

use read::{Findings, Object};

/// One finding about a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// Path of the field, for instance `steps[2].retry.max`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// All findings about a document; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldErrors(pub Vec<FieldError>);

impl std::fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if nth > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}

impl From<PlanError> for FieldErrors {
    fn from(error: PlanError) -> Self {
        let field = match error.field.strip_prefix("settings.") {
            Some(setting) => setting.to_owned(),
            None => match error.field.strip_suffix("].key") {
                Some(step) => format!("{step}].id"),
                None => error.field,
            },
        };
        Self(vec![FieldError {
            field,
            message: error.message,
        }])
    }
}

/// How a document is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlanOptions {
    /// Every step waits for a person, whatever it says itself.
    pub require_approval: bool,
}

/// What is kept of a document.
#[derive(Debug, Clone)]
pub struct StoredDocument {
    /// The id that the client gave, if it did.
    pub id: Option<String>,
    /// The workflow's name; empty where an inline document has none.
    pub name: String,
    /// When the client says that it was created.
    pub created_at: Option<String>,
    /// JSON Schema of the run context.
    pub input_schema: Option<Value>,
    body: Map<String, Value>,
}

impl StoredDocument {
    /// The document as it is stored and returned.
    pub fn into_value(mut self, id: &str, created_at: &str) -> Value {
        self.body.insert("id".to_owned(), Value::from(id));
        self.body.insert(
            "created_at".to_owned(),
            Value::from(self.created_at.as_deref().unwrap_or(created_at)),
        );
        Value::Object(self.body)
    }
}

/// Reads a document. `registry` checks the inputs of the actions that it knows; an action that nobody knows is
/// accepted and fails when it is reached.
pub fn plan_of(
    document: &Value,
    registry: Option<&Registry>,
    options: PlanOptions,
) -> Result<(StoredDocument, Plan), FieldErrors> {
    let mut found = Findings::default();
    let Some(document) = document.as_object() else {
        found.add("", "a workflow is an object");
        return Err(found.into_errors());
    };
    let top = Object::new("", document);
    let id = top.text("id", &mut found).filter(|id| !id.is_empty());
    if id.is_some_and(|id| id.len() > 255 || id.chars().any(char::is_control)) {
        found.add("id", "must have at most 255 bytes and no control characters");
    }
    let name = top.text("name", &mut found).unwrap_or_default();
    let description = top.text("description", &mut found).unwrap_or_default();
    let settings = settings_of(&top, &mut found);
    let created_at = created_at_of(&top, &mut found);
    let input_schema = top.get("input_schema");
    if let Some(schema) = input_schema {
        super::schema::check_is_schema(schema).unwrap_or_else(|message| found.add("input_schema", message));
    }
    check_number_of(top.get("steps"))?;
    let steps = match top.get("steps") {
        None => &[],
        Some(Value::Array(steps)) => steps.as_slice(),
        Some(_) => {
            found.add("steps", "must be an array");
            &[]
        }
    };
    let read = step::read_all(steps, registry, options, &mut found);
    if found.is_any() {
        return Err(found.into_errors());
    }
    let mut body = Map::new();
    body.insert("id".to_owned(), Value::Null);
    body.insert("name".to_owned(), name.into());
    if !description.is_empty() {
        body.insert("description".to_owned(), description.into());
    }
    body.insert("steps".to_owned(), Value::Array(read.documents));
    body.insert("created_at".to_owned(), Value::Null);
    for addition in ["on_failure", "timeout", "timeout_ms", "max_concurrency", "input_schema"] {
        if let Some(value) = top.get(addition) {
            body.insert(addition.to_owned(), value.clone());
        }
    }
    let plan = Plan::compile(PlanSpec {
        steps: read.steps,
        settings,
    })?;
    let input_schema = input_schema.cloned();
    Ok((
        StoredDocument {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            created_at,
            input_schema,
            body,
        },
        plan,
    ))
}

/// Refuses a document with more steps than a plan may have, before any of them is looked at.
pub fn check_number(document: &Value) -> Result<(), FieldErrors> {
    check_number_of(document.get("steps"))
}

fn check_number_of(steps: Option<&Value>) -> Result<(), FieldErrors> {
    match steps {
        Some(Value::Array(steps)) if steps.len() > MAX_STEPS => Err(FieldErrors(vec![FieldError {
            field: "steps".to_owned(),
            message: format!("{} steps are more than {MAX_STEPS}", steps.len()),
        }])),
        _ => Ok(()),
    }
}

/// The same plan with a person before every step.
pub fn gated(plan: &Arc<Plan>) -> Result<Arc<Plan>, PlanError> {
    let mut spec = plan.spec.clone();
    spec.steps.iter_mut().for_each(|step| step.requires_approval = true);
    Plan::compile(spec).map(Arc::new)
}

fn settings_of(top: &Object<'_>, found: &mut Findings) -> Settings {
    let on_failure = top.choice(
        "on_failure",
        &[
            ("fail_fast", FailurePolicy::FailFast),
            ("continue", FailurePolicy::Continue),
            ("block", FailurePolicy::Block),
        ],
        found,
    );
    Settings {
        on_failure: on_failure.unwrap_or_default(),
        timeout_ms: top.duration("timeout", found),
        max_concurrency: top
            .whole("max_concurrency", 1, u64::from(u32::MAX), found)
            .map(|limit| limit as u32),
        ..Settings::default()
    }
}

fn created_at_of(top: &Object<'_>, found: &mut Findings) -> Option<String> {
    let text = top.text("created_at", found)?;
    // The zero time of the original's language stands for none; its built-in templates carry it.
    if text.starts_with("0001-01-01T00:00:00") {
        return None;
    }
    if quintet_core::time::Time::parse_rfc3339(text).is_none() {
        found.add("created_at", "must be an RFC 3339 time");
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests;
