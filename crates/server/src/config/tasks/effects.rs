//! Where the effects of tasks go, with secrets in clear.

use quintet_executors::webhook::WebhookSecret;
use url::Url;

use super::Tasks;
use crate::config::{ConfigError, Secret};

/// Whom effects may tell, beside the URLs that tasks name themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EffectTargets {
    /// Signs the messages of `webhook` effects.
    pub webhook_secret: Option<WebhookSecret>,
    /// Takes the messages for Slack.
    pub slack: Option<Url>,
    /// Takes those for Discord.
    pub discord: Option<Url>,
    /// Sends those that are mail.
    pub mail: Option<Mail>,
}

/// How mail is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The server, with user and password: `smtp://` or `smtps://`.
    pub server: Url,
    /// Whom it comes from.
    pub from: String,
    /// Whom it goes to where nobody is named.
    pub to: Vec<String>,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.server.host_str().unwrap_or_default();
        f.debug_struct("Mail")
            .field("host", &host)
            .field("from", &self.from)
            .finish()
    }
}

/// What becomes of secrets that are only references.
#[derive(Clone, Copy, PartialEq, Eq)]
enum References {
    /// They are looked up.
    Follow,
    /// They are left alone.
    Skip,
}

/// The targets; looks references up.
pub(super) fn targets(tasks: &Tasks) -> Result<EffectTargets, ConfigError> {
    read(tasks, References::Follow)
}

/// Refuses what cannot be used whatever the references lead to.
pub(super) fn check(tasks: &Tasks) -> Result<(), ConfigError> {
    let wrong = |field: &str, reason: &str| Err(ConfigError::senseless(format!("tasks.{field}"), reason));
    if tasks.smtp_url.is_some() && tasks.mail_from.is_none() {
        return wrong(
            "mail_from",
            "must be set where `tasks.smtp_url` is, such as quintet@example.com",
        );
    }
    if tasks.mail_from.as_deref().is_some_and(|from| !is_address(from)) {
        return wrong("mail_from", "must be an address such as quintet@example.com");
    }
    if tasks.mail_to.iter().any(|to| !is_address(to)) {
        return wrong("mail_to", "must hold addresses such as ops@example.com");
    }
    read(tasks, References::Skip).map(drop)
}

fn read(tasks: &Tasks, references: References) -> Result<EffectTargets, ConfigError> {
    let secret = |field: &str, secret: &Option<Secret>| revealed(field, secret.as_ref(), references);
    let key = secret("webhook_secret", &tasks.webhook_secret)?;
    let key = key.map(|text| text.parse::<WebhookSecret>()).transpose();
    let key = key.map_err(|error| ConfigError::senseless("tasks.webhook_secret", error.to_string()))?;
    let smtp = secret("smtp_url", &tasks.smtp_url)?;
    let smtp = url("smtp_url", smtp, &["smtp", "smtps"])?;
    let web = |field: &str, setting| url(field, secret(field, setting)?, &["http", "https"]);
    Ok(EffectTargets {
        webhook_secret: key,
        slack: web("slack_webhook_url", &tasks.slack_webhook_url)?,
        discord: web("discord_webhook_url", &tasks.discord_webhook_url)?,
        mail: smtp.zip(tasks.mail_from.clone()).map(|(server, from)| Mail {
            server,
            from,
            to: tasks.mail_to.clone(),
        }),
    })
}

fn revealed(field: &str, secret: Option<&Secret>, references: References) -> Result<Option<String>, ConfigError> {
    let secret = secret.filter(|secret| references == References::Follow || !secret.is_reference());
    let revealed = secret.map(Secret::reveal).transpose();
    revealed.map_err(|reason| ConfigError::senseless(format!("tasks.{field}"), reason))
}

/// The error does not repeat the URL: whoever has it can write there.
fn url(field: &str, text: Option<String>, schemes: &[&str]) -> Result<Option<Url>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let url = Url::parse(&text).ok();
    let url = url.filter(|url| schemes.contains(&url.scheme()) && url.host_str().is_some_and(|host| !host.is_empty()));
    let begin = schemes.join(":// or ");
    url.map(Some).ok_or_else(|| {
        ConfigError::senseless(
            format!("tasks.{field}"),
            format!("must be a URL that begins with {begin}://"),
        )
    })
}

/// As far as can be told without sending something.
fn is_address(text: &str) -> bool {
    let address = match text.rsplit_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => text,
    };
    let is_plain = |part: &str| !part.is_empty() && !part.contains([' ', '<', '>', '@', ',', '\r', '\n']);
    !text.contains(['\r', '\n'])
        && address
            .split_once('@')
            .is_some_and(|(user, host)| is_plain(user) && is_plain(host))
}
