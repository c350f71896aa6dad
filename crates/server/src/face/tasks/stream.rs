//! Watching tasks live: `GET /api/tasks/stream?taskId=<id>[,<id>...]`.
//!
//! The messages are server-sent events without a name, because the dashboard listens to those only, and their JSON has a
//! `type`. The first one for each task says where it stands; then comes its history from the beginning, and then what
//! happens, until all of them are over. What a message tells is read from the state as it was at its moment: the history
//! is folded again on the way ([`follow`]).
//!
//! The reader sets the pace, as on the other faces' streams: nothing is read before what was read last is sent. An event's
//! id holds how far the client has come with each task, in the order in which it named them, so that one that comes back
//! with `Last-Event-ID` misses nothing and hears nothing twice.

mod follow;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::select_all;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use quintet_core::state::RunState;
use quintet_core::time::Time;
use quintet_engine::tasks;
use quintet_store::StoreError;
use serde_json::{Value, json};

use self::follow::{Follower, Position, Read};
use super::query::Params;
use super::reply::{Answer, Refusal};
use super::{ids, view};
use crate::app::App;

/// Most tasks of one stream.
const MOST_TASKS: usize = 32;
/// How often to look for what nobody announced.
const LOOK_MS: u64 = 1_000;
/// Looks without news before a sign of life is sent.
const QUIET_LOOKS: u32 = 15;

pub(super) async fn stream(State(app): State<Arc<App>>, headers: HeaderMap, uri: Uri) -> Answer {
    let params = Params::of(&uri)?;
    let wanted = params.text("taskId").unwrap_or_default().split(',').map(str::trim);
    let wanted: Vec<&str> = wanted.filter(|id| !id.is_empty()).collect();
    if wanted.is_empty() {
        return Err(Refusal::bad("taskId is required"));
    }
    if wanted.len() > MOST_TASKS {
        return Err(Refusal::bad(format!("taskId must name at most {MOST_TASKS} tasks")));
    }
    let positions = positions(&headers, wanted.len())?;
    let is_back = positions.iter().any(|position| *position > Position::default());
    let (mut followers, mut first) = (Vec::new(), String::new());
    for (id, position) in wanted.iter().zip(&positions) {
        let state = ids::find(&app, id, &uri).await?;
        if !is_back {
            first.push_str(&format!("data: {}\n\n", connected(&state, app.engine.clock().now())));
        }
        followers.push(Follower::new(Arc::clone(&app.engine), &state, *position));
    }
    let mut source = Source {
        followers,
        next: 0,
        quiet: 0,
    };
    if is_back && source.are_over().await? {
        match source.next().await? {
            Some(part) => return Ok(streamed(part, source)),
            // A client that comes back after the end is told not to come again.
            None => return Ok(no_content()),
        }
    }
    Ok(streamed(first.into(), source))
}

/// Where a task stands when somebody begins to watch it.
fn connected(state: &RunState, now: Time) -> Value {
    json!({
        "type": "connected",
        "taskId": state.id.to_string(),
        "status": view::status(state).as_str(),
        "progress": view::progress(state),
        "timestamp": now.as_ms(),
    })
}

fn no_content() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn streamed(first: Bytes, source: Source) -> Response {
    let first = Some(first).filter(|part| !part.is_empty());
    let parts = stream::unfold((first, Some(source)), |(first, source)| async move {
        let mut source = source?;
        if let Some(part) = first {
            return Some((Ok(part), (None, Some(source))));
        }
        match source.next().await {
            Ok(Some(part)) => Some((Ok(part), (None, Some(source)))),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(error = %error, "a stream ends: the store cannot be read");
                Some((Err(error), (None, None)))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// How far the client has come with each of `count` tasks.
fn positions(headers: &HeaderMap, count: usize) -> Result<Vec<Position>, Refusal> {
    let text = headers.get("last-event-id").map(HeaderValue::to_str);
    let wrong = || Refusal::bad("Last-Event-ID must be the id of an event of this stream");
    let text = text.transpose().map_err(|_| wrong())?.unwrap_or_default();
    if text.is_empty() {
        return Ok(vec![Position::default(); count]);
    }
    let positions: Option<Vec<Position>> = text.split(',').map(Position::parse).collect();
    positions.filter(|positions| positions.len() == count).ok_or_else(wrong)
}

/// What is sent, from several tasks.
struct Source {
    followers: Vec<Follower>,
    /// Whose turn it is.
    next: usize,
    quiet: u32,
}

impl Source {
    /// The next piece; `None` when all tasks are over and everything has been sent. A store that is away for a while is
    /// waited for: a browser would take the end of the stream for the last word.
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            match self.read().await {
                Ok(Read::Messages(messages)) => return Ok(Some(self.write(&messages))),
                Ok(Read::Over) => return Ok(None),
                Ok(Read::Nothing) => {
                    let told = self.followers.iter_mut().map(|follower| Box::pin(follower.changed()));
                    let told = select_all(told);
                    tokio::select! {
                        _ = told => continue,
                        () = tasks::pause(Some(Duration::from_millis(LOOK_MS))) => {}
                    }
                }
                Err(error) if error.is_retryable() && self.followers.iter().all(Follower::may_recover) => {
                    tracing::debug!(error = %error, "a stream waits for the store");
                    tasks::pause(Some(Duration::from_millis(LOOK_MS))).await;
                }
                Err(error) => return Err(error),
            }
            self.quiet += 1;
            if self.quiet >= QUIET_LOOKS {
                self.quiet = 0;
                return Ok(Some(Bytes::from_static(b": still here\n\n")));
            }
        }
    }

    /// What the next task with news has to tell.
    async fn read(&mut self) -> Result<Read, StoreError> {
        let mut are_over = true;
        for _ in 0..self.followers.len() {
            self.next = (self.next + 1) % self.followers.len();
            match self.followers[self.next].read().await? {
                Read::Over => {}
                Read::Nothing => are_over = false,
                news @ Read::Messages(_) => return Ok(news),
            }
        }
        Ok(if are_over { Read::Over } else { Read::Nothing })
    }

    async fn are_over(&self) -> Result<bool, StoreError> {
        for follower in &self.followers {
            if !follower.is_over().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Messages of the task whose turn it is.
    fn write(&mut self, messages: &[(Position, String)]) -> Bytes {
        self.quiet = 0;
        let mut text = String::new();
        for (position, data) in messages {
            self.followers[self.next].told(*position);
            let at: Vec<String> = self
                .followers
                .iter()
                .map(|follower| follower.position().to_string())
                .collect();
            // Compact JSON has no line breaks.
            text.push_str(&format!("id: {}\ndata: {data}\n\n", at.join(",")));
        }
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, count: usize) -> Option<Vec<String>> {
        let mut headers = HeaderMap::new();
        headers.insert("last-event-id", text.parse().unwrap());
        let positions = positions(&headers, count).ok()?;
        Some(positions.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_client_that_comes_back_says_how_far_it_has_come_with_each_task() {
        assert_eq!(read("7.2", 1), Some(vec!["7.2".to_owned()]));
        assert_eq!(read("7.2,0.0", 2), Some(vec!["7.2".to_owned(), "0.0".to_owned()]));
        assert_eq!(read("", 2), Some(vec!["0.0".to_owned(); 2]));
        for (wrong, count) in [
            ("7.2", 2),
            ("7.2,1.1", 1),
            ("7", 1),
            ("x.1", 1),
            ("1.-1", 1),
            ("1.99999999999", 1),
        ] {
            assert_eq!(read(wrong, count), None, "{wrong}");
        }
    }
}
