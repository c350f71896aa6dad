//! What every node must be able to do once nothing happens to it any more.

use std::time::Duration;

use anyhow::ensure;

use super::site::{CONCURRENCY, Site};
use crate::crash::Account;
use crate::crash::journal::Journal;
use crate::crash::way::Way;
use crate::http::{Answer, Request};
use crate::patience;

/// How long a node may take to answer again once everything is healed.
const HEALING: Duration = Duration::from_secs(15);
/// How long nodes may take until all their hands are full.
const GATHERING: Duration = Duration::from_secs(15);
/// The last requests at each node, of which none may fail.
const LAST: usize = 5;

/// Every node must take requests again, and once it does, it must go on to: the last ones may not fail.
pub(super) fn last_requests(site: &Site, journal: &Journal, account: &mut Account) -> anyhow::Result<()> {
    for number in 0..site.nodes.all.len() {
        let mut last = None;
        let answers = patience::until(HEALING, || {
            last = Some(start(site, journal, number));
            matches!(last, Some(Ok(_)))
        });
        if !answers {
            let last = last.map(|last| last.map_err(|error| format!("{error:#}")));
            account.stuck.push(format!(
                "node {number} takes no requests {HEALING:?} after the last blow: {last:?}"
            ));
            continue;
        }
        for _ in 0..LAST {
            if let Err(error) = start_and_read(site, journal, number) {
                account
                    .stuck
                    .push(format!("one of the last requests at node {number} failed: {error:#}"));
            }
        }
    }
    Ok(())
}

/// Starts a run at a node, and reads it at the next one.
fn start_and_read(site: &Site, journal: &Journal, number: usize) -> anyhow::Result<()> {
    let run = start(site, journal, number)?;
    let next = (number + 1) % site.nodes.all.len();
    let path = format!("/v1/runs/{run}");
    let Answer { status, body } = site.nodes.at(next).ask_once(&Request::read(&path))?.answer;
    ensure!(status == 200, "node {next} answers {status} to {path}: {body}");
    Ok(())
}

fn start(site: &Site, journal: &Journal, number: usize) -> anyhow::Result<String> {
    let workflow = &site.workflows.started[0];
    let key = journal.intend("last", workflow);
    let (run, server) = site.nodes.at(number).start_once(&key, workflow)?;
    journal.acknowledge(&key, &run, server);
    Ok(run)
}

/// No node may have lost a hand: a run with as many branches as there are hands must fill all of them. Nothing else may
/// be under way.
pub(super) fn all_hands(site: &Site, journal: &Journal, account: &mut Account) -> anyhow::Result<()> {
    let key = journal.reserve("crowd", &site.crowd);
    let (run, server) = site.nodes.start(&key, &site.crowd)?;
    journal.acknowledge(&key, &run, server);
    let mut busy = vec![0; site.nodes.all.len()];
    let gathered = site.sink.wait_until(GATHERING, |notes| {
        for (count, node) in busy.iter_mut().zip(&site.nodes.all) {
            *count = notes.of(&run).filter(|call| call.door == node.door).count();
        }
        busy.iter().all(|count| *count >= CONCURRENCY)
    });
    site.sink.release();
    if !gathered {
        account.stuck.push(format!(
            "the nodes use {busy:?} of their {CONCURRENCY} hands each for {run}"
        ));
        account.offenders.insert(run);
    }
    Ok(())
}
