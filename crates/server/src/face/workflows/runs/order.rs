//! What a start asks for: read from a body, told apart from other starts, and found.
//!
//! What is found may be outdated by the time it is started, where several nodes share the store; so an order is kept
//! until its start is accepted.

use std::sync::Arc;

use http::StatusCode;
use quintet_core::plan::Plan;
use quintet_core::time::Time;
use quintet_engine::{Current, StartRun};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::super::cx::Cx;
use super::super::definitions::bad_json;
use super::super::document::{MAX_DEPTH, PlanOptions, first_json, is_nested_at_most, plan_of};
use super::super::problem::Problem;
use super::super::schema::Schema;
use super::super::templates;
use crate::error_code::ErrorCode;

/// Ten years.
const MAX_DELAY_MS: u64 = 315_360_000_000;

/// What a start says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StartBody {
    workflow_id: Option<String>,
    template: Option<String>,
    workflow: Option<Value>,
    context: Option<Map<String, Value>>,
    priority: Option<i32>,
    /// When it may begin, as written; read the slow way.
    start_at: Option<Value>,
    delay_ms: Option<Value>,
    #[serde(skip)]
    not_before: Option<NotBefore>,
}

impl StartBody {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Self>();
        let body = match values.next() {
            // An array would be taken for the fields in their order.
            Some(Ok(body)) if bytes.trim_ascii_start().starts_with(b"{") && !body.is_timed() => body,
            _ => Self::of(&first_json(bytes).map_err(|_| bad_json())?, "")?,
        };
        let context = body.context.iter().flat_map(Map::values);
        if context
            .chain(&body.workflow)
            .all(|value| is_nested_at_most(MAX_DEPTH - 1, value))
        {
            return Ok(body);
        }
        Err(Problem::new(
            ErrorCode::BadJson,
            format!("bad json: it is nested deeper than {MAX_DEPTH}"),
        ))
    }

    fn is_timed(&self) -> bool {
        self.start_at.is_some() || self.delay_ms.is_some()
    }

    /// The slow way, which names what is wrong.
    pub(super) fn of(value: &Value, at: &str) -> Result<Self, Problem> {
        let wrong = |field: &str, message: &str| {
            let field = if at.is_empty() {
                field.to_owned()
            } else {
                format!("{at}.{field}")
            };
            let problem = Problem::field(ErrorCode::BadJson, field, message);
            Problem {
                message: format!("bad json: {}", problem.message),
                ..problem
            }
        };
        let map = match value {
            Value::Null => return Ok(Self::default()),
            Value::Object(map) => map,
            _ => return Err(bad_json()),
        };
        let text = |name: &str| match map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name, "must be a string")),
        };
        let context = match map.get("context") {
            None | Some(Value::Null) => None,
            Some(Value::Object(context)) => Some(context.clone()),
            Some(_) => return Err(wrong("context", "must be an object")),
        };
        let priority = match map.get("priority") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
                Some(number.ok_or_else(|| wrong("priority", "must be a 32-bit integer"))?)
            }
        };
        let workflow = map.get("workflow").filter(|workflow| !workflow.is_null()).cloned();
        let not_before = not_before(map).map_err(|(name, reason)| wrong(name, reason))?;
        Ok(Self {
            not_before,
            workflow_id: text("workflow_id")?,
            template: text("template")?,
            workflow,
            context,
            priority,
            start_at: None,
            delay_ms: None,
        })
    }

    /// What is asked for, to be found as often as it takes.
    pub(super) fn into_order(self) -> Order {
        Order {
            workflow_id: self.workflow_id.filter(|id| !id.is_empty()),
            template: self.template,
            workflow: self.workflow,
            context: Arc::new(Value::Object(self.context.unwrap_or_default())),
            priority: self.priority.unwrap_or(0),
            not_before: self.not_before,
        }
    }

    /// What makes two starts the same request.
    pub(super) fn hash(&self, hash: &mut Sha256) {
        let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
        hash_value(&text(&self.workflow_id), hash);
        hash_value(&text(&self.template), hash);
        hash_value(self.workflow.as_ref().unwrap_or(&Value::Null), hash);
        hash_value(&Value::from(self.priority.unwrap_or(0)), hash);
        match self.not_before {
            // What a start says nothing about must not change what it is.
            None => {}
            Some(NotBefore::At(at)) => hash_value(&json!({ "start_at": at.0 }), hash),
            Some(NotBefore::In { ms }) => hash_value(&json!({ "delay_ms": ms }), hash),
        }
        hash_map(self.context.iter().flatten().collect(), hash);
    }
}

