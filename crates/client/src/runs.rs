//! Runs: starting, steering and looking at them.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::client::{Call, Client};
use crate::error::Error;
use crate::follow::{Follower, Subject};
use crate::model::{History, Page, Run};

/// Operations on runs.
#[derive(Debug, Clone, Copy)]
pub struct Runs<'a>(pub(crate) &'a Client);

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct StartRun {
    body: Map<String, Value>,
    idempotency_key: Option<String>,
    wait_ms: Option<u64>,
}

impl StartRun {
    /// A run of a stored workflow.
    pub fn workflow(id: &str) -> Self {
        Self::default().with("workflow_id", id.into())
    }

    /// A run of a built-in workflow.
    pub fn template(id: &str) -> Self {
        Self::default().with("template", id.into())
    }

    /// A run of a definition that is not stored as a workflow.
    pub fn inline(document: Value) -> Self {
        Self::default().with("workflow", document)
    }

    /// Its input.
    #[must_use]
    pub fn context(self, context: Value) -> Self {
        self.with("context", context)
    }

    /// Makes the start take effect once, however often it is sent.
    #[must_use]
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.to_owned());
        self
    }

    /// Answers when the run is over, or after so many milliseconds with the run as it then is.
    #[must_use]
    pub fn wait_ms(mut self, ms: u64) -> Self {
        self.wait_ms = Some(ms);
        self
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.body.insert(name.to_owned(), value);
        self
    }
}

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of this workflow.
    pub workflow_id: Option<String>,
    /// In this state.
    pub status: Option<String>,
    /// Accepted at or after (RFC 3339).
    pub created_from: Option<String>,
    /// Accepted before (RFC 3339).
    pub created_before: Option<String>,
    /// Most entries of a page.
    pub limit: Option<u32>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}

