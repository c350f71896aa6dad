//! Attempts that BullMQ workers make: how they get to Redis.
//!
//! An attempt is handed over once its job is in Redis. While Redis is away it is tried again for as long as the attempt
//! lives: nothing has failed that a later moment does not mend, and the attempt's own deadline says when it is too late.
//! Retries are Quintet's: BullMQ is told of one attempt only, and the next attempt is another job.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use quintet_core::outcome::{Failure, Outcome, Token, Work};
use quintet_engine::executor::{Executor, Handed, Mode};
use quintet_engine::tasks;
use redis::RedisResult;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::bridge::{Bridge, Pace};
use super::priority::to_bullmq;
use super::scripts::{NewJob, Queue};
use super::{ACTION, QUEUE_PREFIX};

/// Milliseconds before an attempt is handed over again, by how often that was tried; the last one from then on.
const PAUSES_MS: [u64; 5] = [50, 200, 500, 1_000, 2_000];
/// Attempts on their way to Redis, on a node.
const CONCURRENCY: usize = 512;

/// What a worker is told of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The job's name.
    pub task_type: String,
    /// What is to be done.
    pub payload: Value,
    /// The task that it belongs to.
    pub task_id: String,
    /// The step of that task, where it has steps.
    pub step_id: Option<String>,
    /// Which of the step's attempts this is, from 1.
    pub attempt: u32,
    /// Quintet's: higher sooner, 0 is usual.
    pub priority: i32,
}

/// Knows what workers are to be told.
pub trait Desk: Send + Sync + 'static {
    /// What the worker of this attempt is told. The same for the same attempt, whenever it is asked for.
    ///
    /// # Errors
    /// How the attempt fails if there is nothing that a worker could be told.
    fn order(&self, work: &Work) -> Result<Order, Box<Failure>>;
}

impl Order {
    /// The job as BullMQ's workers read it. The options keep it when it has ended, whatever the worker's own options
    /// are: its result has to be fetched first.
    fn job(&self) -> NewJob<'_> {
        let mut data = json!({
            "type": self.task_type,
            "payload": self.payload,
            "taskId": self.task_id,
            "attempt": self.attempt,
        });
        if let Some(step) = &self.step_id {
            data["stepId"] = json!(step);
        }
        let priority = to_bullmq(self.priority);
        let options = json!({
            "attempts": 1,
            "priority": priority,
            "removeOnComplete": false,
            "removeOnFail": false,
        });
        NewJob {
            name: &self.task_type,
            data: data.to_string(),
            options: options.to_string(),
            priority,
        }
    }
}

/// A queue whose steps BullMQ workers do.
pub(super) struct Outgoing {
    /// Its name in Quintet.
    pub name: Arc<str>,
    pub redis: Queue,
    pub desk: Arc<dyn Desk>,
    pub pace: Pace,
    /// Somebody has a reason to look at the jobs at once.
    pub look_now: Notify,
    pub withdrawn: Notify,
    hands: Mutex<Hands>,
}

/// Attempts that this process has to do with.
#[derive(Default)]
struct Hands {
    /// On their way to Redis.
    giving: HashSet<Token>,
    /// Given since the last look at the jobs began: the store may have been asked before.
    given: HashSet<Token>,
    /// Called off while a worker had them.
    withdrawn: Vec<Token>,
}

/// An attempt on its way to Redis.
struct Giving<'a> {
    lane: &'a Outgoing,
    token: Token,
}

impl Drop for Giving<'_> {
    fn drop(&mut self) {
        let mut hands = self.lane.hands();
        hands.giving.remove(&self.token);
        hands.given.insert(self.token);
    }
}

impl Outgoing {
    pub fn new(name: &str, redis: Queue, desk: Arc<dyn Desk>, pace: Pace) -> Self {
        Self {
            name: name.into(),
            redis,
            desk,
            pace,
            look_now: Notify::new(),
            withdrawn: Notify::new(),
            hands: Mutex::default(),
        }
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a look at the jobs: what was given before it began is what the store knows.
    pub fn begin_look(&self) {
        self.hands().given.clear();
    }

    /// Whether the attempt may have been given after the look began, or is just being given.
    pub fn is_fresh(&self, token: Token) -> bool {
        let hands = self.hands();
        hands.giving.contains(&token) || hands.given.contains(&token)
    }

    pub fn withdraw(&self, token: Token) {
        self.hands().withdrawn.push(token);
        self.withdrawn.notify_one();
    }

    pub fn take_withdrawn(&self) -> Vec<Token> {
        std::mem::take(&mut self.hands().withdrawn)
    }

    /// Puts the attempt's job into Redis, once.
    pub async fn put(&self, token: Token, order: &Order) -> RedisResult<bool> {
        self.redis.put(token, &order.job()).await
    }

    async fn give(&self, token: Token, order: &Order) {
        {
            self.hands().giving.insert(token);
        }
        let _giving = Giving { lane: self, token };
        let mut tries = 0;
        while let Err(error) = self.put(token, order).await {
            if tries == 0 {
                let server = self.redis.link.shown();
                tracing::warn!(queue = &*self.name, server, error = %error, "Redis does not take jobs; trying on");
            }
            let pause_ms = PAUSES_MS[tries.min(PAUSES_MS.len() - 1)];
            tries += 1;
            tasks::pause(Some(Duration::from_millis(pause_ms))).await;
        }
    }
}

/// Hands attempts over to BullMQ workers.
pub struct Workers {
    bridge: Arc<Bridge>,
}

impl Workers {
    pub(super) fn new(bridge: Arc<Bridge>) -> Self {
        Self { bridge }
    }

    fn lane(&self, work: &Work) -> Option<&Arc<Outgoing>> {
        self.bridge.outgoing(work.queue.strip_prefix(QUEUE_PREFIX)?)
    }
}

#[async_trait]
impl Executor for Workers {
    fn actions(&self) -> Vec<String> {
        vec![ACTION.to_owned()]
    }

    fn mode(&self) -> Mode {
        Mode::Outside {
            concurrency: CONCURRENCY,
        }
    }

    async fn hand_over(&self, work: Work) -> Handed {
        let Some(lane) = self.lane(&work) else {
            let message = format!("queue {} is not bridged to BullMQ workers", work.queue);
            return Handed::Answered(Outcome::Failed(Failure::permanent("unsupported_queue", message)));
        };
        match lane.desk.order(&work) {
            Ok(order) => {
                lane.give(work.token, &order).await;
                Handed::Accepted
            }
            Err(failure) => Handed::Answered(Outcome::Failed(*failure)),
        }
    }

    async fn called_off(&self, work: Work) {
        self.withdrawn(work.token);
    }

    fn withdrawn(&self, token: Token) {
        self.bridge.withdraw(token);
    }
}
