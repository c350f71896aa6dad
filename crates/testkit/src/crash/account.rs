//! The account: every request, every run, every recorded result.
//!
//! It is drawn up when nobody torments the servers any more. Whatever was asked and not answered is asked once more,
//! everything must end, and then what is stored is compared with what the clients were told and what the receiver saw.

mod runs;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::journal::{Entries, Journal};
use super::way::Way;
use super::workflows::Workflows;
use crate::http::Request;
use crate::patience;
use crate::sink::{Call, Sink};

/// What came of everything.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Account {
    /// Starts sent.
    pub attempted: usize,
    /// Starts acknowledged while the server was tormented.
    pub acked: usize,
    /// Starts whose answer was lost and that turned out to have been stored.
    pub recovered: usize,
    /// Calls that the receiver saw.
    pub calls: usize,
    /// Steps whose result was checked against the receiver's notes.
    pub results: usize,
    /// The longest time that a step which was ready waited until somebody began it.
    pub longest_wait: Duration,
    /// The run and the step that waited so long.
    pub longest_waiter: String,
    /// Runs whose calls came by several doors.
    pub shared: usize,
    /// Acknowledged things that are not there, in words.
    pub lost: Vec<String>,
    /// Things recorded or done twice, in words.
    pub doubled: Vec<String>,
    /// Things that nobody asked for, in words.
    pub unexpected: Vec<String>,
    /// Runs that did not end.
    pub stuck: Vec<String>,
    /// Runs that something is wrong with.
    pub offenders: BTreeSet<String>,
}

impl Account {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.unexpected.is_empty() && self.stuck.is_empty()
    }

    /// Adds another account to this one.
    pub fn absorb(&mut self, other: Self) {
        self.attempted += other.attempted;
        self.acked += other.acked;
        self.recovered += other.recovered;
        self.calls += other.calls;
        self.results += other.results;
        self.shared += other.shared;
        if other.longest_wait > self.longest_wait {
            self.longest_wait = other.longest_wait;
            self.longest_waiter = other.longest_waiter;
        }
        self.lost.extend(other.lost);
        self.doubled.extend(other.doubled);
        self.unexpected.extend(other.unexpected);
        self.stuck.extend(other.stuck);
        self.offenders.extend(other.offenders);
    }
}

/// Run to the status with which it had ended when it was accounted for.
pub(crate) type Ends = BTreeMap<String, String>;

/// What an account is drawn up from.
pub(crate) struct Books<'a> {
    pub way: &'a dyn Way,
    pub workflows: &'a Workflows,
    pub journal: &'a Journal,
    pub sink: &'a Sink,
    /// How long runs may take to end.
    pub patience: Duration,
    /// How long a step that is ready may wait until somebody begins it, where that is known.
    pub longest_wait: Option<Duration>,
    /// Readers at a time.
    pub readers: usize,
}

