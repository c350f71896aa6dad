//! The result of a task, in the original's shape.
//!
//! An answer that is an object with at least one of the fields of a result, all of which fit, is taken field by field.
//! Any other answer is the result's `output`: a text as it is, and anything else as JSON.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::super::document::go_float;

/// Fields by which an answer is known as a result.
const FIELDS: [&str; 7] = [
    "output",
    "files",
    "artifacts",
    "metrics",
    "validation_result",
    "sandbox_result",
    "resource_usage",
];

/// What a task gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct TaskResult {
    pub output: String,
    /// Texts by name.
    pub files: Option<Map<String, Value>>,
    pub artifacts: Option<Vec<String>>,
    pub metrics: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_result: Option<ValidationResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_result: Option<SandboxResult>,
    /// What it used, as far as whoever did it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_usage: Option<ResourceUsage>,
}

/// What a validator said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ValidationResult {
    #[serde(deserialize_with = "nullable")]
    pub status: String,
    #[serde(deserialize_with = "nullable", serialize_with = "go_float")]
    pub score: f64,
    pub issues: Option<Vec<ValidationIssue>>,
    pub metadata: Option<Map<String, Value>>,
}

/// One thing that a validator found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ValidationIssue {
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub kind: String,
    #[serde(deserialize_with = "nullable")]
    pub severity: String,
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// What a sandbox said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SandboxResult {
    #[serde(deserialize_with = "nullable")]
    pub exit_code: i64,
    #[serde(deserialize_with = "nullable")]
    pub stdout: String,
    #[serde(deserialize_with = "nullable")]
    pub stderr: String,
    /// In nanoseconds.
    #[serde(deserialize_with = "nullable")]
    pub execution_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_usage: Option<ResourceUsage>,
    pub artifacts: Option<Vec<String>>,
}

/// What was used, as it was reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ResourceUsage {
    /// In nanoseconds.
    #[serde(deserialize_with = "nullable")]
    pub cpu_time: i64,
    /// In bytes, as the following ones.
    #[serde(deserialize_with = "nullable")]
    pub memory_used: i64,
    #[serde(deserialize_with = "nullable")]
    pub disk_used: i64,
    #[serde(deserialize_with = "nullable")]
    pub network_io: i64,
}

impl TaskResult {
    /// What the task used: by its own word, or else its sandbox's.
    pub fn usage(&self) -> Option<&ResourceUsage> {
        let of_sandbox = || self.sandbox_result.as_ref()?.resource_usage.as_ref();
        self.resource_usage.as_ref().or_else(of_sandbox)
    }
}

/// An answer with the fields of a result.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Answer {
    output: Value,
    #[serde(deserialize_with = "texts")]
    files: Option<Map<String, Value>>,
    artifacts: Option<Vec<String>>,
    metrics: Option<Map<String, Value>>,
    validation_result: Option<ValidationResult>,
    sandbox_result: Option<SandboxResult>,
    resource_usage: Option<ResourceUsage>,
}

/// What an answer is, as a result.
pub(crate) fn result_of(output: &Value) -> TaskResult {
    let is_result = output
        .as_object()
        .is_some_and(|fields| FIELDS.iter().any(|name| fields.contains_key(*name)));
    let answer = is_result.then(|| Answer::deserialize(output).ok()).flatten();
    let Some(answer) = answer else {
        return TaskResult {
            output: text_of(output),
            ..TaskResult::default()
        };
    };
    TaskResult {
        output: text_of(&answer.output),
        files: answer.files,
        artifacts: answer.artifacts,
        metrics: answer.metrics,
        validation_result: answer.validation_result,
        sandbox_result: answer.sandbox_result,
        resource_usage: answer.resource_usage,
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Null is the zero value, as in Go.
fn nullable<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map<String, Value>>, D::Error> {
    let table: Option<Map<String, Value>> = Option::deserialize(deserializer)?;
    match table.iter().flatten().find(|(_, value)| !value.is_string()) {
        None => Ok(table),
        Some((name, _)) => Err(serde::de::Error::custom(format!("files.{name} is no text"))),
    }
}
