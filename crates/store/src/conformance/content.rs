//! What is stored comes back as it was, whatever it is.

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::plan::Digest;
use quintet_core::time::Time;

use super::support::*;
use crate::commit::{
    Commit, IdempotencyRecord, IdempotencyWrite, OutboxWrite, PlanWrite, QueueChange, RunWrite, Unit, UnitResult,
};
use crate::query::{RunFilter, WorkflowWrite};

/// One unit with `text` in every place that holds text.
fn full_of(text: &str) -> Unit {
    let mut run = start(1).within(text).with(|row| row.workflow = text.into());
    run.events = text.to_owned();
    run.queue = vec![QueueChange::Put {
        node: 0,
        queue: text.into(),
        priority: 0,
    }];
    Unit {
        idempotency: Some(IdempotencyWrite {
            namespace: text.into(),
            scope: text.into(),
            record: IdempotencyRecord {
                request: [0xff; 32],
                answer: text.to_owned(),
            },
            ..key(text, text)
        }),
        plans: vec![PlanWrite {
            digest: digest(0xff),
            spec: text.into(),
        }],
        runs: vec![run],
        outbox: vec![OutboxWrite {
            target: text.into(),
            key: text.into(),
            message_id: text.to_owned(),
            body: text.to_owned(),
        }],
        ..Unit::default()
    }
}

async fn round_trip(store: &AnyStore, text: &str) {
    let unit = full_of(text);
    let write: RunWrite = unit.runs[0].clone();
    assert_eq!(commit(store, unit).await, UnitResult::Applied);
    let run = store.load(text, id(1)).await.unwrap().expect("the run is there");
    assert_eq!(run.row, write.row);
    assert_eq!(run.commits[0].events, text);
    let by_workflow = RunFilter {
        workflow: Some(text.into()),
        ..RunFilter::default()
    };
    assert_eq!(
        store.runs(text, &by_workflow, None, 10).await.unwrap().rows,
        [write.row]
    );
    let queued = store
        .queued(&asks(&[text]), &Turns::default(), claim(0), 10)
        .await
        .unwrap();
    assert_eq!((&*queued[0].queue, &*queued[0].namespace), (text, text));
    assert_eq!(store.plan(digest(0xff)).await.unwrap().as_deref(), Some(text));
    let record = store
        .idempotency(text, text, text, Time(0))
        .await
        .unwrap()
        .expect("the record is there");
    assert_eq!((record.request, &*record.answer), ([0xff; 32], text));
    let sent = &store.outbox_due(claim(10), OutboxAsk::up_to(10)).await.unwrap()[0];
    assert_eq!(
        (&*sent.target, &*sent.key, &*sent.message_id, &*sent.body),
        (text, text, text, text)
    );
    workflow_round_trip(store, text).await;
    store.outbox_failed(sent.id, text, None).await.unwrap();
}

async fn workflow_round_trip(store: &AnyStore, text: &str) {
    let write = WorkflowWrite {
        namespace: text.into(),
        id: text.into(),
        name: text.to_owned(),
        document: text.to_owned(),
        digest: digest(3),
        spec: text.into(),
        at: Time(1),
        expected: None,
    };
    let put = store.put_workflow(write).await.unwrap().expect("stored");
    assert_eq!((&*put.id, &*put.name, &*put.document), (text, text, text));
    assert_eq!(store.workflow(text, text).await.unwrap(), Some(put));
    assert_eq!(store.workflow_versions(text, text).await.unwrap()[0].document, text);
}

pub async fn any_text_comes_back_unchanged(store: AnyStore) {
    round_trip(
        &store,
        "zwölf \u{1f980} \u{0} after NUL \u{202e}\r\n\t\u{feff}\u{10ffff}",
    )
    .await;
}

pub async fn text_that_looks_like_sql_is_only_text(store: AnyStore) {
    round_trip(&store, "'; DROP TABLE runs; -- \" ?1 %s _ % \\ :id @x $y").await;
}

pub async fn two_mebibytes_come_back_unchanged(store: AnyStore) {
    let large: String = ('a'..='z').cycle().take(2 << 20).collect();
    let mut write = start(1);
    write.events.clone_from(&large);
    let unit = Unit {
        idempotency: Some(key("k", &large)),
        plans: vec![PlanWrite {
            digest: digest(3),
            spec: large.as_str().into(),
        }],
        runs: vec![write],
        ..message("hooks", "k", &large)
    };
    assert_eq!(commit(&store, unit).await, UnitResult::Applied);
    let history = store.commits(DEFAULT, id(1), 0, 1).await.unwrap();
    assert!(history[0].events == large, "the events changed");
    assert!(
        store.plan(digest(3)).await.unwrap() == Some(large.clone()),
        "the plan changed"
    );
    let record = store.idempotency(DEFAULT, "start", "k", Time(0)).await.unwrap();
    assert!(
        record.is_some_and(|record| record.answer == large),
        "the answer changed"
    );
    assert!(messages(&store, 10).await == [large], "the message changed");
}

pub async fn the_smallest_and_largest_numbers_come_back_unchanged(store: AnyStore) {
    for (bits, number) in [(0, i64::MIN), (u128::MAX, i64::MAX), (1 << 127, -1)] {
        let write = start(1).with(|row| {
            row.id = RunId::from_bits(bits);
            row.plan = Digest([0; 32]);
            row.priority = if number < 0 { i32::MIN } else { i32::MAX };
            row.claims = u32::MAX;
            row.workflow_version = u32::MAX;
            row.wake_at = Some(Time(number));
            row.created_at = Time(number);
            row.updated_at = Time(number);
        });
        let write = write.put(u32::MAX, "a");
        let meta = Meta {
            at: Time(number),
            owner: number.cast_unsigned(),
        };
        let results = store
            .commit(Commit {
                meta,
                units: vec![unit([write.clone()])],
            })
            .await
            .unwrap();
        assert_eq!(results, [UnitResult::Applied]);
        let run = store
            .load(DEFAULT, write.row.id)
            .await
            .unwrap()
            .expect("the run is there");
        assert_eq!((run.row, run.commits[0].meta), (write.row, meta));
    }
    let ids = |rows: Vec<u128>| rows.into_iter().map(RunId::from_bits).collect::<Vec<_>>();
    let listed = store.runs(DEFAULT, &RunFilter::default(), None, 10).await.unwrap().rows;
    assert_eq!(
        listed.iter().map(|row| row.id).collect::<Vec<_>>(),
        ids(vec![u128::MAX, 1 << 127, 0])
    );
    let queued = store
        .queued(&asks(&["a"]), &Turns::default(), claim(0), 10)
        .await
        .unwrap();
    assert_eq!(
        queued.iter().map(|entry| entry.run).collect::<Vec<_>>(),
        ids(vec![u128::MAX, 0, 1 << 127])
    );
    let due = store.due(claim(i64::MAX), 10).await.unwrap();
    assert_eq!(
        due.iter().map(|run| run.id).collect::<Vec<_>>(),
        ids(vec![0, 1 << 127, u128::MAX])
    );
}