impl Books<'_> {
    /// Lets everything end and compares. What has been accounted for before is only looked for, and what is accounted
    /// for now is added to it.
    pub fn settle(&self, settled: &mut Ends) -> anyhow::Result<Account> {
        let entries = self.journal.write(|entries| entries.clone());
        let mut account = Account {
            attempted: entries.intended.len(),
            acked: entries.acked.len(),
            ..Account::default()
        };
        let stored = self.new_runs(settled)?;
        let by_key = group_by_key(&stored);
        compare_starts(&mut account, &entries, &by_key);
        self.ask_again(&mut account, &entries, &by_key)?;
        let entries = self.journal.write(|entries| entries.clone());
        account.doubled.extend(entries.split.iter().cloned());
        account.unexpected.extend(entries.wrong.iter().cloned());
        self.wait_for_the_end(&mut account)?;
        let runs = self.new_runs(settled)?;
        self.check_runs(&mut account, &entries, &runs)?;
        self.check_settled(&mut account, settled)?;
        for run in &runs {
            let status = run["status"].as_str().unwrap_or_default();
            settled.insert(id_of(run)?.to_owned(), status.to_owned());
        }
        Ok(account)
    }

    /// Whatever was lost on the way is asked for once more: a key that was stored must give the same run.
    fn ask_again(&self, account: &mut Account, entries: &Entries, by_key: &ByKey<'_>) -> anyhow::Result<()> {
        let unknown = |(key, _): &(&String, &String)| !entries.acked.contains_key(*key);
        for (key, workflow) in entries.intended.iter().filter(unknown) {
            let before = by_key.get(key).and_then(|runs| runs.first());
            let (run, server) = self.way.start(key, workflow)?;
            self.journal.acknowledge(key, &run, server);
            if before.is_some_and(|before| before["id"] != run.as_str()) {
                account
                    .doubled
                    .push(format!("{key} was stored, and its repetition made another run"));
                account.offenders.insert(run);
            }
        }
        Ok(())
    }

    /// Every run that is stored: its id and its status.
    fn all_runs(&self) -> anyhow::Result<Ends> {
        let (mut runs, mut cursor) = (Ends::new(), String::new());
        loop {
            let (items, next) = self.way.page(&format!("/v1/runs?limit=1000{cursor}"))?;
            for item in &items {
                let status = item["status"].as_str().unwrap_or_default();
                runs.insert(id_of(item)?.to_owned(), status.to_owned());
            }
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(runs),
            }
        }
    }

    /// Every run that has not been accounted for, as it is shown.
    fn new_runs(&self, settled: &Ends) -> anyhow::Result<Vec<Value>> {
        let all = self.all_runs()?;
        let ids: Vec<&String> = all.keys().filter(|id| !settled.contains_key(*id)).collect();
        self.in_parallel(&ids, |id| self.way.read(&format!("/v1/runs/{id}")))
    }

    /// Approves what waits for it until every run has ended; what does not is stuck.
    pub fn wait_for_the_end(&self, account: &mut Account) -> anyhow::Result<()> {
        let mut open = Ok(Vec::new());
        patience::until(self.patience, || {
            open = self.approve_and_list_open();
            !matches!(&open, Ok(open) if !open.is_empty())
        });
        for run in open? {
            let why = self.way.read(&format!("/v1/runs/{run}/why"));
            let why = why.map_or_else(|error| format!("{error:#}"), |why| why.to_string());
            account.stuck.push(format!("{run}: {why}"));
            account.offenders.insert(run);
        }
        Ok(())
    }

    /// Approves what waits for it, and gives the runs that have not ended.
    fn approve_and_list_open(&self) -> anyhow::Result<Vec<String>> {
        let gated = &self.workflows.gated;
        let waiting = format!("/v1/runs?workflow_id={gated}&status=WAITING_APPROVAL&limit=1000");
        for run in &self.way.page(&waiting)?.0 {
            let path = format!("/v1/runs/{}/approve", id_of(run)?);
            self.way.ask(&Request::post(&path, ""), None)?.answer.ok()?;
        }
        let open = "/v1/runs?status=PENDING,RUNNING,WAITING_APPROVAL,PAUSED,BLOCKED&limit=1000";
        let (open, _) = self.way.page(open)?;
        open.iter().map(|run| id_of(run).map(str::to_owned)).collect()
    }

    fn check_runs(&self, account: &mut Account, entries: &Entries, runs: &[Value]) -> anyhow::Result<()> {
        let calls = self.sink.calls();
        let ids: HashSet<&str> = runs.iter().map(id_of).collect::<anyhow::Result<_>>()?;
        let of_these: Vec<&Call> = calls.iter().filter(|call| ids.contains(call.run.as_str())).collect();
        account.calls = of_these.len();
        check_attempts(account, &of_these);
        let mut by_run: HashMap<&str, Vec<&Call>> = HashMap::new();
        for call in of_these {
            by_run.entry(&call.run).or_default().push(call);
        }
        let is_shared = |calls: &&Vec<&Call>| calls.iter().any(|call| call.door != calls[0].door);
        account.shared = by_run.values().filter(is_shared).count();
        let stuck: HashSet<&str> = account.offenders.iter().map(String::as_str).collect();
        let books = runs::Checks {
            way: self.way,
            action: self.workflows.action,
            entries,
            calls: by_run,
            longest_wait: self.longest_wait,
            stuck,
        };
        let found = self.in_parallel(runs, |run| books.of(run))?;
        found.into_iter().for_each(|one| account.absorb(one));
        Ok(())
    }

    /// What has ended stays as it was; and nobody calls for a run that is not stored.
    fn check_settled(&self, account: &mut Account, settled: &Ends) -> anyhow::Result<()> {
        let all = self.all_runs()?;
        for (run, status) in settled {
            let now = all.get(run);
            if now != Some(status) {
                account
                    .lost
                    .push(format!("{run} had ended as {status} and is now {now:?}"));
                account.offenders.insert(run.clone());
            }
        }
        let calls = self.sink.calls();
        let unknown: BTreeSet<&String> = calls.iter().map(|call| &call.run).collect();
        for run in unknown.into_iter().filter(|run| !all.contains_key(*run)) {
            account
                .unexpected
                .push(format!("a step of {run} was called for, and there is no such run"));
        }
        Ok(())
    }

    /// Does something for each entry, several at a time; the results in the order of the entries.
    fn in_parallel<T: Sync, R: Send>(
        &self,
        entries: &[T],
        work: impl Fn(&T) -> anyhow::Result<R> + Sync,
    ) -> anyhow::Result<Vec<R>> {
        let share = entries.len().div_ceil(self.readers).max(1);
        std::thread::scope(|scope| {
            let work = &work;
            let readers: Vec<_> = entries
                .chunks(share)
                .map(|chunk| scope.spawn(move || chunk.iter().map(work).collect::<anyhow::Result<Vec<R>>>()))
                .collect();
            let mut results = Vec::with_capacity(entries.len());
            for reader in readers {
                let read = reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))?;
                results.extend(read?);
            }
            Ok(results)
        })
    }
}

