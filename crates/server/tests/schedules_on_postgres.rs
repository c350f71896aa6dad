//! Schedules on PostgreSQL: the tests of the API once more, and what only several nodes can get wrong.

#[path = "schedules.rs"]
mod api;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use api::common::{Server, until};
use async_trait::async_trait;
use quintet::app::{App, OpenOptions};
use quintet::config::Config;
use quintet::error_code::ErrorCode;
use quintet::schedules::{Draft, Fire, Launch, LaunchError, Launched, Missed, Overlap, Schedules, Spec, Target};
use quintet_core::cron::Cron;
use quintet_core::plan::{Plan, PlanSpec, StepSpec};
use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_engine::{Engine, Idempotency, StartRun, tasks};
use quintet_store::RunFilter;
use quintet_testkit::postgres;
use serde_json::json;
use tokio::sync::Semaphore;

const NAMESPACE: &str = "default";
const ZONE: &str = "Europe/Berlin";

/// Virtual time of all keepers.
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

/// Starts a run of one step; a node that is to die does not come back from it.
struct Starts {
    engine: Arc<Engine>,
    plan: Arc<Plan>,
    started: Semaphore,
    dies: bool,
}

#[async_trait]
impl Launch for Starts {
    async fn check(&self, _: &Arc<str>, _: &Target) -> Result<(), LaunchError> {
        Ok(())
    }

    async fn launch(
        &self,
        namespace: &Arc<str>,
        _: &Target,
        _: &Fire,
        key: Option<Idempotency>,
    ) -> Result<Launched, LaunchError> {
        let start = StartRun::of(namespace, Arc::clone(&self.plan));
        let started = self.engine.start_runs(vec![start], key, false).await?;
        self.started.add_permits(1);
        if self.dies {
            std::future::pending::<()>().await;
        }
        let run = started.runs.first().map(|run| run.id);
        Ok(Launched {
            run: run.ok_or_else(|| LaunchError::new(ErrorCode::Internal, "no run"))?,
            is_new: !started.replayed,
        })
    }
}

fn at(text: &str) -> Time {
    Time::parse_rfc3339(text).expect(text)
}

fn plan() -> Arc<Plan> {
    let step = StepSpec::new("a", "noop");
    Arc::new(
        Plan::compile(PlanSpec {
            steps: vec![step],
            ..PlanSpec::default()
        })
        .expect("a plan"),
    )
}

fn spec(id: &str, cron: &str) -> Draft {
    Draft {
        id: Some(id.to_owned()),
        spec: Spec {
            name: id.to_owned(),
            cron: cron.to_owned(),
            timezone: ZONE.to_owned(),
            target: Target::Workflow {
                workflow_id: "w".to_owned(),
                context: json!({}),
                priority: 0,
            },
            missed: Missed::Latest,
            overlap: Overlap::Allow,
            note: None,
        },
        paused: false,
    }
}

/// A server on the database, and a keeper of its own beside it whose time is virtual.
struct Node {
    app: Arc<App>,
    starts: Arc<Starts>,
    schedules: Arc<Schedules>,
}

impl Node {
    async fn open(url: &str, clock: &Arc<Hands>, dies: bool) -> Self {
        let config = Config::parse(&format!("store:\n  url: '{url}'\n")).expect("settings");
        let app = App::open(config, OpenOptions::default()).await.expect("open");
        let starts = Arc::new(Starts {
            engine: Arc::clone(&app.engine),
            plan: plan(),
            started: Semaphore::new(0),
            dies,
        });
        let schedules = Schedules::new(Arc::clone(app.engine.store()), Arc::clone(clock) as Arc<dyn Clock>);
        schedules.serve_workflows(Arc::clone(&starts) as Arc<dyn Launch>);
        Self {
            app,
            starts,
            schedules: Arc::new(schedules),
        }
    }
}

