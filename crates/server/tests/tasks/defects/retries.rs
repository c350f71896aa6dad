//! The third fault of the original: attempts are counted once, and not within each other.

use std::time::Duration;

use quintet_testkit::modal::Answer;
use serde_json::{Value, json};

use super::tasks::{House, step};

fn bad(attempts: &Value) -> Value {
    json!({ "type": "bad", "payload": {}, "retry": { "attempts": attempts, "delay": 10 } })
}

#[test]
fn a_task_is_called_exactly_as_often_as_it_says() {
    let house = House::start();
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    for (attempts, calls) in [
        (json!(1), 1),
        (json!(2), 2),
        (json!(3), 3),
        (json!(5), 5),
        (json!(0), 3),
    ] {
        let before = house.count("bad");
        let id = house.submit(&bad(&attempts));
        house.failed(&id);
        assert_eq!(house.count("bad") - before, calls, "{attempts} attempts");
    }
}

#[test]
fn a_task_that_succeeds_at_last_has_no_error() {
    let house = House::start();
    let fails = || Answer::Error("boom".to_owned());
    house.modal.teach(
        "bad",
        Answer::Sequence(vec![fails(), fails(), Answer::Result(json!("at last"))]),
    );
    let id = house.submit(&bad(&json!(3)));
    let done = house.completed(&id);
    assert_eq!((&done["result"], done.get("error")), (&json!("at last"), None));
    assert_eq!(house.count("bad"), 3);
}

#[test]
fn a_step_of_a_pipeline_is_called_as_often_as_it_says_and_the_steps_before_it_once() {
    let house = House::start();
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let pipeline = json!({
        "type": "p", "payload": {}, "retry": { "attempts": 3, "delay": 10 },
        "steps": [{ "id": "a", "task": "good" }, { "id": "b", "task": "bad", "dependsOn": ["a"] }],
    });
    let failed = house.failed(&house.submit(&pipeline));
    assert_eq!(failed["error"], "boom");
    assert_eq!((house.count("good"), house.count("bad")), (1, 3));
    let (a, b) = (step(&failed, "a"), step(&failed, "b"));
    assert_eq!((&a["status"], &b["status"]), (&json!("completed"), &json!("failed")));
    assert_eq!((&b["retryAttempt"], &b["error"]), (&json!(3), &json!("boom")));
}

#[test]
fn what_a_step_says_wins_over_what_its_task_says() {
    let house = House::start();
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let pipeline = json!({
        "type": "p", "payload": {}, "retry": { "attempts": 5, "delay": 10 },
        "steps": [{ "task": "bad", "retry": { "attempts": 2, "delay": 10 } }],
    });
    house.failed(&house.submit(&pipeline));
    assert_eq!(house.count("bad"), 2);
}

#[test]
fn an_exponential_delay_doubles_and_never_exceeds_its_limit() {
    let house = House::start();
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let retry = json!({ "attempts": 5, "delay": 200, "backoff": "exponential", "maxDelay": 500 });
    house.failed(&house.submit(&json!({ "type": "bad", "payload": {}, "retry": retry })));
    let calls = house.modal.calls_of("bad");
    let apart: Vec<_> = calls.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert_eq!(apart.len(), 4);
    for (apart, delay) in apart.iter().zip([200, 400, 500, 500]) {
        let delay = Duration::from_millis(delay);
        assert!(*apart >= delay - Duration::from_millis(10), "{apart:?} for {delay:?}");
    }
    // Without the limit the last two would be 800 and 1,600.
    assert!(apart[3] < Duration::from_millis(1500), "{apart:?}");
}