/// Who decides, why, and about which step; all may be left out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Decision {
    /// Which step; for approvals the first one that waits, for retries all failed ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What they say to an approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Why a run is held, called off or settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Runs<'_> {
    /// Starts a run; it is stored when this returns.
    pub async fn start(&self, start: &StartRun) -> Result<Run, Error> {
        let call = Call::post(&["v1", "runs"], &start.body)
            .query("wait", start.wait_ms.map(|ms| format!("{ms}ms")))
            .header("idempotency-key", start.idempotency_key.as_ref());
        self.0.json(call).await
    }

    /// One page of runs, newest first.
    pub async fn list(&self, filter: &RunFilter) -> Result<Page<Run>, Error> {
        let call = Call::get(&["v1", "runs"])
            .query("workflow_id", filter.workflow_id.as_ref())
            .query("status", filter.status.as_ref())
            .query("created_from", filter.created_from.as_ref())
            .query("created_before", filter.created_before.as_ref())
            .query("limit", filter.limit)
            .query("cursor", filter.cursor.as_ref());
        self.0.json(call).await
    }

    /// One run.
    pub async fn get(&self, id: &str) -> Result<Run, Error> {
        self.0.json(Call::get(&["v1", "runs", id])).await
    }

    /// Forgets a finished run.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        self.0.bytes(Call::delete(&["v1", "runs", id])).await.map(drop)
    }

    /// Agrees to a step that waits for it.
    pub async fn approve(&self, id: &str, decision: &Decision) -> Result<Run, Error> {
        self.act(id, "approve", decision).await
    }

    /// Declines it.
    pub async fn reject(&self, id: &str, decision: &Decision) -> Result<Run, Error> {
        self.act(id, "reject", decision).await
    }

    /// Calls a run off.
    pub async fn cancel(&self, id: &str, decision: &Decision) -> Result<Run, Error> {
        self.act(id, "cancel", decision).await
    }

    /// Holds a run: nothing new starts.
    pub async fn pause(&self, id: &str, decision: &Decision) -> Result<Run, Error> {
        self.act(id, "pause", decision).await
    }

    /// Lifts the hold.
    pub async fn resume(&self, id: &str, decision: &Decision) -> Result<Run, Error> {
        self.act(id, "resume", decision).await
    }

    /// Tries failed steps again.
    pub async fn retry(&self, id: &str, decision: &Decision) -> Result<Run, Error> {
        self.act(id, "retry", decision).await
    }

    /// Runs a step and everything after it again.
    pub async fn rerun(&self, id: &str, decision: &Decision) -> Result<Run, Error> {
        self.act(id, "rerun", decision).await
    }

    /// Settles a step by hand; with an output it counts as complete. Without a step it settles the whole run.
    pub async fn resolve(&self, id: &str, decision: &Decision, output: Option<Value>) -> Result<Run, Error> {
        let mut body = json!({ "by": decision.by, "reason": decision.reason });
        if let Some(fields) = body.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
            fields.extend(output.map(|output| ("output".to_owned(), output)));
        }
        self.0
            .json(match decision.step.as_deref() {
                Some(step) => Call::post(&["v1", "runs", id, "steps", step, "resolve"], &body),
                None => Call::post(&["v1", "runs", id, "resolve"], &body),
            })
            .await
    }

    /// One page of the steps of a run, each with what became of it; items of a `for_each` come after the steps.
    pub async fn steps(&self, id: &str, cursor: Option<&str>, limit: Option<u32>) -> Result<Page<Value>, Error> {
        let call = Call::get(&["v1", "runs", id, "steps"])
            .query("cursor", cursor)
            .query("limit", limit);
        self.0.json(call).await
    }

    /// The first `most` steps of a run, page by page.
    pub async fn all_steps(&self, id: &str, most: usize) -> Result<Vec<Value>, Error> {
        let (mut steps, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = self.steps(id, cursor.as_deref(), Some(1000)).await?;
            steps.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() || steps.len() >= most {
                steps.truncate(most);
                return Ok(steps);
            }
        }
    }

    /// One step of a run.
    pub async fn step(&self, id: &str, step: &str) -> Result<Value, Error> {
        self.0.json(Call::get(&["v1", "runs", id, "steps", step])).await
    }

    /// Why a run, or a step of it, is not getting on.
    pub async fn why(&self, id: &str, step: Option<&str>) -> Result<Value, Error> {
        match step {
            Some(step) => self.0.json(Call::get(&["v1", "runs", id, "steps", step, "why"])).await,
            None => self.0.json(Call::get(&["v1", "runs", id, "why"])).await,
        }
    }

    /// What happened to a run, after entry `after`, oldest first; at most `limit` entries, each of several events.
    pub async fn history(&self, id: &str, after: Option<u64>, limit: Option<u32>) -> Result<History, Error> {
        let call = Call::get(&["v1", "runs", id, "history"])
            .query("after", after)
            .query("limit", limit);
        self.0.json(call).await
    }

    /// The lines of a run's log.
    pub async fn logs(&self, id: &str) -> Result<Page<String>, Error> {
        self.0.json(Call::get(&["v1", "runs", id, "logs"])).await
    }

    /// Writes a line into it.
    pub async fn append_log(&self, id: &str, line: &str) -> Result<(), Error> {
        let mut call = Call::post(&["v1", "runs", id, "logs"], &Value::Null);
        call.body = Some(line.to_owned().into());
        self.0.bytes(call).await.map(drop)
    }

    /// Follows the log from its first line until the run is over, across broken connections.
    pub fn follow_logs(&self, id: &str) -> Follower {
        self.follow(id, &["logs", "stream"])
    }

    /// Follows what happens to a run, from its start until it is over, across broken connections.
    pub fn follow_events(&self, id: &str) -> Follower {
        self.follow(id, &["events"])
    }

    fn follow(&self, id: &str, what: &'static [&'static str]) -> Follower {
        let id = id.to_owned();
        Follower::new(self.0.clone(), Subject::Run { id, what })
    }

    async fn act(&self, id: &str, action: &str, decision: &Decision) -> Result<Run, Error> {
        self.0.json(Call::post(&["v1", "runs", id, action], decision)).await
    }
}
