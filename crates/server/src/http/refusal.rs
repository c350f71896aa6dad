//! What the edge answers when a request does not reach a face: JSON in the shape that the API has everywhere.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::error_code::ErrorCode;
use crate::face;

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

/// The same in the words of the face that a request is for.
pub(super) fn refuse_at(request: &Request, code: ErrorCode, message: &str) -> Response {
    refuse_for(request.uri().path(), code, message)
}

/// The same where only the request's path is left.
pub(super) fn refuse_for(path: &str, code: ErrorCode, message: &str) -> Response {
    let mut response = in_words_of(path, code, message);
    if code.is_retryable() {
        let soon = HeaderValue::from_static("1");
        response.headers_mut().insert(header::RETRY_AFTER, soon);
    }
    response
}

fn in_words_of(path: &str, code: ErrorCode, message: &str) -> Response {
    let usual = refuse(code, message);
    let mut response = if face::tasks::is_of_face(path) {
        face::tasks::refusal(code.status(), message)
    } else if face::tenants::is_of_face(path) {
        face::tenants::refusal(path, code.status(), message)
    } else {
        return usual;
    };
    let challenge = usual.headers().get(header::WWW_AUTHENTICATE).cloned();
    response
        .headers_mut()
        .extend(challenge.map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
    response
}

/// What is said where no route is: what the clients of each face look for.
pub(super) async fn no_route(request: Request) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct NotFound {
        error: &'static str,
        message: String,
        status_code: u16,
    }
    if face::tenants::is_of_face(request.uri().path()) {
        return face::tenants::no_route();
    }
    let mut response = json(&NotFound {
        error: "Not found",
        message: format!("Route {}:{} not found", request.method(), request.uri().path()),
        status_code: StatusCode::NOT_FOUND.as_u16(),
    });
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
