//! The tenants face: workflows of tasks, by tenant.
//!
//! A *tenant* of this face is a namespace, a *workflow* is a run, and its *tasks* are the run's steps. What is asked for is
//! read as its Go clients write it ([`document`]), looked at as a graph ([`graph`]) and becomes a [`plan`]; what is done for a
//! task, and what its answer means, is said by the settings and by [`order`]. [`view`] shows a run as this face's clients
//! know workflows, always from one state.
//!
//! The original did nothing: it waited a second and called every task complete. Here whatever it promised is done, and what
//! cannot be done is refused when it is asked for. [`ROUTES`] is the one list of what is served.

mod control;
mod cx;
pub(crate) mod document;
pub(crate) mod duration;
pub(crate) mod graph;
pub(crate) mod ids;
mod list;
pub(crate) mod order;
pub(crate) mod plan;
mod reply;
mod show;
mod status;
mod submit;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawPathParams, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;

use crate::app::App;
use crate::http::Caller;
use crate::tenancy::is_name;
use reply::Refusal;

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
    post "/api/v1/tenants/{tenant}/workflows" => submit::submit;
    get "/api/v1/tenants/{tenant}/workflows" => list::list;
    get "/api/v1/tenants/{tenant}/workflows/{workflow}" => show::show;
    post "/api/v1/tenants/{tenant}/workflows/{workflow}/pause" => control::pause;
    post "/api/v1/tenants/{tenant}/workflows/{workflow}/resume" => control::resume;
    post "/api/v1/tenants/{tenant}/workflows/{workflow}/cancel" => control::cancel;
    post "/api/v1/tenants/{tenant}/workflows/{workflow}/retry" => control::retry;
    get "/api/v1/tenants/{tenant}/workflows/{workflow}/metrics" => show::metrics;
    post "/api/v1/dag/validate" => submit::validate;
}

/// Where the name of the tenant follows.
const TENANTS: &str = "/api/v1/tenants";
const GRAPHS: &str = "/api/v1/dag";
/// What is said of a tenant that is not there, or not the caller's.
const NO_TENANT: &str = "Tenant not found";
/// What is said where its name is empty.
const MISSING: &str = "missing tenant ID";

/// Everything that this face serves.
pub fn router() -> Router<Arc<App>> {
    routed()
        .method_not_allowed_fallback(no_method)
        .route_layer(from_fn(own_tenant))
}

/// Whether a path is this face's own, and its clients' to understand.
pub(crate) fn is_of_face(path: &str) -> bool {
    [TENANTS, GRAPHS]
        .iter()
        .filter_map(|root| path.strip_prefix(root))
        .any(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the edge says about a request for this path, in this face's words.
pub(crate) fn refusal(path: &str, status: StatusCode, message: &str) -> Response {
    if has_no_name(path) {
        return Refusal::bad(MISSING).into_response();
    }
    // What stands before the handlers speaks in plain text here.
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) && message.starts_with("Tenant ") {
        return reply::plain(status, message);
    }
    Refusal::new(status, message).into_response()
}

/// What is said where no route is.
pub(crate) fn no_route() -> Response {
    reply::plain(StatusCode::NOT_FOUND, "404 page not found")
}

/// Whether the place of the tenant's name is there, and nothing is in it.
fn has_no_name(path: &str) -> bool {
    path.strip_prefix(TENANTS).is_some_and(|rest| rest.starts_with("//"))
}

async fn no_method() -> Response {
    reply::empty(StatusCode::METHOD_NOT_ALLOWED)
}

/// To a key of another namespace there is no such tenant.
async fn own_tenant(params: RawPathParams, caller: Caller, request: Request, next: Next) -> Response {
    let tenant = params
        .iter()
        .find(|(name, _)| *name == "tenant")
        .map(|(_, value)| value);
    match tenant {
        Some("") => Refusal::bad(MISSING).into_response(),
        Some(tenant) if caller.is_of_another(tenant) || !is_name(tenant) => {
            reply::plain(StatusCode::NOT_FOUND, NO_TENANT)
        }
        _ => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_this_face_from_its_roots_on() {
        for path in [
            "/api/v1/tenants",
            "/api/v1/tenants/t/workflows/",
            "/api/v1/dag/validate",
        ] {
            assert!(is_of_face(path), "{path}");
        }
        for path in ["/api/v1/tenantsx", "/api/v1", "/api/tasks", "/v1/runs"] {
            assert!(!is_of_face(path), "{path}");
        }
        assert!(has_no_name("/api/v1/tenants//workflows") && !has_no_name("/api/v1/tenants/t/workflows"));
    }
}
