//! Parameters of a request's query. An empty one counts as absent, because forms send all of their fields.

use axum::extract::Query;
use http::Uri;

use super::reply::Refusal;

/// The query of a request.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub fn of(uri: &Uri) -> Result<Self, Refusal> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
        pairs
            .map(|pairs| Self(pairs.0))
            .map_err(|error| Refusal::bad(error.body_text()))
    }

    /// The last value of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().rev().filter(|(known, _)| known == name);
        values
            .next()
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A number within bounds.
    pub fn number(&self, name: &str, most: usize) -> Result<Option<usize>, Refusal> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse::<usize>() {
            Ok(number) if number <= most => Ok(Some(number)),
            _ => Err(Refusal::bad(format!("{name} must be a whole number from 0 to {most}"))),
        }
    }
}
