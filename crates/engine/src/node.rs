//! This process among the others that share its store.
//!
//! One beat does everything that a node owes the others and wants of them: it renews the lease, and brings back
//! what the node may have missed (timers, waiting steps, messages, words from others, who is there). Hints make
//! it come sooner; without any of them it comes every second, and nothing waits longer than that.
//!
//! A lease is lost only when another node took it over. Then the owner number is spent: what was under way here is
//! stopped, what was decided on old states meets the fence of its version, and the process goes on as a new owner.
//! Between the end of a lease and that moment the node holds what it has, but begins nothing new.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_store::{Beat, NodeBeat, NodeRow, StoreError};

use crate::clock::random_u64;
use crate::engine::Shared;
use crate::request::Request;
use crate::scout::Recovery;
use crate::shards::Shards;
use crate::tasks;

/// Milliseconds between beats when nothing happens.
const BEAT_MS: u64 = 1_000;
/// Milliseconds between beats however many hints there are.
const LEAST_MS: u64 = 25;
/// Milliseconds between looks at runs that are watched here and moved elsewhere.
const WATCH_MS: u64 = 100;
/// Milliseconds between looks at all attempts whose owner is not known to live. What a dead node held is looked for when
/// it is taken over; this is for what a network held back and delivered later.
const SWEEP_MS: u64 = 60_000;
/// Leases after a take-over during which that is looked at once a lease.
const WARY: u64 = 6;
/// Milliseconds that a node leaves timers to the one that set them.
const GRACE_MS: u64 = 500;

/// How a node presents itself, and how long its lease is.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// What people call it.
    pub name: Arc<str>,
    /// Where its API can be reached, empty if that is not known.
    pub url: Arc<str>,
    /// Version of its program.
    pub version: Arc<str>,
    /// How long others believe that it lives after its last beat, in milliseconds.
    pub lease_ms: u64,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: "".into(),
            url: "".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            lease_ms: 10_000,
        }
    }
}

/// Who this process is, and until when it may begin work.
pub(crate) struct Identity {
    owner: AtomicU64,
    /// Microseconds; `i64::MAX` where nobody else could doubt it.
    valid_until: AtomicI64,
}

impl Identity {
    /// Of a process that has the store for itself.
    pub fn alone() -> Self {
        Self {
            owner: AtomicU64::new(new_owner()),
            valid_until: AtomicI64::new(i64::MAX),
        }
    }

    /// Of one that has not beaten yet.
    pub fn shared() -> Self {
        Self {
            valid_until: AtomicI64::new(0),
            ..Self::alone()
        }
    }

    pub fn owner(&self) -> u64 {
        self.owner.load(Ordering::Acquire)
    }

    /// Whether new work may begin: nobody can have taken over yet.
    pub fn is_valid(&self, now: Time) -> bool {
        now.0 < self.valid_until.load(Ordering::Acquire)
    }

    /// `at` is when the store renewed the lease, by its own clock: a slow answer does not lengthen it.
    fn renew(&self, at: Time, lease_ms: u64) {
        let until = at.plus_ms(lease_ms - lease_ms / 10);
        self.valid_until.store(until.0, Ordering::Release);
    }

    /// The old number is spent.
    fn start_anew(&self) {
        self.valid_until.store(0, Ordering::Release);
        self.owner.store(new_owner(), Ordering::Release);
    }
}

/// Positive as a signed number, because that is how stores keep it; never 0, which means several.
fn new_owner() -> u64 {
    (random_u64() >> 1).max(1)
}

/// The task that beats.
pub(crate) struct Node {
    shared: Arc<Shared>,
    shards: Arc<Shards>,
    config: NodeConfig,
    started_at: Time,
    /// When the store began to answer without a long break.
    in_touch_since: Time,
    beaten_at: Time,
    heard_at: Time,
    swept_at: Time,
    /// Until when something may still come in that was sent before a take-over.
    wary_until: Time,
    failing: bool,
    /// Beat at the next opportunity.
    hinted: bool,
    /// Nothing was heard under this owner number yet.
    joins: bool,
}

