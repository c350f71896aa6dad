//! The engine's metrics, declared once, with closed label sets.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What came of a run or an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// For runs a terminal state; for attempts `succeeded`, `failed`, `refused` or `lost`.
    pub outcome: &'static str,
}

/// Counters and gauges of one engine.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Runs accepted.
    pub runs_started: Counter,
    /// Runs ended, by state.
    pub runs_finished: Family<OutcomeLabel, Counter>,
    /// Attempts handed to executors.
    pub attempts_started: Counter,
    /// Attempts answered, by outcome.
    pub attempts_finished: Family<OutcomeLabel, Counter>,
    /// Attempts held by executors of this process.
    pub attempts_in_flight: Gauge,
    /// Steps that were put into a queue because no executor had a free slot.
    pub steps_queued: Counter,
    /// Commits made.
    pub commits: Counter,
    /// Commits that failed.
    pub commit_errors: Counter,
    /// Units refused because somebody else had moved the run.
    pub conflicts: Counter,
    /// Steps not started because another node had used up their limit.
    pub limits_met: Counter,
    /// Seconds per commit.
    pub commit_seconds: Histogram,
    /// Requests decided per commit.
    pub batch_size: Histogram,
    /// Runs in the cache.
    pub cached_runs: Gauge<i64>,
    /// Runs loaded from the store.
    pub runs_loaded: Counter,
    /// Outbox messages delivered or failed.
    pub outbox_deliveries: Family<OutcomeLabel, Counter>,
    /// Seconds since the oldest undelivered outbox message was due; 0 when none is.
    pub outbox_lag_seconds: Gauge<f64, AtomicU64>,
    /// Nodes that share the store and live, this one among them; 0 where only one can.
    pub nodes: Gauge<i64>,
    /// Beats that the store did not answer.
    pub beat_errors: Counter,
    /// Dead nodes whose attempts this one took over.
    pub take_overs: Counter,
    /// Times that this node was taken over itself.
    pub leases_lost: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let commit_seconds = [
            0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
        ];
        let batch_size = [
            1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0,
        ];
        Self {
            runs_started: Counter::default(),
            runs_finished: Family::default(),
            attempts_started: Counter::default(),
            attempts_finished: Family::default(),
            attempts_in_flight: Gauge::default(),
            steps_queued: Counter::default(),
            commits: Counter::default(),
            commit_errors: Counter::default(),
            conflicts: Counter::default(),
            limits_met: Counter::default(),
            commit_seconds: Histogram::new(commit_seconds),
            batch_size: Histogram::new(batch_size),
            cached_runs: Gauge::default(),
            runs_loaded: Counter::default(),
            outbox_deliveries: Family::default(),
            outbox_lag_seconds: Gauge::default(),
            nodes: Gauge::default(),
            beat_errors: Counter::default(),
            take_overs: Counter::default(),
            leases_lost: Counter::default(),
        }
    }
}

impl Metrics {
    /// Makes the metrics known to a registry, under the prefix `quintet`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("quintet");
        registry.register("runs_started", "Runs accepted", self.runs_started.clone());
        registry.register("runs_finished", "Runs ended, by state", self.runs_finished.clone());
        registry.register(
            "attempts_started",
            "Attempts handed to executors",
            self.attempts_started.clone(),
        );
        registry.register(
            "attempts_finished",
            "Attempts answered, by outcome",
            self.attempts_finished.clone(),
        );
        registry.register(
            "attempts_in_flight",
            "Attempts held by this process",
            self.attempts_in_flight.clone(),
        );
        registry.register(
            "steps_queued",
            "Steps that had to wait for an executor",
            self.steps_queued.clone(),
        );
        registry.register("commits", "Commits made", self.commits.clone());
        registry.register("commit_errors", "Commits that failed", self.commit_errors.clone());
        registry.register(
            "commit_conflicts",
            "Units refused because the run had moved",
            self.conflicts.clone(),
        );
        registry.register(
            "limits_met",
            "Steps not started because another node had used up their limit",
            self.limits_met.clone(),
        );
        registry.register("commit_seconds", "Seconds per commit", self.commit_seconds.clone());
        registry.register("batch_size", "Requests decided per commit", self.batch_size.clone());
        registry.register("cached_runs", "Runs in the cache", self.cached_runs.clone());
        registry.register("runs_loaded", "Runs loaded from the store", self.runs_loaded.clone());
        registry.register(
            "outbox_deliveries",
            "Outbox deliveries, by outcome",
            self.outbox_deliveries.clone(),
        );
        registry.register(
            "outbox_lag_seconds",
            "Age of the oldest due message",
            self.outbox_lag_seconds.clone(),
        );
        registry.register("nodes", "Nodes that share the store and live", self.nodes.clone());
        registry.register(
            "beat_errors",
            "Beats that the store did not answer",
            self.beat_errors.clone(),
        );
        registry.register(
            "take_overs",
            "Dead nodes whose attempts this one took over",
            self.take_overs.clone(),
        );
        registry.register(
            "leases_lost",
            "Times that this node was taken over itself",
            self.leases_lost.clone(),
        );
    }
}
