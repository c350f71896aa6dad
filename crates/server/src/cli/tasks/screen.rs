//! Progress of a task: bars on a terminal, one line for each thing that happens elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use quintet_client::Task;

use super::follow::{Message, What};
use crate::cli::output::{Hue, excerpt, paint};

/// Steps with a line of their own; with more the screen would scroll.
const SHOWN: usize = 12;
const TICK: Duration = Duration::from_millis(90);

/// Where progress is shown.
pub(super) enum Screen {
    /// A terminal.
    Bars(Box<Bars>),
    /// Anything else.
    Lines,
}

/// A bar for the task, and below it a line for each step that is under way.
pub(super) struct Bars {
    all: MultiProgress,
    task: ProgressBar,
    steps: HashMap<String, ProgressBar>,
    width: usize,
}

impl Screen {
    /// For a task that is under way, or waits.
    pub fn new(task: &Task) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        Self::Bars(Box::new(Bars::new(task)))
    }

    /// Something happened.
    pub fn show(&mut self, message: &Message) {
        match self {
            Self::Bars(bars) => bars.show(message),
            Self::Lines => {
                if let Some(words) = message.what.words() {
                    let subject = if message.step.is_empty() { "task" } else { &message.step };
                    eprintln!("{subject} {words}");
                }
            }
        }
    }

    /// Nothing more will.
    pub fn end(&mut self) {
        if let Self::Bars(bars) = self {
            bars.task.finish_and_clear();
            bars.steps.values().for_each(ProgressBar::finish_and_clear);
            // What cannot be cleared stays; the outcome is printed all the same.
            let _ = bars.all.clear();
        }
    }
}

impl Bars {
    fn new(task: &Task) -> Self {
        let widest = task.step_status.iter().map(|step| step.id.chars().count()).max();
        let all = MultiProgress::new();
        // Dressed before it is added, because that is when it is drawn for the first time.
        let bar = ProgressBar::new(100)
            .with_style(style("{bar:28.blue} {pos:>3}%  {wide_msg} {elapsed:.dim}"))
            .with_message(task.kind.clone().unwrap_or_else(|| task.task_id.clone()));
        let bar = all.add(bar);
        bar.set_position(task.percent() as u64);
        bar.enable_steady_tick(TICK);
        Self {
            task: bar,
            steps: HashMap::new(),
            width: widest.unwrap_or_default().clamp(8, 32),
            all,
        }
    }

    fn show(&mut self, message: &Message) {
        match &message.what {
            What::Started => self.begin(&message.step, ""),
            What::Part(text) => self.begin(&message.step, text),
            What::Completed { .. } => self.finish(message, &paint(Hue::Good, "✔")),
            What::Failed { .. } => self.finish(message, &paint(Hue::Bad, "✘")),
            What::Skipped { .. } => self.finish(message, &paint(Hue::Dim, "–")),
            What::Retrying { .. } => self.line(&paint(Hue::Waiting, "↻"), message),
            What::Progress(percent, text) => {
                if let Some(percent) = percent {
                    self.task.set_position(*percent as u64);
                }
                if let Some(text) = text {
                    self.task.set_message(excerpt(text, 200));
                }
            }
            What::Note(_) => self.line(" ", message),
        }
    }

    /// Shows a step that is under way, and how far it is.
    fn begin(&mut self, step: &str, part: &str) {
        let text = format!("{step:<width$}  {part}", width = self.width);
        if let Some(bar) = self.steps.get(step) {
            return bar.set_message(text);
        }
        if self.steps.len() >= SHOWN {
            return;
        }
        let bar = ProgressBar::new_spinner()
            .with_style(style("{spinner:.blue} {wide_msg} {elapsed:.dim}"))
            .with_message(text);
        let bar = self.all.add(bar);
        bar.enable_steady_tick(TICK);
        self.steps.insert(step.to_owned(), bar);
    }

    fn finish(&mut self, message: &Message, mark: &str) {
        if let Some(bar) = self.steps.remove(&message.step) {
            bar.finish_and_clear();
        }
        self.line(mark, message);
    }

    fn line(&self, mark: &str, message: &Message) {
        let (step, words) = (&message.step, message.what.words().unwrap_or_default());
        // There is nothing better to write to where the terminal is gone.
        let _ = self
            .all
            .println(format!("{mark} {step:<width$}  {words}", width = self.width));
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_strings(&["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", " "])
}
