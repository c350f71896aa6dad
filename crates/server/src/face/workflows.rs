//! The workflows face, which is also Quintet's own API.
//!
//! The original's endpoints keep its paths, bodies, statuses and texts; everything else that the engine can do is
//! reachable beside them, under `/v1`. The face translates: documents into plans, plans and states into JSON. It
//! decides nothing about running work.
//!
//! [`ROUTES`] is the one list of what is served: the router is made of it, and a test holds the API description
//! against it.

mod audit;
mod auth;
mod cx;
mod definitions;
pub mod document;
mod follow;
mod history;
mod hooks;
mod logs;
mod namespaces;
mod nodes;
mod notice;
mod problem;
mod query;
mod reply;
mod runs;
mod schedules;
pub mod schema;
mod secrets;
mod status;
mod templates;
mod visualize;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::{delete, get, patch, post, put};

use crate::app::App;

pub use cx::Namespace;
pub use hooks::{Hooks, hooks};
pub(crate) use nodes::NODE_STATE;
pub(crate) use runs::launch::Launcher;
pub(crate) use status::{RUN as RUN_STATUS, STEP as STEP_STATUS};
pub(crate) use visualize::answer as picture_answer;

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

routes! {
    post "/v1/workflows" => definitions::create;
    get "/v1/workflows" => definitions::list;
    post "/v1/workflows/validate" => definitions::validate;
    get "/v1/workflows/{id}" => definitions::show;
    delete "/v1/workflows/{id}" => definitions::remove;
    get "/v1/workflows/{id}/versions" => definitions::versions;
    get "/v1/workflows/{id}/versions/{version}" => definitions::version;
    post "/v1/workflows/{id}/rollback" => definitions::rollback;
    get "/v1/workflows/{id}/visualize" => visualize::of_workflow;
    get "/v1/templates" => templates::list;
    post "/v1/templates" => templates::create;
    post "/v1/runs" => runs::start::start;
    get "/v1/runs" => runs::list;
    post "/v1/runs/batch" => runs::batch::start;
    get "/v1/runs/{id}" => runs::show;
    delete "/v1/runs/{id}" => runs::remove;
    post "/v1/runs/{id}/approve" => runs::control::approve;
    post "/v1/runs/{id}/reject" => runs::control::reject;
    post "/v1/runs/{id}/cancel" => runs::control::cancel;
    post "/v1/runs/{id}/pause" => runs::control::pause;
    post "/v1/runs/{id}/resume" => runs::control::resume;
    post "/v1/runs/{id}/retry" => runs::control::retry;
    post "/v1/runs/{id}/rerun" => runs::control::rerun;
    post "/v1/runs/{id}/resolve" => runs::control::resolve_run;
    get "/v1/runs/{id}/steps" => runs::steps::list;
    get "/v1/runs/{id}/steps/{step}" => runs::steps::show;
    get "/v1/runs/{id}/steps/{step}/why" => runs::why::of_step;
    post "/v1/runs/{id}/steps/{step}/resolve" => runs::control::resolve;
    get "/v1/runs/{id}/why" => runs::why::of_run;
    get "/v1/runs/{id}/visualize" => visualize::of_run;
    get "/v1/runs/{id}/history" => history::list;
    get "/v1/runs/{id}/events" => history::stream;
    get "/v1/runs/{id}/logs" => logs::list;
    post "/v1/runs/{id}/logs" => logs::append;
    get "/v1/runs/{id}/logs/stream" => logs::stream;
    post "/v1/schedules" => schedules::create;
    get "/v1/schedules" => schedules::list;
    get "/v1/schedules/{id}" => schedules::show;
    patch "/v1/schedules/{id}" => schedules::change;
    delete "/v1/schedules/{id}" => schedules::remove;
    post "/v1/schedules/{id}/pause" => schedules::pause;
    post "/v1/schedules/{id}/resume" => schedules::resume;
    post "/v1/schedules/{id}/trigger" => schedules::trigger;
    get "/v1/schedules/{id}/upcoming" => schedules::upcoming;
    get "/v1/audit" => audit::list;
    get "/v1/audit/head" => audit::head;
    get "/v1/audit/export" => audit::export;
    post "/v1/namespaces" => namespaces::create;
    get "/v1/namespaces" => namespaces::list;
    get "/v1/namespaces/{name}" => namespaces::show;
    patch "/v1/namespaces/{name}" => namespaces::change;
    delete "/v1/namespaces/{name}" => namespaces::remove;
    post "/v1/namespaces/{name}/suspend" => namespaces::suspend;
    post "/v1/namespaces/{name}/resume" => namespaces::resume;
    get "/v1/namespaces/{name}/usage" => namespaces::usage;
    get "/v1/auth/me" => auth::me;
    post "/v1/auth/keys" => auth::create;
    get "/v1/auth/keys" => auth::list;
    get "/v1/auth/keys/{id}" => auth::show;
    delete "/v1/auth/keys/{id}" => auth::revoke;
    post "/v1/auth/keys/{id}/rotate" => auth::rotate;
    get "/v1/secrets" => secrets::list;
    post "/v1/secrets/rotate-key" => secrets::rotate_key;
    get "/v1/secrets/{name}" => secrets::show;
    put "/v1/secrets/{name}" => secrets::put;
    delete "/v1/secrets/{name}" => secrets::remove;
    get "/v1/approvals" => runs::approvals::list;
    get "/v1/nodes" => nodes::list;
}

/// Everything that this face serves.
pub fn router() -> Router<Arc<App>> {
    let face = Arc::new(cx::Face::default());
    // One layer for all that surrounds a handler: each costs an allocation for every request.
    let around = move |mut request: Request, next: Next| {
        request.extensions_mut().insert(Arc::clone(&face));
        problem::render(request, next)
    };
    routed().route_layer(from_fn(around))
}
