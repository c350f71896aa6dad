//! Dead letters: tasks that failed for good, with everything that is needed to try them again.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::{Call, Client};
use crate::error::Error;

/// Operations on dead letters.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetters<'a>(pub(crate) &'a Client);

/// A task that failed for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// Which task run it was.
    #[serde(default)]
    pub task_run_id: String,
    /// Of which task.
    #[serde(default)]
    pub task_id: String,
    /// In which run of a pipeline; absent for a task that was queued alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_run_id: Option<String>,
    /// Of which pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_id: Option<String>,
    /// Version of its code that failed.
    #[serde(default)]
    pub code_version: u64,
    /// Why it failed the last time.
    #[serde(default)]
    pub error: String,
    /// The worker's code for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u64,
    /// When it failed for good.
    #[serde(default)]
    pub failed_at: String,
    /// When it was tried again, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_at: Option<String>,
    /// Everything else: input, upstream results, the errors of all attempts.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    /// Of this pipeline.
    pub pipeline_id: Option<String>,
    /// Of this task.
    pub task_id: Option<String>,
    /// Also those that were tried again.
    pub is_retried_included: bool,
    /// How many at most.
    pub limit: Option<u32>,
    /// Behind so many.
    pub offset: Option<u64>,
}

/// A part of the list, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterPage {
    /// The entries.
    pub items: Vec<DeadLetter>,
    /// How many there are in all.
    pub total: u64,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A task that is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retried {
    /// The task run that does it.
    pub new_run_id: String,
    /// Where it stands.
    #[serde(default)]
    pub status: String,
    /// Version of its code now.
    #[serde(default)]
    pub code_version: u64,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Tasks that are tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetriedAll {
    /// How many.
    pub retried: u64,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

#[derive(Deserialize)]
struct Purged {
    purged: u64,
}

impl DeadLetters<'_> {
    /// A part of them, newest first.
    pub async fn list(&self, filter: &DeadLetterFilter) -> Result<DeadLetterPage, Error> {
        let call = Call::get(&["api", "dlq"])
            .query("pipelineId", filter.pipeline_id.as_ref())
            .query("taskId", filter.task_id.as_ref())
            .query("includeRetried", filter.is_retried_included.then_some(true))
            .query("limit", filter.limit)
            .query("offset", filter.offset);
        self.0.json(call).await
    }

    /// One of them, by its own id or by that of its task run.
    pub async fn get(&self, id: &str) -> Result<DeadLetter, Error> {
        self.0.json(Call::get(&["api", "dlq", id])).await
    }

    /// Tries one again, with the code that the workers have now.
    pub async fn retry(&self, id: &str) -> Result<Retried, Error> {
        self.0.json(Call::post(&["api", "dlq", id, "retry"], &json!({}))).await
    }

    /// Tries all of them again, or those of a pipeline or a task.
    pub async fn retry_all(&self, pipeline_id: Option<&str>, task_id: Option<&str>) -> Result<RetriedAll, Error> {
        let mut body = Map::new();
        body.extend(pipeline_id.map(|id| ("pipelineId".to_owned(), id.into())));
        body.extend(task_id.map(|id| ("taskId".to_owned(), id.into())));
        self.0.json(Call::post(&["api", "dlq", "retry-all"], &body)).await
    }

    /// Removes those that are older than a span such as `7d` or `24h`; gives how many that were.
    pub async fn purge(&self, older_than: &str) -> Result<u64, Error> {
        let call = Call::post(&["api", "dlq", "purge"], &json!({ "olderThan": older_than }));
        let purged: Purged = self.0.json(call).await?;
        Ok(purged.purged)
    }
}
