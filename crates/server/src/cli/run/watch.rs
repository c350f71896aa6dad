//! Watching a run until it is over, somebody interrupts, or nobody answers any more.

use std::collections::HashMap;
use std::io::IsTerminal;

use quintet_client::{Client, Decision, Error, Followed, Follower, Run, RunStatus};
use quintet_core::time::Time;
use serde_json::Value;

use super::ask::Asker;
use super::happening::{Happening, What};
use super::lines::Lines;
use super::live::Live;
use super::summary;
use crate::cli::output::{print_json_line, print_line};

/// How watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The run is over.
    Finished,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

/// How a run is shown.
pub trait View {
    /// Something happened; when it is the end of a step, `took` is how long that was under way.
    fn show(&mut self, happening: &Happening, took: Option<u64>) -> anyhow::Result<()>;
    /// Nothing more will.
    fn end(&mut self) -> anyhow::Result<()>;
    /// Leaves the screen to a question.
    fn aside(&mut self, hide: bool);
}

/// A run that is watched.
pub struct Watch<'a> {
    client: &'a Client,
    run: String,
    events: Follower,
    view: Option<Box<dyn View>>,
    asker: Asker,
    clock: Clock,
}

/// How a run is to be shown.
pub struct Manner<'a> {
    /// Name of the workflow.
    pub name: &'a str,
    /// Characters of the longest name of a step.
    pub width: usize,
    /// Print JSON and nothing else.
    pub json: bool,
    /// Agree to every step that asks.
    pub approve_all: bool,
}

/// How long each step was under way, from its first attempt to its end.
#[derive(Debug, Default)]
pub struct Clock {
    begun: HashMap<String, Time>,
    took: HashMap<String, u64>,
}

impl Clock {
    fn note(&mut self, happening: &Happening) -> Option<u64> {
        let at = happening.at?;
        let ends = matches!(
            happening.what,
            What::Succeeded | What::Failed { .. } | What::Decided { .. }
        );
        if ends {
            let took = at.ms_since(self.begun.remove(&happening.step)?);
            self.took.insert(happening.step.clone(), took);
            return Some(took);
        }
        if matches!(
            happening.what,
            What::Started { .. } | What::Expanded { .. } | What::Waiting { .. } | What::Asked
        ) {
            self.begun.entry(happening.step.clone()).or_insert(at);
        }
        None
    }

    /// Milliseconds, of a step that has ended.
    pub fn took(&self, step: &str) -> Option<u64> {
        self.took.get(step).copied()
    }
}

impl<'a> Watch<'a> {
    /// Watches a run that was just started.
    pub fn new(client: &'a Client, run: &Run, manner: &Manner<'_>) -> Self {
        let started = Time::parse_rfc3339(&run.created_at);
        let json = manner.json;
        let is_screen = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let view: Option<Box<dyn View>> = match (json, is_screen) {
            (true, _) => None,
            (false, true) => Some(Box::new(Live::new(&run.id, manner))),
            (false, false) => Some(Box::new(Lines::new(&run.id, manner, started))),
        };
        let asker = Asker::new(
            client,
            &run.id,
            manner.approve_all,
            is_screen && !json && std::io::stdin().is_terminal(),
        );
        Self {
            client,
            run: run.id.clone(),
            events: client.runs().follow_events(&run.id),
            view,
            asker,
            clock: Clock::default(),
        }
    }

    /// Shows what happens until nothing more does.
    pub async fn watch(mut self) -> anyhow::Result<(End, Run)> {
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let end = loop {
            tokio::select! {
                next = self.events.next() => match next {
                    None => break End::Finished,
                    Some(event) => self.event(event).await?,
                },
                answer = self.asker.answer() => {
                    let (step, agreed) = answer?;
                    self.aside(false);
                    self.decide(&step, agreed).await?;
                }
                _ = &mut interrupted => break End::Interrupted,
            }
        };
        if let Some(view) = &mut self.view {
            view.end()?;
        }
        self.finish(end).await
    }

    async fn event(&mut self, event: Result<Followed, Error>) -> anyhow::Result<()> {
        let Ok(value) = serde_json::from_str::<Value>(&event?.data) else {
            return Ok(());
        };
        if self.view.is_none() {
            print_json_line(&value)?;
        }
        let Some(happening) = Happening::read(&value) else {
            return Ok(());
        };
        let took = self.clock.note(&happening);
        if let Some(view) = &mut self.view {
            view.show(&happening, took)?;
        }
        match happening.what {
            What::Asked if self.asker.agrees_to_all() => self.decide(&happening.step, true).await?,
            What::Asked if self.asker.can_ask() => {
                self.aside(true);
                self.asker.ask(&happening.step);
            }
            What::Asked => self.asker.explain(&happening.step),
            What::Decided { .. } => {
                self.asker.forget(&happening.step);
                self.aside(false);
            }
            _ => {}
        }
        Ok(())
    }

    fn aside(&mut self, hide: bool) {
        if let Some(view) = &mut self.view {
            view.aside(hide);
        }
    }

    async fn decide(&mut self, step: &str, agree: bool) -> anyhow::Result<()> {
        let by = std::env::var("USER").ok().filter(|user| !user.is_empty());
        let decision = Decision {
            step: Some(step.to_owned()),
            by,
            ..Decision::default()
        };
        let runs = self.client.runs();
        let decided = if agree {
            runs.approve(&self.run, &decision).await
        } else {
            runs.reject(&self.run, &decision).await
        };
        match decided {
            // Somebody else was faster, or the run was called off meanwhile.
            Err(Error::Api(error)) if error.status.as_u16() == 409 => Ok(()),
            decided => Ok(decided.map(drop)?),
        }
    }

    async fn finish(self, end: End) -> anyhow::Result<(End, Run)> {
        let run = self.client.runs().get(&self.run).await?;
        let end = if run.status.is_finished() { End::Finished } else { end };
        if self.view.is_none() {
            print_json_line(&serde_json::json!({ "event": "run.ended", "run": run }))?;
        } else if end == End::Finished {
            summary::print(self.client, &run, &self.clock).await?;
        } else if run.status == RunStatus::WaitingApproval {
            print_line("the run waits for an approval")?;
        }
        Ok((end, run))
    }
}
