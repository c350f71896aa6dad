//! The `http` action, and the six names under which the original offered it for services.
//!
//! Input: `{url, method, headers, body, timeout_ms, query}`; all but `url` may be absent. A status below 400 is a
//! success whose output is the body, 400 and above is the failure `http status <n>` with the beginning of the body
//! as its detail. Redirects are followed as Go's client does, each hop through the outbound guard.
//!
//! Each request names the attempt it comes from (`Idempotency-Key`, `X-Quintet-*`) unless the step sets the same
//! header itself: a receiver that keeps the key can make a repeated attempt harmless.
//!
//! Secrets of the namespace may stand in `url`, `headers`, `query` and `body`. They are put in here, for the time of
//! the call, and masked in whatever it gives.

mod holding;
mod input;
pub mod service;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use quintet_core::outcome::{Failure, Outcome, Success, Work};
use quintet_engine::executor::{Executor, Mode};
use serde_json::Value;

use self::holding::Holding;
use self::input::{Form, Input, InputError};
use self::service::Services;
use crate::egress::client::EXCERPT_BYTES;
use crate::egress::{Call, CallError, Client, Refusal, Reply};
use crate::secrets::{Secrets, fill};

const ACTION: &str = "http";
/// Deepest nesting of an answer that is still taken as a value.
pub(crate) const MAX_DEPTH: usize = 64;
pub(crate) const USER_AGENT: &str = concat!("quintet/", env!("CARGO_PKG_VERSION"));

/// Does the `http` action and its aliases.
pub struct Http {
    client: Client,
    services: Services,
    params: HttpParams,
    secrets: Option<Arc<dyn Secrets>>,
}

/// Limits of [`Http`].
#[derive(Debug, Clone, Copy)]
pub struct HttpParams {
    /// Attempts in flight at a time.
    pub concurrency: usize,
    /// For an attempt whose step says nothing.
    pub timeout: Duration,
}

impl Http {
    /// The actions behind this client; `services` must have been permitted by its guard.
    pub fn new(client: Client, services: Services, params: HttpParams) -> Self {
        Self {
            client,
            services,
            params,
            secrets: None,
        }
    }

    /// The same, with secrets that steps may send.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<dyn Secrets>) -> Self {
        Self {
            secrets: Some(secrets),
            ..self
        }
    }

    async fn attempt(&self, work: &Work, input: &Value) -> Outcome {
        let reply = match self.prepare(work, input) {
            Ok(call) => self.client.call(call).await.map_err(Problem::from),
            Err(problem) => Err(problem),
        };
        match reply {
            Ok(reply) => judge(&reply),
            Err(problem) => Outcome::Failed(problem.into()),
        }
    }

    /// An attempt whose input is complete only while it lasts.
    async fn attempt_with_secrets(&self, work: &Work) -> Outcome {
        match fill(self.secrets.as_ref(), work).await {
            Ok(filled) => filled.masker.outcome(self.attempt(work, &filled.input).await),
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// `sent` is the input that the request is made of.
    fn prepare(&self, work: &Work, sent: &Value) -> Result<Call, Problem> {
        let action = work.action.to_lowercase();
        let form = Form::of(sent, service::is_alias(&action));
        let holding = Holding::of(&work.secrets, form)?;
        let mut input = Input::read(sent, form)?;
        holding.mark(&mut input.headers);
        let text = self.locate(&action, input.url.as_deref())?;
        let mut url = self.client.guard().admit(&text).map_err(CallError::from)?;
        if !input.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&input.query);
        }
        let mut headers = input.headers;
        introduce(&mut headers, work);
        Ok(Call {
            method: input.method,
            url,
            headers,
            body: input.body,
            timeout: input.timeout.unwrap_or(self.params.timeout),
            redirects: holding.redirects(),
        })
    }

    fn locate(&self, action: &str, url: Option<&str>) -> Result<String, Problem> {
        match url.map(str::trim).filter(|url| !url.is_empty()) {
            None => {
                let url = self.services.default_url(action);
                url.ok_or_else(|| InputError::Illegal("missing url".to_owned()).into())
            }
            Some(path) if path.starts_with('/') => {
                let url = self.services.path_url(action, path);
                url.ok_or_else(|| CallError::from(Refusal::Scheme).into())
            }
            Some(url) => Ok(url.to_owned()),
        }
    }
}

/// Why an attempt got no answer.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let message = problem.to_string();
        match problem {
            Problem::Input(InputError::WrongType(field)) => Failure {
                detail: Some(field.into()),
                ..Failure::permanent("invalid_input", message)
            },
            Problem::Input(InputError::Illegal(_)) => Failure::permanent("invalid_input", message),
            Problem::Call(error) if error.is_permanent() => Failure::permanent(error.kind(), message),
            Problem::Call(error) => Failure::new(error.kind(), message),
        }
    }
}

#[async_trait]
impl Executor for Http {
    fn actions(&self) -> Vec<String> {
        std::iter::once(ACTION)
            .chain(service::aliases())
            .map(str::to_owned)
            .collect()
    }

    fn mode(&self) -> Mode {
        Mode::Async {
            concurrency: self.params.concurrency,
        }
    }

    fn check_input(&self, action: &str, input: &Value) -> Result<(), String> {
        input::check(input, Form::of(input, service::is_alias(&action.to_lowercase())))
    }

    fn takes_secrets(&self) -> bool {
        true
    }

    async fn execute(&self, work: Work) -> Outcome {
        if work.secrets.is_empty() {
            self.attempt(&work, &work.input).await
        } else {
            self.attempt_with_secrets(&work).await
        }
    }
}