impl Node {
    pub fn new(shared: Arc<Shared>, shards: Arc<Shards>, config: NodeConfig) -> Self {
        Self {
            started_at: shared.clock.now(),
            beaten_at: Time(0),
            heard_at: Time(0),
            swept_at: Time(0),
            wary_until: Time(0),
            shared,
            shards,
            config,
            in_touch_since: Time(0),
            failing: false,
            hinted: false,
            joins: true,
        }
    }

    /// The first beat, before which nothing may be claimed.
    pub async fn join(&mut self) -> Result<(), StoreError> {
        let beat = self.beat().await?;
        self.started_at = beat.now;
        let others = beat.nodes.len().saturating_sub(1);
        tracing::info!(owner = %hex(self.shared.owner()), name = %self.config.name, others, "joined the store's nodes");
        self.shared.wanted.recover(Recovery {
            alive: living(&beat),
            as_of: self.as_of(beat.now),
            own: false,
            dead: None,
        });
        self.swept_at = beat.now;
        self.hear(beat).await;
        Ok(())
    }

    /// Beats until the engine stops.
    pub async fn run(mut self) {
        while !self.shared.stop.is_cancelled() {
            self.wait().await;
            self.look_after_watched().await;
            let since_ms = self.shared.clock.now().ms_since(self.beaten_at);
            if since_ms < BEAT_MS.min(self.config.lease_ms / 4) && !std::mem::take(&mut self.hinted) {
                continue;
            }
            match self.beat().await {
                Ok(beat) => self.hear(beat).await,
                Err(error) => self.miss(&error),
            }
        }
    }

    async fn wait(&mut self) {
        let (shared, hinted) = (&self.shared, &mut self.hinted);
        let hint = async {
            shared.store.hinted().await;
            *hinted = true;
            // Hints come in swarms.
            tasks::pause(Some(Duration::from_millis(LEAST_MS))).await;
        };
        tokio::select! {
            () = tasks::pause(Some(Duration::from_millis(WATCH_MS))) => {}
            () = hint => {}
            () = shared.stop.cancelled() => {}
        }
    }

    async fn beat(&mut self) -> Result<Beat, StoreError> {
        let asked_at = self.shared.clock.now();
        self.beaten_at = asked_at;
        let in_flight = self.shards.in_flight();
        let beat = NodeBeat {
            owner: self.shared.owner(),
            joins: self.joins,
            name: Arc::clone(&self.config.name),
            url: Arc::clone(&self.config.url),
            version: Arc::clone(&self.config.version),
            started_at: self.started_at,
            lease_ms: self.config.lease_ms,
            draining: self.shared.stop.is_cancelled(),
            in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
        };
        let answer = self.shared.store.beat(&beat).await?;
        self.shared.clock.follow(answer.now, asked_at);
        if answer.held {
            self.joins = false;
            self.shared.identity.renew(answer.now, self.config.lease_ms);
        }
        Ok(answer)
    }

