//! Queues shared with the real BullMQ, by the real server: its workers do tasks, its producers' jobs become tasks, and
//! whatever of the three dies, each task is recorded once.

#[allow(
    unused_imports,
    reason = "most tests here look at BullMQ, and not at the targets of steps"
)]
mod common;
mod tasks;

use quintet_testkit::bullmq::{Player, VERSIONS};
use quintet_testkit::modal::Answer;
use quintet_testkit::patience;
use quintet_testkit::redis::{Data, Redis};
use serde_json::{Value, json};
use tasks::{House, Site, text};

/// What BullMQ calls the bridged queues.
const GPU: &str = "declarative-worker-api-gpu";
const CPU: &str = "declarative-worker-api-cpu";

fn site(redis: &Redis) -> Site {
    let queues = json!({ "gpu": { "mode": "workers" }, "cpu": { "mode": "producers" } });
    Site::default()
        .variable("REDIS_URL", &redis.url())
        .tasks(json!({ "bullmq": { "queues": queues } }))
}

fn player(version: &str, redis: &Redis, queue: &str) -> Player {
    Player::start(version, &redis.url(), queue).expect("a player")
}

fn worker(version: &str, redis: &Redis) -> Player {
    let mut player = player(version, redis, GPU);
    // A worker that dies is noticed within seconds.
    let options = json!({ "concurrency": 3, "lockDuration": 2_000, "stalledInterval": 1_000, "maxStalledCount": 5 });
    player.work(&options).expect("it works");
    player
}

fn for_gpu(payload: &Value) -> Value {
    json!({ "type": "video.render", "payload": payload, "queue": "gpu" })
}

/// Waits for what gives no signal.
fn soon(what: &str, is_so: impl FnMut() -> bool) {
    assert!(patience::until(tasks::PATIENCE, is_so), "{what} did not come true");
}

fn happened(house: &House, id: &str, event: &str) -> usize {
    house.events(id).iter().filter(|own| *own == event).count()
}

/// A task has this result, and has got it once.
fn came_once(house: &House, id: &str, number: usize) {
    let done = house.completed(id);
    assert_eq!(done["result"]["echo"]["n"], number, "{done}");
    assert_eq!(happened(house, id, "step.succeeded"), 1, "{:?}", house.events(id));
}

#[test]
fn a_bullmq_worker_does_tasks_and_pipelines_with_progress_retries_and_results() {
    for version in VERSIONS {
        let redis = Redis::start().expect("Redis");
        let house = site(&redis).open();
        let mut worker = worker(version, &redis);
        let id = house.submit(&for_gpu(&json!({ "n": 1, "progress": [40], "gate": "end" })));
        soon("the progress is shown", || house.task(&id)["progress"] == 40);
        worker.order("open", &json!("end")).expect("order");
        came_once(&house, &id, 1);

        let mut failing = for_gpu(&json!({ "error": "no gpu left" }));
        failing["retry"] = json!({ "attempts": 2, "delay": 10 });
        let id = house.submit(&failing);
        assert_eq!(text(&house.failed(&id), "error"), "no gpu left");
        let attempts = worker.wait_for_many(2, "failed").expect("both attempts");
        let attempts = attempts
            .iter()
            .filter(|event| event["event"] == "started" && event["data"]["taskId"] == *id);
        let attempts: Vec<u64> = attempts.filter_map(|job| job["data"]["attempt"].as_u64()).collect();
        assert_eq!(attempts, [1, 2]);

        let steps = json!([
            { "id": "a", "task": "first", "input": { "n": "{{payload.n}}" } },
            { "id": "b", "task": "second", "dependsOn": ["a"], "input": { "m": "{{steps.a.echo.n}}" } },
        ]);
        let pipeline = json!({ "type": "two", "payload": { "n": 7 }, "queue": "gpu", "steps": steps });
        let id = house.submit(&pipeline);
        assert_eq!(house.completed(&id)["result"]["finalResult"]["echo"], json!({ "m": 7 }));
    }
}

#[test]
fn a_producers_jobs_become_tasks_and_get_their_results() {
    for version in VERSIONS {
        let redis = Redis::start().expect("Redis");
        let house = site(&redis).open();
        let mut producer = player(version, &redis, CPU);
        let id = producer.add("resize", &json!({ "w": 3 }), &json!({})).expect("added");
        let outcome = producer.ask("outcome", &json!(id), "outcome").expect("an outcome");
        assert_eq!(outcome["result"], json!({ "w": 3 }));
        assert_eq!(house.payloads("resize"), [json!({ "w": 3 })]);

        let whole = json!({ "type": "text.chat", "payload": { "prompt": "hi" }, "queue": "gpu" });
        let id = producer.add("task", &whole, &json!({})).expect("added");
        let outcome = producer.ask("outcome", &json!(id), "outcome").expect("an outcome");
        assert_eq!(outcome["result"], json!({ "prompt": "hi" }));

        let wrong = json!({ "type": "text.chat", "payload": {}, "priority": "high" });
        let id = producer.add("task", &wrong, &json!({})).expect("added");
        let outcome = producer.ask("outcome", &json!(id), "outcome").expect("an outcome");
        assert!(text(&outcome, "error").contains("priority"), "{outcome}");
    }
}

