//! Progress for pipes and logs: one line for each thing that happened, with the time since the start.

use std::collections::HashMap;

use quintet_core::time::Time;

use super::happening::{Happening, What};
use super::watch::View;
use crate::cli::output::print_line;

/// Prints lines.
pub struct Lines {
    started: Option<Time>,
    begun: HashMap<String, Time>,
}

impl Lines {
    /// For a run that was accepted at `started`.
    pub fn new(run: &str, name: &str, started: Option<Time>) -> Self {
        let name = if name.is_empty() { String::new() } else { format!(" of {name}") };
        // A reader that has gone away is found out at the next line.
        let _ = print_line(&format!("{run}{name}"));
        Self { started, begun: HashMap::new() }
    }
}

impl View for Lines {
    fn show(&mut self, happening: &Happening) -> anyhow::Result<()> {
        if let (What::Started { .. } | What::Expanded { .. } | What::Waiting { .. }, Some(at)) = (&happening.what, happening.at) {
            self.begun.entry(happening.step.clone()).or_insert(at);
        }
        let took = self.begun.get(&happening.step).zip(happening.at).map(|(begun, at)| at.ms_since(*begun));
        let since = self.started.zip(happening.at).map_or(0, |(started, at)| at.ms_since(started));
        let subject = if happening.step.is_empty() { "run" } else { &happening.step };
        print_line(&format!("+{:<7} {subject:<18} {}", seconds(since), happening.words(took)))
    }

    fn end(&mut self) -> anyhow::Result<()> {
        print_line("")
    }

    fn aside(&mut self, _hide: bool) {}
}

/// `2.45s`, with a fixed number of digits so that columns stay columns.
fn seconds(ms: u64) -> String {
    format!("{}.{:02}s", ms / 1000, ms % 1000 / 10)
}
