//! What came of it, in words and as one line of JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::Plan;
use super::measure::ms;
use crate::crash::Account;

/// What came of all rounds so far.
#[derive(Debug, Clone)]
pub struct Report {
    /// Of the plan.
    pub seed: u64,
    /// Of the plan.
    pub nodes: usize,
    /// Rounds that were played.
    pub rounds: u32,
    /// Requests, runs and results.
    pub account: Account,
    /// How long take-overs took.
    pub take_over: TakeOver,
    /// Take-overs that came too late or not at all, in words.
    pub late: Vec<String>,
    /// How often each thing happened, by its name.
    pub struck: BTreeMap<&'static str, u32>,
    /// How often two things happened at once.
    pub together: u32,
    /// The longest time from the last healing until a node took requests again.
    pub answering: Duration,
    /// The longest time from the last healing until everything had ended.
    pub settling: Duration,
}

/// Times from a blow until the victim's work was made again elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakeOver {
    times: Vec<Duration>,
    /// Attempts that a node kept because it went on before others had taken over.
    pub kept: usize,
    /// Blows to nodes that held nothing of which it could be seen.
    pub unseen: usize,
}

impl TakeOver {
    pub(super) fn note(&mut self, took: Duration) {
        self.times.push(took);
        self.times.sort_unstable();
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.times.len()
    }

    /// The median, 0 without any.
    pub fn p50(&self) -> Duration {
        self.times.get(self.times.len() / 2).copied().unwrap_or_default()
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.times.last().copied().unwrap_or_default()
    }
}

impl Report {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            seed: plan.seed,
            nodes: plan.nodes,
            rounds: 0,
            account: Account::default(),
            take_over: TakeOver::default(),
            late: Vec::new(),
            struck: BTreeMap::new(),
            together: 0,
            answering: Duration::ZERO,
            settling: Duration::ZERO,
        }
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.account.is_clean() && self.late.is_empty()
    }

    /// Runs that something is wrong with.
    pub fn offenders(&self) -> &BTreeSet<String> {
        &self.account.offenders
    }

    /// What is wrong, in words.
    pub fn problems(&self) -> Vec<String> {
        let account = &self.account;
        let kinds = [
            ("lost", &account.lost),
            ("doubled", &account.doubled),
            ("unexpected", &account.unexpected),
            ("stuck", &account.stuck),
            ("late", &self.late),
        ];
        let said = kinds
            .iter()
            .flat_map(|(kind, list)| list.iter().map(move |what| format!("{kind}: {what}")));
        said.collect()
    }

    /// For a person who watches.
    pub fn summary(&self) -> String {
        let Self { account, take_over, .. } = self;
        format!(
            "{} starts ({} acknowledged, {} recovered), {} calls, {} results, {} runs over several nodes, longest wait \
             {} ms; lost {}, doubled {}, \
             unexpected {}, stuck {}, late {}; take-over p50 {} ms, max {} ms of {} ({} kept, {} unseen); answering again within {} ms, \
             all ended within {} ms",
            account.attempted,
            account.acked,
            account.recovered,
            account.calls,
            account.results,
            account.shared,
            ms(account.longest_wait),
            account.lost.len(),
            account.doubled.len(),
            account.unexpected.len(),
            account.stuck.len(),
            self.late.len(),
            ms(take_over.p50()),
            ms(take_over.max()),
            take_over.count(),
            take_over.kept,
            take_over.unseen,
            ms(self.answering),
            ms(self.settling),
        )
    }

    /// For a program: one line.
    pub fn json(&self) -> String {
        let Self { account, take_over, .. } = self;
        json!({
            "seed": self.seed,
            "nodes": self.nodes,
            "rounds": self.rounds,
            "starts": account.attempted,
            "acknowledged": account.acked,
            "recovered": account.recovered,
            "calls": account.calls,
            "results_compared": account.results,
            "runs_over_several_nodes": account.shared,
            "longest_wait_ms": ms(account.longest_wait),
            "lost": account.lost.len(),
            "doubled": account.doubled.len(),
            "unexpected": account.unexpected.len(),
            "stuck": account.stuck.len(),
            "late": self.late.len(),
            "take_over_ms": {
                "p50": ms(take_over.p50()),
                "max": ms(take_over.max()),
                "count": take_over.count(),
                "kept": take_over.kept,
                "unseen": take_over.unseen,
            },
            "struck": self.struck,
            "two_at_once": self.together,
            "answering_ms": ms(self.answering),
            "settling_ms": ms(self.settling),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle_whatever_the_order() {
        let mut times = TakeOver::default();
        assert_eq!(times.p50(), Duration::ZERO);
        for seconds in [5, 1, 3] {
            times.note(Duration::from_secs(seconds));
        }
        assert_eq!(
            (times.p50(), times.max()),
            (Duration::from_secs(3), Duration::from_secs(5))
        );
    }

    #[test]
    fn a_late_take_over_is_enough_to_be_unclean() {
        let mut report = Report::new(&Plan::default());
        assert!(report.is_clean());
        report.late.push("never".to_owned());
        assert!(!report.is_clean());
    }
}
