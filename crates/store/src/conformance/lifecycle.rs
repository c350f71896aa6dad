//! Figures, and the end.

use quintet_core::machine::RunStatus;
use quintet_core::time::Time;

use super::support::*;
use crate::commit::Commit;
use crate::error::StoreError;
use crate::query::{RunFilter, WorkflowWrite};

pub async fn the_status_counts_what_is_there(store: AnyStore) {
    let done = start(3);
    apply_all(&store, [start(1).put(0, "a").put(1, "b"), start(2), done.clone()]).await;
    apply(&store, done.finish(RunStatus::Complete, 20)).await;
    let _ = commit_at(&store, 10, vec![message("h", "k", "1"), message("h", "k", "2")]).await;
    let status = store.status().await.unwrap();
    assert_eq!(status.runs, [(RunStatus::StepsInProcess, 2), (RunStatus::Complete, 1)]);
    assert_eq!((status.queued, status.outbox, status.outbox_dead), (2, 2, 0));
    assert!(!status.kind.is_empty());
    assert!(status.durability.ends_with('.'), "{}", status.durability);
}

pub async fn the_status_follows_every_change(store: AnyStore) {
    assert!(store.status().await.unwrap().runs.is_empty());
    let runs: Vec<_> = (1..=4).map(start).collect();
    apply_all(&store, runs.clone()).await;
    assert_eq!(store.status().await.unwrap().runs, [(RunStatus::StepsInProcess, 4)]);
    let refused = unit([start(9), start(1)]);
    assert_ne!(commit(&store, refused).await, crate::commit::UnitResult::Applied);
    let [a, b, c, d] = [&runs[0], &runs[1], &runs[2], &runs[3]];
    let paused = d.next().with(|row| row.status = RunStatus::Paused);
    let ends = [
        a.finish(RunStatus::Error, 5),
        b.finish(RunStatus::Complete, 6),
        c.finish(RunStatus::Complete, 60),
    ];
    apply_all(&store, ends.into_iter().chain([paused])).await;
    let all = [(RunStatus::Paused, 1), (RunStatus::Complete, 2), (RunStatus::Error, 1)];
    assert_eq!(store.status().await.unwrap().runs, all);
    assert!(store.delete_run(DEFAULT, id(1)).await.unwrap());
    assert_eq!(store.prune(Time(50), Time(0), 10).await.unwrap(), 1);
    assert_eq!(
        store.status().await.unwrap().runs,
        [(RunStatus::Paused, 1), (RunStatus::Complete, 1)]
    );
}

pub async fn a_closed_store_refuses_everything(store: AnyStore) {
    apply(&store, start(1)).await;
    store.close().await.unwrap();
    macro_rules! refused {
        ($($call:expr,)*) => {
            $(assert!(matches!($call.await.err(), Some(StoreError::Refused(_))), "{}", stringify!($call));)*
        };
    }
    let workflow = WorkflowWrite {
        namespace: DEFAULT.into(),
        id: "w".into(),
        name: String::new(),
        document: String::new(),
        digest: digest(1),
        spec: "".into(),
        at: Time(0),
        expected: None,
    };
    refused! {
        store.commit(Commit { meta: meta(10), units: vec![unit([start(2)])] }),
        store.load(DEFAULT, id(1)),
        store.run(DEFAULT, id(1)),
        store.commits(DEFAULT, id(1), 0, 10),
        store.runs(DEFAULT, &RunFilter::default(), None, 10),
        store.live_runs(),
        store.namespace_usage(DEFAULT),
        store.delete_run(DEFAULT, id(1)),
        store.due(claim(0), 10),
        store.next_wake(),
        store.reschedule(&[(id(1), 1, None)]),
        store.claimed(&[], None, 10),
        store.queued(&asks(&["a"]), &Turns::default(), claim(0), 10),
        store.plan(digest(1)),
        store.idempotency(DEFAULT, "start", "k", Time(0)),
        store.put_workflow(workflow),
        store.workflow(DEFAULT, "w"),
        store.workflows(DEFAULT, None, 10),
        store.workflow_versions(DEFAULT, "w"),
        store.delete_workflow(DEFAULT, "w"),
        store.outbox_due(claim(0), OutboxAsk::up_to(10)),
        store.outbox_next(),
        store.outbox_delivered(&[1]),
        store.outbox_failed(1, "refused", None),
        store.prune(Time(0), Time(0), 10),
        store.status(),
        store.backup(std::path::Path::new("never-written")),
    }
}

pub async fn closing_again_is_fine(store: AnyStore) {
    store.close().await.unwrap();
    store.close().await.unwrap();
}
