//! Small optional bodies of control requests: who, why, which step.

use http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::super::cx::Cx;
use super::super::document::first_json;
use super::super::problem::Problem;
use crate::error_code::ErrorCode;

/// Longest text of a field, in bytes.
const MAX_TEXT: usize = 16 * 1024;

/// A body that was read.
pub(crate) struct Fields {
    map: Map<String, Value>,
    caller: Option<String>,
}

impl Fields {
    /// Reads a body. The original ignored the bodies of `approve` and `cancel`, so there what does not claim to be
    /// JSON and is none is ignored (`lenient`).
    pub fn read(cx: &Cx, headers: &HeaderMap, body: &[u8], lenient: bool) -> Result<Self, Problem> {
        let caller = cx.caller.as_ref().map(|caller| caller.to_string());
        let empty = |caller| Self {
            map: Map::new(),
            caller,
        };
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(empty(caller));
        }
        let media_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        match first_json(body) {
            Ok(Value::Object(map)) => Ok(Self { map, caller }),
            _ if lenient && !media_type.to_ascii_lowercase().contains("json") => Ok(empty(caller)),
            _ => Err(Problem::new(ErrorCode::BadJson, "bad json")),
        }
    }

    pub fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        let wrong = |message: &str| Problem::field(ErrorCode::InvalidField, name, message);
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= MAX_TEXT => Ok(Some(text.clone())),
            Some(Value::String(_)) => Err(wrong(&format!("must have at most {MAX_TEXT} bytes"))),
            Some(_) => Err(wrong("must be a string")),
        }
    }

    /// Who asks: as the body says, or as the caller is known.
    pub fn by(&self) -> Result<Option<String>, Problem> {
        Ok(self.text("by")?.or_else(|| self.caller.clone()))
    }

    pub fn required(&self, name: &str) -> Result<String, Problem> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Problem::field(ErrorCode::InvalidField, name, "is required"))
    }

    pub fn value(&self, name: &str) -> Option<Value> {
        self.map.get(name).cloned()
    }
}
