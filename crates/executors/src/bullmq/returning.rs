//! How answers of BullMQ workers come back.
//!
//! Two loops for each queue. One reads the queue's events and knows of an end within milliseconds. The other looks, every
//! few seconds and after every new connection, at the jobs of all attempts under way: what the first one missed is found,
//! what Redis has lost is put there again, and what nobody waits for any more is removed. Both do the same with what they
//! find, and everything they do can be done twice, so neither needs to know of the other, nor of other nodes.

mod look;
mod news;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use quintet_core::outcome::{Outcome, Token, Work};
use quintet_engine::tasks;
use redis::streams::{StreamId, StreamReadReply};
use redis::{RedisResult, Value, cmd};
use tokio::sync::Mutex;

use super::answer::{self, Progress};
use super::keys::JobId;
use super::workers::Outgoing;
use news::News;

/// Events asked for at a time.
const CHUNK: usize = 1_000;
/// Answers being stored at a time.
const ABREAST: usize = 32;

/// What was asked cannot be said or done now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It counts, or has counted before.
    Counted,
    /// The attempt is over, and ended some other way.
    Over,
    /// There is no such run here; it may be somebody else's who shares the server.
    Unknown,
}

/// How an attempt stands by the book.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It is over.
    Over,
    /// There is no such run here.
    Unknown,
    /// A process is about to hand it over.
    InHand,
    /// It was handed over, and nobody has answered.
    Outside(Box<Work>),
}

/// Where answers go: the engine, behind what it is to be asked here.
#[async_trait]
pub trait Returns: Send + Sync + 'static {
    /// Stores how an attempt ended.
    async fn complete(&self, token: Token, outcome: Outcome) -> Result<Stored, Unavailable>;

    /// Notes how far an attempt has come.
    async fn progress(&self, token: Token, percent: Option<f64>, words: Option<String>) -> Result<(), Unavailable>;

    /// Attempts under way of a queue by its name in Quintet, from `offset` on, at most `limit`.
    async fn outstanding(&self, queue: &str, offset: u64, limit: u64) -> Result<Vec<Token>, Unavailable>;

    /// How an attempt stands now.
    async fn standing(&self, token: Token) -> Result<Standing, Unavailable>;
}

/// What was last noted of attempts under way, so that it is not noted again.
type Noted = HashMap<Token, Progress>;

/// One queue's answers on their way back.
struct Returning {
    lane: Arc<Outgoing>,
    returns: Arc<dyn Returns>,
    noted: Mutex<Noted>,
}

impl Outgoing {
    /// Carries answers until it is dropped.
    pub(super) async fn carry_back(self: Arc<Self>, returns: Arc<dyn Returns>) {
        let returning = Returning {
            lane: self,
            returns,
            noted: Mutex::default(),
        };
        tokio::join!(
            returning.follow(),
            returning.look_again_and_again(),
            returning.withdraw()
        );
    }
}

impl Returning {
    fn queue(&self) -> &str {
        &self.lane.name
    }

    async fn breathe(&self) {
        tasks::pause(Some(self.lane.pace.retry)).await;
    }

    /// Listens to the queue's events for ever.
    async fn follow(&self) {
        let mut is_away = false;
        loop {
            let error = match self.listen(&mut is_away).await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            if !is_away {
                let server = self.lane.redis.link.shown();
                tracing::warn!(queue = self.queue(), server, error = %error, "Redis is away; its queue waits");
            }
            is_away = true;
            self.breathe().await;
        }
    }

    async fn listen(&self, is_away: &mut bool) -> RedisResult<std::convert::Infallible> {
        let block = self.lane.pace.block;
        let events = self.lane.redis.keys.key("events");
        let mut connection = self.lane.redis.link.blocking(block).await?;
        let newest: Vec<(String, Value)> = cmd("XREVRANGE")
            .arg(&events)
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1)
            .query_async(&mut connection)
            .await?;
        let mut last = newest.into_iter().next().map_or("0-0".to_owned(), |(id, _)| id);
        if std::mem::take(is_away) {
            tracing::info!(queue = self.queue(), "Redis is back");
        }
        // What happened before is not listened to but looked at.
        self.lane.look_now.notify_one();
        loop {
            let heard: Option<StreamReadReply> = cmd("XREAD")
                .arg("BLOCK")
                .arg(block.as_millis() as u64)
                .arg("COUNT")
                .arg(CHUNK)
                .arg("STREAMS")
                .arg(&events)
                .arg(&last)
                .query_async(&mut connection)
                .await?;
            let heard = heard.into_iter().flat_map(|reply| reply.keys);
            let heard: Vec<StreamId> = heard.flat_map(|key| key.ids).collect();
            if let Some(newest) = heard.last() {
                last = newest.id.clone();
                self.hear(&heard).await;
            }
        }
    }

    /// Does what events say, each job's latest.
    async fn hear(&self, events: &[StreamId]) {
        let mut news: HashMap<Token, News> = HashMap::new();
        for event in events {
            let Some((token, said)) = News::read(event) else {
                continue;
            };
            let known = news.remove(&token);
            // Nothing comes after an end but what was not heard in order.
            let latest = known.filter(News::is_end).unwrap_or(said);
            news.insert(token, latest);
        }
        stream::iter(news)
            .for_each_concurrent(ABREAST, |(token, news)| async move {
                match news {
                    News::Progress(progress) => self.note(token, progress).await,
                    News::Completed(result) => self.answer(token, answer::completed(&result)).await,
                    News::Failed(reason) => {
                        let seen = self.see(&[token]).await.ok().and_then(|seen| seen.into_iter().next());
                        // The job knows more than the event, unless it is gone.
                        let end = seen.and_then(|seen| seen.end);
                        let end = end.unwrap_or_else(|| answer::failed(&reason, None));
                        self.answer(token, end).await;
                    }
                }
            })
            .await;
    }

    /// Stores an answer, however long that takes, and then removes the job.
    async fn answer(&self, token: Token, outcome: Outcome) {
        let stored = loop {
            match self.returns.complete(token, outcome.clone()).await {
                Ok(stored) => break stored,
                Err(error) => tracing::debug!(error = %error, "an answer of a BullMQ worker waits for the store"),
            }
            self.breathe().await;
        };
        self.noted.lock().await.remove(&token);
        if stored == Stored::Over {
            tracing::info!(job = %JobId(token), "an answer came for an attempt that was over");
        }
        if stored != Stored::Unknown {
            self.drop_job(token).await;
        }
    }

    async fn drop_job(&self, token: Token) {
        if let Err(error) = self.lane.redis.drop_job(token).await {
            tracing::debug!(job = %JobId(token), error = %error, "a job is left for the next look");
        }
    }

    /// Notes progress by whole percents: a worker may say it a thousand times a second, and each is an entry of the
    /// run's history.
    async fn note(&self, token: Token, progress: Progress) {
        let progress = match progress {
            Progress::Percent(percent) => Progress::Percent(percent.floor()),
            words @ Progress::Words(_) => words,
        };
        if self.noted.lock().await.get(&token) == Some(&progress) {
            return;
        }
        let (percent, words) = match &progress {
            Progress::Percent(percent) => (Some(*percent), None),
            Progress::Words(words) => (None, Some(words.clone())),
        };
        if self.returns.progress(token, percent, words).await.is_ok() {
            self.noted.lock().await.insert(token, progress);
        }
    }

    /// Removes jobs of attempts that were called off, as soon as that is known.
    async fn withdraw(&self) {
        loop {
            self.lane.withdrawn.notified().await;
            for token in self.lane.take_withdrawn() {
                self.drop_job(token).await;
            }
        }
    }
}
