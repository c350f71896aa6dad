//! From an error to what the user reads and to the exit code: 0 it worked, 1 it did not, 2 the input was bad.

use std::process::ExitCode;

use quintet_client::Error;

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
    let errors = || error.api()?.body.as_ref()?.get("error")?.get("errors")?.as_array();
    let Some(errors) = errors().filter(|errors| errors.len() > 1) else {
        return Vec::new();
    };
    let text = |error: &serde_json::Value, name: &str| Some(error.get(name)?.as_str()?.to_owned());
    errors
        .iter()
        .filter_map(|error| Some(format!("{}: {}", text(error, "field")?, text(error, "message")?)))
        .collect()
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

    #[test]
    fn bad_input_is_told_apart_from_failure_through_any_context() {
        assert_eq!(
            code(&anyhow::Error::from(BadInput::new("x")).context("line 3")),
            BAD_INPUT
        );
        assert_eq!(code(&anyhow::anyhow!("x")), FAILED);
    }
}
