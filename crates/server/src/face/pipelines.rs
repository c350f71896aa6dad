//! The pipelines face: workers that register tasks, take work over HTTP and call back.
//!
//! A *task run* of this face is a step run, a *pipeline run* is a run. Nobody creates a pipeline: it follows from what
//! the registered tasks allow to come next (`graph`), and becomes a plan when it is triggered (`plan`). What the
//! face accepts is read strictly where types and ranges are concerned and leniently where a field is absent
//! (`register_request`, `validation`), and refused in the words of the original (`zod_error`).
//!
//! The face keeps who does which task (`directory`) and knows how a worker is told (`desk`); whether and when something
//! runs is the engine's business. [`ROUTES`] is the one list of what is served.

mod body;
mod catalog;
mod contacts;
mod dead_letters;
mod desk;
mod directory;
mod dry_run;
mod graph;
mod info;
mod labels;
mod maintenance;
mod model;
mod orphans;
mod plan;
mod process;
mod public_id;
mod query;
mod queue;
mod register_request;
mod reply;
mod runs;
mod services;
mod starts;
mod state;
mod storage_api;
mod task_runs;
mod tasks;
mod upkeep;
mod uploads;
mod validation;
mod view;
mod worker;
mod zod_error;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

use http::StatusCode;

use crate::app::App;
use crate::http::Caller;
use reply::Refusal;

pub use state::OpenError;
pub use state::Pipelines;
pub(crate) use uploads::MAX_BYTES as MAX_UPLOAD_BYTES;

/// Makes the list of routes and the router from the same lines.
macro_rules! routes {
    ($($method:ident $path:literal => $handler:path;)*) => {
        /// Method and path of everything that this face serves.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        fn routed() -> Router<Arc<App>> {
            Router::new()$(.route($path, $method($handler)))*
        }
    };
}

/// Everything that this face serves.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    routed().route_layer(from_fn_with_state(Arc::clone(app), own_namespace))
}

/// Pipelines belong to one namespace: to a key of another one there are none.
async fn own_namespace(State(app): State<Arc<App>>, caller: Caller, request: Request, next: Next) -> Response {
    if caller.is_of_another(&app.pipelines.namespace) {
        return Refusal::new(StatusCode::NOT_FOUND, "Not found").into_response();
    }
    next.run(request).await
}

routes! {
    get "/api/info" => info::show;
    post "/api/register" => worker::register;
    post "/api/heartbeat" => worker::heartbeat;
    post "/api/progress" => worker::heartbeat;
    post "/api/callback/{id}" => worker::callback;
    post "/w/{token}/api/register" => worker::register;
    post "/w/{token}/api/heartbeat" => worker::heartbeat;
    post "/w/{token}/api/progress" => worker::heartbeat;
    post "/w/{token}/api/callback/{id}" => worker::callback;
    get "/api/services" => services::list;
    get "/api/services/{id}" => services::show;
    delete "/api/services/{id}" => services::remove;
    get "/api/services/{id}/tasks" => services::tasks;
    get "/api/tasks/{id}/history" => tasks::history;
    get "/api/tasks/{id}/input-schema" => tasks::input_schema;
    post "/api/tasks/{id}/validate-input" => tasks::validate_input;
    get "/api/pipelines" => catalog::list;
    get "/api/pipelines/{id}" => catalog::show;
    post "/api/pipelines/{id}/dry-run" => catalog::dry_run;
    post "/api/pipelines/{id}/trigger" => starts::trigger;
    get "/api/runs" => runs::list;
    get "/api/runs/{id}" => runs::show;
    get "/api/task-runs/{id}" => task_runs::show;
    post "/api/queue/task" => starts::queue_task;
    post "/api/queue/batch" => starts::queue_batch;
    get "/api/queue/status" => queue::counts;
    get "/api/queue/items" => queue::items;
    post "/api/process" => process::pass;
    post "/api/tick" => process::pass;
    get "/api/dlq" => dead_letters::list;
    get "/api/dlq/{id}" => dead_letters::show;
    post "/api/dlq/{id}/retry" => dead_letters::retry;
    post "/api/dlq/retry-all" => dead_letters::retry_all;
    post "/api/dlq/purge" => dead_letters::purge;
    get "/api/storage/backends" => storage_api::backends;
    get "/api/storage/" => storage_api::no_path;
    get "/api/storage/{*path}" => storage_api::object;
    post "/api/upload/temp" => uploads::upload;
    get "/api/upload/temp/{id}" => uploads::show;
    delete "/api/upload/temp/{id}" => uploads::remove;
    get "/api/upload/stats" => uploads::stats;
    get "/api/maintenance" => maintenance::show;
    post "/api/maintenance/request" => maintenance::request;
    post "/api/maintenance/enter" => maintenance::enter;
    post "/api/maintenance/exit" => maintenance::exit;
}
