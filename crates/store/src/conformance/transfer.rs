//! Moving a store, between two stores of the same kind. What comes over is compared twice: record by record, as the move
//! does it, and through the trait that everybody else uses.

mod faults;
mod picture;

use std::any::Any;
use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::time::Time;

use self::faults::{Faulty, Moment};
use super::differential;
use super::support::{
    AnyStore, DEFAULT, apply, commit, commit_at, id, key, letter, message, message_id, put_letters, put_steps, start,
    step_row, unit,
};
use crate::commit::Unit;
use crate::error::StoreError;
use crate::memory::MemoryStore;
use crate::query::WorkflowWrite;
use crate::record::RecordWrite;
use crate::transfer::{
    Counts, Cursor, Difference, Kind, Mover, PageLimit, Portable, Records, Stage, Summary, TransferError,
};

pub use self::picture::{drained, picture};

/// A store that was opened to be moved, with what must live as long as it does.
pub struct Fixture {
    /// As everybody uses it.
    pub store: AnyStore,
    /// The same one, as it is moved.
    pub portable: Arc<dyn Portable>,
    /// Dropped last.
    pub keep: Box<dyn Any + Send>,
}

type Open = fn() -> Fixture;

/// Few records to a page, so that there are many pages.
const SMALL: PageLimit = PageLimit { records: 3, bytes: 200 };

/// Fills a store with something of every kind, and with texts that are hard to keep.
pub async fn fill(store: &AnyStore, seed: u64) {
    differential::compare(Arc::new(MemoryStore::new()), store.clone(), seed, 200).await;
    let odd = "a\u{0}b\u{1}c\u{1}\u{2}ü\u{10ffff}'; --";
    let write = start(100).within(odd).put(u32::MAX, odd).with(|row| {
        row.workflow = odd.into();
        row.workflow_version = u32::MAX;
        row.priority = i32::MIN;
        row.claims = 3;
        row.wake_at = Some(Time(i64::MAX));
    });
    let moved = write.clone().next().saying(odd);
    apply(store, write).await;
    apply(store, moved).await;
    for number in 200..220 {
        apply(store, start(number)).await;
    }
    // Years apart, as their ids say.
    for day in [1u128, 400, 20_000] {
        let id = RunId::from_bits((day * 86_400_000) << 80);
        apply(store, start(1).with(|row| row.id = id)).await;
    }
    let long = start(100_000_000_000_000).saying(&"x".repeat(100_000));
    apply(store, long).await;
    let mut with_key = unit([start(300)]);
    with_key.idempotency = Some(key(odd, odd));
    let _ = commit(store, with_key).await;
    put_workflow(store, "").await;
    put_workflow(store, odd).await;
    put_workflow(store, odd).await;
    put_odd_rows(store, odd).await;
    for body in [odd, "second", "third"] {
        let _ = commit(store, message("hooks", odd, body)).await;
    }
    let given_up = message_id(store, i64::MAX, odd).await;
    store.outbox_failed(given_up, odd, None).await.unwrap();
    let failed = message_id(store, i64::MAX, "second").await;
    store.outbox_failed(failed, odd, Some(Time(77))).await.unwrap();
}

async fn put_odd_rows(store: &AnyStore, odd: &str) {
    let row = step_row(100, u32::MAX).with(|row| {
        row.namespace = odd.into();
        row.workflow = odd.into();
        row.step = odd.into();
        row.action = odd.into();
        row.queue = odd.into();
        row.attempt = u32::MAX;
        row.priority = i32::MIN;
        row.created_at = Time(i64::MIN);
    });
    put_steps(store, [row, step_row(100, 0)]).await;
    let odd_letter = |attempt| {
        letter(100, 7, attempt).with(|letter| {
            letter.namespace = odd.into();
            letter.workflow = odd.into();
            letter.step = odd.into();
            letter.queue = odd.into();
            letter.body = odd.repeat(100);
        })
    };
    put_letters(store, [odd_letter(0), odd_letter(u32::MAX)]).await;
    let retried = Unit {
        retried: vec![(id(100), 7)],
        letters: vec![odd_letter(1)],
        ..Unit::default()
    };
    let _ = commit(store, retried).await;
    let write = |id: &str, expires_at| RecordWrite {
        namespace: odd.into(),
        kind: odd.into(),
        id: id.into(),
        expected: None,
        body: Some(odd.repeat(100)),
        expires_at,
        at: Time(i64::MIN),
    };
    let writes = ["", odd, "last"].map(|id| write(id, (id != "last").then_some(Time(7))));
    assert!(store.put_records(writes.to_vec()).await.unwrap());
    assert!(store.put_records(writes.to_vec()).await.unwrap());
}

async fn put_workflow(store: &AnyStore, id: &str) {
    let write = WorkflowWrite {
        namespace: DEFAULT.into(),
        id: id.into(),
        name: format!("name of {id}"),
        document: format!("document of {id}"),
        digest: super::support::digest(77),
        spec: format!("plan of {id}").into(),
        at: Time(5),
        expected: None,
    };
    store.put_workflow(write).await.unwrap();
}

