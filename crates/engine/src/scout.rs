//! Looking for work that nobody asked for: timers that are due, steps that wait for a free executor, and what dead
//! processes left behind.
//!
//! One task asks the store and hands what it finds to the loops. Each find carries a ticket that comes back when its
//! commit is settled, and nothing is asked again before all tickets are back: so the store never offers twice what is
//! already being decided, whether or not it remembers claims.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quintet_core::command::Command;
use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_store::{Claim, DueRun, QueueAsk, QueueEntry, StoreError, Turns};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::engine::Shared;
use crate::flow::Asks;
use crate::registry::{Lane, Slot};
use crate::request::Request;
use crate::shards::Shards;
use crate::tasks;

/// Finds under way at a time.
const TICKETS: u32 = 2_000;
/// Runs asked for at a time.
const PAGE: usize = 1_000;
/// Runs asked for at a time when looking for what dead processes held; where each page is a look at all unfinished
/// runs, it is a large one.
const RECOVERY_PAGE: usize = 20_000;
/// Steps claimed at a time.
const CLAIMS: usize = 500;
/// Milliseconds before a store that failed is asked for work again.
const ASK_AGAIN_MS: u64 = 500;
/// Milliseconds before a timer that another node has taken is looked at again.
const TAKEN_MS: u64 = 1_000;
/// No timer.
const NEVER: i64 = i64::MAX;

/// Comes back when what was found has been dealt with, whatever became of it.
pub(crate) struct Ticket {
    _permit: OwnedSemaphorePermit,
    /// The slot that was taken for it, until its attempt takes it over.
    pub slot: Option<Slot>,
}

/// A look at runs whose attempts may be lost.
#[derive(Debug, Clone)]
pub(crate) struct Recovery {
    /// Owners that live.
    pub alive: Vec<u64>,
    /// When that was known; later claims are not judged.
    pub as_of: Time,
    /// Whether this process's own attempts are looked at too.
    pub own: bool,
    /// The node that can be forgotten at the end.
    pub dead: Option<u64>,
}

/// What the scout is to look for.
#[derive(Debug)]
pub(crate) struct Wanted {
    next_wake: AtomicI64,
    recoveries: Mutex<VecDeque<Recovery>>,
    passes: Mutex<Vec<Pass>>,
    poke: Notify,
}

/// A look that somebody asked for, at an action whose gate is shut.
pub(crate) struct Pass {
    lane: Arc<Lane>,
    limit: usize,
    reply: oneshot::Sender<usize>,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pass({})", self.limit)
    }
}

impl Default for Wanted {
    /// The first look at the clock happens at once: timers may have come due while nobody was there.
    fn default() -> Self {
        Self {
            next_wake: AtomicI64::new(0),
            recoveries: Mutex::default(),
            passes: Mutex::default(),
            poke: Notify::new(),
        }
    }
}

impl Wanted {
    /// Look at the timers at this time, if not sooner.
    pub fn wake_by(&self, at: Time) {
        if self.next_wake.fetch_min(at.0, Ordering::AcqRel) > at.0 {
            self.poke.notify_one();
        }
    }

    /// Look for lost attempts.
    pub fn recover(&self, job: Recovery) {
        let mut jobs = self.jobs();
        let is_same = |known: &Recovery| known.own == job.own && known.dead == job.dead;
        if !jobs.iter().any(is_same) {
            jobs.push_back(job);
        }
        self.poke.notify_one();
    }

    /// Start at most `limit` steps of a lane whose gate is shut, and say how many.
    pub fn pass(&self, lane: Arc<Lane>, limit: usize, reply: oneshot::Sender<usize>) {
        let mut passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        passes.push(Pass { lane, limit, reply });
        self.poke.notify_one();
    }