/// A start that is asked for.
pub(super) struct Order {
    workflow_id: Option<String>,
    template: Option<String>,
    workflow: Option<Value>,
    pub context: Arc<Value>,
    priority: i32,
    not_before: Option<NotBefore>,
}

/// When a run may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NotBefore {
    /// At this time.
    At(Time),
    /// So long after it was accepted.
    In { ms: u64 },
}

/// `start_at` or `delay_ms` of a start.
fn not_before(map: &Map<String, Value>) -> Result<Option<NotBefore>, (&'static str, &'static str)> {
    let given = |name: &str| map.get(name).filter(|value| !value.is_null());
    match (given("start_at"), given("delay_ms")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(("delay_ms", "give one of start_at and delay_ms")),
        (Some(at), None) => {
            let at = at.as_str().and_then(Time::parse_rfc3339);
            let at = at.ok_or(("start_at", "must be an RFC 3339 time, such as 2026-01-31T08:00:00Z"))?;
            Ok(Some(NotBefore::At(at)))
        }
        (None, Some(ms)) => {
            let ms = ms.as_u64().filter(|ms| *ms <= MAX_DELAY_MS);
            let ms = ms.ok_or(("delay_ms", "must be a whole number from 0 to 315360000000 (ten years)"))?;
            Ok(Some(NotBefore::In { ms }))
        }
    }
}

impl Order {
    /// Finds what is to run, and checks the context against its schema.
    pub(super) async fn resolve(&self, cx: &Cx, at: &str) -> Result<StartRun, Problem> {
        let path = |field: &str| {
            if at.is_empty() {
                field.to_owned()
            } else {
                format!("{at}.{field}")
            }
        };
        let target = match (&self.workflow_id, &self.template, &self.workflow) {
            (Some(id), None, None) => Target::workflow(cx, id, &self.context, &path("context")).await?,
            (None, Some(name), None) => Target::template(name, StatusCode::BAD_REQUEST)?,
            (None, None, Some(document)) => Target::inline(cx, document, &self.context, &path("context"))?,
            (None, None, None) => {
                let problem = Problem::new(ErrorCode::InvalidField, "workflow_id required");
                return Err(Problem {
                    field: Some(path("workflow_id")),
                    ..problem
                });
            }
            _ => {
                let message = "give one of workflow_id, template and workflow";
                return Err(Problem::field(ErrorCode::InvalidField, path("workflow_id"), message));
            }
        };
        Ok(StartRun {
            workflow: target.workflow,
            workflow_version: target.version,
            context: Arc::clone(&self.context),
            priority: self.priority,
            not_before: self.not_before.map(|not_before| match not_before {
                NotBefore::At(at) => at,
                NotBefore::In { ms } => cx.now().plus_ms(ms),
            }),
            ..StartRun::of(&cx.namespace, cx.under_policy(&target.plan)?)
        })
    }
}

/// What is to run.
struct Target {
    workflow: Arc<str>,
    version: u32,
    plan: Arc<Plan>,
}

impl Target {
    async fn workflow(cx: &Cx, id: &str, context: &Value, at: &str) -> Result<Self, Problem> {
        let workflows = cx.engine().workflows();
        let Some(mut current) = workflows.to_start(&cx.namespace, id).await? else {
            return Self::template_or_nothing(id);
        };
        if let Err(refused) = check_input(cx, &current, context, at) {
            // Another node may have stored a version that takes this context. Only what is started is looked at again
            // by itself.
            if !cx.engine().store().is_shared() {
                return Err(refused);
            }
            current = match workflows.current(&cx.namespace, id).await? {
                Some(current) => current,
                None => return Self::template_or_nothing(id),
            };
            check_input(cx, &current, context, at)?;
        }
        let plan = Arc::clone(&current.plan);
        Ok(Self {
            workflow: Arc::clone(&current.row.id),
            version: current.row.version,
            plan,
        })
    }

    fn template_or_nothing(id: &str) -> Result<Self, Problem> {
        let unknown = || Problem::original(ErrorCode::WorkflowNotFound, StatusCode::BAD_REQUEST, "not found");
        Self::template(id, StatusCode::BAD_REQUEST).map_err(|_| unknown())
    }

