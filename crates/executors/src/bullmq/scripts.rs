//! The queue as the rest of the bridge sees it: what can be done to it, each step in one script on the server.
//!
//! The scripts are beside this file, written for this bridge from what BullMQ's layout is observed to be. Each does its
//! step whole or not at all, and can be repeated when its answer was lost on the way.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use quintet_core::outcome::Token;
use redis::{FromRedisValue, RedisResult, Script, ScriptInvocation, Value};

use super::keys::{JobId, Keys};
use super::link::Link;

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(
                include_str!("scripts/common.lua"),
                include_str!(concat!("scripts/", $file))
            ))
        })
    };
}

static PUT: LazyLock<Script> = script!("put.lua");
static DROP: LazyLock<Script> = script!("drop.lua");
static TAKE: LazyLock<Script> = script!("take.lua");
static RENEW: LazyLock<Script> = script!("renew.lua");
static RELEASE: LazyLock<Script> = script!("release.lua");
static STALLED: LazyLock<Script> = script!("stalled.lua");
static PROGRESS: LazyLock<Script> = script!("progress.lua");
static FINISH: LazyLock<Script> = script!("finish.lua");

/// How long a job that was dropped cannot be put again, in milliseconds: longer than anybody takes from asking the store
/// to putting.
const TOMBSTONE_MS: u64 = 60_000;
/// Who takes jobs, as it is written into them.
const WORKER: &str = "quintet";
/// How often BullMQ looks for jobs that nobody keeps, in milliseconds.
const STALLED_CHECK_MS: u64 = 30_000;

/// A queue of BullMQ.
#[derive(Clone)]
pub(super) struct Queue {
    pub link: Arc<Link>,
    pub keys: Keys,
}

/// A job as it is put.
pub(super) struct NewJob<'a> {
    pub name: &'a str,
    pub data: String,
    pub options: String,
    pub priority: u32,
}

/// What there was to take.
pub(super) enum Taken {
    Job {
        id: String,
        fields: Vec<(String, String)>,
    },
    /// Nothing now; perhaps after so long.
    Later(Option<Duration>),
}

/// How a job is ended.
pub(super) struct Ending<'a> {
    pub id: &'a str,
    pub lock: &'a str,
    /// `completed` or `failed`.
    pub kind: &'static str,
    pub value: String,
    /// -1 keeps all.
    pub keep: i64,
    pub keep_seconds: Option<u64>,
    pub attempts: u32,
}

impl Queue {
    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        fill: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> RedisResult<T> {
        let mut connection = self.link.connection().await?;
        let mut invocation = script.prepare_invoke();
        invocation.key(self.keys.base());
        fill(&mut invocation);
        let answer = invocation.invoke_async(&mut connection).await;
        self.link.judge(answer).await
    }

    /// Gives workers a job; whether it was not there before.
    pub async fn put(&self, token: Token, job: &NewJob<'_>) -> RedisResult<bool> {
        let answer: String = self
            .run(&PUT, |script| {
                script.arg(JobId(token).to_string()).arg(job.name);
                script.arg(&job.data).arg(&job.options).arg(job.priority);
            })
            .await?;
        Ok(answer == "put")
    }

    /// Removes the job of an attempt that is over, unless a worker has it.
    pub async fn drop_job(&self, token: Token) -> RedisResult<()> {
        self.run(&DROP, |script| {
            script.arg(JobId(token).to_string()).arg(TOMBSTONE_MS);
        })
        .await
    }

    pub async fn take(&self, lock: &str, lasts: Duration) -> RedisResult<Taken> {
        let answer: Vec<Value> = self
            .run(&TAKE, |script| {
                script.arg(lock).arg(ms(lasts)).arg(WORKER);
            })
            .await?;
        let text = |value: &Value| match value {
            Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::SimpleString(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            _ => String::new(),
        };
        let words: Vec<String> = answer.iter().map(text).collect();
        Ok(match words.split_first() {
            Some((kind, rest)) if kind == "job" && !rest.is_empty() => Taken::Job {
                id: rest[0].clone(),
                fields: rest[1..]
                    .chunks_exact(2)
                    .map(|pair| (pair[0].clone(), pair[1].clone()))
                    .collect(),
            },
            _ => {
                let wait_ms = words.get(1).and_then(|word| word.parse().ok());
                Taken::Later(wait_ms.map(Duration::from_millis))
            }
        })
    }

    /// Keeps jobs, given by id and lock; the locks of those that are lost.
    pub async fn renew(&self, jobs: &[(String, String)], lasts: Duration) -> RedisResult<Vec<String>> {
        self.run(&RENEW, |script| {
            script.arg(ms(lasts));
            for (id, lock) in jobs {
                script.arg(id).arg(lock);
            }
        })
        .await
    }

    pub async fn release(&self, id: &str, lock: &str) -> RedisResult<()> {
        self.run(&RELEASE, |script| {
            script.arg(id).arg(lock);
        })
        .await
    }

    /// Lines up again what nobody keeps; the ids.
    pub async fn line_up_stalled(&self) -> RedisResult<Vec<String>> {
        self.run(&STALLED, |script| {
            script.arg(WORKER).arg(STALLED_CHECK_MS);
        })
        .await
    }

    pub async fn tell_progress(&self, id: &str, lock: &str, progress: f64) -> RedisResult<()> {
        self.run(&PROGRESS, |script| {
            script.arg(id).arg(lock).arg(serde_json::json!(progress).to_string());
        })
        .await
    }

    /// Ends a job: `done`, or `gone` or `taken` where it is not ours any more.
    pub async fn finish(&self, ending: &Ending<'_>) -> RedisResult<String> {
        let stack = match ending.kind {
            "failed" => serde_json::json!([ending.value]).to_string(),
            _ => String::new(),
        };
        let keep_seconds = ending.keep_seconds.map(|seconds| seconds.to_string());
        self.run(&FINISH, |script| {
            script.arg(ending.id).arg(ending.lock).arg(ending.kind);
            script.arg(&ending.value).arg(ending.keep);
            script
                .arg(keep_seconds.unwrap_or_default())
                .arg(ending.attempts)
                .arg(stack);
        })
        .await
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
