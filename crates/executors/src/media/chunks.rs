//! Where chunks begin and end.

use quintet_core::outcome::Failure;
use serde_json::{Value, json};

use super::rule::ChunkRule;
use super::{CHUNK, invalid};

/// Chunks of one medium.
const MAX_CHUNKS: u64 = 10_000;
/// Bytes of all their payloads together.
const MAX_BYTES: usize = 32 << 20;

/// A part of a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub index: u64,
    pub start_ms: u64,
    pub end_ms: u64,
}

/// The chunks of a medium; none where it is hardly longer than one, and done in one piece.
pub(super) fn chunks(duration_ms: u64, rule: &ChunkRule) -> Result<Option<Vec<Chunk>>, Box<Failure>> {
    if duration_ms <= rule.size_ms + rule.size_ms / 2 {
        return Ok(None);
    }
    let step_ms = rule.size_ms - rule.overlap_ms;
    let count = (duration_ms - rule.overlap_ms).div_ceil(step_ms);
    if count > MAX_CHUNKS {
        let message = format!("{count} chunks are too many (up to {MAX_CHUNKS}): set a larger size");
        return Err(invalid(message));
    }
    let chunk = |index| {
        let start_ms = index * step_ms;
        let end_ms = duration_ms.min(start_ms + rule.size_ms);
        Chunk {
            index,
            start_ms,
            end_ms,
        }
    };
    Ok(Some((0..count).map(chunk).collect()))
}

impl Chunk {
    /// As payloads say it, in seconds.
    pub fn to_json(self) -> Value {
        json!({ "index": self.index, "start": seconds(self.start_ms), "end": seconds(self.end_ms) })
    }

    pub fn length_ms(self) -> u64 {
        self.end_ms - self.start_ms
    }

    /// The payload of this chunk.
    pub fn payload(self, whole: &Value) -> Value {
        let mut payload = whole.clone();
        payload[CHUNK] = self.to_json();
        payload
    }
}

/// Seconds as a number: whole ones without a fraction.
pub(super) fn seconds(ms: u64) -> Value {
    if ms.is_multiple_of(1000) {
        (ms / 1000).into()
    } else {
        (ms as f64 / 1000.0).into()
    }
}

/// Refuses to write a large payload down many times.
pub(super) fn check_size(payload: &Value, count: usize) -> Result<(), Box<Failure>> {
    let bytes = payload.to_string().len();
    if bytes.saturating_mul(count) <= MAX_BYTES {
        return Ok(());
    }
    let message = format!("a payload of {bytes} bytes is too large for {count} chunks: pass large values by reference");
    Err(invalid(message))
}

#[cfg(test)]
mod tests {
    use super::super::rule::{MergeBy, SplitBy};
    use super::*;

    fn rule(size_ms: u64, overlap_ms: u64) -> ChunkRule {
        ChunkRule {
            input_field: "audio_path".to_owned(),
            size_ms,
            overlap_ms,
            merge: MergeBy::default(),
            split: SplitBy::default(),
        }
    }

    #[test]
    fn an_hour_has_the_chunks_that_one_expects() {
        let chunks = chunks(1_500_500, &rule(600_000, 5_000)).expect("few").expect("chunks");
        let said: Vec<Value> = chunks.iter().map(|chunk| chunk.to_json()).collect();
        assert_eq!(
            json!(said),
            json!([
                { "index": 0, "start": 0, "end": 600 },
                { "index": 1, "start": 595, "end": 1195 },
                { "index": 2, "start": 1190, "end": 1500.5 },
            ])
        );
    }

    #[test]
    fn what_is_not_longer_than_one_and_a_half_chunks_stays_whole() {
        let rule = rule(10_000, 1_000);
        assert_eq!(chunks(15_000, &rule), Ok(None));
        assert_eq!(
            chunks(15_001, &rule).map(|chunks| chunks.map_or(0, |chunks| chunks.len())),
            Ok(2)
        );
        assert_eq!(chunks(0, &rule), Ok(None));
    }

    #[test]
    fn chunks_cover_everything_and_overlap_by_exactly_what_is_set() {
        for size_ms in [1, 2, 7, 10, 999, 10_000, 600_000] {
            for overlap_ms in [0, 1, size_ms / 3, size_ms / 2]
                .into_iter()
                .filter(|overlap| *overlap <= size_ms / 2)
            {
                for quarters in 0..200 {
                    let duration_ms = size_ms * quarters / 4 + quarters % 3;
                    let Some(chunks) = chunks(duration_ms, &rule(size_ms, overlap_ms)).expect("few") else {
                        assert!(2 * duration_ms <= 3 * size_ms);
                        continue;
                    };
                    let said = format!("{duration_ms} ms by {size_ms} with {overlap_ms}: {chunks:?}");
                    assert_eq!(chunks[0].start_ms, 0, "{said}");
                    assert_eq!(chunks[chunks.len() - 1].end_ms, duration_ms, "{said}");
                    for (place, pair) in chunks.windows(2).enumerate() {
                        assert_eq!(pair[0].index, place as u64, "{said}");
                        assert_eq!(pair[0].length_ms(), size_ms, "{said}");
                        assert_eq!(pair[0].end_ms - pair[1].start_ms, overlap_ms, "{said}");
                        // Each adds something to the one before.
                        assert!(pair[1].end_ms > pair[0].end_ms, "{said}");
                    }
                }
            }
        }
    }

    #[test]
    fn too_many_chunks_are_refused() {
        let failure = chunks(10_001_000, &rule(1_000, 0)).expect_err("too many");
        assert_eq!(failure.retryable, Some(false));
        assert!(failure.message.starts_with("10001 chunks are too many"), "{failure:?}");
        assert!(chunks(10_000_000, &rule(1_000, 0)).is_ok());
        assert!(check_size(&json!({ "a": "x".repeat(10_000) }), 10_000).is_err());
        assert!(check_size(&json!({ "a": "x" }), 10_000).is_ok());
    }
}
