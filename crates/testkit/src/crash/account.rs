//! The account: every request, every run, every recorded result.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::clients::{Entries, Journal, start_as};
use crate::http::call;
use crate::sink::{Call, Sink};

/// How long runs may take to end once nobody torments the server any more.
const PATIENCE: Duration = Duration::from_secs(120);

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
    /// Acknowledged things that are not there, in words.
    pub lost: Vec<String>,
    /// Things recorded or done twice, in words.
    pub doubled: Vec<String>,
    /// Things that nobody asked for, in words.
    pub unexpected: Vec<String>,
    /// Runs that did not end.
    pub stuck: Vec<String>,
}

impl Account {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.unexpected.is_empty() && self.stuck.is_empty()
    }
}

/// Lets everything end and compares.
pub(super) fn settle(address: &str, workflows: &[String], journal: &Journal, sink: &Sink) -> anyhow::Result<Account> {
    let entries = journal.write(|entries| entries.clone());
    let mut account = Account {
        attempted: entries.intended.len(),
        acked: entries.acked.len(),
        ..Account::default()
    };
    let stored = all_runs(address)?;
    let by_key: BTreeMap<String, Vec<&Value>> = group_by_key(&stored);
    compare_starts(&mut account, &entries, &by_key);
    // Whatever was lost on the way is asked for once more: a key that was stored must give the same run.
    for (key, workflow) in entries
        .intended
        .iter()
        .filter(|(key, _)| !entries.acked.contains_key(*key))
    {
        let before = by_key
            .get(key)
            .and_then(|runs| runs.first())
            .map(|run| run["id"].clone());
        let id = start_as(address, journal, key, workflow)?;
        if before.is_some_and(|before| before != id.as_str()) {
            account
                .doubled
                .push(format!("{key} was stored, and its repetition made another run"));
        }
    }
    account.doubled.extend(journal.write(|entries| entries.split.clone()));
    wait_for_the_end(address, &workflows[2], &mut account)?;
    let calls = sink.calls();
    account.calls = calls.len();
    check_attempts(&mut account, &calls);
    let words: HashMap<(&str, &str), Vec<&Call>> = calls.iter().fold(HashMap::new(), |mut map, call| {
        map.entry((call.run.as_str(), call.step.as_str()))
            .or_insert_with(Vec::new)
            .push(call);
        map
    });
    let mut acked_lines: HashMap<&str, Vec<&str>> = HashMap::new();
    for (line, run) in &entries.lines {
        acked_lines.entry(run).or_default().push(line);
    }
    for run in all_runs(address)? {
        let id = run["id"].as_str().context("no id")?;
        check_end(&mut account, &entries, id, &run);
        let expected = acked_lines.get(id).map(Vec::as_slice).unwrap_or_default();
        check_lines(address, &mut account, id, expected)?;
        check_results(address, &mut account, id, &words)?;
    }
    Ok(account)
}

fn all_runs(address: &str) -> anyhow::Result<Vec<Value>> {
    let (mut runs, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = call(address, "GET", &format!("/v1/runs?limit=500{cursor}"), &[], "")?.ok()?;
        let items = page["items"].as_array().context("no items")?;
        for item in items {
            let id = item["id"].as_str().context("no id")?;
            runs.push(call(address, "GET", &format!("/v1/runs/{id}"), &[], "")?.ok()?);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(runs),
        }
    }
}

fn group_by_key(runs: &[Value]) -> BTreeMap<String, Vec<&Value>> {
    let mut by_key: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for run in runs {
        by_key
            .entry(run["context"]["key"].as_str().unwrap_or_default().to_owned())
            .or_default()
            .push(run);
    }
    by_key
}

