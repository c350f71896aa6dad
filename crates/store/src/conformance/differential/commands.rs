//! Random commands over small domains, so that they often meet.

use std::collections::BTreeMap;
use std::sync::Arc;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::RunStatus;
use quintet_core::plan::Digest;
use quintet_core::time::Time;

use crate::commit::{
    Commit, IdempotencyRecord, IdempotencyWrite, OutboxWrite, PlanWrite, QueueChange, RunRow, RunWrite, Unit,
    UnitResult,
};
use crate::conformance::support::{AnyStore, DEFAULT, digest, id, start};
use crate::node::WorkflowPin;
use crate::query::{QueueAsk, RunFilter, WorkflowWrite};

pub const NAMESPACES: [&str; 3] = [DEFAULT, "acme", "other"];
pub const WORKFLOWS: [&str; 4] = ["", "a", "ab", "b"];
const PREFIXES: [&str; 4] = ["", "a", "ab", "abc"];
pub const QUEUES: [&str; 3] = ["http", "noop", "wait"];
pub const SCOPES: [&str; 2] = ["start", "cancel"];
pub const KEYS: [&str; 3] = ["k", "l", "m"];

const RUNS: u64 = 12;

/// The commands of one seed.
pub struct Generator {
    state: u64,
    now: i64,
    /// The runs as the stores have them, so that most commands fit.
    known: BTreeMap<u64, RunRow>,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            now: 100,
            known: BTreeMap::new(),
        }
    }

    /// A number below `bound`, by splitmix64.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// Some time around now.
    pub fn time(&mut self) -> Time {
        Time(self.now - 40 + self.below(80) as i64)
    }

    /// A time at which what was remembered has not all expired.
    pub fn past(&mut self) -> Time {
        Time(self.now - self.below(40) as i64)
    }

    pub fn limit(&mut self) -> usize {
        [0, 1, 2, 3, 5, 100][self.below(6) as usize]
    }

    pub fn digest(&mut self) -> Digest {
        digest(self.below(5) as u8)
    }

    pub fn namespace(&mut self) -> Arc<str> {
        self.pick(&NAMESPACES).into()
    }

    /// Every number that a run can have.
    pub fn runs(&self) -> std::ops::RangeInclusive<u64> {
        1..=RUNS
    }

    pub fn filter(&mut self) -> RunFilter {
        let mut statuses = Vec::new();
        for _ in 0..self.below(4) {
            statuses.push(self.status());
        }
        RunFilter {
            workflow: self.one_in(3).then(|| self.pick(&WORKFLOWS).into()),
            workflow_prefix: self.one_in(4).then(|| self.pick(&PREFIXES).into()),
            statuses,
            created_from: self.one_in(4).then(|| self.time()),
            created_before: self.one_in(4).then(|| self.time()),
            claimed: self.one_in(4).then(|| self.one_in(2)),
        }
    }

    pub fn asks(&mut self) -> Vec<QueueAsk> {
        let ask = |random: &mut Self| QueueAsk {
            queue: random.pick(&QUEUES).into(),
            limit: random.limit(),
        };
        (0..self.below(4)).map(|_| ask(self)).collect()
    }

    pub fn workflow(&mut self, namespace: &Arc<str>, workflow: &str) -> WorkflowWrite {
        let number = self.below(5);
        WorkflowWrite {
            namespace: namespace.clone(),
            id: workflow.into(),
            name: format!("name {number}"),
            document: format!("{{\"n\":{number}}}"),
            digest: digest(number as u8),
            spec: format!("[{number}]").into(),
            at: Time(self.now),
            expected: self.one_in(2).then(|| self.below(4) as u32),
        }
    }

    pub fn commit(&mut self) -> Commit {
        self.now += self.below(10) as i64;
        let meta = Meta {
            at: Time(self.now),
            owner: self.below(3),
        };
        // Later units build on earlier ones, if those are applied.
        let mut expected = self.known.clone();
        let units = (0..=self.below(4)).map(|_| self.unit(&mut expected)).collect();
        Commit { meta, units }
    }

    fn unit(&mut self, expected: &mut BTreeMap<u64, RunRow>) -> Unit {
        let runs = match self.below(8) {
            0 => 0,
            1..=5 => 1,
            more => more - 4,
        };
        Unit {
            idempotency: self.one_in(4).then(|| self.key()),
            plans: (0..self.below(3)).map(|_| self.plan()).collect(),
            runs: (0..runs).map(|_| self.write(expected)).collect(),
            outbox: (0..self.below(6).saturating_sub(3)).map(|_| self.message()).collect(),
            pins: (0..self.below(8).saturating_sub(6)).map(|_| self.pin()).collect(),
            notices: Vec::new(),
            steps: (0..self.below(5).saturating_sub(1)).map(|_| self.step_row()).collect(),
            ended_steps: (0..self.below(8).saturating_sub(6))
                .map(|_| id(1 + self.below(RUNS)))
                .collect(),
            letters: (0..self.below(6).saturating_sub(3)).map(|_| self.letter()).collect(),
            retried: (0..self.below(8).saturating_sub(6)).map(|_| self.retried()).collect(),
            // A store of one process does not look at them.
            limits: Vec::new(),
        }
    }

    fn key(&mut self) -> IdempotencyWrite {
        let answer = self.below(4).to_string();
        IdempotencyWrite {
            namespace: self.namespace(),
            scope: self.pick(&SCOPES).into(),
            key: self.pick(&KEYS).to_owned(),
            record: IdempotencyRecord {
                request: [self.below(256) as u8; 32],
                answer,
            },
            expires_at: Time(self.now + self.below(60) as i64),
            replaces: self.one_in(2).then(|| self.below(4).to_string()),
        }
    }

    fn retried(&mut self) -> (RunId, u32) {
        (id(1 + self.below(RUNS)), self.below(4) as u32)
    }

    fn plan(&mut self) -> PlanWrite {
        let number = self.below(5);
        PlanWrite {
            digest: digest(number as u8),
            spec: format!("[{number}]").into(),
        }
    }

    fn pin(&mut self) -> WorkflowPin {
        WorkflowPin {
            namespace: self.namespace(),
            id: self.pick(&WORKFLOWS).into(),
            version: self.below(4) as u32,
        }
    }

    fn message(&mut self) -> OutboxWrite {
        let body = self.below(1000).to_string();
        OutboxWrite {
            target: self.pick(&["hooks", "broker"]).into(),
            key: self.pick(&["k", "l"]).into(),
            message_id: format!("id {body}"),
            body,
        }
    }

    fn status(&mut self) -> RunStatus {
        RunStatus::from_number(self.below(14) as u8).expect("a state")
    }

    fn write(&mut self, expected: &mut BTreeMap<u64, RunRow>) -> RunWrite {
        let number = 1 + self.below(RUNS);
        let mut write = match expected.get(&number) {
            Some(row) => RunWrite {
                expected: row.version,
                row: row.clone(),
                ..start(number)
            },
            None => self.new_run(number),
        };
        if self.one_in(12) {
            write.expected = self.below(5);
        }
        if self.one_in(30) {
            write.row.namespace = self.namespace();
        }
        write.row.version = write.expected + 1;
        self.move_row(&mut write.row);
        write.events = format!("[{}]", self.below(1000));
        for _ in 0..self.below(3) {
            let change = self.queue_change();
            write.queue.push(change);
        }
        expected.insert(number, write.row.clone());
        write
    }

    fn new_run(&mut self, number: u64) -> RunWrite {
        let namespace = self.namespace();
        let workflow: Arc<str> = self.pick(&WORKFLOWS).into();
        let (plan, created_at) = (self.digest(), Time(self.now));
        start(number).with(|row| {
            row.namespace = namespace;
            row.workflow = workflow;
            row.plan = plan;
            row.created_at = created_at;
        })
    }

    fn move_row(&mut self, row: &mut RunRow) {
        if self.one_in(2) {
            row.status = self.status();
        }
        row.finished_at = row.status.is_terminal().then_some(Time(self.now));
        row.claims = self.below(3) as u32;
        row.updated_at = Time(self.now);
        match self.below(4) {
            0 => row.wake_at = None,
            1 | 2 => row.wake_at = Some(self.time()),
            _ => {}
        }
        if self.one_in(8) {
            row.priority = self.below(4) as i32 - 2;
        }
    }

    fn queue_change(&mut self) -> QueueChange {
        let node = self.below(4) as u32;
        if self.one_in(2) {
            QueueChange::Put {
                node,
                queue: self.pick(&QUEUES).into(),
                priority: self.below(4) as i32 - 2,
            }
        } else {
            QueueChange::Remove { node }
        }
    }

    /// What became of a commit.
    pub fn learn(&mut self, commit: &Commit, results: &[UnitResult]) {
        let applied = commit
            .units
            .iter()
            .zip(results)
            .filter(|(_, result)| **result == UnitResult::Applied);
        for write in applied.flat_map(|(unit, _)| &unit.runs) {
            let number = write.row.id.bits() as u64;
            self.known.insert(number, write.row.clone());
        }
    }

    /// Runs that were removed can be started again.
    pub async fn forget(&mut self, model: &AnyStore) {
        for (number, row) in std::mem::take(&mut self.known) {
            if model.run(&row.namespace, id(number)).await.unwrap().is_some() {
                self.known.insert(number, row);
            }
        }
    }
}
