//! Circuits: when they open, what they hold up, and how they close.

use std::time::Duration;

use futures_util::future::join_all;
use quintet_core::outcome::Outcome;
use quintet_executors::backend::{BackendSettings, Circuit, Rules};
use quintet_testkit::modal::{Answer, Fake};

use super::{PATIENCE, Rig, modal, rules, task, task_for, until};

/// Probes that do not come during a test.
fn without_probes() -> Rules {
    Rules {
        probe_min_ms: 3_600_000,
        probe_max_ms: 3_600_000,
        ..rules()
    }
}

#[tokio::test]
async fn a_dead_backend_opens_its_circuit_at_the_first_failed_call_and_nothing_more_is_sent() {
    let fake = Fake::start().expect("fake");
    let rig = Rig::with_rules(vec![("modal", modal(&fake.url()))], &without_probes());
    rig.succeed(task("echo")).await;
    let mut changes = rig.backends.changes();
    fake.stop();
    let failure = rig.fail(task("echo")).await;
    assert!(
        matches!(failure.kind.as_deref(), Some("connect" | "transport")),
        "{failure:?}"
    );
    assert_eq!(failure.retryable, None);
    assert!(rig.backends.is_open("modal") && changes.has_changed().expect("backends"));
    changes.mark_unchanged();

    fake.start_again().expect("the port");
    for input in [task("echo"), task_for("modal", "echo")] {
        let failure = rig.fail(input).await;
        assert_eq!(
            (failure.kind.as_deref(), failure.retryable),
            (Some("circuit_open"), Some(true))
        );
        assert_eq!(failure.retry_after_ms, Some(3_600_000));
    }
    assert_eq!((fake.calls().len(), fake.probes()), (1, 1), "both before it died");
    assert!(!changes.has_changed().expect("backends"));
    let [modal] = &rig.backends.describe()[..] else {
        panic!("one backend expected")
    };
    assert_eq!((modal.calls.unavailable, modal.calls.refused), (1, 2));
    assert!(
        modal
            .last_error
            .as_ref()
            .is_some_and(|error| error.contains("/health_check")),
        "{modal:?}"
    );
}

#[tokio::test]
async fn it_is_probed_until_it_is_healthy_and_the_next_call_closes_it() {
    let fake = Fake::start().expect("fake");
    let rig = Rig::new(vec![("modal", modal(&fake.url()))]);
    rig.succeed(task("echo")).await;
    fake.stop();
    rig.fail(task("echo")).await;
    assert_eq!(rig.circuit("modal"), Circuit::Open);
    fake.start_again().expect("the port");
    rig.until("modal", Circuit::HalfOpen).await;
    assert!(!rig.backends.is_open("modal"));
    rig.succeed(task("echo")).await;
    assert_eq!(rig.circuit("modal"), Circuit::Closed);
    let probes = fake.probes();
    rig.succeed(task("echo")).await;
    assert_eq!(fake.probes(), probes, "nothing probes a closed circuit");
}

#[tokio::test]
async fn half_open_lets_one_call_through_and_the_others_wait_for_it() {
    let fake = Fake::start().expect("fake");
    let rig = Rig::new(vec![("modal", modal(&fake.url()))]);
    rig.succeed(task("echo")).await;
    fake.stop();
    rig.fail(task("echo")).await;
    fake.start_again().expect("the port");
    rig.until("modal", Circuit::HalfOpen).await;

    fake.teach("slow", Answer::held(Answer::Echo));
    let many = join_all((0..10).map(|_| rig.execute(task("slow"))));
    let watching = async {
        // Others get their turn now and again while the first call hangs; none of theirs may arrive.
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
        until(|| !fake.calls_of("slow").is_empty()).await;
        assert_eq!(fake.calls_of("slow").len(), 1);
        fake.teach("slow", Answer::Echo);
        fake.release();
    };
    let (outcomes, ()) = tokio::join!(many, watching);
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Outcome::Succeeded(_))),
        "{outcomes:?}"
    );
    assert_eq!(
        (rig.circuit("modal"), fake.calls_of("slow").len()),
        (Circuit::Closed, 10)
    );
}

#[tokio::test]
async fn a_trial_that_fails_opens_it_again() {
    let fake = Fake::start().expect("fake");
    let rig = Rig::new(vec![("modal", modal(&fake.url()))]);
    rig.succeed(task("echo")).await;
    fake.stop();
    rig.fail(task("echo")).await;
    fake.start_again().expect("the port");
    rig.until("modal", Circuit::HalfOpen).await;
    fake.teach("proxy", Answer::status(503, "no upstream"));
    let failure = rig.fail(task("proxy")).await;
    assert_eq!(failure.message, "Modal error: 503 - no upstream");
    // Its health is good, so it is half-open again soon; but it was open in between.
    rig.until("modal", Circuit::HalfOpen).await;
    rig.succeed(task("echo")).await;
    assert_eq!(rig.circuit("modal"), Circuit::Closed);
}

