//! Workflows: create, list, read, remove, versions, rollback, validate.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use quintet_core::plan::Plan;
use quintet_core::time::Time;
use quintet_engine::clock::random_u64;
use quintet_store::{WorkflowRow, WorkflowVersionRow, WorkflowWrite};
use serde::Serialize;
use serde_json::{Value, json};

use super::cx::{Cx, whole};
use super::document::{
    DocumentError, FieldError, FieldErrors, PlanOptions, StoredDocument, check_number, parse, plan_of,
};
use super::problem::{Answer, Problem};
use super::query::{MAX_LIMIT, Params};
use super::reply::{self, Items, Page, rfc3339};
use super::schema::without_nulls;
use crate::error_code::ErrorCode;

/// Times that another generated id is tried where one is taken.
const ID_TRIES: usize = 5;

/// Documents read at a time for a list: they can be large.
const CHUNK: usize = 50;
/// A page of a list ends early when its documents have so many bytes.
const PAGE_BYTES: usize = 8 << 20;

/// Whether documents must satisfy the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// They must, and inputs must have the types that their actions need.
    Schema,
    /// They need only make a plan.
    Plan,
}

/// `POST /v1/workflows`.
pub(super) async fn create(cx: Cx, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Answer {
    store(&cx, &headers, body, Check::Schema).await.map_err(Problem::plain)
}

/// Stores a document as a workflow; shared with templates.
pub(super) async fn store(cx: &Cx, headers: &HeaderMap, body: Result<Bytes, BytesRejection>, check: Check) -> Answer {
    let value = read(headers, &whole(body)?)?;
    let (document, plan) = compile(cx, &value, check)?;
    put(cx, document, Arc::new(plan)).await
}

/// Reads a document from a body.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Value, Problem> {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let value = parse(body, media_type).map_err(|error| match error {
        DocumentError::TooLarge(..) => Problem::new(ErrorCode::BodyTooLarge, error.to_string()),
        DocumentError::Json(_) => bad_json(),
        DocumentError::TooDeep | DocumentError::TooMany | DocumentError::Yaml(_) => {
            Problem::new(ErrorCode::BadJson, error.to_string())
        }
    })?;
    match value {
        Value::Object(_) => Ok(value),
        // The original took `null` for an empty workflow.
        Value::Null => Ok(json!({})),
        _ => Err(bad_json()),
    }
}

/// The original's answer to a body that it cannot read.
pub(super) fn bad_json() -> Problem {
    Problem::new(ErrorCode::BadJson, "bad json").plain()
}

/// Checks a document in the original's order and compiles it.
pub(super) fn compile(cx: &Cx, value: &Value, check: Check) -> Result<(StoredDocument, Plan), Problem> {
    let is_blank = value
        .get("name")
        .is_none_or(|name| name.is_null() || name.as_str().is_some_and(|name| name.trim().is_empty()));
    let no_steps = value
        .get("steps")
        .is_none_or(|steps| steps.is_null() || steps.as_array().is_some_and(Vec::is_empty));
    if is_blank || no_steps {
        return Err(Problem::new(ErrorCode::InvalidWorkflow, "name and steps required").plain());
    }
    let refused = |found| Problem::findings(ErrorCode::InvalidWorkflow, "schema validation failed", found).plain();
    // Millions of steps would be looked at one by one, to say of each what it lacks.
    check_number(value).map_err(refused)?;
    if check == Check::Plan {
        return plan_of(value, None, PlanOptions::default()).map_err(refused);
    }
    let read = plan_of(value, Some(cx.engine().registry()), PlanOptions::default());
    let theirs = match cx.workflow_schema()? {
        Some(schema) => schema.check(&without_nulls(value), "").err(),
        None => None,
    };
    match (read, theirs) {
        (Ok(read), None) => Ok(read),
        (Ok(_), Some(theirs)) => Err(refused(theirs)),
        (Err(ours), theirs) => {
            let fresh = |error: &FieldError| !ours.0.iter().any(|known| known.field == error.field);
            let more: Vec<FieldError> = theirs.into_iter().flat_map(|found| found.0).filter(fresh).collect();
            Err(refused(FieldErrors(ours.0.iter().cloned().chain(more).collect())))
        }
    }
}

