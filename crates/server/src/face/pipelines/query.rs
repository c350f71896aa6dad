//! Parameters of a request's query. A bad one is refused by its name, in the shape of a bad body; an empty one counts
//! as absent, because forms send all of their fields.

use axum::extract::Query;
use http::Uri;
use quintet_core::time::Time;

use super::reply::Refusal;
use super::zod_error::{Findings, Path, shortened};

/// Most entries of one page.
const MAX_LIMIT: u64 = 1_000;
/// Entries of a page where nothing is said.
const DEFAULT_LIMIT: usize = 100;
/// What a list may be skipped to.
pub(super) const MAX_OFFSET: u64 = 100_000;
const DAY_MS: u64 = 86_400_000;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    pub limit: usize,
    pub offset: usize,
}

/// The query of a request, and what was found wrong with it so far.
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    found: Findings,
}

impl Params {
    pub fn of(uri: &Uri) -> Self {
        let mut found = Findings::default();
        let pairs = match Query::<Vec<(String, String)>>::try_from_uri(uri) {
            Ok(pairs) => pairs.0,
            Err(error) => {
                found.add(&Path::root(), error.body_text());
                Vec::new()
            }
        };
        Self { pairs, found }
    }

    fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.found.add(&Path::root().at(name), message);
    }

    /// The value, which must be there at most once.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let mut values = self
            .pairs
            .iter()
            .filter(|(known, value)| known == name && !value.is_empty());
        let value = values.next().map(|(_, value)| value.clone());
        if values.next().is_some() {
            self.wrong(name, "is given twice");
        }
        value
    }

    /// `limit` and `offset`.
    pub fn slice(&mut self) -> Slice {
        let limit = self.whole("limit", 1, MAX_LIMIT);
        let offset = self.whole("offset", 0, MAX_OFFSET);
        Slice {
            limit: limit.map_or(DEFAULT_LIMIT, |limit| limit as usize),
            offset: offset.unwrap_or(0) as usize,
        }
    }

    fn whole(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let text = self.text(name)?;
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(name, format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    /// A time, or a day, which stands for its first moment.
    pub fn from(&mut self, name: &str) -> Option<Time> {
        let text = self.text(name)?;
        Time::parse_rfc3339(&text)
            .or_else(|| day(&text))
            .or_else(|| self.no_time(name))
    }

    /// The first moment after a time as it is shown, in milliseconds, or after a day.
    pub fn after(&mut self, name: &str) -> Option<Time> {
        let text = self.text(name)?;
        let time = Time::parse_rfc3339(&text).map(|time| time.plus_ms(1));
        time.or_else(|| day(&text).map(|day| day.plus_ms(DAY_MS)))
            .or_else(|| self.no_time(name))
    }

    fn no_time(&mut self, name: &str) -> Option<Time> {
        self.wrong(
            name,
            "must be an RFC 3339 time or a date, for instance 2026-01-31T12:00:00Z or 2026-01-31",
        );
        None
    }

    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let chosen = choices.iter().find(|(word, _)| *word == text);
        if chosen.is_none() {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("'{word}'")).collect();
            let (words, text) = (words.join(" | "), shortened(&text).to_owned());
            self.wrong(name, format!("Invalid enum value. Expected {words}, received '{text}'"));
        }
        chosen.map(|(_, choice)| *choice)
    }

    pub fn flag(&mut self, name: &str) -> bool {
        let words = [("true", true), ("1", true), ("false", false), ("0", false)];
        self.choice(name, &words).unwrap_or(false)
    }

    /// To be called when everything is read.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.found.is_any() {
            Err(self.found.into())
        } else {
            Ok(())
        }
    }
}

fn day(text: &str) -> Option<Time> {
    Time::parse_rfc3339(&format!("{text}T00:00:00Z"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn params(query: &str) -> Params {
        Params::of(&format!("/api/runs?{query}").parse().unwrap())
    }

    fn details(params: Params) -> Value {
        params.found.details()
    }

    #[test]
    fn bad_values_are_refused_by_the_name_of_the_parameter() {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=x", "limit"),
            ("limit=1&limit=2", "limit"),
            ("offset=-1", "offset"),
            ("offset=100001", "offset"),
            ("from=yesterday", "from"),
            ("to=2026-13-01", "to"),
            ("status=done", "status"),
            ("all=maybe", "all"),
        ] {
            let mut params = params(query);
            params.slice();
            params.from("from");
            params.after("to");
            params.choice("status", &[("running", ())]);
            params.flag("all");
            let details = details(params);
            let errors = details[name]["_errors"].as_array();
            assert_eq!(errors.map(Vec::len), Some(1), "{query}: {details}");
            assert_eq!(details.as_object().unwrap().len(), 2, "{query}: {details}");
        }
    }

    #[test]
    fn what_is_absent_or_empty_has_its_default() {
        let mut params = params("limit=&status=&all=");
        assert_eq!(params.slice(), Slice { limit: 100, offset: 0 });
        assert_eq!(params.choice("status", &[("running", ())]), None);
        assert!(!params.flag("all"));
        assert!(params.finish().is_ok());
    }

    #[test]
    fn the_end_of_a_span_belongs_to_it_as_far_as_it_is_written() {
        let at = |text: &str| Time::parse_rfc3339(text).unwrap();
        let mut params = params("from=2026-01-31&to=2026-01-31&a=2026-01-31T10:00:00.123Z");
        assert_eq!(params.from("from"), Some(at("2026-01-31T00:00:00Z")));
        assert_eq!(params.after("to"), Some(at("2026-02-01T00:00:00Z")));
        assert_eq!(params.after("a"), Some(at("2026-01-31T10:00:00.124Z")));
    }
}
