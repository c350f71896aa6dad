//! From a document to a plan, exactly as the server does it when the document is stored.

use quintet_core::plan::Plan;
use quintet_engine::Registry;

use super::document::{BadInput, Document};
use crate::face::workflows::document::{FieldErrors, PlanOptions, plan_of};
use crate::face::workflows::schema::check_workflow;

/// The plan of a document, or everything that is wrong with it.
pub fn of(document: &Document) -> Result<Plan, Vec<BadInput>> {
    let read = |errors: FieldErrors| -> Vec<BadInput> {
        errors.0.into_iter().map(|error| BadInput::at(error.field, error.message)).collect()
    };
    check_workflow(&document.workflow).map_err(read)?;
    let registry = registry().map_err(|error| vec![BadInput::new(error)])?;
    plan_of(&document.workflow, Some(&registry), PlanOptions::default()).map(|(_, plan)| plan).map_err(read)
}

/// The built-in executors: they know which inputs their actions take.
fn registry() -> Result<Registry, quintet_executors::BuildError> {
    let config = quintet_executors::Config::default();
    Ok(Registry::new(quintet_executors::builtin(&config, &config.client()?)?))
}
