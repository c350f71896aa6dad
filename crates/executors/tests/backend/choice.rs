//! Which backend an order goes to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quintet_core::outcome::{Failure, Outcome, Work};
use quintet_engine::clock::Clock;
use quintet_engine::executor::Executor;
use quintet_executors::backend::{BackendSettings, Backends, Desk, Gpu, Kind, Order, Remote, Resources};
use quintet_executors::egress::{Client, Guard, Policy};
use quintet_testkit::modal::Fake;
use serde_json::{Value, json};

use super::support::work;
use super::{Hand, Rig, modal, rules, task, task_for};

fn ray(url: &str) -> BackendSettings {
    BackendSettings::new(Kind::Ray, url)
}

fn own(url: &str) -> BackendSettings {
    BackendSettings::new(Kind::Http, url)
}

/// Orders nothing but resources.
struct Wishing(Resources);

impl Desk for Wishing {
    fn order(&self, _work: &Work) -> Result<Order, Failure> {
        Ok(Order {
            task_type: "echo".to_owned(),
            payload: json!(1),
            backend: None,
            resources: self.0.clone(),
            timeout: None,
        })
    }
}

async fn wish(backends: &Arc<Backends>, resources: Resources) -> Outcome {
    let remote = Remote::new(Arc::clone(backends), Arc::new(Wishing(resources)));
    remote.execute(work("backend", Value::Null)).await
}

fn gpu(model: &str) -> Resources {
    Resources {
        gpu: Gpu::Model(model.to_owned()),
        ..Resources::default()
    }
}

#[tokio::test]
async fn modal_comes_first_then_ray_then_others_by_name() {
    let fakes: Vec<Fake> = (0..4).map(|_| Fake::start().expect("fake")).collect();
    let rig = Rig::new(vec![
        ("alpha", own(&fakes[2].url())),
        ("beta", own(&fakes[3].url())),
        ("ray", ray(&fakes[1].url())),
        ("modal", modal(&fakes[0].url())),
        ("ray-jobs", BackendSettings::new(Kind::RayJobs, "http://127.0.0.1:9")),
    ]);
    let automatic: Vec<String> = rig.backends.automatic().iter().map(ToString::to_string).collect();
    assert_eq!(automatic, ["modal", "ray", "alpha", "beta"]);
    for (place, taken) in fakes.iter().enumerate() {
        rig.succeed(task("echo")).await;
        assert_eq!(taken.calls().len(), 1, "{place}");
        taken.stop();
        rig.clock.move_on(Duration::from_secs(2));
    }
    let failure = rig.fail(task("echo")).await;
    assert_eq!(failure.message, "No healthy backend available");
}

#[tokio::test]
async fn without_backends_none_is_healthy_and_an_unknown_one_is_not_registered() {
    let rig = Rig::new(Vec::new());
    let failure = rig.fail(task("echo")).await;
    assert_eq!(
        (failure.message.as_str(), failure.retryable),
        ("No healthy backend available", None)
    );
    let failure = rig.fail(task_for("lambda", "echo")).await;
    assert_eq!(
        (failure.message.as_str(), failure.retryable),
        ("Backend \"lambda\" not registered", Some(false))
    );
}

#[tokio::test]
async fn an_unhealthy_backend_is_passed_over_and_cannot_be_named() {
    let (first, second) = (Fake::start().expect("fake"), Fake::start().expect("fake"));
    first.set_health(503);
    let rig = Rig::new(vec![("modal", modal(&first.url())), ("ray", ray(&second.url()))]);
    rig.succeed(task("echo")).await;
    assert_eq!((first.calls().len(), second.calls().len()), (0, 1));
    let failure = rig.fail(task_for("modal", "echo")).await;
    assert_eq!(
        (failure.message.as_str(), failure.kind.as_deref()),
        ("Backend \"modal\" is not healthy", Some("unhealthy"))
    );
    assert_eq!(failure.retryable, None);
    assert!(!rig.backends.is_open("modal"), "it was never healthy");
}

#[tokio::test]
async fn what_is_asked_for_is_compared_with_what_there_is() {
    let (first, second, third) = (
        Fake::start().expect("fake"),
        Fake::start().expect("fake"),
        Fake::start().expect("fake"),
    );
    second.set_cluster_status(json!({ "autoscaler_report": { "active_nodes": [{ "gpu": "H100" }] } }));
    let settings = BTreeMap::from([
        ("modal".to_owned(), modal(&first.url())),
        (
            "ray".to_owned(),
            BackendSettings {
                dashboard_url: Some(second.url()),
                ..ray(&second.url())
            },
        ),
        (
            "big".to_owned(),
            BackendSettings {
                gpus: Some(vec!["X9".to_owned()]),
                vram_mb: Some(200_000),
                ram_mb: Some(1_000),
                ..own(&third.url())
            },
        ),
    ]);
    let clock: Arc<dyn Clock> = Arc::new(Hand::default());
    let client = Client::new(Guard::new(Policy::default()));
    let backends = Arc::new(Backends::new(&settings, &rules(), &client, &clock).expect("backends"));
    let vram = |mb| Resources {
        vram_mb: Some(mb),
        ..Resources::default()
    };
    for (resources, calls) in [
        (
            Resources {
                gpu: Gpu::Any,
                ..Resources::default()
            },
            (1, 0, 0),
        ),
        (gpu("h100"), (1, 1, 0)),
        (vram(60_000), (1, 2, 0)),
        (vram(100_000), (1, 2, 1)),
        (gpu("A100"), (2, 2, 1)),
    ] {
        let outcome = wish(&backends, resources.clone()).await;
        assert!(matches!(outcome, Outcome::Succeeded(_)), "{resources:?}: {outcome:?}");
        assert_eq!(
            (first.calls().len(), second.calls().len(), third.calls().len()),
            calls,
            "{resources:?}"
        );
    }
    let asked = second
        .requests()
        .iter()
        .filter(|call| call.line == "GET /api/cluster_status")
        .count();
    assert_eq!(asked, 1, "its word is believed for a while");
    let outcome = wish(
        &backends,
        Resources {
            ram_mb: Some(2_000),
            ..gpu("X9")
        },
    )
    .await;
    let Outcome::Failed(failure) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        failure.message,
        "No healthy backend available: none has GPU X9, 2000 MB of RAM"
    );
}

#[tokio::test]
async fn one_whose_circuit_is_open_leaves_its_work_to_the_next() {
    let (first, second) = (Fake::start().expect("fake"), Fake::start().expect("fake"));
    let rig = Rig::new(vec![("modal", modal(&first.url())), ("ray", ray(&second.url()))]);
    rig.succeed(task("echo")).await;
    first.stop();
    rig.fail(task_for("modal", "echo")).await;
    assert!(rig.backends.is_open("modal"));
    rig.succeed(task("echo")).await;
    assert_eq!(second.calls().len(), 1);
}
