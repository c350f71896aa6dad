//! Rows of steps, dead letters and documents are as the model has them, whichever way a commit goes.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::step::ALL;
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::time::Time;
use quintet_store::conformance::support::{AnyStore, DEFAULT, apply, commit_at, id, key, start, unit};
use quintet_store::{
    Commit, DeadLetter, IdempotencyWrite, LetterFilter, MemoryStore, RecordWrite, RunWrite, StepFilter, StepLimit,
    StepRow, Unit, UnitResult,
};
use quintet_store_postgres::Counters;
use quintet_testkit::random::Random;
use tokio::task::JoinSet;

const RUNS: u64 = 8;

/// Of usual commits, so that there is always one more to start.
const MANY: u64 = 60;
const NODES: u64 = 4;
const ACTIONS: [&str; 2] = ["push", "http"];
const QUEUES: [&str; 3] = ["a", "b", "push"];
const NAMESPACES: [&str; 2] = [DEFAULT, "acme"];

/// How often a unit says what only the long way does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Usual,
    Unusual,
}

struct Generator {
    random: Random,
    mood: Mood,
    now: i64,
    versions: BTreeMap<u64, u64>,
}

impl Generator {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.below(of.len() as u64) as usize]
    }

    fn commit(&mut self) -> Commit {
        self.now += 2;
        let count = 1 + self.below(4);
        let among = if self.mood == Mood::Usual && self.one_in(3) {
            MANY
        } else {
            RUNS
        };
        let mut numbers: Vec<u64> = (0..count).map(|_| 1 + self.random.below(among)).collect();
        let mut seen = BTreeSet::new();
        if self.mood == Mood::Usual {
            numbers.retain(|number| seen.insert(*number));
        }
        let mut units: Vec<Unit> = numbers.into_iter().map(|number| self.unit(number)).collect();
        let mut keys = BTreeSet::new();
        if self.mood == Mood::Usual {
            for unit in &mut units {
                unit.idempotency.take_if(|key| !keys.insert(key.key.clone()));
            }
        }
        Commit {
            meta: Meta {
                at: Time(self.now),
                owner: 1,
            },
            units,
        }
    }

    fn unit(&mut self, number: u64) -> Unit {
        let known = self.versions.get(&number).copied().unwrap_or(0);
        let expected = if self.one_in(8) { known.saturating_sub(1) } else { known };
        let mut write = RunWrite {
            expected,
            ..start(number).within(namespace(number))
        };
        write.row.version = expected + 1;
        let mut unit = unit([write]);
        unit.steps = (0..self.below(4)).map(|_| self.row(number)).collect();
        if self.one_in(4) {
            unit.ended_steps = vec![id(number)];
        }
        unit.letters = (0..self.below(6).saturating_sub(3))
            .map(|_| self.letter(number))
            .collect();
        if expected == 0 && self.one_in(2) {
            unit.idempotency = Some(self.key());
        }
        if self.mood == Mood::Unusual {
            self.make_unusual(&mut unit, number);
        }
        unit
    }

    fn make_unusual(&mut self, unit: &mut Unit, number: u64) {
        if self.one_in(3) {
            unit.retried = vec![(id(number), self.below(NODES) as u32)];
        }
        if self.one_in(5) {
            let other = 1 + self.below(RUNS);
            unit.steps.push(self.row(other));
            unit.ended_steps.push(id(1 + self.below(RUNS)));
        }
        if self.one_in(4) {
            unit.idempotency = Some(self.key());
        }
        for _ in 0..self.below(5).saturating_sub(2) {
            let queue = (!self.one_in(2)).then(|| self.pick(&QUEUES).into());
            unit.limits.push(StepLimit {
                action: self.pick(&ACTIONS).into(),
                queue,
                max: self.below(5) as u32,
            });
        }
    }

    fn row(&mut self, number: u64) -> StepRow {
        let status = if self.one_in(2) {
            StepStatus::InProgress
        } else {
            self.pick(&ALL)
        };
        StepRow {
            run: id(number),
            node: self.below(NODES) as u32,
            namespace: namespace(number).into(),
            workflow: "w".into(),
            step: "s\u{0}".into(),
            action: self.pick(&ACTIONS).into(),
            queue: self.pick(&QUEUES).into(),
            status,
            attempt: self.below(3) as u32,
            priority: self.below(3) as i32 - 1,
            created_at: Time(self.now - self.random.below(5) as i64),
            updated_at: Time(self.now),
        }
    }

    fn letter(&mut self, number: u64) -> DeadLetter {
        DeadLetter {
            run: id(number),
            node: self.below(NODES) as u32,
            attempt: self.below(3) as u32,
            namespace: namespace(number).into(),
            workflow: self.pick(&["w", "v"]).into(),
            step: "s".into(),
            queue: self.pick(&QUEUES).into(),
            body: format!("{{\"at\":{}}}", self.now),
            failed_at: Time(self.now - self.random.below(9) as i64),
            retried_at: None,
        }
    }

    fn key(&mut self) -> IdempotencyWrite {
        let answers = ["x", "y", "z"];
        IdempotencyWrite {
            expires_at: Time(self.now + self.below(60) as i64),
            replaces: (!self.one_in(3)).then(|| self.pick(&answers).to_owned()),
            ..key(self.pick(&["k", "l"]), self.pick(&answers))
        }
    }

    fn learn(&mut self, commit: &Commit, results: &[UnitResult]) {
        let units = commit.units.iter().zip(results);
        let applied = units.filter(|(_, result)| **result == UnitResult::Applied);
        for write in applied.flat_map(|(unit, _)| &unit.runs) {
            self.versions.insert(write.row.id.bits() as u64, write.row.version);
        }
    }
}

