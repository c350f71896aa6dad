//! Looking at the jobs of all attempts under way: the truth that events only hint at.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use quintet_core::outcome::{Outcome, Token};
use quintet_engine::tasks;
use redis::streams::StreamRangeReply;
use redis::{RedisError, RedisResult, cmd};

use super::news::News;
use super::{ABREAST, Returning, Standing, Unavailable};
use crate::bullmq::answer::{FIELDS, Seen};
use crate::bullmq::keys::JobId;

/// Attempts asked for at a time.
const PAGE: u64 = 500;
/// Ids or events asked for at a time.
const CHUNK: isize = 1_000;
/// Ended jobs that are looked through for some that were left behind.
const HISTORY: isize = 10_000;
/// What an attempt under way adds to the pause between two looks: with many of them a look is work.
const PAUSE_EACH: Duration = Duration::from_millis(1);

/// Why a look was broken off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
    #[error("store: {0}")]
    Store(#[from] Unavailable),
}

impl Returning {
    pub(super) async fn look_again_and_again(&self) {
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
            let gone: Vec<Option<Token>> = stream::iter(found.collect::<Vec<_>>())
                .map(|(token, seen)| self.consider(token, seen))
                .buffer_unordered(ABREAST)
                .collect()
                .await;
            missing.extend(gone.into_iter().flatten());
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

    pub(super) async fn see(&self, tokens: &[Token]) -> RedisResult<Vec<Seen>> {
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
            let answer: RedisResult<StreamRangeReply> = range.query_async(&mut connection).await;
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
}
