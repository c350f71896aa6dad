//! From bytes to a value, JSON or YAML, with bounds that hold before anything is built.
//!
//! YAML's aliases can make a short text mean a huge document, so every node and every byte of text that a YAML
//! document makes is counted, and the reading stops at the bound. Nesting is bounded for both languages.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::http::depth::{Excess, excess};

/// Longest document, in bytes: one of 100,000 steps fits. Over HTTP the server's own limit of bodies comes first.
pub const MAX_BYTES: usize = 32 << 20;
/// Longest YAML document, in bytes: reading it costs many times its length.
pub const MAX_YAML_BYTES: usize = 2 << 20;
/// Deepest nesting of a document.
pub const MAX_DEPTH: usize = 64;
/// Most values of a JSON document: one of the longest is not refused for them.
const MAX_VALUES: usize = 4 * crate::config::MOST_VALUES;
/// Most values that a YAML document may make.
const MAX_NODES: usize = 1_000_000;
/// Most text that a YAML document may make, in bytes.
const MAX_TEXT: usize = 8 * MAX_YAML_BYTES;

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is too long.
    #[error("the document has {0} bytes, more than {1}")]
    TooLarge(usize, usize),
    /// It is nested too deep.
    #[error("the document is nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// It holds too many values.
    #[error("the document holds too many values")]
    TooMany,
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// It is not YAML, or it makes too much of its aliases.
    #[error("not YAML: {0}")]
    Yaml(String),
}

/// Reads a document; `hint` is a media type, a file name or its extension, and YAML is read where it says so.
pub fn parse(bytes: &[u8], hint: &str) -> Result<Value, DocumentError> {
    let is_yaml = is_yaml(hint);
    let most = if is_yaml { MAX_YAML_BYTES } else { MAX_BYTES };
    if bytes.len() > most {
        return Err(DocumentError::TooLarge(bytes.len(), most));
    }
    if is_yaml {
        return yaml(bytes);
    }
    // Before anything is built of it; the server has looked at a body already, and may allow more.
    match excess(bytes, MAX_DEPTH, MAX_VALUES) {
        Some(Excess::Depth) => Err(DocumentError::TooDeep),
        Some(Excess::Values) => Err(DocumentError::TooMany),
        None => first_json(bytes),
    }
}

/// Whether a media type or file name means YAML.
pub(crate) fn is_yaml(hint: &str) -> bool {
    let hint = hint.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    ["yaml", "yml"].iter().any(|ending| hint.ends_with(ending))
}

/// The first JSON value of a text; what follows it is ignored, as the original did.
pub fn first_json(bytes: &[u8]) -> Result<Value, DocumentError> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let value = match values.next() {
        Some(Ok(value)) => value,
        Some(Err(error)) => return Err(DocumentError::Json(error.to_string())),
        None => return Err(DocumentError::Json("it is empty".to_owned())),
    };
    if is_nested_at_most(MAX_DEPTH, &value) {
        Ok(value)
    } else {
        Err(DocumentError::TooDeep)
    }
}

/// The parser has bounded the recursion already.
pub(crate) fn is_nested_at_most(depth: usize, value: &Value) -> bool {
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_nested_at_most(depth - 1, item)),
        Value::Object(entries) => depth > 0 && entries.values().all(|entry| is_nested_at_most(depth - 1, entry)),
        _ => true,
    }
}

fn yaml(bytes: &[u8]) -> Result<Value, DocumentError> {
    if flow_depth(bytes) > 4 * MAX_DEPTH {
        return Err(DocumentError::TooDeep);
    }
    let mut budget = Budget {
        nodes: MAX_NODES,
        text: MAX_TEXT,
    };
    let seed = Bounded {
        budget: &mut budget,
        depth: MAX_DEPTH,
    };
    let mut documents = yaml_serde::Deserializer::from_slice(bytes);
    let Some(document) = documents.next() else {
        return Ok(Value::Null);
    };
    let value = seed
        .deserialize(document)
        .map_err(|error| DocumentError::Yaml(error.to_string()))?;
    if documents.next().is_some() {
        return Err(DocumentError::Yaml("it holds more than one document".to_owned()));
    }
    Ok(value)
}

