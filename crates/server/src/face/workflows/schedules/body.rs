//! What requests say about schedules. Each wrong field is refused by its name, and so is one that means nothing.

use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::document::{MAX_DEPTH, first_json, is_nested_at_most};
use super::super::problem::Problem;
use crate::error_code::ErrorCode;
use crate::schedules::{Draft, Missed, Overlap, Spec, Target};

const FIELDS: [&str; 9] = [
    "id", "name", "cron", "timezone", "target", "missed", "overlap", "note", "paused",
];
const WORKFLOW_FIELDS: [&str; 4] = ["kind", "workflow_id", "context", "priority"];
const TASK_FIELDS: [&str; 2] = ["kind", "document"];

type Object = Map<String, Value>;

fn wrong(field: &str, message: &str) -> Problem {
    Problem::field(ErrorCode::InvalidField, field, message)
}

/// The object that a body must be.
pub(super) fn read_object(body: Result<Bytes, BytesRejection>) -> Result<Object, Problem> {
    let body = super::required(body)?;
    let value = first_json(&body).map_err(|_| Problem::new(ErrorCode::BadJson, "bad json"))?;
    if !is_nested_at_most(MAX_DEPTH, &value) {
        let message = format!("bad json: it is nested deeper than {MAX_DEPTH}");
        return Err(Problem::new(ErrorCode::BadJson, message));
    }
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Problem::new(ErrorCode::BadJson, "bad json: must be an object")),
    }
}

/// A schedule that is to be.
pub(super) fn read_draft(map: &Object) -> Result<Draft, Problem> {
    only(map, &FIELDS, "")?;
    let id = text(map, "id")?;
    let cron = text(map, "cron")?.ok_or_else(|| wrong("cron", "is required"))?;
    let name = text(map, "name")?
        .or_else(|| id.clone())
        .unwrap_or_else(|| cron.clone());
    let target = target(map)?.ok_or_else(|| wrong("target", "is required"))?;
    Ok(Draft {
        spec: Spec {
            name,
            cron,
            timezone: text(map, "timezone")?.unwrap_or_else(|| "UTC".to_owned()),
            target,
            missed: missed(map)?.unwrap_or_default(),
            overlap: overlap(map)?.unwrap_or_default(),
            note: text(map, "note")?,
        },
        paused: switch(map, "paused")?.unwrap_or(false),
        id,
    })
}

/// Changes of a schedule; what is absent stays.
pub(super) struct Patch {
    name: Option<String>,
    cron: Option<String>,
    timezone: Option<String>,
    target: Option<Target>,
    missed: Option<Missed>,
    overlap: Option<Overlap>,
    /// `Some(None)` takes it away.
    note: Option<Option<String>>,
}

impl Patch {
    pub fn read(map: &Object) -> Result<Self, Problem> {
        only(map, &FIELDS, "")?;
        if map.contains_key("id") {
            return Err(wrong("id", "cannot be changed"));
        }
        if map.contains_key("paused") {
            return Err(wrong("paused", "is changed by /pause and /resume"));
        }
        Ok(Self {
            name: text(map, "name")?,
            cron: text(map, "cron")?,
            timezone: text(map, "timezone")?,
            target: target(map)?,
            missed: missed(map)?,
            overlap: overlap(map)?,
            note: match map.get("note") {
                None => None,
                Some(Value::Null) => Some(None),
                Some(_) => Some(text(map, "note")?),
            },
        })
    }

    pub fn apply(&self, spec: &mut Spec) {
        fn put<T: Clone>(place: &mut T, value: &Option<T>) {
            if let Some(value) = value {
                value.clone_into(place);
            }
        }
        put(&mut spec.name, &self.name);
        put(&mut spec.cron, &self.cron);
        put(&mut spec.timezone, &self.timezone);
        put(&mut spec.target, &self.target);
        put(&mut spec.missed, &self.missed);
        put(&mut spec.overlap, &self.overlap);
        put(&mut spec.note, &self.note);
    }
}

fn target(map: &Object) -> Result<Option<Target>, Problem> {
    let map = match map.get("target") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(wrong("target", "must be an object")),
    };
    let inside = |problem: Problem| {
        let field = format!("target.{}", problem.field.unwrap_or_default());
        Problem {
            message: format!("target.{}", problem.message),
            field: Some(field),
            ..problem
        }
    };
    let kind = text(map, "kind").map_err(inside)?;
    let read = match kind.as_deref() {
        None | Some("workflow") => workflow(map),
        Some("task") => task(map),
        Some(_) => Err(wrong("kind", "must be workflow or task")),
    };
    read.map(Some).map_err(inside)
}

