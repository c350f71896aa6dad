//! Messages about runs to the memory archive and the audit log, in the original's shape.
//!
//! They are written in the commit that carries the events they tell of, and delivered from the outbox: at least
//! once, in order per run and receiver, with growing pauses between attempts, signed where a secret is configured.
//! The original sent them once, in the middle of the run, and said nothing of failed and canceled runs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quintet_core::event::{Event, Meta};
use quintet_core::state::RunState;
use quintet_engine::clock::Clock;
use quintet_engine::hooks::{Delivery, DeliveryError, HookSource};
use quintet_executors::egress::Client;
use quintet_executors::webhook::{HookSender, WebhookSecret};
use quintet_store::{OutboxEntry, OutboxWrite};
use serde::Serialize;
use serde_json::json;

use super::notice::{self, Notice};
use super::reply::rfc3339_seconds;
use super::runs::view::{code, current_step};
use super::status;
use crate::config::{Config, ConfigError};

/// What the engine needs to tell others.
pub type Hooks = (Arc<dyn HookSource>, Arc<dyn Delivery>);

/// The receivers that are configured; `None` when there is none.
pub fn hooks(config: &Config, client: &Client, clock: &Arc<dyn Clock>) -> Result<Option<Hooks>, ConfigError> {
    let (memarch, audit) = (&config.memarch, &config.audit_log);
    let mut receivers = Vec::new();
    let mut add = |kind, base_url: &str, timeout: Duration, secret| {
        if !base_url.is_empty() {
            let sender = HookSender::new(client, Arc::clone(clock)).with_timeout(timeout);
            receivers.push(Receiver {
                kind,
                url: format!("{base_url}/v1/events"),
                secret,
                sender,
            });
        }
    };
    add(
        Kind::Memarch,
        &memarch.base_url,
        memarch.timeout.duration(),
        memarch.signing_key()?,
    );
    add(
        Kind::AuditLog,
        &audit.base_url,
        audit.timeout.duration(),
        audit.signing_key()?,
    );
    if receivers.is_empty() {
        return Ok(None);
    }
    let source = Source {
        kinds: receivers.iter().map(|receiver| receiver.kind).collect(),
    };
    Ok(Some((Arc::new(source), Arc::new(Sender { receivers }))))
}

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memarch,
    AuditLog,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Memarch => "memarch",
            Self::AuditLog => "audit_log",
        }
    }
}

/// Makes the messages.
struct Source {
    kinds: Vec<Kind>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Message<'a> {
    Run {
        event: &'static str,
        run_id: String,
        workflow_id: &'a str,
        status: &'static str,
        current_step: u32,
        note: String,
        ts: String,
    },
    Step {
        event: &'static str,
        run_id: String,
        workflow_id: &'a str,
        step_id: String,
        step_name: &'a str,
        step_action: &'a str,
        step_status: &'static str,
        http_code: u16,
        error: String,
        ts: String,
    },
}

impl HookSource for Source {
    fn messages(&self, state: &RunState, meta: Meta, events: &[Event]) -> Vec<OutboxWrite> {
        let notices = events.iter().flat_map(|event| notice::of(event, state));
        let messages = notices.filter_map(|notice| message(state, meta, notice));
        let mut writes = Vec::new();
        for (nth, message) in messages.enumerate() {
            for kind in &self.kinds {
                let body = match kind {
                    Kind::Memarch => {
                        let project = &state.created.workflow;
                        json!({ "project_id": project, "type": "orchestrator", "payload": message }).to_string()
                    }
                    Kind::AuditLog => json!(message).to_string(),
                };
                writes.push(OutboxWrite {
                    target: kind.name().into(),
                    key: state.id.to_string().into(),
                    message_id: format!("msg_{}_{}_{nth}_{}", state.id, state.version, kind.name()),
                    body,
                });
            }
        }
        writes
    }
}

fn message<'a>(state: &'a RunState, meta: Meta, notice: Notice<'_>) -> Option<Message<'a>> {
    let run = |event, status, note: String| {
        Some(Message::Run {
            event,
            run_id: state.id.to_string(),
            workflow_id: &state.created.workflow,
            status,
            current_step: current_step(state),
            note,
            ts: rfc3339_seconds(meta.at),
        })
    };
    let step = |event, n: u32, step_status, error: String, http_code: Option<u16>| {
        let spec = &state.plan.spec.steps[state.nodes[n as usize].step as usize];
        Some(Message::Step {
            event,
            run_id: state.id.to_string(),
            workflow_id: &state.created.workflow,
            step_id: state.name_of(n),
            step_name: &spec.name,
            step_action: &spec.action,
            step_status,
            http_code: http_code.unwrap_or(0),
            error,
            ts: rfc3339_seconds(meta.at),
        })
    };
    match notice {
        Notice::RunStarted => run("run.started", "RUNNING", String::new()),
        Notice::WaitingApproval { n } => run("run.waiting_approval", "WAITING_APPROVAL", notice::label(state, n)),
        Notice::RunSucceeded => {
            let note = if state.stopped { "stopped by condition" } else { "" };
            run("run.succeeded", "SUCCEEDED", note.to_owned())
        }
        Notice::RunFailed { timed_out_ms } => {
            let failure = state
                .failure
                .as_deref()
                .or(state.first_failure().map(|(_, failure)| failure));
            let note = match timed_out_ms {
                Some(ms) => format!("timed out after {ms} ms"),
                None => failure.map(|failure| failure.message.clone()).unwrap_or_default(),
            };
            run("run.failed", "FAILED", note)
        }
        Notice::RunResolved { reason, .. } => run("run.resolved", "RESOLVED", reason.unwrap_or_default().to_owned()),
        Notice::RunCanceled { reason, .. } => run("run.canceled", "CANCELED", reason.unwrap_or_default().to_owned()),
        Notice::StepSucceeded { n } => {
            let code = code(state.nodes[n as usize].success.as_deref(), None);
            step("step.succeeded", n, "SUCCEEDED", String::new(), code)
        }
        Notice::StepResolved { n, .. } => step(
            "step.succeeded",
            n,
            status::of_node(&state.nodes[n as usize]),
            String::new(),
            None,
        ),
        Notice::StepFailed { n, error, code } => step("step.failed", n, "FAILED", error, code),
        Notice::StepRetrying { .. }
        | Notice::StepLost { .. }
        | Notice::StepSkipped { .. }
        | Notice::StepSaid { .. }
        | Notice::StepsReset { .. }
        | Notice::RunBlocked
        | Notice::RunPaused { .. }
        | Notice::RunResumed { .. }
        | Notice::Said { .. } => None,
    }
}

/// Delivers the messages.
struct Sender {
    receivers: Vec<Receiver>,
}

struct Receiver {
    kind: Kind,
    url: String,
    secret: Option<WebhookSecret>,
    sender: HookSender,
}

#[async_trait]
impl Delivery for Sender {
    async fn deliver(&self, entry: &OutboxEntry) -> Result<(), DeliveryError> {
        let receiver = self
            .receivers
            .iter()
            .find(|receiver| *receiver.kind.name() == *entry.target);
        let Some(receiver) = receiver else {
            let message = format!("no receiver \"{}\" is configured any more", entry.target);
            return Err(DeliveryError {
                message,
                retryable: false,
                retry_after_ms: None,
            });
        };
        let body = entry.body.clone().into();
        let sent = receiver
            .sender
            .send(&receiver.url, &entry.message_id, body, receiver.secret.as_ref())
            .await;
        sent.map_err(|error| DeliveryError {
            message: error.message,
            retryable: error.retryable,
            retry_after_ms: error.retry_after_ms,
        })
    }
}