/// Every run of the namespace.
async fn runs(node: &Node) -> HashSet<quintet_core::id::RunId> {
    let (store, mut all, mut before) = (node.app.engine.store(), HashSet::new(), None);
    loop {
        let page = store
            .runs(NAMESPACE, &RunFilter::default(), before, 1000)
            .await
            .expect("runs");
        all.extend(page.rows.iter().map(|row| row.id));
        match page.next {
            Some(next) => before = Some(next),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_three_nodes_each_nominal_time_fires_once_over_a_change_of_the_clock_and_a_death() {
    const SCHEDULES: [(&str, &str); 4] = [
        ("night", "30 2 * * *"),
        ("hourly", "0 * * * *"),
        ("quarter", "*/15 * * * *"),
        ("office", "0 9 * * MON-FRI"),
    ];
    let database = postgres::shared()
        .expect("PostgreSQL")
        .fresh_database()
        .expect("database");
    // Later than any real time of this test: the keepers of the servers themselves find nothing due.
    let (from, end) = (at("2099-10-23T12:00:00Z"), at("2099-10-26T12:00:00Z"));
    let clock = Arc::new(Hands(AtomicI64::new(from.0)));
    let namespace: Arc<str> = NAMESPACE.into();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::open(&database.url(), &clock, false).await);
    }
    let dying = Node::open(&database.url(), &clock, true).await;
    for (id, cron) in SCHEDULES {
        nodes[0]
            .schedules
            .create(&namespace, spec(id, cron))
            .await
            .expect("created");
    }
    let fired = Arc::new(AtomicU64::new(0));
    let mut now = from;
    while now < end {
        now = now.plus_ms(900_000);
        clock.0.store(now.0, Ordering::SeqCst);
        if (now.0 - from.0) % 7_200_000_000 == 0 {
            // It starts something, and is gone before it can say so.
            tokio::select! {
                ticked = dying.schedules.tick() => assert_eq!(ticked.expect("tick").fired, 0),
                started = dying.starts.started.acquire() => started.expect("open").forget(),
            }
        }
        let ticks = nodes.iter().map(|node| {
            let (schedules, fired) = (Arc::clone(&node.schedules), Arc::clone(&fired));
            tasks::spawn("keeper", async move {
                let report = schedules.tick().await.expect("tick");
                fired.fetch_add(report.fired, Ordering::SeqCst);
            })
        });
        for tick in ticks.collect::<Vec<_>>() {
            tick.await.expect("joined");
        }
    }
    let (mut known, mut expected) = (BTreeSet::new(), 0);
    for (id, cron) in SCHEDULES {
        let cron = Cron::parse(cron, ZONE).expect("cron");
        let nominal: Vec<Time> = cron.upcoming(from).take_while(|time| *time <= end).collect();
        let schedule = nodes[1].schedules.get(NAMESPACE, id).await.expect("there");
        assert_eq!(schedule.state.counts.fired, nominal.len() as u64, "{id}");
        for time in &nominal {
            // The keys live by the time of the servers, which is the real one.
            let run = nodes[2]
                .app
                .schedules
                .run_of(NAMESPACE, id, *time)
                .await
                .expect("asked");
            known.insert(run.unwrap_or_else(|| panic!("{id} did not fire at {}", cron.local(*time))));
        }
        expected += nominal.len();
    }
    assert_eq!(fired.load(Ordering::SeqCst), expected as u64);
    assert_eq!(known.len(), expected);
    assert_eq!(runs(&nodes[0]).await.len(), expected, "runs that belong to no time");
    for node in nodes.iter().chain([&dying]) {
        node.app.shutdown().await;
    }
}

#[test]
fn three_servers_of_which_one_is_killed_fire_each_second_once() {
    let mut one = Server::start();
    let (two, three) = (one.beside(&[], &[]), one.beside(&[], &[]));
    let workflow = api::workflow(&two);
    api::create(
        &two,
        &json!({ "id": "s", "cron": "* * * * * *", "missed": "all", "target": { "workflow_id": workflow } }),
    );
    let fired = |server: &Server| api::schedule(server, "s")["counts"]["fired"].as_u64().expect("count");
    until("some seconds have fired", || (fired(&three) >= 3).then_some(()));
    one.kill();
    let before = fired(&three);
    until("more seconds have fired", || {
        (fired(&three) >= before + 4).then_some(())
    });
    assert_eq!(two.post("/v1/schedules/s/pause", "").status, 200);
    api::assert_each_second_fired_once(&three, "s");
    let told: f64 = [&two, &three]
        .map(|server| server.figure("quintet_schedules_fired_total"))
        .iter()
        .sum();
    assert!(told >= 4.0, "{told}");
}
