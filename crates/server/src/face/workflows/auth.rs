//! Keys, over the API: who asks; make, list, read, replace and revoke keys.
//!
//! A key is in the answer of the request that made it, and nowhere else: not in a list, not in an answer to the same
//! request sent again, not in the store.

use axum::extract::Path;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::Uri;
use quintet_core::time::Time;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cx::{Cx, whole};
use super::problem::{Answer, Problem};
use super::query::{Params, duration_ms};
use super::reply::{self, Page, rfc3339};
use crate::error_code::ErrorCode;
use crate::http::Caller;
use crate::identity::{Credential, Draft, Grant, KeysError, Permissions, Shown, StoredKey};

/// Longest time for which a replaced key goes on.
const LONGEST_GRACE_MS: u64 = 30 * DAY_MS;
const LONGEST_LIFE_MS: u64 = 3_660 * DAY_MS;
const DAY_MS: u64 = 24 * 3_600_000;

impl From<KeysError> for Problem {
    fn from(error: KeysError) -> Self {
        let code = match error {
            KeysError::Invalid { field, reason } => return Self::field(ErrorCode::InvalidField, field, &reason),
            KeysError::Store(error) => return error.into(),
            KeysError::NotFound => ErrorCode::KeyNotFound,
            KeysError::TooMuch(_) => ErrorCode::Forbidden,
            KeysError::Ended(_) => ErrorCode::KeyEnded,
            KeysError::Contended => ErrorCode::Overloaded,
            KeysError::NoRandomness(_) => ErrorCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}

/// A key that is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    roles: Vec<Grant>,
    #[serde(default)]
    permissions: Vec<Grant>,
    #[serde(default)]
    queues: Option<Vec<String>>,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    expires_in: Option<String>,
}

/// How a key is replaced.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    #[serde(default)]
    grace: Option<String>,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    expires_in: Option<String>,
}

/// A key as it is shown.
#[derive(Debug, Serialize)]
struct Key<'a> {
    id: &'a str,
    /// Only where it was made by this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    name: &'a str,
    namespace: &'a str,
    roles: Vec<&'a Grant>,
    permissions: Vec<&'a Grant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queues: Option<&'a [String]>,
    state: &'static str,
    created_at: String,
    created_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
}

impl<'a> Key<'a> {
    fn of(stored: &'a StoredKey, key: Option<&'a str>, now: Time) -> Self {
        let (roles, permissions) = apart(&stored.grants);
        Self {
            id: &stored.id,
            key,
            name: &stored.name,
            namespace: &stored.namespace,
            roles,
            permissions,
            queues: stored.queues.as_deref(),
            state: stored.state(now).as_str(),
            created_at: rfc3339(stored.created_at),
            created_by: &stored.created_by,
            expires_at: stored.expires_at.map(rfc3339),
            last_used_at: stored.last_used_at.map(rfc3339),
            revoked_at: stored.revoked_at.map(rfc3339),
            replaces: stored.replaces.as_deref(),
        }
    }
}

/// Roles, and what was granted beside them.
fn apart(grants: &[Grant]) -> (Vec<&Grant>, Vec<&Grant>) {
    grants.iter().partition(|grant| matches!(grant, Grant::Role(_)))
}

/// Who asks.
#[derive(Debug, Serialize)]
struct Me<'a> {
    name: &'a str,
    /// By what it was recognised: `key`, `token`, `setting`, `process` or `none`.
    credential: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    /// `*` is all of them.
    home: &'a str,
    /// Of this request.
    namespace: &'a str,
    roles: Vec<&'a Grant>,
    permissions: Permissions,
    #[serde(skip_serializing_if = "Option::is_none")]
    queues: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// `GET /v1/auth/me`.
pub(super) async fn me(cx: Cx, caller: Caller) -> Answer {
    let key_id = match caller.credential() {
        Credential::Key(id) => Some(&**id),
        _ => None,
    };
    Ok(reply::json(&Me {
        name: &caller.name,
        credential: caller.credential().kind(),
        key_id,
        home: &caller.home(),
        namespace: &cx.namespace,
        roles: apart(caller.grants()).0,
        permissions: caller.permissions(),
        queues: caller.queues(),
        expires_at: caller.expires_at().map(rfc3339),
    }))
}

/// `POST /v1/auth/keys`.
pub(super) async fn create(cx: Cx, caller: Caller, body: Result<Bytes, BytesRejection>) -> Answer {
    let new: NewKey = read(&required(body)?)?;
    let wanted = |(field, grants): (&str, &[Grant]), is_role: bool| {
        let wrong = { grants.iter() }.find(|grant| matches!(grant, Grant::Role(_)) != is_role);
        wrong.map_or(Ok(()), |grant| {
            let message = format!(
                "`{grant}` belongs into {}",
                if is_role { "permissions" } else { "roles" }
            );
            Err(Problem::field(ErrorCode::InvalidField, field, &message))
        })
    };
    wanted(("roles", &new.roles), true)?;
    wanted(("permissions", &new.permissions), false)?;
    let expires_at = end(new.expires_at.as_deref(), new.expires_in.as_deref(), cx.now())?;
    let draft = Draft {
        name: new.name,
        namespace: new.namespace.unwrap_or_else(|| cx.namespace.to_string()),
        grants: [new.roles, new.permissions].concat(),
        queues: new.queues,
        expires_at,
    };
    let shown = cx.app.identity.keys().create(&caller, draft).await?;
    Ok(once(&shown, cx.now()))
}

