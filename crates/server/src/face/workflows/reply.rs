//! Replies in the original's exact form: two-space indent, a newline at the end, and `<`, `>`, `&` escaped, as its
//! JSON encoder did. Written straight into one buffer.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use quintet_core::time::Time;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

/// A 200 with a JSON body.
pub(crate) fn json(value: &impl Serialize) -> Response {
    with_status(StatusCode::OK, value)
}

/// Any status with a JSON body.
pub(crate) fn with_status(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = Response::new(Body::from(encode(value)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 204.
pub(crate) fn nothing() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The bytes of a JSON body.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(512);
    let mut serializer = serde_json::Serializer::with_formatter(&mut buffer, Escaping(PrettyFormatter::new()));
    value
        .serialize(&mut serializer)
        .expect("values of this face have text keys, and memory does not fail");
    buffer.push(b'\n');
    buffer
}

/// A list under `items`.
#[derive(Debug, Serialize)]
pub(crate) struct Items<T> {
    pub items: Vec<T>,
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    pub items: Vec<T>,
    /// Pass as `cursor` to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// RFC 3339 in UTC with a fraction.
pub(crate) fn rfc3339(time: Time) -> String {
    jiff::Timestamp::from_microsecond(time.0)
        .map(|stamp| stamp.to_string())
        .unwrap_or_default()
}

/// RFC 3339 in UTC without a fraction.
pub(crate) fn rfc3339_seconds(time: Time) -> String {
    jiff::Timestamp::from_second(time.0.div_euclid(1_000_000))
        .map(|stamp| stamp.to_string())
        .unwrap_or_default()
}

/// For `serialize_with`.
pub(crate) fn time<S: serde::Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    match jiff::Timestamp::from_microsecond(time.0) {
        Ok(stamp) => serializer.collect_str(&stamp),
        Err(_) => serializer.serialize_str(""),
    }
}

/// For `serialize_with`, where absence is skipped.
pub(crate) fn time_opt<S: serde::Serializer>(value: &Option<Time>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => time(value, serializer),
        None => serializer.serialize_none(),
    }
}

struct Escaping(PrettyFormatter<'static>);

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut characters = special.chars();
            let escaped = match characters.next() {
                Some('<') => "\\u003c",
                Some('>') => "\\u003e",
                Some('&') => "\\u0026",
                Some('\u{2028}') => "\\u2028",
                _ => "\\u2029",
            };
            writer.write_all(escaped.as_bytes())?;
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_are_indented_escaped_and_end_with_a_newline() {
        let body = encode(&json!({ "a": "<b> & \u{2028}\"", "c": [1, {}], "d": [] }));
        let expected =
            "{\n  \"a\": \"\\u003cb\\u003e \\u0026 \\u2028\\\"\",\n  \"c\": [\n    1,\n    {}\n  ],\n  \"d\": []\n}\n";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(rfc3339(Time(951_827_415_500_000)), "2000-02-29T12:30:15.5Z");
        assert_eq!(rfc3339_seconds(Time(951_827_415_500_000)), "2000-02-29T12:30:15Z");
    }
}
