//! What a request shows of its sender.

use http::{HeaderMap, HeaderName, header};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented<'a> {
    /// Nothing.
    Nothing,
    /// Something that cannot be read, or that says two things.
    Malformed,
    /// A key or token.
    Text(&'a str),
}

/// The key or token in `Authorization: Bearer`, or else the key in `X-Api-Key`.
pub fn presented(headers: &HeaderMap) -> Presented<'_> {
    let (name, has_scheme) = match headers.contains_key(header::AUTHORIZATION) {
        true => (header::AUTHORIZATION, true),
        false => (X_API_KEY, false),
    };
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Presented::Nothing;
    };
    // A proxy and this server might each believe another one.
    let Some(text) = value.to_str().ok().filter(|_| values.next().is_none()) else {
        return Presented::Malformed;
    };
    let text = match has_scheme {
        true => text
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")),
        false => Some(("", text)),
    };
    match text.map(|(_, text)| text.trim()).filter(|text| !text.is_empty()) {
        Some(text) => Presented::Text(text),
        None => Presented::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(headers: &'a mut HeaderMap, all: &[(&'static str, &str)]) -> Presented<'a> {
        for (name, value) in all {
            headers.append(*name, value.parse().expect("header"));
        }
        presented(headers)
    }

    #[test]
    fn the_key_is_found_in_either_header_and_the_usual_one_comes_first() {
        for (all, expected) in [
            (&[("authorization", "Bearer a")][..], Presented::Text("a")),
            (&[("authorization", "bearer  a ")], Presented::Text("a")),
            (&[("x-api-key", "a")], Presented::Text("a")),
            (
                &[("x-api-key", "b"), ("authorization", "Bearer a")],
                Presented::Text("a"),
            ),
            (&[], Presented::Nothing),
            (&[("authorization", "a")], Presented::Malformed),
            (&[("authorization", "Basic a")], Presented::Malformed),
            (&[("authorization", "Bearer ")], Presented::Malformed),
            (
                &[("authorization", "Bearer a"), ("authorization", "Bearer b")],
                Presented::Malformed,
            ),
            (&[("x-api-key", "a"), ("x-api-key", "b")], Presented::Malformed),
        ] {
            assert_eq!(of(&mut HeaderMap::new(), all), expected, "{all:?}");
        }
    }
}