/// A run stays where it is.
fn namespace(number: u64) -> &'static str {
    NAMESPACES[usize::from(number.is_multiple_of(3))]
}

async fn compare(mood: Mood, seed: u64) -> Counters {
    let database = support::database();
    let store = Arc::new(support::open(&database.url()));
    let (model, any): (AnyStore, AnyStore) = (Arc::new(MemoryStore::new()), store.clone());
    let mut generator = Generator {
        random: Random::new(seed),
        mood,
        now: 10,
        versions: BTreeMap::new(),
    };
    let mut kinds = BTreeSet::new();
    for _ in 0..80 {
        let commit = generator.commit();
        let expected = model.commit(commit.clone()).await.unwrap();
        let found = any.commit(commit.clone()).await.unwrap();
        assert_eq!(found, expected, "seed {seed}: {commit:#?}");
        kinds.extend(
            expected
                .iter()
                .map(|result| format!("{result:?}").chars().take(4).collect::<String>()),
        );
        generator.learn(&commit, &expected);
        same_answers(&model, &any, &mut generator).await;
        if generator.one_in(8) {
            removals(&model, &any, &mut generator).await;
        }
    }
    let wanted = if mood == Mood::Usual { 3 } else { 4 };
    assert!(kinds.len() >= wanted, "only {kinds:?} came of the units");
    store.counters()
}

macro_rules! same {
    ($model:ident, $any:ident, $store:ident => $call:expr) => {{
        let left = {
            let $store = $model;
            $call.await.unwrap()
        };
        let right = {
            let $store = $any;
            $call.await.unwrap()
        };
        assert_eq!(left, right, "{} (left: model)", stringify!($call));
        left
    }};
}

async fn same_answers(model: &AnyStore, any: &AnyStore, generator: &mut Generator) {
    for action in ACTIONS {
        same!(model, any, store => store.in_progress(action));
        for namespace in NAMESPACES {
            same!(model, any, store => store.step_counts(namespace, action));
        }
    }
    let statuses: Vec<StepStatus> = (0..generator.below(4)).map(|_| generator.pick(&ALL)).collect();
    let filter = StepFilter {
        action: generator.one_in(2).then(|| generator.pick(&ACTIONS).into()),
        queue: generator.one_in(3).then(|| generator.pick(&QUEUES).into()),
        run: generator.one_in(3).then(|| id(1 + generator.below(RUNS))),
        statuses,
    };
    let letters = LetterFilter {
        workflow: generator.one_in(3).then(|| generator.pick(&["w", "v"]).into()),
        queue: generator.one_in(3).then(|| generator.pick(&QUEUES).into()),
        with_retried: generator.one_in(2),
    };
    let (offset, limit) = generator.pick(&[(0, usize::MAX), (0, 3), (2, 2), (1000, 5), (0, 0), (u64::MAX, 1)]);
    for namespace in NAMESPACES {
        same!(model, any, store => store.steps(namespace, &StepFilter::default(), 0, usize::MAX));
        same!(model, any, store => store.steps(namespace, &filter, offset, limit));
        let all = LetterFilter {
            with_retried: true,
            ..LetterFilter::default()
        };
        same!(model, any, store => store.letters(namespace, &all, 0, usize::MAX));
        same!(model, any, store => store.letters(namespace, &letters, offset, limit));
        let (run, node) = (id(1 + generator.below(RUNS)), generator.below(NODES) as u32);
        let attempt = generator.one_in(2).then(|| generator.below(3) as u32);
        same!(model, any, store => store.letter(namespace, run, node, attempt));
        for key in ["k", "l"] {
            let now = Time(generator.now);
            same!(model, any, store => store.idempotency(namespace, "start", key, now));
        }
    }
}

