//! Takes known values out of what comes back.
//!
//! A receiver that repeats what it was sent, in its answer or in an error, would carry a secret into the run's history.
//! So everything that an attempt with secrets gives is searched for their values, in the forms that [`forms`] knows,
//! and [`MASK`] stands in their place. Bodies are searched for values of [`MASKED_FROM`] bytes and more: a shorter one
//! would be found everywhere. Messages that Quintet itself makes are searched for all of them.

use quintet_core::expr::MASK;
use quintet_core::outcome::{Failure, Outcome, Success};
use serde_json::{Map, Value};

use super::forms;

/// Values of this many bytes and more are masked wherever they come back.
pub const MASKED_FROM: usize = 8;
/// So much of the beginning of a value, at the end of a text that was cut, is masked.
const MIN_BEGINNING: usize = 4;

/// The values of one attempt.
#[derive(Default)]
pub struct Masker {
    /// What is searched for in bodies.
    needles: Vec<Vec<u8>>,
    /// The values as they are.
    values: Vec<String>,
}

impl Masker {
    /// A masker of these values.
    pub fn of<'v>(values: impl Iterator<Item = &'v str>) -> Self {
        let values: Vec<String> = values.filter(|value| !value.is_empty()).map(str::to_owned).collect();
        let long = values.iter().filter(|value| value.len() >= MASKED_FROM);
        Self {
            needles: long.flat_map(|value| forms::needles(value)).collect(),
            values,
        }
    }

    /// Everything that an attempt gives.
    pub fn outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Succeeded(success) => Outcome::Succeeded(self.success(success)),
            Outcome::Failed(failure) => Outcome::Failed(self.failure(failure)),
        }
    }

    fn success(&self, success: Success) -> Success {
        let output = self.value(&success.output);
        let is_changed = output != *success.output;
        // The text must say the same as the value, or nothing.
        let text = success.text.map(|text| self.text(&text)).filter(|text| {
            let says = || serde_json::from_str::<Value>(text).ok();
            !is_changed || !output.is_string() && says().as_ref() == Some(&output)
        });
        Success {
            output: output.into(),
            text,
            set: success.set.map(|set| self.map(&set)),
            ..success
        }
    }

    /// A failure's message is made here, of what was sent; its detail is what the receiver said, possibly cut.
    fn failure(&self, failure: Failure) -> Failure {
        let detail = failure.detail.map(|detail| match self.value(&detail) {
            Value::String(text) => Value::String(self.without_beginning(text)),
            detail => detail,
        });
        Failure {
            message: self.message(&failure.message),
            detail,
            ..failure
        }
    }

    /// A value, in the names and texts of which nothing is left.
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => Value::Object(self.map(map)),
            Value::Number(number) => {
                let text = number.to_string();
                match self.text(&text) {
                    masked if masked != text => Value::String(masked),
                    _ => value.clone(),
                }
            }
            Value::Null | Value::Bool(_) => value.clone(),
        }
    }

    fn map(&self, map: &Map<String, Value>) -> Map<String, Value> {
        map.iter()
            .map(|(key, item)| (self.text(key), self.value(item)))
            .collect()
    }

    /// What somebody else wrote.
    pub fn text(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        for needle in &self.needles {
            occurrences(bytes, needle, |start, end| found.push((start, end)));
        }
        for undone in forms::undone(bytes) {
            for needle in &self.needles {
                occurrences(&undone.bytes, needle, |start, end| {
                    found.push((undone.starts[start] as usize, undone.starts[end] as usize));
                });
            }
        }
        replace(text, found)
    }

    /// What we wrote ourselves: here also the shortest value is no coincidence.
    pub fn message(&self, text: &str) -> String {
        let masked = self.text(text);
        let mut found = Vec::new();
        for value in self.values.iter().filter(|value| value.len() < MASKED_FROM) {
            occurrences(masked.as_bytes(), value.as_bytes(), |start, end| {
                found.push((start, end))
            });
        }
        replace(&masked, found)
    }

    /// The text without the beginning of a value at its end.
    fn without_beginning(&self, text: String) -> String {
        let bytes = text.as_bytes();
        let longest = self.needles.iter().filter_map(|needle| {
            let most = needle.len().min(bytes.len());
            (MIN_BEGINNING..=most)
                .rev()
                .find(|length| bytes.ends_with(&needle[..*length]))
        });
        match longest.max() {
            Some(length) => replace(&text, vec![(bytes.len() - length, bytes.len())]),
            None => text,
        }
    }
}

fn occurrences(text: &[u8], needle: &[u8], mut note: impl FnMut(usize, usize)) {
    let Some(first) = needle.first() else { return };
    let mut from = 0;
    while from + needle.len() <= text.len() {
        let Some(next) = text[from..].iter().position(|byte| byte == first) else {
            return;
        };
        let start = from + next;
        if text[start..].starts_with(needle) {
            note(start, start + needle.len());
        }
        from = start + 1;
    }
}

