//! Where a redirect leads: a pure function from an answered call to the next one.
//!
//! The rules are those of Go's client, which the original product followed: 301, 302 and 303 turn everything but
//! GET and HEAD into a GET without body, 307 and 308 repeat the call, an answer without `Location` is an answer.
//! One rule is stricter: credentials stay behind as soon as host or port change, not only at another domain. So do
//! headers that are marked as sensitive, and a body that holds secrets is not taken along at all.

use http::header::{self, HeaderMap};
use http::{Method, StatusCode};
use url::Url;

use super::client::{Call, CallError, Redirects};

/// Headers that are meant for the first receiver only.
const CREDENTIALS: &[&str] = &[
    "authorization",
    "cookie",
    "cookie2",
    "proxy-authorization",
    "www-authenticate",
    "x-api-key",
];

/// Headers that describe a body.
const BODY_HEADERS: &[&str] = &[
    "content-type",
    "content-encoding",
    "content-language",
    "content-location",
];

/// The call that the answer redirects to, if it does; its URL is not judged yet.
pub(super) fn next(call: &Call, status: StatusCode, answer: &HeaderMap) -> Result<Option<Call>, CallError> {
    let repeats = match status.as_u16() {
        301..=303 => false,
        307 | 308 => true,
        _ => return Ok(None),
    };
    let Some(location) = answer.get(header::LOCATION) else {
        return Ok(None);
    };
    let location = String::from_utf8_lossy(location.as_bytes());
    let url = call
        .url
        .join(&location)
        .map_err(|error| CallError::BadRedirect(error.to_string()))?;
    let mut next = Call { url, ..call.clone() };
    if !repeats {
        if next.method != Method::GET && next.method != Method::HEAD {
            next.method = Method::GET;
        }
        next.body = None;
        remove(&mut next.headers, BODY_HEADERS);
    }
    if !is_same_place(&call.url, &next.url) {
        if next.redirects == Redirects::FollowNearby && next.body.is_some() {
            return Err(CallError::SecretBody);
        }
        remove(&mut next.headers, CREDENTIALS);
        let sensitive = next.headers.iter().filter(|(_, value)| value.is_sensitive());
        let sensitive: Vec<_> = sensitive.map(|(name, _)| name.clone()).collect();
        for name in sensitive {
            next.headers.remove(name);
        }
    }
    Ok(Some(next))
}

fn remove(headers: &mut HeaderMap, names: &[&str]) {
    for name in names {
        headers.remove(*name);
    }
}

/// Same host and port, or the same host moved from plain HTTP to TLS on their own ports.
fn is_same_place(from: &Url, to: &Url) -> bool {
    let ports = (from.port_or_known_default(), to.port_or_known_default());
    let is_upgrade = ports == (Some(80), Some(443)) && to.scheme() == "https";
    let is_downgrade = from.scheme() == "https" && to.scheme() == "http";
    from.host() == to.host() && !is_downgrade && (ports.0 == ports.1 || is_upgrade)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::Redirects;
    use bytes::Bytes;
    use std::time::Duration;

    fn posted(url: &str) -> Call {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "s"),
            ("cookie", "s"),
            ("content-type", "a/b"),
            ("x-own", "1"),
        ] {
            headers.insert(name, value.parse().expect("value"));
        }
        Call {
            method: Method::POST,
            url: url.parse().expect("url"),
            headers,
            body: Some(Bytes::from_static(b"{}")),
            timeout: Duration::from_secs(1),
            redirects: Redirects::Follow,
        }
    }

    fn hop(status: u16, from: &str, to: &str) -> Call {
        let mut answer = HeaderMap::new();
        answer.insert(header::LOCATION, to.parse().expect("location"));
        let status = StatusCode::from_u16(status).expect("status");
        next(&posted(from), status, &answer)
            .expect("readable")
            .expect("redirected")
    }

    #[test]
    fn see_other_and_its_kind_become_get_without_body() {
        for status in [301, 302, 303] {
            let call = hop(status, "http://a.test/x", "/y");
            assert_eq!((call.method, call.body, call.url.path()), (Method::GET, None, "/y"));
            assert!(!call.headers.contains_key("content-type"));
            assert!(call.headers.contains_key("authorization"));
        }
    }

    #[test]
    fn temporary_and_permanent_redirects_repeat_the_call() {
        for status in [307, 308] {
            let call = hop(status, "http://a.test/x", "https://a.test/y");
            assert_eq!((call.method, call.body.as_deref()), (Method::POST, Some(&b"{}"[..])));
            assert!(call.headers.contains_key("content-type") && call.headers.contains_key("authorization"));
        }
    }

    #[test]
    fn credentials_stay_behind_when_the_place_changes() {
        for to in [
            "http://b.test/",
            "http://a.test:81/",
            "http://sub.a.test/",
            "https://a.test:8443/",
        ] {
            let call = hop(307, "http://a.test/x", to);
            assert!(
                !call.headers.contains_key("authorization") && !call.headers.contains_key("cookie"),
                "{to}"
            );
            assert!(call.headers.contains_key("x-own"), "{to}");
        }
        let downgraded = hop(307, "https://a.test:8080/x", "http://a.test:8080/");
        assert!(!downgraded.headers.contains_key("authorization"));
    }

    #[test]
    fn what_holds_secrets_stays_behind_when_the_place_changes() {
        let mut call = posted("http://a.test/x");
        let mut token = http::HeaderValue::from_static("s");
        token.set_sensitive(true);
        call.headers.insert("x-token", token);
        call.redirects = Redirects::FollowNearby;
        let hop = |status: u16, to: &str| {
            let mut answer = HeaderMap::new();
            answer.insert(header::LOCATION, to.parse().expect("location"));
            next(&call, StatusCode::from_u16(status).expect("status"), &answer)
        };
        let near = hop(307, "/y").expect("followed").expect("redirected");
        assert!(near.headers.contains_key("x-token") && near.body.is_some());
        assert!(matches!(hop(307, "http://b.test/"), Err(CallError::SecretBody)));
        let without_body = hop(303, "http://b.test/").expect("followed").expect("redirected");
        assert!(!without_body.headers.contains_key("x-token") && without_body.body.is_none());
        assert!(without_body.headers.contains_key("x-own"));
    }

    #[test]
    fn other_answers_and_answers_without_location_are_final() {
        let call = posted("http://a.test/");
        let mut answer = HeaderMap::new();
        assert!(matches!(next(&call, StatusCode::FOUND, &answer), Ok(None)));
        answer.insert(header::LOCATION, "/y".parse().expect("location"));
        assert!(matches!(next(&call, StatusCode::OK, &answer), Ok(None)));
        assert!(matches!(next(&call, StatusCode::NOT_MODIFIED, &answer), Ok(None)));
        answer.insert(header::LOCATION, "http://[".parse().expect("location"));
        assert!(matches!(
            next(&call, StatusCode::FOUND, &answer),
            Err(CallError::BadRedirect(_))
        ));
    }
}