/// `GET /v1/auth/keys`: by id.
pub(super) async fn list(cx: Cx, caller: Caller, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let (after, limit, namespace) = (params.text("cursor")?, params.limit()?, params.text("namespace")?);
    let mut keys = cx
        .app
        .identity
        .keys()
        .list(&caller, namespace, after, limit + 1)
        .await?;
    let has_more = keys.len() > limit;
    keys.truncate(limit);
    let last = keys.last().map(|last| last.id.to_string());
    let now = cx.now();
    Ok(reply::json(&Page {
        items: keys.iter().map(|key| Key::of(key, None, now)).collect(),
        next_cursor: last.filter(|_| has_more),
    }))
}

/// `GET /v1/auth/keys/{id}`.
pub(super) async fn show(cx: Cx, caller: Caller, Path(id): Path<String>) -> Answer {
    let key = cx.app.identity.keys().get(&caller, &id).await?;
    Ok(reply::json(&Key::of(&key, None, cx.now())))
}

/// `DELETE /v1/auth/keys/{id}`: it is refused from now on, and stays to be seen.
pub(super) async fn revoke(cx: Cx, caller: Caller, Path(id): Path<String>) -> Answer {
    let key = cx.app.identity.keys().revoke(&caller, &id).await?;
    Ok(reply::json(&Key::of(&key, None, cx.now())))
}

/// `POST /v1/auth/keys/{id}/rotate`.
pub(super) async fn rotate(
    cx: Cx,
    caller: Caller,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = required(body)?;
    let rotation: Rotation = if body.is_empty() {
        Rotation::default()
    } else {
        read(&body)?
    };
    let grace_ms = rotation.grace.as_deref().map_or(Ok(0), |text| {
        span_ms(text).filter(|ms| *ms <= LONGEST_GRACE_MS).ok_or_else(|| {
            Problem::field(
                ErrorCode::InvalidField,
                "grace",
                "must be a time such as 10m, 24h or 7d, at most 30d",
            )
        })
    })?;
    let expires_at = end(rotation.expires_at.as_deref(), rotation.expires_in.as_deref(), cx.now())?;
    let keys = cx.app.identity.keys();
    let shown = keys.rotate(&caller, &id, grace_ms, expires_at).await?;
    Ok(once(&shown, cx.now()))
}

/// The only answer with a key in it.
fn once(shown: &Shown, now: Time) -> Response {
    reply::json(&Key::of(&shown.stored, Some(&shown.key), now))
}

fn required(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    whole(body).map_err(|problem| Problem {
        plain: false,
        ..problem
    })
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    let value: Value = serde_json::from_slice(body).map_err(|_| Problem::new(ErrorCode::BadJson, "bad json"))?;
    if !value.is_object() {
        return Err(Problem::new(ErrorCode::BadJson, "bad json: must be an object"));
    }
    serde_json::from_value(value).map_err(|error| Problem::new(ErrorCode::InvalidField, error.to_string()))
}

/// When a key ends, said as a moment or as a span from now.
fn end(at: Option<&str>, within: Option<&str>, now: Time) -> Result<Option<Time>, Problem> {
    let wrong = |field, message| Problem::field(ErrorCode::InvalidField, field, message);
    match (at, within) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(wrong("expires_in", "contradicts `expires_at`: leave one of them out")),
        (Some(at), None) => {
            let at = Time::parse_rfc3339(at);
            at.map(Some).ok_or_else(|| {
                wrong(
                    "expires_at",
                    "must be an RFC 3339 time, for instance 2026-01-31T12:00:00Z",
                )
            })
        }
        (None, Some(within)) => {
            let ms = span_ms(within).filter(|ms| (1..=LONGEST_LIFE_MS).contains(ms));
            ms.map(|ms| Some(now.plus_ms(ms)))
                .ok_or_else(|| wrong("expires_in", "must be a time such as 12h or 90d, at most 3660d"))
        }
    }
}

/// Like a duration elsewhere, and with days.
fn span_ms(text: &str) -> Option<u64> {
    match text.strip_suffix('d') {
        Some(days) => days.parse::<u64>().ok()?.checked_mul(DAY_MS),
        None => duration_ms(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_may_be_in_days() {
        assert_eq!(span_ms("90d"), Some(90 * DAY_MS));
        assert_eq!(span_ms("12h"), Some(DAY_MS / 2));
        for text in ["", "d", "-1d", "1.5d", "1w"] {
            assert_eq!(span_ms(text), None, "{text}");
        }
    }

    #[test]
    fn an_end_is_said_once() {
        let now = Time(1_000_000);
        assert_eq!(end(None, Some("1s"), now).ok().flatten(), Some(Time(2_000_000)));
        assert_eq!(end(None, None, now).ok(), Some(None));
        for (at, within) in [
            (Some("tomorrow"), None),
            (None, Some("0s")),
            (Some("2026-01-31T12:00:00Z"), Some("1h")),
        ] {
            assert!(end(at, within, now).is_err(), "{at:?} {within:?}");
        }
    }
}
