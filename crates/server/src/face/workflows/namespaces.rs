//! Namespaces, over the API: create, list, read, change, remove; suspend and resume; and what they use.
//!
//! Namespaces are for those who belong to all of them. Who belongs to one may look at that one, and hears of no other.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::Uri;
use quintet_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cx::{Cx, whole};
use super::problem::{Answer, Problem};
use super::query::Params;
use super::reply::{self, Page};
use crate::error_code::ErrorCode;
use crate::http::Caller;
use crate::tenancy::{Namespace, NamespaceError, Quotas, Reading, RoomError, Spec, State};

impl From<NamespaceError> for Problem {
    fn from(error: NamespaceError) -> Self {
        let code = match error {
            NamespaceError::NotFound => ErrorCode::NamespaceNotFound,
            NamespaceError::Exists => return Self::field(ErrorCode::NamespaceExists, "name", &error.to_string()),
            NamespaceError::NotEmpty(_) => ErrorCode::NamespaceNotEmpty,
            NamespaceError::Invalid { field, reason } => return Self::field(ErrorCode::InvalidField, field, &reason),
            NamespaceError::TooMany(_) => ErrorCode::InvalidField,
            NamespaceError::Contended => ErrorCode::Overloaded,
            NamespaceError::Store(error) => return error.into(),
        };
        Self::new(code, error.to_string())
    }
}

impl From<RoomError> for Problem {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::Full(exceeded) => quintet_engine::EngineError::Quota(exceeded).into(),
            RoomError::Store(error) => error.into(),
        }
    }
}

/// A namespace that is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    name: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    quotas: Option<Quotas>,
}

/// Changes of a namespace; what is absent stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    /// Take the place of all that there were.
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    /// Each replaces its own; null takes a limit away.
    #[serde(default)]
    quotas: Option<Map<String, Value>>,
}

/// A namespace as this face shows it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    state: State,
    labels: &'a BTreeMap<String, String>,
    quotas: &'a Quotas,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "reply::time_opt")]
    created_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "reply::time_opt")]
    updated_at: Option<Time>,
}

impl<'a> Shown<'a> {
    fn of(namespace: &'a Namespace) -> Self {
        let is_stored = namespace.is_stored();
        Self {
            name: &namespace.name,
            state: namespace.spec.state,
            labels: &namespace.spec.labels,
            quotas: &namespace.spec.quotas,
            created_at: is_stored.then_some(namespace.created_at),
            updated_at: is_stored.then_some(namespace.updated_at),
        }
    }
}

/// What a namespace uses.
#[derive(Debug, Serialize)]
struct Usage<'a> {
    namespace: &'a str,
    live_runs: u64,
    finished_runs: u64,
    workflows: u64,
    documents: u64,
    dead_letters: u64,
    stored_bytes: u64,
    quotas: Quotas,
    #[serde(serialize_with = "reply::time")]
    as_of: Time,
}

impl<'a> Usage<'a> {
    fn of(namespace: &'a str, reading: &Reading, quotas: Quotas) -> Self {
        let usage = &reading.usage;
        Self {
            namespace,
            live_runs: usage.live_runs,
            finished_runs: usage.finished_runs,
            workflows: usage.workflows,
            documents: usage.records,
            dead_letters: usage.letters,
            stored_bytes: usage.stored_bytes,
            quotas,
            as_of: reading.at,
        }
    }
}

/// `POST /v1/namespaces`.
pub(super) async fn create(cx: Cx, caller: Caller, body: Result<Bytes, BytesRejection>) -> Answer {
    only_of_every(&caller)?;
    let draft: Draft = read(body)?;
    let spec = Spec {
        labels: draft.labels.unwrap_or_default(),
        quotas: draft.quotas.unwrap_or_default(),
        ..Spec::default()
    };
    let namespace = cx.app.tenancy.create(&draft.name, spec).await?;
    Ok(reply::json(&Shown::of(&namespace)))
}

/// `GET /v1/namespaces`.
pub(super) async fn list(cx: Cx, caller: Caller, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let (after, limit) = (params.text("cursor")?, params.limit()?);
    let mut found = if caller.is_global() {
        cx.app.tenancy.list(after, limit + 1)
    } else {
        let own = cx.app.tenancy.get(&caller.home()).into_iter();
        own.filter(|own| after.is_none_or(|after| *own.name > *after)).collect()
    };
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|last| last.name.to_string());
    Ok(reply::json(&Page {
        items: found.iter().map(|namespace| Shown::of(namespace)).collect(),
        next_cursor: last.filter(|_| has_more),
    }))
}