    /// Look now.
    pub fn poke(&self) {
        self.poke.notify_one();
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, VecDeque<Recovery>> {
        self.recoveries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that looks.
pub(crate) struct Scout {
    shared: Arc<Shared>,
    shards: Arc<Shards>,
    tickets: Arc<Semaphore>,
    job: Option<(Recovery, Option<RunId>)>,
}

impl Scout {
    pub fn new(shared: Arc<Shared>, shards: Arc<Shards>) -> Self {
        Self {
            shared,
            shards,
            tickets: Arc::new(Semaphore::new(TICKETS as usize)),
            job: None,
        }
    }

    /// Looks until the engine stops.
    pub async fn run(mut self) {
        while !self.shared.stop.is_cancelled() {
            match self.look().await {
                Ok(0) => self.wait().await,
                Ok(_) => self.tickets_back().await,
                Err(error) => {
                    tracing::warn!(error = %error, "the store cannot be asked for work");
                    self.shared.wanted.wake_by(Time(0));
                    self.pause_or_stop(ASK_AGAIN_MS).await;
                }
            }
        }
    }

    async fn wait(&self) {
        let now = self.shared.clock.now();
        let at = self.shared.wanted.next_wake.load(Ordering::Acquire);
        let pause = (at != NEVER).then(|| Duration::from_micros(u64::try_from(at.saturating_sub(now.0)).unwrap_or(0)));
        tokio::select! {
            () = self.shared.wanted.poke.notified() => {}
            () = tasks::pause(pause) => {}
            () = self.shared.stop.cancelled() => {}
        }
    }

    async fn tickets_back(&self) {
        tokio::select! {
            _ = self.tickets.acquire_many(TICKETS) => {}
            () = self.shared.stop.cancelled() => {}
        }
    }

    async fn pause_or_stop(&self, ms: u64) {
        tokio::select! {
            () = tasks::pause(Some(Duration::from_millis(ms))) => {}
            () = self.shared.stop.cancelled() => {}
        }
    }

    /// Asks once for everything that is wanted; says how much was found.
    async fn look(&mut self) -> Result<usize, StoreError> {
        self.passes().await?;
        Ok(self.lost_attempts().await? + self.due_timers().await? + self.waiting_steps().await?)
    }

    /// Does the passes that were asked for, one after the other.
    async fn passes(&self) -> Result<(), StoreError> {
        let passes = std::mem::take(&mut *self.shared.wanted.passes.lock().unwrap_or_else(PoisonError::into_inner));
        for Pass { lane, limit, reply } in passes {
            // What is due comes first: a retry goes into its queue when its time has come.
            while self.due_timers().await? > 0 {
                self.tickets_back().await;
            }
            let Some(flow) = &lane.flow else { continue };
            flow.set_budget(limit);
            let mut started = 0;
            let outcome = loop {
                let asked = self.waiting_in(&lane).await;
                self.tickets_back().await;
                match asked {
                    Ok(0) => break Ok(()),
                    Ok(found) => started += found,
                    Err(error) => break Err(error),
                }
            };
            flow.set_budget(0);
            let _ = reply.send(started);
            outcome?;
        }
        Ok(())
    }

    fn claim(&self, now: Time) -> Claim {
        Claim {
            owner: self.shared.owner(),
            now,
            // What a dead node had taken is free when its lease is over.
            until: now.plus_ms(self.shared.config.node.lease_ms),
        }
    }

    async fn lost_attempts(&mut self) -> Result<usize, StoreError> {
        if self.job.is_none() {
            self.job = self.shared.wanted.jobs().pop_front().map(|job| (job, None));
        }
        let Some((job, after)) = self.job.clone() else {
            return Ok(0);
        };
        let me = self.shared.owner();
        let others: Vec<u64> = job
            .alive
            .iter()
            .copied()
            .filter(|owner| !job.own || *owner != me)
            .collect();
        let page = self.shared.store.claimed(&others, after, RECOVERY_PAGE).await?;
        tracing::debug!(runs = page.len(), "looking for attempts that nobody holds");
        let (found, last) = (page.len(), page.last().map(|run| run.id));
        let alive: Arc<[u64]> = job.alive.clone().into();
        for run in page {
            let ticket = self.ticket().await;
            let request = Request::Recover {
                namespace: run.namespace,
                run: run.id,
                alive: Arc::clone(&alive),
                as_of: job.as_of,
                ticket,
            };
            self.shards.tell(run.id, request).await;
        }
        if found == RECOVERY_PAGE {
            self.job = Some((job, last.or(after)));
            return Ok(found);
        }
        // The dead node is forgotten only when nothing of it is left, so that another one goes on if this one dies.
        self.tickets_back().await;
        if let Some(dead) = job.dead.filter(|_| !self.shared.stop.is_cancelled()) {
            self.shared.store.forget_node(dead).await?;
        }
        self.job = None;
        Ok(found.max(1))
    }

    async fn due_timers(&self) -> Result<usize, StoreError> {
        let now = self.shared.clock.now();
        let wanted = &self.shared.wanted;
        if wanted.next_wake.load(Ordering::Acquire) > now.0 {
            return Ok(0);
        }
        // Before the question: a timer that is stored from now on, however far off, must be told of, and would not be if
        // the time of this look still stood here.
        wanted.next_wake.store(NEVER, Ordering::Release);
        let due = self.shared.store.due(self.claim(now), PAGE).await?;
        let next = match due.is_empty() {
            true => self.next_wake(now).await?,
            false => now.0,
        };
        wanted.next_wake.fetch_min(next, Ordering::AcqRel);
        let found = due.len();
        for DueRun { namespace, id } in due {
            let ticket = self.ticket().await;
            let tick = Request::found(namespace, id, Command::Tick, ticket);
            self.shards.tell(id, tick).await;
        }
        Ok(found)
    }

    /// Where the store is shared, each beat brings the time of the next timer.
    async fn next_wake(&self, now: Time) -> Result<i64, StoreError> {
        if self.shared.store.is_shared() {
            return Ok(NEVER);
        }
        let next = self.shared.store.next_wake().await?;
        Ok(next.map_or(NEVER, |at| if at <= now { now.plus_ms(TAKEN_MS).0 } else { at.0 }))
    }

    /// Takes steps out of the store's queues for executors that have become free.
    async fn waiting_steps(&self) -> Result<usize, StoreError> {
        let mut found = 0;
        for lane in self.shared.registry.hungry() {
            found += self.waiting_in(&lane).await?;
        }
        Ok(found)
    }

    async fn waiting_in(&self, lane: &Arc<Lane>) -> Result<usize, StoreError> {
        let shared = &self.shared;
        let now = shared.clock.now();
        if !shared.identity.is_valid(now) {
            return Ok(0);
        }
        if let Some(flow) = lane
            .flow
            .as_ref()
            .filter(|flow| flow.is_stale(shared.store.is_shared()))
        {
            flow.set_counts(shared.store.in_progress(flow.action()).await?);
        }
        // Before the question, and before it is made: whoever puts a step into the queue, or ends one, from now on says
        // so.
        lane.set_waiting(false);
        let ended = shared.shares.ended();
        let (room, turns) = (lane.room(), shared.shares.turns(lane.slots()));
        let is_partial = room.is_full_somewhere || !turns.without.is_empty();
        if is_partial {
            // What is full is not asked for, and may hold something.
            lane.set_waiting(true);
        }
        let mut found = 0;
        for asks in &room.asks {
            found += self.take_out(lane, asks, &turns, now).await?;
        }
        // A step that came while its slots were reserved found none free and could not wake anybody; nor could one that
        // ended before this look knew that something is left.
        let has_room = !is_partial || lane.ended() != room.ended || shared.shares.ended() != ended;
        if lane.is_waiting() && lane.free() > 0 && has_room {
            shared.wanted.poke();
        }
        Ok(found)
    }

    async fn take_out(&self, lane: &Arc<Lane>, asks: &Asks, turns: &Turns, now: Time) -> Result<usize, StoreError> {
        // The slots first: a step that is claimed and finds none would wait here while others have some. Not all
        // of them, for what becomes ready here meanwhile wants one too.
        let slots = lane.reserve(lane.free().div_ceil(2).min(CLAIMS).min(asks.all), &self.shared.shares);
        let claim = self.claim(now);
        let entries = self.shared.store.queued(&asks.each, turns, claim, slots.len()).await;
        let entries = entries.inspect_err(|_| lane.set_waiting(true))?;
        if is_more(lane, &asks.each, &entries, slots.len()) {
            lane.set_waiting(true);
        }
        let mut found = 0;
        for (entry, mut slot) in entries.into_iter().zip(slots) {
            if !slot.enter(&entry.queue, &entry.namespace) {
                // Somebody was faster; the step is looked at again when there is room.
                lane.set_waiting(true);
                continue;
            }
            found += 1;
            let mut ticket = self.ticket().await;
            if let Some(ticket) = &mut ticket {
                ticket.slot = Some(slot);
            }
            let claim = Request::found(entry.namespace, entry.run, Command::Claim { node: entry.node }, ticket);
            self.shards.tell(entry.run, claim).await;
        }
        Ok(found)
    }

    /// Waits for one of those that are out to come back if there is none.
    async fn ticket(&self) -> Option<Ticket> {
        let permit = Arc::clone(&self.tickets).acquire_owned().await.ok()?;
        Some(Ticket {
            _permit: permit,
            slot: None,
        })
    }
}

/// Whether something may be left in the queues: as much came as was asked for, of one of them or of all.
fn is_more(lane: &Lane, asks: &[QueueAsk], entries: &[QueueEntry], asked: usize) -> bool {
    if asked > 0 && entries.len() == asked {
        return true;
    }
    // Where several namespaces wait, each gives no more than its share at a time.
    if entries.iter().any(|entry| entry.namespace != entries[0].namespace) {
        return true;
    }
    let came = |ask: &QueueAsk| entries.iter().filter(|entry| entry.queue == ask.queue).count();
    let Some(flow) = &lane.flow else { return false };
    flow.is_full_somewhere() || asks.iter().any(|ask| came(ask) >= ask.limit)
}
