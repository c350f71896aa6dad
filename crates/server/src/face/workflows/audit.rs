//! The audit trail: pages of it, all of it in order, and where it ends.
//!
//! Whoever reaches all namespaces sees the whole chain; whoever belongs to one sees the entries about it, which are not a
//! chain by themselves. Nothing here can be changed.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Uri, header};
use serde_json::json;

use super::cx::Cx;
use super::problem::{Answer, Problem};
use super::query::{Params, bad};
use super::reply::{self, Page};
use crate::audit::{Audit, Filter, Outcome};
use crate::error_code::ErrorCode;
use crate::http::Caller;

/// The namespace whose entries a caller sees; `None` is all.
fn own_namespace(caller: &Caller) -> Option<String> {
    (!caller.is_global()).then(|| caller.namespace.to_string())
}

/// `GET /v1/audit`: newest first.
pub(super) async fn list(cx: Cx, caller: Caller, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let text = |name: &str| params.text(name).map(|value| value.map(str::to_owned));
    let wanted = text("namespace")?;
    let own = own_namespace(&caller);
    if let (Some(own), Some(wanted)) = (&own, &wanted)
        && own != wanted
    {
        // Of another namespace there is nothing to see, and that looks like a namespace without entries.
        let (items, next_cursor) = (Vec::<()>::new(), None);
        return Ok(reply::json(&Page { items, next_cursor }));
    }
    let outcome = params.text("outcome")?.map(|text| {
        let wrong = || bad("outcome", "must be done, refused, failed or abandoned");
        Outcome::parse(text).ok_or_else(wrong)
    });
    let filter = Filter {
        namespace: own.or(wanted),
        actor: text("actor")?,
        action: text("action")?,
        object: text("object")?,
        outcome: outcome.transpose()?,
        from: params.time("from")?,
        to: params.time("to")?,
    };
    let before = params.whole("cursor")?;
    let page = cx.app.audit.page(&filter, before, params.limit()?).await?;
    Ok(reply::json(&Page {
        items: page.items,
        next_cursor: page.next_before.map(|before| before.to_string()),
    }))
}

/// `GET /v1/audit/head`: the last entry's number and hash, to be noted elsewhere.
pub(super) async fn head(cx: Cx, caller: Caller) -> Answer {
    if own_namespace(&caller).is_some() {
        let message = "only a key of all namespaces may see the whole chain";
        return Err(Problem::new(ErrorCode::Forbidden, message));
    }
    let head = cx.app.audit.head().await?;
    Ok(reply::json(&json!({ "seq": head.seq, "hash": head.hash })))
}

/// What an export is in the middle of.
struct Export {
    audit: Arc<Audit>,
    namespace: Option<String>,
    after: u64,
    /// Entries that may still be looked at.
    left: u64,
}

/// `GET /v1/audit/export`: one entry a line, oldest first. The reader sets the pace.
pub(super) async fn export(cx: Cx, caller: Caller, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let mut export = Export {
        audit: Arc::clone(&cx.app.audit),
        namespace: own_namespace(&caller),
        after: params.whole("after")?.unwrap_or_default(),
        left: params.whole("limit")?.unwrap_or(u64::MAX),
    };
    // A store that is away is told by the status.
    let first = export.next().await?;
    let parts = stream::unfold((first, export), |(ready, mut export)| async move {
        let part = ready?;
        match export.next().await {
            Ok(next) => Some((Ok(part), (next, export))),
            Err(error) => {
                tracing::warn!(error = %error, "an export of the audit trail ends: the store cannot be read");
                Some((Err(error), (None, export)))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(parts));
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

impl Export {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, quintet_store::StoreError> {
        while self.left > 0 {
            let texts = self
                .audit
                .texts(self.namespace.as_deref(), self.after, self.left)
                .await?;
            let Some((last, texts)) = texts else { break };
            self.left = self.left.saturating_sub(last.saturating_sub(self.after));
            self.after = last;
            if !texts.is_empty() {
                return Ok(Some((texts.join("\n") + "\n").into()));
            }
        }
        Ok(None)
    }
}
