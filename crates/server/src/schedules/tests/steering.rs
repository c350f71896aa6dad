//! What people do to schedules, also while they fire.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use quintet_engine::clock::Clock;
use quintet_store::MemoryStore;
use serde_json::json;

use super::super::{Launch, Missed, Report, ScheduleError, Schedules, Spec, Target};
use super::{Hands, Rig, Starts, at, draft, namespace};

#[tokio::test]
async fn a_paused_schedule_fires_nothing_and_makes_up_for_nothing() {
    let rig = Rig::new("2026-01-01T09:30:00Z");
    rig.add_as("a", "0 * * * *", "UTC", Missed::All).await;
    let paused = rig.schedules.pause(&namespace(), "a").await.expect("paused");
    assert_eq!((paused.state.paused, paused.state.next_at), (true, None));
    assert_eq!(rig.tick_at(at("2026-01-01T12:30:00Z")).await, Report::default());
    let resumed = rig.schedules.resume(&namespace(), "a").await.expect("resumed");
    assert_eq!(resumed.state.next_at, Some(at("2026-01-01T13:00:00Z")));
    assert_eq!(rig.tick_at(at("2026-01-01T13:00:00Z")).await.fired, 1);
    // Resuming what is not paused is nothing.
    let again = rig.schedules.resume(&namespace(), "a").await.expect("resumed");
    assert_eq!(again.state.next_at, Some(at("2026-01-01T14:00:00Z")));
}

#[tokio::test]
async fn what_is_deleted_while_it_fires_is_gone() {
    let rig = Rig::with("2026-01-01T09:30:00Z", Starts::gated());
    rig.add("a", "0 * * * *", "UTC").await;
    rig.clock.0.store(at("2026-01-01T10:00:00Z").0, Ordering::SeqCst);
    let meanwhile = async {
        rig.starts.has_started().await;
        rig.schedules.delete(&namespace(), "a").await.expect("deleted");
        rig.starts.answer();
    };
    let (ticked, ()) = tokio::join!(rig.schedules.tick(), meanwhile);
    assert_eq!(ticked.expect("tick"), Report::default());
    let gone = rig.schedules.get("default", "a").await;
    assert!(matches!(gone, Err(ScheduleError::NotFound)));
    assert_eq!(rig.tick_at(at("2026-01-01T12:00:00Z")).await.fired, 0);
    assert_eq!(rig.starts.keys().len(), 1);
}

#[tokio::test]
async fn what_is_paused_while_it_fires_stays_paused_and_knows_its_run() {
    let rig = Rig::with("2026-01-01T09:30:00Z", Starts::gated());
    rig.add("a", "0 * * * *", "UTC").await;
    rig.clock.0.store(at("2026-01-01T10:00:00Z").0, Ordering::SeqCst);
    let meanwhile = async {
        rig.starts.has_started().await;
        rig.schedules.pause(&namespace(), "a").await.expect("paused");
        rig.starts.answer();
    };
    let (ticked, ()) = tokio::join!(rig.schedules.tick(), meanwhile);
    assert_eq!(ticked.expect("tick").fired, 1);
    let state = rig.get("a").await.state;
    assert_eq!((state.paused, state.next_at, state.counts.fired), (true, None, 1));
    assert!(state.last_run.is_some());
    assert_eq!(rig.tick_at(at("2026-01-01T12:00:00Z")).await.fired, 0);
}

