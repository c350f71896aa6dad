//! Live streams of all faces: how many there may be, and that they end when the server stops.
//!
//! A stream of server-sent events has no end of its own. Without this it would hold its connection, and so the whole
//! shutdown, until it is cut off; and one caller could take every place there is. It is done here, where every answer passes,
//! so that no face can forget it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use http::{StatusCode, header};
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;

use super::rate::Who;
use super::refusal::refuse_for;
use crate::config::Limits;
use crate::error_code::ErrorCode;

/// The streams that are open.
#[derive(Debug, Clone)]
pub(super) struct Streams(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    most_of_one: usize,
    open: Mutex<Open>,
    gauge: Gauge,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    of: HashMap<Who, usize>,
}

/// Held by a stream as long as it lives.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    who: Option<Who>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    /// The server has as many as it may have.
    Node,
    /// The caller has as many as one may have.
    Caller,
}

impl Streams {
    pub fn new(limits: &Limits, gauge: &Gauge) -> Self {
        Self(Arc::new(Shared {
            most: limits.streams,
            most_of_one: limits.streams_per_key,
            open: Mutex::default(),
            gauge: gauge.clone(),
        }))
    }

    /// Gives a live stream a place and an end, or refuses it; other answers pass as they are.
    pub fn admit(&self, response: Response, who: Option<Who>, path: &str, stopping: &CancellationToken) -> Response {
        let kind = response.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
        if !kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
            return response;
        }
        let place = match self.open(who) {
            Ok(place) => place,
            Err(full) => return refused(full, path),
        };
        let stopped = stopping.clone().cancelled_owned();
        response.map(|body| {
            let stream = body.into_data_stream().take_until(stopped);
            Body::from_stream(stream.map(move |part| {
                let _until_the_end = &place;
                part
            }))
        })
    }

    fn open(&self, who: Option<Who>) -> Result<Place, Full> {
        let shared = &self.0;
        let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= shared.most {
            return Err(Full::Node);
        }
        if let Some(who) = &who {
            let own = open.of.get(who).copied().unwrap_or_default();
            if own >= shared.most_of_one {
                return Err(Full::Caller);
            }
            open.of.insert(Arc::clone(who), own + 1);
        }
        open.all += 1;
        shared.gauge.inc();
        let shared = Arc::clone(shared);
        Ok(Place { shared, who })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        self.shared.gauge.dec();
        if let Some(who) = self.who.take()
            && let Some(own) = open.of.get_mut(&who)
        {
            *own -= 1;
            if *own == 0 {
                open.of.remove(&who);
            }
        }
    }
}

fn refused(full: Full, path: &str) -> Response {
    match full {
        Full::Node => {
            let mut response = refuse_for(path, ErrorCode::Overloaded, "too many streams are open");
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
        Full::Caller => refuse_for(path, ErrorCode::RateLimited, "this key has too many streams open"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(streams: usize, streams_per_key: usize) -> Streams {
        let limits = Limits {
            streams,
            streams_per_key,
            ..Limits::default()
        };
        Streams::new(&limits, &Gauge::default())
    }

    fn endless() -> Response {
        let never = futures_util::stream::pending::<Result<&'static str, std::io::Error>>();
        let response = Response::builder().header("content-type", "text/event-stream");
        response.body(Body::from_stream(never)).expect("response")
    }

    fn who(name: &str) -> Option<Who> {
        Some(name.into())
    }

    #[tokio::test]
    async fn a_stream_ends_when_the_server_stops_and_is_counted_until_then() {
        let (streams, stopping) = (streams(10, 10), CancellationToken::new());
        let held = streams.admit(endless(), who("a"), "/", &stopping);
        assert_eq!(streams.0.gauge.get(), 1);
        stopping.cancel();
        axum::body::to_bytes(held.into_body(), 10).await.expect("it ended");
        assert_eq!(streams.0.gauge.get(), 0);
        let other = streams.admit(Response::new(Body::empty()), None, "/", &stopping);
        assert_eq!(streams.0.gauge.get(), 0, "other answers are not counted");
        drop(other);
    }

    #[test]
    fn no_more_are_open_than_there_are_places_and_of_one_caller_no_more_than_it_may_have() {
        let (streams, stopping) = (streams(3, 2), CancellationToken::new());
        let open = |who| streams.admit(endless(), who, "/v1/runs", &stopping);
        let first = open(who("a"));
        let second = open(who("a"));
        assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
        assert_eq!(open(who("a")).status(), StatusCode::TOO_MANY_REQUESTS);
        let third = open(who("b"));
        assert_eq!(third.status(), StatusCode::OK);
        let full = open(who("c"));
        assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(full.headers().contains_key(header::RETRY_AFTER));
        drop(first);
        let again = open(who("a"));
        assert_eq!(again.status(), StatusCode::OK);
        drop((second, third, again));
        let open = streams.0.open.lock().expect("lock");
        assert_eq!((open.all, open.of.len()), (0, 0));
    }

    #[test]
    fn callers_without_a_key_share_the_places_of_the_server() {
        let (streams, stopping) = (streams(5, 1), CancellationToken::new());
        let held: Vec<Response> = (0..6).map(|_| streams.admit(endless(), None, "/", &stopping)).collect();
        let open = held.iter().filter(|response| response.status() == StatusCode::OK);
        assert_eq!(open.count(), 5);
    }
}
