//! Ray's Jobs API: a job is submitted, looked at now and again, and stopped when nobody wants it any more.
//!
//! The id of a job follows from the run, the step and the count of the attempt, not from the attempt's token: when a node
//! dies its attempts are made again under another token, and the one that is made again must find the job that is there.
//! A job that has ended badly is not taken up: its failure was told already, or the step was reset to run anew. Then the
//! next id in a row is used (`...-2`, `...-3`).
//!
//! Once a job is there it does not depend on the connection, so a dashboard that cannot be reached fails nothing: the look
//! is repeated until the attempt's time is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quintet_core::outcome::{Failure, Outcome, Success, Token, Work};
use quintet_engine::tasks;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::Order;
use super::member::{Member, Pass};
use super::settings::below;
use super::wire::{Presence, presence_of, presence_without_answer};
use crate::egress::{CallError, Reply};

/// What an order for a job may hold.
const KEYS: [&str; 6] = [
    "entrypoint",
    "runtime_env",
    "entrypoint_num_cpus",
    "entrypoint_num_gpus",
    "entrypoint_resources",
    "metadata",
];
/// Jobs of one attempt that may have ended badly before it.
const MAX_IN_A_ROW: u32 = 100;
/// How much of what a job wrote is kept, from its end.
const LOG_BYTES: usize = 8 * 1024;
/// For everything that is asked of the dashboard.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pauses before a job is told again to stop: one that has just been submitted cannot be stopped yet.
const STOP_PAUSES_MS: [u64; 5] = [200, 500, 1_000, 2_000, 4_000];
const INVALID: &str = "invalid_input";

/// The jobs that attempts of this process have begun.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<HashMap<Token, String>>);

impl Ledger {
    fn put(&self, token: Token, id: &str) {
        self.jobs().insert(token, id.to_owned());
    }

    /// Forgets the job of an attempt, and tells which it was.
    pub fn take(&self, token: Token) -> Option<String> {
        self.jobs().remove(&token)
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<Token, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job as the dashboard tells of it.
struct Job {
    id: String,
    status: Status,
    /// The status in its own word.
    word: String,
    message: Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Live,
    Succeeded,
    /// It failed, or was stopped.
    Ended,
}

/// Does an attempt.
pub(super) async fn execute(member: &Arc<Member>, order: &Order, work: &Work) -> Outcome {
    let request = match request(&order.payload) {
        Ok(request) => request,
        Err(problem) => return Outcome::Failed(Failure::permanent(INVALID, problem)),
    };
    let mut pass = match member.admit().await {
        Ok(pass) => pass,
        Err(failure) => return Outcome::Failed(failure),
    };
    let timeout = order.timeout.unwrap_or(member.timeout);
    let doing = async {
        let job = submit(member, &mut pass, request, work).await?;
        follow(member, job).await
    };
    let result = tokio::time::timeout(timeout, doing).await;
    let id = member.jobs.take(work.token);
    let outcome = match result {
        Ok(Ok(success)) => Outcome::Succeeded(success),
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(_) => {
            if let Some(id) = id {
                stop(member, &id).await;
            }
            let text = format!(
                "{} error: the job took more than {} ms",
                member.wire.label,
                timeout.as_millis()
            );
            Outcome::Failed(Failure::new("timeout", text))
        }
    };
    pass.close(&outcome);
    outcome
}

/// The text of a job's log, its last part.
pub(super) async fn logs(member: &Member, id: &str) -> Result<String, Failure> {
    // Dots alone would lead out of the folder of jobs.
    if id.bytes().all(|byte| byte == b'.') {
        return Err(Failure::permanent(INVALID, format!("`{id}` is no id of a job")));
    }
    let reply = ask(member, &job_url(member, id, "/logs")).await;
    let reply = reply.map_err(|error| member.wire.no_answer(&error))?;
    if !reply.status.is_success() {
        return Err(member.wire.refusal(&reply));
    }
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    Ok(tail(answer["logs"].as_str().unwrap_or_default()).to_owned())
}

/// Stops a job, as far as that can be done.
pub(super) async fn stop(member: &Member, id: &str) {
    let url = job_url(member, id, "/stop");
    for pause_ms in STOP_PAUSES_MS {
        let answer = member
            .client
            .call(member.wire.post(url.clone(), None, ANSWER_TIMEOUT))
            .await;
        let told = answer.ok().filter(|reply| reply.status.is_success());
        let told: Value = told
            .and_then(|reply| serde_json::from_slice(&reply.body).ok())
            .unwrap_or_default();
        if told["stopped"] == true {
            tracing::debug!(backend = &*member.name, job = id, "a job was stopped");
            return;
        }
        // What was not stopped may be over.
        if let Ok(Some(job)) = look(member, id).await.map_err(|_| ())
            && job.status != Status::Live
        {
            return;
        }
        tasks::pause(Some(Duration::from_millis(pause_ms))).await;
    }
    tracing::warn!(backend = &*member.name, job = id, "a job could not be stopped");
}

/// What is submitted, without its id.
fn request(payload: &Value) -> Result<Map<String, Value>, String> {
    let Some(payload) = payload.as_object() else {
        return Err("the payload of a job must be an object with `entrypoint`".to_owned());
    };
    if let Some(key) = payload.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!(
            "the payload of a job has an unknown key `{key}`: known are {}",
            KEYS.join(", ")
        ));
    }
    match payload.get("entrypoint") {
        Some(Value::String(entrypoint)) if !entrypoint.trim().is_empty() => Ok(payload.clone()),
        _ => Err("the payload of a job must have an `entrypoint`, which is a command".to_owned()),
    }
}

