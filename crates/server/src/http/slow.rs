//! Slow clients: a connection that dribbles costs a place that others wait for.
//!
//! Between requests a connection may be idle for longer than the reverse proxies in front keep theirs, or they would
//! now and then send a request into a connection that is just being closed. But once the first byte of a request has
//! come, the rest of its head, and then its body, have to come soon. Timers are made only when something is late.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use hyper::body::{Frame, SizeHint};
use quintet_engine::tasks::pause;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// For the rest of a head after its first byte.
pub(super) const HEAD: Duration = Duration::from_secs(10);
/// For a whole body.
const BODY: Duration = Duration::from_secs(30);

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Says that the head of the present request has been read.
#[derive(Debug, Clone, Default)]
pub(super) struct HeadRead(Arc<AtomicBool>);

impl HeadRead {
    /// The request is being served.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection whose heads have to come soon.
pub(super) struct Heads<Io> {
    io: Io,
    head: HeadRead,
    /// Bytes of a head have come, and its end has not.
    reading: bool,
    timer: Option<Timer>,
    limit: Duration,
}

impl<Io> Heads<Io> {
    pub fn new(io: Io, head: HeadRead, limit: Duration) -> Self {
        Self {
            io,
            head,
            reading: false,
            timer: None,
            limit,
        }
    }

    /// Whether the head that was begun is not complete yet.
    fn is_incomplete(&mut self) -> bool {
        if self.reading && self.head.0.load(Ordering::Relaxed) {
            self.reading = false;
            self.timer = None;
        }
        self.reading
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Heads<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.io).poll_read(cx, buf) {
            // Bytes while a request is being served belong to its body, or to the next head, which is then judged by
            // what comes after it.
            if buf.filled().len() > before && !this.head.0.load(Ordering::Relaxed) {
                this.reading = true;
            }
            return Poll::Ready(read);
        }
        if this.is_incomplete() {
            let limit = this.limit;
            let timer = this.timer.get_or_insert_with(|| Box::pin(pause(Some(limit))));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the head of a request did not come in time",
            )));
        }
        Poll::Pending
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Heads<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // An answer has begun: what is read next is another head.
        self.is_incomplete();
        self.head.0.store(false, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_incomplete();
        self.head.0.store(false, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Knows whether a body came too slowly.
#[derive(Debug)]
pub(super) struct BodyTimer(Arc<AtomicBool>);

impl BodyTimer {
    /// Watches the request's body.
    pub fn attach(request: &mut Request) -> Self {
        let late = Arc::new(AtomicBool::new(false));
        let inner = std::mem::take(request.body_mut());
        *request.body_mut() = Body::new(TimedBody {
            inner,
            timer: None,
            limit: BODY,
            late: Arc::clone(&late),
        });
        Self(late)
    }

    /// Whether it was given up.
    pub fn ran_out(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct TimedBody {
    inner: Body,
    timer: Option<Timer>,
    limit: Duration,
    late: Arc<AtomicBool>,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let limit = this.limit;
        ready!(
            this.timer
                .get_or_insert_with(|| Box::pin(pause(Some(limit))))
                .as_mut()
                .poll(cx)
        );
        this.late.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(axum::Error::new(io::Error::from(io::ErrorKind::TimedOut)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn an_idle_connection_is_left_alone_and_half_a_head_is_not() {
        let (mut client, server) = duplex(1024);
        let head = HeadRead::default();
        let mut connection = Heads::new(server, head.clone(), SOON);
        let mut buffer = [0; 16];
        let idle = tokio::select! {
            _ = connection.read(&mut buffer) => false,
            () = pause(Some(3 * SOON)) => true,
        };
        assert!(idle, "nothing was sent, so nothing is late");

        client.write_all(b"GET / HT").await.expect("sent");
        assert_eq!(connection.read(&mut buffer).await.expect("read"), 8);
        let late = connection.read(&mut buffer).await.expect_err("late");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_request_that_is_being_served_has_time() {
        let (mut client, server) = duplex(1024);
        let head = HeadRead::default();
        let mut connection = Heads::new(server, head.clone(), SOON);
        let mut buffer = [0; 16];
        client.write_all(b"GET / HTTP/1.1").await.expect("sent");
        assert_eq!(connection.read(&mut buffer).await.expect("read"), 14);
        head.set();
        let served = tokio::select! {
            _ = connection.read(&mut buffer) => false,
            () = pause(Some(3 * SOON)) => true,
        };
        assert!(served);
        connection.write_all(b"HTTP/1.1 200").await.expect("answered");
        client.write_all(b"GET").await.expect("sent");
        assert_eq!(connection.read(&mut buffer).await.expect("the next head begins"), 3);
        assert!(
            connection.read(&mut buffer).await.is_err(),
            "and has to come soon as well"
        );
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let late = Arc::new(AtomicBool::new(false));
        let inner = Body::from_stream(futures_util::stream::pending::<Result<Bytes, io::Error>>());
        let body = Body::new(TimedBody {
            inner,
            timer: None,
            limit: SOON,
            late: Arc::clone(&late),
        });
        assert!(axum::body::to_bytes(body, 1024).await.is_err());
        assert!(BodyTimer(late).ran_out());
    }
}
