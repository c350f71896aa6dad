//! Input schemas, and checking inputs against them.
//!
//! A task may say what its input looks like, in a small language made for forms (`schema`). The original turned that
//! into Zod validators; the findings here have Zod's messages and codes, with the path of the field joined by dots.
//! All failing checks of a field are told, and an input is only ever judged, never changed: a `default` stands in for
//! what is absent while the input is checked, and the task still gets the input as it was sent.
//!
//! Three things differ from the original on purpose:
//!
//! - `showIf` is honoured: a field that is hidden need not be there. If it is there, it is checked.
//! - A required field that is missing is `Required` whatever its type. The original let `json` fields pass, took a
//!   missing date for a wrong one, and a missing choice for a wrong choice.
//! - Findings, and the work that look-around in patterns can cause, are bounded.
//!
//! A pattern that is no regular expression, or too large a one, is ignored, as the original did.

mod check;
mod dates;
mod formats;
mod schema;

use serde::Serialize;
use serde_json::Value;

pub(crate) use schema::InputSchema;

/// One finding about an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct InputError {
    /// Path of the field, joined by dots; empty for the input itself.
    pub field: String,
    pub message: String,
    /// Zod's code.
    pub code: &'static str,
}

/// Checks an input against a schema as it was registered. A schema that cannot be read is itself the finding.
pub(crate) fn validate(schema: &Value, input: &Value) -> Vec<InputError> {
    match InputSchema::read(schema) {
        Ok(schema) => schema.check(input),
        Err(error) => vec![InputError {
            field: "_schema".to_owned(),
            message: error.to_string(),
            code: "invalid_schema",
        }],
    }
}

#[cfg(test)]
mod tests;
