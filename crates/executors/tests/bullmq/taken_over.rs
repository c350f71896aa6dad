//! Nodes and Redis die while runs of producers' jobs go on.

use std::sync::Arc;

use quintet_engine::clock::{Clock, SystemClock};
use quintet_executors::bullmq::Mode;
use quintet_testkit::bullmq::VERSIONS;
use quintet_testkit::redis::{Data, Redis};
use serde_json::{Value, json};

use crate::runs::Runs;
use crate::{NAME, Node, PACE, look_at, player, until};

fn node(redis: &Redis, runs: &Arc<Runs>) -> Node {
    Node::start(redis, Mode::Producers, &Arc::default(), runs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_whose_node_died_is_taken_over_with_the_run_that_was_started() {
    for version in VERSIONS {
        let (redis, runs) = (Redis::start().expect("Redis"), Arc::<Runs>::default());
        let first = node(&redis, &runs);
        let mut producer = player(version, &redis);
        let id = producer.add("long", &json!({}), &json!({})).expect("added");
        runs.started(1).await;
        first.crash().await;
        // Its tasks for single jobs outlive the abort of the loops, but nobody renews their locks.
        let second = node(&redis, &runs);
        runs.until_found(1).await;
        producer.order("outcome", &json!(id)).expect("order");
        runs.complete(&id, json!("done"));
        let outcome = producer
            .wait_for(|event| event["event"] == "outcome")
            .expect("an outcome");
        assert_eq!(outcome["result"], "done");
        assert_eq!(runs.count(), 1);
        second.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_stops_gives_its_jobs_back_at_once() {
    let (redis, runs) = (Redis::start().expect("Redis"), Arc::<Runs>::default());
    let first = node(&redis, &runs);
    let mut producer = player(VERSIONS[1], &redis);
    let id = producer.add("long", &json!({}), &json!({})).expect("added");
    let ranked = producer
        .add("ranked", &json!({}), &json!({ "priority": 3 }))
        .expect("added");
    runs.started(2).await;
    first.shut_down().await;
    for (id, state) in [(&id, "waiting"), (&ranked, "prioritized")] {
        let looked = producer.ask("look", &json!({ "id": id }), "looked").expect("looked");
        assert_eq!(looked["state"], state);
    }
    let second = node(&redis, &runs);
    runs.until_found(2).await;
    assert_eq!(runs.count(), 2);
    second.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_killed_while_runs_go_on_gets_their_ends_when_it_is_back() {
    for version in VERSIONS {
        let (mut redis, runs) = (Redis::start().expect("Redis"), Arc::<Runs>::default());
        let _node = node(&redis, &runs);
        let mut producer = player(version, &redis);
        let ended = producer.add("ended", &json!({}), &json!({})).expect("added");
        let lasting = producer.add("lasting", &json!({}), &json!({})).expect("added");
        runs.started(2).await;
        redis.kill();
        // One run ends while nobody can be told.
        runs.complete(&ended, json!(1));
        redis.revive(Data::Kept).expect("Redis comes back");
        let mut state = |id: &str| producer.ask("look", &json!({ "id": id }), "looked").expect("looked");
        until("the end is told", || {
            let looked = state(&ended);
            async move { looked["state"] == "completed" && looked["returnvalue"] == 1 }
        })
        .await;
        runs.complete(&lasting, json!(2));
        until("the other end is told", || {
            let looked = state(&lasting);
            async move { looked["state"] == "completed" && looked["returnvalue"] == 2 }
        })
        .await;
        assert_eq!(runs.count(), 2, "each job was started once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_that_has_lost_its_data_serves_new_jobs_and_old_runs_just_end() {
    let (mut redis, runs) = (Redis::start().expect("Redis"), Arc::<Runs>::default());
    let node = node(&redis, &runs);
    let mut producer = player(VERSIONS[0], &redis);
    let lost = producer.add("lost", &json!({}), &json!({})).expect("added");
    runs.started(1).await;
    redis.revive(Data::Lost).expect("Redis comes back");
    runs.complete(&lost, Value::Null);
    let id = producer
        .add("new", &json!({}), &json!({ "jobId": "after" }))
        .expect("added");
    runs.started(2).await;
    producer.order("outcome", &json!(id)).expect("order");
    runs.complete(&id, json!("fine"));
    let outcome = producer
        .wait_for(|event| event["event"] == "outcome")
        .expect("an outcome");
    assert_eq!(outcome["result"], "fine");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lock_that_ran_out_while_redis_was_away_is_taken_again_by_who_had_it() {
    let (mut redis, runs) = (Redis::start().expect("Redis"), Arc::<Runs>::default());
    let node = node(&redis, &runs);
    let mut producer = player(VERSIONS[1], &redis);
    let id = producer.add("long", &json!({}), &json!({})).expect("added");
    runs.started(1).await;
    redis.kill();
    let killed_at = SystemClock.now();
    until("the lock's time is over", || async {
        SystemClock.now().ms_since(killed_at) > PACE.lock.as_millis() as u64
    })
    .await;
    redis.revive(Data::Kept).expect("Redis comes back");
    let mut connection = look_at(&redis).await;
    let lock = format!("bull:{NAME}:{id}:lock");
    until("the lock is there again", || {
        let (mut exists, mut connection) = (redis::cmd("EXISTS"), connection.clone());
        exists.arg(&lock);
        async move { exists.query_async(&mut connection).await == Ok(1) }
    })
    .await;
    let left: Option<u32> = redis::cmd("HGET")
        .arg(format!("bull:{NAME}:{id}"))
        .arg("stc")
        .query_async(&mut connection)
        .await
        .expect("an answer");
    assert_eq!(left, None, "nobody took it for left");
    runs.complete(&id, json!(1));
    node.shut_down().await;
}