#[tokio::test]
async fn another_expression_counts_from_now_on_and_another_name_changes_no_time() {
    let rig = Rig::new("2026-01-01T09:30:00Z");
    let before = rig.add("a", "0 * * * *", "UTC").await;
    let change = |change: fn(&mut Spec)| {
        let schedules = Arc::clone(&rig.schedules);
        async move {
            let namespace = namespace();
            let changed = schedules.change(&namespace, "a", |spec| {
                change(spec);
                Ok(())
            });
            changed.await
        }
    };
    let named = change(|spec| spec.name = "other".to_owned()).await.expect("changed");
    assert_eq!((named.state.next_at, named.version), (before.state.next_at, 2));
    let moved = change(|spec| spec.timezone = "asia/kolkata".to_owned())
        .await
        .expect("changed");
    assert_eq!(moved.state.next_at, Some(at("2026-01-01T10:30:00Z")));
    assert_eq!(moved.spec.timezone, "Asia/Kolkata");
    let refused = change(|spec| spec.cron = "0 0 31 2 *".to_owned()).await;
    assert!(
        matches!(refused, Err(ScheduleError::Invalid { field: "cron", .. })),
        "{refused:?}"
    );
    let refused = change(|spec| spec.timezone = "Mars/Base".to_owned()).await;
    assert!(
        matches!(refused, Err(ScheduleError::Invalid { field: "timezone", .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_id_is_taken_once_and_a_namespace_is_not_filled_without_end() {
    let clock = Arc::new(Hands(AtomicI64::new(0)));
    let mut schedules = Schedules::new(Arc::new(MemoryStore::new()), clock as Arc<dyn Clock>);
    schedules.quota.most = 2;
    schedules.serve_workflows(Arc::new(Starts::default()));
    let schedules = Arc::new(schedules);
    let create = |id: &'static str| {
        let schedules = Arc::clone(&schedules);
        async move {
            let draft = draft(id, "@daily", "UTC", Missed::Latest);
            schedules.create(&namespace(), draft).await
        }
    };
    create("a").await.expect("created");
    assert!(matches!(create("a").await, Err(ScheduleError::Exists(id)) if id == "a"));
    create("b").await.expect("created");
    assert!(matches!(create("c").await, Err(ScheduleError::TooMany(2))));
    schedules.delete(&namespace(), "a").await.expect("deleted");
    create("c").await.expect("there is room again");
    for id in ["", "a b", "ä", &"x".repeat(129)] {
        let refused = schedules
            .create(&"other".into(), draft(id, "@daily", "UTC", Missed::Skip))
            .await;
        assert!(
            matches!(refused, Err(ScheduleError::Invalid { field: "id", .. })),
            "{id}"
        );
    }
}

#[tokio::test]
async fn triggering_starts_beside_the_times_and_leaves_them_alone() {
    let rig = Rig::new("2026-01-01T09:30:00Z");
    let before = rig.add("a", "0 * * * *", "UTC").await;
    rig.schedules.pause(&namespace(), "a").await.expect("paused");
    let launched = rig.schedules.trigger(&namespace(), "a", None).await.expect("triggered");
    assert!(launched.is_new);
    let state = rig.get("a").await.state;
    assert_eq!(
        (state.last_run, state.counts.triggered, state.counts.fired),
        (Some(launched.run), 1, 0)
    );
    assert!(state.paused && state.last.is_none());
    rig.schedules.resume(&namespace(), "a").await.expect("resumed");
    assert_eq!(rig.get("a").await.state.next_at, before.state.next_at);
}

#[tokio::test]
async fn a_task_that_is_added_twice_is_one_schedule_and_stays_paused() {
    let rig = Rig::new("2026-01-01T09:30:00Z");
    rig.schedules.serve_tasks(Arc::clone(&rig.starts) as Arc<dyn Launch>);
    let put = |effect: &'static str| {
        let document = json!({ "type": "report", "payload": {}, "cron": "0 * * * *", "webhookUrl": effect });
        let schedules = Arc::clone(&rig.schedules);
        async move {
            schedules
                .put_task(&namespace(), &document, "0 * * * *", None)
                .await
                .expect("put")
        }
    };
    let first = put("http://one").await;
    rig.schedules.pause(&namespace(), &first.id).await.expect("paused");
    let second = put("http://two").await;
    assert_eq!((&first.id, second.state.paused), (&second.id, true));
    assert!(matches!(&second.spec.target, Target::Task { document } if document["webhookUrl"] == "http://two"));
    assert_eq!(rig.schedules.list("default", None, 10).await.expect("list").len(), 1);
}
