//! What fires when, and once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quintet_core::time::Time;
use quintet_engine::tasks;
use quintet_store::RecordWrite;

use super::super::model::KIND;
use super::super::{Missed, Outcome};
use super::{HOUR_MS, Rig, Starts, at, namespace};
use crate::error_code::ErrorCode;

#[tokio::test]
async fn a_time_fires_when_it_has_come_and_the_next_one_after_it() {
    let rig = Rig::new("2026-01-01T09:30:00Z");
    let created = rig.add("a", "0 * * * *", "UTC").await;
    assert_eq!(created.state.next_at, Some(at("2026-01-01T10:00:00Z")));
    let early = rig.tick_at(at("2026-01-01T09:59:59.999999Z")).await;
    assert_eq!((early.fired, early.next_at), (0, created.state.next_at));
    let due = rig.tick_at(at("2026-01-01T10:00:00Z")).await;
    assert_eq!((due.fired, due.next_at), (1, Some(at("2026-01-01T11:00:00Z"))));
    assert_eq!(rig.tick_at(at("2026-01-01T10:00:00Z")).await.fired, 0);
    assert_eq!(rig.starts.keys(), ["a@2026-01-01T10:00:00Z"]);
    let schedule = rig.get("a").await;
    let last = schedule.state.last.expect("last");
    assert_eq!(
        (last.nominal, last.outcome),
        (at("2026-01-01T10:00:00Z"), Outcome::Started)
    );
    assert_eq!((schedule.state.last_run, schedule.state.counts.fired), (last.run_id, 1));
}

