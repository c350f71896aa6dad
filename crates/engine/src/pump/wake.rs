//! Looking for work that nobody asked for: timers that are due, steps that wait for a free executor, and,
//! after a start, what a dead process left behind.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use quintet_core::command::Command;
use quintet_core::id::RunId;
use quintet_core::outcome::Token;
use quintet_core::time::Time;
use quintet_store::{DueRun, StoreError};

use super::Pump;
use crate::request::Request;

/// Runs asked for at a time.
const PAGE: usize = 1000;
/// Runs asked for at a time after a start; each page costs the store a look at all unfinished runs.
const RECOVERY_PAGE: usize = 20_000;
/// Steps claimed at a time.
const CLAIMS: usize = 500;
/// Milliseconds before a store that failed is asked for work again.
const ASK_AGAIN_MS: u64 = 500;

/// How far the look at what a dead process held has come.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    after: Option<RunId>,
    done: bool,
}

impl Pump {
    /// Adds to the local requests what the store says is to be done.
    pub(super) async fn look_for_work(&mut self) {
        if self.shared.stop.is_cancelled() && !self.shared.draining.load(Ordering::Acquire) {
            self.shared.draining.store(true, Ordering::Release);
            self.shared.registry.drain();
        }
        let found = async {
            self.recover_some().await?;
            self.due_timers().await?;
            self.waiting_steps().await
        };
        if let Err(error) = found.await {
            tracing::warn!(error = %error, "the store cannot be asked for work");
            self.next_wake = Some(self.shared.clock.now().plus_ms(ASK_AGAIN_MS));
        }
    }

    async fn recover_some(&mut self) -> Result<(), StoreError> {
        if self.recovery.done || self.local.len() >= PAGE {
            return Ok(());
        }
        let page = self.shared.store.claimed(self.recovery.after, RECOVERY_PAGE).await?;
        self.recovery.done = page.len() < RECOVERY_PAGE;
        self.recovery.after = page.last().map(|run| run.id).or(self.recovery.after);
        tracing::debug!(runs = page.len(), "looking for attempts that nobody holds");
        if !page.is_empty() {
            let (alive, held) = (vec![self.shared.owner], Arc::new(self.held()));
            self.order(page, &Command::Recover { alive, held });
        }
        Ok(())
    }

    /// Attempts that this process really holds: those under way, and those whose answers are still to be
    /// stored. An attempt leaves the first set only after its answer is in the channel, so looking at the sets
    /// in this order misses none.
    fn held(&mut self) -> HashSet<Token> {
        let mut held = self.dispatcher.held();
        while let Ok(request) = self.urgent.try_recv() {
            self.local.push_back(request);
        }
        held.extend(self.local.iter().filter_map(|request| match request {
            Request::Command {
                command: Command::Complete { token, .. },
                ..
            } => Some(*token),
            _ => None,
        }));
        held
    }

    /// A batch could not be stored: look at everything again. What is done is then found done.
    pub(super) fn look_again(&mut self) {
        self.recovery = Recovery::default();
        self.next_wake = Some(Time(0));
        for lane in self.shared.registry.lanes() {
            lane.set_waiting(true);
        }
    }

    async fn due_timers(&mut self) -> Result<(), StoreError> {
        let now = self.shared.clock.now();
        if self.next_wake.is_none_or(|at| at > now) || self.local.len() >= PAGE {
            return Ok(());
        }
        let due = self.shared.store.due(now, PAGE).await?;
        if due.is_empty() {
            self.next_wake = self.shared.store.next_wake().await?;
        }
        self.order(due, &Command::Tick);
        Ok(())
    }

    /// Takes steps out of the store's queues for executors that have become free.
    async fn waiting_steps(&mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        for lane in shared.registry.hungry() {
            // A claim that is among the local requests would be found in the store once more.
            let is_claim = |request: &Request| {
                matches!(
                    request,
                    Request::Command {
                        command: Command::Claim { .. },
                        ..
                    }
                )
            };
            if self.local.iter().any(is_claim) {
                return Ok(());
            }
            let wanted = lane.free().min(CLAIMS);
            let entries = shared.store.queued(lane.actions(), wanted).await?;
            lane.set_waiting(entries.len() == wanted);
            for entry in entries {
                if !lane.try_take() {
                    lane.set_waiting(true);
                    break;
                }
                let command = Command::Claim { node: entry.node };
                self.local
                    .push_back(Request::internal(entry.namespace, entry.run, command));
            }
        }
        Ok(())
    }

    fn order(&mut self, runs: Vec<DueRun>, command: &Command) {
        let requests = runs
            .into_iter()
            .map(|run| Request::internal(run.namespace, run.id, command.clone()));
        self.local.extend(requests);
    }
}
