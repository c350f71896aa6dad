//! A request that is refused, and how it says so.
//!
//! A handler returns a [`Problem`] without knowing how it will be written: the original endpoints speak plain text
//! unless the client's `Accept` names JSON, the others always JSON. The layer [`render`] decides, once, at the edge.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use quintet_core::command::Rejected;
use quintet_engine::EngineError;
use quintet_store::StoreError;
use serde::Serialize;

use super::document::{FieldError, FieldErrors};
use super::{reply, status};
use crate::error_code::ErrorCode;

/// Findings shown in one answer.
const SHOWN: usize = 20;

/// Why a request was refused.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub code: ErrorCode,
    /// Differs from the code's own at some original endpoints.
    pub status: StatusCode,
    pub message: String,
    pub field: Option<String>,
    pub errors: Vec<FieldError>,
    /// The endpoint is one of the original's.
    pub plain: bool,
}

/// What a handler answers.
pub(crate) type Answer = Result<Response, Problem>;

impl Problem {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let (field, errors) = (None, Vec::new());
        Self {
            code,
            status: code.status(),
            message: message.into(),
            field,
            errors,
            plain: false,
        }
    }

    pub fn field(code: ErrorCode, field: impl Into<String>, message: &str) -> Self {
        let field = field.into();
        Self {
            field: Some(field.clone()),
            ..Self::new(code, format!("{field}: {message}"))
        }
    }

    /// Findings about a document; `text` comes before them.
    pub fn findings(code: ErrorCode, text: &str, found: FieldErrors) -> Self {
        let shown: Vec<String> = found.0.iter().take(SHOWN).map(ToString::to_string).collect();
        let more = found.0.len().saturating_sub(SHOWN);
        let more = if more > 0 {
            format!("; and {more} more")
        } else {
            String::new()
        };
        let message = format!("{text}: {}{more}", shown.join("; "));
        let field = found.0.first().map(|error| error.field.clone());
        Self {
            field,
            errors: found.0.into_iter().take(SHOWN).collect(),
            ..Self::new(code, message)
        }
    }

    /// The original's exact text and status.
    pub fn original(code: ErrorCode, status: StatusCode, text: &str) -> Self {
        Self {
            status,
            plain: true,
            ..Self::new(code, text)
        }
    }

    /// Written as text unless the client asks for JSON.
    pub fn plain(self) -> Self {
        Self { plain: true, ..self }
    }

    /// `not found`, under the status that the endpoint gives it.
    pub fn run_not_found(status: StatusCode) -> Self {
        Self::original(ErrorCode::RunNotFound, status, "not found")
    }

    fn write(&self, as_json: bool) -> Response {
        let mut response = if as_json || !self.plain {
            self.as_json()
        } else {
            self.as_text()
        };
        if self.code.is_retryable() {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    fn as_text(&self) -> Response {
        let mut response = (self.status, format!("{}\n", self.message)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    fn as_json(&self) -> Response {
        #[derive(Serialize)]
        struct Outer<'a> {
            error: Inner<'a>,
        }
        #[derive(Serialize)]
        struct Inner<'a> {
            code: &'static str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            field: Option<&'a str>,
            #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
            errors: &'a [FieldError],
            retryable: bool,
        }
        let error = Inner {
            code: self.code.as_str(),
            message: &self.message,
            field: self.field.as_deref(),
            errors: &self.errors,
            retryable: self.code.is_retryable(),
        };
        reply::with_status(self.status, &Outer { error })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes problems the way the client wants them.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let as_json = asks_for_json(request.headers());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Problem>() {
        None => response,
        Some(problem) => problem.write(as_json),
    }
}

/// Whether `Accept` names JSON; `*/*` does not.
fn asks_for_json(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(','));
    ranges.any(|range| {
        let name = range.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("application/json") || name.to_ascii_lowercase().ends_with("+json")
    })
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let message = match &error {
            EngineError::Rejected(rejected) => say(rejected),
            // Where the store is, and what it says, is for the log.
            EngineError::Unavailable(_) => "the store cannot be used at the moment; nothing was changed".to_owned(),
            EngineError::Unknown(_) => "the store did not say whether this was carried out".to_owned(),
            other => other.to_string(),
        };
        let code = match &error {
            EngineError::RunNotFound(_) => ErrorCode::RunNotFound,
            EngineError::Rejected(rejected) => code_of(rejected),
            EngineError::IdempotencyMismatch => ErrorCode::IdempotencyMismatch,
            EngineError::WorkflowChanged(_) => ErrorCode::WorkflowChanged,
            EngineError::Overloaded => ErrorCode::Overloaded,
            EngineError::Quota(_) => ErrorCode::QuotaExceeded,
            EngineError::ShuttingDown => ErrorCode::ShuttingDown,
            EngineError::Unavailable(_) => ErrorCode::StoreUnavailable,
            EngineError::Unknown(_) => ErrorCode::OutcomeUnknown,
            EngineError::Internal(_) => ErrorCode::Internal,
        };
        match code {
            ErrorCode::Internal => {
                // What broke is for the log, not for the client.
                tracing::error!(error = %message, "request failed");
                Self::new(code, "internal error")
            }
            ErrorCode::StoreUnavailable | ErrorCode::OutcomeUnknown => {
                tracing::warn!(error = %error, "request refused");
                Self::new(code, message)
            }
            _ => Self::new(code, message),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        EngineError::from(error).into()
    }
}

fn code_of(rejected: &Rejected) -> ErrorCode {
    match rejected {
        Rejected::Superseded { .. } | Rejected::NeverIssued { .. } => ErrorCode::AttemptSuperseded,
        Rejected::Expired { .. } => ErrorCode::AttemptExpired,
        Rejected::Recorded { .. } => ErrorCode::AttemptRecorded,
        Rejected::Finished(_) => ErrorCode::RunFinished,
        Rejected::WrongRunStatus(_) | Rejected::Held => ErrorCode::RunConflict,
        Rejected::WrongStepStatus { .. } => ErrorCode::StepConflict,
        Rejected::NothingToApprove => ErrorCode::NothingToApprove,
        Rejected::NothingFailed => ErrorCode::NothingFailed,
        Rejected::UnknownStep(_) => ErrorCode::StepNotFound,
        Rejected::HistoryFull(_) => ErrorCode::HistoryFull,
    }
}

/// The refusal with this face's names of the states.
fn say(rejected: &Rejected) -> String {
    match rejected {
        Rejected::Finished(status) => format!("the run is already {}", status::of_run(*status)),
        Rejected::WrongRunStatus(status) => format!("the run is {}", status::of_run(*status)),
        Rejected::WrongStepStatus { step, status } => format!("step \"{step}\" is {}", status::of_step(*status)),
        Rejected::Superseded {
            attempt,
            current,
            status,
        } => {
            let status = status::of_step(*status);
            format!("attempt {attempt} is superseded: the step is {status} at attempt {current}")
        }
        Rejected::Expired { attempt, status } => {
            let status = status::of_step(*status);
            format!("attempt {attempt} came too late: its time was up, and the step is {status}")
        }
        Rejected::Recorded {
            attempt,
            status,
            outcome,
        } => {
            let status = status::of_step(*status);
            format!("attempt {attempt} has answered before: the step is {status}, and sha256:{outcome} is recorded")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_accept_that_names_json_asks_for_it() {
        let asks = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            asks_for_json(&headers)
        };
        assert!(asks("application/json"));
        assert!(asks("text/html, Application/JSON;q=0.5"));
        assert!(asks("application/problem+json"));
        assert!(!asks("*/*"));
        assert!(!asks("application/*, text/plain"));
        assert!(!asks_for_json(&HeaderMap::new()));
    }
}
