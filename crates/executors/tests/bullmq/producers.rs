//! What jobs of BullMQ producers become.

use std::sync::Arc;

use quintet_executors::bullmq::{Ended, Mode, QueueSettings};
use quintet_testkit::bullmq::{Player, VERSIONS};
use quintet_testkit::redis::Redis;
use serde_json::{Value, json};

use crate::runs::Runs;
use crate::{NAME, Node, until};

/// A place where jobs are taken from producers.
struct Office {
    redis: Redis,
    runs: Arc<Runs>,
    node: Node,
}

impl Office {
    fn open() -> Self {
        Self::with(50)
    }

    fn with(concurrency: u32) -> Self {
        let redis = Redis::start().expect("Redis");
        let runs = Arc::<Runs>::default();
        let queue = QueueSettings {
            concurrency,
            ..QueueSettings::new(Mode::Producers)
        };
        let node = Node::with(&redis, queue, &Arc::default(), &runs);
        Self { redis, runs, node }
    }

    fn producer(&self, version: &str) -> Player {
        crate::player(version, &self.redis)
    }
}

fn look(producer: &mut Player, id: &str) -> Value {
    producer.ask("look", &json!({ "id": id }), "looked").expect("looked")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_becomes_a_run_and_gets_its_progress_and_result() {
    for version in VERSIONS {
        let office = Office::open();
        let mut producer = office.producer(version);
        let id = producer.add("resize", &json!({ "w": 3 }), &json!({})).expect("added");
        let jobs = office.runs.started(1).await;
        assert_eq!(
            jobs[0].document,
            json!({ "type": "resize", "payload": { "w": 3 }, "queue": "gpu", "retry": { "attempts": 1 } })
        );
        assert!(
            jobs[0].key.starts_with(&format!("bull:bull:{NAME}:{id}:")),
            "{}",
            jobs[0].key
        );
        assert_eq!(look(&mut producer, &id)["state"], "active");

        office.runs.move_to(&id, 40.0);
        until("the progress is told", || {
            let progress = look(&mut producer, &id)["progress"].clone();
            async move { progress == 40 }
        })
        .await;
        producer.order("outcome", &json!(id)).expect("order");
        office.runs.complete(&id, json!({ "url": "ü" }));
        let outcome = producer
            .wait_for(|event| event["event"] == "outcome")
            .expect("an outcome");
        assert_eq!(outcome["result"], json!({ "url": "ü" }));
        let looked = look(&mut producer, &id);
        assert_eq!(looked["state"], "completed");
        assert_eq!(looked["attemptsMade"], 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failed_run_fails_its_job_for_good() {
    for version in VERSIONS {
        let office = Office::open();
        let mut producer = office.producer(version);
        let options = json!({ "attempts": 3, "backoff": { "type": "exponential", "delay": 50 } });
        let id = producer.add("resize", &json!({}), &options).expect("added");
        let jobs = office.runs.started(1).await;
        assert_eq!(
            jobs[0].document["retry"],
            json!({ "attempts": 3, "backoff": "exponential", "delay": 50 })
        );
        producer.order("outcome", &json!(id)).expect("order");
        office.runs.end(&id, Ended::Failed("no such picture".to_owned()));
        let outcome = producer
            .wait_for(|event| event["event"] == "outcome")
            .expect("an outcome");
        assert_eq!(outcome["error"], "no such picture");
        let looked = look(&mut producer, &id);
        assert_eq!(
            (&looked["state"], &looked["attemptsMade"]),
            (&json!("failed"), &json!(3))
        );
        assert_eq!(office.runs.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_started_fails_with_the_reason() {
    for version in VERSIONS {
        let office = Office::open();
        let mut producer = office.producer(version);
        let mine = json!({ "attempts": 2, "backoff": { "type": "mine" } });
        let id = producer.add("resize", &json!({}), &mine).expect("added");
        until("it fails", || {
            let looked = look(&mut producer, &id);
            async move { looked["state"] == "failed" }
        })
        .await;
        let reason = look(&mut producer, &id)["failedReason"].to_string();
        assert!(reason.contains("backoff") && reason.contains("mine"), "{reason}");

        office.runs.refuse("task.payload is required");
        let id = producer.add("resize", &json!({}), &json!({})).expect("added");
        until("it fails", || {
            let looked = look(&mut producer, &id);
            async move { looked["failedReason"] == "task.payload is required" }
        })
        .await;
        assert_eq!(office.runs.count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn priorities_and_delays_of_bullmq_decide_what_is_taken_next() {
    for version in VERSIONS {
        let office = Office::with(1);
        let mut producer = office.producer(version);
        let mut add = |name: &str, options: Value| producer.add(name, &json!({}), &options).expect("added");
        let first = add("first", json!({}));
        office.runs.started(1).await;
        add("late", json!({ "delay": 700 }));
        add("tenth", json!({ "priority": 10 }));
        add("second", json!({ "priority": 2 }));
        add("plain", json!({}));
        office.runs.complete(&first, Value::Null);
        for count in 2..=5 {
            let jobs = office.runs.started(count).await;
            office.runs.complete(&jobs[count - 1].id, Value::Null);
        }
        let names: Vec<String> = office.runs.started(5).await.into_iter().map(|job| job.name).collect();
        // When the late one comes depends on how quick the machine is; the others stand in their order.
        let others: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| *name != "late")
            .collect();
        assert_eq!(others, ["first", "plain", "second", "tenth"]);
        assert!(names.contains(&"late".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_delayed_job_is_not_taken_before_its_time_and_wakes_an_idle_node() {
    for version in VERSIONS {
        let office = Office::open();
        let mut producer = office.producer(version);
        let id = producer
            .add("late", &json!({}), &json!({ "delay": 1_500 }))
            .expect("added");
        assert_eq!(look(&mut producer, &id)["state"], "delayed");
        assert_eq!(office.runs.count(), 0);
        let job = office.runs.started(1).await.remove(0);
        assert_eq!(job.id, id);
        let mut connection = crate::look_at(&office.redis).await;
        let times: Vec<i64> = redis::cmd("HMGET")
            .arg(format!("bull:{NAME}:{id}"))
            .arg("timestamp")
            .arg("processedOn")
            .query_async(&mut connection)
            .await
            .expect("times");
        assert!(times[1] - times[0] >= 1_500, "{times:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ended_jobs_are_kept_as_the_producer_wants() {
    for version in VERSIONS {
        let office = Office::open();
        let mut producer = office.producer(version);
        let two = json!({ "removeOnComplete": 2 });
        let mut ids = Vec::new();
        for number in 0..4 {
            ids.push(producer.add("kept", &json!({}), &two).expect("added"));
            office.runs.started(number + 1).await;
            office.runs.complete(&ids[number], json!(number));
            until("it is over", || {
                let counts = producer.ask("count", &Value::Null, "counted").expect("counted");
                async move { counts["counts"]["active"] == 0 }
            })
            .await;
        }
        let gone = json!({ "removeOnFail": true });
        let id = producer.add("gone", &json!({}), &gone).expect("added");
        office.runs.started(5).await;
        office.runs.end(&id, Ended::Failed("x".to_owned()));
        until("the failed one is gone", || {
            let looked = look(&mut producer, &id);
            async move { looked["state"].is_null() }
        })
        .await;
        let states: Vec<Value> = ids.iter().map(|id| look(&mut producer, id)["state"].clone()).collect();
        assert_eq!(
            states,
            [Value::Null, Value::Null, json!("completed"), json!("completed")]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_child_that_quintet_did_lets_its_parent_go_on_with_the_result() {
    for version in VERSIONS {
        let office = Office::open();
        let mut producer = office.producer(version);
        let child = json!({ "name": "child", "queueName": NAME, "data": {} });
        let tree = json!({ "name": "parent", "queueName": "elsewhere", "data": {}, "children": [child] });
        let flow = producer.ask("flow", &tree, "flowed").expect("added");
        let child = office.runs.started(1).await.remove(0).id;
        office.runs.complete(&child, json!({ "n": 7 }));
        let parent = json!({ "id": flow["id"], "at": "elsewhere" });
        let mut looked = Value::Null;
        until("the parent may go on", || {
            looked = producer.ask("look", &parent, "looked").expect("looked");
            let may = looked["state"] == "waiting";
            async move { may }
        })
        .await;
        let values: Vec<&Value> = looked["children"].as_object().expect("values").values().collect();
        assert_eq!(values, [&json!({ "n": 7 })]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_child_that_fails_fails_its_parent_where_the_producer_wants_that() {
    for version in VERSIONS {
        let office = Office::open();
        let mut producer = office.producer(version);
        let child = json!({ "name": "child", "queueName": "children", "data": { "error": "bad" },
                            "opts": { "failParentOnFailure": true } });
        let tree = json!({ "name": "parent", "queueName": NAME, "data": {}, "children": [child] });
        let flow = producer.ask("flow", &tree, "flowed").expect("added");
        // Its parent is in Quintet's queue: it must fail without a run.
        let mut others = Player::start(version, &office.redis.url(), "children").expect("a player");
        others.work(&json!({})).expect("it works");
        let parent = flow["id"].as_str().expect("an id").to_owned();
        let mut looked = Value::Null;
        until("the parent fails", || {
            looked = look(&mut producer, &parent);
            let is_told = looked["state"] == "failed" && looked["failedReason"].is_string();
            async move { is_told }
        })
        .await;
        let reason = looked["failedReason"].as_str().unwrap_or_default();
        assert!(reason.starts_with("child bull:children:"), "{looked}");
        assert_eq!(office.runs.count(), 0);

        // And the other way round: Quintet's child fails the parent elsewhere.
        let child = json!({ "name": "child", "queueName": NAME, "data": {}, "opts": { "failParentOnFailure": true } });
        let tree = json!({ "name": "parent", "queueName": "children", "data": {}, "children": [child] });
        let flow = producer.ask("flow", &tree, "flowed").expect("added");
        let child = office.runs.started(1).await.remove(0).id;
        office.runs.end(&child, Ended::Failed("bad".to_owned()));
        let parent = json!({ "id": flow["id"], "at": "children" });
        until("the parent fails", || {
            looked = producer.ask("look", &parent, "looked").expect("looked");
            let failed = looked["state"] == "failed";
            async move { failed }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_that_was_to_follow_an_active_one_follows_it() {
    let office = Office::open();
    let mut producer = office.producer("bullmq6");
    let alone = json!({ "deduplication": { "id": "one", "keepLastIfActive": true } });
    let first = producer.add("once", &json!({ "n": 1 }), &alone).expect("added");
    office.runs.started(1).await;
    for n in 2..=3 {
        assert_eq!(producer.add("once", &json!({ "n": n }), &alone).expect("added"), first);
    }
    office.runs.complete(&first, Value::Null);
    let jobs = office.runs.started(2).await;
    assert_eq!(jobs[1].document["payload"]["n"], 3);
    office.runs.complete(&jobs[1].id, Value::Null);
    until("both are over", || {
        let counts = producer.ask("count", &Value::Null, "counted").expect("counted");
        async move { counts["counts"]["completed"] == 2 }
    })
    .await;
    let again = producer.add("once", &json!({ "n": 4 }), &alone).expect("added");
    assert_eq!(office.runs.started(3).await[2].id, again);
    office.node.shut_down().await;
}
