//! Figures of the store for `GET /metrics`, and the JSON summary of everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use quintet_engine::{OutcomeLabel, tasks};
use quintet_store::StoreStatus;
use serde::Serialize;

use super::process::Usage;
use crate::app::{App, Written};

/// Whoever asks for figures does not wait longer for a store that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the store says about itself.
pub(super) struct StoreFigures {
    status: StoreStatus,
    written: Option<Written>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

impl StoreFigures {
    /// Asks the store; `None` when it does not answer soon.
    pub async fn read(app: &Arc<App>) -> Option<Self> {
        let status = tokio::select! {
            status = app.engine.store().status() => status.ok()?,
            () = tasks::pause(Some(PATIENCE)) => return None,
        };
        Some(Self {
            status,
            written: app.backend.written(),
        })
    }

    /// Makes them known to a registry that is encoded once.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("quintet_store");
        let runs: Family<StatusLabel, Gauge> = Family::default();
        for (status, number) in &self.status.runs {
            let number = i64::try_from(*number).unwrap_or(i64::MAX);
            runs.get_or_create(&StatusLabel {
                status: status.as_str(),
            })
            .set(number);
        }
        registry.register("runs", "Runs in the store, by state", runs);
        registry.register(
            "queued_steps",
            "Steps that wait for an executor",
            ConstGauge::new(self.status.queued),
        );
        registry.register(
            "outbox_messages",
            "Messages not delivered",
            ConstGauge::new(self.status.outbox),
        );
        registry.register(
            "outbox_dead_messages",
            "Messages given up",
            ConstGauge::new(self.status.outbox_dead),
        );
        if let Some(bytes) = self.status.bytes {
            registry.register("bytes", "Size on disk", ConstGauge::new(bytes));
        }
        if let Some(written) = self.written {
            registry.register("transactions", "Write transactions", ConstCounter::new(written.commits));
            registry.register("rows_written", "Rows written", ConstCounter::new(written.rows_written));
            registry.register(
                "statements",
                "Writing statements",
                ConstCounter::new(written.statements),
            );
            if let Some(round_trips) = written.round_trips {
                registry.register(
                    "round_trips",
                    "Times that the store was asked and waited for",
                    ConstCounter::new(round_trips),
                );
            }
        }
    }
}

/// The summary, for people and scripts without a Prometheus.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// What the tenants face's original said of itself here, and nothing else.
    service: &'static str,
    status: &'static str,
    version: &'static str,
    runs: Runs,
    attempts: Attempts,
    commits: Commits,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<Store>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
}

#[derive(Debug, Serialize)]
struct Runs {
    started: u64,
    complete: u64,
    error: u64,
    cancelled: u64,
}

#[derive(Debug, Serialize)]
struct Attempts {
    started: u64,
    succeeded: u64,
    failed: u64,
    in_flight: i64,
}

#[derive(Debug, Serialize)]
struct Commits {
    made: u64,
    failed: u64,
    conflicts: u64,
}

#[derive(Debug, Serialize)]
struct Store {
    kind: String,
    runs: BTreeMap<&'static str, u64>,
    queued_steps: u64,
    outbox_messages: u64,
    outbox_dead_messages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Process {
    cpu_seconds: f64,
    resident_memory_bytes: u64,
    threads: u64,
    open_files: u64,
}

/// The summary of this moment.
pub(super) fn of(app: &App, figures: Option<&StoreFigures>) -> Summary {
    let metrics = app.engine.metrics();
    let count = |family: &Family<OutcomeLabel, Counter>, outcome| family.get_or_create(&OutcomeLabel { outcome }).get();
    Summary {
        service: super::health::ORCHESTRATOR,
        status: "running",
        version: env!("CARGO_PKG_VERSION"),
        runs: Runs {
            started: metrics.runs_started.get(),
            complete: count(&metrics.runs_finished, "complete"),
            error: count(&metrics.runs_finished, "error"),
            cancelled: count(&metrics.runs_finished, "cancelled"),
        },
        attempts: Attempts {
            started: metrics.attempts_started.get(),
            succeeded: count(&metrics.attempts_finished, "succeeded"),
            failed: count(&metrics.attempts_finished, "failed"),
            in_flight: metrics.attempts_in_flight.get(),
        },
        commits: Commits {
            made: metrics.commits.get(),
            failed: metrics.commit_errors.get(),
            conflicts: metrics.conflicts.get(),
        },
        store: figures.map(|figures| Store {
            kind: figures.status.kind.clone(),
            runs: figures
                .status
                .runs
                .iter()
                .map(|(status, number)| (status.as_str(), *number))
                .collect(),
            queued_steps: figures.status.queued,
            outbox_messages: figures.status.outbox,
            outbox_dead_messages: figures.status.outbox_dead,
            bytes: figures.status.bytes,
        }),
        process: Usage::read().map(|usage| Process {
            cpu_seconds: usage.cpu_seconds,
            resident_memory_bytes: usage.resident_bytes,
            threads: usage.threads,
            open_files: usage.open_files,
        }),
    }
}