fn workflow(map: &Object) -> Result<Target, Problem> {
    only(map, &WORKFLOW_FIELDS, "")?;
    let workflow_id = text(map, "workflow_id")?.filter(|id| !id.is_empty());
    let workflow_id = workflow_id.ok_or_else(|| wrong("workflow_id", "is required"))?;
    let context = match map.get("context") {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(context @ Value::Object(_)) => context.clone(),
        Some(_) => return Err(wrong("context", "must be an object")),
    };
    let priority = match map.get("priority") {
        None | Some(Value::Null) => 0,
        Some(value) => {
            let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
            number.ok_or_else(|| wrong("priority", "must be a 32-bit integer"))?
        }
    };
    Ok(Target::Workflow {
        workflow_id,
        context,
        priority,
    })
}

fn task(map: &Object) -> Result<Target, Problem> {
    only(map, &TASK_FIELDS, "")?;
    match map.get("document") {
        Some(document @ Value::Object(_)) => Ok(Target::Task {
            document: document.clone(),
        }),
        _ => Err(wrong("document", "must be an object")),
    }
}

fn only(map: &Object, known: &[&str], at: &str) -> Result<(), Problem> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(wrong(
            &format!("{at}{key}"),
            &format!("is not known; there are {}", known.join(", ")),
        )),
    }
}

fn text(map: &Object, name: &str) -> Result<Option<String>, Problem> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong(name, "must be a string")),
    }
}

fn switch(map: &Object, name: &str) -> Result<Option<bool>, Problem> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(wrong(name, "must be true or false")),
    }
}

fn missed(map: &Object) -> Result<Option<Missed>, Problem> {
    choice(map, "missed", "must be skip, latest or all")
}

fn overlap(map: &Object) -> Result<Option<Overlap>, Problem> {
    choice(map, "overlap", "must be allow or skip")
}

fn choice<T: DeserializeOwned>(map: &Object, name: &str, message: &str) -> Result<Option<T>, Problem> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let read = serde_json::from_value(value.clone());
            read.map(Some).map_err(|_| wrong(name, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn draft(value: &Value) -> Result<Draft, String> {
        read_draft(value.as_object().expect("object")).map_err(|problem| problem.message)
    }

    #[test]
    fn what_is_not_said_has_a_usual_value() {
        let read = draft(&json!({ "cron": "0 * * * *", "target": { "workflow_id": "w" } })).expect("read");
        assert_eq!(
            (read.spec.timezone.as_str(), read.spec.name.as_str()),
            ("UTC", "0 * * * *")
        );
        assert_eq!((read.spec.missed, read.spec.overlap), (Missed::Latest, Overlap::Allow));
        assert!(!read.paused && read.id.is_none());
    }

    #[test]
    fn wrong_and_unknown_fields_are_named() {
        let base = json!({ "cron": "0 * * * *", "target": { "workflow_id": "w" } });
        for (field, value, expected) in [
            ("cron", json!(5), "cron: must be a string"),
            ("cron", json!(null), "cron: is required"),
            ("target", json!(null), "target: is required"),
            ("target", json!({}), "target.workflow_id: is required"),
            (
                "target",
                json!({ "kind": "x" }),
                "target.kind: must be workflow or task",
            ),
            (
                "target",
                json!({ "workflow_id": "w", "context": [] }),
                "target.context: must be an object",
            ),
            (
                "target",
                json!({ "workflow_id": "w", "input": {} }),
                "target.input: is not known; there are kind, workflow_id, context, priority",
            ),
            (
                "target",
                json!({ "kind": "task", "document": 1 }),
                "target.document: must be an object",
            ),
            ("missed", json!("some"), "missed: must be skip, latest or all"),
            ("overlap", json!("all"), "overlap: must be allow or skip"),
            ("paused", json!("yes"), "paused: must be true or false"),
        ] {
            let mut body = base.clone();
            body[field] = value;
            assert_eq!(draft(&body), Err(expected.to_owned()));
        }
        let unknown = draft(&json!({ "cron": "* * * * *", "tz": "UTC" })).expect_err("unknown");
        assert!(unknown.starts_with("tz: is not known"), "{unknown}");
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_takes_the_note_away() {
        let mut spec = draft(&json!({ "cron": "0 * * * *", "note": "n", "target": { "workflow_id": "w" } }))
            .expect("read")
            .spec;
        let read = |value: Value| Patch::read(value.as_object().expect("object"));
        let patch = read(json!({ "cron": "5 * * * *", "missed": "all" })).unwrap_or_else(|_| panic!("read"));
        patch.apply(&mut spec);
        assert_eq!(
            (spec.cron.as_str(), spec.missed, spec.note.as_deref()),
            ("5 * * * *", Missed::All, Some("n"))
        );
        read(json!({ "note": null }))
            .unwrap_or_else(|_| panic!("read"))
            .apply(&mut spec);
        assert_eq!(spec.note, None);
        for refused in ["id", "paused"] {
            assert!(read(json!({ refused: null })).is_err(), "{refused}");
        }
    }
}