/// Submits a job, or finds the one that was submitted before: its id.
async fn submit(
    member: &Arc<Member>,
    pass: &mut Pass,
    mut request: Map<String, Value>,
    work: &Work,
) -> Result<String, Failure> {
    for number in 1..=MAX_IN_A_ROW {
        let id = submission_id(work, number);
        request.insert("submission_id".to_owned(), id.clone().into());
        // Before it is sent: whoever calls the attempt off must know what may be there.
        member.jobs.put(work.token, &id);
        let call = member.wire.post(
            member.wire.run.clone(),
            Some(&Value::Object(request.clone())),
            ANSWER_TIMEOUT,
        );
        let answer = member.client.call(call).await;
        if let Ok(reply) = &answer
            && reply.status.is_success()
        {
            pass.learn(Presence::There).await;
            return Ok(id);
        }
        let is_answered = answer.is_ok();
        match look(member, &id).await {
            // Whether an answer got lost, or it was there before.
            Ok(Some(job)) if job.status != Status::Ended || !is_answered => {
                pass.learn(Presence::There).await;
                return Ok(id);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                let (failure, presence) = match answer {
                    Ok(reply) => (member.wire.refusal(&reply), presence_of(&reply)),
                    Err(error) => (member.wire.no_answer(&error), presence_without_answer(&error)),
                };
                pass.learn(presence).await;
                return Err(failure);
            }
        }
    }
    let text = format!(
        "{} error: {MAX_IN_A_ROW} jobs of this attempt have ended badly",
        member.wire.label
    );
    Err(Failure::permanent("too_many_jobs", text))
}

/// Waits for the end of a job.
async fn follow(member: &Arc<Member>, id: String) -> Result<Success, Failure> {
    let mut pause_ms = member.rules.job_poll_min_ms;
    loop {
        tasks::pause(Some(Duration::from_millis(pause_ms))).await;
        pause_ms = (pause_ms + pause_ms / 4 + 1).min(member.rules.job_poll_max_ms);
        match look(member, &id).await {
            Ok(Some(job)) if job.status == Status::Live => {}
            Ok(Some(job)) => return conclude(member, job).await,
            Ok(None) => {
                let text = format!("{} error: job {id} is gone", member.wire.label);
                return Err(Failure::new("lost", text));
            }
            Err(Blind::Away(presence)) => member.learn(presence).await,
            Err(Blind::Refused(failure)) => return Err(failure),
        }
    }
}

