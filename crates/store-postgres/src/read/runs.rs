//! Reading runs and their histories.
//!
//! A list takes the way that its filter makes short: failed runs and unfinished runs are few and have indices, a
//! workflow has one, and everything else walks down the primary key, where most rows fit anyway. A filter on the time
//! of acceptance only drops rows from that walk: ids are in order of time, but nothing enforces it. A filter on the
//! beginning of a workflow's id goes through the workflows that fit, of which there are few.

use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::time::Time;
use quintet_store::{DueRun, Head, RunFilter, RunPage, RunRow, StoredCommit, StoredRun};

use crate::codec::{self, Text, Uuid, limit as sql_limit, micros, signed};
use crate::error::{Result, corrupt};
use crate::session::{Database, Param, Step};
use crate::sql::{self, Statement};

/// The namespace that has no index of its own, as in `runs_by_namespace`.
const DEFAULT: &str = "default";

pub async fn get(database: &Database, namespace: &str, id: RunId) -> Result<Option<RunRow>> {
    let params: [Param<'_>; 2] = [&Uuid(id), &Text(namespace)];
    let answer = database.within(namespace).read(&sql::RUNS_GET, &params).await?;
    answer.rows.first().map(codec::run).transpose()
}

/// A run with its history, of which nothing may be missing.
pub async fn load(database: &Database, namespace: &str, id: RunId) -> Result<Option<StoredRun>> {
    // Between the two statements somebody may have removed the run, and then its row is gone the next time.
    let mut found = read_both(database, namespace, id).await?;
    if found.as_ref().is_some_and(|run| !is_complete(run)) {
        found = read_both(database, namespace, id).await?;
    }
    match found {
        Some(run) if !is_complete(&run) => {
            let (version, found) = (run.row.version, run.commits.len());
            Err(corrupt(format!(
                "{id} is at version {version} but its history has {found} entries"
            )))
        }
        found => Ok(found),
    }
}

fn is_complete(run: &StoredRun) -> bool {
    let ordered = run.commits.iter().zip(1..).all(|(commit, seq)| commit.seq == seq);
    ordered && run.commits.len() as u64 == run.row.version
}

/// The row, and the history up to it: entries are only ever added, so what came after the row is left out.
async fn read_both(database: &Database, namespace: &str, id: RunId) -> Result<Option<StoredRun>> {
    let within = database.within_runs(namespace, &[id]);
    let (id, namespace, after, limit) = (Uuid(id), Text(namespace), 0i64, i64::MAX);
    let steps = [
        Step::Run(&sql::RUNS_GET, vec![&id, &namespace]),
        Step::Run(&sql::HISTORY_LIST, vec![&id, &after, &limit]),
    ];
    let answers = within.flight(&steps).await?;
    let Some(row) = answers[0].rows.first().map(codec::run).transpose()? else {
        return Ok(None);
    };
    let mut commits = codec::all(&answers[1].rows, codec::commit)?;
    commits.retain(|commit| commit.seq <= row.version);
    Ok(Some(StoredRun { row, commits }))
}

pub async fn commits(
    database: &Database,
    namespace: &str,
    id: RunId,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredCommit>> {
    let within = database.within_runs(namespace, &[id]);
    let (id, namespace, after, limit) = (Uuid(id), Text(namespace), signed(after), sql_limit(limit));
    let steps = [
        Step::Run(&sql::RUNS_GET, vec![&id, &namespace]),
        Step::Run(&sql::HISTORY_LIST, vec![&id, &after, &limit]),
    ];
    let answers = within.flight(&steps).await?;
    // What a removed run left in a partition that is still to be dropped is not to be seen.
    if answers[0].rows.is_empty() {
        return Ok(Vec::new());
    }
    codec::all(&answers[1].rows, codec::commit)
}

pub async fn page(
    database: &Database,
    namespace: &str,
    filter: &RunFilter,
    before: Option<RunId>,
    limit: usize,
) -> Result<RunPage> {
    let Some(newest) = newest(before) else {
        return Ok(RunPage::default());
    };
    // One more than asked for tells whether there is a next page.
    let list = List {
        database,
        namespace,
        filter,
        newest: Uuid(newest),
        limit: limit.saturating_add(1),
    };
    let complete = filter.statuses.is_empty() || filter.statuses.contains(&RunStatus::Complete);
    let workflow = filter.workflow.as_deref().filter(|workflow| !workflow.is_empty());
    let prefix = filter.workflow_prefix.as_deref().filter(|prefix| !prefix.is_empty());
    if let (Some(workflow), Some(prefix)) = (filter.workflow.as_deref(), prefix)
        && !workflow.starts_with(prefix)
    {
        return Ok(RunPage::default());
    }
    let mut rows = if !complete {
        list.unusual().await?
    } else if workflow.is_some() {
        list.run(&sql::RUNS_LIST_BY_WORKFLOW, list.mask()).await?
    } else if let Some(prefix) = prefix {
        list.by_prefix(prefix).await?
    } else if namespace == DEFAULT {
        list.run(&sql::RUNS_LIST, list.mask()).await?
    } else {
        list.run(&sql::RUNS_LIST_BY_NAMESPACE, list.mask()).await?
    };
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(RunPage {
        next: rows.last().filter(|_| more).map(|row| row.id),
        rows,
    })
}

/// The highest id below `before`, if there can be one.
fn newest(before: Option<RunId>) -> Option<RunId> {
    let bits = match before {
        Some(before) => before.bits().checked_sub(1)?,
        None => u128::MAX,
    };
    Some(RunId::from_bits(bits))
}

struct List<'a> {
    database: &'a Database,
    namespace: &'a str,
    filter: &'a RunFilter,
    newest: Uuid,
    limit: usize,
}

impl List<'_> {
    /// `statuses` is a set of bits, or one state for the statement by state.
    async fn run(&self, statement: &'static Statement, statuses: i64) -> Result<Vec<RunRow>> {
        let (from, until) = (micros(self.filter.created_from), micros(self.filter.created_before));
        let workflow = self.filter.workflow.as_deref().map(Text);
        let (namespace, limit) = (Text(self.namespace), sql_limit(self.limit));
        let prefix = self.filter.workflow_prefix.as_deref().map(Text);
        let mut params: Vec<Param<'_>> = vec![&namespace, &self.newest, &statuses, &from, &until, &workflow, &limit];
        // Where the workflow is known, so is how it begins.
        if statement.types.len() > params.len() + 1 {
            params.push(&prefix);
        }
        params.push(&self.filter.claimed);
        let answer = self.database.within(self.namespace).read(statement, &params).await?;
        codec::all(&answer.rows, codec::run)
    }

    async fn by_prefix(&self, prefix: &str) -> Result<Vec<RunRow>> {
        let (from, until) = (micros(self.filter.created_from), micros(self.filter.created_before));
        let (namespace, prefix, limit) = (Text(self.namespace), Text(prefix), sql_limit(self.limit));
        let mask = self.mask();
        let claimed = &self.filter.claimed;
        let params: [Param<'_>; 8] = [&namespace, &self.newest, &mask, &from, &until, &prefix, &limit, claimed];
        let within = self.database.within(self.namespace);
        let answer = within.read(&sql::RUNS_LIST_BY_PREFIX, &params).await?;
        codec::all(&answer.rows, codec::run)
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

    /// Runs in states that few are in: unfinished ones, and each bad end by itself, because the index is in order of
    /// id only within one state. A run that ends meanwhile may be found twice, and is listed as it was found first.
    async fn unusual(&self) -> Result<Vec<RunRow>> {
        let mut rows = Vec::new();
        if self.filter.statuses.iter().any(|status| !status.is_terminal()) {
            rows.extend(self.run(&sql::RUNS_LIST_LIVE, self.mask()).await?);
        }
        for end in [RunStatus::Error, RunStatus::Cancelled, RunStatus::ResolvedManually] {
            if self.filter.statuses.contains(&end) {
                rows.extend(self.run(&sql::RUNS_LIST_BY_STATUS, i64::from(end.number())).await?);
            }
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.id));
        rows.dedup_by_key(|row| row.id);
        rows.truncate(self.limit);
        Ok(rows)
    }
}

pub async fn next_wake(database: &Database) -> Result<Option<Time>> {
    let answer = database.read(&sql::RUNS_NEXT_WAKE, &[]).await?;
    answer.rows.first().map(|row| codec::time(row, 0)).transpose()
}

pub async fn claimed(database: &Database, alive: &[u64], after: Option<RunId>, limit: usize) -> Result<Vec<DueRun>> {
    let Some(from) = after.map_or(Some(0), |after| after.bits().checked_add(1)) else {
        return Ok(Vec::new());
    };
    let alive: Vec<i64> = alive.iter().map(|owner| owner.cast_signed()).collect();
    let from = Uuid(RunId::from_bits(from));
    let answer = database
        .read(&sql::RUNS_CLAIMED, &[&alive, &from, &sql_limit(limit)])
        .await?;
    codec::all(&answer.rows, codec::due_run)
}

/// How far each of these has come; unknown ones are left out.
pub async fn heads(database: &Database, runs: &[RunId]) -> Result<Vec<Head>> {
    let ids: Vec<Uuid> = runs.iter().copied().map(Uuid).collect();
    codec::all(&database.read(&sql::RUNS_HEADS, &[&ids]).await?.rows, codec::head)
}
