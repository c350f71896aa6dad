//! Live streams are counted, and end when the server stops.
//!
//! A stream of server-sent events has no end of its own. Without this it would hold its connection, and so the whole
//! shutdown, until it is cut off.

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use http::header;
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;

/// Counts a stream for as long as its body exists.
struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Gives a live stream an end; other answers pass as they are.
pub(super) fn until(response: Response, stopping: &CancellationToken, gauge: &Gauge) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    if !kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
        return response;
    }
    gauge.inc();
    let counted = Counted(gauge.clone());
    let stopped = stopping.clone().cancelled_owned();
    response.map(|body| {
        let stream = body.into_data_stream().take_until(stopped);
        Body::from_stream(stream.map(move |part| {
            let _until_the_end = &counted;
            part
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_ends_when_the_server_stops_and_is_counted_until_then() {
        let (gauge, stopping) = (Gauge::default(), CancellationToken::new());
        let never = futures_util::stream::pending::<Result<&'static str, std::io::Error>>();
        let endless = Response::builder()
            .header("content-type", "text/event-stream")
            .body(Body::from_stream(never));
        let held = until(endless.expect("response"), &stopping, &gauge);
        assert_eq!(gauge.get(), 1);
        stopping.cancel();
        axum::body::to_bytes(held.into_body(), 10).await.expect("it ended");
        assert_eq!(gauge.get(), 0);
        until(Response::new(Body::empty()), &stopping, &gauge);
        assert_eq!(gauge.get(), 0, "other answers are not counted");
    }
}
