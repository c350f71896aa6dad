//! The workflows that the clients start. Between them they have what can go wrong: retries, slow calls, a timer, items,
//! an approval, and more branches than one server has hands.

use anyhow::Context;
use serde_json::{Value, json};

use super::way::Way;
use crate::http::Request;

/// Stored workflows by their ids.
#[derive(Debug, Clone)]
pub(crate) struct Workflows {
    /// Those that clients start; one that stands here twice is started twice as often.
    pub started: Vec<String>,
    /// The one that waits for an approval.
    pub gated: String,
    /// The action of their calls.
    pub action: &'static str,
}

/// Writes documents whose steps call the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    /// The action by which they call.
    pub action: &'static str,
    /// What comes before the path, if the action does not know it.
    pub base: String,
}

impl Author {
    fn call(&self, id: &str, path: &str, after: &[&str]) -> Value {
        json!({ "id": id, "name": id, "action": self.action, "depends_on": after, "timeout_ms": 5000,
            "input": { "url": format!("{}{path}", self.base), "body": { "step": id } },
            "retry": { "max": 8, "backoff_ms": 20 } })
    }

    /// Three branches (one is refused at first, one is slow), a join of their words, and a timer.
    pub fn dag(&self) -> Value {
        json!({ "name": "dag", "steps": [
            self.call("a", "/ok", &[]), self.call("b", "/flaky", &[]), self.call("c", "/slow?ms=60", &[]),
            { "id": "join", "name": "join", "action": "transform", "depends_on": ["a", "b", "c"],
              "input": { "set": { "words": "{{ [steps.a.output.word, steps.b.output.word, steps.c.output.word] }}" } } },
            { "id": "pause", "name": "pause", "action": "wait", "depends_on": ["join"], "input": { "ms": 40 } },
            self.call("end", "/ok", &["pause"]),
        ] })
    }

    /// Items, two at a time, each refused at first.
    pub fn items(&self) -> Value {
        json!({ "name": "items", "steps": [
            { "id": "each", "name": "each", "action": self.action, "for_each": { "items": [1, 2, 3, 4], "concurrency": 2 },
              "depends_on": [], "input": { "url": format!("{}/flaky", self.base), "body": "{{ item }}" },
              "retry": { "max": 8, "backoff_ms": 10 } },
            self.call("end", "/ok", &["each"]),
        ] })
    }

    /// An approval between two calls.
    pub fn gated(&self) -> Value {
        json!({ "name": "gated", "steps": [
            self.call("before", "/ok", &[]),
            { "id": "gate", "name": "gate", "action": "approval", "depends_on": ["before"] },
            self.call("after", "/ok", &["gate"]),
        ] })
    }

    /// A slow chain around a longer timer: it is under way when something happens, whenever that is.
    pub fn slow(&self) -> Value {
        json!({ "name": "slow", "steps": [
            self.call("first", "/slow?ms=1500", &[]),
            { "id": "pause", "name": "pause", "action": "wait", "depends_on": ["first"], "input": { "ms": 2000 } },
            self.call("second", "/slow?ms=700", &["pause"]),
            self.call("end", "/flaky", &["second"]),
        ] })
    }

    /// As many slow branches as this, and a join.
    pub fn wide(&self, branches: usize) -> Value {
        let names: Vec<String> = (0..branches).map(|nth| format!("branch{nth}")).collect();
        let mut steps: Vec<Value> = names.iter().map(|name| self.call(name, "/slow?ms=150", &[])).collect();
        let after: Vec<&str> = names.iter().map(String::as_str).collect();
        steps.push(self.call("end", "/ok", &after));
        json!({ "name": "wide", "steps": steps })
    }

    /// As many branches as this, each of which hangs until it is released.
    pub fn crowd(&self, branches: usize) -> Value {
        let steps: Vec<Value> = (0..branches)
            .map(|nth| self.call(&format!("branch{nth}"), "/hang", &[]))
            .map(patient)
            .collect();
        json!({ "name": "crowd", "steps": steps })
    }

    /// A call that hangs until it is released, and one after it.
    pub fn held(&self) -> Value {
        let held = patient(self.call("held", "/hang", &[]));
        json!({ "name": "held", "steps": [held, self.call("end", "/ok", &["held"])] })
    }
}

/// A call that may hang for as long as a fault lasts.
fn patient(mut call: Value) -> Value {
    call["timeout_ms"] = 120_000.into();
    call
}

/// Stores a workflow: its id.
pub(crate) fn store(way: &dyn Way, document: &Value) -> anyhow::Result<String> {
    let text = document.to_string();
    let stored = way.ask(&Request::post("/v1/workflows", &text), None)?.answer.ok()?;
    Ok(stored["id"].as_str().context("no id")?.to_owned())
}
