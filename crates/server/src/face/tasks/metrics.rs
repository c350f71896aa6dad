//! Figures about backends and queues, read when somebody asks for them.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use quintet_executors::backend::{Circuit, Health};

use super::state::Tasks;
use crate::app::App;

/// Tells how the backends are, and which queues start nothing.
#[derive(Debug)]
pub(crate) struct Figures {
    backends: Vec<Health>,
    /// By name: steps in progress on this node, and whether nothing starts.
    queues: Vec<(String, u32, bool)>,
}

type Encoded = Result<(), std::fmt::Error>;

impl Figures {
    pub fn of(app: &App) -> Self {
        let tasks: &Arc<Tasks> = &app.tasks;
        let queue = |name: &String| {
            let (running, closed) = tasks.progress_of(&app.engine, name);
            (name.clone(), running, closed.is_some())
        };
        Self {
            backends: tasks.backends.describe(),
            queues: tasks.queues.keys().map(queue).collect(),
        }
    }

    fn calls(&self, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
        let counter = ConstCounter::new(0u64);
        let help = "Calls to backends that ended, by backend and outcome";
        let mut calls = encoder.encode_descriptor("quintet_backend_calls", help, None, counter.metric_type())?;
        for Health { name, calls: of, .. } in &self.backends {
            let outcomes = [
                ("succeeded", of.succeeded),
                ("failed", of.failed),
                ("unavailable", of.unavailable),
                ("abandoned", of.abandoned),
                ("refused", of.refused),
            ];
            for (outcome, count) in outcomes {
                let labels = [("backend", name.as_str()), ("outcome", outcome)];
                ConstCounter::new(count).encode(calls.encode_family(&labels)?)?;
            }
        }
        let help = "Seconds that calls to backends took together";
        let counter = ConstCounter::new(0f64);
        let mut seconds =
            encoder.encode_descriptor("quintet_backend_call_seconds", help, None, counter.metric_type())?;
        for backend in &self.backends {
            let labels = [("backend", backend.name.as_str())];
            ConstCounter::new(backend.calls.seconds).encode(seconds.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
        let number = |circuit| match circuit {
            Circuit::Closed => 0,
            Circuit::HalfOpen => 1,
            Circuit::Open => 2,
        };
        let backends = self.backends.iter();
        let circuits: Vec<_> = backends
            .clone()
            .map(|of| (of.name.as_str(), number(of.circuit)))
            .collect();
        let in_flight: Vec<_> = backends
            .map(|of| (of.name.as_str(), i64::try_from(of.in_flight).unwrap_or(i64::MAX)))
            .collect();
        let queues = self.queues.iter();
        let running: Vec<_> = queues.clone().map(|of| (of.0.as_str(), i64::from(of.1))).collect();
        let closed: Vec<_> = queues.map(|of| (of.0.as_str(), i64::from(of.2))).collect();
        let help = "Whether calls go to the backend: 0 closed, 1 half open, 2 open";
        gauge(encoder, ("quintet_backend_circuit", help, "backend"), &circuits)?;
        let help = "Calls to the backend under way";
        gauge(
            encoder,
            ("quintet_backend_calls_in_flight", help, "backend"),
            &in_flight,
        )?;
        let help = "Steps of the queue in progress on this node";
        gauge(encoder, ("quintet_task_queue_running", help, "queue"), &running)?;
        let help = "Whether nothing of the queue starts: it is paused, or no backend answers";
        gauge(encoder, ("quintet_task_queue_closed", help, "queue"), &closed)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, (name, help, label): (&str, &str, &str), of: &[(&str, i64)]) -> Encoded {
    let gauge = ConstGauge::new(0i64);
    let mut family = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    for (value, number) in of {
        ConstGauge::new(*number).encode(family.encode_family(&[(label, *value)])?)?;
    }
    Ok(())
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Encoded {
        self.calls(&mut encoder)?;
        self.gauges(&mut encoder)
    }
}
