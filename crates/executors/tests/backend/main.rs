//! Compute backends against one that does what it is told: what goes over the wire, which backend is taken, how failures
//! are classed, and how a circuit opens and closes.

mod breaker;
mod choice;
mod jobs;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use quintet_core::outcome::{Failure, Outcome, Success, Work};
use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_engine::executor::Executor;
use quintet_executors::backend::{BackendSettings, Backends, Circuit, Desk, Kind, Order, Remote, Resources, Rules};
use quintet_executors::egress::{Client, Guard, Policy};
use serde_json::{Value, json};
use support::work;

/// How long something may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// A clock that stands until it is moved.
#[derive(Default)]
struct Hand(AtomicI64);

impl Hand {
    fn move_on(&self, by: Duration) {
        self.0
            .fetch_add(i64::try_from(by.as_micros()).expect("short"), Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

/// Orders what the step's input says.
struct AsWritten;

impl Desk for AsWritten {
    fn order(&self, work: &Work) -> Result<Order, Failure> {
        Ok(Order {
            task_type: work.input["type"].as_str().unwrap_or("echo").to_owned(),
            payload: work.input["payload"].clone(),
            backend: work.input["backend"].as_str().map(str::to_owned),
            resources: Resources::default(),
            timeout: work.input["timeout_ms"].as_u64().map(Duration::from_millis),
        })
    }
}

/// Backends behind the executor.
struct Rig {
    clock: Arc<Hand>,
    backends: Arc<Backends>,
    remote: Arc<Remote>,
}

/// Short pauses, and answers about health that are believed until the clock is moved.
fn rules() -> Rules {
    Rules {
        probe_min_ms: 1,
        probe_max_ms: 4,
        job_poll_min_ms: 1,
        job_poll_max_ms: 5,
        ..Rules::default()
    }
}

fn settings(backends: Vec<(&str, BackendSettings)>) -> BTreeMap<String, BackendSettings> {
    let named = backends.into_iter().map(|(name, settings)| (name.to_owned(), settings));
    named.collect()
}

fn modal(url: &str) -> BackendSettings {
    BackendSettings::new(Kind::Modal, url)
}

impl Rig {
    fn new(backends: Vec<(&str, BackendSettings)>) -> Self {
        Self::with_rules(backends, &rules())
    }

    fn with_rules(backends: Vec<(&str, BackendSettings)>, rules: &Rules) -> Self {
        let clock = Arc::new(Hand::default());
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let client = Client::new(Guard::new(Policy::default()));
        let backends = Backends::new(&settings(backends), rules, &client, &shared).expect("backends");
        let backends = Arc::new(backends);
        let remote = Arc::new(Remote::new(Arc::clone(&backends), Arc::new(AsWritten)));
        Self {
            clock,
            backends,
            remote,
        }
    }

    async fn execute(&self, input: Value) -> Outcome {
        self.remote.execute(work("backend", input)).await
    }

    async fn succeed(&self, input: Value) -> Success {
        match self.execute(input).await {
            Outcome::Succeeded(success) => success,
            Outcome::Failed(failure) => panic!("failed: {failure:?}"),
        }
    }

    async fn fail(&self, input: Value) -> Failure {
        match self.execute(input).await {
            Outcome::Failed(failure) => failure,
            Outcome::Succeeded(success) => panic!("succeeded: {success:?}"),
        }
    }

    fn circuit(&self, name: &str) -> Circuit {
        let health = self.backends.describe().into_iter().find(|health| health.name == name);
        health.expect("a backend").circuit
    }

    /// Until the circuit is so; which it becomes by itself.
    async fn until(&self, name: &str, circuit: Circuit) {
        let mut changes = self.backends.changes();
        let turned = async {
            while self.circuit(name) != circuit {
                changes.changed().await.expect("backends");
            }
        };
        tokio::time::timeout(PATIENCE, turned).await.expect("the circuit turns");
    }
}

/// Until something is so that gives no signal.
async fn until(mut is_so: impl FnMut() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it comes about");
}

fn task(task_type: &str) -> Value {
    json!({ "type": task_type, "payload": { "n": 1 } })
}

fn task_for(backend: &str, task_type: &str) -> Value {
    json!({ "type": task_type, "payload": { "n": 1 }, "backend": backend })
}
