//! The process itself, as the operating system sees it at the moment of asking: processor time, memory, files.
//!
//! Read from `/proc`; elsewhere these figures are absent.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Ticks per second of the times in `/proc/self/stat`: fixed for programs, whatever the kernel's own rate.
const TICKS: f64 = 100.0;

/// Figures about this process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub threads: u64,
    pub open_files: u64,
}

impl Usage {
    /// What the operating system says now.
    pub fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let open_files = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64);
        Some(Self {
            open_files,
            ..Self::parse(&stat, &status)?
        })
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The second field is the program's name, which may hold anything, a closing parenthesis included.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(Self {
            cpu_seconds: (ticks(11)? + ticks(12)?) / TICKS,
            resident_bytes: kib * 1024,
            threads: fields.get(17)?.parse().ok()?,
            open_files: 0,
        })
    }
}

/// Hands the figures to a registry.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let Some(usage) = Usage::read() else { return Ok(()) };
        let mut put = |name: &str, help: &str, metric: &dyn Metric| metric.put(&mut encoder, name, help);
        put(
            "process_cpu_seconds",
            "Processor time used",
            &ConstCounter::new(usage.cpu_seconds),
        )?;
        put(
            "process_resident_memory_bytes",
            "Resident memory",
            &ConstGauge::new(usage.resident_bytes),
        )?;
        put("process_threads", "Threads", &ConstGauge::new(usage.threads))?;
        put(
            "process_open_fds",
            "Open file descriptors",
            &ConstGauge::new(usage.open_files),
        )
    }
}

/// A metric of any type.
trait Metric {
    fn put(&self, encoder: &mut DescriptorEncoder, name: &str, help: &str) -> Result<(), std::fmt::Error>;
}

impl<M: EncodeMetric> Metric for M {
    fn put(&self, encoder: &mut DescriptorEncoder, name: &str, help: &str) -> Result<(), std::fmt::Error> {
        let encoder = encoder.encode_descriptor(name, help, None, self.metric_type())?;
        self.encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_memory_are_read_whatever_the_program_is_called() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 100 1 2";
        let usage = Usage::parse(stat, "Name:\tx\nVmRSS:\t    2048 kB\n").expect("usage");
        assert_eq!(
            (usage.cpu_seconds, usage.resident_bytes, usage.threads),
            (3.0, 2048 * 1024, 7)
        );
    }
}
