//! The fast way agrees with the model: the random commands of the suite mostly go the long way.

mod support;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use quintet_core::event::Meta;
use quintet_core::machine::RunStatus;
use quintet_core::time::Time;
use quintet_store::conformance::support::{AnyStore, DEFAULT, claim, digest, id, key, message, queued, start, unit};
use quintet_store::{
    Commit, IdempotencyWrite, MemoryStore, OutboxAsk, OutboxEntry, PlanWrite, RunWrite, StoredRun, Unit, UnitResult,
    WorkflowPin, WorkflowWrite,
};
use quintet_store_postgres::Counters;
use quintet_testkit::random::Random;

/// Commits that can all go the fast way, as an engine under load makes them: some of their units fit, some do not.
struct Usual {
    random: Random,
    now: i64,
    versions: [u64; 40],
}

impl Usual {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn commit(&mut self) -> Commit {
        self.now += 3;
        let numbers: BTreeSet<u64> = (0..self.below(9)).map(|_| self.random.below(40)).collect();
        let mut units: Vec<Unit> = numbers.into_iter().map(|number| self.unit(number)).collect();
        let mut keys = HashSet::new();
        for unit in &mut units {
            unit.idempotency.take_if(|key| !keys.insert(key.key.clone()));
        }
        // Not in the order of the runs.
        let turn = self.below(units.len() as u64 + 1) as usize;
        units.rotate_left(turn);
        Commit {
            meta: Meta {
                at: Time(self.now),
                owner: 1 + self.random.below(2),
            },
            units,
        }
    }

    fn unit(&mut self, number: u64) -> Unit {
        let known = self.versions[number as usize];
        let expected = if self.below(10) == 0 {
            known.saturating_sub(1).max(1)
        } else {
            known
        };
        let mut unit = if expected == 0 {
            self.start(number)
        } else {
            unit([self.moved(number, expected)])
        };
        for _ in 0..self.below(3) {
            let write = &mut unit.runs[0];
            let node = self.random.below(4) as u32;
            *write = if self.random.below(2) == 0 {
                write.clone().put(node, "a")
            } else {
                write.clone().remove(node)
            };
        }
        for _ in 0..self.below(3) {
            let stream = self.below(3).to_string();
            let body = format!("{number} at {}", self.now);
            unit.outbox.extend(message("h", &stream, &body).outbox);
        }
        unit
    }

    fn start(&mut self, number: u64) -> Unit {
        let plan = PlanWrite {
            digest: digest(number as u8),
            spec: number.to_string().into(),
        };
        let pin = WorkflowPin {
            namespace: DEFAULT.into(),
            id: "w".into(),
            version: 1 + self.below(4) as u32 / 3,
        };
        let key = IdempotencyWrite {
            expires_at: Time(self.now + self.below(60) as i64),
            ..key(&self.below(12).to_string(), &number.to_string())
        };
        Unit {
            idempotency: Some(key).filter(|_| self.random.below(2) == 0),
            plans: vec![plan],
            pins: vec![pin],
            ..unit([start(number)])
        }
    }

    fn moved(&mut self, number: u64, expected: u64) -> RunWrite {
        let mut write = RunWrite {
            expected,
            ..start(number)
        };
        let ends = self.below(4) == 0;
        write.row.version = expected + 1;
        write.row.status = if ends {
            RunStatus::Error
        } else {
            RunStatus::WaitingForRetry
        };
        write.row.finished_at = ends.then_some(Time(self.now));
        write.row.updated_at = Time(self.now);
        write
    }

    fn learn(&mut self, commit: &Commit, results: &[UnitResult]) {
        let applied = commit
            .units
            .iter()
            .zip(results)
            .filter(|(_, result)| **result == UnitResult::Applied);
        for write in applied.flat_map(|(unit, _)| &unit.runs) {
            self.versions[write.row.id.bits() as usize] = write.row.version;
        }
    }
}

#[tokio::test]
async fn on_the_fast_way_everything_is_answered_as_the_model_does() {
    for seed in 0..10 {
        let database = support::database();
        let store = Arc::new(support::open(&database.url()));
        let any: AnyStore = store.clone();
        let model: AnyStore = Arc::new(MemoryStore::new());
        let workflow = WorkflowWrite {
            namespace: DEFAULT.into(),
            id: "w".into(),
            name: String::new(),
            document: String::new(),
            digest: digest(99),
            spec: "".into(),
            at: Time(0),
            expected: None,
        };
        for store in [&model, &any] {
            store.put_workflow(workflow.clone()).await.unwrap();
        }
        let mut usual = Usual {
            random: Random::new(seed),
            now: 10,
            versions: [0; 40],
        };
        for _ in 0..60 {
            let commit = usual.commit();
            let expected = model.commit(commit.clone()).await.unwrap();
            assert_eq!(
                any.commit(commit.clone()).await.unwrap(),
                expected,
                "seed {seed}: {commit:?}"
            );
            usual.learn(&commit, &expected);
            same_messages(&model, &any, usual.now).await;
        }
        same_state(&model, &any).await;
        let Counters {
            commits, long_commits, ..
        } = store.counters();
        assert!(
            commits > 40 && long_commits <= 2,
            "{long_commits} of {commits} went the long way"
        );
    }
}

/// Delivers some of what is due.
async fn same_messages(model: &AnyStore, store: &AnyStore, now: i64) {
    let (left, right) = (
        model.outbox_due(claim(now), OutboxAsk::up_to(2)).await.unwrap(),
        store.outbox_due(claim(now), OutboxAsk::up_to(2)).await.unwrap(),
    );
    let bodies = |due: &[OutboxEntry]| due.iter().map(|entry| entry.body.clone()).collect::<Vec<_>>();
    assert_eq!(bodies(&left), bodies(&right));
    for (store, due) in [(model, left), (store, right)] {
        let ids: Vec<i64> = due.iter().map(|entry| entry.id).collect();
        store.outbox_delivered(&ids).await.unwrap();
    }
}

async fn same_state(model: &AnyStore, store: &AnyStore) {
    for number in 0..40 {
        let (left, right) = (
            model.load(DEFAULT, id(number)).await.unwrap(),
            store.load(DEFAULT, id(number)).await.unwrap(),
        );
        let parts = |run: Option<StoredRun>| run.map(|run| (run.row, run.commits));
        assert_eq!(parts(left), parts(right));
        let plan = digest(number as u8);
        assert_eq!(model.plan(plan).await.unwrap(), store.plan(plan).await.unwrap());
    }
    assert_eq!(queued(model, &["a"], 1000).await, queued(store, &["a"], 1000).await);
    for name in 0..12 {
        let found = async |store: &AnyStore| {
            store
                .idempotency(DEFAULT, "start", &name.to_string(), Time(0))
                .await
                .unwrap()
        };
        assert_eq!(found(model).await, found(store).await);
    }
}
