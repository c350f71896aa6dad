//! The engine's questions about limits, answered without asking the store.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use quintet_core::time::Time;
use quintet_engine::{Quota, QuotaExceeded};

use super::Tenancy;
use super::meter::{Meter, Verdict};
use super::model::{Quotas, State};

/// Meters that are kept before idle ones are forgotten.
const KEPT: usize = 10_000;
/// When to come again where somebody must resume the namespace first.
const SUSPENDED_RETRY_MS: u64 = 60_000;

/// What the namespaces with limits have used.
#[derive(Debug, Default)]
pub(super) struct Meters(RwLock<HashMap<Arc<str>, Arc<Meter>>>);

impl Meters {
    pub fn get(&self, namespace: &str) -> Option<Arc<Meter>> {
        let meters = self.0.read().unwrap_or_else(PoisonError::into_inner);
        meters.get(namespace).map(Arc::clone)
    }

    pub fn all(&self) -> Vec<(Arc<str>, Arc<Meter>)> {
        let meters = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let pair = |(name, meter): (&Arc<str>, &Arc<Meter>)| (Arc::clone(name), Arc::clone(meter));
        meters.iter().map(pair).collect()
    }

    /// The meter of a namespace, which begins with nothing where there is none: whoever has unfinished runs was counted.
    pub fn of(&self, namespace: &str, quotas: &Quotas, now: Time) -> Arc<Meter> {
        if let Some(meter) = self.get(namespace) {
            return meter;
        }
        let mut meters = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if meters.len() >= KEPT {
            meters.retain(|_, meter| !meter.is_idle(quotas, now));
        }
        Arc::clone(meters.entry(namespace.into()).or_default())
    }
}

impl Quota for Tenancy {
    fn admit(&self, namespace: &str, runs: usize, now: Time) -> Result<(), QuotaExceeded> {
        let (state, quotas) = self.rules(namespace);
        if state == State::Suspended {
            self.metrics.suspended.inc();
            return Err(QuotaExceeded {
                what: "runs while suspended",
                limit: 0,
                retry_after_ms: SUSPENDED_RETRY_MS,
            });
        }
        if !quotas.limits_starts() {
            return Ok(());
        }
        let meter = self.meters.of(namespace, &quotas, now);
        match meter.admit(&quotas, runs as u64, now) {
            Verdict::Admitted => Ok(()),
            Verdict::Unmeasured => {
                self.look.notify_one();
                Ok(())
            }
            Verdict::Refused(exceeded) => {
                self.metrics.refuse(exceeded.what);
                if exceeded.what != "runs_per_second" {
                    self.look.notify_one();
                }
                Err(exceeded)
            }
        }
    }

    fn undo(&self, namespace: &str, runs: usize) {
        if let Some(meter) = self.meters.get(namespace) {
            meter.undo(runs as u64);
        }
    }

    fn started(&self, namespace: &str, runs: usize) {
        if let Some(meter) = self.meters.get(namespace) {
            meter.started(runs as u64);
        }
    }

    fn ended(&self, namespace: &str) {
        if let Some(meter) = self.meters.get(namespace) {
            meter.ended();
        }
    }

    fn max_running_steps(&self, namespace: &str) -> Option<u32> {
        self.rules(namespace).1.max_running_steps
    }

    fn is_active(&self, namespace: &str) -> bool {
        self.rules(namespace).0 == State::Active
    }
}
