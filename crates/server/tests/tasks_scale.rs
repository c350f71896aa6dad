//! Many queued tasks: the order stays right, nobody starves, and lists and cancellations stay quick.
//!
//! `QUINTET_SCALE_TASKS` says how many there are; without it as many as a test may take. What was measured is printed.

#[allow(
    unused_imports,
    reason = "most tests here look at backends, and not at the targets of steps"
)]
mod common;
mod tasks;

use std::collections::HashSet;
use std::time::Duration;

use quintet_testkit::load::{self, Spread, Timed};
use quintet_testkit::modal::Answer;
use quintet_testkit::random::Random;
use serde_json::{Value, json};
use tasks::{House, Site, list, seconds_pass, text, when};

/// So many at a time fill a queue quickly.
const CONNECTIONS: usize = 32;

/// How long the slowest of a hundred may take; a build without optimisation is given more.
const LIMIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 150 } else { 50 });

fn count() -> usize {
    let asked = std::env::var("QUINTET_SCALE_TASKS").ok();
    asked.map_or(3_000, |text| text.parse().expect("a number of tasks"))
}

/// One at a time, and one is under way until it is released.
fn busy(ageing: &str) -> House {
    let tasks = json!({ "ageing": ageing, "worker_concurrency": 1 });
    let house = Site::default().tasks(tasks).open();
    house.modal.teach("first", Answer::held(Answer::Echo));
    house.submit_plain("first");
    house.nth("first", 1);
    house
}

fn fill(house: &House, count: usize, task: impl Fn(usize) -> Value + Sync) -> Vec<String> {
    let submit = |n: usize| ("POST", "/api/tasks".to_owned(), Some(task(n)));
    let answers = load::run(house.server().address(), CONNECTIONS, count, submit).expect("answers");
    let id = |timed: &Timed| text(&timed.answer.ok().expect("it is taken"), "taskId");
    if count > 1_000 {
        let spread = Spread::of(&answers);
        println!("submit: {count} over {CONNECTIONS} connections, {spread:?}");
    }
    answers.iter().map(id).collect()
}

fn measured(house: &House, what: &str, count: usize, request: impl Fn(usize) -> load::Asked + Sync) -> Spread {
    let answers = load::run(house.server().address(), 2, count, request).expect("answers");
    assert!(
        answers.iter().all(|timed| timed.answer.status == 200),
        "{what}: {:?}",
        answers.last()
    );
    let spread = Spread::of(&answers);
    println!("{what}: {spread:?}");
    spread
}

#[test]
fn thousands_of_tasks_run_in_the_order_of_their_priorities_and_lists_and_cancellations_stay_quick() {
    let count = count();
    let house = busy("0");
    let mut random = Random::new(7);
    let priorities: Vec<_> = (0..count).map(|_| random.below(20)).collect();
    let list_of = |status: &'static str| move |_: usize| ("GET", format!("/api/tasks?status={status}&limit=50"), None);
    let before = measured(&house, "a list of nothing", 300, list_of("queued"));
    let ids = fill(
        &house,
        count,
        |n| json!({ "type": "job", "payload": { "n": n, "priority": priorities[n] }, "priority": priorities[n] }),
    );
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), count);

    let queued = measured(&house, "a list of what waits", 300, list_of("queued"));
    let all = measured(&house, "a list of all", 300, |_| {
        ("GET", "/api/tasks?limit=50".to_owned(), None)
    });
    let failed = measured(&house, "a list of what failed", 300, list_of("failed"));
    let one = measured(&house, "one task", 300, |n| {
        ("GET", format!("/api/tasks/{}", ids[n * 7 % count]), None)
    });
    // Spread over the whole queue.
    let cancelled: Vec<_> = (0..count / 10).map(|n| n * 10 + 3).collect();
    let cancel = |n: usize| ("DELETE", format!("/api/tasks/{}", ids[cancelled[n]]), None);
    let cancel = measured(&house, "a cancellation", cancelled.len(), cancel);
    for (what, spread) in [
        ("queued", queued),
        ("all", all),
        ("failed", failed),
        ("one", one),
        ("cancel", cancel),
    ] {
        assert!(spread.p99 < LIMIT, "{what}: {spread:?}");
    }
    let grown = queued.p50.as_secs_f64() / before.p50.as_secs_f64();
    println!("a list among {count} takes {grown:.1} times as long as one of nothing");

    house.modal.release();
    let left = count - cancelled.len();
    let drained = || json!(house.modal.calls_of("job").len());
    let limit = Duration::from_millis(60_000 + 40 * count as u64);
    let came = house.modal.wait_until(limit, |notes| notes.of("job").count() >= left);
    assert!(came, "{} of {left} came", drained());
    when(
        "all are done",
        || house.read("/api/tasks?status=queued")["count"].clone(),
        |count| *count == 0,
    );
    let order: Vec<_> = house.payloads("job");
    assert_eq!(order.len(), left);
    let of_priority: Vec<_> = order.iter().map(|payload| payload["priority"].as_u64()).collect();
    assert!(of_priority.is_sorted_by(|a, b| a >= b), "{of_priority:?}");
    let came: HashSet<_> = order.iter().map(|payload| payload["n"].as_u64()).collect();
    assert_eq!(came.len(), left, "none twice");
    assert!(
        cancelled.iter().all(|n| !came.contains(&Some(*n as u64))),
        "what was cancelled never came"
    );
}

/// Where the old task of the lowest priority comes among a hundred of a higher one that came later.
fn place_of_the_old_one(ageing: &str) -> usize {
    let house = busy(ageing);
    let old = json!({ "type": "job", "payload": { "old": true } });
    house.submit(&old);
    seconds_pass(&house, 1.5);
    fill(&house, 100, |_| json!({ "type": "job", "payload": {}, "priority": 10 }));
    house.modal.release();
    tasks::noted(&house.modal, "all of them", |notes| notes.of("job").count() == 101);
    let order = house.payloads("job");
    order
        .iter()
        .position(|payload| payload["old"] == true)
        .expect("it came")
}

#[test]
fn a_task_that_has_waited_long_enough_comes_before_what_is_more_urgent() {
    assert_eq!(place_of_the_old_one("100ms"), 0);
    assert_eq!(place_of_the_old_one("0"), 100, "without ageing it is the last");
}

#[test]
fn a_stream_of_urgent_tasks_does_not_keep_an_ordinary_one_waiting_for_ever() {
    let house = busy("20ms");
    house
        .modal
        .teach("job", Answer::late(Duration::from_millis(5), Answer::Echo));
    let id = house.submit(&json!({ "type": "ordinary", "payload": {} }));
    fill(&house, 50, |_| json!({ "type": "job", "payload": {}, "priority": 20 }));
    house.modal.release();
    // There is always something more urgent waiting until the ordinary one has had its turn.
    let mut rounds = 0;
    while house.count("ordinary") == 0 {
        rounds += 1;
        assert!(rounds < 500, "it starves behind {} others", house.count("job"));
        fill(&house, 4, |_| json!({ "type": "job", "payload": {}, "priority": 20 }));
    }
    house.completed(&id);
    let waiting = list(&house.read("/api/tasks?status=queued&limit=100"), "tasks").len();
    println!("after {} urgent ones, with {waiting} more waiting", house.count("job"));
}
