//! How a call fails, told apart by what the caller can do about it.

use http::StatusCode;
use serde_json::Value;

/// A call that gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's address makes no sense.
    #[error("`{url}` is not the address of a server: {reason}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there. Whether the request arrived is not known.
    #[error("no answer from {url}: {reason}")]
    Unreachable {
        /// The server's address.
        url: String,
        /// The chain of causes.
        reason: String,
    },
    /// The server refused.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// The answer is not what this API gives: probably it is not a Quintet that answers there.
    #[error("the answer from {url} is not understood: {reason}")]
    Protocol {
        /// The server's address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl Error {
    /// The server's refusal, if that is what it is.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Error::Api(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the thing that was named does not exist.
    pub fn is_not_found(&self) -> bool {
        self.api().is_some_and(|error| {
            error.status == StatusCode::NOT_FOUND || (error.status.is_client_error() && error.message == "not found")
        })
    }

    /// Whether the same call may do better later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Unreachable { .. } => true,
            Error::Api(error) => {
                error.status.is_server_error()
                    || error.status == StatusCode::TOO_MANY_REQUESTS
                    || error.says_retryable()
            }
            Error::BadUrl { .. } | Error::Protocol { .. } => false,
        }
    }
}

/// A refusal, read from either of the API's two forms: JSON with a code, or the original's plain text.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}{message}", prefix(field.as_deref(), message))]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Machine-readable code, where the server gave one.
    pub code: Option<String>,
    /// What is wrong, for people.
    pub message: String,
    /// The field of the request that is wrong, such as `steps[2].action`.
    pub field: Option<String>,
    /// Everything that the server said, if it was JSON.
    pub body: Option<Value>,
}

/// The field, unless the message names it itself.
fn prefix(field: Option<&str>, message: &str) -> String {
    match field {
        Some(field) if !message.contains(field) => format!("{field}: "),
        _ => String::new(),
    }
}

impl ApiError {
    fn says_retryable(&self) -> bool {
        let said = || self.body.as_ref()?.get("error")?.get("retryable")?.as_bool();
        said().unwrap_or_default()
    }

    pub(crate) fn read(status: StatusCode, body: &[u8]) -> Self {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let error = json.as_ref().and_then(|json| json.get("error"));
        let text = |field: &str| {
            error
                .and_then(|error| error.get(field))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let plain = || {
            let text = String::from_utf8_lossy(body).trim().to_owned();
            if text.is_empty() { status.to_string() } else { text }
        };
        let message = text("message")
            .or_else(|| sentence(json.as_ref()?))
            .unwrap_or_else(plain);
        Self {
            status,
            code: text("code"),
            message,
            field: text("field").filter(|field| !field.is_empty()),
            body: json,
        }
    }
}

/// What a face says that has its error beside the rest and not around it: `{"error": ..., "message": ...}`.
fn sentence(body: &Value) -> Option<String> {
    let error = body.get("error")?.as_str()?;
    match body.get("message").and_then(Value::as_str) {
        Some(message) if !message.is_empty() && message != error => Some(format!("{error}: {message}")),
        _ => Some(error.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_errors_keep_code_message_and_field() {
        let body =
            br#"{"error":{"code":"invalid_workflow","message":"unknown step \"x\"","field":"steps[1].depends_on[0]"}}"#;
        let error = ApiError::read(StatusCode::BAD_REQUEST, body);
        assert_eq!(error.code.as_deref(), Some("invalid_workflow"));
        assert_eq!(error.to_string(), "steps[1].depends_on[0]: unknown step \"x\"");
        let twice = br#"{"error":{"message":"status: must be one of A, B","field":"status"}}"#;
        assert_eq!(
            ApiError::read(StatusCode::BAD_REQUEST, twice).to_string(),
            "status: must be one of A, B"
        );
    }

    #[test]
    fn plain_text_and_empty_errors_become_messages() {
        assert_eq!(
            ApiError::read(StatusCode::BAD_REQUEST, b"bad json\n").to_string(),
            "bad json"
        );
        assert_eq!(
            ApiError::read(StatusCode::METHOD_NOT_ALLOWED, b"").to_string(),
            "405 Method Not Allowed"
        );
        assert_eq!(
            ApiError::read(StatusCode::NOT_FOUND, br#"{"error":"gone"}"#).to_string(),
            "gone"
        );
        let beside = br#"{"error":"Failed to trigger pipeline","message":"no entry tasks"}"#;
        assert_eq!(
            ApiError::read(StatusCode::INTERNAL_SERVER_ERROR, beside).to_string(),
            "Failed to trigger pipeline: no entry tasks"
        );
    }

    #[test]
    fn what_the_server_calls_worth_another_try_is() {
        let of = |body: &[u8]| Error::from(ApiError::read(StatusCode::CONFLICT, body)).is_retryable();
        assert!(of(
            br#"{"error":{"code":"workflow_changed","message":"changed","retryable":true}}"#
        ));
        assert!(!of(
            br#"{"error":{"code":"run_conflict","message":"paused","retryable":false}}"#
        ));
        assert!(!of(b"conflict"));
    }

    #[test]
    fn the_originals_400_for_unknown_things_counts_as_not_found() {
        let of = |status, body: &[u8]| Error::from(ApiError::read(status, body)).is_not_found();
        assert!(of(StatusCode::BAD_REQUEST, b"not found\n"));
        assert!(of(StatusCode::NOT_FOUND, b""));
        assert!(!of(StatusCode::BAD_REQUEST, b"bad json"));
    }
}