fn compare_starts(account: &mut Account, entries: &Entries, by_key: &BTreeMap<String, Vec<&Value>>) {
    for (key, run) in &entries.acked {
        match by_key.get(key).map(Vec::as_slice) {
            None => account
                .lost
                .push(format!("run {run} of {key} was acknowledged and is gone")),
            Some([only]) if only["id"] == run.as_str() => {}
            Some(runs) => account.doubled.push(format!("{key} has {} runs", runs.len())),
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

#[allow(clippy::disallowed_methods, reason = "patience is counted by the clock")]
fn wait_for_the_end(address: &str, gated: &str, account: &mut Account) -> anyhow::Result<()> {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let approvals = format!("/v1/runs?workflow_id={gated}&status=WAITING_APPROVAL&limit=1000");
        for run in call(address, "GET", &approvals, &[], "")?.ok()?["items"]
            .as_array()
            .context("no items")?
        {
            let id = run["id"].as_str().context("no id")?;
            call(address, "POST", &format!("/v1/runs/{id}/approve"), &[], "")?.ok()?;
        }
        let mut open = Vec::new();
        for status in ["PENDING", "RUNNING", "WAITING_APPROVAL"] {
            let page = call(address, "GET", &format!("/v1/runs?status={status}&limit=1000"), &[], "")?.ok()?;
            open.extend(
                page["items"]
                    .as_array()
                    .context("no items")?
                    .iter()
                    .map(|run| run["id"].to_string()),
            );
        }
        if open.is_empty() {
            return Ok(());
        }
        if std::time::Instant::now() > until {
            account.stuck = open;
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// No attempt may be handed out twice.
fn check_attempts(account: &mut Account, calls: &[Call]) {
    let mut seen = HashSet::new();
    for call in calls {
        if !seen.insert((&call.run, &call.step, call.attempt)) {
            account.doubled.push(format!(
                "attempt {} of {} {} was made twice",
                call.attempt, call.run, call.step
            ));
        }
    }
}

fn check_end(account: &mut Account, entries: &Entries, id: &str, run: &Value) {
    match run["status"].as_str().unwrap_or_default() {
        "CANCELED" if entries.cancels.contains(id) => {}
        "SUCCEEDED" if !entries.cancelled.contains(id) => {}
        _ if account.stuck.iter().any(|stuck| stuck.contains(id)) => {}
        status => account.lost.push(format!("{id} ended as {status}: {}", run["error"])),
    }
}

/// Acknowledged log lines are there once; the others at most once.
fn check_lines(address: &str, account: &mut Account, id: &str, expected: &[&str]) -> anyhow::Result<()> {
    let log = call(address, "GET", &format!("/v1/runs/{id}/logs"), &[], "")?.ok()?;
    let mut times: HashMap<&str, u32> = HashMap::new();
    for line in log["items"]
        .as_array()
        .context("no lines")?
        .iter()
        .filter_map(Value::as_str)
    {
        *times.entry(line).or_default() += u32::from(line.starts_with("line "));
    }
    let lost = expected
        .iter()
        .filter(|line| times.get(*line).is_none_or(|times| *times == 0));
    account.lost.extend(lost.map(|line| format!("{line} of {id}")));
    let doubled = times.iter().filter(|(_, times)| **times > 1);
    account
        .doubled
        .extend(doubled.map(|(line, times)| format!("{line} of {id} is there {times} times")));
    Ok(())
}

/// Each step succeeded once, with the word that the receiver gave to the recorded attempt.
fn check_results(
    address: &str,
    account: &mut Account,
    id: &str,
    words: &HashMap<(&str, &str), Vec<&Call>>,
) -> anyhow::Result<()> {
    let steps = call(address, "GET", &format!("/v1/runs/{id}/steps?limit=1000"), &[], "")?.ok()?;
    for step in steps["items"].as_array().context("no steps")? {
        if step["status"] != "SUCCEEDED" || step["action"] != "http" || step["items"].is_object() {
            continue;
        }
        let key = step["id"].as_str().context("no id")?;
        let path = format!("/v1/runs/{id}/steps/{}", key.replace('[', "%5B").replace(']', "%5D"));
        let detail = call(address, "GET", &path, &[], "")?.ok()?;
        let attempts = detail["attempts"].as_array().context("no attempts")?;
        if attempts
            .iter()
            .filter(|attempt| attempt["outcome"] == "succeeded")
            .count()
            != 1
        {
            account
                .doubled
                .push(format!("{id} {key} succeeded more than once: {attempts:?}"));
        }
        let attempt = detail["attempt"].as_u64().unwrap_or(0) as u32;
        let word = detail["result"]["word"].as_str().unwrap_or_default();
        let given = words.get(&(id, key)).map(Vec::as_slice).unwrap_or_default();
        account.results += 1;
        if !given.iter().any(|call| call.attempt == attempt && call.word == word) {
            account.unexpected.push(format!(
                "{id} {key}: attempt {attempt} recorded {word}, given were {given:?}"
            ));
        }
    }
    Ok(())
}
