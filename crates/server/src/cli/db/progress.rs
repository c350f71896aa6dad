//! How far a move has come: a bar on a terminal, and elsewhere a line for every twentieth part and every stage. Both go to
//! the standard error, because the standard output is for the summary.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use quintet_store::transfer::{Progress, Stage};

/// Lines for one stage.
const PARTS: u64 = 20;

/// Whoever watches.
pub enum Watcher {
    Bar(ProgressBar),
    Lines {
        /// The stage, and how many parts of it were told.
        told: Option<(Stage, u64)>,
    },
}

impl Watcher {
    pub fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { told: None };
        }
        let style = "{msg:9} [{bar:40}] {human_pos} of {human_len} records, {per_sec}, {eta} to go ({prefix})";
        let bar = ProgressBar::new(0);
        bar.set_style(ProgressStyle::with_template(style).expect("the template is fine"));
        Self::Bar(bar)
    }

    pub fn see(&mut self, progress: Progress) {
        let Progress {
            stage,
            kind,
            done,
            total,
        } = progress;
        match self {
            Self::Bar(bar) => {
                if bar.message() != word(stage) {
                    bar.reset();
                    bar.set_message(word(stage));
                }
                bar.set_length(total);
                bar.set_prefix(kind.as_str());
                bar.set_position(done);
            }
            Self::Lines { told } => {
                let part = (done * PARTS).checked_div(total).unwrap_or(PARTS);
                if told.is_none_or(|before| before.0 != stage || before.1 < part) {
                    eprintln!("{} {done} of {total} records ({})", word(stage), kind.as_str());
                    *told = Some((stage, part));
                }
            }
        }
    }

    pub fn end(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

const fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Copying => "copying",
        Stage::Comparing => "comparing",
    }
}
