//! Progress for pipes and logs: one line for each thing that happened, with the time since the start.

use quintet_core::time::Time;

use super::happening::Happening;
use super::watch::{Manner, View};
use crate::cli::output::print_line;

/// Prints lines.
pub struct Lines {
    started: Option<Time>,
    width: usize,
}

impl Lines {
    /// For a run that was accepted at `started`.
    pub fn new(run: &str, manner: &Manner<'_>, started: Option<Time>) -> Self {
        let name = if manner.name.is_empty() {
            String::new()
        } else {
            format!(" of {}", manner.name)
        };
        // A reader that has gone away is found out at the next line.
        let _ = print_line(&format!("{run}{name}"));
        Self {
            started,
            width: manner.width,
        }
    }
}

impl View for Lines {
    fn show(&mut self, happening: &Happening, took: Option<u64>) -> anyhow::Result<()> {
        let since = self
            .started
            .zip(happening.at)
            .map_or(0, |(started, at)| at.ms_since(started));
        let subject = if happening.step.is_empty() {
            "run"
        } else {
            &happening.step
        };
        print_line(&format!(
            "+{:<7} {subject:<width$}  {}",
            seconds(since),
            happening.words(took),
            width = self.width
        ))
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
