//! From a document to a plan, exactly as the server does it when the document is stored.

use quintet_core::plan::Plan;
use quintet_engine::Registry;

use super::document::{BadInput, Document};
use crate::face::workflows::document::{FieldErrors, PlanOptions, plan_of};
use crate::face::workflows::schema::check_workflow;

/// The plan of a document, or everything that is wrong with it.
pub fn of(document: &Document) -> Result<Plan, Vec<BadInput>> {
    let registry = registry().map_err(|error| vec![BadInput::new(error)])?;
    let schema = check_workflow(&document.workflow).err();
    let read = plan_of(&document.workflow, Some(&registry), PlanOptions::default());
    match (schema, read) {
        (None, Ok((_, plan))) => Ok(plan),
        (schema, read) => Err(merged([schema, read.err()])),
    }
}

/// What both find about the same field is said once, in the words of the first.
fn merged(found: [Option<FieldErrors>; 2]) -> Vec<BadInput> {
    let mut all: Vec<BadInput> = Vec::new();
    for error in found.into_iter().flatten().flat_map(|errors| errors.0) {
        if !all.iter().any(|known| known.field == error.field) {
            all.push(BadInput::at(error.field, error.message));
        }
    }
    all
}

/// The built-in executors: they know which inputs their actions take.
fn registry() -> Result<Registry, quintet_executors::BuildError> {
    let config = quintet_executors::Config::default();
    Ok(Registry::new(quintet_executors::builtin(
        &config,
        &config.client()?,
        None,
    )?))
}