/// Runs by the idempotency keys that their contexts hold.
type ByKey<'a> = BTreeMap<String, Vec<&'a Value>>;

fn id_of(run: &Value) -> anyhow::Result<&str> {
    run["id"].as_str().context("no id")
}

fn group_by_key(runs: &[Value]) -> ByKey<'_> {
    let mut by_key = ByKey::new();
    for run in runs {
        let key = run["context"]["key"].as_str().unwrap_or_default();
        by_key.entry(key.to_owned()).or_default().push(run);
    }
    by_key
}

fn compare_starts(account: &mut Account, entries: &Entries, by_key: &ByKey<'_>) {
    for (key, run) in &entries.acked {
        match by_key.get(key).map(Vec::as_slice) {
            None => account
                .lost
                .push(format!("run {run} of {key} was acknowledged and is gone")),
            Some([only]) if only["id"] == run.as_str() => {}
            Some(runs) => {
                account.doubled.push(format!("{key} has {} runs", runs.len()));
                account
                    .offenders
                    .extend(runs.iter().filter_map(|run| run["id"].as_str().map(str::to_owned)));
            }
        }
    }
    for (key, runs) in by_key {
        if !entries.intended.contains_key(key) {
            account
                .unexpected
                .push(format!("a run of {key:?}, which nobody asked for"));
        }
        if !entries.acked.contains_key(key) {
            account.recovered += 1;
            if runs.len() > 1 {
                account.doubled.push(format!("{key} has {} runs", runs.len()));
            }
        }
    }
}

/// No attempt may be handed out twice.
fn check_attempts(account: &mut Account, calls: &[&Call]) {
    let mut seen = HashMap::new();
    for call in calls {
        let before = seen.insert((&call.run, &call.step, call.attempt), call);
        if let Some(before) = before {
            account.doubled.push(format!(
                "attempt {} of {} {} was made twice, {} ms apart, by doors {} and {}",
                call.attempt,
                call.run,
                call.step,
                call.at.saturating_duration_since(before.at).as_millis(),
                before.door,
                call.door
            ));
            account.offenders.insert(call.run.clone());
        }
    }
}
