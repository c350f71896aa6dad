//! Notifications by mail.
//!
//! `smtps://` speaks TLS from the beginning. `smtp://` changes over to it: always where the URL holds a password, and
//! otherwise where the server offers it; `?tls=required`, `?tls=opportunistic` and `?tls=none` say it outright.

use std::time::Duration;

use lettre::message::{Mailbox, Mailboxes, MessageBuilder, header};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use quintet_engine::hooks::DeliveryError;
use url::Url;

use super::sender::permanent;
use super::source::NotifyMessage;
use crate::config::{ConfigError, Mail};

/// How this program greets, and what its messages' ids end in.
const NAME: &str = "quintet.localhost";
/// Longest subject, in characters.
const SUBJECT_CHARS: usize = 200;

/// Sends mail by the operator's server.
pub(super) struct Mailer {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Mailer {
    /// The error does not repeat the URL, which may hold a password.
    pub fn new(mail: &Mail, timeout: Duration) -> Result<Self, ConfigError> {
        let wrong = |setting: &str, reason: String| ConfigError::Senseless {
            key: format!("tasks.{setting}"),
            reason,
        };
        let mailbox = |setting: &str, text: &str| {
            let mailbox = text.parse::<Mailbox>();
            mailbox.map_err(|error| wrong(setting, format!("{text:?} is no address: {error}")))
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(with_tls(&mail.server).as_str());
        let builder = builder.map_err(|error| wrong("smtp_url", error.to_string()))?;
        let server = builder
            .timeout(Some(timeout))
            .hello_name(ClientId::Domain(NAME.to_owned()))
            .build();
        let to = mail.to.iter().map(|to| mailbox("mail_to", to));
        Ok(Self {
            server,
            from: mailbox("mail_from", &mail.from)?,
            to: to.collect::<Result<_, _>>()?,
        })
    }

    /// Sends one message once; `id` stays the same over all attempts.
    pub async fn send(&self, id: &str, notify: &NotifyMessage) -> Result<(), DeliveryError> {
        let to = match &notify.target {
            None if self.to.is_empty() => {
                let message = "the effect names no `target`, and nothing is configured instead: set `tasks.mail_to`";
                return Err(permanent(message.to_owned()));
            }
            None => self.to.clone(),
            Some(target) => match target.parse::<Mailboxes>() {
                Ok(target) => target.into_iter().collect(),
                Err(error) => return Err(permanent(format!("{target:?} is no address: {error}"))),
            },
        };
        let message = self.message(id, to, notify);
        let message = message.map_err(|error| permanent(format!("it cannot be written as a mail: {error}")))?;
        self.server
            .send(message)
            .await
            .map(drop)
            .map_err(|error| explain(&error))
    }

    fn message(&self, id: &str, to: Vec<Mailbox>, notify: &NotifyMessage) -> Result<Message, lettre::error::Error> {
        let subject: String = notify
            .subject
            .chars()
            .filter(|c| !c.is_control())
            .take(SUBJECT_CHARS)
            .collect();
        let builder = to.into_iter().fold(Message::builder(), MessageBuilder::to);
        builder
            .from(self.from.clone())
            .message_id(Some(format!("<{id}@{NAME}>")))
            .subject(subject)
            .header(header::ContentType::TEXT_PLAIN)
            .body(notify.message.clone())
    }
}

/// What the library does without a word about TLS is to send everything in clear.
fn with_tls(server: &Url) -> Url {
    let mut url = server.clone();
    let said = url
        .query_pairs()
        .find(|(name, _)| name == "tls")
        .map(|(_, value)| value.into_owned());
    match said.as_deref() {
        Some("none") => url.set_query(None),
        Some(_) => {}
        None if url.scheme() == "smtps" => {}
        None if url.password().is_some() => url.set_query(Some("tls=required")),
        None => url.set_query(Some("tls=opportunistic")),
    }
    url
}

/// What the server refuses for good is given up, but for the operator's own password.
fn explain(error: &SmtpError) -> DeliveryError {
    let is_about_login = matches!(error.status().map(u16::from), Some(530..=538));
    let mut message = error.to_string();
    let cause = std::error::Error::source(error).map(ToString::to_string);
    if let Some(cause) = cause.filter(|cause| !message.contains(cause.as_str())) {
        message = format!("{message}: {cause}");
    }
    DeliveryError {
        message,
        retryable: !error.is_permanent() || is_about_login,
        retry_after_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_sent_in_clear_unless_that_is_asked_for() {
        for (given, used) in [
            (
                "smtp://a:b@mail.example.com:587",
                "smtp://a:b@mail.example.com:587?tls=required",
            ),
            ("smtp://mail.example.com", "smtp://mail.example.com?tls=opportunistic"),
            ("smtps://a:b@mail.example.com", "smtps://a:b@mail.example.com"),
            ("smtp://a:b@localhost:25?tls=none", "smtp://a:b@localhost:25"),
            ("smtp://localhost?tls=required", "smtp://localhost?tls=required"),
        ] {
            assert_eq!(with_tls(&given.parse().unwrap()).as_str(), used);
        }
    }
}
