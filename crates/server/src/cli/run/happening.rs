//! What is shown of a run: its events, read from the API into what a person wants to know.

use quintet_core::time::Time;
use serde_json::Value;

use crate::cli::output::{duration, excerpt};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// When.
    pub at: Option<Time>,
    /// To which step run; empty for the run itself.
    pub step: String,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// An attempt began.
    Started { attempt: u64 },
    /// The step ended well.
    Succeeded,
    /// An attempt failed and another follows.
    Retrying {
        attempt: u64,
        error: String,
        at: Option<Time>,
    },
    /// The attempt's process was lost.
    Lost,
    /// The step failed for good.
    Failed { error: String },
    /// The step was skipped.
    Skipped { why: &'static str },
    /// The step runs once for each of so many items.
    Expanded { items: usize },
    /// Until when it waits.
    Waiting { until: Option<Time> },
    /// A person is asked.
    Asked,
    /// A person, or nobody in time, decided.
    Decided { granted: bool, by: Option<String> },
    /// Reported progress, in percent, and a message.
    Progress {
        percent: Option<f64>,
        message: Option<String>,
    },
    /// Something else that a line should say.
    Note(String),
}

impl Happening {
    /// Reads an event of the API; `None` for what nobody needs to see.
    pub fn read(event: &Value) -> Option<Self> {
        let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| event.get(name).and_then(Value::as_u64);
        let time = |name: &str| text(name).and_then(|text| Time::parse_rfc3339(&text));
        let error = || excerpt(&text("error").unwrap_or_default(), 200);
        let by = || text("by").map_or_else(String::new, |by| format!(" by {by}"));
        let what = match event.get("event").and_then(Value::as_str)? {
            "step.started" => What::Started {
                attempt: number("attempt").unwrap_or(1),
            },
            "step.succeeded" | "step.waited" | "step.collected" => What::Succeeded,
            "step.retrying" => What::Retrying {
                attempt: number("attempt").unwrap_or(1),
                error: error(),
                at: time("retry_at"),
            },
            "step.attempt_lost" => What::Lost,
            "step.failed" => What::Failed { error: error() },
            "step.skipped" => What::Skipped {
                why: cause(text("cause").as_deref()),
            },
            "step.expanded" => What::Expanded {
                items: number("items").unwrap_or(0) as usize,
            },
            "step.waiting" => What::Waiting { until: time("until") },
            "approval.requested" => What::Asked,
            "approval.granted" => What::Decided {
                granted: true,
                by: text("by"),
            },
            "approval.rejected" => What::Decided {
                granted: false,
                by: text("by"),
            },
            "step.progressed" => What::Progress {
                percent: event.get("progress")?.as_f64(),
                message: text("message"),
            },
            "run.canceled" => What::Note(format!("called off{}", by())),
            "run.timed_out" => What::Note("took too long and was called off".to_owned()),
            "run.paused" => What::Note(format!("paused{}", by())),
            "run.resumed" => What::Note(format!("resumed{}", by())),
            "step.resolved" => What::Note(format!("settled by hand{}", by())),
            "log.appended" => What::Note(excerpt(&text("text")?, 200)),
            _ => return None,
        };
        Some(Self {
            at: time("at"),
            step: text("step").unwrap_or_default(),
            what,
        })
    }

    /// What happened, in words; `took` is how long the step was under way.
    pub fn words(&self, took: Option<u64>) -> String {
        let in_time = took.map(|ms| format!(" in {}", duration(ms))).unwrap_or_default();
        match &self.what {
            What::Started { attempt: 1 } => "started".to_owned(),
            What::Started { attempt } => format!("attempt {attempt} started"),
            What::Succeeded => format!("succeeded{in_time}"),
            What::Retrying { attempt, error, at } => {
                let wait = at
                    .zip(self.at)
                    .map(|(at, now)| format!(" in {}", duration(at.ms_since(now))));
                format!(
                    "attempt {attempt} failed: {error}; next attempt{}",
                    wait.unwrap_or_default()
                )
            }
            What::Lost => "lost with its process; it is made again".to_owned(),
            What::Failed { error } => format!("FAILED{in_time}: {error}"),
            What::Skipped { why } => format!("skipped: {why}"),
            What::Expanded { items } => format!("runs for {items} items"),
            What::Waiting { until } => {
                let wait = until
                    .zip(self.at)
                    .map(|(until, now)| format!(" {}", duration(until.ms_since(now))));
                format!("waits{}", wait.unwrap_or_default())
            }
            What::Asked => "waits for an approval".to_owned(),
            What::Decided { granted, by } => {
                let decision = if *granted { "approved" } else { "declined" };
                by.as_ref()
                    .map_or_else(|| decision.to_owned(), |by| format!("{decision} by {by}"))
            }
            What::Progress { percent, message } => {
                let percent = percent.map(|percent| format!("{percent:.0}%"));
                [percent, message.clone()]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" ")
            }
            What::Note(text) => text.clone(),
        }
    }
}

fn cause(cause: Option<&str>) -> &'static str {
    match cause {
        Some("condition_false") => "its condition is false",
        Some("upstream_failed") => "a step before it failed",
        _ => "its branch was not taken",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(event: Value, took: Option<u64>) -> Option<String> {
        Happening::read(&event).map(|happening| happening.words(took))
    }

    #[test]
    fn events_are_told_in_words() {
        let at = "2026-11-21T10:00:00Z";
        let retry = json!({"event": "step.retrying", "step": "pay", "attempt": 1, "at": at,
            "error": "http status 503", "retry_at": "2026-11-21T10:00:01.5Z"});
        assert_eq!(
            words(retry, None).unwrap(),
            "attempt 1 failed: http status 503; next attempt in 1.5s"
        );
        let ended = json!({"event": "step.succeeded", "step": "pay", "at": at});
        assert_eq!(words(ended, Some(320)).unwrap(), "succeeded in 320ms");
        let skipped = json!({"event": "step.skipped", "step": "gift", "cause": "condition_false"});
        assert_eq!(words(skipped, None).unwrap(), "skipped: its condition is false");
        assert_eq!(words(json!({"event": "run.moved", "status": "SUCCEEDED"}), None), None);
    }
}
