//! A node that is asked to stop gives what it holds to the others at once, and does not let them wait for its lease.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::measure::ms;
use super::site::{Setup, Site};
use super::strike::let_calls_hang;
use crate::crash::journal::Journal;
use crate::postgres::{Durability, Options};

/// The lease is so long that nobody could mistake its end for a hand-over.
const LEASE: Duration = Duration::from_secs(60);
/// How long the node may let calls under way end.
const DRAIN: Duration = Duration::from_millis(200);
/// How long is waited for what does not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a hand-over took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOver {
    /// Attempts that hung at the node when it was asked to stop.
    pub held: usize,
    /// From when it no longer waited for them until the last one was made again by the other node, in milliseconds.
    pub took_ms: u64,
}

/// Starts two nodes of the binary, lets calls hang at one of them, and ends that with SIGTERM.
#[allow(
    clippy::disallowed_methods,
    reason = "a hand-over is measured by the machine's clock"
)]
pub fn hand_over(binary: &Path) -> anyhow::Result<HandOver> {
    let dir = tempfile::tempdir()?;
    let setup = Setup {
        binary,
        dir: dir.path(),
        lease: LEASE,
        settings: &[("QUINTET_ENGINE__DRAIN_MS", ms(DRAIN).to_string())],
    };
    let site = Site::of(&setup, 2, 1, &Options::new(Durability::Fast))?;
    let held = let_calls_hang(&site, &Journal::default(), 0)?;
    ensure!(!held.is_empty(), "no call hangs at the node");
    let asked = Instant::now();
    let code = site.nodes.all[0].terminate()?;
    ensure!(code == Some(0), "the node ended with {code:?}");
    let came = site
        .sink
        .wait_until(PATIENCE, |notes| held.iter().all(|held| held.is_made_again(notes)));
    let log = || std::fs::read_to_string(dir.path().join("node-0.log")).unwrap_or_default();
    ensure!(came, "not everything was made again:\n{}", log());
    let mut took = Duration::ZERO;
    for held in &held {
        let at = held.made_again_at(&site.sink).context("it was made again")?;
        took = took.max(at.saturating_duration_since(asked + DRAIN));
    }
    site.sink.release();
    Ok(HandOver {
        held: held.len(),
        took_ms: ms(took),
    })
}
