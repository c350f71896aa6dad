//! Work for push workers: an attempt goes to the worker's URL, the worker says that it has it, and answers later by
//! calling back whichever node it reaches.
//!
//! Delivering is not trying. A worker that cannot be reached, or that says it cannot take the attempt now, is asked again
//! for a while under the same attempt; only when that does not help has the attempt failed. An answer that does not come
//! in time leaves open whether the worker has the attempt: then it is taken to have it, and its heartbeat tells.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use quintet_core::outcome::{Failure, Outcome, Work};
use quintet_engine::executor::{Executor, Handed, Mode};
use quintet_engine::tasks;
use url::Url;

use crate::egress::{Call, CallError, Client, Redirects, Reply};

/// Action of steps that push workers do.
pub const ACTION: &str = "push";
/// Failure kind of an attempt that did not get to its worker.
pub const DISPATCH_FAILED: &str = "DISPATCH_FAILED";

/// Milliseconds before an attempt is delivered again, by how often that was tried.
const PAUSES_MS: [u64; 5] = [50, 200, 500, 1_000, 2_000];
/// Longest wait that a worker can ask for before the attempt is delivered again.
const PAUSE_CAP_MS: u64 = 5_000;
/// How long a worker may take to say that it has the attempt. Connecting has a shorter limit of its own, so that a
/// worker which cannot be reached is not mistaken for one that is slow to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Deliveries under way on a node.
const CONCURRENCY: usize = 512;
/// How much of a worker's refusal is repeated.
const EXCERPT: usize = 300;

/// An attempt as its worker gets it.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where to.
    pub url: Url,
    /// JSON.
    pub body: Bytes,
}

/// Knows the workers, and what they are told.
#[async_trait]
pub trait Desk: Send + Sync + 'static {
    /// Makes everything ready that the worker will need, and says what to send where.
    ///
    /// # Errors
    /// How the attempt fails if it cannot be made ready.
    async fn order(&self, work: &Work) -> Result<Order, Failure>;

    /// Whether the worker of this attempt was there when it was called.
    fn note(&self, work: &Work, presence: Presence);
}

/// Whether a worker answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It answered, whatever it said.
    There,
    /// No connection came about, or it broke.
    Away,
}

/// Delivers attempts to push workers.
pub struct Push {
    client: Client,
    desk: Arc<dyn Desk>,
}

/// What came of one delivery.
enum Delivery {
    Accepted,
    /// To be tried again, after so many milliseconds if the worker said so.
    Again(Failure, Option<u64>),
    Failed(Failure),
}

impl Push {
    /// An executor that sends by `client` what `desk` says.
    pub fn new(client: Client, desk: Arc<dyn Desk>) -> Self {
        Self { client, desk }
    }

    async fn deliver(&self, work: &Work) -> Result<(), Failure> {
        for pause_ms in PAUSES_MS {
            // Made anew each time: the worker may have registered at another address in the meantime.
            let order = self.desk.order(work).await?;
            let (failure, asked_ms) = match self.send(work, order).await {
                Delivery::Accepted => return Ok(()),
                Delivery::Failed(failure) => return Err(failure),
                Delivery::Again(failure, asked_ms) => (failure, asked_ms),
            };
            tracing::debug!(reason = failure.message, "delivered again soon");
            let pause_ms = asked_ms.unwrap_or(pause_ms).min(PAUSE_CAP_MS);
            tasks::pause(Some(Duration::from_millis(pause_ms))).await;
        }
        let order = self.desk.order(work).await?;
        match self.send(work, order).await {
            Delivery::Accepted => Ok(()),
            Delivery::Failed(failure) | Delivery::Again(failure, _) => Err(failure),
        }
    }

    async fn send(&self, work: &Work, order: Order) -> Delivery {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let call = Call {
            method: Method::POST,
            url: order.url,
            headers,
            body: Some(order.body),
            timeout: ANSWER_TIMEOUT,
            redirects: Redirects::Return,
        };
        match self.client.call(call).await {
            Ok(reply) => {
                self.desk.note(work, Presence::There);
                judge(&reply)
            }
            Err(error) => {
                self.desk.note(work, Presence::Away);
                explain(&error)
            }
        }
    }
}

#[async_trait]
impl Executor for Push {
    fn actions(&self) -> Vec<String> {
        vec![ACTION.to_owned()]
    }

    fn mode(&self) -> Mode {
        Mode::Outside {
            concurrency: CONCURRENCY,
        }
    }

    async fn hand_over(&self, work: Work) -> Handed {
        match self.deliver(&work).await {
            Ok(()) => Handed::Accepted,
            Err(failure) => {
                tracing::info!(reason = failure.message, "the attempt did not get to its worker");
                Handed::Answered(Outcome::Failed(failure))
            }
        }
    }
}

fn judge(reply: &Reply) -> Delivery {
    let status = reply.status;
    if status.is_success() {
        return Delivery::Accepted;
    }
    let text = String::from_utf8_lossy(&reply.body);
    let excerpt: String = text.chars().take(EXCERPT).collect();
    let failure = Failure {
        code: Some(status.as_u16()),
        ..Failure::new(
            DISPATCH_FAILED,
            format!("Worker returned {}: {excerpt}", status.as_u16()),
        )
    };
    if status.is_server_error() || status.as_u16() == 429 {
        Delivery::Again(failure, reply.retry_after_ms())
    } else {
        Delivery::Failed(failure)
    }
}

fn explain(error: &CallError) -> Delivery {
    let failure = Failure::new(DISPATCH_FAILED, error.to_string());
    match error {
        CallError::TimedOut { .. } => Delivery::Accepted,
        CallError::Connect { .. } | CallError::ConnectTimedOut { .. } | CallError::Broken { .. } => {
            Delivery::Again(failure, None)
        }
        _ if error.is_permanent() => Delivery::Failed(Failure {
            retryable: Some(false),
            ..failure
        }),
        _ => Delivery::Failed(failure),
    }
}