async fn moved(source: &dyn Portable, target: &dyn Portable) -> Result<Summary, TransferError> {
    Mover::new(source, target).paged(SMALL).run(&mut |_| {}).await
}

fn assert_equal(summary: &Summary, counts: Counts) {
    assert_eq!(summary.difference(), None);
    for check in &summary.checks {
        assert_eq!(check.source, check.target);
        assert_eq!(check.source.count, counts.of(check.kind), "{:?}", check.kind);
    }
    assert_eq!(summary.checks.len(), Kind::ALL.len());
}

fn refusal<T: std::fmt::Debug>(result: Result<T, TransferError>) -> String {
    match result {
        Err(TransferError::Target(StoreError::Refused(why)) | TransferError::Source(StoreError::Refused(why))) => why,
        other => panic!("it is not refused: {other:?}"),
    }
}

pub async fn everything_comes_over_and_answers_the_same(open: Open) {
    for seed in 0..2 {
        let (source, target) = (open(), open());
        fill(&source.store, seed).await;
        let counts = source.portable.counts().await.unwrap();
        for kind in Kind::ALL {
            assert!(counts.of(kind) > 0, "nothing to move of {kind:?}");
        }
        let mut told = Vec::new();
        let mover = Mover::new(&*source.portable, &*target.portable).paged(SMALL);
        let summary = mover.run(&mut |progress| told.push(progress)).await.unwrap();
        assert_equal(&summary, counts);
        assert_eq!((summary.resumed.clone(), summary.copied), (None, counts.total()));
        let ends = |stage| {
            told.iter()
                .rfind(|told| told.stage == stage)
                .map(|told| (told.done, told.total))
        };
        let all = Some((counts.total(), counts.total()));
        assert_eq!((ends(Stage::Copying), ends(Stage::Comparing)), (all, all));
        target.portable.origin().await.unwrap().refuse_unfinished().unwrap();
        assert_eq!(picture(&source.store).await, picture(&target.store).await);
        assert_eq!(drained(&source.store).await, drained(&target.store).await);
    }
}

pub async fn a_moved_store_can_be_moved_on(open: Open) {
    let (first, second, third) = (open(), open(), open());
    fill(&first.store, 7).await;
    let there = moved(&*first.portable, &*second.portable).await.unwrap();
    let on = moved(&*second.portable, &*third.portable).await.unwrap();
    assert_eq!(there.checks, on.checks);
    let ids = [
        first.portable.origin().await.unwrap().id,
        second.portable.origin().await.unwrap().id,
        third.portable.origin().await.unwrap().id,
    ];
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
}

pub async fn an_empty_store_can_be_moved(open: Open) {
    let (source, target) = (open(), open());
    let summary = moved(&*source.portable, &*target.portable).await.unwrap();
    assert_equal(&summary, Counts::default());
}

pub async fn a_move_goes_on_wherever_it_stopped(open: Open) {
    let source = open();
    fill(&source.store, 3).await;
    let counts = source.portable.counts().await.unwrap();
    for moment in [Moment::BeforeTheWrite, Moment::AfterTheWrite] {
        let (target, mut tries) = (open(), 0);
        // Each try gets one page further than the one before.
        let summary = loop {
            tries += 1;
            let faulty = Faulty::new(&*target.portable, 1, moment);
            match moved(&*source.portable, &faulty).await {
                Ok(summary) => break summary,
                Err(TransferError::Target(StoreError::Unavailable(_))) => {}
                Err(other) => panic!("{other:?}"),
            }
            let half = target.portable.origin().await.unwrap();
            assert!(half.refuse_unfinished().is_err(), "nobody works on half a store");
        };
        assert!(tries > 20, "only {tries} pages");
        assert!(summary.resumed.is_some());
        assert_equal(&summary, counts);
        assert_eq!(picture(&source.store).await, picture(&target.store).await);
    }
}

pub async fn a_page_ends_at_either_limit_and_has_one_record_at_least(open: Open) {
    let source = open();
    for number in 1..=9 {
        let write = start(number).saying(&"x".repeat(1000));
        apply(&source.store, write).await;
    }
    let page = async |records, bytes| {
        let from = Cursor::start(Kind::History);
        let page = source
            .portable
            .export(&from, PageLimit { records, bytes })
            .await
            .unwrap();
        (page.records.len(), page.next)
    };
    let behind = |number| Some(Cursor::History(Some((id(number), 1))));
    assert_eq!(page(4, usize::MAX).await, (4, behind(4)));
    assert_eq!(page(usize::MAX, 2500).await, (3, behind(3)));
    assert_eq!(page(usize::MAX, 1).await, (1, behind(1)));
    assert_eq!(page(0, 0).await, (1, behind(1)));
    assert_eq!(
        page(usize::MAX, usize::MAX).await,
        (9, Some(Cursor::start(Kind::Queue)))
    );
}

