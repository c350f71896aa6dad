//! The HTTP side of the server: what stands before, beside and around the faces.
//!
//! Every request passes one middleware ([`edge`]), in this order: request id, who may speak to this server at all
//! ([`origin`]), who is speaking ([`crate::identity`]) and whether they may ([`access`]), how large the body is; then the route,
//! with panics caught; then the headers and figures that every answer has. It is one function and not a stack of
//! layers because every layer costs an allocation, and starting a run is meant to cost little more than its commit.

pub(crate) mod access;
mod addresses;
mod cors;
pub(crate) mod depth;
mod docs;
mod edge;
mod health;
mod metrics;
mod noting;
mod origin;
mod process;
mod rate;
mod refusal;
mod request_id;
mod serve;
mod slow;
mod streams;
mod summary;
mod tls;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::app::App;
use crate::face;

pub use crate::identity::{Caller, KeyError, Minted, mint};
pub(crate) use edge::Edge;
pub(crate) use edge::PeerAddress;
pub use request_id::RequestId;
pub use serve::Server;
pub use tls::TlsError;

/// Everything that is served.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let own = Router::new()
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::serve))
        .route("/openapi.json", get(docs::openapi))
        .route("/docs", get(docs::page));
    face::workflows::router()
        .merge(face::pipelines::router(app))
        .merge(face::tasks::router(app))
        .merge(face::tenants::router())
        .merge(own)
        .fallback(refusal::no_route)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(app), edge::pass))
        .with_state(Arc::clone(app))
}
