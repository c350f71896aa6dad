//! Queues shared with the real BullMQ, both major versions, through a real Redis server.
//!
//! The engine and the store are played by a ledger that counts: what is lost, and what is done twice, shows there.

#![cfg(feature = "redis")]

mod ledger;
mod outages;
mod producers;
mod runs;
mod taken_over;
mod workers;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use quintet_engine::tasks;
use quintet_executors::bullmq::{Bridge, BullmqSettings, Desk, Mode, Pace, QueueSettings, Workers};
use quintet_testkit::bullmq::Player;
use quintet_testkit::redis::Redis;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use ledger::Ledger;
use runs::Runs;

/// The bridged queue's name, here and there.
const QUEUE: &str = "gpu";
const NAME: &str = "declarative-worker-api-gpu";

/// Quick enough for tests; a lock still outlives a busy moment of the machine.
const PACE: Pace = Pace {
    look: Duration::from_millis(200),
    lock: Duration::from_millis(1_500),
    block: Duration::from_millis(500),
    retry: Duration::from_millis(50),
};

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bridge that runs, as a node has it.
struct Node {
    bridge: Arc<Bridge>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Node {
    fn start(redis: &Redis, mode: Mode, ledger: &Arc<Ledger>, runs: &Arc<Runs>) -> Self {
        Self::with(redis, QueueSettings::new(mode), ledger, runs)
    }

    fn with(redis: &Redis, queue: QueueSettings, ledger: &Arc<Ledger>, runs: &Arc<Runs>) -> Self {
        let settings = BullmqSettings {
            url: redis.url(),
            queues: [(QUEUE.to_owned(), queue)].into(),
            ..BullmqSettings::default()
        };
        let desk: Arc<dyn Desk> = Arc::new(ledger::OrderDesk);
        let bridge = Bridge::new(&settings, &desk, PACE).expect("settings");
        let stop = CancellationToken::new();
        let (running, returns, starts) = (Arc::clone(&bridge), Arc::clone(ledger), Arc::clone(runs));
        let stopped = stop.clone();
        let running = tasks::spawn("bridge", async move { running.run(returns, starts, stopped).await });
        Self { bridge, stop, running }
    }

    fn workers(&self) -> Workers {
        self.bridge.workers()
    }

    /// Ends as a server ends that is asked to.
    async fn shut_down(self) {
        self.stop.cancel();
        self.running.await.expect("the bridge ends");
    }

    /// Ends as a process ends that is killed: nothing more is said to Redis.
    async fn crash(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

/// A place where attempts are given to workers.
struct Shop {
    redis: Redis,
    ledger: Arc<Ledger>,
    node: Node,
}

impl Shop {
    fn open() -> Self {
        let redis = Redis::start().expect("Redis");
        let ledger = Arc::<Ledger>::default();
        let node = Node::start(&redis, Mode::Workers, &ledger, &Arc::default());
        Self { redis, ledger, node }
    }

    fn player(&self, version: &str) -> Player {
        player(version, &self.redis)
    }

    /// A player that works, with these options.
    fn worker(&self, version: &str, options: &Value) -> Player {
        let mut player = self.player(version);
        player.work(options).expect("it works");
        player
    }
}

fn player(version: &str, redis: &Redis) -> Player {
    Player::start(version, &redis.url(), NAME).expect("a player")
}

/// Waits for what comes true without a signal.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let looks = async {
        while !is_so().await {
            tasks::pause(Some(Duration::from_millis(10))).await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, looks).await;
    assert!(came.is_ok(), "{what} did not come true");
}

/// A connection for looking at Redis directly.
async fn look_at(redis: &Redis) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(redis.url()).expect("a url");
    client.get_multiplexed_async_connection().await.expect("a connection")
}

/// Keys of the queue that belong to single jobs, with the marks that dropped jobs leave for a minute.
async fn keys_of_jobs(redis: &Redis) -> Vec<String> {
    let mut connection = look_at(redis).await;
    let pattern = format!("bull:{NAME}:*run_*");
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg(pattern)
        .query_async(&mut connection)
        .await
        .expect("keys");
    keys
}
