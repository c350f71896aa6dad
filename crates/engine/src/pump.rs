//! The engine's loop: one batch after the other.
//!
//! A batch is whatever arrived while the previous commit was in flight. All its requests are decided on
//! states in memory, written by one commit, and only then answered; effects are released last. Nothing here
//! waits on purpose: alone, a request costs one commit; under load one commit serves hundreds.
//!
//! Answers of executors and the clock go before new requests, so that what was begun ends first.

mod batch;
mod settle;
mod wake;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quintet_core::id::{IdSource, RunId};
use quintet_core::time::Time;
use tokio::sync::mpsc;

use crate::cache::Cache;
use crate::dispatch::Dispatcher;
use crate::engine::Shared;
use crate::error::EngineError;
use crate::request::Request;

/// Most requests decided in one batch.
const MAX_BATCH: usize = 4096;
/// How long a failed store is left alone before the next try.
const STORE_BACKOFF: Duration = Duration::from_millis(200);

/// The state of the loop.
pub(crate) struct Pump {
    shared: Arc<Shared>,
    ids: Box<dyn IdSource>,
    cache: Cache,
    dispatcher: Arc<Dispatcher>,
    urgent: mpsc::Receiver<Request>,
    inbox: mpsc::Receiver<Request>,
    /// Requests that the loop made itself.
    local: VecDeque<Request>,
    /// No unfinished run has a timer before this.
    next_wake: Option<Time>,
    recovery: wake::Recovery,
    /// Runs of the batch at hand that could not be loaded.
    unloadable: HashMap<RunId, EngineError>,
}

impl Pump {
    pub fn new(
        shared: Arc<Shared>,
        ids: Box<dyn IdSource>,
        urgent: mpsc::Receiver<Request>,
        inbox: mpsc::Receiver<Request>,
        dispatcher: Arc<Dispatcher>,
    ) -> Self {
        let cache = Cache::new(shared.config.cache_bytes);
        // The first look at the clock happens at once: timers may have come due while nobody was there.
        let next_wake = Some(Time(0));
        Self {
            shared,
            ids,
            cache,
            dispatcher,
            urgent,
            inbox,
            local: VecDeque::new(),
            next_wake,
            recovery: wake::Recovery::default(),
            unloadable: HashMap::new(),
        }
    }

    /// Runs until the engine is shut down and everything in flight has been answered or given up.
    pub async fn run(mut self) {
        loop {
            self.look_for_work().await;
            if self.local.is_empty() && !self.wait().await {
                break;
            }
            self.gather();
            if !self.local.is_empty() && !self.process().await {
                crate::tasks::pause(Some(STORE_BACKOFF)).await;
            }
        }
        tracing::debug!("engine loop ended");
    }

    /// Waits for a request or the clock; false when there is nothing more to come.
    async fn wait(&mut self) -> bool {
        let now = self.shared.clock.now();
        let pause = self
            .next_wake
            .map(|at| Duration::from_micros(u64::try_from(at.0 - now.0).unwrap_or(0)));
        let draining = self.shared.draining.load(Ordering::Acquire);
        if draining && self.dispatcher.in_flight() == 0 && self.urgent.is_empty() && self.inbox.is_empty() {
            return false;
        }
        let request = tokio::select! {
            biased;
            request = self.urgent.recv() => request,
            request = self.inbox.recv(), if !self.inbox.is_closed() || !self.inbox.is_empty() => request,
            () = self.dispatcher.freed() => Some(Request::Nudge),
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
}
