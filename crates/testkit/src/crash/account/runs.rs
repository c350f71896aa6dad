//! One run after the other: how it ended, what it logged, and each result that it recorded.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::{Account, id_of};
use crate::crash::journal::Entries;
use crate::crash::way::Way;
use crate::sink::Call;

/// Seconds.
const DAY: f64 = 86_400.0;

/// What a run is compared with.
pub(super) struct Checks<'a> {
    pub way: &'a dyn Way,
    pub action: &'a str,
    pub entries: &'a Entries,
    pub calls: HashMap<&'a str, Vec<&'a Call>>,
    /// How long a step that is ready may wait, where that is known.
    pub longest_wait: Option<Duration>,
    /// Runs that are known not to have ended.
    pub stuck: HashSet<&'a str>,
}

impl Checks<'_> {
    /// What is to be said about a run.
    pub fn of(&self, run: &Value) -> anyhow::Result<Account> {
        let id = id_of(run)?;
        let mut account = Account::default();
        self.check_end(&mut account, id, run);
        self.check_lines(&mut account, id)?;
        self.check_results(&mut account, id)?;
        if !account.is_clean() {
            account.offenders.insert(id.to_owned());
        }
        Ok(account)
    }

    fn check_end(&self, account: &mut Account, id: &str, run: &Value) {
        match run["status"].as_str().unwrap_or_default() {
            "CANCELED" if self.entries.cancels.contains(id) => {}
            "SUCCEEDED" if !self.entries.cancelled.contains(id) => {}
            _ if self.stuck.contains(id) => {}
            status => account.lost.push(format!("{id} ended as {status}: {}", run["error"])),
        }
    }

    /// Acknowledged log lines are there once; the others at most once.
    fn check_lines(&self, account: &mut Account, id: &str) -> anyhow::Result<()> {
        let (items, _) = self.way.page(&format!("/v1/runs/{id}/logs"))?;
        let mut times: HashMap<&str, u32> = HashMap::new();
        for line in items.iter().filter_map(Value::as_str) {
            *times.entry(line).or_default() += u32::from(line.starts_with("line "));
        }
        let expected = self.entries.lines.iter().filter(|(_, run)| *run == id);
        let lost = expected.filter(|(line, _)| times.get(line.as_str()).is_none_or(|times| *times == 0));
        account.lost.extend(lost.map(|(line, _)| format!("{line} of {id}")));
        let doubled = times.iter().filter(|(_, times)| **times > 1);
        account
            .doubled
            .extend(doubled.map(|(line, times)| format!("{line} of {id} is there {times} times")));
        Ok(())
    }

    /// Each step succeeded once, with the word that the receiver gave to the recorded attempt.
    fn check_results(&self, account: &mut Account, id: &str) -> anyhow::Result<()> {
        for step in &self.way.page(&format!("/v1/runs/{id}/steps?limit=1000"))?.0 {
            if step["status"] == "SUCCEEDED" && step["action"] == self.action && !step["items"].is_object() {
                let key = step["id"].as_str().context("no id")?;
                self.check_result(account, id, key)?;
            }
        }
        Ok(())
    }

    fn check_result(&self, account: &mut Account, id: &str, key: &str) -> anyhow::Result<()> {
        let path = format!("/v1/runs/{id}/steps/{}", key.replace('[', "%5B").replace(']', "%5D"));
        let detail = self.way.read(&path)?;
        let attempts = detail["attempts"].as_array().context("no attempts")?;
        let succeeded = attempts
            .iter()
            .filter(|attempt| attempt["outcome"] == "succeeded")
            .count();
        if succeeded != 1 {
            account
                .doubled
                .push(format!("{id} {key} succeeded {succeeded} times: {attempts:?}"));
        }
        let attempt = detail["attempt"].as_u64().unwrap_or(0) as u32;
        let word = detail["result"]["word"].as_str().unwrap_or_default();
        let calls = self.calls.get(id).map(Vec::as_slice).unwrap_or_default();
        account.results += 1;
        let waited = waited(&detail).unwrap_or_default();
        if waited > account.longest_wait {
            account.longest_wait = waited;
            account.longest_waiter = format!("{id} {key}");
        }
        if self.longest_wait.is_some_and(|longest| waited > longest) {
            account
                .stuck
                .push(format!("{id} {key} was ready for {waited:?} before somebody began it"));
        }
        let is_it = |call: &&&Call| call.step == key && call.attempt == attempt && call.word == word;
        if calls.iter().find(is_it).is_none() {
            let given: Vec<_> = calls.iter().filter(|call| call.step == key).collect();
            account.unexpected.push(format!(
                "{id} {key}: attempt {attempt} recorded {word}, given were {given:?}"
            ));
        }
        Ok(())
    }
}

/// How long a step that was ready waited for its last attempt to begin.
fn waited(step: &Value) -> Option<Duration> {
    let seconds = |name: &str| second_of_day(step[name].as_str()?);
    let waited = seconds("started_at")? - seconds("ready_at")?;
    // Over midnight; and a little below nothing where two nodes' clocks differ a little.
    let waited = if waited < -DAY / 2.0 { waited + DAY } else { waited };
    Duration::try_from_secs_f64(waited.max(0.0)).ok()
}

/// Of a time like `2026-01-31T23:59:59.5Z`.
fn second_of_day(time: &str) -> Option<f64> {
    let (_, clock) = time.split_once('T')?;
    let mut parts = clock.trim_end_matches('Z').split(':').map(str::parse::<f64>);
    let mut next = || parts.next()?.ok();
    let (hours, minutes, seconds) = (next()?, next()?, next()?);
    Some((hours * 60.0 + minutes) * 60.0 + seconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wait_is_counted_over_midnight_and_is_never_negative() {
        for (ready, started, ms) in [
            ("2026-01-31T10:00:00Z", "2026-01-31T10:00:01.25Z", 1_250),
            ("2026-01-31T23:59:59.5Z", "2026-02-01T00:00:01Z", 1_500),
            ("2026-01-31T10:00:00.05Z", "2026-01-31T10:00:00Z", 0),
        ] {
            let step = json!({ "ready_at": ready, "started_at": started });
            assert_eq!(waited(&step), Some(Duration::from_millis(ms)));
        }
        assert_eq!(waited(&json!({ "ready_at": "2026-01-31T10:00:00Z" })), None);
    }
}
