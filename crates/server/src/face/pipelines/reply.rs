//! Answers and refusals in the original's shapes: compact JSON, `{error}`, `{error, message}` and an echo of the id.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use quintet_core::time::Time;
use quintet_engine::EngineError;
use quintet_executors::storage::{KeyError, StorageError};
use quintet_store::StoreError;
use serde::Serialize;
use serde_json::{Value, json};

use super::zod_error::Findings;

/// What a handler answers.
pub(super) type Answer = Result<Response, Refusal>;

/// Why a request was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Value,
    /// The same request may succeed in a moment.
    is_passing: bool,
}

impl Refusal {
    /// `{error}`.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let error: String = error.into();
        Self {
            status,
            body: json!({ "error": error }),
            is_passing: false,
        }
    }

    /// The same with one more key.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.body[key] = value.into();
        self
    }

    /// The same with `message`.
    pub fn because(self, message: impl Into<String>) -> Self {
        let message: String = message.into();
        self.with("message", message)
    }

    pub fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub fn not_found(error: &str, key: &str, id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, error).with(key, id)
    }

    pub fn conflict(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }

    /// The server cannot do it now.
    pub fn unavailable(error: impl Into<String>) -> Self {
        Self {
            is_passing: true,
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
        }
    }
}

impl From<Findings> for Refusal {
    fn from(found: Findings) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            body: found.body(),
            is_passing: false,
        }
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::RunNotFound(_) => Self::new(StatusCode::NOT_FOUND, "Run not found"),
            EngineError::Rejected(_) => Self::conflict("Not possible now").because(message),
            EngineError::IdempotencyMismatch => Self::conflict("Idempotency key was used before").because(message),
            EngineError::Quota(_) => Self::new(StatusCode::TOO_MANY_REQUESTS, "Quota exceeded").because(message),
            EngineError::WorkflowChanged(_)
            | EngineError::Overloaded
            | EngineError::ShuttingDown
            | EngineError::Unavailable(_)
            | EngineError::Unknown(_) => Self::unavailable("Service unavailable").because(message),
            EngineError::Internal(_) => {
                tracing::error!(error = message, "a request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error").because(message)
            }
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::bad("Invalid storage path").because(error.to_string())
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        let message = error.to_string();
        match error {
            StorageError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "File not found"),
            StorageError::InvalidPath { .. } => Self::bad("Invalid storage path").because(message),
            StorageError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "File too large").because(message)
            }
            _ => Self::unavailable("Storage unavailable").because(message),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = with_status(self.status, &self.body);
        if self.is_passing {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A 200 with a JSON body.
pub(super) fn json(value: &impl Serialize) -> Response {
    with_status(StatusCode::OK, value)
}

/// Any status with a JSON body.
pub(super) fn with_status(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("values of this face have text keys, and memory does not fail");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    response
}

/// ISO 8601 in UTC with milliseconds.
pub(super) fn iso(time: Time) -> String {
    let stamp = jiff::Timestamp::from_microsecond(time.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{stamp:.3}")
}
