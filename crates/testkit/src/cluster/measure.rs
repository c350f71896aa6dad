//! How long take-overs took.

use std::time::{Duration, Instant};

use super::nemesis::Kind;
use super::report::Report;
use super::site::Site;
use super::strike::{Held, Struck};

/// Measures what a stroke brought about, once everything has ended.
pub(super) fn measure(site: &Site, stroke: &[Struck], report: &mut Report) {
    let crashed = stroke.iter().find(|struck| struck.nemesis.kind == Kind::Restart);
    let database_back = crashed.map(|struck| struck.healed_at);
    for struck in stroke {
        *report.struck.entry(struck.nemesis.kind.name()).or_default() += 1;
        // While there is no database nobody can take over: the time counts from when it is back.
        let from = database_back.map_or(struck.at, |back| back.max(struck.at));
        report.take_over.unseen += usize::from(struck.nemesis.victim.is_some() && struck.held.is_empty());
        for held in &struck.held {
            judge(site, struck, held, from, report);
        }
    }
    report.together += u32::from(stroke.len() > 1);
}

fn judge(site: &Site, struck: &Struck, held: &Held, from: Instant, report: &mut Report) {
    let made_again = held.made_again_at(&site.sink);
    let limit = site.take_over_limit();
    let took = made_again.map(|at| at.saturating_duration_since(from));
    match took {
        Some(took) if took <= limit => report.take_over.note(took),
        Some(took) => {
            report.take_over.note(took);
            complain(struck, held, &format!("was made again only after {took:?}"), report);
        }
        // The node went on in time, and nobody had taken over.
        None if struck.nemesis.kind != Kind::Kill => report.take_over.kept += 1,
        None => complain(struck, held, "was never made again", report),
    }
}

fn complain(struck: &Struck, held: &Held, what: &str, report: &mut Report) {
    let kind = struck.nemesis.kind.name();
    let victim = struck.nemesis.victim.unwrap_or_default();
    report.late.push(format!(
        "attempt {} of {}, which node {victim} held ({kind}), {what}",
        held.attempt, held.run
    ));
    report.account.offenders.insert(held.run.clone());
}

/// Milliseconds, whole.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
