//! What workers call: to register, to show that they are alive, and to answer.
//!
//! Their SDK sends no credentials, repeats nothing and reads hardly any answer. So where a token is configured it may be
//! the beginning of the path; what they say is stored before they are answered; and where the store is away for a moment
//! they are made to wait, because what is not taken now is lost.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use quintet_core::command::{Command, Rejected};
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::outcome::{Failure, Outcome, Success, Token};
use quintet_core::state::RunState;
use quintet_engine::{Applied, EngineError, tasks};
use quintet_executors::storage::Key;
use serde_json::{Map, Value, json};
use url::Url;

use super::body::Json;
use super::directory::RegisterError;
use super::public_id::AttemptId;
use super::register_request::Registration;
use super::reply::{self, Answer, Refusal};
use super::state::Pipelines;
use super::zod_error::{self, Fields, Findings, Range};
use crate::app::App;
use crate::http::{Caller, PeerAddress};
use crate::identity::Permission;

/// How long an answer of a worker waits for a store that is away.
const PATIENCE_MS: u64 = 30_000;
const BREATH: Duration = Duration::from_millis(200);
/// Longest text of a worker that is kept, in characters.
const MAX_TEXT: usize = 8_192;

/// Lets a worker in: with its token, with a key of those who work, or where nobody needs either.
pub(super) struct Worker;

impl Worker {
    fn admit(app: &App, token: Option<&str>, headers: &HeaderMap, caller: &Caller) -> Result<Self, Refusal> {
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.split_once(' '));
        let shown = token.or(bearer.map(|(_, token)| token.trim()));
        let is_let_in = match (&app.pipelines.worker_secret, shown) {
            (Some(secret), Some(shown)) if is_same(secret, shown) => true,
            // A wrong token in the path is a mistake that should be heard of.
            (_, Some(_)) if token.is_some() => false,
            (Some(_), _) => !caller.is_anonymous() && caller.may(Permission::WorkerExecute),
            (None, _) => caller.may(Permission::WorkerExecute),
        };
        if is_let_in {
            return Ok(Self);
        }
        tracing::warn!("a worker without a valid token was turned away");
        let message = "start the worker with orchestratorUrl http://HOST:PORT/w/<pipelines.worker_token>";
        Err(Refusal::new(StatusCode::UNAUTHORIZED, "Unauthorized").because(message))
    }
}

/// Compared to the end, so that time tells nothing.
fn is_same(secret: &str, shown: &str) -> bool {
    let difference = secret.bytes().zip(shown.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    secret.len() == shown.len() && std::hint::black_box(difference) == 0
}

/// Everything of a request by which a worker is let in.
pub(super) struct Knock {
    token: Option<String>,
    headers: HeaderMap,
    caller: Caller,
}

impl<S: Send + Sync> FromRequestParts<S> for Knock {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut http::request::Parts, state: &S) -> Result<Self, Refusal> {
        let path = axum::extract::RawPathParams::from_request_parts(parts, state).await;
        let token = path.ok().and_then(|path| {
            let token = path.iter().find(|(name, _)| *name == "token");
            token.map(|(_, value)| value.to_owned())
        });
        let Ok(caller) = Caller::from_request_parts(parts, state).await;
        Ok(Self {
            token,
            headers: parts.headers.clone(),
            caller,
        })
    }
}

impl Knock {
    fn enter(&self, app: &App) -> Result<Worker, Refusal> {
        Worker::admit(app, self.token.as_deref(), &self.headers, &self.caller)
    }

    /// Whether it may say anything about this attempt: a key that names services speaks for those only.
    async fn is_about_its_own(&self, app: &App, token: Token) -> bool {
        if self.caller.queues().is_none() {
            return true;
        }
        let task = task_of(app, token).await;
        let picture = app.pipelines.directory.picture();
        let task = task.and_then(|task| picture.task(&task));
        task.is_some_and(|task| self.caller.serves(&task.service))
    }
}

