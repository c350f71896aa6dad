//! Keeps web pages from driving a server that has no credentials.
//!
//! A page that somebody looks at can send requests to `127.0.0.1`, and with a name of its own that it points there
//! (DNS rebinding) it can read the answers too. Without credentials the address is the only protection, so the `Host`
//! must be a name of this server, and a request that changes something must not come from another site. With
//! credentials in a header, which pages do not have, neither matters.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Method, Uri, header};

/// Names under which this server may be called.
#[derive(Debug, Clone)]
pub(super) struct Names {
    allowed: Vec<String>,
    /// The server listens on loopback only: other names than those allowed are refused.
    pub strict: bool,
}

impl Names {
    /// Of a server that is asked to listen on `listen`.
    pub fn new(listen: Option<SocketAddr>, allowed: &[String]) -> Self {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
        names.extend(allowed.iter().map(|name| name.to_ascii_lowercase()));
        let strict = listen.is_none_or(|address| address.ip().is_loopback());
        names.extend(listen.map(|address| match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        }));
        Self { allowed: names, strict }
    }

    /// Why the request is not served, if it is not. Pages of the origin `known` may do what programs may.
    pub fn refusal(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        known: Option<&HeaderValue>,
    ) -> Option<&'static str> {
        let host = host(uri, headers);
        if self.strict && host.is_some_and(|host| !self.knows(host)) {
            return Some(
                "this server does not serve that host name: use localhost, or list the name in `server.allowed_hosts`",
            );
        }
        // Only a browser writes this header, and a page cannot choose what it says.
        let is_known = known.is_some() && headers.get(header::ORIGIN) == known;
        if method.is_safe() || is_known {
            return None;
        }
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let site = text(header::HeaderName::from_static("sec-fetch-site"));
        if site.is_some_and(|site| matches!(site, "cross-site" | "same-site")) {
            return Some("requests from other sites are refused");
        }
        match text(header::ORIGIN) {
            Some(origin) if !is_same(origin, host) => Some("requests from other origins are refused"),
            _ => None,
        }
    }

    fn knows(&self, host: &str) -> bool {
        let name = name_of(host);
        self.allowed.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        // A host that is not even text is nobody's name.
        None => headers.get(header::HOST).map(|host| host.to_str().unwrap_or("?")),
    }
}

/// `host:port` without the port.
fn name_of(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

fn is_same(origin: &str, host: Option<&str>) -> bool {
    let place = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    matches!((place, host), (Some(place), Some(host)) if place.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(names: &Names, method: &Method, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("header"));
        }
        let known = HeaderValue::from_static("https://dash.example");
        let uri = Uri::from_static("/v1/runs");
        let refused = names.refusal(method, &uri, &map, None).is_some();
        let named = map.get("origin") == Some(&known);
        let refused_beside_known = names.refusal(method, &uri, &map, Some(&known)).is_some();
        assert_eq!(refused_beside_known, refused && !named, "{headers:?}");
        refused
    }

    fn loopback() -> Names {
        Names::new("127.0.0.1:8080".parse().ok(), &["quintet.test".to_owned()])
    }

    #[test]
    fn on_loopback_only_own_names_are_served() {
        let names = loopback();
        for host in [
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1:1",
            "[::1]:8080",
            "quintet.test",
        ] {
            assert!(!refused(&names, &Method::GET, &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:8080",
            "127.0.0.1.evil.example",
            "[::2]:1",
            "",
            "169.254.1.1",
        ] {
            assert!(refused(&names, &Method::GET, &[("host", host)]), "{host}");
        }
        assert!(!refused(&names, &Method::GET, &[]), "HTTP/1.0 has no host");
    }

    #[test]
    fn elsewhere_any_name_is_served() {
        let names = Names::new("0.0.0.0:8080".parse().ok(), &[]);
        assert!(!refused(&names, &Method::GET, &[("host", "quintet.example")]));
    }

    #[test]
    fn a_page_of_another_site_cannot_change_anything() {
        for names in [loopback(), Names::new("0.0.0.0:8080".parse().ok(), &[])] {
            let host = ("host", "localhost:8080");
            for foreign in [
                ("origin", "http://evil.example"),
                ("origin", "null"),
                ("origin", "https://dash.example"),
                ("origin", "http://localhost:3000"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
            ] {
                assert!(refused(&names, &Method::POST, &[host, foreign]), "{foreign:?}");
                assert!(!refused(&names, &Method::GET, &[host, foreign]), "{foreign:?}");
            }
            for own in [("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")] {
                assert!(!refused(&names, &Method::POST, &[host, own]), "{own:?}");
            }
            assert!(!refused(&names, &Method::POST, &[host]), "programs send no origin");
        }
    }
}