async fn conclude(member: &Member, job: Job) -> Result<Success, Failure> {
    // A job whose log cannot be had has still ended as it has.
    let logs = match logs(member, &job.id).await {
        Ok(logs) => logs,
        Err(failure) => format!("(no logs: {})", failure.message),
    };
    let told = json!({ "submission_id": job.id, "status": job.word, "message": job.message, "logs": logs });
    if job.status == Status::Succeeded {
        return Ok(Success {
            output: told.into(),
            ..Success::default()
        });
    }
    let text = match job
        .message
        .as_str()
        .map(|message| message.lines().next().unwrap_or_default())
    {
        Some(message) if !message.is_empty() => format!("{} job {}: {message}", member.wire.label, job.word),
        _ => format!("{} job {}", member.wire.label, job.word),
    };
    Err(Failure {
        detail: Some(told),
        ..Failure::new("job_ended", text)
    })
}

/// Why nothing is known of a job.
enum Blind {
    /// Nobody answers at the moment.
    Away(Presence),
    Refused(Failure),
}

/// Looks at a job; `None` where there is no such one.
async fn look(member: &Member, id: &str) -> Result<Option<Job>, Blind> {
    let reply = match ask(member, &job_url(member, id, "")).await {
        Ok(reply) => reply,
        Err(error) if error.is_permanent() => return Err(Blind::Refused(member.wire.no_answer(&error))),
        Err(error) => return Err(Blind::Away(presence_without_answer(&error))),
    };
    match reply.status.as_u16() {
        404 => return Ok(None),
        408 | 425 | 429 | 500.. => return Err(Blind::Away(presence_of(&reply))),
        200..300 => {}
        _ => return Err(Blind::Refused(member.wire.refusal(&reply))),
    }
    let mut told: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let word = told["status"].as_str().unwrap_or("UNKNOWN").to_owned();
    Ok(Some(Job {
        id: id.to_owned(),
        status: match word.as_str() {
            "SUCCEEDED" => Status::Succeeded,
            "FAILED" | "STOPPED" => Status::Ended,
            _ => Status::Live,
        },
        word,
        message: told["message"].take(),
    }))
}

async fn ask(member: &Member, url: &Url) -> Result<Reply, CallError> {
    member.client.call(member.wire.read(url.clone(), ANSWER_TIMEOUT)).await
}

fn job_url(member: &Member, id: &str, tail: &str) -> Url {
    // Ids of ours are plain; one that a client asks for may be anything, and stays one part of the path.
    let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    below(&member.wire.run, &format!("{}{tail}", id.replace('+', "%20")))
}

/// The same for every attempt that has this count, whichever node makes it.
fn submission_id(work: &Work, number: u32) -> String {
    let step: String = Sha256::digest(work.step.as_bytes())[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let id = format!("{}-{step}-{}", work.token.run, work.attempt);
    if number == 1 { id } else { format!("{id}-{number}") }
}

/// Id of the job that an attempt submits, if no job of this attempt has ended badly before.
pub fn job_id(work: &Work) -> String {
    submission_id(work, 1)
}

/// The last part of a text, from the beginning of a character.
fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(LOG_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_checked_and_a_wrong_key_is_named() {
        assert!(
            request(&json!({ "entrypoint": "python a.py", "metadata": { "a": "b" }, "entrypoint_num_gpus": 0.5 }))
                .is_ok()
        );
        for (payload, part) in [
            (json!("python a.py"), "must be an object"),
            (json!({}), "must have an `entrypoint`"),
            (json!({ "entrypoint": " " }), "must have an `entrypoint`"),
            (
                json!({ "entrypoint": "x", "entry_point": "y" }),
                "unknown key `entry_point`",
            ),
            (
                json!({ "entrypoint": "x", "submission_id": "y" }),
                "unknown key `submission_id`",
            ),
        ] {
            let problem = request(&payload).expect_err("refused");
            assert!(problem.contains(part), "{payload}: {problem}");
        }
    }

    #[test]
    fn the_end_of_a_log_is_kept_and_no_character_is_cut() {
        assert_eq!(tail("short"), "short");
        let long = format!("é{}", "x".repeat(LOG_BYTES - 1));
        assert_eq!(tail(&long), "x".repeat(LOG_BYTES - 1));
    }
}
