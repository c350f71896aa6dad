//! The rule that a long input is cut up by, on its way through a step's input: it may be the operator's, and is then in no
//! document.

use quintet_executors::media::{ChunkRule, MergeBy, SplitBy};
use serde_json::{Value, json};

const MERGE: [(&str, MergeBy); 2] = [("concat_segments", MergeBy::ConcatSegments), ("array", MergeBy::Array)];
const SPLIT: [(&str, SplitBy); 2] = [("none", SplitBy::None), ("ffmpeg", SplitBy::Ffmpeg)];

pub(super) fn to_json(rule: &ChunkRule) -> Value {
    json!({
        "inputField": rule.input_field,
        "sizeMs": rule.size_ms,
        "overlapMs": rule.overlap_ms,
        "mergeStrategy": MERGE.iter().find(|(_, merge)| *merge == rule.merge).map(|(word, _)| word),
        "split": SPLIT.iter().find(|(_, split)| *split == rule.split).map(|(word, _)| word),
    })
}

/// Reads [`to_json`] back.
pub(crate) fn of_json(value: &Value) -> Option<ChunkRule> {
    let called = |name: &str| value.get(name)?.as_str();
    let (merge, split) = (called("mergeStrategy")?, called("split")?);
    Some(ChunkRule {
        input_field: called("inputField")?.to_owned(),
        size_ms: value.get("sizeMs")?.as_u64()?,
        overlap_ms: value.get("overlapMs")?.as_u64()?,
        merge: MERGE.iter().find(|(word, _)| *word == merge)?.1,
        split: SPLIT.iter().find(|(word, _)| *word == split)?.1,
    })
}
