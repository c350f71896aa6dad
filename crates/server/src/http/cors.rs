//! What pages of other sites may do with the paths of the pipelines and the tasks face: read answers, where they are let
//! in at all.
//!
//! The originals answered every page. Here a page that shows no key is let in nowhere that a key is needed, and where none
//! is needed [`super::origin`] refuses what other sites would change and names that only a page can have given; the
//! headers are those that the originals' clients look for, no less and no more. An operator may name one origin: then
//! only its pages may read, and caches are told that the answer is meant for it.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::config::CorsOrigin;

const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("Authorization,Content-Type,Idempotency-Key,X-Api-Key,X-User-Id");

/// Whether pages are told that they may read answers of this path.
pub(super) fn covers(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// Says whose pages may read the answer; no cookie is ever looked at.
pub(super) fn dress(headers: &mut HeaderMap, allowed: &CorsOrigin) {
    let origin = match allowed {
        CorsOrigin::Any => HeaderValue::from_static("*"),
        CorsOrigin::One(origin) => {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
            origin.clone()
        }
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
}

/// The answer to the question that a browser asks first.
pub(super) fn preflight(allowed: &CorsOrigin) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    dress(headers, allowed);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(allowed: &str) -> (String, Option<String>) {
        let answer = preflight(&allowed.parse().expect("an origin"));
        let text = |name| {
            let value: Option<&HeaderValue> = answer.headers().get(name);
            value.map(|value| value.to_str().expect("text").to_owned())
        };
        assert_eq!(
            text(header::ACCESS_CONTROL_ALLOW_METHODS).as_deref(),
            METHODS.to_str().ok()
        );
        (
            text(header::ACCESS_CONTROL_ALLOW_ORIGIN).expect("an origin"),
            text(header::VARY),
        )
    }

    #[test]
    fn every_page_may_read_unless_one_origin_is_named_and_then_caches_are_told() {
        assert_eq!(said("*"), ("*".to_owned(), None));
        let named = "https://dash.example";
        assert_eq!(said(named), (named.to_owned(), Some("origin".to_owned())));
    }

    #[test]
    fn only_paths_below_api_are_open_to_pages() {
        assert!(covers("/api") && covers("/api/tasks/stream"));
        assert!(!covers("/v1/runs") && !covers("/apis"));
    }
}
