//! Jobs of BullMQ producers, and the runs that they become.
//!
//! Quintet is a worker here. It takes a job, starts a run under a key made from the job, keeps the job's lock for as long
//! as the run goes on, and ends the job as the run ended. When a node dies, its locks run out, the jobs are lined up again
//! by whoever notices, and the next taker finds by the key the run that was started: it is waited for, not started again.
//! A lock that ran out because Redis was away is taken again if nobody has noticed.

mod held;
mod job;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use quintet_core::id::RunId;
use quintet_engine::tasks;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value, cmd};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bridge::Pace;
use super::scripts::{Queue, Taken};
use held::Held;
use job::Job;

/// How long jobs may take to be given back when the server stops.
const GIVING_BACK: Duration = Duration::from_secs(2);

/// A producer's job, ready to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct IncomingJob {
    /// The queue, by its name in Quintet.
    pub queue: Arc<str>,
    /// The job's id in BullMQ.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it asks for, as a document of the tasks face.
    pub document: serde_json::Value,
    /// The same whenever the job is seen, and for no other job.
    pub key: String,
}

/// Why a run was not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// It cannot be; the job fails with this.
    Refused(String),
    /// Not now.
    Unavailable(String),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// With this result.
    Completed(serde_json::Value),
    /// With this error.
    Failed(String),
}

/// Starts runs for jobs: the engine, behind what it is to be asked here.
#[async_trait]
pub trait Starts: Send + Sync + 'static {
    /// Starts the run of a job, or finds the one that was started under its key.
    async fn start(&self, job: &IncomingJob) -> Result<RunId, StartError>;

    /// Waits until a run is over. How far it has come, 0 to 100, goes to `progress`.
    async fn outcome(&self, run: RunId, progress: &watch::Sender<Option<f64>>) -> Ended;
}

/// What tells this process from others in locks.
static PROCESS: LazyLock<String> = LazyLock::new(|| {
    let mut bytes = [0; 12];
    // Without randomness two processes might share a name, which does no more harm than a job seen twice.
    let _ = getrandom::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
});

/// A queue whose producers' jobs become runs.
pub(super) struct Incoming {
    name: Arc<str>,
    /// What the keys of its runs begin with.
    key: String,
    redis: Queue,
    pace: Pace,
    held: Held,
    places: Arc<Semaphore>,
}

impl Incoming {
    pub fn new(name: &str, key: String, redis: Queue, concurrency: u32, pace: Pace) -> Self {
        Self {
            name: name.into(),
            key,
            redis,
            pace,
            held: Held::default(),
            places: Arc::new(Semaphore::new(concurrency as usize)),
        }
    }

    /// Takes jobs until `stop`, and then gives back those whose runs go on.
    pub async fn carry_in(self: Arc<Self>, starts: Arc<dyn Starts>, stop: CancellationToken) {
        let under_way = TaskTracker::new();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.take_jobs(&starts, &under_way, &stop) => {}
            () = self.keep_house() => {}
        }
        under_way.close();
        tokio::select! {
            () = under_way.wait() => {}
            () = tasks::pause(Some(GIVING_BACK)) => tracing::info!(queue = &*self.name, "jobs are left to their locks"),
        }
    }

    async fn breathe(&self) {
        tasks::pause(Some(self.pace.retry)).await;
    }

    async fn take_jobs(self: &Arc<Self>, starts: &Arc<dyn Starts>, under_way: &TaskTracker, stop: &CancellationToken) {
        let mut bell = Bell::default();
        let mut is_away = false;
        let mut place = None;
        loop {
            let free = match place.take() {
                Some(place) => place,
                None => match Arc::clone(&self.places).acquire_owned().await {
                    Ok(place) => place,
                    // It is never closed.
                    Err(_) => return,
                },
            };
            match self.take_one(free, starts, under_way, stop).await {
                Ok(None) => is_away = false,
                Ok(Some((unused, wait))) => {
                    is_away = false;
                    place = Some(unused);
                    self.wait_for_jobs(&mut bell, wait).await;
                }
                Err(error) => {
                    if !is_away {
                        let server = self.redis.link.shown();
                        tracing::warn!(queue = &*self.name, server, error = %error, "Redis is away; no jobs are taken");
                    }
                    is_away = true;
                    self.breathe().await;
                }
            }
        }
    }

    /// Takes a job and lets it be done beside; gives the place back with how long to wait if there is none.
    async fn take_one(
        self: &Arc<Self>,
        place: OwnedSemaphorePermit,
        starts: &Arc<dyn Starts>,
        under_way: &TaskTracker,
        stop: &CancellationToken,
    ) -> RedisResult<Option<(OwnedSemaphorePermit, Option<Duration>)>> {
        let lock = self.held.next_lock(&PROCESS);
        match self.redis.take(&lock, self.pace.lock).await? {
            Taken::Later(wait) => Ok(Some((place, wait))),
            Taken::Job { id, fields } => {
                let job = Job::read(id, lock, fields);
                let (lane, starts, stop) = (Arc::clone(self), Arc::clone(starts), stop.clone());
                let token = under_way.token();
                let task = async move {
                    lane.see_through(job, starts, stop).await;
                    drop((place, token));
                };
                tasks::spawn("bullmq job", task);
                Ok(None)
            }
        }
    }

    /// Waits as BullMQ's own workers do: for the marker that a new job sets.
    async fn wait_for_jobs(&self, bell: &mut Bell, wait: Option<Duration>) {
        let longest = wait.map_or(self.pace.block, |wait| wait.min(self.pace.block));
        // Redis takes 0 for ever.
        let longest = longest.max(Duration::from_millis(1));
        if let Err(error) = bell.ring(&self.redis, longest, self.pace.block).await {
            tracing::debug!(queue = &*self.name, error = %error, "the wait for jobs broke off");
            bell.0 = None;
            tasks::pause(Some(longest.min(self.pace.retry))).await;
        }
    }

    /// Keeps the jobs in hand, and lines up again what others have left. In this order: locks that ran out while Redis
    /// was away are taken again before anybody takes their jobs for left.
    async fn keep_house(&self) {
        loop {
            if let Err(error) = self.keep_house_once().await {
                tracing::debug!(queue = &*self.name, error = %error, "locks could not be renewed");
            }
            tasks::pause(Some(self.pace.lock / 3)).await;
        }
    }

    async fn keep_house_once(&self) -> RedisResult<()> {
        let jobs = self.held.all();
        if !jobs.is_empty() {
            let lost = self.redis.renew(&jobs, self.pace.lock).await?;
            lost.iter().for_each(|lock| self.held.lose(lock));
        }
        let stalled = self.redis.line_up_stalled().await?;
        if !stalled.is_empty() {
            tracing::info!(
                queue = &*self.name,
                jobs = stalled.len(),
                "jobs that were left are taken again"
            );
        }
        Ok(())
    }
}

/// The connection on which jobs are waited for.
#[derive(Default)]
struct Bell(Option<MultiplexedConnection>);

impl Bell {
    async fn ring(&mut self, redis: &Queue, longest: Duration, block: Duration) -> RedisResult<()> {
        let connection = match &mut self.0 {
            Some(connection) => connection,
            slot @ None => slot.insert(redis.link.blocking(block).await?),
        };
        let _: Value = cmd("BZPOPMIN")
            .arg(redis.keys.key("marker"))
            .arg(longest.as_secs_f64())
            .query_async(connection)
            .await?;
        Ok(())
    }
}
