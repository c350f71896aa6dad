//! Settings files: TOML or YAML, by ending or by what they look like.

use std::path::Path;

use serde_json::{Map, Value};

use super::ConfigError;

/// The text as one tree.
pub(super) fn parse(text: &str, path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let syntax = |reason: String| ConfigError::Syntax {
        path: path.to_owned(),
        reason,
    };
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let tree = match ending.as_str() {
        "toml" => from_toml(text).map_err(syntax)?,
        "yaml" | "yml" | "json" => from_yaml(text).map_err(syntax)?,
        // Whichever reads it; each refuses nearly everything that the other means.
        _ => from_toml(text).or_else(|_| from_yaml(text)).map_err(syntax)?,
    };
    match tree {
        Value::Object(tree) => Ok(tree),
        // An empty file, or one of comments only.
        Value::Null => Ok(Map::new()),
        _ => Err(syntax("a settings file consists of sections with settings".to_owned())),
    }
}

fn from_toml(text: &str) -> Result<Value, String> {
    toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
}

fn from_yaml(text: &str) -> Result<Value, String> {
    yaml_serde::from_str(text).map_err(|error| error.to_string())
}
