//! The attempts at a step, read from the run's history.

use std::collections::BTreeMap;

use quintet_core::event::Event;
use quintet_core::state::RunState;
use quintet_core::time::Time;
use quintet_engine::events_of;
use quintet_store::{Store, StoreError};
use serde::Serialize;
use serde_json::Value;

use super::super::reply;

/// History entries read at a time.
const PAGE: usize = 1000;
/// Latest attempts shown.
const SHOWN: usize = 1000;

/// One attempt.
#[derive(Debug, Serialize)]
pub(super) struct Attempt {
    attempt: u32,
    outcome: &'static str,
    #[serde(serialize_with = "reply::time")]
    started_at: Time,
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    ended_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Value>,
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    retry_at: Option<Time>,
}

/// The attempts at a step run, oldest first.
pub(super) async fn attempts_of(store: &dyn Store, state: &RunState, n: u32) -> Result<Vec<Attempt>, StoreError> {
    // Entries that do not mention the step run are not parsed: a run of many steps has a long history.
    let mentions = [
        format!("\"n\":{n},"),
        format!("\"n\":{n}}}"),
        "\"run_cancelled\"".to_owned(),
        "\"run_timed_out\"".to_owned(),
    ];
    let mut attempts = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = store.commits(&state.created.namespace, state.id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for commit in page
            .iter()
            .filter(|commit| mentions.iter().any(|text| commit.events.contains(text)))
        {
            for event in events_of(&commit.events)? {
                note(&mut attempts, n, &event, commit.meta.at);
            }
            while attempts.len() > SHOWN {
                attempts.pop_first();
            }
        }
        if page.len() < PAGE {
            break;
        }
    }
    Ok(attempts.into_values().collect())
}

fn note(attempts: &mut BTreeMap<u32, Attempt>, n: u32, event: &Event, at: Time) {
    match event {
        Event::StepStarted { n: of, a, .. } if *of == n => {
            let begun = Attempt {
                attempt: *a,
                outcome: "running",
                started_at: at,
                ended_at: None,
                code: None,
                error: None,
                error_kind: None,
                detail: None,
                retry_at: None,
            };
            attempts.insert(*a, begun);
        }
        Event::StepSucceeded { n: of, a, success } if *of == n => end(attempts, *a, "succeeded", at, |attempt| {
            attempt.code = success.code;
        }),
        Event::StepFailed { n: of, a, failure } if *of == n => end(attempts, *a, "failed", at, |attempt| {
            attempt.fail(failure, None);
        }),
        Event::StepRetrying {
            n: of,
            a,
            failure,
            at: due,
        } if *of == n => end(attempts, *a, "failed", at, |attempt| {
            attempt.fail(failure, Some(*due));
        }),
        Event::AttemptLost { n: of, a } if *of == n => end(attempts, *a, "lost", at, |_| {}),
        Event::RunCancelled { .. }
        | Event::RunResolved { .. }
        | Event::RunTimedOut { .. }
        | Event::StepResolved { .. } => {
            let called_off = !matches!(event, Event::StepResolved { n: of, .. } if *of != n);
            let open = attempts
                .values_mut()
                .filter(|attempt| called_off && attempt.ended_at.is_none());
            open.for_each(|attempt| (attempt.outcome, attempt.ended_at) = ("canceled", Some(at)));
        }
        _ => {}
    }
}

fn end(
    attempts: &mut BTreeMap<u32, Attempt>,
    a: u32,
    outcome: &'static str,
    at: Time,
    more: impl FnOnce(&mut Attempt),
) {
    if let Some(attempt) = attempts.get_mut(&a) {
        attempt.outcome = outcome;
        attempt.ended_at = Some(at);
        more(attempt);
    }
}

impl Attempt {
    fn fail(&mut self, failure: &quintet_core::outcome::Failure, retry_at: Option<Time>) {
        self.code = failure.code;
        self.error = Some(failure.message.clone());
        self.error_kind.clone_from(&failure.kind);
        self.detail.clone_from(&failure.detail);
        self.retry_at = retry_at;
    }
}