async fn removals(model: &AnyStore, any: &AnyStore, generator: &mut Generator) {
    let (before, limit) = (
        Time(generator.now - generator.random.below(20) as i64),
        generator.below(4) as usize,
    );
    let namespace = generator.one_in(2).then(|| generator.pick(&NAMESPACES));
    same!(model, any, store => store.purge_letters(namespace, before, limit));
    // A run that ends, and goes with or without its letters.
    let Some((number, version)) = generator
        .versions
        .iter()
        .next()
        .map(|(number, version)| (*number, *version))
    else {
        return;
    };
    let mut last = RunWrite {
        expected: version,
        ..start(number)
            .within(self::namespace(number))
            .finish(RunStatus::Error, generator.now)
    };
    last.row.version = version + 1;
    let commit = Commit {
        meta: Meta {
            at: Time(generator.now),
            owner: 1,
        },
        units: vec![unit([last])],
    };
    let ended = same!(model, any, store => store.commit(commit.clone()));
    assert_eq!(ended, [UnitResult::Applied]);
    let now = Time(generator.now + 1);
    if generator.one_in(2) {
        same!(model, any, store => store.delete_run(self::namespace(number), id(number)));
    } else {
        assert_eq!(same!(model, any, store => store.prune(now, Time(0), 100)), 1);
    }
    generator.versions.remove(&number);
}

#[tokio::test]
async fn steps_and_letters_of_usual_commits_are_as_in_the_model_and_go_the_fast_way() {
    for seed in 0..8 {
        let Counters {
            commits, long_commits, ..
        } = compare(Mood::Usual, seed).await;
        assert!(
            commits > 50 && long_commits * 5 < commits,
            "{long_commits} of {commits} went the long way"
        );
    }
}

#[tokio::test]
async fn steps_and_letters_of_unusual_commits_are_as_in_the_model() {
    for seed in 100..110 {
        compare(Mood::Unusual, seed).await;
    }
}

