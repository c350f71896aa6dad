//! Whose web pages may use the paths under `/api`.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

/// Whose pages may read answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CorsOrigin {
    /// Everybody's.
    #[default]
    Any,
    /// Those of one origin, as browsers write it: scheme, host, and a port that is not the usual one.
    One(HeaderValue),
}

impl FromStr for CorsOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let wrong = |why: &str| {
            format!("`{text}` is not an origin: {why}; write `*`, or one such as https://dashboard.example.com")
        };
        if text.contains([',', ' ']) {
            return Err(wrong("there can be only one"));
        }
        let url = Url::parse(text).map_err(|_| wrong("it has no scheme and host"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://"));
        }
        // Compared byte for byte with what browsers send, so anything more would never match and seem to work.
        let origin = url.origin().ascii_serialization();
        if !text.eq_ignore_ascii_case(&origin) {
            return Err(wrong(&format!("browsers would call it {origin}")));
        }
        HeaderValue::from_str(&origin)
            .map(Self::One)
            .map_err(|_| wrong("it cannot be sent in a header"))
    }
}

impl fmt::Display for CorsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::One(origin) => f.write_str(origin.to_str().unwrap_or_default()),
        }
    }
}

impl Serialize for CorsOrigin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CorsOrigin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_as_browsers_write_it_and_anything_else_is_refused() {
        let read = |text: &str| text.parse::<CorsOrigin>().map(|origin| origin.to_string());
        for (text, kept) in [
            ("*", "*"),
            ("http://localhost:3001", "http://localhost:3001"),
            ("https://Dash.Example", "https://dash.example"),
            ("http://[::1]:80", ""),
        ] {
            match kept {
                "" => assert!(read(text).is_err(), "{text}: the port is the usual one"),
                kept => assert_eq!(read(text).as_deref(), Ok(kept)),
            }
        }
        for (text, why) in [
            ("https://a.example/", "browsers would call it https://a.example;"),
            ("https://a.example/app", "browsers would call it"),
            ("https://a.example, https://b.example", "only one"),
            ("a.example", "no scheme and host"),
            ("ftp://a.example", "must begin with http"),
            ("null", "no scheme and host"),
            ("", "no scheme and host"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(
                refused.contains(why) && refused.contains("write `*`"),
                "{text}: {refused}"
            );
        }
    }
}