#[test]
fn a_worker_killed_in_mid_job_loses_no_task_and_none_is_recorded_twice() {
    for version in VERSIONS {
        let redis = Redis::start().expect("Redis");
        let house = site(&redis).open();
        let first = worker(version, &redis);
        let ids: Vec<String> = (0..9)
            .map(|n| house.submit(&for_gpu(&json!({ "n": n, "gate": "end" }))))
            .collect();
        first.wait_for_many(3, "started").expect("three are under way");
        first.kill();
        let mut second = worker(version, &redis);
        second.order("open", &json!("end")).expect("order");
        for (n, id) in ids.iter().enumerate() {
            came_once(&house, id, n);
        }
    }
}

/// Redis dies while tasks wait, are under way and are answered.
fn redis_dies(version: &str, data: Data) {
    let mut redis = Redis::start().expect("Redis");
    let house = site(&redis).open();
    let mut worker = worker(version, &redis);
    let ids: Vec<String> = (0..12)
        .map(|n| {
            let payload = if n < 4 {
                json!({ "n": n })
            } else {
                json!({ "n": n, "gate": "end" })
            };
            house.submit(&for_gpu(&payload))
        })
        .collect();
    worker
        .wait_for_many(7, "started")
        .expect("three are under way, four are done");
    redis.kill();
    let late = house.submit(&for_gpu(&json!({ "n": 12 })));
    worker.order("open", &json!("end")).expect("order");
    redis.revive(data).expect("Redis comes back");
    for (n, id) in ids.iter().chain([&late]).enumerate() {
        came_once(&house, id, n);
    }
}

#[test]
fn redis_killed_in_mid_flight_loses_no_task_and_none_is_recorded_twice() {
    for version in VERSIONS {
        redis_dies(version, Data::Kept);
    }
}

#[test]
fn redis_that_loses_everything_in_mid_flight_loses_no_task_and_none_is_recorded_twice() {
    for version in VERSIONS {
        redis_dies(version, Data::Lost);
    }
}

#[test]
fn a_server_killed_while_workers_are_at_it_finds_their_answers_when_it_is_back() {
    for version in VERSIONS {
        let redis = Redis::start().expect("Redis");
        let mut house = site(&redis).open();
        let mut worker = worker(version, &redis);
        let ids: Vec<String> = (0..9)
            .map(|n| house.submit(&for_gpu(&json!({ "n": n, "gate": "end" }))))
            .collect();
        worker.wait_for_many(3, "started").expect("three are under way");
        // Those that were handed over are the workers' from now on.
        soon("all are handed over", || {
            ids.iter().all(|id| happened(&house, id, "step.accepted") == 1)
        });
        house.kill();
        worker.order("open", &json!("end")).expect("order");
        worker.wait_for_many(9, "completed").expect("all are done");
        house.open();
        for (n, id) in ids.iter().enumerate() {
            came_once(&house, id, n);
        }
        let events = worker.events();
        assert_eq!(events.iter().filter(|event| event["event"] == "started").count(), 9);
    }
}

#[test]
fn a_producers_job_survives_the_server_that_took_it_and_starts_one_task() {
    for version in VERSIONS {
        let redis = Redis::start().expect("Redis");
        let mut house = site(&redis).open();
        house.modal.teach("resize", Answer::held(Answer::Echo));
        let mut producer = player(version, &redis, CPU);
        let id = producer.add("resize", &json!({ "w": 3 }), &json!({})).expect("added");
        house.nth("resize", 1);
        house.kill();
        house.modal.teach("resize", Answer::Echo);
        house.open();
        let started = house.ids("queue=cpu");
        assert_eq!(started.len(), 1, "{started:?}");
        house.completed(&started[0]);
        // The lock of the dead server runs out first.
        let outcome = producer.ask("outcome", &json!(id), "outcome").expect("an outcome");
        assert_eq!(outcome["result"], json!({ "w": 3 }));
        assert_eq!(house.ids("queue=cpu"), started);
    }
}

#[test]
fn a_cancelled_task_is_taken_out_of_redis_or_its_answer_refused() {
    let redis = Redis::start().expect("Redis");
    let house = site(&redis).open();
    let waiting = house.submit(&for_gpu(&json!({ "n": 1 })));
    soon("it is handed over", || happened(&house, &waiting, "step.accepted") == 1);
    house.cancel(&waiting);
    let mut looker = player(VERSIONS[0], &redis, GPU);
    soon("it is out of Redis", || {
        let counted = looker.ask("count", &Value::Null, "counted").expect("counted");
        counted["counts"]["prioritized"] == 0
    });

    let mut worker = worker(VERSIONS[1], &redis);
    let active = house.submit(&for_gpu(&json!({ "n": 2, "gate": "end" })));
    worker.wait_for_many(1, "started").expect("it is under way");
    house.cancel(&active);
    worker.order("open", &json!("end")).expect("order");
    worker.wait_for_many(1, "completed").expect("the worker ends it");
    let last = house.submit(&for_gpu(&json!({ "n": 3 })));
    came_once(&house, &last, 3);
    assert_eq!(text(&house.failed(&active), "error"), "cancelled");
}
