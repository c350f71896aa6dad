//! What goes over the wire to a backend that answers in one breath, and what its answer means.
//!
//! Bodies and texts are those of the orchestrator that these backends were written for: an error inside of an answer with
//! status 200 is the task's own failure, any other status is the backend's, and its text names the status and the body.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use quintet_core::outcome::{Failure, Outcome, Success, Work};
use serde_json::{Map, Value};
use url::Url;

use super::settings::{BackendSettings, Kind, base, below};
use super::{Order, TASK_FAILED};
use crate::egress::{Call, CallError, Redirects, Reply};
use crate::http::{MAX_DEPTH, introduce, is_nested_at_most};

/// How a backend is spoken to.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    /// Before every text about its failures: `Modal`, `Ray`, or its name.
    pub label: String,
    pub health: Url,
    pub run: Url,
    pub types: Option<Url>,
    pub cluster: Option<Url>,
    authorization: Option<HeaderValue>,
    type_key: String,
    payload_key: String,
    /// `None` takes the whole answer.
    result_key: Option<String>,
    error_key: String,
}

/// What a call says about the backend, whatever came of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is there.
    There,
    /// It failed as dead backends do.
    Away(String),
    /// It did not answer in time, which a busy backend does too.
    Silent(String),
}

impl Wire {
    pub fn new(name: &str, settings: &BackendSettings) -> Result<Self, String> {
        let url = base(&settings.url)?;
        let kind = settings.kind;
        let path = |own: &Option<String>, usual: &str| below(&url, own.as_deref().unwrap_or(usual));
        let types = settings.types_path.as_deref().or(kind.types_path());
        let authorization = match &settings.token {
            Some(token) => Some(bearer(token.reveal())?),
            None => None,
        };
        let key = |own: &Option<String>, usual: &str| own.clone().unwrap_or_else(|| usual.to_owned());
        let result_key = key(&settings.result_key, "result");
        let dashboard = settings.dashboard_url.as_deref().map(base).transpose()?;
        Ok(Self {
            label: match kind {
                Kind::Modal => "Modal".to_owned(),
                Kind::Ray | Kind::RayJobs => "Ray".to_owned(),
                Kind::Http => name.to_owned(),
            },
            health: path(&settings.health_path, kind.health_path()),
            run: path(&settings.run_path, kind.run_path()),
            types: types.map(|path| below(&url, path)),
            cluster: dashboard.map(|url| below(&url, "api/cluster_status")),
            authorization,
            type_key: match kind {
                Kind::Modal => "task_type".to_owned(),
                _ => key(&settings.type_key, "type"),
            },
            payload_key: key(&settings.payload_key, "payload"),
            result_key: Some(result_key).filter(|key| !key.is_empty()),
            error_key: key(&settings.error_key, "error"),
        })
    }

    /// The call of a task.
    pub fn task(&self, order: &Order, work: &Work, timeout: Duration) -> Call {
        let mut body = Map::new();
        body.insert(self.type_key.clone(), order.task_type.clone().into());
        body.insert(self.payload_key.clone(), order.payload.clone());
        let mut call = self.post(self.run.clone(), Some(&Value::Object(body)), timeout);
        introduce(&mut call.headers, work);
        call
    }

    /// A call that changes something.
    pub fn post(&self, url: Url, body: Option<&Value>, timeout: Duration) -> Call {
        let mut call = Call {
            method: Method::POST,
            body: body.map(|body| Bytes::from(body.to_string())),
            ..self.read(url, timeout)
        };
        let json = HeaderValue::from_static("application/json");
        call.headers.insert(header::CONTENT_TYPE, json);
        call
    }

    /// A call that only reads.
    pub fn read(&self, url: Url, timeout: Duration) -> Call {
        let mut headers = HeaderMap::new();
        headers.extend(self.authorization.clone().map(|value| (header::AUTHORIZATION, value)));
        Call {
            headers,
            ..question(url, timeout)
        }
    }

    /// What came of a task.
    pub fn judge(&self, answer: Result<Reply, CallError>) -> (Outcome, Presence) {
        match answer {
            Ok(reply) if reply.status.is_success() => (self.read_answer(&reply), Presence::There),
            Ok(reply) => {
                let presence = presence_of(&reply);
                (Outcome::Failed(self.refusal(&reply)), presence)
            }
            Err(error) => {
                let presence = presence_without_answer(&error);
                (Outcome::Failed(self.no_answer(&error)), presence)
            }
        }
    }

