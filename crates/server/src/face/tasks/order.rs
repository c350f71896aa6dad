//! What a backend is told of a step: its type, and its payload with the templates filled in.
//!
//! The document is in the run's context, and the results that the step's templates read are in its input: see
//! [`super::plan`]. What is put together here is the same whenever it is asked for.

#![allow(
    clippy::result_large_err,
    reason = "a failure is the end of an attempt: it is made once, and handed on as it is"
)]

use std::borrow::Cow;

use quintet_core::outcome::{Failure, Work};
use quintet_executors::media::ChunkRule;
use serde_json::Value;

use super::document::{Document, Resources, Step};
use super::graph::Graph;
use super::plan::{input, rule};
use super::template::{Filler, Roots, Scope};
use super::view::fault;

/// Failure kind of what can never be ordered.
const INVALID: &str = "invalid_input";
/// Failure kind of a pipeline that can never run.
const DEADLOCK: &str = "deadlock";
/// Failure kind of a step whose parts have failed.
const PART: &str = "part";

/// What a step is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resolved {
    /// What the backend is asked to do.
    pub task_type: String,
    /// What it is given.
    pub payload: Value,
    /// The backend that was asked for.
    pub backend: Option<String>,
    /// The step's or else the task's, with the time limit that holds: whoever says how long a step may take means that a
    /// call may take as long, whatever is usual.
    pub resources: Resources,
    /// The step of the task, where it has steps.
    pub step_id: Option<String>,
    /// How the input is cut up, where this is about cutting up or merging.
    pub chunk: Option<ChunkRule>,
    /// What is to be merged, where this is about merging.
    pub parts: Option<Parts>,
}

/// The chunks of a step, and what they gave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parts {
    pub chunks: Vec<Value>,
    pub results: Vec<Value>,
}

/// What the attempt is about, or how it fails at once.
pub(crate) fn resolve(work: &Work) -> Result<Resolved, Failure> {
    let document = Document::of_context(&work.created.context);
    if work.input.get(input::DEADLOCK).is_some() {
        return Err(deadlock(document));
    }
    let nth = work.input.get(input::STEP).and_then(Value::as_u64);
    let step = nth.and_then(|nth| document.step(usize::try_from(nth).ok()?));
    let gone = || Failure::permanent(INVALID, "the document of this task has no such step");
    if nth.is_some() && step.is_none() {
        return Err(gone());
    }
    let label = step.as_ref().map_or_else(|| document.kind(), |step| step.id.as_ref());
    let own = step.as_ref().and_then(|step| step.resources.clone());
    Ok(Resolved {
        task_type: step
            .as_ref()
            .map_or_else(|| document.kind(), |step| step.task)
            .to_owned(),
        parts: parts(&work.input, label)?,
        payload: payload(document, step.as_ref(), &work.input)?,
        backend: document.backend().map(str::to_owned),
        resources: Resources {
            timeout_ms: document.timeout_ms(step.as_ref()),
            ..own.or_else(|| document.resources()).unwrap_or_default()
        },
        chunk: work.input.get(input::CHUNK).and_then(rule::of_json),
        step_id: step.as_ref().map(|step| step.id.to_string()),
    })
}

fn payload(document: Document<'_>, step: Option<&Step<'_>>, input: &Value) -> Result<Value, Failure> {
    if let Some(given) = input.get(input::PAYLOAD) {
        return Ok(given.clone());
    }
    if input.get(input::CHUNKS).is_some() {
        return Ok(Value::Null);
    }
    let Some(step) = step else {
        return Ok(document.payload().clone());
    };
    let roots = if step.for_each.is_some() {
        Roots::ITEM
    } else {
        Roots::STEP
    };
    let sight = Sight { document, input };
    let Some(written) = step.input else {
        return Ok(Value::Object(serde_json::Map::new()));
    };
    let filled = Filler::new(&sight, roots).object(written);
    filled
        .map(Value::Object)
        .map_err(|error| Failure::permanent(INVALID, error.to_string()))
}

/// What is to be merged; a part that has failed is the failure of the whole.
fn parts(input: &Value, label: &str) -> Result<Option<Parts>, Failure> {
    let (Some(split), Some(chunks)) = (input.get(input::SPLIT), input.get(input::CHUNKS)) else {
        return Ok(None);
    };
    for part in [split, chunks] {
        if part["status"] != "complete" {
            let message = part["error"].as_str().unwrap_or("a part of the step was called off");
            return Err(Failure::permanent(PART, fault::of_part(label, message)));
        }
    }
    let list = |part: &Value| part["output"].as_array().cloned().unwrap_or_default();
    Ok(Some(Parts {
        chunks: list(split),
        results: list(chunks),
    }))
}

fn deadlock(document: Document<'_>) -> Failure {
    let text = match Graph::of(&document.steps()) {
        Err(deadlock) => deadlock.text(),
        Ok(_) => "the steps of this task cannot be run".to_owned(),
    };
    Failure::permanent(DEADLOCK, text)
}

/// What the templates of a step see: its task's payload, and what its input holds.
struct Sight<'w> {
    document: Document<'w>,
    input: &'w Value,
}

impl<'w> Sight<'w> {
    /// What a step before is seen to have given.
    fn seen(&self, reference: &'w Value) -> Option<Cow<'w, Value>> {
        let step = || self.document.step(usize::try_from(reference.get("n")?.as_u64()?).ok()?);
        match reference.get("status").and_then(Value::as_str) {
            Some("skipped") => Some(Cow::Owned(step()?.skip_result())),
            Some("error") => {
                let step = step()?;
                let message = reference.get("error").and_then(Value::as_str).unwrap_or_default();
                Some(Cow::Owned(Step::failed_result(&fault::of_step(&step, message))))
            }
            _ => reference.get("output").map(Cow::Borrowed),
        }
    }
}

impl Scope for Sight<'_> {
    fn root(&self, name: &str) -> Option<Cow<'_, Value>> {
        match name {
            "payload" => Some(Cow::Borrowed(self.document.payload())),
            input::ITEM | input::INDEX => self.input.get(name).map(Cow::Borrowed),
            _ => None,
        }
    }

    fn step(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.seen(self.input.get(input::STEPS)?.get(name)?)
    }

    fn all_steps(&self) -> Option<Cow<'_, Value>> {
        let all = match self.input.get(input::ALL_STEPS)? {
            Value::Array(all) => {
                let seen = all.iter().map(|one| self.seen(one).unwrap_or_default().into_owned());
                Value::Array(seen.collect())
            }
            Value::Object(all) => {
                let seen = all
                    .iter()
                    .filter_map(|(id, one)| Some((id.clone(), self.seen(one)?.into_owned())));
                Value::Object(seen.collect())
            }
            _ => return None,
        };
        Some(Cow::Owned(all))
    }
}

#[cfg(test)]
mod tests;