/// Adds what every request says about itself, where the step has not said it.
pub(crate) fn introduce(headers: &mut HeaderMap, work: &Work) {
    let mut add = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    add(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    add(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    add(
        HeaderName::from_static("idempotency-key"),
        visible(&work.idempotency_key()),
    );
    add(
        HeaderName::from_static("x-quintet-run"),
        visible(&work.token.run.to_string()),
    );
    add(HeaderName::from_static("x-quintet-step"), visible(&work.step));
    add(HeaderName::from_static("x-quintet-attempt"), work.token.attempt.into());
}

/// Any text as a header value: what is not visible ASCII is percent-encoded, and so is `%`, so that two different
/// texts stay different.
fn visible(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | 0..=0x20 | 0x7f.. => encoded.push_str(&format!("%{byte:02X}")),
            _ => encoded.push(char::from(byte)),
        }
    }
    HeaderValue::from_str(&encoded).expect("only visible ASCII is left")
}

fn judge(reply: &Reply) -> Outcome {
    let code = reply.status.as_u16();
    if code < 400 {
        let (output, text) = read_body(&reply.body);
        return Outcome::Succeeded(Success {
            output: Arc::new(output),
            text,
            code: Some(code),
            ..Success::default()
        });
    }
    // Not implemented, and version not supported: the only statuses that speak of the request's form as such.
    let retryable = matches!(code, 501 | 505).then_some(false);
    Outcome::Failed(Failure {
        code: Some(code),
        retryable,
        retry_after_ms: reply.retry_after_ms(),
        detail: excerpt(&reply.body),
        ..Failure::new("http_status", format!("http status {code}"))
    })
}

/// The body as a value, and its exact text where the value alone does not give it back.
///
/// A body that is a JSON string keeps its text always: without it, `"a"` and `a` would look the same.
fn read_body(body: &[u8]) -> (Value, Option<String>) {
    let text = String::from_utf8_lossy(body);
    match parse(body) {
        Some(value) if value.is_string() || value.to_string() != text => (value, Some(text.into_owned())),
        Some(value) => (value, None),
        None => (Value::String(text.into_owned()), None),
    }
}

/// The value, unless it is nested so deep that a document which holds it might not be readable any more: parsers
/// stop at 128, and a result travels inside others.
fn parse(body: &[u8]) -> Option<Value> {
    let value = serde_json::from_slice(body).ok()?;
    is_nested_at_most(MAX_DEPTH, &value).then_some(value)
}

pub(crate) fn is_nested_at_most(depth: usize, value: &Value) -> bool {
    match (value, depth) {
        (Value::Array(_) | Value::Object(_), 0) => false,
        (Value::Array(items), _) => items.iter().all(|item| is_nested_at_most(depth - 1, item)),
        (Value::Object(entries), _) => entries.values().all(|entry| is_nested_at_most(depth - 1, entry)),
        _ => true,
    }
}

fn excerpt(body: &[u8]) -> Option<Value> {
    if body.is_empty() {
        return None;
    }
    // A body that fills the excerpt may have been cut, and a cut number is still a number.
    let whole = if body.len() < EXCERPT_BYTES { parse(body) } else { None };
    Some(whole.unwrap_or_else(|| Value::String(String::from_utf8_lossy(body).into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_output_is_the_value_and_the_text_is_kept_where_it_differs() {
        for (body, output, text) in [
            ("{\"a\":1}", json!({"a": 1}), None),
            ("{ \"a\": 1 }\n", json!({"a": 1}), Some("{ \"a\": 1 }\n")),
            ("{\"a\":1,\"a\":2}", json!({"a": 2}), Some("{\"a\":1,\"a\":2}")),
            ("\"s\"", json!("s"), Some("\"s\"")),
            ("12", json!(12), None),
            ("1e2", json!(100.0), Some("1e2")),
            ("null", json!(null), None),
            ("plain", json!("plain"), None),
            ("", json!(""), None),
            ("{\"a\":", json!("{\"a\":"), None),
        ] {
            assert_eq!(read_body(body.as_bytes()), (output, text.map(str::to_owned)), "{body}");
        }
        assert_eq!(read_body(b"\xff\xfe"), (json!("\u{fffd}\u{fffd}"), None));
        assert_eq!(read_body(b"\"\xff\""), (json!("\"\u{fffd}\""), None));
    }

    #[test]
    fn an_answer_nested_too_deep_stays_text() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read_body(nested(MAX_DEPTH).as_bytes()).0.is_array());
        for depth in [MAX_DEPTH + 1, 100_000] {
            assert_eq!(read_body(nested(depth).as_bytes()), (json!(nested(depth)), None));
        }
        assert_eq!(excerpt(nested(100).as_bytes()), Some(json!(nested(100))));
    }

    #[test]
    fn different_step_names_stay_different_header_values() {
        assert_eq!(visible("run_1/a[3]"), "run_1/a[3]");
        assert_eq!(visible("schön\r\n 5%"), "sch%C3%B6n%0D%0A%205%25");
        assert_ne!(visible("%20"), visible(" "));
    }

    #[test]
    fn a_body_that_may_have_been_cut_is_not_taken_for_a_value() {
        assert_eq!(excerpt(b""), None);
        assert_eq!(excerpt(b"{\"error\":\"x\"}"), Some(json!({"error": "x"})));
        assert_eq!(excerpt(b"oops"), Some(json!("oops")));
        let digits = "1".repeat(EXCERPT_BYTES);
        assert_eq!(excerpt(digits.as_bytes()), Some(json!(digits)));
    }
}
