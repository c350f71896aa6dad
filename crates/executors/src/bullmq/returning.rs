//! How answers of BullMQ workers come back.
//!
//! Two loops for each queue. One reads the queue's events and knows of an end within milliseconds. The other looks, every
//! few seconds and after every new connection, at the jobs of all attempts under way: what the first one missed is found,
//! what Redis has lost is put there again, and what nobody waits for any more is removed. Both do the same with what they
//! find, and everything they do can be done twice, so neither needs to know of the other, nor of other nodes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use quintet_core::outcome::{Outcome, Token, Work};
use quintet_engine::tasks;
use redis::streams::{StreamId, StreamReadReply};
use redis::{FromRedisValue, RedisError, RedisResult, Value, cmd};
use tokio::sync::Mutex;

use super::answer::{self, FIELDS, Progress, Seen};
use super::keys::JobId;
use super::workers::Outgoing;

/// Attempts asked for at a time.
const PAGE: u64 = 500;
/// Ids or events asked for at a time.
const CHUNK: isize = 1_000;
/// Ended jobs that are looked through for some that were left behind.
const HISTORY: isize = 10_000;
/// Answers being stored at a time.
const ABREAST: usize = 32;
/// What an attempt under way adds to the pause between two looks: with many of them a look is work.
const PAUSE_EACH: Duration = Duration::from_millis(1);

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

