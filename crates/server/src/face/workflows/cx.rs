//! What every handler works with: the engine, what the face keeps compiled, and whose request it is.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use axum::extract::FromRequestParts;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use quintet_core::id::RunId;
use quintet_core::plan::{Digest, Plan};
use quintet_core::state::RunState;
use quintet_core::time::Time;
use quintet_engine::{Current, Engine, EngineError};
use serde_json::Value;

use super::document::gated;
use super::problem::Problem;
use super::schema::Schema;
use crate::app::App;
use crate::error_code::ErrorCode;
use crate::http::Caller;

/// The name of a caller that nobody knows.
const ANONYMOUS: &str = "anonymous";
/// Compiled things kept of each kind.
const KEPT: usize = 1024;

/// Whose workflows and runs a request sees. Put into the request's extensions by whoever knows the caller; without
/// it the namespace is `default`.
#[derive(Debug, Clone)]
pub struct Namespace(pub Arc<str>);

static DEFAULT_NAMESPACE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("default"));

/// A version of a workflow, and the schema that it sets for its runs.
type InputSchema = (Weak<Current>, Option<Arc<Schema>>);

/// What the face keeps compiled, and counts, for all requests.
#[derive(Default)]
pub(crate) struct Face {
    workflow_schema: OnceLock<Result<Option<Schema>, String>>,
    /// By the address of the version they belong to, which the weak reference keeps from being used again.
    input_schemas: Mutex<HashMap<usize, InputSchema>>,
    gated: Mutex<HashMap<Digest, Arc<Plan>>>,
}

/// One request's surroundings.
pub(crate) struct Cx {
    pub app: Arc<App>,
    pub face: Arc<Face>,
    pub namespace: Arc<str>,
    /// Who asks, where that is known.
    pub caller: Option<Arc<str>>,
}

impl FromRequestParts<Arc<App>> for Cx {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let face = parts.extensions.get::<Arc<Face>>().cloned();
        let face = face.ok_or_else(|| Problem::new(ErrorCode::Internal, "internal error"))?;
        let namespace = parts
            .extensions
            .get::<Namespace>()
            .map(|namespace| Arc::clone(&namespace.0));
        let namespace = namespace.unwrap_or_else(|| Arc::clone(&DEFAULT_NAMESPACE));
        let caller = parts
            .extensions
            .get::<Caller>()
            .filter(|caller| *caller.name != *ANONYMOUS);
        let caller = caller.map(|caller| Arc::clone(&caller.name));
        Ok(Self {
            app: Arc::clone(app),
            face,
            namespace,
            caller,
        })
    }
}

impl Cx {
    pub fn engine(&self) -> &Engine {
        &self.app.engine
    }

    pub fn now(&self) -> Time {
        self.app.engine.clock().now()
    }

    /// The run, as it is stored; an id that is none is a run that is not there.
    pub async fn run(&self, id: &str) -> Result<Arc<RunState>, Problem> {
        let id = run_id(id)?;
        let state = self.engine().state(&self.namespace, id).await;
        state.map_err(|error| match error {
            EngineError::RunNotFound(_) => not_found(),
            other => other.into(),
        })
    }

    /// The schema that workflows must satisfy.
    pub fn workflow_schema(&self) -> Result<Option<&Schema>, Problem> {
        let load = || Schema::for_workflows(self.app.config.policy.workflow_schema.as_deref());
        match self.face.workflow_schema.get_or_init(load) {
            Ok(schema) => Ok(schema.as_ref()),
            Err(error) => {
                tracing::error!(error = %error, "the workflow schema cannot be used");
                Err(Problem::new(ErrorCode::InvalidWorkflow, "schema validation failed").plain())
            }
        }
    }

    /// The schema of a workflow's run context, if it has one.
    pub fn input_schema(&self, current: &Arc<Current>) -> Option<Arc<Schema>> {
        let key = Arc::as_ptr(current) as usize;
        let mut kept = self.face.input_schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, schema)) = kept.get(&key)
            && version.strong_count() > 0
        {
            return schema.clone();
        }
        if kept.len() >= KEPT {
            kept.retain(|_, (version, _)| version.strong_count() > 0);
        }
        let schema = input_schema_of(&current.row.document).map(Arc::new);
        kept.insert(key, (Arc::downgrade(current), schema.clone()));
        schema
    }

    /// The plan as it is to run under this server's policy.
    pub fn under_policy(&self, plan: &Arc<Plan>) -> Result<Arc<Plan>, Problem> {
        if !self.app.config.policy.require_approval {
            return Ok(Arc::clone(plan));
        }
        let mut kept = self.face.gated.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = kept.get(&plan.digest) {
            return Ok(Arc::clone(plan));
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        let strict = gated(plan).map_err(|error| Problem::new(ErrorCode::InvalidWorkflow, error.to_string()))?;
        kept.insert(plan.digest, Arc::clone(&strict));
        Ok(strict)
    }
}

fn input_schema_of(document: &str) -> Option<Schema> {
    // Most documents have none, and need not be parsed to say so.
    if !document.contains("\"input_schema\"") {
        return None;
    }
    let document: Value = serde_json::from_str(document).ok()?;
    // It was checked when the document was stored.
    Schema::bounded(document.get("input_schema")?).ok()
}

/// The id that a path names.
pub(crate) fn run_id(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| not_found())
}

/// `not found`, as 404.
pub(crate) fn not_found() -> Problem {
    Problem::run_not_found(StatusCode::NOT_FOUND)
}

/// The body, or that it is too large.
pub(crate) fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ErrorCode::BodyTooLarge, "the body is too large").plain(),
        _ => Problem::new(ErrorCode::BadJson, "the body could not be read").plain(),
    })
}