fn replacing(number: u64, answer: &str, old: &str) -> Unit {
    let key = IdempotencyWrite {
        replaces: Some(old.to_owned()),
        ..key("k", answer)
    };
    Unit {
        idempotency: Some(key),
        ..unit([start(number)])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_replace_one_answer_exactly_one_does() {
    let database = support::database();
    let stores: Vec<AnyStore> = (0..4)
        .map(|_| Arc::new(support::open(&database.url())) as AnyStore)
        .collect();
    let first = Unit {
        idempotency: Some(key("k", "0")),
        ..unit([start(1000)])
    };
    assert_eq!(commit_at(&stores[0], 10, vec![first]).await, [UnitResult::Applied]);
    apply(&stores[0], start(2000)).await;
    for round in 1..=10u64 {
        let mut racers = JoinSet::new();
        for racer in 0..8u64 {
            let store = stores[racer as usize % 4].clone();
            let mut unit = replacing(round * 10 + racer, &format!("{round}.{racer}"), "0");
            if round > 1 {
                unit.idempotency.as_mut().unwrap().replaces = None;
            }
            racers.spawn(async move {
                if round > 1 {
                    // Whoever comes later finds the answer of the round before, and replaces that.
                    let known = store
                        .idempotency(DEFAULT, "start", "k", Time(10))
                        .await
                        .unwrap()
                        .unwrap();
                    if !known.answer.starts_with(&format!("{}.", round - 1)) {
                        return 0;
                    }
                    unit.idempotency.as_mut().unwrap().replaces = Some(known.answer);
                }
                // Half of them go the long way.
                if racer % 2 == 1 {
                    unit.retried.push((RunId::from_bits(1), 0));
                }
                u32::from(commit_at(&store, 10, vec![unit]).await == [UnitResult::Applied])
            });
        }
        let winners: u32 = racers.join_all().await.into_iter().sum();
        assert_eq!(winners, 1, "round {round}");
    }
}

fn document(id: &str, expected: Option<u64>, body: &str) -> RecordWrite {
    RecordWrite {
        namespace: DEFAULT.into(),
        kind: "count".into(),
        id: id.into(),
        expected,
        body: Some(body.to_owned()),
        expires_at: None,
        at: Time(10),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_the_same_documents_lose_no_write_and_block_each_other_never() {
    const ROUNDS: u64 = 25;
    let database = support::database();
    let mut writers = JoinSet::new();
    for writer in 0..6u64 {
        let store: AnyStore = Arc::new(support::open(&database.url()));
        writers.spawn(async move {
            for _ in 0..ROUNDS {
                loop {
                    let version = async |name: &str| {
                        let found = store.record(DEFAULT, "count", name).await.unwrap();
                        found.map_or(0, |record| record.version)
                    };
                    let (a, b) = (version("a").await, version("b").await);
                    let mut writes = vec![document("a", Some(a), "1"), document("b", Some(b), "1")];
                    if writer % 2 == 1 {
                        writes.reverse();
                    }
                    if store.put_records(writes).await.unwrap() {
                        break;
                    }
                }
            }
        });
    }
    writers.join_all().await;
    let store = support::open(&database.url());
    let versions: Vec<u64> = quintet_store::Store::records(&store, DEFAULT, "count", None, 10)
        .await
        .unwrap()
        .iter()
        .map(|record| record.version)
        .collect();
    assert_eq!(versions, [6 * ROUNDS, 6 * ROUNDS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_make_a_document_exactly_one_does() {
    let database = support::database();
    let stores: Vec<AnyStore> = (0..4)
        .map(|_| Arc::new(support::open(&database.url())) as AnyStore)
        .collect();
    for round in 0..10u32 {
        let mut racers = JoinSet::new();
        for racer in 0..8usize {
            let (store, id) = (stores[racer % 4].clone(), format!("d{round}"));
            racers.spawn(async move {
                let body = racer.to_string();
                u32::from(store.put_records(vec![document(&id, Some(0), &body)]).await.unwrap())
            });
        }
        assert_eq!(racers.join_all().await.into_iter().sum::<u32>(), 1);
    }
}

#[tokio::test]
async fn random_documents_are_as_in_the_model() {
    let database = support::database();
    let store: AnyStore = Arc::new(support::open(&database.url()));
    let model: AnyStore = Arc::new(MemoryStore::new());
    let (model, store) = (&model, &store);
    let mut random = Random::new(5);
    for round in 0..200 {
        let mut writes = Vec::new();
        for _ in 0..random.below(4) {
            let expires = random.below(3);
            writes.push(RecordWrite {
                namespace: NAMESPACES[random.below(2) as usize].into(),
                kind: ["count", "kind"][random.below(2) as usize].into(),
                id: ["a", "b\u{0}", "c"][random.below(3) as usize].into(),
                expected: (random.below(2) == 0).then(|| random.below(4)),
                body: (random.below(4) > 0).then(|| round.to_string()),
                expires_at: (expires > 0).then(|| Time(random.below(50) as i64)),
                at: Time(round),
            });
        }
        same!(model, store, store => store.put_records(writes.clone()));
        let after = [None, Some("a"), Some("b\u{0}")][random.below(3) as usize];
        let (now, limit) = (Time(random.below(60) as i64), random.below(5) as usize);
        for kind in ["count", "kind"] {
            same!(model, store, store => store.expired_records(kind, now, limit));
            for namespace in NAMESPACES {
                same!(model, store, store => store.records(namespace, kind, after, limit));
                same!(model, store, store => store.record(namespace, kind, "a"));
            }
        }
    }
}
