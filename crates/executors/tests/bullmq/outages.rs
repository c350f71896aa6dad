//! Redis, or the store, goes away while workers are at it.

use std::sync::Arc;

use quintet_core::outcome::Token;
use quintet_executors::bullmq::{JobId, Mode};
use quintet_testkit::bullmq::VERSIONS;
use quintet_testkit::redis::Data;
use serde_json::json;

use crate::{NAME, Node, Shop, keys_of_jobs, look_at, until};

/// Kills Redis while attempts wait, are under way and have just been answered, and counts afterwards.
async fn nothing_is_lost_or_counted_twice(version: &str, data: Data) {
    const ATTEMPTS: usize = 30;
    let mut shop = Shop::open();
    let workers = shop.node.workers();
    let options = json!({ "concurrency": 3, "lockDuration": 2_000, "stalledInterval": 1_000, "maxStalledCount": 5 });
    let mut worker = shop.worker(version, &options);
    let mut tokens = Vec::new();
    for number in 0..ATTEMPTS {
        // The first ten are answered before the server dies, the next three are under way, the others wait.
        let payload = if number < 10 {
            json!({ "number": number })
        } else {
            json!({ "number": number, "gate": "end" })
        };
        tokens.push(shop.ledger.give(&workers, payload, 0).await);
    }
    worker
        .wait_for(|event| event["event"] == "started" && event["data"]["payload"]["number"] == 12)
        .expect("some are under way");
    shop.redis.kill();
    // The worker ends these while nobody can be told.
    worker.order("open", &json!("end")).expect("order");
    shop.redis.revive(data).expect("Redis comes back");

    for (number, token) in tokens.iter().enumerate() {
        assert_eq!(shop.ledger.output(*token).await["echo"]["number"], number);
    }
    until("Redis is empty again", || async {
        let keys = keys_of_jobs(&shop.redis).await;
        keys.iter().all(|key| key.contains(":quintet:"))
    })
    .await;
    for token in tokens {
        assert_eq!(shop.ledger.counted(token), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_killed_mid_flight_with_its_data_kept_loses_nothing_and_nothing_counts_twice() {
    for version in VERSIONS {
        nothing_is_lost_or_counted_twice(version, Data::Kept).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_killed_mid_flight_without_its_data_loses_nothing_and_nothing_counts_twice() {
    for version in VERSIONS {
        nothing_is_lost_or_counted_twice(version, Data::Lost).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_attempt_that_is_handed_over_while_redis_is_away_gets_there_when_it_is_back() {
    let mut shop = Shop::open();
    shop.redis.kill();
    let workers = shop.node.workers();
    let work = shop.ledger.begin(json!({ "x": 1 }), 0);
    let (handing, ()) = tokio::join!(shop.ledger.hand_over(&workers, work), async {
        until("the store answers", || async { true }).await;
        shop.redis.revive(Data::Lost).expect("Redis comes back");
    });
    let _worker = shop.worker(VERSIONS[0], &json!({}));
    assert_eq!(shop.ledger.output(handing).await["echo"]["x"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_stays_in_redis_until_the_store_has_it() {
    let shop = Shop::open();
    let token = shop.ledger.give(&shop.node.workers(), json!({ "x": 1 }), 0).await;
    shop.ledger.set_away(true);
    let _worker = shop.worker(VERSIONS[1], &json!({}));
    until("the answer is brought in vain", || async {
        shop.ledger.turned_away() > 2
    })
    .await;
    assert_eq!(shop.ledger.counted(token), 0);
    assert!(
        keys_of_jobs(&shop.redis)
            .await
            .iter()
            .any(|key| !key.contains(":quintet:"))
    );
    shop.ledger.set_away(false);
    assert_eq!(shop.ledger.output(token).await["echo"]["x"], 1);
}

/// A node is killed, a worker answers, Redis forgets something, and the next node finds the answer.
async fn an_answer_is_found_without(version: &str, forgotten: impl Fn(Token) -> String) {
    let shop = Shop::open();
    let token = shop.ledger.give(&shop.node.workers(), json!({ "x": 1 }), 0).await;
    let (redis, ledger) = (shop.redis, shop.ledger);
    shop.node.crash().await;
    let mut worker = crate::player(version, &redis);
    worker
        .work(&json!({ "removeOnComplete": { "count": 0 } }))
        .expect("it works");
    worker.wait_for(|event| event["event"] == "completed").expect("done");
    let mut connection = look_at(&redis).await;
    let key = format!("bull:{NAME}:{}", forgotten(token));
    let deleted: u32 = redis::cmd("DEL")
        .arg(key)
        .query_async(&mut connection)
        .await
        .expect("an answer");
    assert_eq!(deleted, 1);

    let _next = Node::start(&redis, Mode::Workers, &ledger, &Arc::default());
    assert_eq!(ledger.output(token).await["echo"]["x"], 1);
    let events = worker.wait_for_many(1, "completed").expect("it is done");
    assert_eq!(events.iter().filter(|event| event["event"] == "started").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_that_came_while_no_node_lived_is_found_in_the_job_or_in_the_events() {
    for version in VERSIONS {
        an_answer_is_found_without(version, |_| "events".to_owned()).await;
        an_answer_is_found_without(version, |token| JobId(token).to_string()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_on_one_queue_count_each_answer_once() {
    let shop = Shop::open();
    let other = Node::start(&shop.redis, Mode::Workers, &shop.ledger, &Arc::default());
    let mut tokens = Vec::new();
    for number in 0..20 {
        let node = if number % 2 == 0 { &shop.node } else { &other };
        tokens.push(shop.ledger.give(&node.workers(), json!({ "number": number }), 0).await);
    }
    let worker = shop.worker(VERSIONS[1], &json!({ "concurrency": 4 }));
    for token in &tokens {
        shop.ledger.output(*token).await;
    }
    let events = worker.wait_for_many(tokens.len(), "completed").expect("all are done");
    let started = events.iter().filter(|event| event["event"] == "started").count();
    assert_eq!(started, tokens.len());
    assert!(tokens.iter().all(|token| shop.ledger.counted(*token) == 1));
}