/// Why a look was broken off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
    #[error("store: {0}")]
    Store(#[from] Unavailable),
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
        tokio::join!(returning.follow(), returning.look_again_and_again(), returning.withdraw());
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
            let Some((token, said)) = News::read(event) else { continue };
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

    async fn look_again_and_again(&self) {
        loop {
            let pause = match self.look().await {
                Ok(under_way) => self.lane.pace.look + PAUSE_EACH * under_way,
                Err(error) => {
                    tracing::debug!(queue = self.queue(), error = %error, "the jobs cannot be looked at now");
                    self.lane.pace.look
                }
            };
            tokio::select! {
                () = tasks::pause(Some(pause)) => {}
                () = self.lane.look_now.notified() => {}
            }
        }
    }

    /// Looks at the jobs of all attempts under way; how many there are.
    async fn look(&self) -> Result<u32, Broken> {
        self.lane.begin_look();
        let mut under_way = HashSet::new();
        let mut missing = HashSet::new();
        let mut offset = 0;
        loop {
            let page = self.returns.outstanding(self.queue(), offset, PAGE).await?;
            let seen = self.see(&page).await?;
            let found = page.iter().copied().zip(seen);
            stream::iter(found.collect::<Vec<_>>())
                .filter_map(|(token, seen)| async move { self.consider(token, seen).await })
                .for_each(|token| {
                    missing.insert(token);
                    std::future::ready(())
                })
                .await;
            offset += page.len() as u64;
            let is_last = (page.len() as u64) < PAGE;
            under_way.extend(page);
            if is_last {
                break;
            }
        }
        self.noted.lock().await.retain(|token, _| under_way.contains(token));
        missing.retain(|token| !self.lane.is_fresh(*token));
        if !missing.is_empty() {
            self.put_back(missing).await?;
        }
        self.sweep(&under_way).await?;
        Ok(u32::try_from(under_way.len()).unwrap_or(u32::MAX))
    }

    /// Does what a job shows; the token if there is no job.
    async fn consider(&self, token: Token, seen: Seen) -> Option<Token> {
        if let Some(end) = seen.end {
            self.answer(token, end).await;
        } else if let Some(progress) = seen.progress {
            self.note(token, progress).await;
        }
        (!seen.exists).then_some(token)
    }

    async fn see(&self, tokens: &[Token]) -> RedisResult<Vec<Seen>> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for token in tokens {
            let job = self.lane.redis.keys.key(&JobId(*token).to_string());
            pipeline.cmd("HMGET").arg(job).arg(&FIELDS[..]);
        }
        let link = &self.lane.redis.link;
        let mut connection = link.connection().await?;
        let answer: RedisResult<Vec<Vec<Option<Vec<u8>>>>> = pipeline.query_async(&mut connection).await;
        let values = link.judge(answer).await?;
        Ok(values.iter().map(|values| Seen::read(values)).collect())
    }

    /// Puts jobs back that Redis does not have though their attempts are under way, unless the events still tell how
    /// they ended.
    async fn put_back(&self, missing: HashSet<Token>) -> Result<(), Broken> {
        let mut ends = self.ends_of(&missing).await?;
        let mut count = 0;
        for token in missing {
            if let Some(end) = ends.remove(&token) {
                self.answer(token, end).await;
                continue;
            }
            // Asked after the job was found missing: had somebody removed it because it was over, it would say so.
            let Standing::Outside(work) = self.returns.standing(token).await? else {
                continue;
            };
            match self.lane.desk.order(&work) {
                Ok(order) => count += u32::from(self.lane.put(token, &order).await?),
                Err(failure) => self.answer(token, Outcome::Failed(*failure)).await,
            }
        }
        if count > 0 {
            tracing::warn!(
                queue = self.queue(),
                jobs = count,
                "jobs were gone from Redis and were put back"
            );
        }
        Ok(())
    }

    /// What the events that are still kept say about the ends of these jobs.
    async fn ends_of(&self, tokens: &HashSet<Token>) -> RedisResult<HashMap<Token, Outcome>> {
        let link = &self.lane.redis.link;
        let events = self.lane.redis.keys.key("events");
        let mut connection = link.connection().await?;
        let mut ends = HashMap::new();
        let mut from = "-".to_owned();
        loop {
            let mut range = cmd("XRANGE");
            range.arg(&events).arg(&from).arg("+").arg("COUNT").arg(CHUNK);
            let answer: RedisResult<redis::streams::StreamRangeReply> = range.query_async(&mut connection).await;
            let page = link.judge(answer).await?.ids;
            for (token, news) in page.iter().filter_map(News::read) {
                if tokens.contains(&token)
                    && let Some(end) = news.end()
                {
                    ends.insert(token, end);
                }
            }
            match page.last() {
                Some(last) if page.len() as isize == CHUNK => from = format!("({}", last.id),
                _ => return Ok(ends),
            }
        }
    }

    /// Removes jobs that no attempt waits for: it was called off while Redis was away, or was answered by somebody who
    /// could not remove the job any more.
    async fn sweep(&self, under_way: &HashSet<Token>) -> Result<(), Broken> {
        // What ended is read from the latest on, and not to the end: others may keep a long history there.
        for (kind, command, most) in [
            ("prioritized", "ZRANGE", isize::MAX),
            ("wait", "LRANGE", isize::MAX),
            ("paused", "LRANGE", isize::MAX),
            ("completed", "ZREVRANGE", HISTORY),
            ("failed", "ZREVRANGE", HISTORY),
        ] {
            let mut start: isize = 0;
            while start < most {
                let ids = self.ids(command, kind, start).await?;
                start += CHUNK;
                let ours = ids.iter().filter_map(|id| JobId::parse(id)).map(|id| id.0);
                for token in ours.filter(|token| !under_way.contains(token) && !self.lane.is_fresh(*token)) {
                    if matches!(self.returns.standing(token).await?, Standing::Over) {
                        tracing::debug!(job = %JobId(token), from = kind, "a job that nobody waits for is removed");
                        self.drop_job(token).await;
                    }
                }
                if (ids.len() as isize) < CHUNK {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn ids(&self, command: &str, kind: &str, start: isize) -> RedisResult<Vec<String>> {
        let link = &self.lane.redis.link;
        let mut connection = link.connection().await?;
        let mut range = cmd(command);
        let key = self.lane.redis.keys.key(kind);
        range.arg(key).arg(start).arg(start + CHUNK - 1);
        let answer: RedisResult<Vec<Vec<u8>>> = range.query_async(&mut connection).await;
        let ids = link.judge(answer).await?;
        Ok(ids.iter().map(|id| String::from_utf8_lossy(id).into_owned()).collect())
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

/// What an event says about a job of ours.
enum News {
    Progress(Progress),
    /// With the result as JSON.
    Completed(String),
    /// With the reason.
    Failed(String),
}

impl News {
    fn read(event: &StreamId) -> Option<(Token, Self)> {
        let field = |name: &str| {
            let value = event.map.get(name)?;
            let bytes = Vec::<u8>::from_redis_value(value.clone()).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        let token = JobId::parse(&field("jobId")?)?.0;
        let news = match field("event")?.as_str() {
            "progress" => Self::Progress(Progress::read(&field("data")?)?),
            "completed" => Self::Completed(field("returnvalue")?),
            "failed" => Self::Failed(field("failedReason")?),
            _ => return None,
        };
        Some((token, news))
    }

    fn is_end(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Failed(_))
    }

    fn end(self) -> Option<Outcome> {
        match self {
            Self::Progress(_) => None,
            Self::Completed(result) => Some(answer::completed(&result)),
            Self::Failed(reason) => Some(answer::failed(&reason, None)),
        }
    }
}
