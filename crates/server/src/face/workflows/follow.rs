//! Following a run's history as server-sent events: first what is there, then what comes, until the run has ended.
//!
//! The reader sets the pace: nothing is read from the store before what was read last has been sent, so a slow
//! client costs the engine nothing. News comes from the engine's watch; where another process moved the run, a look
//! once a second finds it. Each event's id is `<entry>.<number>`, and a client that comes back with `Last-Event-ID`
//! gets what follows it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use quintet_core::event::Event;
use quintet_core::state::RunState;
use quintet_engine::{Engine, Progress, events_of, tasks};
use quintet_store::{StoreError, StoredCommit};
use tokio::sync::watch;

use super::cx::Cx;
use super::problem::{Answer, Problem};
use super::query::bad;

/// History entries read at a time.
const PAGE: usize = 256;
/// How often to look for what nobody announced.
const LOOK_MS: u64 = 1_000;
/// Looks without news before a sign of life is sent.
const QUIET_LOOKS: u32 = 15;

/// What one event of the history becomes.
pub(crate) struct Line {
    /// Name of the server-sent event; without one it is a `message`.
    pub name: Option<&'static str>,
    pub data: String,
}

/// Turns one event into what is sent of it.
pub(crate) type Render = fn(&RunState, &Event, &StoredCommit) -> Vec<Line>;

