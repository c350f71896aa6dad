//! Answers and refusals of this face: compact JSON, and errors that all of the original's readers understand: `error` for
//! those of its routes, `message` and `statusCode` for its SDK and for readers of its framework's errors.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use quintet_core::time::Time;
use quintet_engine::EngineError;
use quintet_store::StoreError;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::document::Problem;

/// What a handler answers.
pub(crate) type Answer = Result<Response, Refusal>;

/// Why a request was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: String,
    message: Option<String>,
    more: Box<Map<String, Value>>,
    /// The same request may succeed in a moment.
    is_passing: bool,
}

impl Refusal {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            message: None,
            more: Box::default(),
            is_passing: false,
        }
    }

    pub fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// What the original's framework said: `error` is the name of the status, the text is in `message`.
    pub fn framework(status: StatusCode, message: impl Into<String>, code: Option<&str>) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        let mut refusal = Self::new(status, reason).because(message);
        if let Some(code) = code {
            refusal.more.insert("code".to_owned(), code.into());
        }
        refusal
    }

    pub fn not_found(error: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// No such task.
    pub fn no_task() -> Self {
        Self::not_found("Task not found")
    }

    pub fn unavailable(error: impl Into<String>) -> Self {
        Self {
            is_passing: true,
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
        }
    }

    /// With a longer text in `message`.
    pub fn because(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// What is wrong, for logs.
    pub fn text(&self) -> &str {
        self.message.as_deref().unwrap_or(&self.error)
    }

    /// Whether the same request may succeed in a moment.
    pub fn is_passing(&self) -> bool {
        self.is_passing
    }
}

impl From<Vec<Problem>> for Refusal {
    /// The first problem is the error; all of them are in `problems`.
    fn from(problems: Vec<Problem>) -> Self {
        let text = problems.first().map(Problem::text).unwrap_or_default();
        let mut refusal = Self::bad(text);
        let each = |problem: &Problem| json!({ "field": problem.field, "message": problem.message });
        let problems = problems.iter().map(each).collect();
        refusal.more.insert("problems".to_owned(), Value::Array(problems));
        refusal
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::RunNotFound(_) => Self::no_task(),
            EngineError::Rejected(_) | EngineError::IdempotencyMismatch => Self::new(StatusCode::CONFLICT, message),
            EngineError::Quota(_) => Self::new(StatusCode::TOO_MANY_REQUESTS, message),
            EngineError::WorkflowChanged(_)
            | EngineError::Overloaded
            | EngineError::ShuttingDown
            | EngineError::Unavailable(_)
            | EngineError::Unknown(_) => Self::unavailable(message),
            EngineError::Internal(_) => {
                tracing::error!(error = message, "a request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
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
        let message = self.message.unwrap_or_else(|| self.error.clone());
        let mut body = json!({ "error": self.error, "message": message, "statusCode": self.status.as_u16() });
        if let Value::Object(fields) = &mut body {
            fields.extend(*self.more);
        }
        let mut response = with_status(self.status, &body);
        if self.is_passing {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A 200 with a JSON body.
pub(crate) fn json(value: &impl Serialize) -> Response {
    with_status(StatusCode::OK, value)
}

fn with_status(status: StatusCode, value: &impl Serialize) -> Response {
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
pub(crate) fn iso(time: Time) -> String {
    let stamp = jiff::Timestamp::from_microsecond(time.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{stamp:.3}")
}
