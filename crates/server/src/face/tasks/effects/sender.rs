//! Delivering the messages of effects.
//!
//! URLs that tasks name go through the guard for users; those of Slack and Discord are the operator's. What cannot be
//! delivered because nothing is configured for it is given up, and the log says which setting is missing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use quintet_engine::clock::Clock;
use quintet_engine::hooks::{Delivery, DeliveryError};
use quintet_executors::egress::Client;
use quintet_executors::webhook::{Hook, HookError, HookSender, WebhookSecret};
use quintet_store::OutboxEntry;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::Channel;
use super::mail::Mailer;
use super::source::{ENQUEUE, EnqueueMessage, NOTIFY, NotifyMessage, WEBHOOK, WebhookMessage};
use crate::config::{ConfigError, EffectTargets};

/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Characters that Discord takes.
const DISCORD_CHARS: usize = 2_000;
/// Characters that Slack takes.
const SLACK_CHARS: usize = 40_000;
/// Where Slack's messages go that name no channel.
const SLACK_CHANNEL: &str = "#general";

/// Starts tasks that effects enqueue.
#[async_trait]
pub(crate) trait Starter: Send + Sync + 'static {
    /// Starts the task of a document, once for each key.
    async fn start(&self, document: Value, key: String) -> Result<(), DeliveryError>;
}

/// Delivers what [`Source`](super::Source) writes.
pub(crate) struct Sender {
    users: HookSender,
    operator: HookSender,
    webhook_secret: Option<WebhookSecret>,
    slack: Option<Url>,
    discord: Option<Url>,
    mailer: Option<Mailer>,
    starter: Arc<dyn Starter>,
}

impl Sender {
    /// A sender to these targets, and to URLs that `client` may reach.
    pub fn new(
        targets: EffectTargets,
        client: &Client,
        clock: &Arc<dyn Clock>,
        starter: Arc<dyn Starter>,
    ) -> Result<Self, ConfigError> {
        let EffectTargets {
            webhook_secret,
            slack,
            discord,
            mail,
        } = targets;
        Ok(Self {
            users: HookSender::for_users(client, Arc::clone(clock)).with_timeout(TIMEOUT),
            operator: HookSender::new(client, Arc::clone(clock)).with_timeout(TIMEOUT),
            webhook_secret,
            slack,
            discord,
            mailer: mail.map(|mail| Mailer::new(&mail, TIMEOUT)).transpose()?,
            starter,
        })
    }

    async fn webhook(&self, entry: &OutboxEntry) -> Result<(), DeliveryError> {
        let message: WebhookMessage = read(entry)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            let (name, value) = (name.parse::<HeaderName>(), HeaderValue::from_str(value));
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.insert(name, value);
            }
        }
        let hook = Hook {
            url: &message.url,
            method: Method::from_bytes(message.method.as_bytes()).unwrap_or(Method::POST),
            headers,
            id: &entry.message_id,
            body: message.body.get().to_owned().into(),
            secret: self.webhook_secret.as_ref(),
        };
        self.users.deliver(hook).await.map_err(from_hook)
    }

    async fn notify(&self, entry: &OutboxEntry, channel: &str) -> Result<(), DeliveryError> {
        let message: NotifyMessage = read(entry)?;
        let text = &message.message;
        if channel == Channel::Slack.name() {
            let url = self.slack.as_ref().ok_or_else(|| missing("slack_webhook_url"))?;
            let target = message.target.as_deref().unwrap_or(SLACK_CHANNEL);
            let body = json!({ "channel": target, "text": cut(text, SLACK_CHARS) });
            self.post(url, entry, &body).await
        } else if channel == Channel::Discord.name() {
            let url = self.discord.as_ref().ok_or_else(|| missing("discord_webhook_url"))?;
            self.post(url, entry, &json!({ "content": cut(text, DISCORD_CHARS) }))
                .await
        } else if channel == Channel::Email.name() {
            let mailer = self.mailer.as_ref().ok_or_else(|| missing("smtp_url"))?;
            mailer.send(&entry.message_id, &message).await
        } else {
            Err(permanent(format!("there is no channel {channel:?}")))
        }
    }

    async fn post(&self, url: &Url, entry: &OutboxEntry, body: &Value) -> Result<(), DeliveryError> {
        let body = body.to_string().into();
        let sent = self.operator.send(url.as_str(), &entry.message_id, body, None).await;
        sent.map_err(from_hook)
    }

    async fn enqueue(&self, entry: &OutboxEntry) -> Result<(), DeliveryError> {
        match read(entry)? {
            EnqueueMessage::Task(task) => self.starter.start(task, entry.message_id.clone()).await,
            EnqueueMessage::Refused(reason) => Err(permanent(reason)),
        }
    }
}

#[async_trait]
impl Delivery for Sender {
    async fn deliver(&self, entry: &OutboxEntry) -> Result<(), DeliveryError> {
        if entry.target.starts_with(WEBHOOK) {
            self.webhook(entry).await
        } else if let Some(channel) = entry.target.strip_prefix(NOTIFY) {
            self.notify(entry, channel).await
        } else if *entry.target == *ENQUEUE {
            self.enqueue(entry).await
        } else {
            Err(permanent(format!("there is no receiver {:?}", entry.target)))
        }
    }
}

fn read<T: DeserializeOwned>(entry: &OutboxEntry) -> Result<T, DeliveryError> {
    serde_json::from_str(&entry.body).map_err(|error| permanent(format!("the message cannot be read: {error}")))
}

fn cut(text: &str, chars: usize) -> String {
    if text.chars().nth(chars).is_none() {
        return text.to_owned();
    }
    text.chars().take(chars - 1).chain(['…']).collect()
}

fn missing(setting: &str) -> DeliveryError {
    permanent(format!("nothing is configured for it: set `tasks.{setting}`"))
}

pub(super) fn permanent(message: String) -> DeliveryError {
    DeliveryError {
        message,
        retryable: false,
        retry_after_ms: None,
    }
}

fn from_hook(error: HookError) -> DeliveryError {
    DeliveryError {
        message: error.message,
        retryable: error.retryable,
        retry_after_ms: error.retry_after_ms,
    }
}

#[cfg(test)]
mod tests;
