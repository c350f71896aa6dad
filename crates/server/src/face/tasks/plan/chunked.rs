//! A step whose long input is cut up: three steps of the plan.
//!
//! `<id>:split` cuts the input up and gives a list of payloads, one for each chunk, or only the one that it was given.
//! `<id>:chunks` does the work once for each of them, a few at a time. `<id>` makes one result of theirs, and is the one
//! that others know of. Whatever fails before it is handed on to it, so that it alone decides what that means: its failure
//! is the step's, be it optional or not.

use quintet_core::plan::{Dependency, EdgeOn, ForEach, SkipMode, StepSpec};
use quintet_executors::media::{ChunkRule, MERGE, SPLIT};
use serde_json::{Value, json};

use super::expression::{field, quoted};
use super::{input, rule};

/// Chunks at a time.
const CONCURRENCY: u32 = 4;

/// The parts of a step.
pub(super) fn parts(step: StepSpec, rule: &ChunkRule) -> Vec<StepSpec> {
    let (split_key, chunks_key) = (format!("{}:split", step.key), format!("{}:chunks", step.key));
    let settings = rule::to_json(rule);
    let nth = step.input[input::STEP].clone();
    let mut to_split = step.input.clone();
    to_split[input::PART] = "split".into();
    to_split[input::CHUNK] = settings.clone();
    let has_split = format!("steps[{}].status == 'complete'", quoted(&split_key));
    let split = StepSpec {
        key: split_key.clone(),
        action: SPLIT.to_owned(),
        input: to_split,
        queue: None,
        outside: false,
        optional: false,
        ..step.clone()
    };
    let chunks = StepSpec {
        key: chunks_key.clone(),
        input: json!({ input::STEP: nth, input::PART: "chunks", input::PAYLOAD: "{{ item }}" }),
        depends_on: after(&split_key),
        when: Some(match &step.when {
            Some(when) => format!("({when}) and {has_split}"),
            None => has_split,
        }),
        skip: SkipMode::Satisfy,
        for_each: Some(ForEach {
            items: format!("steps[{}].output", quoted(&split_key)).into(),
            concurrency: Some(CONCURRENCY),
        }),
        optional: false,
        ..step.clone()
    };
    let merge = StepSpec {
        action: MERGE.to_owned(),
        input: json!({
            input::STEP: nth,
            input::PART: "merge",
            input::CHUNK: settings,
            input::SPLIT: end(&split_key),
            input::CHUNKS: end(&chunks_key),
        }),
        depends_on: after(&chunks_key),
        queue: None,
        outside: false,
        ..step
    };
    vec![split, chunks, merge]
}

fn after(key: &str) -> Vec<Dependency> {
    vec![Dependency {
        step: key.to_owned(),
        on: EdgeOn::Always,
    }]
}

/// How a part has ended.
fn end(key: &str) -> Value {
    json!({ "status": field(key, "status"), "output": field(key, "output"), "error": field(key, "error") })
}
