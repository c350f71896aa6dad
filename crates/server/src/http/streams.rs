//! Live streams: how many there may be, and that they end when the server stops.
//!
//! A stream of server-sent events has no end of its own. Without this it would hold its connection, and so the whole
//! shutdown, until it is cut off.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use http::header;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::refusal::refuse;
use crate::error_code::ErrorCode;

/// The places for live streams.
pub(super) struct Streams {
    places: Arc<Semaphore>,
    gauge: Gauge,
}

/// Counts a stream for as long as its body exists.
struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Streams {
    pub fn new(places: usize, gauge: Gauge) -> Self {
        Self { places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))), gauge }
    }

    /// Gives a live stream a place and an end; other answers pass as they are.
    pub fn hold(&self, response: Response, stopping: &CancellationToken) -> Response {
        let kind = response.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
        if !kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
            return response;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return refuse(ErrorCode::Overloaded, "too many live streams (`limits.streams`)");
        };
        self.gauge.inc();
        let held = (place, Counted(self.gauge.clone()));
        let stopped = stopping.clone().cancelled_owned();
        response.map(|body| {
            let stream = body.into_data_stream().take_until(stopped);
            Body::from_stream(stream.map(move |part| {
                let _until_the_end = &held;
                part
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endless() -> Response {
        let never = futures_util::stream::pending::<Result<&'static str, std::io::Error>>();
        Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(never)).expect("response")
    }

    #[tokio::test]
    async fn a_stream_ends_when_the_server_stops_and_frees_its_place() {
        let (gauge, stopping) = (Gauge::default(), CancellationToken::new());
        let streams = Streams::new(1, gauge.clone());
        let first = streams.hold(endless(), &stopping);
        assert_eq!(gauge.get(), 1);
        assert_eq!(streams.hold(endless(), &stopping).status(), ErrorCode::Overloaded.status());
        stopping.cancel();
        axum::body::to_bytes(first.into_body(), 10).await.expect("it ended");
        assert_eq!(gauge.get(), 0);
        assert_eq!(streams.hold(endless(), &stopping).status(), http::StatusCode::OK);
    }
}
