//! The id of a request: taken over from whoever stands in front, or made here.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use quintet_engine::clock::random_u64;

/// Where it is read and written.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 128;

/// The id of a request; in its extensions, in its answer, and in what is logged about it.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// Makes ids that no other process makes: they begin at a random place.
pub(super) struct RequestIds(AtomicU64);

impl RequestIds {
    pub fn new() -> Self {
        Self(AtomicU64::new(random_u64()))
    }

    /// The client's id if it is harmless, or a new one.
    pub fn of(&self, headers: &HeaderMap) -> RequestId {
        match headers.get(&HEADER) {
            Some(given) if is_sane(given.as_bytes()) => RequestId(given.clone()),
            _ => self.next(),
        }
    }

    fn next(&self) -> RequestId {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut number = self.0.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 16];
        for place in text.iter_mut().rev() {
            *place = DIGITS[(number & 15) as usize];
            number >>= 4;
        }
        RequestId(HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("-")))
    }
}

fn is_sane(id: &[u8]) -> bool {
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.iter().all(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(given: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(given).expect("header"));
        RequestIds::new().of(&headers).as_str().to_owned()
    }

    #[test]
    fn a_harmless_id_is_kept_and_another_is_replaced() {
        assert_eq!(id_for("4bf92f3577b34da6:a3_1.2"), "4bf92f3577b34da6:a3_1.2");
        let long = "x".repeat(LONGEST + 1);
        for given in ["", "a b", "<script>", "a\tb", &long] {
            let made = id_for(given);
            assert!(
                made.len() == 16 && made.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{given}: {made}"
            );
        }
    }

    #[test]
    fn made_ids_differ() {
        let ids = RequestIds::new();
        let none = HeaderMap::new();
        assert_ne!(ids.of(&none).as_str(), ids.of(&none).as_str());
    }
}
