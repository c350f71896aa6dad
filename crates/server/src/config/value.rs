//! Kinds of values that settings have beside text and numbers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time in milliseconds. Written as a number of milliseconds, or in Go's way: `5s`, `250ms`, `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// As the standard library has it.
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    fn parse(text: &str) -> Option<u64> {
        if let Ok(number) = text.parse() {
            return Some(number);
        }
        let (mut rest, mut total) = (text, 0.0);
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .filter(|end| *end > 0)?;
            let number: f64 = rest[..digits].parse().ok()?;
            let unit = &rest[digits..];
            let letters = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
            let factor = match &unit[..letters] {
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 60e3,
                "h" => 3600e3,
                _ => return None,
            };
            total += number * factor;
            rest = &unit[letters..];
        }
        // A year is more than any of these settings can mean.
        (!text.is_empty() && total <= 366.0 * 24.0 * 3600e3).then_some(total as u64)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms >= 1000 && ms % 1000 == 0 => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        let wrong = || de::Error::custom("expected milliseconds, or a duration such as `5s` or `250ms`");
        match Form::deserialize(deserializer).map_err(|_| wrong())? {
            Form::Number(number) => Ok(Self(number)),
            Form::Text(text) => Self::parse(&text).map(Self).ok_or_else(wrong),
        }
    }
}

/// Something that is never shown. Written as it is, or as a reference: `env:NAME`, `file:PATH`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text or reference.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether it only says where the secret is.
    pub fn is_reference(&self) -> bool {
        self.0.starts_with("env:") || self.0.starts_with("file:")
    }

    /// The secret itself. The error does not repeat it.
    pub fn reveal(&self) -> Result<String, String> {
        if let Some(name) = self.0.strip_prefix("env:") {
            return std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"));
        }
        if let Some(path) = self.0.strip_prefix("file:") {
            let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
            return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
        }
        Ok(self.0.clone())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "…" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them_and_as_milliseconds() {
        let read = |text: &str| serde_json::from_str::<Millis>(text).ok().map(|span| span.0);
        for (text, ms) in [
            ("5000", 5000),
            ("\"5000\"", 5000),
            ("\"5s\"", 5000),
            ("\"250ms\"", 250),
            ("\"1m30s\"", 90_000),
            ("\"1.5s\"", 1500),
            ("\"1h\"", 3_600_000),
            ("\"0s\"", 0),
        ] {
            assert_eq!(read(text), Some(ms), "{text}");
        }
        for text in [
            "\"\"",
            "\"5\u{b5}s\"",
            "\"s\"",
            "\"5 s\"",
            "-5",
            "\"-5s\"",
            "true",
            "\"99999999h\"",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&secret).expect("json").contains("hunter2"));
        assert_eq!(secret.reveal().as_deref(), Ok("hunter2"));
    }

    #[test]
    fn a_missing_reference_is_an_error_that_names_it() {
        let missing = Secret::new("file:/no/such/secret").reveal();
        assert!(missing.expect_err("missing").contains("/no/such/secret"));
        let unset = Secret::new("env:QUINTET_TEST_UNSET_SECRET").reveal();
        assert!(unset.expect_err("unset").contains("QUINTET_TEST_UNSET_SECRET"));
    }
}
