//! What BullMQ workers do for Quintet.

use quintet_engine::executor::Executor;
use quintet_executors::bullmq::JobId;
use quintet_testkit::bullmq::{Player, VERSIONS};
use serde_json::{Value, json};

use crate::{Shop, keys_of_jobs, until};

/// The jobs that a worker has begun, once it has done so many.
fn begun(worker: &Player, done: usize) -> Vec<Value> {
    let mut events = worker.wait_for_many(done, "completed").expect("they are done");
    events.retain(|event| event["event"] == "started");
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_does_an_attempt_and_its_progress_and_result_come_back() {
    for version in VERSIONS {
        let shop = Shop::open();
        let worker = shop.worker(version, &json!({}));
        let payload = json!({ "frames": [1, 2], "text": "ü", "progress": [25, { "percent": 50.7 }, "nearly"] });
        let token = shop.ledger.give(&shop.node.workers(), payload.clone(), 0).await;

        assert_eq!(shop.ledger.output(token).await["echo"], payload);
        let job = begun(&worker, 1).remove(0);
        assert_eq!(job["name"], "video.render");
        assert_eq!(
            job["data"],
            json!({ "type": "video.render", "payload": payload, "taskId": token.run.to_string(),
                    "stepId": "render", "attempt": 1 })
        );
        assert_eq!(job["id"], JobId(token).to_string());
        // Redis keeps nothing of it but the mark that it is over.
        until("the job leaves Redis", || async {
            keys_of_jobs(&shop.redis).await == [format!("bull:{}:quintet:{}", crate::NAME, JobId(token))]
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn progress_is_noted_while_the_worker_is_at_it() {
    for version in VERSIONS {
        let shop = Shop::open();
        let mut worker = shop.worker(version, &json!({}));
        let payload = json!({ "progress": [10, 10.4, 30], "gate": "end" });
        let token = shop.ledger.give(&shop.node.workers(), payload, 0).await;
        until("progress", || async {
            shop.ledger.progress(token).last() == Some(&(Some(30.0), None))
        })
        .await;
        let percents: Vec<f64> = shop.ledger.progress(token).iter().filter_map(|said| said.0).collect();
        assert!(
            percents.iter().filter(|percent| **percent == 10.0).count() <= 1,
            "{percents:?}"
        );
        worker.order("open", &json!("end")).expect("order");
        shop.ledger.output(token).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failure_comes_back_with_the_class_of_its_error() {
    for version in VERSIONS {
        let shop = Shop::open();
        let _worker = shop.worker(version, &json!({}));
        let workers = shop.node.workers();
        let plain = shop.ledger.give(&workers, json!({ "error": "no gpu left" }), 0).await;
        let last = shop
            .ledger
            .give(&workers, json!({ "unrecoverable": "bad video" }), 0)
            .await;

        let failure = shop.ledger.failure(plain).await;
        assert_eq!(failure.message, "no gpu left");
        assert_eq!((failure.kind.as_deref(), failure.retryable), (Some("Error"), None));
        let failure = shop.ledger.failure(last).await;
        assert_eq!(failure.message, "bad video");
        assert_eq!(
            (failure.kind.as_deref(), failure.retryable),
            (Some("UnrecoverableError"), Some(false))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn higher_priorities_overtake_what_waits_already() {
    for version in VERSIONS {
        let shop = Shop::open();
        let workers = shop.node.workers();
        let mut tokens = Vec::new();
        for (number, priority) in [0, -5, 10, 0, 2_000_000, 10].into_iter().enumerate() {
            tokens.push(shop.ledger.give(&workers, json!({ "number": number }), priority).await);
        }
        let worker = shop.worker(version, &json!({ "concurrency": 1 }));
        for token in tokens {
            shop.ledger.output(token).await;
        }
        let order: Vec<u64> = begun(&worker, 6)
            .iter()
            .filter_map(|job| job["data"]["payload"]["number"].as_u64())
            .collect();
        assert_eq!(order, [4, 2, 5, 0, 3, 1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_workers_own_rules_about_ended_jobs_do_not_lose_results_and_jobs_of_others_stay() {
    for version in VERSIONS {
        let shop = Shop::open();
        let mut worker = shop.worker(
            version,
            &json!({ "removeOnComplete": { "count": 0 }, "removeOnFail": { "count": 0 } }),
        );
        let keep = json!({ "removeOnComplete": false });
        let other = worker.add("mine", &json!({ "x": 1 }), &keep).expect("added");
        worker
            .wait_for(|event| event["event"] == "completed" && event["id"] == *other)
            .expect("done");
        let token = shop.ledger.give(&shop.node.workers(), json!({ "x": 2 }), 0).await;
        assert_eq!(shop.ledger.output(token).await["echo"]["x"], 2);
        until("the job is dropped", || async {
            keys_of_jobs(&shop.redis).await.len() == 1
        })
        .await;
        let looked = worker.ask("look", &json!({ "id": other }), "looked").expect("looked");
        assert_eq!(looked["state"], "completed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_attempt_given_twice_is_one_job() {
    let shop = Shop::open();
    let workers = shop.node.workers();
    let work = shop.ledger.begin(json!({}), 0);
    shop.ledger.hand_over(&workers, work.clone()).await;
    let token = shop.ledger.hand_over(&workers, work.clone()).await;
    let worker = shop.worker(VERSIONS[1], &json!({}));
    shop.ledger.output(token).await;
    until("the job is dropped", || async {
        keys_of_jobs(&shop.redis).await.len() == 1
    })
    .await;
    // Somebody who was slow to give it comes when it is over.
    shop.ledger.hand_over(&workers, work).await;
    assert_eq!(
        keys_of_jobs(&shop.redis).await.len(),
        1,
        "only the mark that it is over"
    );
    assert_eq!(begun(&worker, 1).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_attempt_that_is_called_off_never_gets_to_a_worker() {
    for version in VERSIONS {
        let shop = Shop::open();
        let workers = shop.node.workers();
        let called_off = shop.ledger.give(&workers, json!({ "number": 1 }), 5).await;
        shop.ledger.call_off(called_off);
        workers.withdrawn(called_off);
        // Of another one nobody says that it is called off; it is noticed.
        let unsaid = shop.ledger.give(&workers, json!({ "number": 2 }), 5).await;
        shop.ledger.call_off(unsaid);
        until("both jobs are gone", || async {
            keys_of_jobs(&shop.redis).await.len() == 2
        })
        .await;

        let worker = shop.worker(version, &json!({}));
        let last = shop.ledger.give(&workers, json!({ "number": 3 }), 0).await;
        shop.ledger.output(last).await;
        assert_eq!(begun(&worker, 1).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_answer_of_an_attempt_that_was_called_off_is_refused_and_its_job_dropped() {
    for version in VERSIONS {
        let shop = Shop::open();
        let mut worker = shop.worker(version, &json!({}));
        let token = shop
            .ledger
            .give(&shop.node.workers(), json!({ "gate": "end" }), 0)
            .await;
        worker.wait_for(|event| event["event"] == "started").expect("started");
        shop.ledger.call_off(token);
        shop.node.workers().withdrawn(token);
        worker.order("open", &json!("end")).expect("order");
        shop.ledger.until_refused(token).await;
        until("the job is dropped", || async {
            keys_of_jobs(&shop.redis).await.len() == 1
        })
        .await;
        assert_eq!(shop.ledger.counted(token), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_is_killed_is_followed_by_another_one_and_the_answer_counts_once() {
    for version in VERSIONS {
        let shop = Shop::open();
        let quick = json!({ "lockDuration": 1_000, "stalledInterval": 500, "maxStalledCount": 1 });
        let first = shop.worker(version, &quick);
        let token = shop
            .ledger
            .give(&shop.node.workers(), json!({ "gate": "end" }), 0)
            .await;
        first.wait_for(|event| event["event"] == "started").expect("started");
        first.kill();

        let mut second = shop.worker(version, &quick);
        second.order("open", &json!("end")).expect("order");
        let output = shop.ledger.output(token).await;
        assert_eq!(output["echo"]["gate"], "end");
        assert_eq!(shop.ledger.counted(token), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_that_bullmq_gives_up_because_its_workers_die_may_be_tried_again_by_quintet() {
    for version in VERSIONS {
        let shop = Shop::open();
        let quick = json!({ "lockDuration": 1_000, "stalledInterval": 500, "maxStalledCount": 0 });
        let first = shop.worker(version, &quick);
        let token = shop
            .ledger
            .give(&shop.node.workers(), json!({ "gate": "end" }), 0)
            .await;
        first.wait_for(|event| event["event"] == "started").expect("started");
        first.kill();

        let _second = shop.worker(version, &quick);
        let failure = shop.ledger.failure(token).await;
        assert_eq!(
            (failure.kind.as_deref(), failure.retryable),
            (Some("stalled"), Some(true))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_given_while_the_queue_is_paused_waits_until_it_is_resumed() {
    for version in VERSIONS {
        let shop = Shop::open();
        let mut worker = shop.worker(version, &json!({}));
        worker.ask("pause", &Value::Null, "paused").expect("paused");
        let token = shop.ledger.give(&shop.node.workers(), json!({}), 0).await;
        let id = JobId(token).to_string();
        let looked = worker.ask("look", &json!({ "id": id }), "looked").expect("looked");
        assert_eq!(looked["state"], "prioritized");
        worker.ask("resume", &Value::Null, "resumed").expect("resumed");
        shop.ledger.output(token).await;
    }
}
