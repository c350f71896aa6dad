//! The checks of the pipelines face's contract, one test or more for each of the thirty, against the real program and
//! real workers that speak as the original's SDK does.

#[allow(unused_imports, reason = "workers are called here, and not the targets of steps")]
mod common;
mod pipelines;

#[path = "pipelines/checks/dispatch.rs"]
mod dispatch;
#[path = "pipelines/checks/face.rs"]
mod face;
#[path = "pipelines/checks/flow.rs"]
mod flow;
#[path = "pipelines/checks/inputs.rs"]
mod inputs;
#[path = "pipelines/checks/patience.rs"]
mod patience;
#[path = "pipelines/checks/queue.rs"]
mod queue;
#[path = "pipelines/checks/registration.rs"]
mod registration;
