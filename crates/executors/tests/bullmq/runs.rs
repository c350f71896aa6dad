//! Runs that producers' jobs start, ended by the tests.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use quintet_core::id::RunId;
use quintet_executors::bullmq::{Ended, IncomingJob, StartError, Starts};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::PATIENCE;

#[derive(Default)]
pub struct Runs {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    runs: Vec<Run>,
    /// How often a run was found by its key instead of started.
    found: usize,
    refusal: Option<String>,
}

#[derive(Clone)]
struct Run {
    job: IncomingJob,
    progress: Option<f64>,
    end: Option<Ended>,
}

impl Runs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let made = change(&mut self.state());
        self.changed.notify_waiters();
        made
    }

    /// Starts nothing from now on.
    pub fn refuse(&self, reason: &str) {
        self.change(|state| state.refusal = Some(reason.to_owned()));
    }

    pub fn count(&self) -> usize {
        self.state().runs.len()
    }

    /// The jobs, in the order in which their runs were started, once there are so many.
    pub async fn started(&self, count: usize) -> Vec<IncomingJob> {
        let enough = |state: &State| {
            let jobs: Vec<IncomingJob> = state.runs.iter().map(|run| run.job.clone()).collect();
            (jobs.len() >= count).then_some(jobs)
        };
        self.until(enough).await
    }

    /// Waits until runs were found again so often.
    pub async fn until_found(&self, count: usize) {
        self.until(|state| (state.found >= count).then_some(())).await;
    }

    /// Says how far the run of a job has come.
    pub fn move_to(&self, job: &str, percent: f64) {
        self.change(|state| state.of(job).progress = Some(percent));
    }

    /// Ends the run of a job.
    pub fn end(&self, job: &str, end: Ended) {
        self.change(|state| state.of(job).end = Some(end));
    }

    pub fn complete(&self, job: &str, result: Value) {
        self.end(job, Ended::Completed(result));
    }

    async fn until<T>(&self, find: impl Fn(&State) -> Option<T>) -> T {
        let found = tokio::time::timeout(PATIENCE, self.found_at_last(find)).await;
        found.unwrap_or_else(|_| panic!("it did not come to that"))
    }

    async fn found_at_last<T>(&self, find: impl Fn(&State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = find(&self.state()) {
                return found;
            }
            changed.await;
        }
    }
}

impl State {
    fn of(&mut self, job: &str) -> &mut Run {
        let run = self.runs.iter_mut().find(|run| run.job.id == job);
        run.expect("a run of this job")
    }
}

#[async_trait]
impl Starts for Runs {
    async fn start(&self, job: &IncomingJob) -> Result<RunId, StartError> {
        self.change(|state| {
            if let Some(reason) = &state.refusal {
                return Err(StartError::Refused(reason.clone()));
            }
            let known = state.runs.iter().position(|run| run.job.key == job.key);
            if known.is_some() {
                state.found += 1;
            }
            let at = known.unwrap_or_else(|| {
                state.runs.push(Run {
                    job: job.clone(),
                    progress: None,
                    end: None,
                });
                state.runs.len() - 1
            });
            Ok(RunId::from_bits(at as u128))
        })
    }

    async fn outcome(&self, run: RunId, progress: &watch::Sender<Option<f64>>) -> Ended {
        let at = run.bits() as usize;
        let end = |state: &State| {
            let run = &state.runs[at];
            progress.send_if_modified(|told| {
                let is_news = *told != run.progress;
                *told = run.progress;
                is_news
            });
            run.end.clone()
        };
        self.found_at_last(end).await
    }
}
