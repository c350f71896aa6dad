//! `quintet db move`: one store into another, with counts and digests of both at the end.

use std::process::ExitCode;

use quintet_core::time::Time;
use quintet_engine::clock::{Clock, SystemClock};
use quintet_store::transfer::{Check, Mover, Progress, Stage, Summary, TransferError};
use serde_json::{Value, json};

use super::open::{Opened, Wanted};
use super::progress::Watcher;
use crate::cli::document::BadInput;
use crate::cli::output::{duration, print_json, print_line};
use crate::config::{Config, Secret, StoreUrl};

/// Carries the move out; exit code 1 when the stores differ in the end.
pub async fn run(config: &Config, from: &str, to: &str, json: bool) -> anyhow::Result<ExitCode> {
    let (from, to) = (store_url(from, "--from")?, store_url(to, "--to")?);
    if from == to {
        return Err(BadInput::at("--to", "is the store that is to be moved: name another one").into());
    }
    let source = Opened::open(&from, config, Wanted::UpToDate).await?;
    let target = match Opened::open(&to, config, Wanted::Made).await {
        Ok(target) => target,
        Err(error) => {
            source.store().close().await?;
            return Err(error);
        }
    };
    let mut times = Times::start();
    let mut watcher = Watcher::new();
    let mover = Mover::new(source.portable(), target.portable());
    let mut watch = |progress: Progress| {
        times.see(progress.stage);
        watcher.see(progress);
    };
    let moved = mover.run(&mut watch).await;
    watcher.end();
    let closed = (source.store().close().await, target.store().close().await);
    let summary = moved.map_err(explain)?;
    closed.0.and(closed.1)?;
    let report = Report {
        from,
        to,
        times: times.end(),
        summary,
    };
    report.print(json)?;
    Ok(if report.summary.difference().is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Also a reference, because a password on a command line can be read by others on the machine.
fn store_url(text: &str, flag: &str) -> Result<StoreUrl, BadInput> {
    let text = Secret::new(text)
        .reveal()
        .map_err(|reason| BadInput::at(flag, reason))?;
    StoreUrl::parse(&text, flag).map_err(BadInput::new)
}

/// What can be tried again goes on where it stopped.
fn explain(error: TransferError) -> anyhow::Error {
    let (TransferError::Source(cause) | TransferError::Target(cause)) = &error;
    let again = cause.is_retryable();
    let error = anyhow::Error::from(error);
    if again {
        error.context("the move stopped; the same command again goes on where it did")
    } else {
        error
    }
}

/// When the stages began and ended.
struct Times {
    began: Time,
    compared_from: Option<Time>,
    ended: Time,
}

impl Times {
    fn start() -> Self {
        let now = SystemClock.now();
        Self {
            began: now,
            compared_from: None,
            ended: now,
        }
    }

    fn see(&mut self, stage: Stage) {
        if stage == Stage::Comparing {
            self.compared_from.get_or_insert_with(|| SystemClock.now());
        }
    }

    fn end(self) -> Self {
        Self {
            ended: SystemClock.now(),
            ..self
        }
    }

    fn copying_ms(&self) -> u64 {
        self.compared_from.unwrap_or(self.ended).ms_since(self.began)
    }

    fn comparing_ms(&self) -> u64 {
        self.compared_from.map_or(0, |from| self.ended.ms_since(from))
    }
}

struct Report {
    from: StoreUrl,
    to: StoreUrl,
    times: Times,
    summary: Summary,
}

impl Report {
    fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return print_json(&self.json());
        }
        self.lines().iter().try_for_each(|line| print_line(line))
    }

    fn json(&self) -> Value {
        let summary = &self.summary;
        let difference = summary.difference().map(ToString::to_string);
        json!({
            "from": self.from.to_string(), "to": self.to.to_string(),
            "equal": difference.is_none(), "difference": difference,
            "resumed_at": summary.resumed.as_ref().map(ToString::to_string), "copied": summary.copied,
            "copying_ms": self.times.copying_ms(), "comparing_ms": self.times.comparing_ms(),
            "kinds": summary.checks.iter().map(kind).collect::<Vec<_>>(),
        })
    }

    fn lines(&self) -> Vec<String> {
        let Summary {
            resumed,
            copied,
            checks,
        } = &self.summary;
        let mut lines = vec![format!("from  {}", self.from), format!("to    {}", self.to)];
        if let Some(place) = resumed {
            lines.push(format!("went on behind {place}, where an earlier try had stopped"));
        }
        let (copying, comparing) = (duration(self.times.copying_ms()), duration(self.times.comparing_ms()));
        lines.push(format!(
            "copied {copied} records in {copying}, compared both stores in {comparing}"
        ));
        lines.push(String::new());
        for check in checks {
            lines.push(line(check.kind.as_str(), check.source.count, &check.source.digest));
            if check.source != check.target {
                lines.push(line("  in the target", check.target.count, &check.target.digest));
            }
        }
        lines.push(String::new());
        lines.push(match self.summary.difference() {
            None => "Both stores are equal. The target is ready; the source is as it was.".to_owned(),
            Some(difference) => format!(
                "THE STORES DIFFER: {difference}. The target stays closed. If the source was in use meanwhile, remove the \
                 target and move again."
            ),
        });
        lines
    }
}

fn line(name: &str, count: u64, digest: &dyn std::fmt::Display) -> String {
    format!("{name:<18} {count:>12}  sha256 {digest}")
}

fn kind(check: &Check) -> Value {
    json!({
        "kind": check.kind.as_str(),
        "source": {"count": check.source.count, "sha256": check.source.digest.to_string()},
        "target": {"count": check.target.count, "sha256": check.target.digest.to_string()},
        "difference": check.difference.as_ref().map(ToString::to_string),
    })
}
