//! Hooks: signed messages to URLs that the operator configured, or that users named.
//!
//! Signing follows Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, sent as `v1,<base64>` beside the id and
//! the timestamp, so that a receiver can refuse forged, altered, old and repeated messages. The schedule of retries
//! is the sender's caller's; [`HookError`] says whether and when another attempt makes sense.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use quintet_engine::clock::Clock;
use serde::Deserialize;
use sha2::Sha256;

use crate::egress::{Call, Client, Redirects, Reply};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Headers by which a user would speak for the sender, or break the connection.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Whether a header of a hook is the sender's or the transport's, and not the user's to set.
pub fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(&name.as_str())
}

/// The key of one endpoint, written `whsec_<base64 of 24 to 64 bytes>`. It is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WebhookSecret(Vec<u8>);

/// The text was not a webhook secret; the message does not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is written whsec_ and the base64 of 24 to 64 bytes")]
pub struct ParseSecretError;

impl FromStr for WebhookSecret {
    type Err = ParseSecretError;

    fn from_str(text: &str) -> Result<Self, ParseSecretError> {
        let encoded = text.strip_prefix("whsec_").ok_or(ParseSecretError)?;
        let key = STANDARD.decode(encoded).map_err(|_| ParseSecretError)?;
        if (24..=64).contains(&key.len()) {
            Ok(Self(key))
        } else {
            Err(ParseSecretError)
        }
    }
}

impl TryFrom<String> for WebhookSecret {
    type Error = ParseSecretError;

    fn try_from(text: String) -> Result<Self, ParseSecretError> {
        text.parse()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// The value of `webhook-signature` for a message; `timestamp` is in seconds since 1970.
pub fn sign(secret: &WebhookSecret, id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// A message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HookError {
    /// Whether the same message may get through later.
    pub retryable: bool,
    /// The receiver asked to wait this long.
    pub retry_after_ms: Option<u64>,
    /// What went wrong.
    pub message: String,
}

/// One message to one endpoint.
#[derive(Debug, Clone)]
pub struct Hook<'a> {
    /// Where to.
    pub url: &'a str,
    /// How: POST, PUT or PATCH.
    pub method: Method,
    /// Sent beside the sender's own; [reserved](is_reserved) ones are left out.
    pub headers: HeaderMap,
    /// Stays the same over all attempts at the message.
    pub id: &'a str,
    /// JSON, unless the headers say otherwise.
    pub body: Bytes,
    /// Signs it.
    pub secret: Option<&'a WebhookSecret>,
}

/// Delivers messages.
#[derive(Clone)]
pub struct HookSender {
    client: Client,
    clock: Arc<dyn Clock>,
    timeout: Duration,
}

impl HookSender {
    /// A sender to the operator's endpoints, with connections of its own behind the same settings as `client`.
    pub fn new(client: &Client, clock: Arc<dyn Clock>) -> Self {
        Self::for_users(&client.for_operator(), clock)
    }

    /// A sender to whatever `client` may reach.
    pub fn for_users(client: &Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            client: client.clone(),
            clock,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Gives up on an endpoint after this long instead of five seconds.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Posts one message once. `id` stays the same over all attempts at the message. Only a status of the 200s
    /// counts as delivered.
    pub async fn send(
        &self,
        target_url: &str,
        id: &str,
        body: Bytes,
        secret: Option<&WebhookSecret>,
    ) -> Result<(), HookError> {
        let hook = Hook {
            url: target_url,
            method: Method::POST,
            headers: HeaderMap::new(),
            id,
            body,
            secret,
        };
        self.deliver(hook).await
    }

    /// Sends one message once. Only a status of the 200s counts as delivered.
    pub async fn deliver(&self, hook: Hook<'_>) -> Result<(), HookError> {
        let permanent = |message: String| HookError {
            retryable: false,
            retry_after_ms: None,
            message,
        };
        let url = self
            .client
            .guard()
            .admit(hook.url)
            .map_err(|refusal| permanent(refusal.to_string()))?;
        let headers = self
            .headers(&hook)
            .ok_or_else(|| permanent(format!("{:?} cannot be a webhook id", hook.id)))?;
        let call = Call {
            method: hook.method,
            url,
            headers,
            body: Some(hook.body),
            timeout: self.timeout,
            redirects: Redirects::Return,
        };
        let answer = self.client.call(call).await;
        let reply = answer.map_err(|error| HookError {
            retryable: !error.is_permanent(),
            retry_after_ms: None,
            message: error.to_string(),
        })?;
        verdict(&reply)
    }

    fn headers(&self, hook: &Hook<'_>) -> Option<HeaderMap> {
        let id = hook.id;
        let timestamp = self.clock.now().as_ms() / 1000;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(crate::http::USER_AGENT));
        for (name, value) in &hook.headers {
            if !is_reserved(name) {
                headers.insert(name.clone(), value.clone());
            }
        }
        headers.insert(HeaderName::from_static("webhook-id"), HeaderValue::from_str(id).ok()?);
        headers.insert(HeaderName::from_static("webhook-timestamp"), timestamp.into());
        if let Some(secret) = hook.secret {
            let signature = HeaderValue::from_str(&sign(secret, id, timestamp, &hook.body)).ok()?;
            headers.insert(HeaderName::from_static("webhook-signature"), signature);
        }
        Some(headers)
    }
}

fn verdict(reply: &Reply) -> Result<(), HookError> {
    if reply.status.is_success() {
        return Ok(());
    }
    Err(HookError {
        // Gone: the receiver says that it wants no more.
        retryable: reply.status.as_u16() != 410,
        retry_after_ms: reply.retry_after_ms(),
        message: format!("http status {}", reply.status.as_u16()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_equal_the_published_vectors() {
        for (secret, id, timestamp, body, signature) in [
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
        ] {
            let secret = secret.parse().expect("secret");
            assert_eq!(sign(&secret, id, timestamp, body.as_bytes()), signature);
        }
    }

    #[test]
    fn each_part_of_a_message_counts() {
        let key = |text: &str| text.parse::<WebhookSecret>().expect("secret");
        let own = key("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let (id, timestamp, body) = ("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, &b"{}"[..]);
        let signed = sign(&own, id, timestamp, body);
        let other = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        for altered in [
            sign(&other, id, timestamp, body),
            sign(&own, "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp, body),
            sign(&own, id, timestamp + 1, body),
            sign(&own, id, timestamp, b"{} "),
            // What is between the parts counts too.
            sign(&own, &format!("{id}.1"), 649_367_553, body),
        ] {
            assert_ne!(altered, signed);
        }
    }

    #[test]
    fn secrets_of_the_wrong_form_or_length_are_refused_and_none_is_shown() {
        let text = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7u8; bytes]));
        for length in [24, 64] {
            let secret: WebhookSecret = text(length).parse().expect("secret");
            assert_eq!(format!("{secret:?}"), "WebhookSecret(…)");
        }
        for wrong in [
            text(23),
            text(65),
            "whsec_?".to_owned(),
            "C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned(),
        ] {
            assert_eq!(wrong.parse::<WebhookSecret>(), Err(ParseSecretError));
        }
    }
}