/// `GET /v1/namespaces/{name}`.
pub(super) async fn show(cx: Cx, caller: Caller, Path(name): Path<String>) -> Answer {
    may_look(&caller, &name)?;
    Ok(reply::json(&Shown::of(&*cx.app.tenancy.get(&name)?)))
}

/// `PATCH /v1/namespaces/{name}`.
pub(super) async fn change(
    cx: Cx,
    caller: Caller,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    only_of_every(&caller)?;
    let patch: Patch = read(body)?;
    let changed = cx.app.tenancy.change(&name, |spec| {
        if let Some(labels) = &patch.labels {
            spec.labels.clone_from(labels);
        }
        if let Some(quotas) = &patch.quotas {
            spec.quotas = merged(&spec.quotas, quotas)?;
        }
        Ok(())
    });
    let changed = changed.await?;
    // More steps may run at a time.
    cx.engine().look_at_all();
    Ok(reply::json(&Shown::of(&changed)))
}

/// `DELETE /v1/namespaces/{name}`.
pub(super) async fn remove(cx: Cx, caller: Caller, Path(name): Path<String>) -> Answer {
    only_of_every(&caller)?;
    cx.app.tenancy.remove(&name).await?;
    Ok(reply::nothing())
}

/// `POST /v1/namespaces/{name}/suspend`.
pub(super) async fn suspend(cx: Cx, caller: Caller, Path(name): Path<String>) -> Answer {
    set(&cx, &caller, &name, State::Suspended).await
}

/// `POST /v1/namespaces/{name}/resume`.
pub(super) async fn resume(cx: Cx, caller: Caller, Path(name): Path<String>) -> Answer {
    set(&cx, &caller, &name, State::Active).await
}

async fn set(cx: &Cx, caller: &Caller, name: &str, state: State) -> Answer {
    only_of_every(caller)?;
    let namespace = cx.app.tenancy.set_state(name, state).await?;
    // Steps that waited for this can begin.
    cx.engine().look_at_all();
    Ok(reply::json(&Shown::of(&namespace)))
}

/// `GET /v1/namespaces/{name}/usage`.
pub(super) async fn usage(cx: Cx, caller: Caller, Path(name): Path<String>) -> Answer {
    may_look(&caller, &name)?;
    let reading = cx.app.tenancy.usage(&name).await?;
    Ok(reply::json(&Usage::of(&name, &reading, cx.app.tenancy.quotas(&name))))
}

/// Namespaces are managed by those who belong to all.
fn only_of_every(caller: &Caller) -> Result<(), Problem> {
    if caller.is_global() {
        return Ok(());
    }
    let message = "only a key of all namespaces (`*`) can do this";
    Err(Problem::new(ErrorCode::Forbidden, message))
}

/// Who belongs to one hears of no other.
fn may_look(caller: &Caller, name: &str) -> Result<(), Problem> {
    if caller.reaches(name) {
        Ok(())
    } else {
        Err(NamespaceError::NotFound.into())
    }
}

fn read<'a, T: serde::de::DeserializeOwned + 'a>(body: Result<Bytes, BytesRejection>) -> Result<T, Problem> {
    let body = whole(body).map_err(|problem| Problem {
        plain: false,
        ..problem
    })?;
    let value: Value = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(ErrorCode::BadJson, format!("the body is not JSON: {error}")))?;
    serde_json::from_value(value).map_err(|error| Problem::new(ErrorCode::InvalidField, error.to_string()))
}

/// Limits with changes, of which null takes one away.
fn merged(quotas: &Quotas, changes: &Map<String, Value>) -> Result<Quotas, NamespaceError> {
    let wrong = |error: serde_json::Error| NamespaceError::Invalid {
        field: "quotas".to_owned(),
        reason: error.to_string(),
    };
    let mut all = serde_json::to_value(quotas).map_err(wrong)?;
    if let Value::Object(all) = &mut all {
        all.extend(changes.clone());
    }
    serde_json::from_value(all).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_is_changed_by_its_name_and_taken_away_by_null() {
        let before = Quotas {
            max_live_runs: Some(5),
            max_workflows: Some(6),
            ..Quotas::default()
        };
        let change = |value: Value| merged(&before, value.as_object().expect("object"));
        let after = change(json!({ "max_live_runs": null, "burst": 3 })).expect("merged");
        assert_eq!(
            (after.max_live_runs, after.burst, after.max_workflows),
            (None, Some(3), Some(6))
        );
        for wrong in [
            json!({ "max_runs": 1 }),
            json!({ "burst": -1 }),
            json!({ "burst": "1" }),
        ] {
            assert!(change(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
