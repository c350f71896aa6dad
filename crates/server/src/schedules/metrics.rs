//! What schedules did, as figures of this process.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Figures about schedules. Where several nodes share the store, each nominal time counts at the node that noted it.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Nominal times that started a run.
    pub fired: Counter,
    /// Nominal times that passed without one.
    pub missed: Counter,
    /// Nominal times whose start was refused for good.
    pub failed: Counter,
    /// Nominal times left out because the run before was not over.
    pub overlapped: Counter,
    /// Starts that failed and are tried again.
    pub retried: Counter,
}

impl Metrics {
    /// Names them.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("quintet_schedules");
        let mut register = |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        register("fired", "Scheduled times that started a run", &self.fired);
        register(
            "missed",
            "Scheduled times that passed without a run, by the schedule's rule",
            &self.missed,
        );
        register(
            "failed",
            "Scheduled times whose start was refused for good",
            &self.failed,
        );
        register(
            "overlapped",
            "Scheduled times left out because the run before was not over",
            &self.overlapped,
        );
        register("retried", "Starts that failed and are tried again", &self.retried);
    }
}
