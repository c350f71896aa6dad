//! Reading the input of an http step.
//!
//! The same reading serves twice. When a workflow is created, [`check`] refuses wrong JSON types by the name of the
//! field and lets templates pass; when the step runs, [`Input::read`] refuses them with the original's one sentence
//! and keeps the field for the detail. What only the value can tell (a scheme, a method, a line break in a header)
//! is judged when the step runs, because creation accepted it in the original too.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::{Map, Value};

use crate::template::is_template;

/// Headers that belong to the transport. The original's client dropped them without a word, and so do we: sent as
/// written they could contradict the real length or host and split one request into two.
const TRANSPORT_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a step asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Input {
    /// As written, if it is.
    pub url: Option<String>,
    pub method: Method,
    /// The user's own headers only.
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    pub timeout: Option<Duration>,
    /// Appended to the URL.
    pub query: Vec<(String, String)>,
}

/// An input that no attempt can send.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum InputError {
    /// Holds which field it is.
    #[error("invalid http input")]
    WrongType(String),
    /// The type is right, the value is not.
    #[error("{0}")]
    Illegal(String),
}

/// How a step's input is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `url`, `method`, `headers`, `body` and so on, each under its name.
    Request,
    /// The whole input is the body, except `timeout_ms`.
    Bare,
}

impl Form {
    /// An alias may be written bare: without `url` and without anything that makes it a request.
    pub fn of(input: &Value, is_alias: bool) -> Form {
        let is_set = |field: &str| input.get(field).is_some_and(|value| !value.is_null());
        let is_request = is_set("url")
            || ["body", "method", "headers"]
                .iter()
                .any(|field| input.get(field).is_some());
        if is_alias && !is_request {
            Form::Bare
        } else {
            Form::Request
        }
    }
}

/// Checks JSON types when a workflow is created; templates pass.
pub(super) fn check(input: &Value, form: Form) -> Result<(), String> {
    if input.is_null() || is_template(input) {
        return Ok(());
    }
    let fields = input.as_object().ok_or("input: must be an object")?;
    let known = |field: &str| fields.get(field).filter(|value| !is_template(value));
    timeout(known("timeout_ms"))?;
    if form == Form::Bare {
        return Ok(());
    }
    for field in ["url", "method"] {
        text(known(field), field)?;
    }
    for (name, value) in map(known("headers"), "headers")? {
        value
            .as_str()
            .ok_or_else(|| format!("input.headers.{name}: must be a string"))?;
    }
    for (name, value) in map(known("query"), "query")? {
        scalar(value).ok_or_else(|| format!("input.query.{name}: must be a string"))?;
    }
    Ok(())
}

impl Input {
    /// Reads the input of a step that is about to run.
    pub fn read(input: &Value, form: Form) -> Result<Self, InputError> {
        let empty = Map::new();
        let fields = match input {
            Value::Null => &empty,
            Value::Object(fields) => fields,
            _ => return Err(InputError::WrongType("input: must be an object".to_owned())),
        };
        let timeout = timeout(fields.get("timeout_ms")).map_err(InputError::WrongType)?;
        if form == Form::Bare {
            let rest = fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "timeout_ms" | "url"));
            let rest: Map<String, Value> = rest.map(|(name, value)| (name.clone(), value.clone())).collect();
            let body = Some(bytes_of(&Value::Object(rest)));
            let (method, headers) = (Method::POST, HeaderMap::new());
            return Ok(Self {
                url: None,
                method,
                headers,
                body,
                timeout,
                query: Vec::new(),
            });
        }
        Ok(Self {
            url: text(fields.get("url"), "url")
                .map_err(InputError::WrongType)?
                .map(str::to_owned),
            method: method(fields)?,
            headers: headers(fields)?,
            body: fields.get("body").map(bytes_of),
            timeout,
            query: query(fields)?,
        })
    }
}

fn bytes_of(value: &Value) -> Bytes {
    value.to_string().into()
}

fn text<'a>(value: Option<&'a Value>, field: &str) -> Result<Option<&'a str>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("input.{field}: must be a string")),
    }
}

fn map<'a>(value: Option<&'a Value>, field: &str) -> Result<Vec<(&'a String, &'a Value)>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(entries)) => Ok(entries.iter().collect()),
        Some(_) => Err(format!("input.{field}: must be an object of strings")),
    }
}

/// A value that has one obvious text: templates yield numbers where a query wants `page=2`.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn timeout(value: Option<&Value>) -> Result<Option<Duration>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(ms @ 1..) => Ok(Some(Duration::from_millis(ms))),
            _ => Err("input.timeout_ms: must be a whole number of milliseconds above 0".to_owned()),
        },
    }
}

fn method(fields: &Map<String, Value>) -> Result<Method, InputError> {
    let name = text(fields.get("method"), "method")
        .map_err(InputError::WrongType)?
        .unwrap_or_default();
    match Method::from_bytes(name.as_bytes()) {
        Ok(Method::CONNECT) => Err(InputError::Illegal(
            "input.method: CONNECT opens tunnels and is not sent".to_owned(),
        )),
        Ok(method) => Ok(method),
        Err(_) if name.is_empty() => Ok(Method::POST),
        Err(_) => Err(InputError::Illegal(format!(
            "input.method: {name:?} is not a legal method"
        ))),
    }
}

fn headers(fields: &Map<String, Value>) -> Result<HeaderMap, InputError> {
    let mut headers = HeaderMap::new();
    for (name, value) in map(fields.get("headers"), "headers").map_err(InputError::WrongType)? {
        let text = value
            .as_str()
            .ok_or_else(|| InputError::WrongType(format!("input.headers.{name}: must be a string")))?;
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| InputError::Illegal(format!("input.headers: {name:?} is not a legal header name")))?;
        let value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
            InputError::Illegal(format!(
                "input.headers.{name}: must not contain line breaks or other control characters"
            ))
        })?;
        if !TRANSPORT_HEADERS.contains(&key.as_str()) {
            headers.insert(key, value);
        }
    }
    Ok(headers)
}

