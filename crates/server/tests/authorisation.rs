//! Who may do what, on every operation that the description of the API names: nothing here lists routes by hand.
//!
//! The operations are those of the description, and what each needs is the row that the edge has for it. An operation
//! without a row fails, and so does one with a parameter that nobody has said how to fill.

#[allow(unused_imports, reason = "no step waits for anybody here")]
pub(crate) mod common;

#[path = "authorisation/matrix.rs"]
mod matrix;
#[path = "authorisation/operations.rs"]
mod operations;
#[path = "authorisation/site.rs"]
mod site;
#[path = "authorisation/strangers.rs"]
mod strangers;
#[path = "authorisation/things.rs"]
mod things;
