//! Reading runs and their histories.
//!
//! A list takes the way that its filter makes short: failed runs and unfinished runs are few and have indices, a
//! workflow has one, and everything else walks down the primary key, where most rows fit anyway. A filter on the time
//! of acceptance only drops rows from that walk: ids are in order of time, but nothing enforces it. Workflows whose ids
//! begin alike are asked one after the other, because each has its newest runs at the end of its part of the index.

use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::time::Time;
use quintet_store::{DueRun, Head, RunFilter, RunPage, RunRow, StoredCommit, StoredRun};
use rusqlite::params;

use super::Reader;
use crate::codec::{self, limit as sql_limit, micros, signed};
use crate::error::{Result, corrupt};
use crate::sql;

/// Sorts after every id: they are 16 bytes.
const ABOVE_ALL: [u8; 17] = [0xff; 17];

/// The namespace that has no index of its own, as in `runs_by_namespace`.
const DEFAULT: &str = "default";

pub fn get(reader: &Reader, namespace: &str, id: RunId) -> Result<Option<RunRow>> {
    reader.first(sql::RUNS_GET, params![id.to_bytes(), namespace], codec::run)
}

/// A run with its history, of which nothing may be missing.
pub fn load(reader: &Reader, namespace: &str, id: RunId) -> Result<Option<StoredRun>> {
    reader.snapshot(|reader| {
        let Some(row) = get(reader, namespace, id)? else {
            return Ok(None);
        };
        let commits = history(reader, id, 0, usize::MAX)?;
        let complete = commits.iter().zip(1..).all(|(commit, seq)| commit.seq == seq);
        if !complete || commits.len() as u64 != row.version {
            let found = commits.len();
            return Err(corrupt(format!(
                "{id} is at version {} but its history has {found} entries",
                row.version
            )));
        }
        Ok(Some(StoredRun { row, commits }))
    })
}

pub fn commits(reader: &Reader, namespace: &str, id: RunId, after: u64, limit: usize) -> Result<Vec<StoredCommit>> {
    reader.snapshot(|reader| match get(reader, namespace, id)? {
        Some(_) => history(reader, id, after, limit),
        None => Ok(Vec::new()),
    })
}

fn history(reader: &Reader, id: RunId, after: u64, limit: usize) -> Result<Vec<StoredCommit>> {
    reader.all(
        sql::HISTORY_LIST,
        params![id.to_bytes(), signed(after), sql_limit(limit)],
        codec::commit,
    )
}

pub fn page(
    reader: &Reader,
    namespace: &str,
    filter: &RunFilter,
    before: Option<RunId>,
    limit: usize,
) -> Result<RunPage> {
    if let (Some(prefix), Some(workflow)) = (&filter.workflow_prefix, &filter.workflow)
        && !workflow.starts_with(&**prefix)
    {
        return Ok(RunPage::default());
    }
    // One more than asked for tells whether there is a next page.
    let list = List {
        reader,
        namespace,
        filter,
        before,
        limit: limit.saturating_add(1),
    };
    let of_workflow = filter.workflow.as_deref().filter(|workflow| !workflow.is_empty());
    let complete = filter.statuses.is_empty() || filter.statuses.contains(&RunStatus::Complete);
    let mut rows = if let Some(workflow) = of_workflow {
        reader.snapshot(|_| list.of_workflow(workflow))?
    } else if !complete {
        reader.snapshot(|_| list.unusual())?
    } else if let (Some(prefix), None) = (list.prefix(), &filter.workflow) {
        reader.snapshot(|_| list.by_prefix(prefix))?
    } else if namespace == DEFAULT {
        list.run(sql::RUNS_LIST, list.mask())?
    } else {
        list.run(sql::RUNS_LIST_BY_NAMESPACE, list.mask())?
    };
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(RunPage {
        next: rows.last().filter(|_| more).map(|row| row.id),
        rows,
    })
}

struct List<'a> {
    reader: &'a Reader,
    namespace: &'a str,
    filter: &'a RunFilter,
    before: Option<RunId>,
    limit: usize,
}

