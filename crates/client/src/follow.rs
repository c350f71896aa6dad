//! Following a run or a task: a stream that ends when it is over, whatever happens to the connections in between.
//!
//! A server may be restarted under a run, and the run goes on; so does this. When a connection ends, the last id that
//! was seen is sent with the next one and the server continues behind it. Servers that number their messages do so in
//! the order in which they were stored, so nothing is lost and nothing comes twice. How the stream ended does not say
//! whether the run did (a server that is shut down also ends its streams politely): that is asked.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::Stream;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::client::{Call, Client};
use crate::error::Error;
use crate::sse::{Message, Parser};

/// Failed connections in a row until following is given up: with the delays below, after about half a minute.
pub(crate) const PATIENCE: u32 = 12;
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(4);

/// One message of a followed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Its position, where the server numbers them.
    pub id: Option<String>,
    /// Its kind, where the server names it.
    pub event: Option<String>,
    /// What it says.
    pub data: String,
}

impl From<Message> for Followed {
    fn from(message: Message) -> Self {
        Self {
            id: message.id,
            event: message.event,
            data: message.data,
        }
    }
}

/// What is followed.
#[derive(Debug)]
pub(crate) enum Subject {
    /// A stream of a run.
    Run { id: String, what: &'static [&'static str] },
    /// A task and its steps.
    Task { id: String },
}

impl Subject {
    fn call(&self) -> Call {
        match self {
            Self::Run { id, what } => {
                let mut path = vec!["v1", "runs", id.as_str()];
                path.extend(*what);
                Call::get(&path)
            }
            Self::Task { id } => Call::get(&["api", "tasks", "stream"]).query("taskId", Some(id)),
        }
    }

    /// Whether it is over.
    async fn is_over(&self, client: &Client) -> Result<bool, Error> {
        match self {
            Self::Run { id, .. } => Ok(client.runs().get(id).await?.status.is_finished()),
            Self::Task { id } => Ok(client.tasks().get(id).await?.is_finished()),
        }
    }
}

/// Follows a run.
#[derive(Debug)]
pub struct Follower {
    client: Client,
    subject: Subject,
    last_id: Option<String>,
    seen: usize,
    skip: usize,
    body: Option<Incoming>,
    parser: Parser,
    ready: VecDeque<Message>,
    failures: u32,
    ended: bool,
}

impl Follower {
    pub(crate) fn new(client: Client, subject: Subject) -> Self {
        Self {
            client,
            subject,
            last_id: None,
            seen: 0,
            skip: 0,
            body: None,
            parser: Parser::default(),
            ready: VecDeque::new(),
            failures: 0,
            ended: false,
        }
    }

    /// The next message; `None` when the run is over. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Followed, Error>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                match self.admit(message) {
                    Some(message) => return Some(Ok(message)),
                    None => continue,
                }
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.advance().await {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Followed, Error>> {
        futures_util::stream::unfold(self, |mut follower| async move {
            let next = follower.next().await?;
            Some((next, follower))
        })
    }

    /// A server that does not number its messages repeats all of them on a new connection.
    fn admit(&mut self, message: Message) -> Option<Followed> {
        if message.id.is_some() {
            self.last_id.clone_from(&message.id);
        } else if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.seen += 1;
        Some(message.into())
    }

    async fn advance(&mut self) -> Result<(), Error> {
        let Some(body) = &mut self.body else {
            return self.connect().await;
        };
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    self.failures = 0;
                    self.parser.feed(&bytes, &mut self.ready);
                }
                Ok(())
            }
            Some(Err(_)) => {
                self.body = None;
                Ok(())
            }
            None => {
                self.body = None;
                self.end_of_stream().await
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let call = self
            .subject
            .call()
            .header("last-event-id", self.last_id.as_ref())
            .header("accept", Some("text/event-stream"));
        match self.client.open(call).await {
            Ok(answer) => {
                self.parser = Parser::default();
                self.skip = if self.last_id.is_none() { self.seen } else { 0 };
                self.body = Some(answer.into_body());
                Ok(())
            }
            Err(error) => self.endure(error).await,
        }
    }

    /// Is it over, or was it only the connection?
    async fn end_of_stream(&mut self) -> Result<(), Error> {
        match self.subject.is_over(&self.client).await {
            Ok(is_over) => {
                self.ended = is_over;
                if !self.ended {
                    pause(FIRST_DELAY).await;
                }
                Ok(())
            }
            Err(error) => self.endure(error).await,
        }
    }

    /// Waits before the next connection, or gives up.
    async fn endure(&mut self, error: Error) -> Result<(), Error> {
        self.failures += 1;
        if !error.is_retryable() || self.failures >= PATIENCE {
            return Err(error);
        }
        pause(delay_after(self.failures)).await;
        Ok(())
    }
}

/// How long to wait after so many failures in a row.
pub(crate) fn delay_after(failures: u32) -> Duration {
    let doubled = FIRST_DELAY.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LAST_DELAY)
}

#[allow(
    clippy::disallowed_methods,
    reason = "a client lives outside the server and has only the machine's clock"
)]
pub(crate) async fn pause(delay: Duration) {
    tokio::time::sleep(delay).await;
}
