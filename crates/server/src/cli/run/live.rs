//! Progress on a terminal: a line for each step that is under way, and above them what has ended.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::happening::{Happening, What};
use super::watch::{Manner, View};
use crate::cli::output::{Hue, paint, print_line};

/// Steps with a line of their own; with more the screen would scroll.
const SHOWN: usize = 12;
const TICK: Duration = Duration::from_millis(90);

/// Draws.
pub struct Live {
    bars: MultiProgress,
    active: HashMap<String, Active>,
    /// For each `for_each` step, items ended and items in all.
    fans: HashMap<String, (usize, usize)>,
    width: usize,
}

struct Active {
    bar: ProgressBar,
    attempts: u64,
}

impl Live {
    /// For a run.
    pub fn new(run: &str, manner: &Manner<'_>) -> Self {
        let live = Self {
            bars: MultiProgress::new(),
            active: HashMap::new(),
            fans: HashMap::new(),
            width: manner.width,
        };
        let name = if manner.name.is_empty() { "run" } else { manner.name };
        live.line(&format!("{name}  {}", paint(Hue::Dim, run)));
        live
    }

    fn line(&self, text: &str) {
        // There is nothing better to write to where the terminal is gone.
        let _ = self.bars.println(text);
    }

    fn begin(&mut self, happening: &Happening, message: String) {
        // Items have no line of their own: their step's line counts them.
        if parent(&happening.step).is_some() {
            return;
        }
        let (bars, shown) = (
            &self.bars,
            self.active.values().filter(|active| !active.bar.is_hidden()).count(),
        );
        let active = self.active.entry(happening.step.clone()).or_insert_with(|| {
            // Dressed before it is added, because that is when it is drawn for the first time.
            let bar = if shown < SHOWN {
                ProgressBar::new_spinner()
            } else {
                ProgressBar::hidden()
            };
            let prefix = format!("{:<width$}", happening.step, width = self.width);
            let bar = bar
                .with_style(style())
                .with_prefix(prefix)
                .with_message(message.clone());
            let bar = if shown < SHOWN { bars.add(bar) } else { bar };
            bar.enable_steady_tick(TICK);
            Active { bar, attempts: 0 }
        });
        if let What::Started { .. } = happening.what {
            active.attempts += 1;
        }
        active.bar.set_message(message);
    }

    fn finish(&mut self, happening: &Happening, took: Option<u64>, mark: &str) {
        let active = self.active.remove(&happening.step);
        let mut words = happening.words(took);
        if let Some(active) = active {
            active.bar.finish_and_clear();
            if active.attempts > 1 {
                words.push_str(&format!(", {} attempts", active.attempts));
            }
        }
        let ended_well = matches!(happening.what, What::Succeeded);
        if let Some(parent) = parent(&happening.step)
            && let Some((done, all)) = self.fans.get_mut(parent)
        {
            *done += 1;
            if let Some(active) = self.active.get(parent) {
                active.bar.set_message(format!("{done} of {all} items"));
            }
            if ended_well {
                return;
            }
        }
        self.entry(mark, &happening.step, &words);
    }

    fn entry(&self, mark: &str, step: &str, words: &str) {
        self.line(&format!("{mark} {step:<width$}  {words}", width = self.width));
    }
}

/// The `for_each` step of an item.
fn parent(step: &str) -> Option<&str> {
    step.strip_suffix(']')?.rsplit_once('[').map(|(parent, _)| parent)
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{spinner:.blue} {prefix}  {wide_msg} {elapsed:.dim}");
    style
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_strings(&["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", " "])
}

impl View for Live {
    fn show(&mut self, happening: &Happening, took: Option<u64>) -> anyhow::Result<()> {
        match &happening.what {
            What::Started { attempt: 1 } => self.begin(happening, "running".to_owned()),
            What::Expanded { items } => {
                self.fans.insert(happening.step.clone(), (0, *items));
                self.begin(happening, format!("0 of {items} items"));
            }
            What::Started { .. } | What::Waiting { .. } | What::Asked | What::Progress { .. } | What::Lost => {
                self.begin(happening, happening.words(None));
            }
            What::Retrying { .. } => {
                let words = happening.words(None);
                self.entry(&paint(Hue::Waiting, "↻"), &happening.step, &words);
                self.begin(happening, words);
            }
            What::Succeeded => self.finish(happening, took, &paint(Hue::Good, "✔")),
            What::Failed { .. } => self.finish(happening, took, &paint(Hue::Bad, "✘")),
            What::Skipped { .. } => self.finish(happening, took, &paint(Hue::Dim, "–")),
            What::Decided { granted, .. } => {
                let hue = if *granted { Hue::Good } else { Hue::Bad };
                self.finish(happening, took, &paint(hue, "●"));
            }
            What::Note(text) => self.line(&format!("  {text}")),
        }
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        for active in self.active.values() {
            active.bar.finish_and_clear();
        }
        self.bars.clear()?;
        print_line("")
    }

    fn aside(&mut self, hide: bool) {
        let target = if hide {
            indicatif::ProgressDrawTarget::hidden()
        } else {
            indicatif::ProgressDrawTarget::stderr()
        };
        if hide {
            // What cannot be cleared stays on the screen; the question is asked all the same.
            let _ = self.bars.clear();
        }
        self.bars.set_draw_target(target);
    }
}