pub async fn a_target_with_something_in_it_is_refused(open: Open) {
    let source = open();
    apply(&source.store, start(1)).await;
    let with_run = open();
    apply(&with_run.store, start(2)).await;
    let with_workflow = open();
    put_workflow(&with_workflow.store, "w").await;
    let with_message = open();
    let _ = commit(&with_message.store, message("hooks", "k", "b")).await;
    let moved_before = open();
    moved(&*source.portable, &*moved_before.portable).await.unwrap();
    for target in [with_run, with_workflow, with_message, moved_before] {
        let before = target.portable.counts().await.unwrap();
        let why = refusal(moved(&*source.portable, &*target.portable).await);
        assert!(why.contains("something in it"), "{why}");
        assert_eq!(target.portable.counts().await.unwrap(), before);
        target.portable.origin().await.unwrap().refuse_unfinished().unwrap();
    }
}

pub async fn a_target_of_another_source_is_refused(open: Open) {
    let (source, other, target) = (open(), open(), open());
    apply(&source.store, start(1)).await;
    apply(&other.store, start(1)).await;
    let faulty = Faulty::new(&*target.portable, 4, Moment::AfterTheWrite);
    assert!(moved(&*source.portable, &faulty).await.is_err());
    let why = refusal(moved(&*other.portable, &*target.portable).await);
    let name = source.portable.origin().await.unwrap().id.to_string();
    assert!(why.contains("another store") && why.contains(&name), "{why}");
    assert_equal(
        &moved(&*source.portable, &*target.portable).await.unwrap(),
        source.portable.counts().await.unwrap(),
    );
}

pub async fn half_a_store_is_no_source(open: Open) {
    let (source, half, target) = (open(), open(), open());
    apply(&source.store, start(1)).await;
    let faulty = Faulty::new(&*half.portable, 4, Moment::AfterTheWrite);
    assert!(moved(&*source.portable, &faulty).await.is_err());
    let why = refusal(moved(&*half.portable, &*target.portable).await);
    assert!(why.contains("is not over"), "{why}");
    assert_eq!(target.portable.origin().await.unwrap().source, None);
}

pub async fn of_two_moves_at_the_same_time_one_is_refused(open: Open) {
    let (source, target) = (open(), open());
    apply(&source.store, start(1)).await;
    let from = Cursor::start(Kind::Plans);
    let name = source.portable.origin().await.unwrap().id;
    target.portable.begin_import(name, &from).await.unwrap();
    let records = || Records::Plans(Vec::new());
    let next = Cursor::start(Kind::Workflows);
    target.portable.import(&from, records(), &next).await.unwrap();
    let late = target.portable.import(&from, records(), &next).await;
    assert!(
        matches!(&late, Err(StoreError::Refused(why)) if why.contains("same time")),
        "{late:?}"
    );
    assert_eq!(target.portable.origin().await.unwrap().reached, Some(next));
}

pub async fn a_record_that_differs_is_named_and_the_target_stays_closed(open: Open) {
    type Change = (RunId, fn(RunId) -> Difference);
    let changes: [Change; 3] = [
        (id(2), |run| Difference::Changed(Cursor::Runs(Some(run)))),
        (id(4), |run| Difference::Missing(Cursor::Runs(Some(run)))),
        (id(3), |run| Difference::Surplus(Cursor::Runs(Some(run)))),
    ];
    for (run, expected) in changes {
        let (source, target) = (open(), open());
        for number in [1, 2, 5, 6, 7] {
            apply(&source.store, start(number)).await;
        }
        let faulty = Faulty::new(&*target.portable, usize::MAX, Moment::BeforeTheWrite);
        // All is copied, and before it is compared somebody meddles with one side.
        let faulty = faulty.meddling(async || match expected(run) {
            Difference::Changed(_) => drop(apply(&target.store, start(2).next()).await),
            Difference::Missing(_) => drop(apply(&source.store, start(4)).await),
            Difference::Surplus(_) => drop(apply(&target.store, start(3)).await),
        });
        let summary = moved(&*source.portable, &faulty).await.unwrap();
        let found = summary.checks.iter().find(|check| check.kind == Kind::Runs).unwrap();
        assert_eq!(found.difference, Some(expected(run)));
        assert_ne!(found.source.digest, found.target.digest);
        assert!(target.portable.origin().await.unwrap().refuse_unfinished().is_err());
    }
}

pub async fn new_messages_have_higher_numbers_than_moved_ones(open: Open) {
    let (source, target) = (open(), open());
    for number in 0..40 {
        let _ = commit_at(&source.store, 10, vec![message("hooks", "k", &number.to_string())]).await;
    }
    moved(&*source.portable, &*target.portable).await.unwrap();
    let _ = commit(&target.store, message("hooks", "k", "last")).await;
    let order: Vec<String> = (0..40)
        .map(|number| number.to_string())
        .chain(["last".to_owned()])
        .collect();
    let bodies: Vec<String> = drained(&target.store)
        .await
        .into_iter()
        .map(|entry| entry.body)
        .collect();
    assert_eq!(bodies, order);
}