/// A stream of a run's history.
pub(crate) async fn follow(cx: &Cx, id: &str, headers: &HeaderMap, render: Render) -> Answer {
    let state = cx.run(id).await?;
    let position = position(headers)?;
    let watch = Some(cx.engine().watch(&cx.namespace, state.id));
    let (engine, asked_before) = (Arc::clone(&cx.app.engine), position.is_some());
    let position = position.unwrap_or_default();
    let mut follower = Follower {
        engine,
        state,
        position,
        watch,
        render,
        quiet: 0,
    };
    // The run has ended, so this does not wait.
    let is_over = asked_before && follower.state.status.is_terminal();
    let first = if is_over {
        follower.next().await.map_err(Problem::from)?
    } else {
        None
    };
    if first.is_none() && is_over {
        // A client that comes back after the end is told not to come again.
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let parts = stream::unfold((first, Some(follower)), |(ready, follower)| async move {
        let mut follower = follower?;
        if let Some(part) = ready {
            return Some((Ok(part), (None, Some(follower))));
        }
        match follower.next().await {
            Ok(Some(part)) => Some((Ok(part), (None, Some(follower)))),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(run = %follower.state.id, error = %error, "a stream ends: the store cannot be read");
                Some((Err(error), (None, None)))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// How far a client has come: everything before entry `seq`, and `done` lines of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Position {
    seq: u64,
    done: usize,
}

fn position(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let wrong = || bad("Last-Event-ID", "must be the id of an event of this stream").plain();
    let text = value.to_str().map_err(|_| wrong())?;
    if text.is_empty() {
        return Ok(None);
    }
    let (seq, line) = text.split_once('.').ok_or_else(wrong)?;
    let seq = seq.parse().ok().filter(|seq| *seq > 0).ok_or_else(wrong)?;
    let line: u32 = line.parse().map_err(|_| wrong())?;
    Ok(Some(Position {
        seq,
        done: line as usize + 1,
    }))
}

struct Follower {
    engine: Arc<Engine>,
    state: Arc<RunState>,
    position: Position,
    watch: Option<watch::Receiver<Progress>>,
    render: Render,
    quiet: u32,
}

impl Follower {
    /// The next piece of the stream; `None` when the run has ended and everything has been sent. A store that is
    /// away for a while is waited for: a browser would take the end of the stream, or a refusal, for the last word.
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            let error = match self.read_on().await {
                Err(error) if error.is_retryable() && self.engine.is_ready() => error,
                answered => return answered,
            };
            tracing::debug!(run = %self.state.id, error = %error, "a stream waits for the store");
            tasks::pause(Some(Duration::from_millis(LOOK_MS))).await;
            if let Some(sign) = self.tick() {
                return Ok(Some(sign));
            }
        }
    }

    async fn read_on(&mut self) -> Result<Option<Bytes>, StoreError> {
        let namespace = Arc::clone(&self.state.created.namespace);
        let store = Arc::clone(self.engine.store());
        loop {
            let after = self.position.seq.saturating_sub(1);
            let commits = store.commits(&namespace, self.state.id, after, PAGE).await?;
            let text = self.write(&commits).await?;
            if !text.is_empty() {
                self.quiet = 0;
                return Ok(Some(text.into()));
            }
            if commits.len() == PAGE {
                continue;
            }
            let known = commits.last().map_or(after, |commit| commit.seq);
            match store.run(&namespace, self.state.id).await? {
                None => return Ok(None),
                Some(row) if row.version > known => {}
                Some(row) if row.finished_at.is_some() || !self.engine.is_ready() => return Ok(None),
                Some(_) => {
                    if let Some(sign) = self.wait().await {
                        return Ok(Some(sign));
                    }
                }
            }
        }
    }

    /// Waits for news; a long silence is broken by a comment, so that proxies keep the connection.
    async fn wait(&mut self) -> Option<Bytes> {
        let look = tasks::pause(Some(Duration::from_millis(LOOK_MS)));
        let Some(watch) = &mut self.watch else {
            look.await;
            return self.tick();
        };
        tokio::select! {
            changed = watch.changed() => {
                if changed.is_err() {
                    self.watch = None;
                }
                None
            }
            () = look => self.tick(),
        }
    }

    fn tick(&mut self) -> Option<Bytes> {
        self.quiet += 1;
        if self.quiet < QUIET_LOOKS {
            return None;
        }
        self.quiet = 0;
        Some(Bytes::from_static(b": still here\n\n"))
    }

    async fn write(&mut self, commits: &[StoredCommit]) -> Result<String, StoreError> {
        let mut text = String::new();
        for commit in commits {
            if commit.seq > self.state.version {
                self.refresh().await?;
            }
            let done = if commit.seq == self.position.seq {
                self.position.done
            } else {
                0
            };
            let events = events_of(&commit.events)?;
            let lines = events
                .iter()
                .flat_map(|event| (self.render)(&self.state, event, commit));
            let mut count = 0;
            for (nth, line) in lines.enumerate() {
                count = nth + 1;
                if nth >= done {
                    write_line(&mut text, &format!("{}.{nth}", commit.seq), &line);
                }
            }
            self.position = Position {
                seq: commit.seq,
                done: count.max(done),
            };
        }
        Ok(text)
    }

    async fn refresh(&mut self) -> Result<(), StoreError> {
        match self.engine.state(&self.state.created.namespace, self.state.id).await {
            Ok(state) => self.state = state,
            // It has been removed, or the engine stops: the names that are known must do.
            Err(error) => tracing::debug!(run = %self.state.id, error = %error, "a followed run cannot be read"),
        }
        Ok(())
    }
}

/// One server-sent event; every line of its text has a `data:` of its own.
fn write_line(text: &mut String, id: &str, line: &Line) {
    let _ = writeln!(text, "id: {id}");
    if let Some(name) = line.name {
        let _ = writeln!(text, "event: {name}");
    }
    let data = line.data.replace("\r\n", "\n").replace('\r', "\n");
    for part in data.split('\n') {
        let _ = writeln!(text, "data: {part}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_text_is_data_of_its_own() {
        let mut text = String::new();
        write_line(
            &mut text,
            "3.1",
            &Line {
                name: None,
                data: "a\r\nb\rc\n".to_owned(),
            },
        );
        write_line(
            &mut text,
            "4.0",
            &Line {
                name: Some("run.started"),
                data: "{}".to_owned(),
            },
        );
        let expected = "id: 3.1\ndata: a\ndata: b\ndata: c\ndata: \n\nid: 4.0\nevent: run.started\ndata: {}\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_position_is_read_from_the_last_id_and_other_texts_are_refused() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("last-event-id", text.parse().unwrap());
            position(&headers)
        };
        assert_eq!(read("7.2").ok().flatten(), Some(Position { seq: 7, done: 3 }));
        assert_eq!(read("").ok().flatten(), None);
        for wrong in ["7", "x.1", "0.1", "1.-1", "1.99999999999"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
