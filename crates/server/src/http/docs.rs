//! The description of the API, for programs and for people.
//!
//! The page is one answer without anything from elsewhere: its style and script are inside it and named by their hashes
//! in its policy, so that nothing else can run there. It reads `/openapi.json` itself. A browser cannot send a key with
//! a link; therefore the refusal of a page without a key is the page too, which then asks for one.

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

const HTML: &str = include_str!("docs/page.html");
const STYLE: &str = include_str!("docs/page.css");
const SCRIPT: &str = include_str!("docs/page.js");

static DESCRIPTION: LazyLock<Bytes> = LazyLock::new(|| {
    serde_json::to_vec_pretty(&crate::openapi::openapi())
        .unwrap_or_default()
        .into()
});

static PAGE: LazyLock<(Bytes, HeaderValue)> = LazyLock::new(|| {
    let page = HTML.replace("/*style*/", STYLE).replace("/*script*/", SCRIPT);
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    (
        page.into(),
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'")),
    )
});

/// `GET /openapi.json`
pub(super) async fn openapi() -> Response {
    let mut response = Response::new(Body::from(DESCRIPTION.clone()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `GET /docs`
pub(super) async fn page() -> Response {
    with_status(StatusCode::OK)
}

/// The page for somebody without a key.
pub(super) fn with_status(status: StatusCode) -> Response {
    let (page, policy) = &*PAGE;
    let mut response = Response::new(Body::from(page.clone()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_what_its_policy_names_and_loads_nothing_from_elsewhere() {
        let (page, policy) = &*PAGE;
        let page = std::str::from_utf8(page).expect("text");
        let between = |open: &str, close: &str| {
            let rest = page.split_once(open).expect(open).1;
            rest.split_once(close).expect(close).0
        };
        let policy = policy.to_str().expect("text");
        for part in [between("<style>", "</style>"), between("<script>", "</script>")] {
            let hash = STANDARD.encode(Sha256::digest(part.as_bytes()));
            assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
        }
        for foreign in [
            "http://",
            "https://",
            "src=",
            "@import",
            "url(",
            "innerHTML",
            " style=\"",
            "onclick=",
        ] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
