//! What of a request is noted in the audit trail, and when it is answered.
//!
//! What only reads leaves no entry, except where it was not permitted. What changes something is noted when it was carried
//! out, before the answer goes out; when the server failed, because then it may have been carried out; and when the client
//! went away before there was an answer, because nobody shall change things unseen by hanging up. What was refused for what
//! it said (404, 409, 422) has changed nothing and is left out. Starting runs and what workers say (the data plane) is what a
//! server does all day: it is noted only where the settings say so.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use http::{Method, StatusCode, header};
use serde_json::{Map, Value};

use super::Caller;
use super::rate;
use super::refusal::refuse_for;
use super::request_id::RequestId;
use crate::audit::{Audit, Draft, Outcome};
use crate::error_code::ErrorCode;

/// Longest id that is noted, in bytes.
const LONGEST: usize = 255;
/// Longest answer that is looked into for the id of what was made, in bytes.
const LONGEST_ANSWER: u64 = 64 << 10;
const NOT_STORED: &str =
    "it was carried out, but the audit trail cannot be written at the moment; look before you ask again";

/// What kind of request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Changes nothing.
    Reads,
    /// Starts work, or tells how it went.
    Works,
    /// Changes anything else.
    Changes,
}

/// What ends with these only checks or draws what it is given.
const CHECKS: [&str; 6] = [
    "/validate",
    "/validate-input",
    "/dry-run",
    "/api/visualize",
    "/evaluate",
    "/preview",
];

/// What work is made of: the routes of starts, of workers, and of what goes with them.
const WORK: [&str; 14] = [
    "/v1/runs",
    "/v1/runs/batch",
    "/v1/runs/{id}/logs",
    "/api/tasks",
    "/api/pipelines/{id}/trigger",
    "/api/queue/task",
    "/api/queue/batch",
    "/api/process",
    "/api/tick",
    "/api/upload/temp",
    "/api/register",
    "/api/heartbeat",
    "/api/progress",
    "/api/callback/{id}",
];

fn class(method: &Method, route: &str) -> Class {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Class::Reads;
    }
    if *method != Method::POST {
        return Class::Changes;
    }
    let is_submission = route.ends_with("/workflows") && route.contains("/tenants/{");
    let own = route.strip_prefix("/w/{token}").unwrap_or(route);
    if CHECKS.iter().any(|ending| route.ends_with(ending)) {
        Class::Reads
    } else if WORK.contains(&own) || is_submission {
        Class::Works
    } else {
        Class::Changes
    }
}

/// A request that leaves an entry, unless nothing comes of it. Dropped without an end when the client has gone.
pub(super) struct Trail {
    audit: Arc<Audit>,
    draft: Option<Draft>,
    path: String,
}

/// Begins to note a request; `None` for those that leave no entry.
pub(super) fn begin(audit: &Arc<Audit>, request: &Request, id: &RequestId, client: IpAddr) -> Option<Trail> {
    if !audit.is_on() {
        return None;
    }
    let route = request.extensions().get::<MatchedPath>()?;
    let is_noted = match class(request.method(), route.as_str()) {
        Class::Reads => false,
        Class::Works => audit.notes_data(),
        Class::Changes => true,
    };
    is_noted.then(|| Trail {
        audit: Arc::clone(audit),
        draft: Some(draft(audit, request, id, client)),
        path: request.uri().path().to_owned(),
    })
}

/// Notes that a request was not let in.
pub(super) fn refused(audit: &Audit, request: &Request, id: &RequestId, client: IpAddr, response: &Response) {
    if !audit.is_on() || !is_refusal(response.status()) {
        return;
    }
    let mut draft = draft(audit, request, id, client);
    // Whoever refused it may know who it was.
    if let Some(caller) = response.extensions().get::<Caller>() {
        name(&mut draft, caller);
    }
    draft.status = Some(response.status().as_u16());
    draft.outcome = Outcome::Refused;
    audit.refused(draft);
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    )
}

impl Trail {
    /// The request is answered; gives the answer once its entry is stored.
    pub async fn end(mut self, response: Response) -> Response {
        let Some(mut draft) = self.draft.take() else {
            return response;
        };
        let status = response.status();
        draft.status = Some(status.as_u16());
        if is_refusal(status) {
            draft.outcome = Outcome::Refused;
            self.audit.refused(draft);
            return response;
        }
        if status.is_server_error() {
            draft.outcome = Outcome::Failed;
            self.audit.offer(draft);
            return response;
        }
        if status.is_client_error() {
            return response;
        }
        let (response, created) = made(response).await;
        draft.created = created;
        match self.audit.store(draft).await {
            Ok(()) => response,
            Err(_) => refuse_for(&self.path, ErrorCode::OutcomeUnknown, NOT_STORED),
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if let Some(mut draft) = self.draft.take() {
            draft.outcome = Outcome::Abandoned;
            self.audit.offer(draft);
        }
    }
}

fn draft(audit: &Audit, request: &Request, id: &RequestId, client: IpAddr) -> Draft {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str);
    let method = request.method();
    let action = OPERATIONS.get(&(method.as_str().to_owned(), route.to_owned()));
    let mut draft = Draft {
        at: audit.now(),
        actor: "unknown".into(),
        credential: None,
        namespace: "".into(),
        client: client.to_string(),
        request_id: id.as_str().to_owned(),
        action: action.cloned().unwrap_or_else(|| format!("{method} {route}")),
        route: format!("{method} {route}"),
        object: object(route, request.uri().path()),
        created: None,
        outcome: Outcome::Done,
        status: None,
        repeated: 0,
    };
    if let Some(caller) = request.extensions().get::<Caller>() {
        name(&mut draft, caller);
    }
    draft
}

