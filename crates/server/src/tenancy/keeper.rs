//! Keeps what is known of the namespaces near to what is stored.
//!
//! On a store that nodes share, other nodes change namespaces and start runs, so it looks every other second. On the
//! embedded store everything goes through this process: it counts again only after something was committed, and an idle
//! server asks for nothing. A start that is refused because of a count is a reason to count at once: what it counts on
//! may be over by now. Counting takes at most a twentieth of the time, however many runs there are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use quintet_core::time::Time;
use quintet_engine::{Engine, tasks};
use quintet_store::StoreError;
use tokio_util::sync::CancellationToken;

use super::Tenancy;
use super::meter::Meter;
use super::model::Quotas;
use super::snapshot::Refresh;

/// Between two looks at what other nodes did.
const SHARED: Duration = Duration::from_secs(2);
/// Between two looks at whether something was committed, while namespaces have limits.
const ALONE: Duration = Duration::from_secs(5);
/// Shortest time between two counts, and how many times as long as one takes.
const REST_MS: u64 = 250;
const SHARE: u64 = 20;
/// Shortest time between two measurements of what is stored.
const MEASURE_MS: u64 = 10_000;

/// What the keeper has done.
#[derive(Debug, Default)]
pub(super) struct Diary {
    /// Commits that there were at the last count.
    commits: u64,
    /// No count before this time.
    count_from: Time,
    /// No measurement of what is known already before this time.
    measure_from: Time,
    /// Other nodes have said something.
    has_news: bool,
}

/// Why it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is time.
    Time,
    /// Somebody waits for it.
    Asked,
}

impl Tenancy {
    /// Works until the server stops.
    pub async fn keep(self: Arc<Self>, engine: Arc<Engine>, stopping: CancellationToken) {
        let mut diary = Diary::default();
        let work = async {
            loop {
                let reason = self.next(&diary).await;
                let commits = engine.metrics().commits.get();
                if let Err(error) = self.tick(&mut diary, reason, commits).await {
                    self.metrics.errors.inc();
                    tracing::warn!(error = %error, "namespaces cannot be looked at");
                }
                if std::mem::take(&mut diary.has_news) {
                    // Steps may begin that could not before.
                    engine.look_at_all();
                }
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = work => {}
        }
    }

    async fn next(&self, diary: &Diary) -> Reason {
        let pause = match (self.store.is_shared(), self.limits_anybody(Quotas::limits_starts)) {
            (true, _) => Some(SHARED),
            (false, true) => Some(ALONE),
            (false, false) => None,
        };
        tokio::select! {
            () = tasks::pause(pause) => Reason::Time,
            () = self.look.notified() => {
                let rest_ms = diary.count_from.ms_since(self.clock.now());
                tasks::pause(Some(Duration::from_millis(rest_ms))).await;
                Reason::Asked
            }
        }
    }

    /// One look; `commits` is how many this process has made.
    pub(super) async fn tick(&self, diary: &mut Diary, reason: Reason, commits: u64) -> Result<(), StoreError> {
        if self.store.is_shared() {
            diary.has_news |= self.snapshot.refresh(self.store.as_ref(), Refresh::Changed).await?;
        }
        let has_moved = self.store.is_shared() || commits != diary.commits || reason == Reason::Asked;
        if has_moved && self.clock.now() >= diary.count_from {
            let began = self.clock.now();
            diary.commits = commits;
            let counted = self.count().await;
            let ended = self.clock.now();
            let rest_ms = REST_MS.max(ended.ms_since(began).saturating_mul(SHARE));
            diary.count_from = ended.plus_ms(rest_ms);
            counted?;
        }
        self.measure(diary).await
    }

    /// Counts the runs that are not over, where that is limited.
    pub(super) async fn count(&self) -> Result<(), StoreError> {
        if !self.limits_anybody(|quotas| quotas.max_live_runs.is_some()) {
            return Ok(());
        }
        let turn = self.counting.acquire().await;
        let _turn = turn.map_err(|_| StoreError::Internal("nobody closes this semaphore".to_owned()))?;
        let meters = self.meters_with(|quotas| quotas.max_live_runs.is_some());
        meters.iter().for_each(|(_, meter)| meter.begin_count());
        let counted = self.store.live_runs().await;
        let mut counts: Option<HashMap<Arc<str>, u64>> =
            counted.as_ref().ok().map(|counts| counts.iter().cloned().collect());
        for (name, meter) in &meters {
            let live = counts.as_mut().map(|counts| counts.remove(name).unwrap_or(0));
            meter.end_count(live);
        }
        // Those that have started nothing here.
        for (name, live) in counts.into_iter().flatten() {
            let quotas = self.rules(&name).1;
            if quotas.max_live_runs.is_some() {
                self.meters.of(&name, &quotas, self.clock.now()).end_count(Some(live));
            }
        }
        counted.map(drop)
    }

    /// Measures what is stored, where that is limited and something came to it.
    async fn measure(&self, diary: &mut Diary) -> Result<(), StoreError> {
        let began = self.clock.now();
        let is_time = began >= diary.measure_from;
        for (name, meter) in self.meters_with(|quotas| quotas.max_stored_bytes.is_some()) {
            if !meter.is_measured() || (is_time && meter.take_changed()) {
                let usage = self.readings.now(self.store.as_ref(), self.clock.as_ref(), &name);
                meter.measured(usage.await?.usage.stored_bytes);
            }
        }
        if is_time {
            let ended = self.clock.now();
            let rest_ms = MEASURE_MS.max(ended.ms_since(began).saturating_mul(SHARE));
            diary.measure_from = ended.plus_ms(rest_ms);
        }
        Ok(())
    }

    fn meters_with(&self, wanted: impl Fn(&Quotas) -> bool) -> Vec<(Arc<str>, Arc<Meter>)> {
        let mut meters = self.meters.all();
        meters.retain(|(name, _)| wanted(&self.rules(name).1));
        meters
    }
}