impl List<'_> {
    /// `statuses` is a set of bits, or one state for the statement by state.
    fn run(&self, sql: &str, statuses: i64) -> Result<Vec<RunRow>> {
        let before = self.before.map(RunId::to_bytes);
        let before: &[u8] = before.as_ref().map_or(&ABOVE_ALL, |id| id);
        let (from, until) = (micros(self.filter.created_from), micros(self.filter.created_before));
        let prefix = self.prefix();
        let behind = prefix.and_then(successor);
        let params = params![
            self.namespace,
            before,
            statuses,
            from,
            until,
            self.filter.workflow.as_deref(),
            sql_limit(self.limit),
            prefix,
            behind,
            self.filter.claimed
        ];
        self.reader.all(sql, params, codec::run)
    }

    /// Runs of one workflow that are finished, or that are not.
    fn of_workflow_side(&self, workflow: &str, is_live: bool) -> Result<Vec<RunRow>> {
        let before = self.before.map(RunId::to_bytes);
        let before: &[u8] = before.as_ref().map_or(&ABOVE_ALL, |id| id);
        let (from, until) = (micros(self.filter.created_from), micros(self.filter.created_before));
        let params = params![
            self.namespace,
            before,
            self.mask(),
            from,
            until,
            workflow,
            sql_limit(self.limit),
            self.filter.claimed,
            is_live
        ];
        self.reader.all(sql::RUNS_LIST_BY_WORKFLOW, params, codec::run)
    }

    /// Whether a state is asked for of which this holds.
    fn wants(&self, is_wanted: impl Fn(RunStatus) -> bool) -> bool {
        self.filter.statuses.is_empty() || self.filter.statuses.iter().any(|status| is_wanted(*status))
    }

    /// Runs of one workflow. Bad ends are few, and found by themselves.
    fn of_workflow(&self, workflow: &str) -> Result<Vec<RunRow>> {
        let mut rows = Vec::new();
        if self.wants(|status| !status.is_terminal()) {
            rows.extend(self.of_workflow_side(workflow, true)?);
        }
        if self.wants(|status| status == RunStatus::Complete) {
            rows.extend(self.of_workflow_side(workflow, false)?);
        } else {
            rows.extend(self.bad_ends()?);
        }
        newest(&mut rows, self.limit);
        Ok(rows)
    }

    /// The prefix that leaves anything out.
    fn prefix(&self) -> Option<&str> {
        self.filter
            .workflow_prefix
            .as_deref()
            .filter(|prefix| !prefix.is_empty())
    }

    /// The newest runs of each workflow that begins so, merged.
    fn by_prefix(&self, prefix: &str) -> Result<Vec<RunRow>> {
        let (mut rows, mut behind, mut may_be) = (Vec::new(), Arc::from(prefix), true);
        loop {
            let params = params![self.namespace, behind, may_be];
            let next = self
                .reader
                .first(sql::RUNS_NEXT_WORKFLOW, params, |row| codec::text(row, 0))?;
            let Some(next) = next.filter(|next| next.starts_with(prefix)) else {
                break;
            };
            rows.extend(self.of_workflow(&next)?);
            newest(&mut rows, self.limit);
            (behind, may_be) = (next, false);
        }
        Ok(rows)
    }

    fn mask(&self) -> i64 {
        if self.filter.statuses.is_empty() {
            return -1;
        }
        self.filter
            .statuses
            .iter()
            .fold(0, |mask, status| mask | 1 << status.number())
    }

    /// Runs in states that few are in: unfinished ones, and bad ends.
    fn unusual(&self) -> Result<Vec<RunRow>> {
        let mut rows = Vec::new();
        if self.filter.statuses.iter().any(|status| !status.is_terminal()) {
            rows.extend(self.run(sql::RUNS_LIST_LIVE, self.mask())?);
        }
        rows.extend(self.bad_ends()?);
        newest(&mut rows, self.limit);
        Ok(rows)
    }

    /// Each by itself, because the index is in order of id only within one state.
    fn bad_ends(&self) -> Result<Vec<RunRow>> {
        let mut rows = Vec::new();
        for end in [RunStatus::Error, RunStatus::Cancelled, RunStatus::ResolvedManually] {
            if self.filter.statuses.contains(&end) {
                rows.extend(self.run(sql::RUNS_LIST_BY_STATUS, i64::from(end.number()))?);
            }
        }
        Ok(rows)
    }
}

/// Sorts behind everything that begins with `prefix`, and before everything else that sorts behind `prefix`.
fn successor(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

fn newest(rows: &mut Vec<RunRow>, limit: usize) {
    rows.sort_by_key(|row| std::cmp::Reverse(row.id));
    rows.truncate(limit);
}

pub fn due(reader: &Reader, now: Time, limit: usize) -> Result<Vec<DueRun>> {
    reader.all(sql::RUNS_DUE, params![now.0, sql_limit(limit)], codec::due_run)
}

pub fn next_wake(reader: &Reader) -> Result<Option<Time>> {
    reader.first(sql::RUNS_NEXT_WAKE, [], |row| codec::time(row, 0))
}

pub fn claimed(reader: &Reader, after: Option<RunId>, limit: usize) -> Result<Vec<DueRun>> {
    let after = after.map(RunId::to_bytes);
    reader.all(sql::RUNS_CLAIMED, params![after, sql_limit(limit)], codec::due_run)
}

/// How far each of these has come; unknown ones are left out.
pub fn heads(reader: &Reader, runs: &[RunId]) -> Result<Vec<Head>> {
    reader.snapshot(|reader| {
        let mut heads = Vec::with_capacity(runs.len());
        for id in runs {
            heads.extend(reader.first(sql::RUNS_HEAD, params![id.to_bytes()], |row| {
                let (version, status) = (row.get::<_, i64>(1)?.cast_unsigned(), codec::status(row.get(2)?)?);
                Ok(Head {
                    id: *id,
                    version,
                    status,
                })
            })?);
        }
        Ok(heads)
    })
}

/// Runs that ended before `before`, for retention to remove.
pub fn ended(reader: &Reader, before: Time, limit: usize) -> Result<Vec<RunId>> {
    reader.all(sql::RUNS_ENDED, params![before.0, sql_limit(limit)], |row| {
        codec::run_id(row, 0)
    })
}
