//! `GET /api/storage`: which backends there are, and what lies in them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, Uri, header};
use quintet_executors::storage::{Bucket, Key, StorageError};
use serde_json::{Value, json};

use super::reply::{self, Answer, Refusal};
use crate::app::App;

/// Objects up to this size are looked at to see whether they are JSON; larger ones are passed on as they are.
const LOOKED_AT_BYTES: u64 = 4 << 20;

pub(super) async fn backends(State(app): State<Arc<App>>) -> Answer {
    let storage = &app.pipelines.assets.ready()?.storage;
    Ok(reply::json(&json!({
        "backends": storage.views(),
        "default": storage.default_bucket().backend().id,
    })))
}

pub(super) async fn no_path() -> Answer {
    Err(Refusal::bad("Missing storage path"))
}

/// An object: its content as JSON where it is that, the text itself where it is text, and its bytes otherwise.
pub(super) async fn object(State(app): State<Arc<App>>, Path(path): Path<String>, request: Request) -> Answer {
    let options = Options::read(request.uri())?;
    let storage = &app.pipelines.assets.ready()?.storage;
    let bucket = match &options.backend {
        None => storage.default_bucket(),
        Some(id) => storage
            .bucket(id)
            .ok_or_else(|| Refusal::not_found("Storage backend not found", "backend", id))?,
    };
    let key = Key::parse(&path).map_err(|error| Refusal::from(error).with("path", path.clone()))?;
    let missing = |error: StorageError| Refusal::from(error).with("path", path.clone());
    let head = bucket.head(&key).await.map_err(missing)?;
    if options.is_raw || head.size_bytes > LOOKED_AT_BYTES {
        return stream(bucket, &key).await.map_err(missing);
    }
    let object = bucket.get(&key, LOOKED_AT_BYTES).await.map_err(missing)?;
    if let Ok(content) = serde_json::from_slice::<Value>(&object.content) {
        return Ok(reply::json(&json!({ "path": path, "content": content })));
    }
    let media = if std::str::from_utf8(&object.content).is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    };
    Ok(with_type(Body::from(object.content), media))
}

/// The bytes as they are. Never as something that a browser would run.
async fn stream(bucket: &Bucket, key: &Key) -> Result<Response, StorageError> {
    let object = bucket.stream(key).await?;
    let mut response = with_type(Body::from_stream(object.chunks), "application/octet-stream");
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, object.metadata.size_bytes.into());
    Ok(response)
}

fn with_type(body: Body, media: &'static str) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// What the query asks for.
#[derive(Debug, Default)]
struct Options {
    backend: Option<String>,
    is_raw: bool,
}

impl Options {
    fn read(uri: &Uri) -> Result<Self, Refusal> {
        let mut options = Self::default();
        for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match (&*name, &*value) {
                ("backend", id) => options.backend = Some(id.to_owned()),
                ("raw", "1" | "true") => options.is_raw = true,
                ("raw", "0" | "false") => options.is_raw = false,
                ("raw", _) => return Err(Refusal::bad("Invalid request").because("raw: must be 1 or 0")),
                (name, _) => {
                    let message = format!("{name}: unknown parameter; known are backend and raw");
                    return Err(Refusal::bad("Invalid request").because(message));
                }
            }
        }
        Ok(options)
    }
}
