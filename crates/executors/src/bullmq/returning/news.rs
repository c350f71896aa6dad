//! What a queue's events say about jobs of ours.

use quintet_core::outcome::{Outcome, Token};
use redis::FromRedisValue;
use redis::streams::StreamId;

use crate::bullmq::answer::{self, Progress};
use crate::bullmq::keys::JobId;

/// What an event says about a job of ours.
pub(super) enum News {
    Progress(Progress),
    /// With the result as JSON.
    Completed(String),
    /// With the reason.
    Failed(String),
}

impl News {
    pub fn read(event: &StreamId) -> Option<(Token, Self)> {
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

    pub fn is_end(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Failed(_))
    }

    pub fn end(self) -> Option<Outcome> {
        match self {
            Self::Progress(_) => None,
            Self::Completed(result) => Some(answer::completed(&result)),
            Self::Failed(reason) => Some(answer::failed(&reason, None)),
        }
    }
}
