//! How deep a JSON body may be nested, and how many values it may hold.
//!
//! Both are counted while the body is read, before anything is built of it. A text of a few kilobytes can be nested so deep
//! that whoever walks along it, or only drops it, runs out of stack; and a value costs up to fifty times the memory of its
//! text: eight megabytes of `{"":1}` become half a gigabyte. Not every reader of JSON has limits of its own, so it is done
//! here once for every entrance. What is no JSON has its own bounds where it is read: YAML documents, files, and log lines,
//! which are any text.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use http::header;
use hyper::body::{Frame, SizeHint};

/// What a text has too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Excess {
    /// Brackets within brackets.
    #[error("it is nested too deep")]
    Depth,
    /// Values; an object or a list counts five times, because it costs so much more.
    #[error("it holds too many values")]
    Values,
}

/// What an object or a list counts, beside what is in it.
const CONTAINER: usize = 5;

/// What a JSON text has too much of, if anything.
pub(crate) fn excess(text: &[u8], depth: usize, values: usize) -> Option<Excess> {
    Scan::new(depth, values).read(text).err()
}

/// Knows whether a body had too much of anything.
#[derive(Debug)]
pub(super) struct DepthGuard(Arc<AtomicU8>);

impl DepthGuard {
    /// Counts along while the request's body is read, unless it is meant to be something else than JSON.
    pub fn attach(request: &mut Request, depth: usize, values: usize) -> Option<Self> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().to_ascii_lowercase();
        if kind.starts_with("multipart/") || kind.contains("yaml") || request.uri().path().ends_with("/logs") {
            return None;
        }
        let exceeded = Arc::new(AtomicU8::new(0));
        let inner = std::mem::take(request.body_mut());
        *request.body_mut() = Body::new(GuardedBody {
            inner,
            scan: Scan::new(depth, values),
            exceeded: Arc::clone(&exceeded),
        });
        Some(Self(exceeded))
    }

    /// Why it was given up.
    pub fn excess(&self) -> Option<Excess> {
        let all = [Excess::Depth, Excess::Values];
        all.into_iter()
            .find(|excess| *excess as u8 + 1 == self.0.load(Ordering::Relaxed))
    }
}

struct GuardedBody {
    inner: Body,
    scan: Scan,
    exceeded: Arc<AtomicU8>,
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(excess) = this.scan.read(data)
        {
            this.exceeded.store(excess as u8 + 1, Ordering::Relaxed);
            let error = std::io::Error::other("the body has too much of something");
            return Poll::Ready(Some(Err(axum::Error::new(error))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Where in a JSON text the reading is.
#[derive(Debug)]
struct Scan {
    depth: usize,
    open: usize,
    /// Values that may still come.
    left: usize,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing but white space has come.
    Before,
    /// Between tokens, or in one that has no brackets.
    Outside,
    Text,
    /// After a backslash in a text.
    Escaped,
    /// It is no object and no list.
    Other,
}

impl Scan {
    fn new(depth: usize, values: usize) -> Self {
        let (open, left, place) = (0, values, Place::Before);
        Self {
            depth,
            open,
            left,
            place,
        }
    }

    /// Reads on.
    fn read(&mut self, bytes: &[u8]) -> Result<(), Excess> {
        for byte in bytes {
            self.place = match (self.place, byte) {
                (Place::Other, _) => return Ok(()),
                (Place::Before, b' ' | b'\t' | b'\n' | b'\r') => Place::Before,
                (Place::Before | Place::Outside, b'{' | b'[') => self.enter()?,
                (Place::Before, _) => Place::Other,
                (Place::Outside, b'}' | b']') => {
                    self.open = self.open.saturating_sub(1);
                    Place::Outside
                }
                (Place::Outside, b',' | b':') => self.count(1)?,
                (Place::Outside, b'"') => Place::Text,
                (Place::Text, b'"') => Place::Outside,
                (Place::Text, b'\\') => Place::Escaped,
                (Place::Escaped, _) => Place::Text,
                (place, _) => place,
            };
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<Place, Excess> {
        self.open += 1;
        if self.open > self.depth {
            return Err(Excess::Depth);
        }
        self.count(CONTAINER)
    }

    fn count(&mut self, counts: usize) -> Result<Place, Excess> {
        self.left = self.left.checked_sub(counts).ok_or(Excess::Values)?;
        Ok(Place::Outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(text: &str) -> bool {
        // However it is cut.
        let whole = excess(text.as_bytes(), 3, 1_000).is_none();
        let mut scan = Scan::new(3, 1_000);
        let cut = text.as_bytes().chunks(1).all(|part| scan.read(part).is_ok());
        assert_eq!(whole, cut, "{text}");
        whole
    }

    #[test]
    fn brackets_count_where_they_are_structure() {
        for text in [
            "",
            "  ",
            "[[[1]]]",
            r#" {"a": [{"b": 1}, {"c": 2}], "d": [[]]}"#,
            r#"{"a": "[[[[[[", "b\"{{{{": "\\", "c": [[]]}"#,
            "[[[1]]",
            "7",
            "\"[[[[\"",
            "text [[[[",
        ] {
            assert!(admits(text), "{text}");
        }
        for text in ["[[[[1]]]]", r#"{"a": "\\", "b": [[[]]]}"#, "[[]][[[[", "\n[{\"a\":[{"] {
            assert!(!admits(text), "{text}");
        }
    }

    #[test]
    fn values_count_by_what_they_cost() {
        let too_many = |text: &str, values: usize| excess(text.as_bytes(), 64, values) == Some(Excess::Values);
        for (text, counts) in [
            ("[1,2,3]", CONTAINER + 2),
            (r#"{"a":1,"b":[2,3]}"#, 2 * CONTAINER + 4),
            (r#"["a,b:c{}", {}]"#, 2 * CONTAINER + 1),
            ("{}", CONTAINER),
        ] {
            assert!(!too_many(text, counts) && too_many(text, counts - 1), "{text}");
        }
        assert!(!too_many("1,2,3,4,5", 1), "that is no JSON");
    }

    #[tokio::test]
    async fn a_body_that_is_too_deep_is_given_up_and_others_are_read_as_they_are() {
        let read = async |kind: &str, path: &str, text: &str| {
            let request = Request::post(path).header("content-type", kind);
            let mut request = request.body(Body::from(text.to_owned())).expect("request");
            let guard = DepthGuard::attach(&mut request, 2, 1_000);
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
            let exceeded = guard.and_then(|guard| guard.excess()).is_some();
            (body.ok().map(|body| body.len()), exceeded)
        };
        assert_eq!(read("application/json", "/a", "[[1]]").await, (Some(5), false));
        assert_eq!(read("application/json", "/a", "[[[1]]]").await, (None, true));
        assert_eq!(
            read("text/html", "/a", "[[[1]]]").await,
            (None, true),
            "whatever it is called"
        );
        for (kind, path) in [
            ("application/yaml; charset=utf-8", "/a"),
            ("Multipart/form-data", "/a"),
            ("text/plain", "/v1/runs/run_1/logs"),
        ] {
            assert_eq!(read(kind, path, "[[[1]]]").await, (Some(7), false), "{kind} {path}");
        }
    }
}
