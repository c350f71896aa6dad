//! One job in hand, from the lock to the end.

use std::sync::Arc;

use quintet_core::id::RunId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Ended, Incoming, IncomingJob, StartError, Starts};
use crate::bullmq::document::document;
use crate::bullmq::options::Options;
use crate::bullmq::scripts::Ending;

/// What BullMQ writes into a job that was left too often. Being left loses nothing here, so it is no reason to fail.
const LEFT_TOO_OFTEN: &str = "job stalled more than allowable limit";

/// A job as it was taken.
pub(super) struct Job {
    id: String,
    lock: String,
    name: String,
    data: String,
    timestamp: String,
    options: Options,
    /// A reason to fail without being done: a child of it has failed.
    doomed: Option<String>,
}

impl Job {
    pub fn read(id: String, lock: String, fields: Vec<(String, String)>) -> Self {
        let mut job = Self {
            id,
            lock,
            name: String::new(),
            data: "{}".to_owned(),
            timestamp: String::new(),
            options: Options::default(),
            doomed: None,
        };
        let mut is_repeated = false;
        for (field, value) in fields {
            match field.as_str() {
                "name" => job.name = value,
                "data" => job.data = value,
                "timestamp" => job.timestamp = value,
                "opts" => job.options = Options::read(&value),
                "defa" if value != LEFT_TOO_OFTEN => job.doomed = Some(value),
                "rjk" => is_repeated = true,
                _ => {}
            }
        }
        if is_repeated {
            job.options.set_repeated();
        }
        job
    }

    fn incoming(&self, lane: &Incoming) -> Result<IncomingJob, String> {
        if let Some(reason) = &self.doomed {
            return Err(reason.clone());
        }
        Ok(IncomingJob {
            queue: Arc::clone(&lane.name),
            id: self.id.clone(),
            name: self.name.clone(),
            document: document(&lane.name, &self.name, &self.data, &self.options)?,
            key: format!("{}:{}:{}", lane.key, self.id, self.timestamp),
        })
    }

    fn ending(&self, ended: &Ended) -> Ending<'_> {
        let (kind, value) = match ended {
            Ended::Completed(result) => ("completed", result.to_string()),
            Ended::Failed(reason) => ("failed", reason.clone()),
        };
        let keep = self.options.keep(kind == "completed");
        // What was tried in vain was tried as often as the producer wanted; nobody there is to try it again.
        let attempts = match ended {
            Ended::Completed(_) => 1,
            Ended::Failed(_) => self.options.attempts().max(1),
        };
        Ending {
            id: &self.id,
            lock: &self.lock,
            kind,
            value,
            keep: keep.count,
            keep_seconds: keep.seconds,
            attempts,
        }
    }
}

impl Incoming {
    /// Does a job to its end, unless it is lost or the server stops.
    pub(super) async fn see_through(&self, job: Job, starts: Arc<dyn Starts>, stop: CancellationToken) {
        let lost = self.held.add(&job.id, &job.lock);
        tokio::select! {
            () = self.work(&job, starts.as_ref()) => {}
            () = lost.cancelled() => {
                tracing::warn!(queue = &*self.name, job = job.id, "the job's lock was lost; its run goes on without it");
            }
            () = stop.cancelled() => {
                if let Err(error) = self.redis.release(&job.id, &job.lock).await {
                    tracing::debug!(job = job.id, error = %error, "the job could not be given back");
                }
            }
        }
        self.held.remove(&job.lock);
    }

    async fn work(&self, job: &Job, starts: &dyn Starts) {
        let ended = match job.incoming(self) {
            Ok(incoming) => match self.start(&incoming, starts).await {
                Ok(run) => self.wait_for(run, job, starts).await,
                Err(reason) => Ended::Failed(reason),
            },
            Err(reason) => Ended::Failed(reason),
        };
        self.finish(job, &ended).await;
    }

    async fn start(&self, incoming: &IncomingJob, starts: &dyn Starts) -> Result<RunId, String> {
        loop {
            match starts.start(incoming).await {
                Ok(run) => {
                    tracing::debug!(queue = &*self.name, job = incoming.id, run = %run, "the job is a run");
                    return Ok(run);
                }
                Err(StartError::Refused(reason)) => return Err(reason),
                Err(StartError::Unavailable(reason)) => {
                    tracing::debug!(
                        queue = &*self.name,
                        job = incoming.id,
                        reason,
                        "the job waits to be started"
                    );
                }
            }
            self.breathe().await;
        }
    }

    /// Waits for the run's end and tells Redis how far it has come; what Redis does not hear is told by the end.
    async fn wait_for(&self, run: RunId, job: &Job, starts: &dyn Starts) -> Ended {
        let (sender, mut progress) = watch::channel(None);
        let outcome = starts.outcome(run, &sender);
        tokio::pin!(outcome);
        loop {
            tokio::select! {
                ended = &mut outcome => return ended,
                Ok(()) = progress.changed() => {
                    let now = *progress.borrow_and_update();
                    let Some(now) = now else { continue };
                    if let Err(error) = self.redis.tell_progress(&job.id, &job.lock, now).await {
                        tracing::debug!(job = job.id, error = %error, "progress was not told");
                    }
                }
            }
        }
    }

    async fn finish(&self, job: &Job, ended: &Ended) {
        loop {
            match self.redis.finish(&job.ending(ended)).await {
                Ok(answer) if answer == "done" => return,
                Ok(answer) => {
                    tracing::warn!(
                        queue = &*self.name,
                        job = job.id,
                        answer,
                        "the job was no longer in hand when it ended"
                    );
                    return;
                }
                Err(error) => tracing::debug!(job = job.id, error = %error, "the end of a job waits for Redis"),
            }
            self.breathe().await;
        }
    }
}
