//! One loop of the engine: one batch after the other.
//!
//! A batch is whatever arrived while the previous commit was in flight. All its requests are decided on
//! states in memory, written by one commit, and only then answered; effects are released last. Nothing here
//! waits on purpose: alone, a request costs one commit; under load one commit serves hundreds.
//!
//! Answers of executors and the clock go before new requests, so that what was begun ends first.

mod batch;
mod project;
mod settle;
mod timers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quintet_core::command::Command;
use tokio::sync::mpsc;

use self::timers::Timers;
use crate::cache::Cache;
use crate::dispatch::Dispatcher;
use crate::engine::Shared;
use crate::request::Request;
use crate::shards::ShardIds;

/// Most requests decided in one batch.
const MAX_BATCH: usize = 4096;
/// How long a failed store is left alone before the next try.
const STORE_BACKOFF: Duration = Duration::from_millis(200);
/// Commits tried at the end to hand over what is still held.
const HAND_OVER_TRIES: usize = 3;

/// The state of the loop.
pub(crate) struct Pump {
    shared: Arc<Shared>,
    ids: ShardIds,
    cache: Cache,
    dispatcher: Arc<Dispatcher>,
    urgent: mpsc::Receiver<Request>,
    inbox: mpsc::Receiver<Request>,
    /// Requests that the loop made itself.
    local: VecDeque<Request>,
    /// Timers of the runs that were moved here, where the store is not asked for them.
    timers: Timers,
}

impl Pump {
    pub fn new(
        shared: Arc<Shared>,
        ids: ShardIds,
        urgent: mpsc::Receiver<Request>,
        inbox: mpsc::Receiver<Request>,
        dispatcher: Arc<Dispatcher>,
    ) -> Self {
        let cache = Cache::new(shared.config.cache_bytes / shared.config.shards.max(1));
        Self {
            shared,
            ids,
            cache,
            dispatcher,
            urgent,
            inbox,
            local: VecDeque::new(),
            timers: Timers::default(),
        }
    }

    /// Runs until the engine is shut down and everything in flight has been answered or given up.
    pub async fn run(mut self) {
        loop {
            self.due_timers();
            if self.local.is_empty() && !self.wait().await {
                break;
            }
            self.gather();
            if !self.local.is_empty() && !self.process().await {
                crate::tasks::pause(Some(STORE_BACKOFF)).await;
            }
        }
        self.hand_over().await;
        tracing::debug!("engine loop ended");
    }

    /// Waits for a request or the clock; false when there is nothing more to come.
    async fn wait(&mut self) -> bool {
        let draining = self.shared.stop.is_cancelled();
        if draining && self.dispatcher.in_flight() == 0 && self.urgent.is_empty() && self.inbox.is_empty() {
            return false;
        }
        let now = self.shared.clock.now();
        let pause = self
            .timers
            .next()
            .map(|at| Duration::from_micros(u64::try_from(at.0 - now.0).unwrap_or(0)));
        let request = tokio::select! {
            biased;
            request = self.urgent.recv() => request,
            request = self.inbox.recv(), if !self.inbox.is_closed() || !self.inbox.is_empty() => request,
            () = self.dispatcher.drained() => Some(Request::Nudge),
            () = crate::tasks::pause(pause) => Some(Request::Nudge),
            () = self.shared.stop.cancelled(), if !draining => Some(Request::Nudge),
        };
        self.local.extend(request);
        true
    }

    /// Takes everything that has arrived, the urgent first.
    fn gather(&mut self) {
        while self.local.len() < MAX_BATCH {
            let Ok(request) = self.urgent.try_recv() else { break };
            self.local.push_back(request);
        }
        while self.local.len() < MAX_BATCH {
            let Ok(request) = self.inbox.try_recv() else { break };
            self.local.push_back(request);
        }
    }

    fn due_timers(&mut self) {
        if self.shared.stop.is_cancelled() {
            return;
        }
        let now = self.shared.clock.now();
        while self.local.len() < MAX_BATCH
            && let Some((namespace, run)) = self.timers.pop(now)
        {
            self.local.push_back(Request::internal(namespace, run, Command::Tick));
        }
    }

    /// What was given up at the end is put where other nodes find it at once, instead of after the lease.
    async fn hand_over(&mut self) {
        if !self.shared.store.is_shared() {
            return;
        }
        for _ in 0..HAND_OVER_TRIES {
            let held: Vec<_> = self.cache.claimed().collect();
            if held.is_empty() {
                return;
            }
            tracing::info!(runs = held.len(), "handing over what is still under way");
            for (namespace, run) in held {
                self.local.push_back(Request::Recover {
                    namespace,
                    run,
                    alive: Arc::clone(&self.shared.living()),
                    as_of: quintet_core::time::Time(0),
                    ticket: None,
                });
            }
            self.process().await;
            self.local.clear();
        }
    }
}
