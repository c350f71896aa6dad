//! The table, line by line: each combination on a run of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use quintet_core::command::Command;
use quintet_core::state::RunState;
use quintet_store::Store;
use tokio::task::JoinSet;

use crate::late;
use crate::situation::{self, Situation};
use crate::stores::Fixture;
use crate::story;
use crate::table::{self, Cell, OFFSETS};
use crate::writer::Writer;

/// A line of the table, and who plays in it.
struct Line {
    cells: Vec<Cell>,
    /// The process that brings the situation about.
    first: Arc<dyn Store>,
    /// The process that is late.
    other: Arc<dyn Store>,
    /// Number of the first run.
    number: u64,
}

/// How many combinations were looked at, and how often the store refused what had been decided on an old copy.
#[derive(Default)]
struct Tally {
    looked_at: u64,
    outrun: u64,
}

pub async fn every_late_event_meets_what_the_table_says_and_never_on_an_old_copy(fixture: Fixture) {
    let mut lines: BTreeMap<&str, Vec<Cell>> = BTreeMap::new();
    for cell in table::cells() {
        lines.entry(cell.situation).or_default().push(cell);
    }
    let (mut tasks, mut number) = (JoinSet::new(), 0);
    for (nth, cells) in lines.into_values().enumerate() {
        let combinations = cells.len() * OFFSETS.len();
        let line = Line {
            cells,
            first: fixture.process(nth),
            other: fixture.process(nth + 1),
            number,
        };
        tasks.spawn(line.play());
        number += combinations as u64;
    }
    let tallies = tasks.join_all().await;
    let sum = |part: fn(&Tally) -> u64| tallies.iter().map(part).sum::<u64>();
    assert!(sum(|tally| tally.looked_at) >= 200, "the table is too small");
    assert!(sum(|tally| tally.outrun) >= 200, "few thought that they could write");
}

impl Line {
    async fn play(self) -> Tally {
        let mut tally = Tally::default();
        for cell in &self.cells {
            for (offset, expected) in OFFSETS.into_iter().zip(cell.words) {
                let name = format!("{} | {} at {offset}", cell.situation, cell.late);
                let number = self.number + tally.looked_at;
                tally.looked_at += 1;
                tally.outrun += self.combination(number, cell, offset, (&name, expected)).await;
            }
        }
        tally
    }

    /// Brings a situation about and lets the late event come to it, first on every old copy and then on a fresh one.
    async fn combination(&self, number: u64, cell: &Cell, offset: i64, (name, expected): (&str, &str)) -> u64 {
        let mut at = situation::build(cell.situation);
        let mut writer = Writer::of(&at, Arc::clone(&self.first));
        let copies = story::store(&mut at, &mut writer, number).await;
        // The newest copy is old, too: somebody writes a line into the run's log meanwhile.
        let text = "meanwhile".to_owned();
        let line = writer.decide(&at.sim.state, Command::AppendLog { text });
        assert!(writer.commit(&line).await);

        let (command, by) = late::make(cell.late, &at);
        (writer.store, writer.owner) = (Arc::clone(&self.other), by);
        writer.now.0 = at.deadline().0 + offset;
        let before = writer.image().await;
        let outrun = outrun(&writer, &copies, &command).await;
        assert_eq!(writer.image().await, before, "{name}: an old copy was written");
        meet(&writer, &at, command, (name, expected)).await;
        outrun
    }
}

/// Decides on each old copy, and commits what came of it: how often there was something to commit.
async fn outrun(writer: &Writer, copies: &[RunState], command: &Command) -> u64 {
    let mut outrun = 0;
    for copy in copies {
        let decision = writer.decide(copy, command.clone());
        if decision.moves() {
            outrun += 1;
            let taken = writer.commit(&decision).await;
            assert!(!taken, "version {} is not the newest", copy.version);
        }
    }
    outrun
}

/// Decides on what is stored: it comes to what the table says, and that and nothing else is stored.
async fn meet(writer: &Writer, at: &Situation, command: Command, (name, expected): (&str, &str)) {
    let before = writer.image().await;
    let decision = writer.decide(&writer.load().await, command);
    let word = table::word(&decision.result, &decision.state, at.node);
    assert_eq!(word, expected, "{name}");
    if !decision.moves() {
        assert_eq!(writer.image().await, before, "{name}: a refusal was written");
        return;
    }
    assert!(writer.commit(&decision).await, "{name}");
    let stored = writer.load().await;
    assert_eq!(format!("{stored:?}"), format!("{:?}", decision.state), "{name}");
    let after = writer.image().await;
    assert!(!writer.commit(&decision).await, "{name}: it was taken twice");
    assert_eq!(writer.image().await, after, "{name}: it was written twice");
}
