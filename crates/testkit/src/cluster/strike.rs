//! Striking: first some calls hang at the victim, then it is hit, then it is healed.

use std::time::{Duration, Instant};

use anyhow::bail;

use super::nemesis::{Kind, Nemesis, Release, Stroke};
use super::site::Site;
use crate::crash::journal::Journal;
use crate::crash::way::Way;
use crate::sink::{Call, Notes, Sink};

/// Runs with a hanging call that are started at a victim.
const HELD: usize = 3;
/// How often it is tried to get one of them to hang there.
const TRIES: u32 = 3;
/// How long a start at the victim may take to arrive at the receiver.
const ARRIVAL: Duration = Duration::from_secs(3);
/// How long a healed node has to find out what it has lost.
const FINDING_OUT: Duration = Duration::from_secs(2);

/// An attempt that a victim surely held when it was struck.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub run: String,
    pub attempt: u32,
}

impl Held {
    /// Whether the step has been called for by a later attempt.
    pub fn is_made_again(&self, notes: &Notes) -> bool {
        notes.of(&self.run).any(|call| self.is_later(call))
    }

    /// When it was called for so.
    pub fn made_again_at(&self, sink: &Sink) -> Option<Instant> {
        let calls = sink.calls_of(&self.run);
        calls
            .iter()
            .filter(|call| self.is_later(call))
            .map(|call| call.at)
            .min()
    }

    fn is_later(&self, call: &Call) -> bool {
        call.step == "held" && call.attempt > self.attempt
    }
}

/// What was done, when, and what hung.
#[derive(Debug)]
pub(super) struct Struck {
    pub nemesis: Nemesis,
    pub held: Vec<Held>,
    pub at: Instant,
    pub healed_at: Instant,
}

/// Strikes everything of a stroke at the same time, and comes back when it is over.
#[allow(
    clippy::disallowed_methods,
    reason = "the moment of a fault is a moment by the machine's clock"
)]
pub(super) fn strike(site: &Site, journal: &Journal, stroke: &Stroke) -> anyhow::Result<Vec<Struck>> {
    std::thread::sleep(stroke.peace);
    let mut prepared = Vec::new();
    for nemesis in &stroke.nemeses {
        let held = match nemesis.victim {
            Some(victim) => let_calls_hang(site, journal, victim)?,
            None => Vec::new(),
        };
        prepared.push((nemesis, held));
    }
    let struck = std::thread::scope(|scope| {
        let blows: Vec<_> = prepared
            .into_iter()
            .map(|(nemesis, held)| scope.spawn(move || blow(site, nemesis, held)))
            .collect();
        blows
            .into_iter()
            .map(|blow| blow.join().unwrap_or_else(|_| bail!("a blow panicked")))
            .collect::<anyhow::Result<Vec<_>>>()
    });
    // What still hangs now has nothing more to show.
    site.sink.release();
    struck
}

/// Starts runs at a node until calls of some of them hang there. None do when the node has its hands full.
pub(super) fn let_calls_hang(site: &Site, journal: &Journal, victim: usize) -> anyhow::Result<Vec<Held>> {
    let door = site.nodes.all[victim].door;
    for _ in 0..TRIES {
        let mut runs = Vec::new();
        for _ in 0..HELD {
            runs.push(start_held(site, journal, victim)?);
        }
        site.sink
            .wait_until(ARRIVAL, |notes| runs.iter().all(|run| notes.of(run).next().is_some()));
        let first = |run: &String| site.sink.calls_of(run).into_iter().next();
        let held: Vec<Held> = runs
            .iter()
            .filter_map(first)
            .filter(|call| call.door == door)
            .map(|call| Held {
                run: call.run,
                attempt: call.attempt,
            })
            .collect();
        if !held.is_empty() {
            return Ok(held);
        }
        site.diary
            .note(format_args!("node {victim} makes none of these calls itself"));
        for run in &runs {
            site.diary.note(site.history(run));
        }
    }
    Ok(Vec::new())
}

fn start_held(site: &Site, journal: &Journal, victim: usize) -> anyhow::Result<String> {
    let key = journal.reserve("held", &site.held);
    let (run, server) = site.nodes.at(victim).start(&key, &site.held)?;
    journal.acknowledge(&key, &run, server);
    Ok(run)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the moment of a fault is a moment by the machine's clock"
)]
fn blow(site: &Site, nemesis: &Nemesis, held: Vec<Held>) -> anyhow::Result<Struck> {
    let runs: Vec<&str> = held.iter().map(|held| held.run.as_str()).collect();
    site.diary
        .note(format_args!("{nemesis}, which holds {}", runs.join(" ")));
    let at = Instant::now();
    begin(site, nemesis)?;
    std::thread::sleep(nemesis.lasts);
    if nemesis.release == Release::BeforeHealing {
        site.sink.release();
    }
    heal(site, nemesis)?;
    let healed_at = Instant::now();
    site.diary.note(format_args!("over: {nemesis}"));
    let made_again = |notes: &Notes| held.iter().all(|held| held.is_made_again(notes));
    // A node that went on before its lease was taken keeps what it holds.
    let until = match nemesis.kind {
        Kind::Kill => at + site.take_over_limit() + FINDING_OUT,
        Kind::Stop | Kind::Freeze => healed_at + FINDING_OUT,
        Kind::Restart => healed_at,
    };
    let limit = until.saturating_duration_since(healed_at);
    if site.sink.wait_until(limit, made_again) {
        site.diary.note(format_args!("made again: {}", runs.join(" ")));
    }
    Ok(Struck {
        nemesis: nemesis.clone(),
        held,
        at,
        healed_at,
    })
}

fn begin(site: &Site, nemesis: &Nemesis) -> anyhow::Result<()> {
    let node = nemesis.victim.map(|victim| &site.nodes.all[victim]);
    match (nemesis.kind, node) {
        (Kind::Kill, Some(node)) => node.kill(),
        (Kind::Stop, Some(node)) => node.signal("STOP"),
        (Kind::Freeze, Some(node)) => {
            node.proxy.set(crate::proxy::Mode::Freeze);
            Ok(())
        }
        (Kind::Restart, _) => site.restart_database(),
        (_, None) => bail!("{} has no victim", nemesis.kind.name()),
    }
}

fn heal(site: &Site, nemesis: &Nemesis) -> anyhow::Result<()> {
    let node = nemesis.victim.map(|victim| &site.nodes.all[victim]);
    match (nemesis.kind, node) {
        (Kind::Kill, Some(node)) => node.start_again(),
        (Kind::Stop, Some(node)) => node.signal("CONT"),
        (Kind::Freeze, Some(node)) => {
            node.proxy.heal();
            Ok(())
        }
        (Kind::Restart, _) => Ok(()),
        (_, None) => bail!("{} has no victim", nemesis.kind.name()),
    }
}