    fn miss(&mut self, error: &StoreError) {
        self.shared.metrics.beat_errors.inc();
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(error = %error, "the store does not answer; nothing new begins when the lease has run out");
        }
    }

    async fn hear(&mut self, beat: Beat) {
        if std::mem::take(&mut self.failing) {
            tracing::info!("the store answers again");
        }
        if !beat.held {
            self.lose();
            return;
        }
        if beat.now.ms_since(self.heard_at) > self.config.lease_ms / 2 {
            self.in_touch_since = beat.now;
        }
        self.heard_at = beat.now;
        let living = living(&beat);
        self.shared.metrics.nodes.set(living.len() as i64);
        self.shared.set_living(&living);
        for notice in &beat.notices {
            let look = Request::Look {
                namespace: Arc::clone(&notice.namespace),
                run: notice.run,
            };
            self.shards.tell(notice.run, look).await;
        }
        self.take_over(&beat, &living).await;
        self.sweep(&beat, &living);
        if let Some(at) = beat.next_wake {
            self.shared.wanted.wake_by(at.plus_ms(GRACE_MS));
        }
        if beat.queued {
            self.shared.registry.lanes().for_each(|lane| lane.set_waiting(true));
            self.shared.wanted.poke();
        }
        if beat.outbox_next.is_some_and(|at| at <= beat.now) {
            self.shared.outbox_filled.notify_one();
        }
    }

    /// Another node took over.
    fn lose(&mut self) {
        let old = self.shared.owner();
        self.shared.identity.start_anew();
        let stopped = self.shards.cancel_all();
        self.shared.metrics.leases_lost.inc();
        tracing::warn!(
            old = %hex(old),
            new = %hex(self.shared.owner()),
            attempts = stopped,
            "another node took over what this one held; it goes on as a new one"
        );
        (self.hinted, self.joins) = (true, true);
        // What was decided in the old number's name may have been stored after it was taken over.
        self.wary_until = self.shared.clock.now().plus_ms(WARY * self.config.lease_ms);
    }

    /// Claims from here on may be those of a node that came after the list of the living was made. The margin is for
    /// clocks that differ; it is shorter than the time by which a node stops to begin work before its lease is over.
    fn as_of(&self, now: Time) -> Time {
        Time(now.0 - (self.config.lease_ms * 1_000 / 20) as i64)
    }

    fn sweep(&mut self, beat: &Beat, living: &[u64]) {
        let is_wary = beat.now < self.wary_until;
        let pause_ms = if is_wary {
            self.config.lease_ms.min(SWEEP_MS)
        } else {
            SWEEP_MS
        };
        if beat.now.ms_since(self.swept_at) < pause_ms {
            return;
        }
        self.swept_at = beat.now;
        self.shared.wanted.recover(Recovery {
            alive: living.to_vec(),
            as_of: self.as_of(beat.now),
            own: false,
            dead: None,
        });
    }

    /// Sees to what dead nodes held. A node that was out of touch itself gives the others a whole lease to come
    /// back: they may have been cut off together.
    async fn take_over(&mut self, beat: &Beat, living: &[u64]) {
        if beat.now.ms_since(self.in_touch_since) < self.config.lease_ms {
            return;
        }
        let (by, lease_ms) = (self.shared.owner(), self.config.lease_ms);
        for dead in &beat.nodes {
            if dead.owner == by || dead.expires_at > beat.now {
                continue;
            }
            match self.shared.store.take_over(dead.owner, by, lease_ms).await {
                Ok(true) => {
                    let silent_ms = beat.now.ms_since(dead.beat_at);
                    tracing::warn!(owner = %hex(dead.owner), name = %dead.name, silent_ms, "taking over what a dead node held");
                    self.shared.metrics.take_overs.inc();
                    self.wary_until = beat.now.plus_ms(WARY * lease_ms);
                    self.shared.wanted.recover(Recovery {
                        alive: living.iter().copied().filter(|owner| *owner != dead.owner).collect(),
                        as_of: self.as_of(beat.now),
                        own: false,
                        dead: Some(dead.owner),
                    });
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %error, "a dead node could not be taken over; it is tried again"),
            }
        }
    }

    /// Runs that are watched here and may have been moved elsewhere.
    async fn look_after_watched(&mut self) {
        let watched = self.shared.watchers.quiet(self.shared.clock.now());
        if watched.is_empty() {
            return;
        }
        let ids: Vec<RunId> = watched.keys().copied().collect();
        let heads = match self.shared.store.heads(&ids).await {
            Ok(heads) => heads,
            Err(error) => {
                tracing::debug!(error = %error, "watched runs cannot be looked at");
                return;
            }
        };
        for head in heads {
            let Some(watch) = watched.get(&head.id).filter(|watch| head.version > watch.version) else {
                continue;
            };
            if !head.status.is_terminal() {
                self.shared.watchers.moved(head.id, head.version);
                continue;
            }
            match self.shared.load(&watch.namespace, head.id).await {
                Ok(Some(state)) => self.shared.watchers.publish(&Arc::new(state)),
                Ok(None) => {}
                Err(error) => tracing::debug!(run = %head.id, error = %error, "a watched run cannot be read"),
            }
        }
    }
}

/// Owners that nobody has taken over: a lease that has run out may still be renewed.
fn living(beat: &Beat) -> Vec<u64> {
    let lives = |node: &&NodeRow| node.taken_by.is_none();
    beat.nodes.iter().filter(lives).map(|node| node.owner).collect()
}

/// As owners are shown.
pub fn hex(owner: u64) -> String {
    format!("{owner:016x}")
}