/// Brackets that are open at a time, at most: counted without knowing about quotes, so never too few. The YAML
/// scanner takes time quadratic in it.
fn flow_depth(bytes: &[u8]) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for byte in bytes {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

struct Budget {
    nodes: usize,
    text: usize,
}

impl Budget {
    fn take<E: Error>(&mut self, text: usize) -> Result<(), E> {
        let nodes = self
            .nodes
            .checked_sub(1)
            .ok_or_else(|| E::custom("it makes too many values"))?;
        let text = self
            .text
            .checked_sub(text)
            .ok_or_else(|| E::custom("it makes too much text"))?;
        *self = Self { nodes, text };
        Ok(())
    }
}

/// Builds a value within a budget.
struct Bounded<'b> {
    budget: &'b mut Budget,
    depth: usize,
}

impl Bounded<'_> {
    fn inner<E: Error>(&mut self) -> Result<Bounded<'_>, E> {
        let depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| E::custom("it is nested too deep"))?;
        Ok(Bounded {
            budget: self.budget,
            depth,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has too")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.budget.take(0)?;
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that JSON does not have"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.budget.take(value.len())?;
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        self.budget.take(0)?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.inner()?)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        self.budget.take(0)?;
        let mut entries = Map::new();
        while let Some(key) = map.next_key_seed(self.inner()?)? {
            let key = match key {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                Value::Bool(key) => key.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    return Err(A::Error::custom("a key must be a text"));
                }
            };
            let value = map.next_value_seed(self.inner()?)?;
            if entries.insert(key, value).is_some() {
                return Err(A::Error::custom("a key is given twice"));
            }
        }
        Ok(Value::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_up_to_the_end_of_its_first_value() {
        assert_eq!(parse(b"{\"a\":1} and more", "application/json"), Ok(json!({ "a": 1 })));
        for bad in ["", "{bad", "{\"a\":}"] {
            assert!(
                matches!(parse(bad.as_bytes(), ""), Err(DocumentError::Json(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn yaml_is_read_where_the_hint_says_so() {
        let text =
            b"name: demo\nsteps:\n  - name: a\n    action: noop\n    input: &x {n: 1, t: 'yes', 5: ~}\n  - input: *x\n";
        let value = parse(text, "application/yaml; charset=utf-8").unwrap();
        assert_eq!(value["steps"][0]["input"], json!({ "n": 1, "t": "yes", "5": null }));
        assert_eq!(value["steps"][1]["input"], value["steps"][0]["input"]);
        assert_eq!(parse(text, "flow.yml"), Ok(value));
        assert!(parse(text, "application/json").is_err());
    }

    #[test]
    fn aliases_cannot_multiply_a_document() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let names = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{names}]\n"));
        }
        assert!(matches!(parse(text.as_bytes(), "yaml"), Err(DocumentError::Yaml(_))));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 64].join(", "));
        assert!(matches!(parse(long.as_bytes(), "yaml"), Err(DocumentError::Yaml(_))));
    }

    #[test]
    fn nesting_and_size_are_bounded_in_both_languages() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        for (hint, most) in [("json", MAX_BYTES), ("yaml", MAX_YAML_BYTES)] {
            assert!(parse(nested(MAX_DEPTH).as_bytes(), hint).is_ok(), "{hint}");
            for depth in [MAX_DEPTH + 1, 300, 1_000_000] {
                assert!(parse(nested(depth).as_bytes(), hint).is_err(), "{hint} {depth}");
            }
            let long = vec![b' '; most + 1];
            assert_eq!(parse(&long, hint), Err(DocumentError::TooLarge(most + 1, most)));
        }
        let dashes = "- ".repeat(100_000);
        assert!(parse(dashes.as_bytes(), "yaml").is_err());
    }

    #[test]
    fn yaml_that_json_cannot_say_is_refused() {
        for text in ["a: .nan", "a: 1\na: 2", "[a]: 1", "--- 1\n--- 2\n"] {
            assert!(parse(text.as_bytes(), "yaml").is_err(), "{text}");
        }
    }
}
