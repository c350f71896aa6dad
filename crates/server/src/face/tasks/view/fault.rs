//! What went wrong, in this face's words.
//!
//! Most of it was said by a backend, and is shown as it is. What the engine itself says, of time limits and of lists that
//! are none, has a form here that clients look for.

use super::super::document::Step;

/// What the engine says of the items that made a step fail.
const ITEM: &str = "item ";
const TIMED_OUT: &str = "timed out after ";
const NO_LIST: &str = "for_each did not give an array but ";

/// A failure of what is called so: a step, or the type of a task without steps.
pub(crate) fn of(label: &str, message: &str) -> String {
    match timed_out_ms(message) {
        Some(ms) => format!("\"{label}\" timed out after {ms}ms"),
        None => message.to_owned(),
    }
}

/// A failure of an item.
pub(crate) fn of_item(label: &str, index: usize, message: &str) -> String {
    of(&format!("{label}[{index}]"), message)
}

/// A failure that was handed on by one of a step's parts, which may be about an item of it.
pub(crate) fn of_part(label: &str, message: &str) -> String {
    let item = || {
        let (index, message) = message.strip_prefix(ITEM)?.split_once(": ")?;
        Some((index.parse::<usize>().ok()?, message))
    };
    match item() {
        Some((index, message)) => of_item(label, index, message),
        None => of(label, message),
    }
}

/// A failure of a step, where only its text is known.
pub(crate) fn of_step(step: &Step<'_>, message: &str) -> String {
    match (step.for_each, message.strip_prefix(NO_LIST)) {
        (Some(template), Some(kind)) => no_list(template, type_of(kind)),
        _ => of(&step.id, message),
    }
}

/// Whether it is about a list that is none.
pub(crate) fn is_about_list(message: &str) -> bool {
    message.starts_with(NO_LIST)
}

/// What the original said of a `forEach` over something else.
pub(crate) fn no_list(template: &str, kind: &str) -> String {
    format!("forEach template \"{template}\" did not resolve to array, got: {kind}")
}

/// What `typeof` says, as far as the engine tells: to it, what is not there is null.
fn type_of(kind: &str) -> &'static str {
    match kind {
        "a boolean" => "boolean",
        "a number" => "number",
        "a string" => "string",
        "an object" => "object",
        _ => "undefined",
    }
}

fn timed_out_ms(message: &str) -> Option<u64> {
    let rest = message.strip_prefix(TIMED_OUT)?;
    let ms = rest.strip_suffix(" in all").unwrap_or(rest).strip_suffix(" ms")?;
    ms.parse().ok()
}
