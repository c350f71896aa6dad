//! What the edge answers when a request does not reach a face: JSON in the shape that the API has everywhere.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::error_code::ErrorCode;

#[derive(Serialize)]
struct Outer<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: &'static str,
    message: &'a str,
    retryable: bool,
}

/// A refusal with its code's own status.
pub(super) fn refuse(code: ErrorCode, message: &str) -> Response {
    let error = Inner {
        code: code.as_str(),
        message,
        retryable: code.is_retryable(),
    };
    let mut response = json(&Outer { error });
    *response.status_mut() = code.status();
    if code == ErrorCode::Unauthorized {
        let challenge = HeaderValue::from_static("Bearer realm=\"quintet\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// What is said where no route is.
pub(super) async fn no_route() -> Response {
    #[derive(Serialize)]
    struct NotFound {
        error: &'static str,
    }
    let mut response = json(&NotFound { error: "Not found" });
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// A 200 in the form that all JSON of the API has: two-space indent, and a newline at the end.
pub(super) fn json(value: &impl Serialize) -> Response {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
