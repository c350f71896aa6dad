//! `media.merge`: one result of those of the chunks.
//!
//! Times in a chunk's result count from where the chunk begins. What lies in the overlap was heard twice: a segment that
//! begins before the end of what the chunks before it told is left out. What they told ends with their last segment, not
//! with the chunk: where they fell silent early, nothing is lost.

use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::outcome::{Failure, Outcome, Success, Work};
use quintet_engine::executor::{Executor, Mode};
use serde_json::{Map, Value};

use super::place::Place;
use super::rule::{MergeBy, SplitBy};
use super::{CHUNK, MERGE, Parts, Script, blocking, invalid};

/// Merges under way on a node.
const CONCURRENCY: usize = 16;
/// Seconds within which two times are the same: they went through floating point.
const SAME: f64 = 1e-6;

/// The executor.
pub(super) struct Merge {
    pub script: Arc<dyn Script>,
    pub place: Option<Place>,
}

#[async_trait]
impl Executor for Merge {
    fn actions(&self) -> Vec<String> {
        vec![MERGE.to_owned()]
    }

    fn mode(&self) -> Mode {
        Mode::Async {
            concurrency: CONCURRENCY,
        }
    }

    async fn execute(&self, work: Work) -> Outcome {
        let parts = match self.script.parts(&work) {
            Ok(parts) => parts,
            Err(failure) => return Outcome::Failed(*failure),
        };
        let place = self.place.clone();
        let merged = blocking(move || {
            let files = file_of(&parts);
            let merged = merge(parts)?;
            if let (Some(place), Some(file)) = (place, files) {
                place.remove(work.token.run, &file);
            }
            Ok(merged)
        });
        match merged.await.and_then(|merged| merged) {
            Ok(output) => Outcome::Succeeded(Success {
                output: Arc::new(output),
                ..Success::default()
            }),
            Err(failure) => Outcome::Failed(*failure),
        }
    }
}

/// A file that was cut for one of the chunks; the others lie beside it.
fn file_of(parts: &Parts) -> Option<String> {
    let chunk = parts
        .chunks
        .first()
        .filter(|chunk| parts.rule.split == SplitBy::Ffmpeg && chunk.get(CHUNK).is_some())?;
    chunk.get(&parts.rule.input_field)?.as_str().map(str::to_owned)
}

/// One result of several.
fn merge(parts: Parts) -> Result<Value, Box<Failure>> {
    let Parts {
        chunks,
        mut results,
        rule,
    } = parts;
    if chunks.len() != results.len() {
        let message = format!("there are {} chunks and {} results", chunks.len(), results.len());
        return Err(invalid(message));
    }
    if chunks.len() == 1 && chunks[0].get(CHUNK).is_none() {
        return Ok(results.remove(0));
    }
    match rule.merge {
        MergeBy::Array => Ok(Value::Array(results)),
        MergeBy::ConcatSegments => concat(&chunks, results),
    }
}

/// What has been told so far.
#[derive(Default)]
struct Told {
    texts: Vec<String>,
    segments: Vec<Value>,
    has_segments: bool,
    /// Until when, in seconds of the whole.
    until: f64,
}

