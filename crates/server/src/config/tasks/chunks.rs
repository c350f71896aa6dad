//! Which tasks have their long media inputs done in chunks.

use std::collections::BTreeMap;

use quintet_executors::media::{ChunkRule, MergeBy, SplitBy};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

/// How inputs are split and results merged, by the type of the task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ChunkRules(pub BTreeMap<String, ChunkRule>);

impl Serialize for ChunkRules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(kind, rule)| (kind, shown(rule))))
    }
}

fn shown(rule: &ChunkRule) -> serde_json::Value {
    let merge = match rule.merge {
        MergeBy::ConcatSegments => "concat_segments",
        MergeBy::Array => "array",
    };
    let split = match rule.split {
        SplitBy::None => "none",
        SplitBy::Ffmpeg => "ffmpeg",
    };
    json!({
        "input_field": rule.input_field, "size": format!("{}ms", rule.size_ms), "overlap": format!("{}ms", rule.overlap_ms),
        "merge": merge, "split": split,
    })
}
