//! What was refused, as figures of this process. Which namespace it was is not among the labels: a client could make
//! series without end.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Which limit was reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Limit {
    /// Its name.
    pub what: &'static str,
}

/// Figures about namespaces.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Requests refused because a limit was reached, by limit.
    pub refused: Family<Limit, Counter>,
    /// Requests refused because the namespace is suspended.
    pub suspended: Counter,
    /// Requests about a namespace that does not exist, or is not the caller's.
    pub unknown: Counter,
    /// Times that the store could not be asked.
    pub errors: Counter,
}

impl Metrics {
    /// Names them.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("quintet_namespaces");
        registry.register(
            "quota_refusals",
            "Starts and workflows refused because a limit of their namespace was reached",
            self.refused.clone(),
        );
        registry.register(
            "suspended_refusals",
            "Requests refused because their namespace is suspended",
            self.suspended.clone(),
        );
        registry.register(
            "unknown_refusals",
            "Requests about a namespace that does not exist, or is not the caller's",
            self.unknown.clone(),
        );
        registry.register("errors", "Times that the store could not be asked", self.errors.clone());
    }

    pub(super) fn refuse(&self, what: &'static str) {
        self.refused.get_or_create(&Limit { what }).inc();
    }
}