#[tokio::test]
async fn a_slow_trial_holds_the_others_up_only_for_a_while() {
    let fake = Fake::start().expect("fake");
    let rig = Rig::with_rules(vec![("modal", modal(&fake.url()))], &Rules { trial_ms: 0, ..rules() });
    rig.succeed(task("echo")).await;
    fake.stop();
    rig.fail(task("echo")).await;
    fake.start_again().expect("the port");
    rig.until("modal", Circuit::HalfOpen).await;
    fake.teach("slow", Answer::held(Answer::Echo));
    let slow = rig.execute(task("slow"));
    let quick = async {
        until(|| !fake.calls_of("slow").is_empty()).await;
        let outcome = rig.execute(task("echo")).await;
        assert!(matches!(outcome, Outcome::Succeeded(_)), "{outcome:?}");
        assert_eq!(rig.circuit("modal"), Circuit::Closed);
        fake.release();
    };
    let (outcome, ()) = tokio::join!(slow, quick);
    assert!(matches!(outcome, Outcome::Succeeded(_)), "{outcome:?}");
}

#[tokio::test]
async fn calls_that_fail_in_a_row_open_it_although_its_health_is_good() {
    let fake = Fake::start().expect("fake");
    fake.teach("proxy", Answer::status(502, "bad gateway"));
    fake.teach("broken", Answer::HangUp);
    let settings = BackendSettings {
        failures_to_open: Some(3),
        ..modal(&fake.url())
    };
    let rig = Rig::with_rules(vec![("modal", settings)], &without_probes());
    rig.fail(task("proxy")).await;
    assert_eq!(rig.fail(task("broken")).await.kind.as_deref(), Some("transport"));
    rig.succeed(task("echo")).await;
    rig.fail(task("proxy")).await;
    rig.fail(task("proxy")).await;
    assert!(!rig.backends.is_open("modal"), "an answer came in between");
    rig.fail(task("proxy")).await;
    assert!(rig.backends.is_open("modal"));
    assert_eq!(rig.fail(task("echo")).await.kind.as_deref(), Some("circuit_open"));
}

#[tokio::test]
async fn failures_of_tasks_open_nothing() {
    let fake = Fake::start().expect("fake");
    fake.teach("boom", Answer::Error("boom".to_owned()));
    fake.teach("oops", Answer::status(500, "oops"));
    let settings = BackendSettings {
        failures_to_open: Some(1),
        ..modal(&fake.url())
    };
    let rig = Rig::new(vec![("modal", settings)]);
    for _ in 0..10 {
        rig.fail(task("boom")).await;
        rig.fail(task("oops")).await;
    }
    assert_eq!((rig.circuit("modal"), fake.probes()), (Circuit::Closed, 1));
}

#[tokio::test]
async fn a_backend_that_was_never_healthy_fails_its_calls_and_holds_no_work() {
    let fake = Fake::start().expect("fake");
    fake.stop();
    let rig = Rig::new(vec![("modal", modal(&fake.url()))]);
    for _ in 0..3 {
        let failure = rig.fail(task("echo")).await;
        assert_eq!(
            (failure.message.as_str(), failure.kind.as_deref()),
            ("No healthy backend available", Some("unhealthy"))
        );
        assert_eq!(rig.circuit("modal"), Circuit::Closed);
        rig.clock.move_on(Duration::from_secs(2));
    }
    fake.start_again().expect("the port");
    rig.succeed(task("echo")).await;
}

#[tokio::test]
async fn a_backend_that_says_it_is_unhealthy_after_it_was_healthy_counts_as_down() {
    let fake = Fake::start().expect("fake");
    let rig = Rig::new(vec![("modal", modal(&fake.url()))]);
    rig.succeed(task("echo")).await;
    fake.set_health(503);
    rig.succeed(task("echo")).await;
    rig.clock.move_on(Duration::from_secs(2));
    let failure = rig.fail(task_for("modal", "echo")).await;
    assert_eq!(
        (failure.message.as_str(), failure.kind.as_deref()),
        ("Backend \"modal\" is not healthy", Some("circuit_open"))
    );
    assert!(rig.backends.is_open("modal"));
    fake.set_health(200);
    rig.until("modal", Circuit::HalfOpen).await;
    rig.succeed(task("echo")).await;
    assert_eq!(rig.circuit("modal"), Circuit::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_that_break_at_once_ask_for_health_together() {
    let fake = Fake::start().expect("fake");
    fake.teach("slow", Answer::held(Answer::Echo));
    let rig = Rig::with_rules(vec![("modal", modal(&fake.url()))], &without_probes());
    let many = join_all((0..20).map(|_| rig.execute(task("slow"))));
    let breaking = async {
        until(|| fake.calls_of("slow").len() == 20).await;
        fake.stop();
    };
    let (outcomes, ()) = tokio::join!(many, breaking);
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Outcome::Failed(_))),
        "{outcomes:?}"
    );
    assert!(rig.backends.is_open("modal"));
    let [modal] = &rig.backends.describe()[..] else {
        panic!("one backend expected")
    };
    assert_eq!((modal.calls.unavailable, modal.in_flight), (20, 0));
    assert!(fake.wait_until(PATIENCE, |notes| notes.of("slow").all(|call| call.is_abandoned)));
}
