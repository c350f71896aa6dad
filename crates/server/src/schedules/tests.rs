//! Keepers in virtual time: what fires when, once, whatever happens in between.

mod firing;
mod steering;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_engine::Idempotency;
use quintet_engine::clock::Clock;
use quintet_store::{MemoryStore, Store};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{Draft, Fire, Launch, LaunchError, Launched, Missed, Overlap, Report, Schedule, Schedules, Spec, Target};
use crate::error_code::ErrorCode;

const HOUR_MS: u64 = 3_600_000;

fn at(text: &str) -> Time {
    Time::parse_rfc3339(text).expect(text)
}

fn namespace() -> Arc<str> {
    "default".into()
}

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

/// Starts nothing, but remembers what it was asked to start, and gives the same run for the same key.
#[derive(Default)]
struct Starts {
    by_key: Mutex<HashMap<String, RunId>>,
    order: Mutex<Vec<String>>,
    asked: AtomicU64,
    /// Workflows that cannot be started, and why.
    refused: Mutex<HashMap<String, ErrorCode>>,
    /// Each start has happened when it takes one of these, and is answered when it gets one of the others.
    gate: Option<(Semaphore, Semaphore)>,
}

impl Starts {
    fn gated() -> Self {
        Self {
            gate: Some((Semaphore::new(0), Semaphore::new(0))),
            ..Self::default()
        }
    }

    /// Keys in the order of their starts.
    fn keys(&self) -> Vec<String> {
        self.order.lock().expect("order").clone()
    }

    async fn has_started(&self) {
        let (started, _) = self.gate.as_ref().expect("gated");
        started.acquire().await.expect("open").forget();
    }

    fn answer(&self) {
        self.gate.as_ref().expect("gated").1.add_permits(1);
    }

    fn refuse(&self, workflow: &str, code: Option<ErrorCode>) {
        let mut refused = self.refused.lock().expect("refused");
        match code {
            Some(code) => drop(refused.insert(workflow.to_owned(), code)),
            None => drop(refused.remove(workflow)),
        }
    }
}

#[async_trait]
impl Launch for Starts {
    async fn check(&self, _: &Arc<str>, _: &Target) -> Result<(), LaunchError> {
        Ok(())
    }

    async fn launch(
        &self,
        _: &Arc<str>,
        target: &Target,
        fire: &Fire,
        key: Option<Idempotency>,
    ) -> Result<Launched, LaunchError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        assert_ne!(&*fire.schedule, "bad", "this one panics");
        if let Target::Workflow { workflow_id, .. } = target
            && let Some(code) = self.refused.lock().expect("refused").get(workflow_id)
        {
            return Err(LaunchError::new(*code, "refused"));
        }
        let key = key.map_or_else(|| format!("{}#{asked}", fire.schedule), |key| key.key);
        let mut is_new = false;
        let run = *self.by_key.lock().expect("keys").entry(key.clone()).or_insert_with(|| {
            is_new = true;
            RunId::from_bits(u128::from(asked) + 1)
        });
        if is_new {
            self.order.lock().expect("order").push(key);
        }
        if let Some((started, answer)) = &self.gate {
            started.add_permits(1);
            answer.acquire().await.expect("open").forget();
        }
        Ok(Launched { run, is_new })
    }
}

/// A keeper in a world of its own, or beside another one.
struct Rig {
    clock: Arc<Hands>,
    store: Arc<dyn Store>,
    starts: Arc<Starts>,
    schedules: Arc<Schedules>,
}

impl Rig {
    fn new(now: &str) -> Self {
        Self::with(now, Starts::default())
    }

    fn with(now: &str, starts: Starts) -> Self {
        let clock = Arc::new(Hands(AtomicI64::new(at(now).0)));
        Self::on(Arc::new(MemoryStore::new()), clock, Arc::new(starts))
    }

    fn on(store: Arc<dyn Store>, clock: Arc<Hands>, starts: Arc<Starts>) -> Self {
        let schedules = Schedules::new(Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Clock>);
        schedules.serve_workflows(Arc::clone(&starts) as Arc<dyn Launch>);
        Self {
            clock,
            store,
            starts,
            schedules: Arc::new(schedules),
        }
    }

    fn beside(&self) -> Self {
        Self::on(
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            Arc::clone(&self.starts),
        )
    }

    async fn add(&self, id: &str, cron: &str, zone: &str) -> Schedule {
        self.add_as(id, cron, zone, Missed::Latest).await
    }

    async fn add_as(&self, id: &str, cron: &str, zone: &str, missed: Missed) -> Schedule {
        let draft = draft(id, cron, zone, missed);
        self.schedules.create(&namespace(), draft).await.expect("created")
    }

    async fn get(&self, id: &str) -> Schedule {
        self.schedules.get("default", id).await.expect("there")
    }

    /// Moves the clock and does what is due then.
    async fn tick_at(&self, now: Time) -> Report {
        self.clock.0.store(now.0, Ordering::SeqCst);
        self.schedules.tick().await.expect("tick")
    }
}

fn draft(id: &str, cron: &str, zone: &str, missed: Missed) -> Draft {
    Draft {
        id: Some(id.to_owned()),
        spec: Spec {
            name: id.to_owned(),
            cron: cron.to_owned(),
            timezone: zone.to_owned(),
            target: Target::Workflow {
                workflow_id: id.to_owned(),
                context: json!({}),
                priority: 0,
            },
            missed,
            overlap: Overlap::Allow,
            note: None,
        },
        paused: false,
    }
}
