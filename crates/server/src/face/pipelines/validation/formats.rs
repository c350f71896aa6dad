//! What strings must look like, as JavaScript sees it.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Value, json};

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1_000;
/// Largest compiled pattern, in bytes.
const COMPILED_BYTES: usize = 1 << 18;
/// Steps back that one match of a pattern with look-around may take.
const BACKTRACKS: usize = 20_000;

/// An unanchored regular expression of JavaScript.
#[derive(Debug)]
pub(super) struct Pattern {
    validator: Validator,
    /// It has look-around or back-references, and its time is not linear.
    pub backtracks: bool,
}

impl Pattern {
    /// `None` if it is no regular expression, or too large.
    pub fn compile(source: &str) -> Option<Self> {
        if source.len() > MAX_PATTERN {
            return None;
        }
        // The schema library translates from JavaScript's dialect, and survives the engines' rare panics.
        let schema = json!({ "pattern": source });
        let linear = PatternOptions::regex().size_limit(COMPILED_BYTES);
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(linear)
            .build(&schema);
        if let Ok(validator) = validator {
            let backtracks = false;
            return Some(Self { validator, backtracks });
        }
        let bounded = PatternOptions::fancy_regex()
            .size_limit(COMPILED_BYTES)
            .backtrack_limit(BACKTRACKS);
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(bounded)
            .build(&schema);
        let backtracks = true;
        validator.ok().map(|validator| Self { validator, backtracks })
    }

    /// Whether it is found in a string. A match that takes too many steps is none.
    pub fn is_found_in(&self, text: &Value) -> bool {
        self.validator.is_valid(text)
    }
}

/// Zod's idea of an address: `local@domain.tld` in ASCII, without quotes, and without two dots in a row.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let in_local = |byte: u8| byte.is_ascii_alphanumeric() || b"_'+-.".contains(&byte);
    let ends_local = local
        .bytes()
        .last()
        .is_some_and(|byte| in_local(byte) && byte != b'\'' && byte != b'.');
    if !ends_local || !local.bytes().all(in_local) || local.starts_with('.') || text.contains("..") {
        return false;
    }
    let Some((labels, last)) = domain.rsplit_once('.') else {
        return false;
    };
    let is_label = |label: &str| {
        let in_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && !label.starts_with('-') && label.bytes().all(in_label)
    };
    last.len() >= 2 && last.bytes().all(|byte| byte.is_ascii_alphabetic()) && labels.split('.').all(is_label)
}

/// Whatever `new URL(text)` accepts.
pub(super) fn is_url(text: &str) -> bool {
    url::Url::parse(text).is_ok()
}

/// The length of a string as JavaScript counts it.
pub(super) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A number as JavaScript writes it.
pub(super) fn number(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if (1e-6..1e21).contains(&size) {
        number.to_string()
    } else {
        let text = format!("{number:e}");
        if text.contains("e-") {
            text
        } else {
            text.replace('e', "e+")
        }
    }
}