pub(super) async fn register(State(app): State<Arc<App>>, knock: Knock, peer: PeerAddress, body: Json) -> Answer {
    knock.enter(&app)?;
    let pipelines = &app.pipelines;
    let registration = Registration::read(&body.or_empty(), pipelines.settings.max_retry_delay_ms)?;
    if !knock.caller.serves(&registration.service_id) {
        let message = format!("this key is not for the service `{}`", registration.service_id);
        return Err(Refusal::new(StatusCode::FORBIDDEN, "Forbidden").because(message));
    }
    let url = pipelines.reachable(&registration, peer)?;
    let now = pipelines.clock.now();
    let registered = pipelines.directory.register(&registration, &url, now).await;
    let registered = registered.map_err(|error| match error {
        RegisterError::Taken { .. } => Refusal::conflict("Registration failed").because(error.to_string()),
        RegisterError::Busy => Refusal::unavailable("Registration failed").because(error.to_string()),
        RegisterError::Store(error) => error.into(),
    })?;
    let service: Arc<str> = registration.service_id.as_str().into();
    pipelines.contacts.heard(&service, now);
    pipelines.serve(&app.engine);
    app.engine.store().hint();
    tracing::info!(
        service = &*service,
        version = registration.version,
        tasks = registration.tasks.len(),
        url = %url,
        "service registered"
    );
    for task in &registered.orphans {
        super::orphans::cancel(&app, task, &registration.version).await?;
    }
    let mut answer = json!({ "success": true, "codeChanges": registered.changes });
    if !registered.orphans.is_empty() {
        answer["orphanedTasks"] = json!(registered.orphans);
    }
    Ok(reply::json(&answer))
}

impl Pipelines {
    /// Where a service is called: the operator's word goes before its own, and a loopback host of one that registers from
    /// elsewhere means the machine it registers from.
    fn reachable(&self, registration: &Registration, peer: PeerAddress) -> Result<Url, Refusal> {
        let wrong = |reason: String| Refusal::bad("Registration failed").because(format!("baseUrl: {reason}"));
        let own = self.settings.worker_urls.get(&registration.service_id);
        let url = Url::parse(own.unwrap_or(&registration.base_url)).map_err(|error| wrong(error.to_string()))?;
        let url = if own.is_none() {
            seen_from_here(url, peer.0)
        } else {
            url
        };
        let admitted = self.client.guard().admit_url(&url);
        admitted.map_err(|refusal| wrong(refusal.to_string()))?;
        Ok(url)
    }
}

/// What a worker on another machine calls localhost is that machine.
fn seen_from_here(mut url: Url, peer: Option<IpAddr>) -> Url {
    if let Some(peer) = peer.filter(|peer| !peer.is_loopback())
        && is_loopback(&url)
        && url.set_ip_host(peer).is_err()
    {
        tracing::debug!(url = %url, "a url that has no host");
    }
    url
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(url::Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        None => false,
    }
}

/// A sign of life; the original's two endpoints differ in name only.
pub(super) async fn heartbeat(State(app): State<Arc<App>>, knock: Knock, body: Json) -> Answer {
    knock.enter(&app)?;
    let body = body.or_empty();
    let mut found = Findings::default();
    let fields = Fields::of(Some(&body), zod_error::Path::root(), &mut found);
    let read = fields.map(|fields| {
        let run = fields.text("runId", &mut found);
        let progress = fields.optional_number("progress", Range::from(0.0).to(100.0), &mut found);
        let message = fields.optional_text("message", &mut found);
        (run, progress, message)
    });
    let Some((Some(run), progress, message)) = read.filter(|_| !found.is_any()) else {
        return Err(found.into());
    };
    let must_stop = match AttemptId::parse(run) {
        Some(attempt) if knock.is_about_its_own(&app, attempt.token()).await => {
            let command = Command::Heartbeat {
                token: attempt.token(),
                progress,
                message: message.map(shortened),
            };
            must_stop(patiently(&app, attempt.token(), command).await)?
        }
        Some(_) | None => false,
    };
    Ok(reply::json(&json!({ "acknowledged": true, "shouldCancel": must_stop })))
}

