//! The tasks face: queues in front of compute backends, pipelines written into a task, effects, cron.
//!
//! A *task* of this face is a run; its id is the run's. What is asked for is read by [`document`], checked whole, and
//! becomes a [`plan`]; templates of this face stay in the run's context and are filled in when a step is handed to its
//! backend ([`order`]). [`view`] and [`ticks`] show a run as this face's clients know tasks, [`effects`] tells others of it,
//! and [`repeat`] makes schedules of tasks with `cron`.
//!
//! The face keeps which queues are served ([`state`]): all that are not paused, as far as backends answer. Whether and when
//! something runs is the engine's business. [`ROUTES`] is the one list of what is served.

mod acquainted;
mod body;
mod bullmq;
mod cancel;
mod desk;
mod document;
mod effects;
pub(crate) mod graph;
mod ids;
mod list;
mod metrics;
mod open;
mod order;
mod pauses;
mod plan;
mod query;
mod queues;
mod repeat;
mod reply;
mod retry;
mod show;
mod state;
mod stream;
mod submit;
mod template;
mod ticks;
mod view;
mod visualize;

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

pub(crate) use metrics::Figures;
pub use open::OpenError;
pub(crate) use open::{hooks, open};
pub(crate) use plan::queue_of;
pub use state::Tasks;

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
    routed()
        .method_not_allowed_fallback(no_method)
        .route_layer(from_fn_with_state(Arc::clone(app), own_namespace))
}

/// Whether a path is this face's own, and its clients' to understand.
pub(crate) fn is_of_face(path: &str) -> bool {
    let own = ["/api/tasks", "/api/visualize"];
    own.iter()
        .filter_map(|root| path.strip_prefix(root))
        .any(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the edge says, in this face's words.
pub(crate) fn refusal(status: StatusCode, message: &str) -> Response {
    let code = (status == StatusCode::PAYLOAD_TOO_LARGE).then_some("FST_ERR_CTP_BODY_TOO_LARGE");
    Refusal::framework(status, message, code).into_response()
}

/// The original knew no wrong methods, only unknown routes.
async fn no_method(request: Request) -> Response {
    let message = format!("Route {}:{} not found", request.method(), request.uri().path());
    refusal(StatusCode::NOT_FOUND, &message)
}

/// Tasks belong to one namespace: to a key of another one there are none.
async fn own_namespace(State(app): State<Arc<App>>, caller: Caller, request: Request, next: Next) -> Response {
    if caller.is_of_another(&app.tasks.namespace) {
        return Refusal::new(StatusCode::NOT_FOUND, "Not found").into_response();
    }
    next.run(request).await
}

routes! {
    post "/api/tasks" => submit::submit;
    get "/api/tasks" => list::list;
    get "/api/tasks/types" => queues::types;
    get "/api/tasks/stream" => stream::stream;
    get "/api/tasks/{id}" => show::show;
    delete "/api/tasks/{id}" => cancel::cancel;
    post "/api/tasks/{id}/retry" => retry::retry;
    get "/api/tasks/{id}/logs" => show::logs;
    get "/api/tasks/{id}/visualize" => visualize::of_task;
    post "/api/visualize" => visualize::of_body;
    get "/v1/queues" => queues::list;
    post "/v1/queues/{name}/pause" => queues::pause;
    post "/v1/queues/{name}/resume" => queues::resume;
    get "/v1/backends" => queues::backends;
}
