//! A round: load and blows, then peace, then the account.

use std::time::{Duration, Instant};

use super::Plan;
use super::measure::measure;
use super::nemesis::{Kind, script};
use super::peace::{all_hands, last_requests};
use super::report::Report;
use super::site::Site;
use super::strike::{Struck, strike};
use crate::crash::Account;
use crate::crash::account::{Books, Ends};
use crate::crash::clients::{AfterError, Load};
use crate::crash::journal::Journal;
use crate::random::Random;

/// How long everything may take to end in peace.
const LIVENESS: Duration = Duration::from_secs(60);
/// Readers at a time when the account is drawn up.
const READERS: usize = 4;

/// What goes on from round to round.
pub(super) struct Rounds<'a> {
    pub site: &'a Site,
    pub plan: &'a Plan,
    pub random: Random,
    pub report: Report,
    settled: Ends,
}

impl<'a> Rounds<'a> {
    pub fn new(site: &'a Site, plan: &'a Plan) -> Self {
        Self {
            site,
            plan,
            random: Random::new(plan.seed),
            report: Report::new(plan),
            settled: Ends::new(),
        }
    }

    /// Plays the next round and adds what came of it to the report.
    #[allow(clippy::disallowed_methods, reason = "liveness is measured by the machine's clock")]
    pub fn play(&mut self) -> anyhow::Result<()> {
        let (site, report) = (self.site, &mut self.report);
        let number = report.rounds + 1;
        let journal = Journal::numbered(number);
        let struck = torment(site, self.plan, &journal, &mut self.random)?;
        let peace = Instant::now();
        site.diary.note(format_args!("peace of round {number}"));
        site.sink.release();
        let mut account = Account::default();
        last_requests(site, &journal, &mut account)?;
        report.answering = report.answering.max(peace.elapsed());
        site.diary.note("all nodes take requests");
        let books = Books {
            way: &site.nodes,
            workflows: &site.workflows,
            journal: &journal,
            sink: &site.sink,
            patience: LIVENESS,
            longest_wait: Some(site.take_over_limit() + outage(&struck)),
            readers: READERS,
        };
        books.wait_for_the_end(&mut account)?;
        report.settling = report.settling.max(peace.elapsed());
        all_hands(site, &journal, &mut account)?;
        account.absorb(books.settle(&mut self.settled)?);
        account.unexpected.extend(site.nodes.take_complaints());
        let (wait, waiter) = (account.longest_wait, &account.longest_waiter);
        site.diary.note(format_args!("settled; {waiter} waited for {wait:?}"));
        report.rounds = number;
        report.account.absorb(account);
        struck.iter().for_each(|stroke| measure(site, stroke, report));
        Ok(())
    }
}

/// For how long there was no database.
fn outage(strokes: &[Vec<Struck>]) -> Duration {
    let crashes = strokes
        .iter()
        .flatten()
        .filter(|struck| struck.nemesis.kind == Kind::Restart);
    crashes
        .map(|struck| struck.healed_at.saturating_duration_since(struck.at))
        .sum()
}

fn torment(site: &Site, plan: &Plan, journal: &Journal, random: &mut Random) -> anyhow::Result<Vec<Vec<Struck>>> {
    let strokes = script(random, plan.nodes, plan.lease);
    let seeds: Vec<u64> = (0..plan.clients).map(|_| random.bits()).collect();
    let load = Load {
        way: &site.nodes,
        workflows: &site.workflows,
        journal,
        pause: plan.pause,
        after_error: AfterError::GoOn,
    };
    load.during(&seeds, || {
        strokes.iter().map(|stroke| strike(site, journal, stroke)).collect()
    })
}
