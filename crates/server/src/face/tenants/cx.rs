//! What every handler works with: whose workflows a request is about, and who asks.

use std::sync::Arc;

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use quintet_core::state::RunState;
use quintet_core::time::Time;

use super::document::Workflow;
use super::reply::Refusal;
use super::{ids, order};
use crate::app::App;
use crate::http::Caller;

/// One request's surroundings.
pub(super) struct Cx {
    pub app: Arc<App>,
    pub tenant: Arc<str>,
    /// Who asks, where that is known.
    pub by: Option<String>,
    /// The workflow that the path names; empty where it names none.
    id: String,
}

/// A workflow that a request is about, as it is stored at one moment.
pub(super) struct Found {
    pub id: String,
    pub workflow: Workflow,
    pub state: Arc<RunState>,
}

impl FromRequestParts<Arc<App>> for Cx {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let params = RawPathParams::from_request_parts(parts, app).await;
        // A path that is no text names nobody.
        let params = params.map_err(|_| Refusal::no_workflow())?;
        let named = |name: &str| params.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let caller = parts.extensions.get::<Caller>().filter(|caller| !caller.is_anonymous());
        Ok(Self {
            app: Arc::clone(app),
            tenant: named("tenant").unwrap_or_default().into(),
            by: caller.map(|caller| caller.name.to_string()),
            id: named("workflow").unwrap_or_default().to_owned(),
        })
    }
}

impl Cx {
    pub fn now(&self) -> Time {
        self.app.engine.clock().now()
    }

    /// The workflow that the path names. What belongs to somebody else is not there, and neither is what is no
    /// workflow of this face.
    pub async fn found(&self) -> Result<Found, Refusal> {
        let run = ids::run_id(&self.id).ok_or_else(Refusal::no_workflow)?;
        let state = self.app.engine.state(&self.tenant, run).await?;
        Found::of(state)
            .filter(|found| found.id == self.id)
            .ok_or_else(Refusal::no_workflow)
    }
}

impl Found {
    /// A run as a workflow; `None` where it is a run of something else.
    pub fn of(state: Arc<RunState>) -> Option<Self> {
        order::intent_of(&state.created.workflow)?;
        let workflow = Workflow::of_context(&state.created.context).ok()?;
        Some(Self {
            id: ids::workflow_id(&workflow.intent_id, state.id),
            workflow,
            state,
        })
    }
}

/// The body, or why there is none.
pub(super) fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        _ => Refusal::bad("invalid request body: it could not be read"),
    })
}
