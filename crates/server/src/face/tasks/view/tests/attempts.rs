//! Which attempt a step is in, and when its first one began.

use quintet_core::outcome::Failure;
use serde_json::{Value, json};

use super::super::sim::Sim;

#[test]
fn attempts_are_told_where_more_than_one_was_asked_for_or_needed() {
    let attempt = |retry: Value, failures: usize| {
        let mut sim = Sim::steps(
            json!([1]),
            json!([{ "id": "a", "task": "t", "retry": retry }, { "id": "b", "task": "t" }]),
        );
        for _ in 0..failures {
            sim.fail("a", Failure::new("x", "no"));
            sim.next_timer();
        }
        let under_way = sim.detail()["stepStatus"][0].get("retryAttempt").cloned();
        sim.finish(&[]);
        assert_eq!(sim.detail()["stepStatus"][0].get("retryAttempt").cloned(), under_way);
        assert!(sim.detail()["stepStatus"][1].get("retryAttempt").is_none());
        under_way
    };
    assert_eq!(attempt(json!(null), 0), None);
    assert_eq!(attempt(json!({ "attempts": 1 }), 0), None);
    assert_eq!(attempt(json!({ "attempts": 2 }), 0), Some(json!(1)));
    assert_eq!(attempt(json!(null), 2), Some(json!(3)));
    assert_eq!(
        attempt(json!({ "attempts": 5, "backoff": "exponential" }), 3),
        Some(json!(4))
    );
}

#[test]
fn a_step_began_with_its_first_attempt_whatever_it_does_now() {
    let mut sim = Sim::steps(
        json!({}),
        json!([{ "task": "first" }, { "task": "t", "retry": { "attempts": 4, "backoff": "exponential", "delay": 100 } }]),
    );
    sim.wait(1_000).succeed("step_0", json!(1));
    let expected = "2026-11-21T10:00:01.000Z";
    for _ in 0..3 {
        assert_eq!(sim.detail()["stepStatus"][1]["startedAt"], expected);
        sim.wait(30).fail("step_1", Failure::new("x", "no"));
        assert_eq!(sim.detail()["stepStatus"][1]["startedAt"], expected, "while it waits");
        sim.next_timer();
    }
    sim.wait(30).succeed("step_1", json!(1));
    let step = &sim.detail()["stepStatus"][1];
    assert_eq!(
        (&step["startedAt"], &step["duration"]),
        (&json!(expected), &json!(4 * 30 + 700))
    );
}
