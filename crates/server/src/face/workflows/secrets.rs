//! Secrets, over the API: written, listed by name and removed. No answer holds a value.

use axum::extract::Path;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::Uri;
use quintet_executors::secrets::Plain;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::cx::{Cx, whole};
use super::document::first_json;
use super::problem::{Answer, Problem};
use super::query::Params;
use super::reply::{self, Page, rfc3339};
use crate::error_code::ErrorCode;
use crate::secrets::{Known, SecretError};

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::NotFound => Self::new(ErrorCode::SecretNotFound, "secret not found"),
            SecretError::Invalid { field, reason } => Self::field(ErrorCode::InvalidField, field, &reason),
            SecretError::TooMany(_) => Self::new(ErrorCode::InvalidField, error.to_string()),
            SecretError::NoMasterKey => Self::new(ErrorCode::SecretsUnavailable, error.to_string()),
            SecretError::KeyFile(_) | SecretError::Seal(_) => {
                tracing::error!(error = %error, "secrets cannot be used");
                Self::new(ErrorCode::SecretsUnavailable, error.to_string())
            }
            SecretError::Contended => Self::new(ErrorCode::Overloaded, error.to_string()),
            SecretError::Store(error) => error.into(),
        }
    }
}

/// What is told of a secret.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    version: u64,
    masked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_by: Option<String>,
    created_at: String,
    updated_at: String,
}

impl Shown {
    fn of(known: Known) -> Self {
        Self {
            name: known.name.to_string(),
            version: known.version,
            masked: known.is_masked,
            updated_by: known.by,
            created_at: rfc3339(known.created_at),
            updated_at: rfc3339(known.updated_at),
        }
    }
}

/// `PUT /v1/secrets/{name}`.
pub(super) async fn put(cx: Cx, Path(name): Path<String>, body: Result<Bytes, BytesRejection>) -> Answer {
    let value = read_value(body)?;
    let known = cx.app.secrets.put(&cx.namespace, &name, &value, cx.caller.as_deref());
    Ok(reply::json(&Shown::of(known.await?)))
}

/// `GET /v1/secrets`.
pub(super) async fn list(cx: Cx, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let (after, limit) = (params.text("cursor")?, params.limit()?);
    let mut known = cx.app.secrets.list(&cx.namespace, after, limit + 1).await?;
    let has_more = known.len() > limit;
    known.truncate(limit);
    let last = known.last().map(|last| last.name.to_string());
    Ok(reply::json(&Page {
        items: known.into_iter().map(Shown::of).collect(),
        next_cursor: last.filter(|_| has_more),
    }))
}

/// `GET /v1/secrets/{name}`.
pub(super) async fn show(cx: Cx, Path(name): Path<String>) -> Answer {
    Ok(reply::json(&Shown::of(
        cx.app.secrets.show(&cx.namespace, &name).await?,
    )))
}

/// `DELETE /v1/secrets/{name}`.
pub(super) async fn remove(cx: Cx, Path(name): Path<String>) -> Answer {
    cx.app.secrets.remove(&cx.namespace, &name).await?;
    Ok(reply::nothing())
}

/// `POST /v1/secrets/rotate-key`: a new data key for the namespace.
pub(super) async fn rotate_key(cx: Cx) -> Answer {
    let rotated = cx.app.secrets.rotate(&cx.namespace).await?;
    Ok(reply::json(
        &json!({ "key_id": rotated.key.to_string(), "secrets": rotated.secrets }),
    ))
}

/// The one field of the body. No refusal repeats what was sent: it may be the value in the wrong place.
fn read_value(body: Result<Bytes, BytesRejection>) -> Result<Plain, Problem> {
    let body = whole(body).map_err(|problem| Problem {
        plain: false,
        ..problem
    })?;
    let wrong = |field: &str, message: &str| Problem::field(ErrorCode::InvalidField, field, message);
    let mut fields: Map<String, Value> = match first_json(&body) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(Problem::new(ErrorCode::BadJson, "bad json: must be an object")),
        Err(_) => return Err(Problem::new(ErrorCode::BadJson, "bad json")),
    };
    match (fields.swap_remove("value"), fields.is_empty()) {
        (_, false) => Err(wrong("body", "has one field, `value`")),
        (Some(Value::String(value)), true) => Ok(Plain::new(value)),
        (Some(_), true) => Err(wrong("value", "must be a string")),
        (None, true) => Err(wrong("value", "is required")),
    }
}