#[tokio::test]
async fn each_nominal_time_fires_once_over_changes_of_the_clock_in_both_directions() {
    // In April, Lord Howe's clock shows 02:00 only once although it goes back from there: one full hour less.
    for (zone, from, hours, nights) in [
        (
            "Europe/Berlin",
            "2026-03-27T12:00:00Z",
            96,
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:15:00+02:00"],
        ),
        (
            "Europe/Berlin",
            "2026-10-23T12:00:00Z",
            96,
            ["2026-10-25T02:15:00+02:00", "2026-10-26T02:15:00+01:00"],
        ),
        (
            "America/New_York",
            "2026-03-06T12:00:00Z",
            96,
            ["2026-03-08T03:00:00-04:00", "2026-03-09T02:15:00-04:00"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-02T12:00:00Z",
            96,
            ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-03T12:00:00Z",
            95,
            ["2026-04-05T02:15:00+10:30", "2026-04-06T02:15:00+10:30"],
        ),
    ] {
        let rig = Rig::new(from);
        rig.add("night", "15 2 * * *", zone).await;
        rig.add("hourly", "0 * * * *", zone).await;
        let mut fired = 0;
        for step in 1..=(4 * 24 * 12) {
            fired += rig.tick_at(at(from).plus_ms(step * 300_000)).await.fired;
        }
        let keys = rig.starts.keys();
        let of = |id: &str| keys.iter().filter(|key| key.starts_with(id)).count();
        // A day more than there are nights in between, and each hour that passed.
        assert_eq!((of("night@"), of("hourly@")), (4, hours), "{zone} {from}");
        assert_eq!(fired, 4 + hours as u64, "{zone} {from}");
        for night in nights {
            let key = format!(
                "night@{}",
                jiff::Timestamp::from_microsecond(at(night).0).expect("time")
            );
            assert!(keys.contains(&key), "{key}: {keys:?}");
        }
    }
}

#[tokio::test]
async fn missed_hours_are_made_up_for_as_each_schedule_says() {
    let rig = Rig::new("2026-01-01T09:30:00Z");
    for (id, rule) in [("skip", Missed::Skip), ("latest", Missed::Latest), ("all", Missed::All)] {
        rig.add_as(id, "0 * * * *", "UTC", rule).await;
    }
    // Nobody looked from half past nine to half past one.
    let report = rig.tick_at(at("2026-01-01T13:30:00Z")).await;
    assert_eq!((report.fired, report.missed), (5, 7));
    assert_eq!(report.next_at, Some(at("2026-01-01T14:00:00Z")));
    let keys = rig.starts.keys();
    let of = |id: &str| {
        let own = keys
            .iter()
            .filter_map(|key| key.strip_prefix(id)?.strip_prefix("@2026-01-01T"));
        own.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("skip"), Vec::<String>::new());
    assert_eq!(of("latest"), ["13:00:00Z"]);
    assert_eq!(of("all"), ["10:00:00Z", "11:00:00Z", "12:00:00Z", "13:00:00Z"]);
    for (id, missed) in [("skip", 4), ("latest", 3), ("all", 0)] {
        assert_eq!(rig.get(id).await.state.counts.missed, missed, "{id}");
    }
    assert_eq!(rig.tick_at(at("2026-01-01T14:00:05Z")).await.fired, 3);
}

#[tokio::test]
async fn a_keeper_that_dies_between_starting_and_noting_starts_nothing_twice() {
    let rig = Rig::with("2026-01-01T09:30:00Z", Starts::gated());
    rig.add("a", "0 * * * *", "UTC").await;
    rig.clock.0.store(at("2026-01-01T10:00:00Z").0, Ordering::SeqCst);
    tokio::select! {
        ticked = rig.schedules.tick() => panic!("it was to die: {ticked:?}"),
        () = rig.starts.has_started() => {}
    }
    assert_eq!(rig.get("a").await.state.counts.fired, 0, "it died too late");
    let next = rig.beside();
    next.starts.answer();
    let report = next.schedules.tick().await.expect("tick");
    assert_eq!(report.fired, 1);
    assert_eq!(rig.starts.keys(), ["a@2026-01-01T10:00:00Z"]);
    assert_eq!(rig.starts.asked.load(Ordering::SeqCst), 2);
    assert_eq!(next.get("a").await.state.next_at, Some(at("2026-01-01T11:00:00Z")));
}

#[tokio::test]
async fn what_cannot_be_started_holds_nobody_up() {
    let rig = Rig::new("2026-01-01T09:30:00Z");
    for id in ["gone", "busy", "well"] {
        rig.add(id, "0 * * * *", "UTC").await;
    }
    rig.starts.refuse("gone", Some(ErrorCode::WorkflowNotFound));
    rig.starts.refuse("busy", Some(ErrorCode::Overloaded));
    let report = rig.tick_at(at("2026-01-01T10:00:00Z")).await;
    assert_eq!((report.fired, report.failed, report.retried), (1, 1, 1));
    let gone = rig.get("gone").await.state;
    let last = gone.last.expect("last");
    assert_eq!(
        (last.outcome, last.error.as_deref()),
        (Outcome::Failed, Some("refused"))
    );
    assert_eq!(gone.next_at, Some(at("2026-01-01T11:00:00Z")));
    // The other one is tried again, for the same time.
    let busy = rig.get("busy").await.state;
    assert_eq!(busy.next_at, Some(at("2026-01-01T10:00:00Z")));
    assert_eq!(report.next_at, busy.retry.map(|retry| retry.at));
    assert_eq!(rig.tick_at(at("2026-01-01T10:00:00.9Z")).await.retried, 0);
    assert_eq!(rig.tick_at(at("2026-01-01T10:00:01Z")).await.retried, 1);
    rig.starts.refuse("busy", None);
    assert_eq!(rig.tick_at(at("2026-01-01T10:00:03Z")).await.fired, 1);
    assert_eq!(
        rig.starts.keys(),
        ["well@2026-01-01T10:00:00Z", "busy@2026-01-01T10:00:00Z"]
    );
    let busy = rig.get("busy").await.state;
    assert_eq!((busy.next_at, busy.retry), (Some(at("2026-01-01T11:00:00Z")), None));
}

#[tokio::test]
async fn a_start_that_panics_fails_alone() {
    let rig = Rig::new("2026-01-01T09:30:00Z");
    for id in ["bad", "well"] {
        rig.add(id, "0 * * * *", "UTC").await;
    }
    let report = rig.tick_at(at("2026-01-01T10:00:00Z")).await;
    assert_eq!((report.fired, report.failed), (1, 1));
    assert_eq!(report.next_at, Some(at("2026-01-01T11:00:00Z")));
}

#[tokio::test]
async fn a_start_that_stays_refused_gives_way_as_its_schedule_says() {
    let rig = Rig::new("2026-01-01T09:30:00Z");
    for (id, rule) in [("skip", Missed::Skip), ("latest", Missed::Latest)] {
        rig.add_as(id, "0 * * * *", "UTC", rule).await;
        rig.starts.refuse(id, Some(ErrorCode::StoreUnavailable));
    }
    for seconds in 0..(2 * 3600) {
        rig.tick_at(at("2026-01-01T10:00:00Z").plus_ms(seconds * 1000)).await;
    }
    assert!(rig.starts.keys().is_empty());
    rig.starts.refuse("skip", None);
    rig.starts.refuse("latest", None);
    rig.tick_at(at("2026-01-01T12:02:00Z")).await;
    assert_eq!(rig.starts.keys(), ["latest@2026-01-01T12:00:00Z"]);
    assert_eq!(rig.get("skip").await.state.counts.missed, 3);
    assert_eq!(rig.get("latest").await.state.counts.missed, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_three_keepers_that_look_at_once_each_time_is_started_and_noted_by_one() {
    const SCHEDULES: usize = 60;
    const HOURS: u64 = 30;
    let rig = Rig::new("2026-01-01T00:30:00Z");
    for number in 0..SCHEDULES {
        rig.add(&format!("s{number}"), "0 * * * *", "UTC").await;
    }
    let keepers = [rig.beside(), rig.beside(), rig.beside()];
    let fired = Arc::new(AtomicU64::new(0));
    for hour in 1..=HOURS {
        let now = at("2026-01-01T00:00:00Z").plus_ms(hour * HOUR_MS);
        rig.clock.0.store(now.0, Ordering::SeqCst);
        let ticks = keepers.iter().map(|keeper| {
            let (schedules, fired) = (Arc::clone(&keeper.schedules), Arc::clone(&fired));
            tasks::spawn("keeper", async move {
                let report = schedules.tick().await.expect("tick");
                fired.fetch_add(report.fired, Ordering::SeqCst);
            })
        });
        for tick in ticks.collect::<Vec<_>>() {
            tick.await.expect("joined");
        }
    }
    let all = SCHEDULES as u64 * HOURS;
    assert_eq!(
        (fired.load(Ordering::SeqCst), rig.starts.keys().len() as u64),
        (all, all)
    );
    for number in 0..SCHEDULES {
        assert_eq!(rig.get(&format!("s{number}")).await.state.counts.fired, HOURS);
    }
}

#[tokio::test]
async fn ten_thousand_schedules_of_one_minute_fire_once_each() {
    const MANY: usize = 10_000;
    let rig = Rig::new("2026-01-01T00:00:30Z");
    for number in 0..MANY {
        rig.add(&format!("s{number}"), "* * * * *", "UTC").await;
    }
    for minute in 1..=2_u64 {
        let report = rig.tick_at(at("2026-01-01T00:00:00Z").plus_ms(minute * 60_000)).await;
        assert_eq!(report.fired, MANY as u64);
    }
    assert_eq!(rig.starts.keys().len(), 2 * MANY);
    assert_eq!(rig.tick_at(at("2026-01-01T00:02:30Z")).await.fired, 0);
}

#[tokio::test]
async fn a_clock_that_goes_back_fires_nothing_again() {
    let rig = Rig::new("2026-01-01T09:30:00Z");
    rig.add("a", "0 * * * *", "UTC").await;
    assert_eq!(rig.tick_at(at("2026-01-01T10:00:00Z")).await.fired, 1);
    assert_eq!(rig.tick_at(at("2026-01-01T09:59:00Z")).await.fired, 0);
    assert_eq!(rig.tick_at(at("2026-01-01T10:00:01Z")).await.fired, 0);
    // Also where the schedule is put on those times again.
    rig.clock.0.store(at("2026-01-01T09:59:00Z").0, Ordering::SeqCst);
    rig.schedules.pause(&namespace(), "a").await.expect("paused");
    rig.schedules.resume(&namespace(), "a").await.expect("resumed");
    rig.tick_at(at("2026-01-01T10:00:00Z")).await;
    assert_eq!(rig.starts.keys().len(), 1);
    assert_eq!(rig.get("a").await.state.next_at, Some(at("2026-01-01T11:00:00Z")));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_set_aside() {
    let rig = Rig::new("2026-01-01T09:30:00Z");
    rig.add("well", "0 * * * *", "UTC").await;
    let damaged = RecordWrite {
        namespace: namespace(),
        kind: KIND.into(),
        id: "damaged".into(),
        expected: Some(0),
        body: Some("{".to_owned()),
        expires_at: Some(Time(0)),
        at: Time(0),
    };
    assert!(rig.store.put_records(vec![damaged]).await.expect("stored"));
    let report = rig.tick_at(at("2026-01-01T10:00:00Z")).await;
    assert_eq!((report.fired, report.next_at), (1, Some(at("2026-01-01T11:00:00Z"))));
}