async fn put(cx: &Cx, document: StoredDocument, plan: Arc<Plan>) -> Answer {
    let tenancy = &cx.app.tenancy;
    tenancy.room_for_workflow(&cx.namespace, document.id.as_deref()).await?;
    let spec: Arc<str> = serde_json::to_string(&plan.spec).unwrap_or_default().into();
    let now = cx.now();
    for _ in 0..ID_TRIES {
        let generated = document.id.is_none();
        let id = document.id.clone().unwrap_or_else(|| generate_id("wf", now));
        let value = document.clone().into_value(&id, &rfc3339(now));
        let write = WorkflowWrite {
            namespace: Arc::clone(&cx.namespace),
            id: id.into(),
            name: document.name.clone(),
            document: value.to_string(),
            digest: plan.digest,
            spec: Arc::clone(&spec),
            at: now,
            expected: generated.then_some(0),
        };
        if let Some(row) = cx.engine().workflows().put(&cx.namespace, &plan, write).await? {
            return Ok(reply::json(&shown(&row, value)));
        }
    }
    Err(Problem::new(ErrorCode::Internal, "no free id was found"))
}

/// `<prefix>_<YYYYMMDDTHHMMSS>_<8 hex digits>`, as the original made them.
fn generate_id(prefix: &str, now: Time) -> String {
    let stamp = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default();
    format!(
        "{prefix}_{}_{:08x}",
        stamp.strftime("%Y%m%dT%H%M%S"),
        random_u64() as u32
    )
}

/// The document with its version, an addition to the original's.
fn shown(row: &WorkflowRow, mut document: Value) -> Value {
    if let Value::Object(map) = &mut document {
        map.insert("version".to_owned(), row.version.into());
        map.insert("updated_at".to_owned(), rfc3339(row.updated_at).into());
    }
    document
}

fn parsed(row: &WorkflowRow) -> Result<Value, Problem> {
    let document = serde_json::from_str(&row.document);
    document.map(|document| shown(row, document)).map_err(|error| {
        tracing::error!(workflow = %row.id, error = %error, "a stored document cannot be read");
        Problem::new(ErrorCode::Internal, "internal error")
    })
}

/// `GET /v1/workflows`.
pub(super) async fn list(cx: Cx, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let limit = if params.text("limit")?.is_some() {
        params.limit()?
    } else {
        MAX_LIMIT
    };
    let mut after = params.text("cursor")?.map(str::to_owned);
    let (mut items, mut bytes, mut more) = (Vec::new(), 0, true);
    while more && items.len() < limit && bytes < PAGE_BYTES {
        let wanted = CHUNK.min(limit - items.len());
        let mut rows = cx
            .engine()
            .workflows()
            .list(&cx.namespace, after.as_deref(), wanted + 1)
            .await?;
        more = rows.len() > wanted;
        rows.truncate(wanted);
        for row in &rows {
            bytes += row.document.len();
            items.push(parsed(row)?);
        }
        after = rows.last().map(|row| row.id.to_string()).or(after);
    }
    Ok(reply::json(&Page {
        items,
        next_cursor: after.filter(|_| more),
    }))
}

/// `GET /v1/workflows/{id}`.
pub(super) async fn show(cx: Cx, Path(id): Path<String>) -> Answer {
    let current = cx.engine().workflows().current(&cx.namespace, &id).await?;
    let current = current.ok_or_else(workflow_not_found)?;
    Ok(reply::json(&parsed(&current.row)?))
}

fn workflow_not_found() -> Problem {
    Problem::new(ErrorCode::WorkflowNotFound, "workflow not found")
}

/// `DELETE /v1/workflows/{id}`.
pub(super) async fn remove(cx: Cx, Path(id): Path<String>) -> Answer {
    match cx.engine().workflows().delete(&cx.namespace, &id).await? {
        true => Ok(reply::nothing()),
        false => Err(workflow_not_found()),
    }
}

/// One version, as the original shows it.
#[derive(Debug, Serialize)]
struct Version {
    id: String,
    workflow_id: String,
    version: u32,
    payload: Value,
    created_at: String,
}

impl Version {
    fn of(workflow: &str, row: &WorkflowVersionRow) -> Self {
        Self {
            id: format!("wfver_{workflow}_{}", row.version),
            workflow_id: workflow.to_owned(),
            version: row.version,
            payload: serde_json::from_str(&row.document).unwrap_or_default(),
            created_at: rfc3339(row.created_at),
        }
    }
}

