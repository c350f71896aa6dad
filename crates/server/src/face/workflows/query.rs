//! Parameters of a request's query, each read by its type; a bad one is refused by its name.

use axum::extract::Query;
use http::Uri;
use quintet_core::id::RunId;
use quintet_core::time::Time;

use super::problem::Problem;
use crate::error_code::ErrorCode;

/// Most entries of one page.
pub(crate) const MAX_LIMIT: usize = 1000;
/// Entries of a page where nothing is said.
pub(crate) const DEFAULT_LIMIT: usize = 100;
/// Longest `wait`, in milliseconds.
pub(crate) const MAX_WAIT_MS: u64 = 60_000;

/// The query of a request.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub fn of(uri: &Uri) -> Result<Self, Problem> {
        if uri.query().is_none() {
            return Ok(Self(Vec::new()));
        }
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let pairs = pairs.map_err(|error| Problem::new(ErrorCode::InvalidParameter, error.body_text()))?;
        Ok(Self(pairs.0))
    }

    /// The value, which must be there at most once.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self
            .0
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str());
        let value = values.next();
        if values.next().is_some() {
            Err(bad(name, "is given twice"))
        } else {
            Ok(value)
        }
    }

    pub fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.text("limit")? else {
            return Ok(DEFAULT_LIMIT);
        };
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.ok_or_else(|| bad("limit", &format!("must be a whole number from 1 to {MAX_LIMIT}")))
    }

    pub fn whole(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = text.parse().ok().filter(|number| *number <= i64::MAX as u64);
        number.map(Some).ok_or_else(|| bad(name, "must be a whole number >= 0"))
    }

    pub fn time(&self, name: &str) -> Result<Option<Time>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let time = Time::parse_rfc3339(text);
        time.map(Some)
            .ok_or_else(|| bad(name, "must be an RFC 3339 time, for instance 2026-01-31T12:00:00Z"))
    }

    /// A cursor that a page of runs ended with.
    pub fn run_cursor(&self) -> Result<Option<RunId>, Problem> {
        let Some(text) = self.text("cursor")? else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| bad("cursor", "must be the next_cursor of a page"))
    }

    /// How long to wait for a result, in milliseconds.
    pub fn wait_ms(&self) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text("wait")? else {
            return Ok(None);
        };
        let ms = duration_ms(text).filter(|ms| *ms <= MAX_WAIT_MS);
        ms.map(Some)
            .ok_or_else(|| bad("wait", "must be a time such as 30, 30s or 500ms, at most 60s"))
    }
}

/// A refused parameter.
pub(crate) fn bad(name: &str, message: &str) -> Problem {
    Problem::field(ErrorCode::InvalidParameter, name, message)
}

/// Reads `30` (seconds), `1.5s`, `500ms`, `2m`, `1h`.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    let digits = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let scale = match &text[digits..] {
        "ms" => 1.0,
        "" | "s" => 1e3,
        "m" => 60e3,
        "h" => 3600e3,
        _ => return None,
    };
    let ms = number * scale;
    (ms < 1e15).then_some(ms as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::of(&format!("/v1/runs?{query}").parse().unwrap()).ok().unwrap()
    }

    #[test]
    fn durations_have_units_and_plain_numbers_are_seconds() {
        let read: Vec<Option<u64>> = ["30", "1.5s", "500ms", "2m", "1h", "0"].map(duration_ms).to_vec();
        assert_eq!(
            read,
            [
                Some(30_000),
                Some(1_500),
                Some(500),
                Some(120_000),
                Some(3_600_000),
                Some(0)
            ]
        );
        for text in ["", "s", "-1", "5 s", "1e3", "5d", "."] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }

    #[test]
    fn bad_values_are_refused_by_the_name_of_the_parameter() {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=x", "limit"),
            ("limit=1&limit=2", "limit"),
        ] {
            assert_eq!(
                params(query).limit().unwrap_err().field.as_deref(),
                Some(name),
                "{query}"
            );
        }
        assert!(params("wait=61").wait_ms().is_err());
        assert_eq!(params("wait=60").wait_ms().ok(), Some(Some(60_000)));
        assert!(params("created_from=yesterday").time("created_from").is_err());
        assert!(params("cursor=5").run_cursor().is_err());
        assert_eq!(params("limit=7").limit().ok(), Some(7));
        assert_eq!(params("a=1").limit().ok(), Some(DEFAULT_LIMIT));
    }
}
