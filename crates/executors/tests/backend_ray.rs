//! Ray for real: a Serve app behind its HTTP ingress, and jobs through the Jobs API.

mod support;

use std::sync::Arc;
use std::time::Duration;

use quintet_core::outcome::{Failure, Outcome, Work};
use quintet_engine::clock::{Clock, SystemClock};
use quintet_engine::executor::Executor;
use quintet_executors::backend::{Backends, Desk, Gpu, Order, Remote, Resources, Rules, Usual, usual};
use quintet_executors::egress::{Client, Guard, Policy};
use quintet_testkit::patience;
use quintet_testkit::ray::{self, Cluster};
use serde_json::{Value, json};
use support::work;

/// How long Ray may take to start a process.
const PATIENCE: Duration = Duration::from_secs(120);

/// Orders what the step's input says.
struct AsWritten;

impl Desk for AsWritten {
    fn order(&self, work: &Work) -> Result<Order, Failure> {
        let wants_gpu = work.input["gpu"].as_bool().unwrap_or_default();
        Ok(Order {
            task_type: work.input["type"].as_str().unwrap_or_default().to_owned(),
            payload: work.input["payload"].clone(),
            backend: work.input["backend"].as_str().map(str::to_owned),
            resources: Resources {
                gpu: if wants_gpu { Gpu::Any } else { Gpu::None },
                ..Resources::default()
            },
            timeout: None,
        })
    }
}

fn open(cluster: &Cluster) -> (Arc<Backends>, Remote) {
    let places = Usual {
        ray_url: Some(format!("{}/", cluster.ingress_url)),
        ray_dashboard_url: Some(cluster.dashboard_url.clone()),
        ..Usual::default()
    };
    let rules = Rules {
        job_poll_min_ms: 100,
        ..Rules::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let client = Client::new(Guard::new(Policy::default()));
    let backends = Arc::new(Backends::new(&usual(&places), &rules, &client, &clock).expect("backends"));
    let remote = Remote::new(Arc::clone(&backends), Arc::new(AsWritten));
    (backends, remote)
}

async fn succeed(remote: &Remote, work: Work) -> Value {
    match remote.execute(work).await {
        Outcome::Succeeded(success) => (*success.output).clone(),
        Outcome::Failed(failure) => panic!("failed: {failure:?}"),
    }
}

async fn fail(remote: &Remote, work: Work) -> Failure {
    match remote.execute(work).await {
        Outcome::Failed(failure) => failure,
        Outcome::Succeeded(success) => panic!("succeeded: {success:?}"),
    }
}

fn task(task_type: &str, payload: Value) -> Work {
    work("backend", json!({ "type": task_type, "payload": payload }))
}

/// An attempt that submits a job. The cluster may be shared, so each run of these tests has jobs of its own.
fn job(step: &str, entrypoint: &str) -> Work {
    let input = json!({ "type": "job", "backend": "ray-jobs", "payload": { "entrypoint": entrypoint } });
    Work {
        step: format!("{step}-{}", std::process::id()),
        ..work("backend", input)
    }
}

// One test: a cluster takes a while to start, and where each test has a process of its own it would be started for each.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_and_jobs_are_done_by_a_real_cluster() {
    let cluster = ray::shared().expect("Ray");
    let (backends, remote) = open(&cluster);
    tasks_are_called(&backends, &remote).await;
    a_job_is_followed_and_found_again(&backends, &remote).await;
    a_job_that_fails_tells_why(&remote).await;
    a_job_is_stopped_when_it_is_called_off(&cluster, remote).await;
}

async fn tasks_are_called(backends: &Backends, remote: &Remote) {
    let upper = succeed(remote, task("text.upper", json!({ "text": "hello" }))).await;
    assert_eq!(upper, json!({ "text": "HELLO" }));
    let sum = succeed(remote, task("math.sum", json!({ "numbers": [1, 2, 3.5] }))).await;
    assert_eq!(sum, json!({ "sum": 6.5 }));
    let unknown = fail(remote, task("none", json!({}))).await;
    assert_eq!(
        (unknown.message.as_str(), unknown.kind.as_deref()),
        ("Unknown task: none", Some("task_failed"))
    );
    assert_eq!(backends.types().await, ["math.sum", "text.upper"]);

    // The dashboard says what there is: no graphics processor.
    let mut wanting = task("text.upper", json!({ "text": "x" }));
    wanting.input["gpu"] = json!(true);
    let failure = fail(remote, wanting).await;
    assert_eq!(failure.message, "No healthy backend available: none has a GPU");
}

async fn a_job_is_followed_and_found_again(backends: &Backends, remote: &Remote) {
    let first = job("count", "echo one; echo two");
    let done = succeed(remote, first.clone()).await;
    assert_eq!(done["status"], "SUCCEEDED");
    assert!(
        done["logs"].as_str().is_some_and(|logs| logs.contains("one\ntwo")),
        "{done}"
    );
    let id = done["submission_id"].as_str().expect("an id");
    assert_eq!(backends.logs("ray-jobs", id).await.expect("logs"), done["logs"]);

    // The same attempt, made again by another node under another token.
    let mut again = first;
    again.token.attempt += 1;
    assert_eq!(succeed(remote, again).await["submission_id"], id);
}

async fn a_job_that_fails_tells_why(remote: &Remote) {
    let failure = fail(remote, job("broken", "echo before; exit 3")).await;
    assert!(failure.message.starts_with("Ray job FAILED: "), "{failure:?}");
    assert!(failure.message.contains("exit code 3"), "{failure:?}");
    let logs = &failure.detail.as_ref().expect("detail")["logs"];
    assert!(logs.as_str().is_some_and(|logs| logs.contains("before")), "{failure:?}");
}

async fn a_job_is_stopped_when_it_is_called_off(cluster: &Cluster, remote: Remote) {
    let remote = Arc::new(remote);
    let work = job("endless", "echo begun; sleep 1000");
    let id = {
        let attempt = remote.execute(work.clone());
        tokio::pin!(attempt);
        let cluster = cluster.clone();
        tokio::select! {
            outcome = &mut attempt => panic!("{outcome:?}"),
            id = tokio::task::spawn_blocking(move || running_job(&cluster)) => id.expect("a look"),
        }
    };
    assert_eq!(cluster.job_status(&id).expect("a status").as_deref(), Some("RUNNING"));
    remote.called_off(work).await;
    let cluster = cluster.clone();
    let is_stopped = move || {
        let status = || cluster.job_status(&id).expect("a status");
        patience::until(PATIENCE, || status().as_deref() == Some("STOPPED"))
    };
    assert!(tokio::task::spawn_blocking(is_stopped).await.expect("a look"));
}

/// Waits for the one job that runs: those of earlier steps have ended. The app is a job too, but was not submitted.
fn running_job(cluster: &Cluster) -> String {
    let mut id = None;
    let is_there = || {
        let mut jobs = cluster.jobs().expect("jobs").into_iter();
        let job = jobs.find(|job| job["status"] == "RUNNING" && job["submission_id"].is_string());
        id = job.and_then(|job| job["submission_id"].as_str().map(str::to_owned));
        id.is_some()
    };
    assert!(patience::until(PATIENCE, is_there), "the job does not run");
    id.expect("an id")
}
