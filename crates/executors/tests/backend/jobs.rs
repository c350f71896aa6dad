//! Ray's Jobs API against an imitation of its dashboard: what the real one cannot be made to do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use quintet_core::outcome::{Outcome, Work};
use quintet_engine::executor::Executor;
use quintet_executors::backend::{BackendSettings, Kind};
use serde_json::{Value, json};

use super::support::{Answer, Seen, Target, answer, work};
use super::{PATIENCE, Rig, until};

/// Jobs by id, with the words that looks at them give: the last one stays.
#[derive(Default)]
struct Jobs {
    planned: Vec<&'static str>,
    jobs: BTreeMap<String, Vec<&'static str>>,
    /// Answers with this instead, while there are any.
    troubles: Vec<Trouble>,
}

enum Trouble {
    Status(u16),
    /// What comes back is no answer.
    Lost,
}

type Shared = Arc<Mutex<Jobs>>;

fn respond(shared: &Shared, seen: &Seen) -> Answer {
    let mut jobs = shared.lock().expect("lock");
    if seen.path == "/api/version" {
        return answer(200, "", "{}");
    }
    if seen.method == "POST" && seen.path == "/api/jobs/" {
        let body: Value = serde_json::from_str(&seen.body).expect("JSON");
        let id = body["submission_id"].as_str().expect("an id").to_owned();
        if jobs.jobs.contains_key(&id) {
            return answer(
                500,
                "",
                &format!("ValueError: Job with submission_id {id} already exists."),
            );
        }
        let planned = jobs.planned.clone();
        jobs.jobs.insert(id, planned);
        return match jobs.troubles.pop() {
            Some(Trouble::Lost) => Answer::Raw(b"\r\nnonsense\r\n\r\n".to_vec()),
            Some(Trouble::Status(status)) => answer(status, "", "trouble"),
            None => answer(200, "", "{}"),
        };
    }
    if let Some(Trouble::Status(status)) = jobs.troubles.pop() {
        return answer(status, "", "trouble");
    }
    let path = seen.path.strip_prefix("/api/jobs/").expect("a job");
    let (id, what) = path.split_once('/').unwrap_or((path, ""));
    let Some(words) = jobs.jobs.get_mut(id) else {
        return answer(404, "", "no such job");
    };
    match what {
        "logs" => answer(
            200,
            "",
            &json!({ "logs": format!("{}the end", "x".repeat(10_000)) }).to_string(),
        ),
        "stop" => {
            *words = vec!["STOPPED"];
            answer(200, "", r#"{"stopped":true}"#)
        }
        _ => {
            let word = if words.len() > 1 { words.remove(0) } else { words[0] };
            answer(
                200,
                "",
                &json!({ "status": word, "message": format!("is {word}\nand more") }).to_string(),
            )
        }
    }
}

async fn dashboard(planned: &[&'static str]) -> (Target, Shared, Rig) {
    let shared = Shared::default();
    shared.lock().expect("lock").planned = planned.to_vec();
    let jobs = Arc::clone(&shared);
    let target = Target::start(move |seen| respond(&jobs, seen)).await;
    let rig = Rig::new(vec![(
        "ray-jobs",
        BackendSettings::new(Kind::RayJobs, &target.url("/")),
    )]);
    (target, shared, rig)
}

fn job(payload: Value) -> Value {
    json!({ "type": "job", "payload": payload, "backend": "ray-jobs" })
}

fn run() -> Value {
    job(json!({ "entrypoint": "python a.py" }))
}

fn submissions(target: &Target) -> Vec<Value> {
    let seen = target.seen();
    let posts = seen
        .iter()
        .filter(|seen| seen.method == "POST" && seen.path == "/api/jobs/");
    posts
        .map(|seen| serde_json::from_str(&seen.body).expect("JSON"))
        .collect()
}

#[tokio::test]
async fn a_job_is_submitted_and_followed_to_its_end() {
    let (target, _, rig) = dashboard(&["PENDING", "RUNNING", "SUCCEEDED"]).await;
    let payload = json!({ "entrypoint": "python a.py", "entrypoint_num_cpus": 1, "metadata": { "a": "b" } });
    let output = rig.succeed(job(payload.clone())).await.output;
    let [sent] = &submissions(&target)[..] else {
        panic!("one submission expected")
    };
    assert_eq!(
        (&sent["entrypoint"], &sent["metadata"]),
        (&payload["entrypoint"], &payload["metadata"])
    );
    assert_eq!(
        (&output["submission_id"], &output["status"]),
        (&sent["submission_id"], &json!("SUCCEEDED"))
    );
    let logs = output["logs"].as_str().expect("logs");
    assert!(logs.len() == 8 * 1024 && logs.ends_with("the end"));
    let id = sent["submission_id"].as_str().expect("an id");
    assert_eq!(rig.backends.logs("ray-jobs", id).await.expect("logs"), logs);
}

#[tokio::test]
async fn an_attempt_that_is_made_again_under_another_token_finds_its_job() {
    let (target, _, rig) = dashboard(&["RUNNING", "RUNNING", "SUCCEEDED"]).await;
    let first = work("backend", run());
    let mut again = first.clone();
    again.token.attempt += 1;
    let ids: Vec<Value> = [outputs(&rig, first).await, outputs(&rig, again).await].to_vec();
    assert_eq!(ids[0], ids[1]);
    assert_eq!(submissions(&target).len(), 2, "the second one was told that it exists");

    let mut retry = work("backend", run());
    retry.attempt += 1;
    assert_ne!(outputs(&rig, retry).await, ids[0], "a retry is a job of its own");
    let mut other = work("backend", run());
    other.step = "other".to_owned();
    assert_ne!(outputs(&rig, other).await, ids[0]);
}

async fn outputs(rig: &Rig, work: Work) -> Value {
    match rig.remote.execute(work).await {
        Outcome::Succeeded(success) => success.output["submission_id"].clone(),
        Outcome::Failed(failure) => panic!("failed: {failure:?}"),
    }
}

#[tokio::test]
async fn a_job_that_ended_badly_before_is_run_anew() {
    let (target, shared, rig) = dashboard(&["FAILED"]).await;
    let failure = rig.fail(run()).await;
    assert_eq!(
        (failure.message.as_str(), failure.kind.as_deref()),
        ("Ray job FAILED: is FAILED", Some("job_ended"))
    );
    let detail = failure.detail.expect("detail");
    assert_eq!(detail["message"], "is FAILED\nand more");
    assert!(detail["logs"].as_str().is_some_and(|logs| logs.ends_with("the end")));
    shared.lock().expect("lock").planned = vec!["SUCCEEDED"];
    rig.succeed(run()).await;
    let ids: Vec<Value> = submissions(&target)
        .iter()
        .map(|sent| sent["submission_id"].clone())
        .collect();
    let first = ids[0].as_str().expect("an id");
    assert_eq!(ids, [json!(first), json!(first), json!(format!("{first}-2"))]);
}

#[tokio::test]
async fn a_lost_answer_to_a_submission_is_no_failure() {
    let (target, shared, rig) = dashboard(&["RUNNING", "SUCCEEDED"]).await;
    shared.lock().expect("lock").troubles = vec![Trouble::Lost];
    rig.succeed(run()).await;
    assert_eq!(submissions(&target).len(), 1);
    assert!(!rig.backends.is_open("ray-jobs"));
}

#[tokio::test]
async fn a_dashboard_that_is_away_for_a_while_fails_nothing() {
    let (target, shared, rig) = dashboard(&["RUNNING", "SUCCEEDED"]).await;
    let attempt = rig.succeed(run());
    let trouble = async {
        until(|| !submissions(&target).is_empty()).await;
        let mut jobs = shared.lock().expect("lock");
        jobs.troubles = (0..3).map(|_| Trouble::Status(503)).collect();
    };
    let (success, ()) = tokio::join!(attempt, trouble);
    assert_eq!(success.output["status"], "SUCCEEDED");
}

#[tokio::test]
async fn a_job_that_is_gone_is_lost_and_may_be_retried() {
    let (target, shared, rig) = dashboard(&["RUNNING"]).await;
    let attempt = rig.fail(run());
    let restart = async {
        until(|| !submissions(&target).is_empty()).await;
        shared.lock().expect("lock").jobs.clear();
    };
    let (failure, ()) = tokio::join!(attempt, restart);
    assert_eq!((failure.kind.as_deref(), failure.retryable), (Some("lost"), None));
}

#[tokio::test]
async fn a_job_is_stopped_when_its_attempt_is_called_off_or_takes_too_long() {
    let (_target, shared, rig) = dashboard(&["RUNNING"]).await;
    let stopped = || {
        let jobs = shared.lock().expect("lock");
        jobs.jobs.values().filter(|words| **words == ["STOPPED"]).count()
    };
    let work = work("backend", run());
    {
        let attempt = rig.remote.execute(work.clone());
        tokio::pin!(attempt);
        tokio::select! {
            biased;
            outcome = &mut attempt => panic!("{outcome:?}"),
            () = until(|| !shared.lock().expect("lock").jobs.is_empty()) => {}
        }
    }
    assert_eq!(stopped(), 0);
    rig.remote.called_off(work.clone()).await;
    assert_eq!(stopped(), 1);

    let mut slow = work;
    slow.attempt += 1;
    slow.input["timeout_ms"] = json!(50);
    let outcome = tokio::time::timeout(PATIENCE, rig.remote.execute(slow))
        .await
        .expect("in time");
    let Outcome::Failed(failure) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((failure.kind.as_deref(), stopped()), (Some("timeout"), 2));
}

#[tokio::test]
async fn a_wrong_payload_is_refused_before_anything_is_asked() {
    let (target, _, rig) = dashboard(&["SUCCEEDED"]).await;
    let failure = rig.fail(job(json!({ "entrypoint": "x", "entry": 1 }))).await;
    assert_eq!(
        (failure.retryable, failure.kind.as_deref()),
        (Some(false), Some("invalid_input"))
    );
    assert!(failure.message.contains("unknown key `entry`"), "{}", failure.message);
    assert!(submissions(&target).is_empty());
}

#[tokio::test]
async fn a_refused_submission_is_told_with_its_text() {
    let (_target, shared, rig) = dashboard(&["SUCCEEDED"]).await;
    // The job is taken back, as one that never came to be.
    shared.lock().expect("lock").troubles = vec![Trouble::Status(404), Trouble::Status(400)];
    let failure = rig.fail(run()).await;
    assert_eq!(
        (failure.message.as_str(), failure.retryable),
        ("Ray error: 400 - trouble", Some(false))
    );
}

#[tokio::test]
async fn an_id_cannot_lead_out_of_the_folder_of_jobs() {
    let (target, _, rig) = dashboard(&["SUCCEEDED"]).await;
    for id in ["..", ".", ""] {
        assert!(rig.backends.logs("ray-jobs", id).await.is_err(), "{id}");
    }
    assert!(target.seen().is_empty());
    assert!(rig.backends.logs("ray-jobs", "../a b").await.is_err());
    assert_eq!(target.seen()[0].path, "/api/jobs/..%2Fa%20b/logs");
}