    /// An answer that is no success.
    pub fn refusal(&self, reply: &Reply) -> Failure {
        let status = reply.status.as_u16();
        let text = String::from_utf8_lossy(&reply.body);
        let is_final = reply.status.is_client_error() && !matches!(status, 408 | 425 | 429);
        Failure {
            code: Some(status),
            retryable: is_final.then_some(false),
            retry_after_ms: reply.retry_after_ms(),
            ..Failure::new("http_status", format!("{} error: {status} - {text}", self.label))
        }
    }

    /// No answer at all.
    pub fn no_answer(&self, error: &CallError) -> Failure {
        Failure {
            retryable: error.is_permanent().then_some(false),
            ..Failure::new(error.kind(), format!("{} error: {error}", self.label))
        }
    }

    fn read_answer(&self, reply: &Reply) -> Outcome {
        let mut answer: Value = match serde_json::from_slice(&reply.body) {
            Ok(answer) => answer,
            Err(error) => {
                let text = format!("{} error: the answer is no JSON: {error}", self.label);
                return Outcome::Failed(Failure::new("bad_answer", text));
            }
        };
        if !is_nested_at_most(MAX_DEPTH, &answer) {
            let text = format!("{} error: the answer is nested deeper than {MAX_DEPTH}", self.label);
            return Outcome::Failed(Failure::permanent("bad_answer", text));
        }
        let error = &answer[self.error_key.as_str()];
        if is_truthy(error) {
            let text = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
            return Outcome::Failed(Failure::new(TASK_FAILED, text));
        }
        let output = match &self.result_key {
            Some(key) => answer.get_mut(key.as_str()).map(Value::take).unwrap_or_default(),
            None => answer,
        };
        Outcome::Succeeded(Success {
            output: output.into(),
            ..Success::default()
        })
    }
}

/// A question without credentials, for places that need none.
pub(super) fn question(url: Url, timeout: Duration) -> Call {
    Call {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: None,
        timeout,
        // A long task of Modal is answered by redirects to where its result will be.
        redirects: Redirects::Follow,
    }
}

/// What an answer that is no success says about who gave it.
pub(super) fn presence_of(reply: &Reply) -> Presence {
    match reply.status.as_u16() {
        502..=504 => Presence::Away(format!("status {}", reply.status.as_u16())),
        _ => Presence::There,
    }
}