fn name(draft: &mut Draft, caller: &Caller) {
    draft.actor = Arc::clone(&caller.name);
    draft.namespace = Arc::clone(&caller.namespace);
    draft.credential = rate::account(caller).map(|account| account.to_string());
}

/// The names of operations, as the API's description has them, by method and route.
static OPERATIONS: LazyLock<HashMap<(String, String), String>> = LazyLock::new(|| {
    let description = crate::openapi::openapi();
    let paths = description["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.filter_map(move |(method, operation)| {
            let id = operation["operationId"].as_str()?;
            Some(((method.to_ascii_uppercase(), path.clone()), id.to_owned()))
        })
    });
    operations.collect()
});

/// What the parameters of the route stand for in this path; nobody's token.
fn object(route: &str, path: &str) -> Map<String, Value> {
    let mut object = Map::new();
    let mut parts = path.split('/');
    for name in route.split('/') {
        let Some(part) = parts.next() else { break };
        let Some(name) = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) else {
            continue;
        };
        if name == "token" {
            continue;
        }
        match name.strip_prefix('*') {
            Some(name) => {
                let rest: Vec<&str> = std::iter::once(part).chain(parts.by_ref()).collect();
                object.insert(name.to_owned(), cut(&rest.join("/")).into());
            }
            None => drop(object.insert(name.to_owned(), cut(part).into())),
        }
    }
    object
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The answer as it is, and the id of what was made, which only the answer knows.
async fn made(response: Response) -> (Response, Option<String>) {
    let kind = response.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    let is_json = kind.is_some_and(|kind| kind.starts_with(b"application/json"));
    let is_short = response
        .body()
        .size_hint()
        .exact()
        .is_some_and(|length| length <= LONGEST_ANSWER);
    if !is_json || !is_short {
        return (response, None);
    }
    let (head, body) = response.into_parts();
    // It is in memory already, so this neither waits nor fails.
    let bytes = axum::body::to_bytes(body, LONGEST_ANSWER as usize)
        .await
        .unwrap_or_default();
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let id = ["id", "name"].iter().find_map(|name| answer[*name].as_str());
    let id = id.map(|id| cut(id).to_owned());
    (Response::from_parts(head, Body::from(bytes)), id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_that_changes_something_is_told_from_those_that_read_or_work() {
        let of = |call: &str| {
            let (method, route) = call.split_once(' ').expect("a call");
            class(&method.parse().expect("method"), route)
        };
        for read in [
            "GET /v1/runs",
            "HEAD /v1/runs",
            "POST /v1/workflows/validate",
            "POST /api/pipelines/{id}/dry-run",
            "POST /api/tasks/{id}/validate-input",
            "POST /api/visualize",
        ] {
            assert_eq!(of(read), Class::Reads, "{read}");
        }
        for work in [
            "POST /v1/runs",
            "POST /v1/runs/batch",
            "POST /api/tasks",
            "POST /w/{token}/api/callback/{id}",
            "POST /api/v1/tenants/{tenant}/workflows",
        ] {
            assert_eq!(of(work), Class::Works, "{work}");
        }
        for change in [
            "POST /v1/runs/{id}/cancel",
            "DELETE /v1/runs/{id}",
            "DELETE /api/tasks/{id}",
            "POST /v1/workflows",
            "PATCH /v1/schedules/{id}",
            "POST /v1/schedules/{id}/trigger",
            "POST /v1/auth/keys",
            "PUT /v1/secrets/{name}",
            "POST /api/something-new",
        ] {
            assert_eq!(of(change), Class::Changes, "{change}");
        }
    }

    #[test]
    fn what_a_path_names_is_noted_and_tokens_are_not() {
        let text = |route: &str, path: &str| Value::Object(object(route, path)).to_string();
        assert_eq!(
            text("/v1/runs/{id}/steps/{step}/resolve", "/v1/runs/run_1/steps/a/resolve"),
            r#"{"id":"run_1","step":"a"}"#
        );
        assert_eq!(
            text("/w/{token}/api/callback/{id}", "/w/secret/api/callback/t"),
            r#"{"id":"t"}"#
        );
        assert_eq!(
            text("/api/storage/{*path}", "/api/storage/a/b/c"),
            r#"{"path":"a/b/c"}"#
        );
        assert_eq!(text("/v1/runs", "/v1/runs"), "{}");
        assert_eq!(
            text("/v1/runs/{id}", &format!("/v1/runs/{}", "x".repeat(10_000))).len(),
            LONGEST + 9
        );
    }

    #[test]
    fn operations_are_called_as_the_description_calls_them() {
        let call = ("POST".to_owned(), "/v1/runs/{id}/cancel".to_owned());
        assert_eq!(OPERATIONS.get(&call).map(String::as_str), Some("cancelRun"));
    }

    #[tokio::test]
    async fn the_id_of_what_was_made_is_found_in_the_answer_which_stays_as_it_is() {
        let answer = |kind: &str, body: &str| {
            let response = Response::builder().header("content-type", kind);
            response.body(Body::from(body.to_owned())).expect("response")
        };
        let text = "{\"id\": \"wf_1\", \"name\": \"x\"}\n";
        let (response, id) = made(answer("application/json", text)).await;
        assert_eq!(id.as_deref(), Some("wf_1"));
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("body");
        assert_eq!(body, text);
        assert_eq!(made(answer("text/plain", text)).await.1, None);
        assert_eq!(made(answer("application/json", "[]")).await.1, None);
    }
}
