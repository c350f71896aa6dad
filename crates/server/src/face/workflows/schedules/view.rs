//! A schedule as this face shows it.

use quintet_core::id::RunId;
use quintet_core::time::Time;
use serde::Serialize;

use super::super::reply;
use crate::schedules::{self, Counts, Missed, Outcome, Overlap, Schedule, Target};

/// A schedule.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    id: &'a str,
    name: &'a str,
    cron: &'a str,
    timezone: &'a str,
    target: &'a Target,
    missed: Missed,
    overlap: Overlap,
    paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    next_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<Retry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Last<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run_id: Option<RunId>,
    counts: Counts,
    #[serde(serialize_with = "reply::time")]
    created_at: Time,
    #[serde(serialize_with = "reply::time")]
    updated_at: Time,
}

/// A start that will be tried again.
#[derive(Debug, Serialize)]
struct Retry<'a> {
    tries: u32,
    #[serde(serialize_with = "reply::time")]
    at: Time,
    error: &'a str,
}

/// What became of the last nominal time.
#[derive(Debug, Serialize)]
struct Last<'a> {
    #[serde(serialize_with = "reply::time")]
    nominal_at: Time,
    #[serde(serialize_with = "reply::time")]
    fired_at: Time,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> Shown<'a> {
    pub fn of(schedule: &'a Schedule) -> Self {
        let (spec, state) = (&schedule.spec, &schedule.state);
        Self {
            id: &schedule.id,
            name: &spec.name,
            cron: &spec.cron,
            timezone: &spec.timezone,
            target: &spec.target,
            missed: spec.missed,
            overlap: spec.overlap,
            paused: state.paused,
            note: spec.note.as_deref(),
            next_at: state.next_at,
            retry: state.retry.as_ref().map(Retry::of),
            last: state.last.as_ref().map(Last::of),
            last_run_id: state.last_run,
            counts: state.counts,
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
        }
    }
}

impl<'a> Retry<'a> {
    fn of(retry: &'a schedules::Retry) -> Self {
        let (tries, at, error) = (retry.tries, retry.at, &*retry.error);
        Self { tries, at, error }
    }
}

impl<'a> Last<'a> {
    fn of(last: &'a schedules::Last) -> Self {
        Self {
            nominal_at: last.nominal,
            fired_at: last.at,
            outcome: last.outcome,
            run_id: last.run_id,
            error: last.error.as_deref(),
        }
    }
}