/// What it says about a backend that there was no answer.
pub(super) fn presence_without_answer(error: &CallError) -> Presence {
    match error {
        CallError::Connect { .. } | CallError::ConnectTimedOut { .. } | CallError::Broken { .. } => {
            Presence::Away(error.to_string())
        }
        CallError::TimedOut { .. } => Presence::Silent(error.to_string()),
        CallError::Refused(_)
        | CallError::TooLarge { .. }
        | CallError::TooManyRedirects
        | CallError::BadRedirect(_)
        | CallError::SecretBody
        | CallError::BadUrl(_) => Presence::There,
    }
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| "`token` holds characters that a header cannot".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// As JavaScript takes it: the backends' clients have always asked it that way.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use serde_json::json;

    fn wire(kind: Kind) -> Wire {
        Wire::new("own", &BackendSettings::new(kind, "http://h/")).expect("wire")
    }

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).expect("status"),
            headers: HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static("7"))]),
            body: Bytes::from(body.to_owned()),
        }
    }

    fn failure(kind: Kind, status: u16, body: &str) -> Failure {
        match wire(kind).judge(Ok(reply(status, body))).0 {
            Outcome::Failed(failure) => failure,
            Outcome::Succeeded(success) => panic!("succeeded: {success:?}"),
        }
    }

    #[test]
    fn an_answer_that_is_nested_too_deep_is_refused_for_good() {
        let nested = |depth: usize| format!("{{\"result\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let outcome = wire(Kind::Modal).judge(Ok(reply(200, &nested(MAX_DEPTH - 1)))).0;
        assert!(matches!(outcome, Outcome::Succeeded(_)), "{outcome:?}");
        let failed = failure(Kind::Modal, 200, &nested(MAX_DEPTH));
        assert_eq!(failed.retryable, Some(false), "{failed:?}");
        assert!(failed.message.contains("nested deeper than 64"), "{failed:?}");
        assert!(failure(Kind::Modal, 200, &nested(100_000)).message.contains("no JSON"));
    }

    #[test]
    fn a_result_is_taken_and_a_missing_one_is_null() {
        for (body, expected) in [
            (json!({ "result": { "a": 1 }, "task_type": "x" }), json!({ "a": 1 })),
            (json!({ "result": 2, "error": null }), json!(2)),
            (json!({ "result": 2, "error": "" }), json!(2)),
            (json!({ "result": 2, "error": false }), json!(2)),
            (json!({}), Value::Null),
            (json!([1]), Value::Null),
        ] {
            let (outcome, presence) = wire(Kind::Modal).judge(Ok(reply(200, &body.to_string())));
            let Outcome::Succeeded(success) = outcome else {
                panic!("{body} failed")
            };
            assert_eq!((&*success.output, presence), (&expected, Presence::There), "{body}");
        }
    }

    #[test]
    fn an_error_inside_of_a_good_answer_is_the_tasks_own_and_may_be_retried() {
        let boom = failure(Kind::Modal, 200, r#"{"error":"boom","result":1}"#);
        assert_eq!((boom.message.as_str(), boom.retryable, boom.code), ("boom", None, None));
        assert_eq!(boom.kind.as_deref(), Some(TASK_FAILED));
        assert_eq!(failure(Kind::Ray, 200, r#"{"error":{"a":1}}"#).message, r#"{"a":1}"#);
    }

    #[test]
    fn other_statuses_are_named_with_the_body() {
        assert_eq!(failure(Kind::Modal, 500, "oops").message, "Modal error: 500 - oops");
        assert_eq!(failure(Kind::Ray, 404, "").message, "Ray error: 404 - ");
        assert_eq!(failure(Kind::Http, 418, "tea").message, "own error: 418 - tea");
        for (status, retryable, presence) in [
            (400, Some(false), Presence::There),
            (404, Some(false), Presence::There),
            (408, None, Presence::There),
            (425, None, Presence::There),
            (429, None, Presence::There),
            (500, None, Presence::There),
            (502, None, Presence::Away("status 502".to_owned())),
            (503, None, Presence::Away("status 503".to_owned())),
            (504, None, Presence::Away("status 504".to_owned())),
        ] {
            let (outcome, told) = wire(Kind::Ray).judge(Ok(reply(status, "x")));
            let Outcome::Failed(failure) = outcome else {
                panic!("{status} succeeded")
            };
            assert_eq!((failure.retryable, failure.code), (retryable, Some(status)));
            assert_eq!((failure.retry_after_ms, told), (Some(7_000), presence), "{status}");
        }
    }

    #[test]
    fn an_answer_that_is_no_json_is_a_failure_of_the_backend() {
        let failure = failure(Kind::Modal, 200, "<html>");
        assert!(
            failure.message.starts_with("Modal error: the answer is no JSON"),
            "{failure:?}"
        );
    }

    #[test]
    fn keys_and_paths_are_by_configuration() {
        let settings = BackendSettings {
            run_path: Some("v1/run".to_owned()),
            health_path: Some("/up".to_owned()),
            result_key: Some(String::new()),
            error_key: Some("problem".to_owned()),
            ..BackendSettings::new(Kind::Http, "http://h/base/")
        };
        let wire = Wire::new("own", &settings).expect("wire");
        assert_eq!(
            (wire.run.as_str(), wire.health.as_str()),
            ("http://h/base/v1/run", "http://h/base/up")
        );
        let (outcome, _) = wire.judge(Ok(reply(200, r#"{"a":1,"error":"not here"}"#)));
        let Outcome::Succeeded(success) = outcome else {
            panic!("failed")
        };
        assert_eq!(*success.output, json!({ "a": 1, "error": "not here" }));
        let (outcome, _) = wire.judge(Ok(reply(200, r#"{"problem":"p"}"#)));
        assert!(matches!(outcome, Outcome::Failed(failure) if failure.message == "p"));
    }
}
