//! What pages of other sites may do with the paths of the pipelines face: read answers, where they are let in at all.
//!
//! The original answered every page. Here a page that shows no key is let in nowhere that a key is needed, and where none
//! is needed [`super::origin`] refuses what other sites would change and names that only a page can have given; the
//! headers are those that the original's clients look for, no less and no more.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("Authorization,Content-Type,Idempotency-Key,X-Api-Key,X-User-Id");

/// Whether pages are told that they may read answers of this path.
pub(super) fn covers(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// Any page may read the answer; no cookie is ever looked at.
pub(super) fn dress(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// The answer to the question that a browser asks first.
pub(super) fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    dress(headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    response
}
