//! The checks of the tasks face's contract, one test or more for each of the nineteen, and one or more for each fault of
//! the original that Quintet does not have, against the real program and backends that note what reaches them.

#[allow(
    unused_imports,
    reason = "most tests here look at backends, and not at the targets of steps"
)]
mod common;
mod tasks;

#[path = "tasks/checks/calls.rs"]
mod calls;
#[path = "tasks/checks/effects.rs"]
mod effects;
#[path = "tasks/checks/face.rs"]
mod face;
#[path = "tasks/checks/pipelines.rs"]
mod pipelines;

#[path = "tasks/defects"]
mod defects {
    use super::{common, tasks};

    mod cancel;
    mod clients;
    mod effects;
    mod graphs;
    mod limits;
    mod lists;
    mod media;
    mod names;
    mod order;
    mod retries;
    mod schedules;
}
