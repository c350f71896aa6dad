//! Reading a request's body as the original's framework did: by its content type, with its errors.

use axum::body::{Body, Bytes};
use axum::extract::FromRequest;
use http::{HeaderMap, Request, StatusCode, header};
use serde_json::Value;

use super::reply::Refusal;

/// A body as JSON; null when there is none.
pub(crate) struct Json(pub Value);

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Refusal> {
        let kind = kind(request.headers());
        let bytes = Bytes::from_request(request, state).await.map_err(|rejected| {
            let status = rejected.status();
            let code = (status == StatusCode::PAYLOAD_TOO_LARGE).then_some("FST_ERR_CTP_BODY_TOO_LARGE");
            Refusal::framework(status, rejected.body_text(), code)
        })?;
        read(kind, &bytes)
    }
}

/// What a body says to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unsaid,
    Json,
    Text,
    Other,
}

fn kind(headers: &HeaderMap) -> Kind {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Kind::Unsaid;
    };
    let essence = value.to_str().unwrap_or("?").split(';').next().unwrap_or_default();
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/json" => Kind::Json,
        "text/plain" => Kind::Text,
        _ => Kind::Other,
    }
}

fn read(kind: Kind, bytes: &[u8]) -> Result<Json, Refusal> {
    match kind {
        Kind::Other if !bytes.is_empty() => Err(Refusal::framework(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Unsupported Media Type: send application/json",
            Some("FST_ERR_CTP_INVALID_MEDIA_TYPE"),
        )),
        Kind::Text => Ok(Json(String::from_utf8_lossy(bytes).into_owned().into())),
        Kind::Json if bytes.is_empty() => Err(Refusal::framework(
            StatusCode::BAD_REQUEST,
            "Body cannot be empty when content-type is set to 'application/json'",
            Some("FST_ERR_CTP_EMPTY_JSON_BODY"),
        )),
        _ if bytes.iter().all(u8::is_ascii_whitespace) => Ok(Json(Value::Null)),
        _ => match serde_json::from_slice(bytes) {
            Ok(value) => Ok(Json(value)),
            Err(error) => Err(Refusal::framework(StatusCode::BAD_REQUEST, error.to_string(), None)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content_type: Option<&str>) -> Kind {
        let mut headers = HeaderMap::new();
        if let Some(text) = content_type {
            headers.insert(header::CONTENT_TYPE, text.parse().expect("a header"));
        }
        kind(&headers)
    }

    #[test]
    fn a_body_is_read_by_its_content_type() {
        let json = of(Some("application/json; charset=utf-8"));
        assert_eq!(
            read(json, b"{\"a\":1}").map(|body| body.0["a"].clone()).ok(),
            Some(1.into())
        );
        assert_eq!(
            read(of(None), b"[1]").map(|body| body.0[0].clone()).ok(),
            Some(1.into())
        );
        assert_eq!(read(of(None), b" ").map(|body| body.0).ok(), Some(Value::Null));
        assert_eq!(
            read(of(Some("text/plain")), b"{}").map(|body| body.0).ok(),
            Some("{}".into())
        );
        for (kind, body) in [
            (json, &b""[..]),
            (json, b"{bad"),
            (of(Some("application/xml")), b"<a/>"),
            (of(Some("application/x-www-form-urlencoded")), b"a=1"),
        ] {
            assert!(read(kind, body).is_err(), "{kind:?}");
        }
    }
}
