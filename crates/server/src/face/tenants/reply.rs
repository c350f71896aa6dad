//! Answers and refusals of this face: compact JSON with a newline behind it, as Go writes it, and errors as objects with
//! their text, their time and their status.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use quintet_core::time::Time;
use quintet_engine::EngineError;
use quintet_engine::clock::Clock;
use quintet_store::StoreError;
use serde::Serialize;

use super::duration;

/// What a handler answers.
pub(super) type Answer = Result<Response, Refusal>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Why a request was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: String,
    /// The same request may succeed after so many seconds.
    retry_after: Option<u64>,
}

impl Refusal {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            retry_after: None,
        }
    }

    pub fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// No such workflow, or none that the caller may know of.
    pub fn no_workflow() -> Self {
        Self::new(StatusCode::NOT_FOUND, "workflow not found")
    }

    /// The same request may succeed after so many seconds.
    pub fn after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds.max(1)),
            ..self
        }
    }

    fn unavailable(error: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error).after(1)
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::RunNotFound(_) => Self::no_workflow(),
            EngineError::Rejected(_) | EngineError::IdempotencyMismatch => Self::new(StatusCode::CONFLICT, message),
            EngineError::Quota(quota) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, message).after(quota.retry_after_ms.div_ceil(1_000))
            }
            EngineError::WorkflowChanged(_)
            | EngineError::Overloaded
            | EngineError::ShuttingDown
            | EngineError::Unavailable(_)
            | EngineError::Unknown(_) => Self::unavailable(message),
            EngineError::Internal(_) => {
                tracing::error!(error = message, "a request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
            }
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        EngineError::from(error).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Said<'a> {
            error: &'a str,
            timestamp: String,
            status: u16,
        }
        let said = Said {
            error: &self.error,
            timestamp: duration::timestamp_seconds(now()),
            status: self.status.as_u16(),
        };
        let mut response = with_status(self.status, &said);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// An error's time is for people, and is the machine's: no workflow's time is ever compared with it.
fn now() -> Time {
    quintet_engine::clock::SystemClock.now()
}

/// A JSON body with a status.
pub(super) fn with_status(status: StatusCode, value: &impl Serialize) -> Response {
    let mut body = serde_json::to_vec(value).expect("values of this face have text keys, and memory does not fail");
    body.push(b'\n');
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// A 200 with a JSON body.
pub(super) fn json(value: &impl Serialize) -> Response {
    with_status(StatusCode::OK, value)
}

/// A status and nothing else: what the original said of a control that took effect, and of a wrong method.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A line of plain text, as Go's library refuses what no handler was found for.
pub(super) fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}