fn query(fields: &Map<String, Value>) -> Result<Vec<(String, String)>, InputError> {
    let entries = map(fields.get("query"), "query").map_err(InputError::WrongType)?;
    let entries = entries.into_iter().map(|(name, value)| match scalar(value) {
        Some(text) => Ok((name.clone(), text)),
        None => Err(InputError::WrongType(format!("input.query.{name}: must be a string"))),
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(input: Value) -> Input {
        Input::read(&input, Form::Request).expect("readable")
    }

    #[test]
    fn absent_and_null_fields_have_their_defaults() {
        for input in [
            json!(null),
            json!({}),
            json!({"url": null, "method": null, "headers": null, "query": null}),
        ] {
            let input = read(input);
            assert_eq!((input.url, input.method, input.body), (None, Method::POST, None));
            assert!(input.headers.is_empty() && input.query.is_empty());
        }
        assert_eq!(read(json!({"method": ""})).method, Method::POST);
    }

    #[test]
    fn method_and_body_are_kept_as_written() {
        assert_eq!(read(json!({"method": "pAtCh"})).method.as_str(), "pAtCh");
        for (body, sent) in [
            (json!("text"), r#""text""#),
            (json!(null), "null"),
            (json!({"b": 1, "a": [1.0, "é"]}), r#"{"b":1,"a":[1.0,"é"]}"#),
        ] {
            assert_eq!(read(json!({"body": body})).body.as_deref(), Some(sent.as_bytes()));
        }
    }

    #[test]
    fn wrong_types_are_named_at_creation_and_fail_with_one_sentence_at_run_time() {
        for (input, field) in [
            (json!("text"), "input: must be an object"),
            (json!([]), "input: must be an object"),
            (json!({"url": 1}), "input.url: must be a string"),
            (json!({"method": ["GET"]}), "input.method: must be a string"),
            (json!({"headers": "x"}), "input.headers: must be an object of strings"),
            (json!({"headers": {"X-A": 1}}), "input.headers.X-A: must be a string"),
            (json!({"query": {"a": [1]}}), "input.query.a: must be a string"),
            (json!({"query": "a=1"}), "input.query: must be an object of strings"),
            (
                json!({"timeout_ms": "5"}),
                "input.timeout_ms: must be a whole number of milliseconds above 0",
            ),
            (
                json!({"timeout_ms": 0}),
                "input.timeout_ms: must be a whole number of milliseconds above 0",
            ),
        ] {
            assert_eq!(check(&input, Form::Request), Err(field.to_owned()));
            assert_eq!(
                Input::read(&input, Form::Request),
                Err(InputError::WrongType(field.to_owned()))
            );
        }
    }

    #[test]
    fn creation_accepts_templates_and_what_only_a_run_can_judge() {
        for input in [
            json!("{{ input }}"),
            json!({"url": "ftp://x", "method": "B AD", "headers": {"X": "a\r\nb"}}),
            json!({"url": "{{ u }}", "headers": "{{ h }}", "query": "{{ q }}", "timeout_ms": "{{ t }}", "method": "{{ m }}"}),
            json!({"unknown": [1]}),
        ] {
            assert_eq!(check(&input, Form::Request), Ok(()), "{input}");
        }
    }

    #[test]
    fn illegal_methods_and_headers_are_refused_by_name() {
        for (input, part) in [
            (json!({"method": "B AD"}), "input.method"),
            (json!({"method": "GET\r\nX: y"}), "input.method"),
            (json!({"method": "CONNECT"}), "input.method"),
            (json!({"headers": {"X-A": "a\r\nB: c"}}), "input.headers.X-A"),
            (json!({"headers": {"X-A": "a\nb"}}), "input.headers.X-A"),
            (json!({"headers": {"X-A": "a\u{0}"}}), "input.headers.X-A"),
            (json!({"headers": {"X A": "a"}}), "\"X A\""),
            (json!({"headers": {"X\r\nA": "a"}}), "\"X\\r\\nA\""),
        ] {
            let error = Input::read(&input, Form::Request).expect_err("illegal");
            assert!(
                matches!(&error, InputError::Illegal(text) if text.contains(part)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn headers_of_the_transport_are_dropped() {
        let input = read(
            json!({"headers": {"Host": "evil", "content-length": "1", "Transfer-Encoding": "chunked", "X-A": "é"}}),
        );
        assert_eq!(input.headers.len(), 1);
        assert_eq!(input.headers["x-a"].as_bytes(), "é".as_bytes());
    }

    #[test]
    fn an_alias_without_anything_of_a_request_is_its_own_body() {
        let bare = json!({"query": "rust", "timeout_ms": 5, "url": null, "limit": 3});
        assert_eq!(Form::of(&bare, true), Form::Bare);
        assert_eq!(check(&bare, Form::Bare), Ok(()));
        let input = Input::read(&bare, Form::Bare).expect("readable");
        assert_eq!(input.body.as_deref(), Some(&br#"{"query":"rust","limit":3}"#[..]));
        assert_eq!(input.timeout, Some(Duration::from_millis(5)));
        for request in [
            json!({"url": "x"}),
            json!({"body": 1}),
            json!({"method": "GET"}),
            json!({"headers": {}}),
        ] {
            assert_eq!(Form::of(&request, true), Form::Request);
        }
        assert_eq!(Form::of(&bare, false), Form::Request);
    }
}
