//! Requests that take effect once, however often they are sent.

use http::HeaderMap;
use quintet_core::id::RunId;
use quintet_engine::{EngineError, Idempotency};
use sha2::{Digest as _, Sha256};

use super::super::cx::Cx;
use super::super::problem::Problem;
use crate::error_code::ErrorCode;

/// Longest idempotency key.
const MAX_KEY: usize = 255;

/// The idempotency key of a request, with the digest of what it asks for.
pub(in super::super) fn key_of(
    headers: &HeaderMap,
    scope: &'static str,
    content: impl FnOnce(&mut Sha256),
) -> Result<Option<Idempotency>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= MAX_KEY);
    let wrong = || {
        let message = format!("must have 1 to {MAX_KEY} visible ASCII characters");
        Problem::field(ErrorCode::InvalidParameter, "Idempotency-Key", &message)
    };
    let key = key.ok_or_else(wrong)?.to_owned();
    let mut hash = Sha256::new();
    content(&mut hash);
    Ok(Some(Idempotency::new(scope, key, hash.finalize().into())))
}

/// What an earlier request with this key started. Asked first, so that a repeated request is answered even where it
/// could not be made any more.
pub(super) async fn remembered(cx: &Cx, key: &Idempotency) -> Result<Option<Vec<RunId>>, Problem> {
    let record = cx
        .engine()
        .store()
        .idempotency(&cx.namespace, &key.scope, &key.key, cx.now())
        .await?;
    let Some(record) = record else { return Ok(None) };
    if record.request != key.request {
        return Err(EngineError::IdempotencyMismatch.into());
    }
    let runs: Result<Vec<RunId>, _> = record.answer.split(' ').map(str::parse).collect();
    runs.map(Some)
        .map_err(|_| Problem::new(ErrorCode::Internal, "internal error"))
}