fn concat(chunks: &[Value], results: Vec<Value>) -> Result<Value, Box<Failure>> {
    let mut told = Told::default();
    let mut common: Option<Map<String, Value>> = None;
    for (index, (chunk, result)) in chunks.iter().zip(results).enumerate() {
        let time = |name: &str| chunk[CHUNK][name].as_f64().unwrap_or_default();
        let mut fields = match result {
            Value::Object(fields) => fields,
            Value::String(text) => Map::from_iter([("text".to_owned(), Value::String(text))]),
            _ => return Err(unlike(index)),
        };
        let text = match fields.remove("text") {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let segments = match fields.remove("segments") {
            Some(Value::Array(segments)) => Some(segments),
            _ => None,
        };
        if text.is_none() && segments.is_none() {
            return Err(unlike(index));
        }
        told.add(text, segments, time("start"), time("end"));
        // What all say alike, such as the language, is said of the whole.
        common = Some(match common {
            None => fields,
            Some(known) => known
                .into_iter()
                .filter(|(name, value)| fields.get(name) == Some(value))
                .collect(),
        });
    }
    Ok(told.into_result(common.unwrap_or_default()))
}

fn unlike(index: usize) -> Box<Failure> {
    let message = format!(
        "the result of chunk {index} has neither text nor segments, and cannot be merged by concat_segments; \
         the rule `merge: array` takes any result"
    );
    invalid(message)
}

impl Told {
    fn add(&mut self, text: Option<String>, segments: Option<Vec<Value>>, start: f64, end: f64) {
        let (before, mut until) = (self.until, self.until);
        self.has_segments |= segments.is_some();
        let Some(segments) = segments else {
            // All that is known of it is where it ends.
            self.until = end;
            self.texts.extend(text);
            return;
        };
        let (mut heard, mut has_dropped) = (Vec::new(), false);
        for mut segment in segments {
            shift(&mut segment, start);
            let time = |name: &str| segment.get(name).and_then(Value::as_f64);
            if time("start").is_some_and(|begins| begins < before - SAME) {
                has_dropped = true;
                continue;
            }
            let ends = time("end").or(time("start")).unwrap_or(end);
            until = until.max(ends.min(end));
            heard.extend(
                segment
                    .get("text")
                    .and_then(Value::as_str)
                    .map(|text| text.trim().to_owned()),
            );
            self.segments.push(segment);
        }
        self.until = until;
        // The text as it was given is better than one put together, as long as it says nothing twice.
        self.texts
            .extend(text.filter(|_| !has_dropped).or_else(|| Some(heard.join(" "))));
    }

    fn into_result(mut self, common: Map<String, Value>) -> Value {
        for (number, segment) in self.segments.iter_mut().enumerate() {
            if segment.get("id").is_some_and(Value::is_number) {
                segment["id"] = number.into();
            }
        }
        let texts: Vec<&str> = self
            .texts
            .iter()
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
            .collect();
        let mut result = Map::new();
        result.insert("text".to_owned(), texts.join(" ").into());
        if self.has_segments {
            result.insert("segments".to_owned(), self.segments.into());
        }
        result.extend(common);
        result.into()
    }
}

/// Moves a segment, and the words in it, to their time in the whole.
fn shift(segment: &mut Value, seconds: f64) {
    for name in ["start", "end"] {
        let time = segment.get(name).and_then(Value::as_f64);
        if let Some(time) = time {
            // Microseconds: adding must not make 598.2 a 598.2000000000001.
            segment[name] = (((time + seconds) * 1e6).round() / 1e6).into();
        }
    }
    let words = segment.get_mut("words").and_then(Value::as_array_mut);
    words.into_iter().flatten().for_each(|word| shift(word, seconds));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::rule::ChunkRule;
    use super::*;

    fn merged_by(merge_by: MergeBy, chunks: Value, results: Value) -> Result<Value, Box<Failure>> {
        let list = |value: Value| value.as_array().cloned().expect("a list");
        let rule = ChunkRule {
            input_field: "audio_path".to_owned(),
            size_ms: 10_000,
            overlap_ms: 2_000,
            merge: merge_by,
            split: SplitBy::None,
        };
        merge(Parts {
            chunks: list(chunks),
            results: list(results),
            rule,
        })
    }

    fn concatenated(results: Value) -> Value {
        let chunk = |n: u64| json!({ "_chunk": { "index": n, "start": n * 8, "end": n * 8 + 10 } });
        let count = results.as_array().map_or(0, Vec::len) as u64;
        let chunks: Vec<Value> = (0..count).map(chunk).collect();
        merged_by(MergeBy::ConcatSegments, json!(chunks), results).expect("merged")
    }

    #[test]
    fn times_are_those_of_the_whole_and_what_was_heard_twice_is_told_once() {
        let merged = concatenated(json!([
            { "text": "one two three", "language": "en", "seconds": 10, "segments": [
                { "id": 0, "start": 0.0, "end": 4.5, "text": " one" },
                { "id": 1, "start": 4.5, "end": 8.2, "text": " two" },
                { "id": 2, "start": 8.2, "end": 10.0, "text": " three" } ] },
            { "text": "three four", "language": "en", "seconds": 7, "segments": [
                { "id": 0, "start": 0.2, "end": 2.0, "text": " three" },
                { "id": 1, "start": 2.0, "end": 5.2, "text": " four", "words": [{ "word": "four", "start": 2.1, "end": 5.1 }] } ] },
        ]));
        let expected = json!({
            "text": "one two three four",
            "segments": [
                { "id": 0, "start": 0.0, "end": 4.5, "text": " one" },
                { "id": 1, "start": 4.5, "end": 8.2, "text": " two" },
                { "id": 2, "start": 8.2, "end": 10.0, "text": " three" },
                { "id": 3, "start": 10.0, "end": 13.2, "text": " four", "words": [{ "word": "four", "start": 10.1, "end": 13.1 }] },
            ],
            "language": "en",
        });
        assert_eq!(merged, expected);
    }

    #[test]
    fn what_only_the_later_chunk_heard_of_the_overlap_stays() {
        let merged = concatenated(json!([
            { "text": "early", "segments": [{ "start": 0, "end": 3, "text": "early" }] },
            { "text": "late", "segments": [{ "start": 0.5, "end": 4, "text": "late" }] },
            { "text": "", "segments": [] },
            { "text": "end", "segments": [{ "start": 1, "end": 2, "text": "end" }] },
        ]));
        assert_eq!(merged["text"], "early late end");
        let starts: Vec<f64> = merged["segments"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|s| s["start"].as_f64().expect("a time"))
            .collect();
        assert_eq!(starts, [0.0, 8.5, 25.0]);
    }

    #[test]
    fn results_that_are_only_text_are_put_one_after_the_other() {
        assert_eq!(
            concatenated(json!(["  one ", { "text": "two" }, { "text": "" }])),
            json!({ "text": "one two" })
        );
        // A text covers its chunk: of the next only what comes after it is new.
        let merged = concatenated(json!([
            { "text": "one two" },
            { "text": "two three", "segments": [
                { "start": 1, "end": 2, "text": "two" }, { "start": 2, "end": 3, "text": "three" } ] },
        ]));
        assert_eq!(merged["text"], "one two three");
    }

    #[test]
    fn other_results_are_a_list_or_refused() {
        let chunks = json!([{ "_chunk": { "index": 0 } }, { "_chunk": { "index": 1 } }]);
        let list = merged_by(MergeBy::Array, chunks.clone(), json!([{ "n": 1 }, null]));
        assert_eq!(list, Ok(json!([{ "n": 1 }, null])));
        let refused = merged_by(
            MergeBy::ConcatSegments,
            chunks.clone(),
            json!([{ "text": "a" }, { "n": 1 }]),
        )
        .expect_err("refused");
        assert!(
            refused
                .message
                .starts_with("the result of chunk 1 has neither text nor segments"),
            "{refused:?}"
        );
        assert!(merged_by(MergeBy::Array, chunks, json!([1])).is_err());
    }

    #[test]
    fn what_was_not_split_passes_as_it_is() {
        for merge_by in [MergeBy::Array, MergeBy::ConcatSegments] {
            let passed = merged_by(merge_by, json!([{ "audio_path": "a" }]), json!([{ "anything": [1] }]));
            assert_eq!(passed, Ok(json!({ "anything": [1] })));
        }
    }
}