/// Whether whoever gives a sign of life works in vain: its run was called off, or another attempt has taken its place.
fn must_stop(answer: Result<Applied, EngineError>) -> Result<bool, Refusal> {
    match answer {
        Ok(_) => Ok(false),
        Err(EngineError::Rejected(Rejected::Superseded { .. } | Rejected::Expired { .. })) => Ok(true),
        Err(EngineError::Rejected(_) | EngineError::RunNotFound(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// Carries out what a worker asks for, also if the store is away for a while.
async fn patiently(app: &App, token: Token, command: Command) -> Result<Applied, EngineError> {
    let until = app.pipelines.clock.now().plus_ms(PATIENCE_MS);
    loop {
        let answer = app
            .engine
            .command(&app.pipelines.namespace, token.run, command.clone())
            .await;
        match answer {
            Err(error) if error.is_retryable() && app.pipelines.clock.now() < until => {
                tracing::debug!(error = %error, "a worker waits for the store");
                tasks::pause(Some(BREATH)).await;
            }
            answer => return answer,
        }
    }
}

/// What a worker says of the end of an attempt.
struct Callback {
    outcome: Outcome,
    /// Of workers that know it.
    attempt: Option<u32>,
}

pub(super) async fn callback(
    State(app): State<Arc<App>>,
    knock: Knock,
    Path(path): Path<std::collections::HashMap<String, String>>,
    body: Json,
) -> Answer {
    knock.enter(&app)?;
    let id = path.get("id").map(String::as_str).unwrap_or_default();
    let unknown = || Refusal::not_found("Task run not found", "taskRunId", id);
    let callback = Callback::read(&body.or_empty())?;
    let attempt = AttemptId::parse(id).ok_or_else(unknown)?;
    let token = Token {
        attempt: callback.attempt.unwrap_or(attempt.attempt),
        ..attempt.token()
    };
    if !knock.is_about_its_own(&app, token).await {
        return Err(unknown());
    }
    let is_success = matches!(callback.outcome, Outcome::Succeeded(_));
    let outcome = callback.outcome.known_to(&app, token).await;
    let command = Command::Complete { token, outcome };
    match patiently(&app, token, command).await {
        Ok(applied) if applied.changed => Ok(told(&applied.state, token, is_success)),
        // The very same answer again: the worker did not hear that the first one arrived.
        Ok(_) => Ok(acknowledged(is_success, 0, false)),
        // The first word of an attempt stands, and later ones are thanked for.
        Err(EngineError::Rejected(rejected)) => {
            tracing::info!(run = id, reason = %rejected, "a late or repeated callback changes nothing");
            match rejected {
                Rejected::UnknownStep(_) | Rejected::NeverIssued { .. } => Err(unknown()),
                _ => Ok(acknowledged(is_success, 0, false)),
            }
        }
        Err(EngineError::RunNotFound(_)) => Err(unknown()),
        Err(error) => Err(Refusal::from(error)),
    }
}

trait Known {
    async fn known_to(self, app: &App, token: Token) -> Outcome;
}

impl Known for Outcome {
    /// Adds which code has answered: the one that is registered now, which is the one that the worker has.
    async fn known_to(mut self, app: &App, token: Token) -> Outcome {
        let picture = app.pipelines.directory.picture();
        let task = task_of(app, token).await;
        let Some(task) = task.and_then(|task| picture.task(&task)) else {
            return self;
        };
        if let Some(service) = picture.services.get(&task.service) {
            app.pipelines.contacts.heard(&service.id, app.pipelines.clock.now());
        }
        let code = [
            ("codeVersion".to_owned(), json!(task.code_version)),
            ("codeHash".to_owned(), json!(task.entry.code_hash)),
        ];
        match &mut self {
            Outcome::Succeeded(success) => {
                if let Some(output) = Arc::make_mut(&mut success.output).as_object_mut() {
                    output.extend(code);
                }
            }
            Outcome::Failed(failure) => {
                let detail = failure.detail.get_or_insert_with(|| Value::Object(Map::new()));
                if let Some(detail) = detail.as_object_mut() {
                    detail.extend(code);
                }
            }
        }
        self
    }
}

/// The task of an attempt: most come back to the process that sent them out.
async fn task_of(app: &App, token: Token) -> Option<Arc<str>> {
    if let Some(task) = app.pipelines.dispatched.task((token.run, token.node)) {
        return Some(task);
    }
    let state = app.engine.state(&app.pipelines.namespace, token.run).await.ok()?;
    let node = state.nodes.get(token.node as usize)?;
    Some(Arc::clone(state.plan.queue(node.step)))
}

fn told(state: &RunState, token: Token, is_success: bool) -> Response {
    let node = &state.nodes[token.node as usize];
    let is_retrying = node.status == StepStatus::WaitingForRetry;
    let after = state.plan.successors(node.step);
    let begun = |n: &u32| {
        let status = state.nodes[*n as usize].status;
        !matches!(
            status,
            StepStatus::Pending | StepStatus::Skipped | StepStatus::Cancelled
        )
    };
    let queued = if state.status == RunStatus::Cancelled {
        0
    } else {
        after.filter(begun).count()
    };
    acknowledged(is_success, queued, is_retrying)
}

fn acknowledged(is_success: bool, queued: usize, is_retrying: bool) -> Response {
    if is_success {
        reply::json(&json!({ "acknowledged": true, "queuedDownstream": queued }))
    } else {
        reply::json(&json!({ "acknowledged": true, "retrying": is_retrying }))
    }
}

impl Callback {
    fn read(body: &Value) -> Result<Self, Findings> {
        let mut found = Findings::default();
        let Some(fields) = Fields::of(Some(body), zod_error::Path::root(), &mut found) else {
            return Err(found);
        };
        let is_success = fields.choice("status", &[("success", true), ("failed", false)], &mut found);
        if is_success.is_none() && fields.get("status").is_none() {
            found.add(&fields.at("status"), "Required");
        }
        let mut output = Map::new();
        let mut keep =
            |name: &str, value: Option<Value>| drop(value.map(|value| output.insert(name.to_owned(), value)));
        keep("outputPath", read_path(&fields, "outputPath", &mut found));
        let size = fields.optional_number("outputSize", Range::from(0.0), &mut found);
        keep("outputSize", size.map(|size| json!(size.round() as u64)));
        keep("assets", read_assets(&fields, &mut found));
        keep("logsPath", read_path(&fields, "logsPath", &mut found));
        let next = fields
            .get("selectedNext")
            .map(|_| fields.texts("selectedNext", &mut found));
        let error = fields.optional_text("error", &mut found);
        let code = fields.optional_text("errorCode", &mut found);
        let retryable = fields.optional_flag("retryable", &mut found);
        let attempt = fields.optional_integer("attempt", Range::from(1.0).to(f64::from(u32::MAX)), &mut found);
        let Some(is_success) = is_success.filter(|_| !found.is_any()) else {
            return Err(found);
        };
        let outcome = if is_success {
            Outcome::Succeeded(Success {
                output: Arc::new(Value::Object(output)),
                next: next.map(|next| next.into_iter().map(str::to_owned).collect()),
                ..Success::default()
            })
        } else {
            let detail = fields.get("details").map(|details| json!({ "details": details }));
            Outcome::Failed(Failure {
                message: shortened(error.unwrap_or("Task failed")),
                kind: code.map(shortened),
                retryable,
                detail,
                ..Failure::default()
            })
        };
        Ok(Self {
            outcome,
            attempt: attempt.map(|attempt| attempt as u32),
        })
    }
}

/// Where an object lies: only within the storage.
fn read_path(fields: &Fields<'_>, name: &str, found: &mut Findings) -> Option<Value> {
    let path = fields.optional_text(name, found)?;
    if let Err(error) = Key::parse(path) {
        found.add(&fields.at(name), error.to_string());
    }
    Some(json!(path))
}

fn read_assets(fields: &Fields<'_>, found: &mut Findings) -> Option<Value> {
    let assets = fields.optional_object("assets", found)?;
    for (key, asset) in assets {
        let Some(asset) = Fields::of(Some(asset), fields.at("assets").at(key), found) else {
            continue;
        };
        asset.text("path", found);
        read_path(&asset, "path", found);
        asset.optional_number("size", Range::from(0.0), found);
        asset.choice("type", &[("json", ()), ("text", ()), ("binary", ())], found);
    }
    Some(Value::Object(assets.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_of_a_worker_elsewhere_is_the_machine_it_registers_from() {
        let seen = |url: &str, peer: &str| {
            let url = Url::parse(url).expect("a url");
            seen_from_here(url, peer.parse().ok()).to_string()
        };
        for url in [
            "http://localhost:7000/base",
            "http://127.0.0.1:7000/base",
            "http://0.0.0.0:7000/base",
        ] {
            assert_eq!(seen(url, "10.1.2.3"), "http://10.1.2.3:7000/base");
            assert_eq!(seen(url, "fd00::7"), "http://[fd00::7]:7000/base");
            assert_eq!(seen(url, "127.0.0.1"), url);
            assert_eq!(seen(url, "::1"), url);
        }
        assert_eq!(
            seen("http://worker.internal:7000/", "10.1.2.3"),
            "http://worker.internal:7000/"
        );
    }

    #[test]
    fn tokens_are_the_same_only_as_a_whole() {
        assert!(is_same("token", "token"));
        for shown in ["", "toke", "tokens", "Token"] {
            assert!(!is_same("token", shown), "{shown}");
        }
    }
}