/// The text with a mask for each of the ranges; those that touch become one.
fn replace(text: &str, mut found: Vec<(usize, usize)>) -> String {
    found.sort_unstable();
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end) in found {
        if end <= done {
            continue;
        }
        // A range that would cut a character takes all of it.
        let start = (0..=start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = (end..=text.len())
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(text.len());
        if start > done || done == 0 {
            masked.push_str(&text[done..start.max(done)]);
            masked.push_str(MASK);
        }
        done = end;
    }
    masked.push_str(&text[done..]);
    masked
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;

    const VALUE: &str = "p@ss/w\"ö+rd & <7>\n";

    fn masker() -> Masker {
        Masker::of([VALUE, "short", "sk_live_0123456789abcdef"].into_iter())
    }

    fn is_clean(text: &str) {
        let masked = masker().text(text);
        assert!(masked.contains(MASK), "{text}: {masked}");
        for left in ["w\"", "0123456789", "rd"] {
            assert!(!masked.contains(left), "{text}: {masked}");
        }
    }

    #[test]
    fn a_value_is_found_in_every_form() {
        let json = serde_json::to_string(VALUE).expect("json");
        let all: String = VALUE.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let unicode: String = VALUE.chars().map(|sign| format!("\\u{:04x}", sign as u32)).collect();
        let form: String = url::form_urlencoded::byte_serialize(VALUE.as_bytes()).collect();
        for text in [
            VALUE.to_owned(),
            json,
            all,
            unicode,
            form,
            "p%40ss/w%22%C3%B6+rd%20%26%20<7>%0A".to_owned(),
            "p@ss/w&quot;&#246;+rd &amp; &lt;7&#x3E;\n".to_owned(),
            "p@ss\\/w\\\"\\u00f6+rd & <7>\\n".to_owned(),
        ] {
            is_clean(&format!("before {text} after"));
        }
    }

    #[test]
    fn a_value_is_found_in_base64_and_hex_whatever_surrounds_it() {
        for before in ["", "u", "us", "user:"] {
            for after in ["", "x", "xy", ":zzz"] {
                let text = format!("{before}sk_live_0123456789abcdef{after}");
                for encoded in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    let masked = masker().text(&encoded);
                    // At most the signs that it shares with its surroundings are left.
                    let left = masked.replace(MASK, "");
                    assert!(masked.contains(MASK) && left.len() <= 14, "{text}: {masked}");
                }
            }
        }
        let hex: String = "sk_live_0123456789abcdef"
            .bytes()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        assert_eq!(masker().text(&format!("<{hex}>")), "<***>");
        // The last sign has a few bits of the value beside those of what could follow.
        let masked = masker().text(&URL_SAFE_NO_PAD.encode(VALUE));
        assert!(masked.starts_with(MASK) && masked.len() <= MASK.len() + 1, "{masked}");
    }

    #[test]
    fn a_token_behind_its_scheme_is_a_value_of_its_own() {
        let masker = Masker::of(["Bearer abcdefghijklmnopqrstuvwx"].into_iter());
        assert_eq!(masker.text("token=abcdefghijklmnopqrstuvwx;"), "token=***;");
        assert_eq!(masker.text("Bearer of news"), "Bearer of news");
    }

    #[test]
    fn names_texts_and_numbers_of_a_value_are_masked() {
        let masker = Masker::of(["12345678"].into_iter());
        let value = json!({ "a12345678": [12_345_678, "x 12345678", 1, null], "free": true });
        assert_eq!(
            masker.value(&value),
            json!({ "a***": ["***", "x ***", 1, null], "free": true })
        );
    }

    #[test]
    fn short_values_are_masked_in_our_own_messages_only() {
        assert_eq!(masker().text("short"), "short");
        assert_eq!(masker().message("GET /short/ failed"), "GET /***/ failed");
    }

    #[test]
    fn what_an_attempt_gives_holds_no_value_and_no_cut_one() {
        let echoed = |text: &str| Success {
            output: Arc::new(json!({ "echo": "sk_live_0123456789abcdef" })),
            text: Some(text.to_owned()),
            ..Success::default()
        };
        let Outcome::Succeeded(kept) =
            masker().outcome(Outcome::Succeeded(echoed("{ \"echo\": \"sk_live_0123456789abcdef\" }")))
        else {
            panic!("succeeded")
        };
        assert_eq!(*kept.output, json!({ "echo": "***" }));
        assert_eq!(kept.text.as_deref(), Some("{ \"echo\": \"***\" }"));
        let failure = Failure {
            detail: Some("you sent sk_live_01234567".into()),
            ..Failure::new("http_status", "http status 400")
        };
        let Outcome::Failed(failure) = masker().outcome(Outcome::Failed(failure)) else {
            panic!("failed")
        };
        assert_eq!(failure.detail, Some("you sent ***".into()));
    }

    #[test]
    fn overlapping_and_adjacent_values_become_one_mask() {
        let masker = Masker::of(["abcdefgh", "efghijkl"].into_iter());
        assert_eq!(masker.text("1abcdefghijkl2 abcdefghabcdefgh"), "1***2 ***");
        assert_eq!(masker.text("abcdefgh"), "***");
        assert_eq!(masker.text("nothing"), "nothing");
    }
}
