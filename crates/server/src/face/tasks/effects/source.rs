//! The messages of effects, written in the commit that carries their moment.
//!
//! Each webhook has a key of its own in the outbox, for each run and moment: its messages keep their order, and none
//! waits for another one's receiver. What goes to one channel of people, and the tasks that are to be started, keep the
//! order in which the task says them. What a message says is settled here, so that each attempt to deliver it says the
//! same.

use std::collections::BTreeMap;

use http::Method;
use quintet_core::event::{Event, Meta};
use quintet_core::state::RunState;
use quintet_engine::hooks::HookSource;
use quintet_store::OutboxWrite;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::fill::{Roots, compact};
use super::firing::{Firing, document, firings};
use super::read::web_url;
use super::{Action, Effects, Trigger, has_any};

/// Longest body of a webhook, in bytes: a larger result is left out, and can be fetched.
pub(super) const MAX_BODY_BYTES: usize = 256 << 10;

/// Receivers of webhooks are named by host and port behind this.
pub(super) const WEBHOOK: &str = "task.webhook:";
/// Receivers of notifications are named by their channel behind this.
pub(super) const NOTIFY: &str = "task.notify:";
/// This face itself.
pub(super) const ENQUEUE: &str = "task.enqueue";

/// A request to a URL that the task names.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WebhookMessage {
    pub url: String,
    pub method: String,
    pub headers: BTreeMap<String, String>,
    pub body: Box<RawValue>,
}

/// What it is sent: the original's words, and a note where the result is too large to be sent.
#[derive(Serialize)]
struct WebhookBody<'m> {
    task: &'m Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'m Value>,
    #[serde(rename = "jobId")]
    job_id: &'m Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// A word to people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct NotifyMessage {
    pub message: String,
    pub target: Option<String>,
    /// Of a mail.
    pub subject: String,
}

/// A task to be started, or why it cannot be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EnqueueMessage {
    Task(Value),
    Refused(String),
}

/// Makes the messages of this face's runs.
pub(crate) struct Source;

impl HookSource for Source {
    fn messages(&self, state: &RunState, _meta: Meta, events: &[Event]) -> Vec<OutboxWrite> {
        let Some(document) = document(state).filter(|document| has_any(document)) else {
            return Vec::new();
        };
        let firings = firings(state, events);
        if firings.is_empty() {
            return Vec::new();
        }
        let effects = Effects::of(document);
        let mut writes = Vec::new();
        for firing in &firings {
            let list = effects.on(firing.trigger).iter();
            let mut wanted = list
                .filter(|effect| firing.is_for(effect) && !effect.action.is_shown())
                .peekable();
            if wanted.peek().is_some() {
                let moment = Moment {
                    state,
                    firing,
                    roots: firing.roots(state, document),
                };
                writes.extend(wanted.filter_map(|effect| moment.message(effect.nth, &effect.action)));
            }
        }
        writes
    }
}

struct Moment<'m> {
    state: &'m RunState,
    firing: &'m Firing<'m>,
    roots: Roots<'m>,
}

impl Moment<'_> {
    fn message(&self, nth: usize, action: &Action) -> Option<OutboxWrite> {
        let (run, trigger) = (self.state.id, self.firing.trigger.name());
        let of_task = || run.to_string();
        let (target, key, body) = match action {
            Action::Webhook { url, method, headers } => {
                let message = self.webhook(url, method, headers);
                (
                    format!("{WEBHOOK}{}", lane(url)),
                    format!("{run}/{trigger}/{nth}"),
                    to_json(&message),
                )
            }
            Action::Notify {
                channel,
                message,
                target,
            } => {
                let message = NotifyMessage {
                    message: self.roots.text(message),
                    target: target.clone(),
                    subject: self.subject(),
                };
                (format!("{NOTIFY}{}", channel.name()), of_task(), to_json(&message))
            }
            Action::Enqueue { task } => {
                let message = match self.roots.tree(task) {
                    Ok(task) => EnqueueMessage::Task(task),
                    Err(too_large) => EnqueueMessage::Refused(too_large.to_string()),
                };
                (ENQUEUE.to_owned(), of_task(), to_json(&message))
            }
            Action::Toast { .. } | Action::Invalidate { .. } | Action::Emit { .. } | Action::Redirect { .. } => {
                return None;
            }
        };
        let attempt = self.firing.attempt().map(|attempt| format!("_{attempt}"));
        let attempt = attempt.unwrap_or_default();
        Some(OutboxWrite {
            target: target.into(),
            key: key.into(),
            message_id: format!("msg_{run}_{}_{trigger}_{nth}{attempt}", self.state.version),
            body,
        })
    }

    fn webhook(&self, url: &str, method: &Method, headers: &BTreeMap<String, String>) -> WebhookMessage {
        WebhookMessage {
            url: url.to_owned(),
            method: method.to_string(),
            headers: headers.clone(),
            body: self.body(),
        }
    }

    fn body(&self) -> Box<RawValue> {
        let mut body = WebhookBody {
            task: self.roots.task,
            result: None,
            error: self.roots.error.as_ref(),
            job_id: &self.roots.job_id,
            note: None,
        };
        if let Some(result) = &self.roots.result {
            let room = MAX_BODY_BYTES.saturating_sub(raw(&body).get().len());
            body.result = compact(result, room).and_then(|json| RawValue::from_string(json).ok());
            body.note = body.result.is_none().then(|| self.left_out());
        }
        raw(&body)
    }

    fn left_out(&self) -> String {
        let id = self.state.id;
        format!(
            "the result is left out because the message would be larger than {MAX_BODY_BYTES} bytes: GET /api/tasks/{id} has it"
        )
    }

    fn subject(&self) -> String {
        let kind = self.roots.task.get("type").and_then(Value::as_str).unwrap_or("task");
        let kind: String = kind.chars().take(80).collect();
        let what = match self.firing.trigger {
            Trigger::Pending => "is queued",
            Trigger::Progress => "goes on",
            Trigger::Success => "completed",
            Trigger::Error if self.firing.attempt().is_none() => "failed",
            Trigger::Error => "failed and is tried again",
        };
        format!("{kind} {what} ({})", self.state.id)
    }
}

/// Receivers with the same name share their places: host and port.
fn lane(url: &str) -> String {
    let Some(url) = web_url(url) else {
        return "?".to_owned();
    };
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or_default())
}

fn to_json(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("messages have text keys, and memory does not fail")
}

fn raw(body: &WebhookBody<'_>) -> Box<RawValue> {
    to_raw_value(body).expect("a task has text keys, and memory does not fail")
}
