//! Reading a request's body: JSON whatever its content type says, as far as the limit goes.

use axum::body::{Body, Bytes};
use axum::extract::FromRequest;
use http::{Request, StatusCode};
use serde_json::Value;

use super::reply::Refusal;

/// A body as JSON; `None` when there is none.
pub(super) struct Json(pub Option<Value>);

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Refusal> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejected| {
            let status = rejected.status();
            let error = if status == StatusCode::PAYLOAD_TOO_LARGE {
                "Request entity too large"
            } else {
                "Invalid request"
            };
            Refusal::new(status, error).because(rejected.body_text())
        })?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(None));
        }
        let value = serde_json::from_slice(&bytes);
        let value = value.map_err(|error| Refusal::bad("Invalid JSON").because(error.to_string()))?;
        Ok(Self(Some(value)))
    }
}

impl Json {
    /// The body, or an empty object.
    pub fn or_empty(self) -> Value {
        self.0.unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    }
}
