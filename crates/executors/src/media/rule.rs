//! How inputs of one type of task are split and merged.

use serde::Deserialize;

/// Longer than any medium: 100 days.
const LONGEST_MS: f64 = 100.0 * 24.0 * 3_600_000.0;

/// How long inputs are split, and their results merged.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct ChunkRule {
    /// The field of the payload that names the medium.
    pub input_field: String,
    /// Length of a chunk, in milliseconds.
    pub size_ms: u64,
    /// What a chunk has in common with the one before it, in milliseconds; at most half a chunk.
    pub overlap_ms: u64,
    /// What becomes of the results.
    pub merge: MergeBy,
    /// Who cuts.
    pub split: SplitBy,
}

/// What becomes of the results of the chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeBy {
    /// One `{text, segments}`, with times of the whole.
    #[default]
    ConcatSegments,
    /// The results in their order.
    Array,
}

/// Who cuts the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// Nobody: each chunk names the whole medium, and the backend reads the part that `_chunk` says.
    #[default]
    None,
    /// `ffmpeg` makes a file of each chunk: 16 kHz, mono, WAV.
    Ffmpeg,
}

/// A rule that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not a length of time.
    #[error("{field}: \"{text}\" is not a time such as 10m, 90s or 1h30m")]
    NotATime {
        /// Which field.
        field: &'static str,
        /// What it says.
        text: String,
    },
    /// No name of a field.
    #[error("input_field must not be empty")]
    NoField,
    /// Chunks without a length.
    #[error("size must be above 0")]
    NoSize,
    /// Then a moment could lie in more than two chunks.
    #[error("overlap must be at most half of size")]
    Overlap,
}

/// A rule as settings have it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    input_field: String,
    #[serde(default = "ten_minutes")]
    size: String,
    #[serde(default = "five_seconds")]
    overlap: String,
    #[serde(default)]
    merge: MergeBy,
    #[serde(default)]
    split: SplitBy,
}

fn ten_minutes() -> String {
    "10m".to_owned()
}

fn five_seconds() -> String {
    "5s".to_owned()
}

impl TryFrom<Written> for ChunkRule {
    type Error = RuleError;

    fn try_from(written: Written) -> Result<Self, RuleError> {
        let (size_ms, overlap_ms) = (time("size", &written.size)?, time("overlap", &written.overlap)?);
        if written.input_field.is_empty() {
            return Err(RuleError::NoField);
        }
        if size_ms == 0 {
            return Err(RuleError::NoSize);
        }
        if overlap_ms > size_ms / 2 {
            return Err(RuleError::Overlap);
        }
        Ok(Self {
            input_field: written.input_field,
            size_ms,
            overlap_ms,
            merge: written.merge,
            split: written.split,
        })
    }
}

fn time(field: &'static str, text: &str) -> Result<u64, RuleError> {
    let not_a_time = || RuleError::NotATime {
        field,
        text: text.to_owned(),
    };
    milliseconds(text).ok_or_else(not_a_time)
}

/// Reads numbers with units, the largest unit first and each at most once: `1h30m`, `90s`, `1.5m`, `500ms`.
fn milliseconds(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 4] = [("h", 3_600_000.0), ("m", 60_000.0), ("s", 1_000.0), ("ms", 1.0)];
    let (mut rest, mut total, mut units) = (text, 0.0, &UNITS[..]);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let place = units.iter().position(|known| known.0 == unit)?;
        total += number.parse::<f64>().ok()? * units[place].1;
        (rest, units) = (after, &units[place + 1..]);
    }
    (!text.is_empty() && total <= LONGEST_MS).then_some(total.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ChunkRule, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn times_are_numbers_with_units_and_nothing_else_is_taken_for_one() {
        for (text, expected) in [
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("90s", 90_000),
            ("1.5m", 90_000),
            ("1h0m5s", 3_605_000),
            ("500ms", 500),
            ("0s", 0),
        ] {
            assert_eq!(milliseconds(text), Some(expected), "{text}");
        }
        for text in [
            "", "10", "m", "10 m", "-5s", "30m1h", "5s5s", "10x", "1e3s", "1..5s", ".s", "9999999h", "10M", "1h30",
        ] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_rule_has_the_originals_defaults() {
        let rule = read("input_field = 'audio_path'").expect("a rule");
        let expected = ChunkRule {
            input_field: "audio_path".to_owned(),
            size_ms: 600_000,
            overlap_ms: 5_000,
            merge: MergeBy::ConcatSegments,
            split: SplitBy::None,
        };
        assert_eq!(rule, expected);
        let rule = read("input_field = 'a'\nsize = '90s'\noverlap = '0s'\nmerge = 'array'\nsplit = 'ffmpeg'");
        assert_eq!(
            rule.map(|rule| (rule.merge, rule.split)),
            Ok((MergeBy::Array, SplitBy::Ffmpeg))
        );
    }

    #[test]
    fn what_cannot_be_followed_is_refused_in_words() {
        for (text, expected) in [
            ("input_field = ''", "input_field must not be empty"),
            (
                "input_field = 'a'\nsize = 'soon'",
                "size: \"soon\" is not a time such as 10m, 90s or 1h30m",
            ),
            (
                "input_field = 'a'\noverlap = '5'",
                "overlap: \"5\" is not a time such as 10m, 90s or 1h30m",
            ),
            ("input_field = 'a'\nsize = '0s'", "size must be above 0"),
            ("input_field = 'a'\nsize = '8s'", "overlap must be at most half of size"),
        ] {
            assert_eq!(read(text), Err(expected.to_owned()));
        }
        assert!(read("input_field = 'a'\nmerge = 'sum'").is_err());
        assert!(read("input_field = 'a'\nsice = '5m'").is_err());
        assert!(read("size = '5m'").is_err());
    }
}