/// `GET /v1/workflows/{id}/versions`.
pub(super) async fn versions(cx: Cx, Path(id): Path<String>) -> Answer {
    let rows = cx
        .engine()
        .workflows()
        .versions(&cx.namespace, &id)
        .await
        .map_err(Problem::from)
        .map_err(Problem::plain)?;
    if rows.is_empty() {
        // An unknown workflow has no versions, and the original said so with null.
        return Ok(reply::json(&json!({ "items": null })));
    }
    Ok(reply::json(&Items {
        items: rows.iter().map(|row| Version::of(&id, row)).collect(),
    }))
}

/// `GET /v1/workflows/{id}/versions/{version}`.
pub(super) async fn version(cx: Cx, Path((id, version)): Path<(String, String)>) -> Answer {
    let rows = cx.engine().workflows().versions(&cx.namespace, &id).await?;
    let wanted = version.parse::<u32>().ok();
    let row = rows.iter().find(|row| Some(row.version) == wanted);
    let row = row.ok_or_else(|| Problem::new(ErrorCode::VersionNotFound, "version not found"))?;
    Ok(reply::json(&Version::of(&id, row)))
}

/// `POST /v1/workflows/{id}/rollback`.
pub(super) async fn rollback(cx: Cx, Path(id): Path<String>, body: Result<Bytes, BytesRejection>) -> Answer {
    roll_back(&cx, &id, &whole(body)?).await.map_err(Problem::plain)
}

async fn roll_back(cx: &Cx, id: &str, body: &[u8]) -> Answer {
    let body = super::document::first_json(body).map_err(|_| bad_json())?;
    let wanted = match body.get("version") {
        _ if !body.is_object() && !body.is_null() => return Err(bad_json()),
        None | Some(Value::Null) => 0,
        Some(version) => whole_number(version).ok_or_else(bad_json)?,
    };
    let workflows = cx.engine().workflows();
    let rows = workflows.versions(&cx.namespace, id).await?;
    let not_found = || Problem::original(ErrorCode::VersionNotFound, StatusCode::NOT_FOUND, "version not found");
    let row = rows
        .iter()
        .find(|row| i64::from(row.version) == wanted)
        .ok_or_else(not_found)?;
    let plan = workflows.plan(row.digest).await?;
    let value: Value = serde_json::from_str(&row.document).unwrap_or_default();
    let write = WorkflowWrite {
        namespace: Arc::clone(&cx.namespace),
        id: id.into(),
        name: value["name"].as_str().unwrap_or_default().to_owned(),
        document: row.document.clone(),
        digest: row.digest,
        spec: serde_json::to_string(&plan.spec).unwrap_or_default().into(),
        at: cx.now(),
        expected: None,
    };
    let stored = workflows
        .put(&cx.namespace, &plan, write)
        .await?
        .ok_or_else(not_found)?;
    Ok(reply::json(&shown(&stored, value)))
}

/// A number without a fraction, however it is written.
fn whole_number(value: &Value) -> Option<i64> {
    let float = || {
        value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && number.abs() < 9e15)
    };
    value.as_i64().or_else(|| float().map(|number| number as i64))
}

/// `POST /v1/workflows/validate`.
pub(super) async fn validate(cx: Cx, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Answer {
    let json = |problem: Problem| Problem {
        plain: false,
        ..problem
    };
    let value = read(&headers, &whole(body).map_err(json)?).map_err(json)?;
    let (document, plan) = compile(&cx, &value, Check::Schema).map_err(json)?;
    let actions = plan.spec.steps.iter().map(|step| step.action.to_ascii_lowercase());
    let known = |action: &String| {
        matches!(action.as_str(), "wait" | "approval") || cx.engine().registry().executor(action).is_some()
    };
    let mut unknown: Vec<String> = actions.filter(|action| !known(action)).collect();
    unknown.sort();
    unknown.dedup();
    let id = document.id.clone().unwrap_or_default();
    let steps = document.into_value(&id, "")["steps"].take();
    Ok(reply::json(&json!({
        "valid": true,
        "digest": plan.digest,
        "steps": steps,
        "unsupported_actions": unknown,
    })))
}
