//! Keepers in virtual time: what fires when, once, whatever happens in between.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use quintet_core::id::RunId;
use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_engine::{Idempotency, tasks};
use quintet_store::{MemoryStore, RecordWrite, Store};
use serde_json::json;
use tokio::sync::Semaphore;

use super::model::KIND;
use super::{
    Draft, Fire, Launch, LaunchError, Launched, Missed, Outcome, Overlap, Report, Schedule, ScheduleError, Schedules,
    Spec, Target,
};
use crate::error_code::ErrorCode;

const HOUR_MS: u64 = 3_600_000;

fn at(text: &str) -> Time {
    Time::parse_rfc3339(text).expect(text)
}

fn namespace() -> Arc<str> {
    "default".into()
}

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

/// Starts nothing, but remembers what it was asked to start, and gives the same run for the same key.
#[derive(Default)]
struct Starts {
    by_key: Mutex<HashMap<String, RunId>>,
    order: Mutex<Vec<String>>,
    asked: AtomicU64,
    /// Workflows that cannot be started, and why.
    refused: Mutex<HashMap<String, ErrorCode>>,
    /// Each start has happened when it takes one of these, and is answered when it gets one of the others.
    gate: Option<(Semaphore, Semaphore)>,
}

impl Starts {
    fn gated() -> Self {
        Self {
            gate: Some((Semaphore::new(0), Semaphore::new(0))),
            ..Self::default()
        }
    }

    /// Keys in the order of their starts.
    fn keys(&self) -> Vec<String> {
        self.order.lock().expect("order").clone()
    }

    async fn has_started(&self) {
        let (started, _) = self.gate.as_ref().expect("gated");
        started.acquire().await.expect("open").forget();
    }

    fn answer(&self) {
        self.gate.as_ref().expect("gated").1.add_permits(1);
    }

    fn refuse(&self, workflow: &str, code: Option<ErrorCode>) {
        let mut refused = self.refused.lock().expect("refused");
        match code {
            Some(code) => drop(refused.insert(workflow.to_owned(), code)),
            None => drop(refused.remove(workflow)),
        }
    }
}

#[async_trait]
impl Launch for Starts {
    async fn check(&self, _: &Arc<str>, _: &Target) -> Result<(), LaunchError> {
        Ok(())
    }

    async fn launch(
        &self,
        _: &Arc<str>,
        target: &Target,
        fire: &Fire,
        key: Option<Idempotency>,
    ) -> Result<Launched, LaunchError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        if let Target::Workflow { workflow_id, .. } = target
            && let Some(code) = self.refused.lock().expect("refused").get(workflow_id)
        {
            return Err(LaunchError::new(*code, "refused"));
        }
        let key = key.map_or_else(|| format!("{}#{asked}", fire.schedule), |key| key.key);
        let mut is_new = false;
        let run = *self.by_key.lock().expect("keys").entry(key.clone()).or_insert_with(|| {
            is_new = true;
            RunId::from_bits(u128::from(asked) + 1)
        });
        if is_new {
            self.order.lock().expect("order").push(key);
        }
        if let Some((started, answer)) = &self.gate {
            started.add_permits(1);
            answer.acquire().await.expect("open").forget();
        }
        Ok(Launched { run, is_new })
    }
}

/// A keeper in a world of its own, or beside another one.
struct Rig {
    clock: Arc<Hands>,
    store: Arc<dyn Store>,
    starts: Arc<Starts>,
    schedules: Arc<Schedules>,
}

impl Rig {
    fn new(now: &str) -> Self {
        Self::with(now, Starts::default())
    }

    fn with(now: &str, starts: Starts) -> Self {
        let clock = Arc::new(Hands(AtomicI64::new(at(now).0)));
        Self::on(Arc::new(MemoryStore::new()), clock, Arc::new(starts))
    }

    fn on(store: Arc<dyn Store>, clock: Arc<Hands>, starts: Arc<Starts>) -> Self {
        let schedules = Schedules::new(Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Clock>);
        schedules.serve_workflows(Arc::clone(&starts) as Arc<dyn Launch>);
        Self {
            clock,
            store,
            starts,
            schedules: Arc::new(schedules),
        }
    }

    fn beside(&self) -> Self {
        Self::on(
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            Arc::clone(&self.starts),
        )
    }

    async fn add(&self, id: &str, cron: &str, zone: &str) -> Schedule {
        self.add_as(id, cron, zone, Missed::Latest).await
    }

    async fn add_as(&self, id: &str, cron: &str, zone: &str, missed: Missed) -> Schedule {
        let draft = draft(id, cron, zone, missed);
        self.schedules.create(&namespace(), draft).await.expect("created")
    }

    async fn get(&self, id: &str) -> Schedule {
        self.schedules.get("default", id).await.expect("there")
    }

    /// Moves the clock and does what is due then.
    async fn tick_at(&self, now: Time) -> Report {
        self.clock.0.store(now.0, Ordering::SeqCst);
        self.schedules.tick().await.expect("tick")
    }
}

fn draft(id: &str, cron: &str, zone: &str, missed: Missed) -> Draft {
    Draft {
        id: Some(id.to_owned()),
        spec: Spec {
            name: id.to_owned(),
            cron: cron.to_owned(),
            timezone: zone.to_owned(),
            target: Target::Workflow {
                workflow_id: id.to_owned(),
                context: json!({}),
                priority: 0,
            },
            missed,
            overlap: Overlap::Allow,
            note: None,
        },
        paused: false,
    }
}

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
    schedules.most = 2;
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
