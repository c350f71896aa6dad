//! Effects: whom a task wants told as it goes along, and what is to follow from it.
//!
//! They are written into the task's document under the moment at which they take place. Those that reach somebody
//! outside (`webhook`, `notify`) or start something (`enqueue`) become messages in the outbox, in the commit that
//! carries the moment itself ([`source`]): none is lost, each is delivered at least once, and a receiver that hangs
//! holds up neither the task nor anybody else. Those for a screen (`toast`, `invalidate`, `emit`, `redirect`) are part of
//! the task's stream ([`shown`]).
//!
//! Differences from the original, which sent them once, in the middle of the run: `onError` is the task's last error and
//! not each attempt's (that is `everyAttempt`, an addition); templates are filled in as data and not as text, so no
//! quote or line break in a result can damage what is sent; an effect that cannot work is refused when the task is
//! submitted. `redirect`, which its README listed and nothing implemented, has a `url` that a dashboard is to open.

mod fill;
mod firing;
mod mail;
mod read;
mod sender;
mod shown;
mod source;

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

pub(crate) use read::check;
pub(crate) use sender::{Sender, Starter};
pub(super) use shown::shown;
pub(crate) use source::Source;

/// The outbox messages of this face are addressed to receivers whose names begin so.
pub(crate) const TARGETS: &str = "task.";

/// When effects take place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trigger {
    /// The task was accepted.
    Pending,
    /// It got further.
    Progress,
    /// It completed.
    Success,
    /// It failed, for good or, where an effect wants each, in one attempt; or it was called off.
    Error,
}

impl Trigger {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Progress, Self::Success, Self::Error];

    /// The document's word for it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Pending => "onPending",
            Self::Progress => "onProgress",
            Self::Success => "onSuccess",
            Self::Error => "onError",
        }
    }

    /// Part of messages' ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Progress => "progress",
            Self::Success => "success",
            Self::Error => "error",
        }
    }
}

/// All effects of a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Effects(BTreeMap<Trigger, Vec<Effect>>);

/// One effect.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Effect {
    /// Its place in the list.
    pub nth: usize,
    /// Of errors: it wants each failed attempt, and not only the last one.
    pub every_attempt: bool,
    pub action: Action,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Webhook {
        url: String,
        method: Method,
        headers: BTreeMap<String, String>,
    },
    Enqueue {
        task: Value,
    },
    Notify {
        channel: Channel,
        message: String,
        target: Option<String>,
    },
    Toast {
        text: String,
        variant: &'static str,
    },
    Invalidate {
        path: Option<String>,
        tags: Option<Vec<String>>,
    },
    Emit {
        event: String,
        data: Value,
    },
    Redirect {
        url: String,
    },
}

/// By what people are notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Slack,
    Email,
    Discord,
}

impl Channel {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Email => "email",
            Self::Discord => "discord",
        }
    }
}

impl Action {
    /// Whether it is for a screen, and sent nowhere.
    fn is_shown(&self) -> bool {
        match self {
            Self::Toast { .. } | Self::Invalidate { .. } | Self::Emit { .. } | Self::Redirect { .. } => true,
            Self::Webhook { .. } | Self::Enqueue { .. } | Self::Notify { .. } => false,
        }
    }
}

impl Effects {
    /// Those of a document that was accepted.
    pub fn of(document: &Value) -> Self {
        read::effects(document, &mut super::document::Problems::ignored())
    }

    /// Those of a moment, in the order written.
    pub fn on(&self, trigger: Trigger) -> &[Effect] {
        self.0.get(&trigger).map_or(&[], Vec::as_slice)
    }
}

/// Whether a document says anything of effects: most do not, and nothing has to be looked at then.
fn has_any(document: &Value) -> bool {
    let is_said = |name| document.get(name).is_some_and(|value| !value.is_null());
    is_said(read::WEBHOOK_URL) || Trigger::ALL.iter().any(|trigger| is_said(trigger.field()))
}

#[cfg(test)]
mod tests;