    fn template(name: &str, status: StatusCode) -> Result<Self, Problem> {
        let unknown = || Problem::original(ErrorCode::TemplateNotFound, status, "not found");
        let template = templates::find(name).ok_or_else(unknown)?;
        Ok(Self {
            workflow: Arc::clone(&template.id),
            version: 0,
            plan: Arc::clone(&template.plan),
        })
    }

    fn inline(cx: &Cx, document: &Value, context: &Value, at: &str) -> Result<Self, Problem> {
        let read = plan_of(document, Some(cx.engine().registry()), PlanOptions::default());
        let refused = |found| Problem::findings(ErrorCode::InvalidWorkflow, "schema validation failed", found);
        let (stored, plan) = read.map_err(refused)?;
        if let Some(schema) = &stored.input_schema {
            let schema = Schema::bounded(schema);
            let schema =
                schema.map_err(|message| Problem::field(ErrorCode::InvalidWorkflow, "input_schema", &message))?;
            check(&schema, context, at)?;
        }
        Ok(Self {
            workflow: Arc::from(""),
            version: 0,
            plan: Arc::new(plan),
        })
    }
}

fn check_input(cx: &Cx, current: &Arc<Current>, context: &Value, at: &str) -> Result<(), Problem> {
    match cx.input_schema(current) {
        Some(schema) => check(&schema, context, at),
        None => Ok(()),
    }
}

fn check(schema: &Schema, context: &Value, at: &str) -> Result<(), Problem> {
    let checked = schema.check(context, at);
    checked.map_err(|found| {
        Problem::findings(
            ErrorCode::InvalidInput,
            "the context does not fit the input_schema",
            found,
        )
    })
}

/// The digest does not depend on the order in which keys were written.
fn hash_value(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(map) => hash_map(map.iter().collect(), hash),
        Value::Array(items) => {
            hash.update(format!("[{};", items.len()));
            items.iter().for_each(|item| hash_value(item, hash));
        }
        scalar => {
            let text = scalar.to_string();
            hash.update(format!("v{};{text}", text.len()));
        }
    }
}

fn hash_map(mut entries: Vec<(&String, &Value)>, hash: &mut Sha256) {
    entries.sort_unstable_by_key(|(key, _)| *key);
    hash.update(format!("{{{};", entries.len()));
    for (key, value) in entries {
        hash.update(format!("k{};{key}", key.len()));
        hash_value(value, hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(body: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        StartBody::read(body.as_bytes()).ok().unwrap().hash(&mut hash);
        hash.finalize().into()
    }

    #[test]
    fn the_same_request_has_the_same_digest_however_it_is_written() {
        let one = digest(r#"{"workflow_id":"w","context":{"a":1,"b":[{"c":2,"d":3}]}}"#);
        assert_eq!(
            one,
            digest(r#"{ "context": {"b":[{"d":3,"c":2}],"a":1}, "workflow_id":"w", "priority": 0 }"#)
        );
        for other in [
            r#"{"workflow_id":"w"}"#,
            r#"{"template":"w","context":{"a":1,"b":[{"c":2,"d":3}]}}"#,
            r#"{"workflow_id":"w","context":{"a":1,"b":[{"c":2},{"d":3}]}}"#,
            r#"{"workflow_id":"w","context":{"a":"1","b":[{"c":2,"d":3}]}}"#,
        ] {
            assert_ne!(one, digest(other), "{other}");
        }
    }

    #[test]
    fn bodies_with_wrong_types_name_the_field_and_others_are_bad_json() {
        let text = |body: &str| StartBody::read(body.as_bytes()).err().unwrap().message;
        assert_eq!(text("{bad"), "bad json");
        assert_eq!(text("[\"w\"]"), "bad json");
        assert_eq!(text(r#"{"workflow_id":5}"#), "bad json: workflow_id: must be a string");
        assert_eq!(
            text(r#"{"workflow_id":"w","context":[1]}"#),
            "bad json: context: must be an object"
        );
        assert_eq!(
            text(r#"{"priority":1.5}"#),
            "bad json: priority: must be a 32-bit integer"
        );
        let deep = format!(r#"{{"context":{{"a":{}1{}}}}}"#, "[".repeat(70), "]".repeat(70));
        assert!(text(&deep).starts_with("bad json: it is nested"));
        assert!(StartBody::read(b"null").is_ok() && StartBody::read(b"{} trailing").is_ok());
    }
}
