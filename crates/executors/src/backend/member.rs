//! One backend: its health, its circuit, and the calls to it.

mod pass;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use quintet_core::outcome::{Failure, Outcome, Work};
use quintet_core::time::Time;
use quintet_engine::clock::Clock;
use quintet_engine::tasks;
use tokio::sync::watch;

pub(super) use self::pass::Pass;
use super::breaker::{Admission, Breaker, Circuit, Limits};
use super::figures::{Calls, Health};
use super::jobs::Ledger;
use super::listing::Listing;
use super::pool::Pool;
use super::settings::{BackendSettings, Kind, Rules};
use super::wire::{self, Presence, Wire};
use super::{CIRCUIT_OPEN, Order, UNHEALTHY, jobs};
use crate::egress::Client;

/// Models of Modal's pool, unless the operator says otherwise.
const MODAL_GPUS: [&str; 3] = ["T4", "A10G", "A100"];
const FAILURES_TO_OPEN: u32 = 5;

pub(super) struct Member {
    pub name: Arc<str>,
    pub kind: Kind,
    pub wire: Wire,
    pub client: Client,
    pub rules: Rules,
    pub timeout: Duration,
    pub jobs: Ledger,
    pub listing: Listing,
    clock: Arc<dyn Clock>,
    changes: watch::Sender<u64>,
    url: String,
    /// What the operator says it has.
    pool: Pool,
    state: Mutex<State>,
    /// Held by who asks for its health: others wait and take that answer.
    asking: tokio::sync::Mutex<()>,
    /// The same, for what the cluster has.
    reported: tokio::sync::Mutex<Option<(Time, Pool)>>,
}

struct State {
    breaker: Breaker,
    /// The last answer about health, and when it came.
    health: Option<(Time, Result<(), String>)>,
    /// Questions after its health that have begun, and the last one of them that has ended.
    asks_begun: u64,
    asks_ended: u64,
    is_probing: bool,
    last_error: Option<String>,
    in_flight: u64,
    calls: Calls,
}

impl Member {
    pub fn new(
        name: &str,
        settings: &BackendSettings,
        rules: &Rules,
        client: Client,
        clock: Arc<dyn Clock>,
        changes: watch::Sender<u64>,
    ) -> Result<Self, String> {
        settings.check()?;
        let limits = Limits {
            failures_to_open: settings.failures_to_open.unwrap_or(FAILURES_TO_OPEN),
            probe_min_ms: rules.probe_min_ms,
            probe_max_ms: rules.probe_max_ms,
            trial_ms: rules.trial_ms,
        };
        let usual_gpus = match settings.kind {
            Kind::Modal => MODAL_GPUS.map(str::to_owned).to_vec(),
            Kind::Ray | Kind::RayJobs | Kind::Http => Vec::new(),
        };
        let state = State {
            breaker: Breaker::new(limits, clock.now()),
            health: None,
            asks_begun: 0,
            asks_ended: 0,
            is_probing: false,
            last_error: None,
            in_flight: 0,
            calls: Calls::default(),
        };
        Ok(Self {
            name: name.into(),
            kind: settings.kind,
            wire: Wire::new(name, settings)?,
            client,
            rules: rules.clone(),
            timeout: Duration::from_millis(settings.timeout_ms()),
            jobs: Ledger::default(),
            listing: Listing::default(),
            clock,
            changes,
            url: without_query(&settings.url),
            pool: Pool {
                gpus: settings.gpus.clone().unwrap_or(usual_gpus),
                vram_mb: settings.vram_mb,
                ram_mb: settings.ram_mb,
                cpus: settings.cpus,
            },
            state: Mutex::new(state),
            asking: tokio::sync::Mutex::default(),
            reported: tokio::sync::Mutex::default(),
        })
    }

    /// Does an attempt.
    pub async fn execute(self: Arc<Self>, order: &Order, work: &Work) -> Outcome {
        if self.kind == Kind::RayJobs {
            return jobs::execute(&self, order, work).await;
        }
        let mut pass = match self.admit().await {
            Ok(pass) => pass,
            Err(failure) => return Outcome::Failed(failure),
        };
        let timeout = order.timeout.unwrap_or(self.timeout);
        let answer = self.client.call(self.wire.task(order, work, timeout)).await;
        let (outcome, presence) = self.wire.judge(answer);
        pass.learn(presence).await;
        pass.close(&outcome);
        outcome
    }

    /// Waits for its turn, if the circuit is half-open.
    pub async fn admit(self: &Arc<Self>) -> Result<Pass, Failure> {
        loop {
            // Before the look at the circuit, so that no change after it is missed.
            let mut changes = self.changes.subscribe();
            let admission = {
                let mut state = self.state();
                let admission = state.breaker.admit(self.clock.now());
                match admission {
                    Admission::Pass | Admission::Trial => state.in_flight += 1,
                    Admission::Refused(_) => state.calls.refused += 1,
                    Admission::Wait(_) => {}
                }
                admission
            };
            match admission {
                Admission::Pass | Admission::Trial => return Ok(Pass::new(self, admission == Admission::Trial)),
                Admission::Refused(after_ms) => return Err(self.shut(after_ms)),
                Admission::Wait(ms) => {
                    tokio::select! {
                        _ = changes.changed() => {}
                        () = tasks::pause(Some(Duration::from_millis(ms))) => {
                            let _ = self.ask_anew().await;
                        }
                    }
                }
            }
        }
    }

    /// Whether attempts can be sent to it, by what is known or can be asked now.
    ///
    /// # Errors
    /// How an attempt fails that must go to it.
    pub async fn ready(self: &Arc<Self>) -> Result<(), Failure> {
        if let Some(after_ms) = self.refused_for_ms() {
            self.state().calls.refused += 1;
            return Err(self.shut(after_ms));
        }
        match self.health().await {
            Ok(()) => Ok(()),
            // Asking may just have opened the circuit.
            Err(reason) => Err(match self.refused_for_ms() {
                Some(after_ms) => self.shut(after_ms),
                None => {
                    self.state().calls.refused += 1;
                    Failure {
                        detail: Some(reason.into()),
                        ..Failure::new(UNHEALTHY, not_healthy(&self.name))
                    }
                }
            }),
        }
    }

    /// While the circuit is open, the milliseconds until the next probe.
    fn refused_for_ms(&self) -> Option<u64> {
        let mut state = self.state();
        match state.breaker.circuit() {
            Circuit::Open => match state.breaker.admit(self.clock.now()) {
                Admission::Refused(after_ms) => Some(after_ms),
                Admission::Pass | Admission::Trial | Admission::Wait(_) => None,
            },
            Circuit::Closed | Circuit::HalfOpen => None,
        }
    }

    fn shut(&self, after_ms: u64) -> Failure {
        let reason = self.state().last_error.clone();
        Failure {
            retryable: Some(true),
            retry_after_ms: Some(after_ms.max(self.rules.probe_min_ms)),
            detail: reason.map(Into::into),
            ..Failure::new(CIRCUIT_OPEN, not_healthy(&self.name))
        }
    }

    pub fn circuit(&self) -> Circuit {
        self.state().breaker.circuit()
    }

    /// Its health, asked anew only where the last answer is old.
    async fn health(self: &Arc<Self>) -> Result<(), String> {
        let ttl_ms = self.rules.health_ttl_ms;
        let is_fresh =
            |state: &State, now: Time| state.health.as_ref().is_some_and(|(at, _)| now.ms_since(*at) < ttl_ms);
        if let Some(health) = self.known_health(is_fresh) {
            return health;
        }
        self.ask_unless(is_fresh).await
    }

    /// Its health by a question that begins now, or that somebody else begins in the meantime.
    async fn ask_anew(self: &Arc<Self>) -> Result<(), String> {
        let begun = self.state().asks_begun;
        self.ask_unless(|state, _| state.asks_ended > begun).await
    }

    fn known_health(&self, is_enough: impl Fn(&State, Time) -> bool) -> Option<Result<(), String>> {
        let state = self.state();
        let (_, health) = state.health.as_ref()?;
        is_enough(&state, self.clock.now()).then(|| health.clone())
    }

    /// Asks for its health, after whoever is asking already, unless that one's answer is enough.
    async fn ask_unless(self: &Arc<Self>, is_enough: impl Fn(&State, Time) -> bool) -> Result<(), String> {
        let _turn = self.asking.lock().await;
        if let Some(health) = self.known_health(is_enough) {
            return health;
        }
        let number = {
            let mut state = self.state();
            state.asks_begun += 1;
            state.asks_begun
        };
        let timeout = Duration::from_millis(self.rules.health_timeout_ms);
        let health = match self
            .client
            .call(wire::question(self.wire.health.clone(), timeout))
            .await
        {
            Ok(reply) if reply.status.is_success() => Ok(()),
            Ok(reply) => Err(format!(
                "its health check answers with status {}",
                reply.status.as_u16()
            )),
            Err(error) => Err(error.to_string()),
        };
        self.change(|state, now| {
            state.asks_ended = number;
            match &health {
                Ok(()) => state.breaker.healthy(now),
                Err(reason) => {
                    state.last_error = Some(reason.clone());
                    state.breaker.unhealthy(now);
                }
            }
            state.health = Some((now, health.clone()));
        });
        health
    }

    /// Learns from a call what it says about the backend. Where it may be dead, its health is asked at once.
    pub async fn learn(self: &Arc<Self>, presence: Presence) {
        match presence {
            Presence::There => self.change(|state, now| state.breaker.answered(now)),
            Presence::Away(reason) => {
                self.state().last_error = Some(reason);
                if self.circuit() == Circuit::Open || self.ask_anew().await.is_ok() {
                    self.change(|state, now| state.breaker.failed(now));
                }
            }
            // A task that takes longer than somebody allowed for it says nothing against a healthy backend.
            Presence::Silent(reason) => {
                if self.circuit() != Circuit::Open && self.ask_anew().await.is_err() {
                    self.state().last_error = Some(reason);
                }
            }
        }
    }

    /// Changes the state, and does what a change of the circuit demands.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut State, Time)) {
        let (before, after, reason, probes) = {
            let mut state = self.state();
            let (before, was_seen) = (state.breaker.circuit(), state.breaker.has_been_healthy());
            change(&mut state, self.clock.now());
            let after = state.breaker.circuit();
            if state.breaker.has_been_healthy() != was_seen {
                self.changes.send_modify(|count| *count += 1);
            }
            let probes = after == Circuit::Open && !state.is_probing;
            state.is_probing |= probes;
            (before, after, state.last_error.clone().unwrap_or_default(), probes)
        };
        if probes {
            drop(tasks::spawn("backend probe", probe(Arc::downgrade(self))));
        }
        if before == after {
            return;
        }
        let backend = &*self.name;
        match after {
            Circuit::Open => tracing::info!(
                backend,
                reason,
                "the circuit of a backend opened: nothing is sent to it"
            ),
            Circuit::HalfOpen => tracing::info!(backend, "a backend is healthy again: one call shows whether it works"),
            Circuit::Closed => tracing::info!(backend, "the circuit of a backend closed"),
        }
        self.announce();
    }

    fn announce(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// What it has. A cluster that can tell is asked, and believed for as long as an answer about health is.
    pub async fn pool(&self) -> Pool {
        let mut pool = self.pool.clone();
        let Some(url) = &self.wire.cluster else {
            return pool;
        };
        let mut reported = self.reported.lock().await;
        let is_old = |(at, _): &(Time, Pool)| self.clock.now().ms_since(*at) >= self.rules.health_ttl_ms;
        if reported.as_ref().is_none_or(is_old) {
            let timeout = Duration::from_millis(self.rules.health_timeout_ms);
            let answer = self.client.call(wire::question(url.clone(), timeout)).await;
            let status = match answer {
                Ok(reply) if reply.status.is_success() => serde_json::from_slice(&reply.body).unwrap_or_default(),
                Ok(reply) => {
                    tracing::debug!(
                        backend = &*self.name,
                        status = reply.status.as_u16(),
                        "the cluster does not tell what it has"
                    );
                    serde_json::Value::Null
                }
                Err(error) => {
                    tracing::debug!(backend = &*self.name, %error, "the cluster does not tell what it has");
                    serde_json::Value::Null
                }
            };
            *reported = Some((self.clock.now(), Pool::of_ray(&status)));
        }
        if let Some((_, reported)) = &*reported {
            pool.add(reported.clone());
        }
        pool
    }

    pub fn describe(&self) -> Health {
        let mut pool = self.pool.clone();
        if let Ok(reported) = self.reported.try_lock()
            && let Some((_, reported)) = &*reported
        {
            pool.add(reported.clone());
        }
        let state = self.state();
        Health {
            name: self.name.to_string(),
            kind: self.kind.as_str(),
            url: self.url.clone(),
            healthy: state.health.as_ref().map(|(_, health)| health.is_ok()),
            circuit: state.breaker.circuit(),
            since: state.breaker.since(),
            last_error: state.last_error.clone(),
            gpus: pool.gpus,
            in_flight: state.in_flight,
            calls: state.calls,
        }
    }

    /// Its base URL, if it has been healthy.
    pub fn seen(&self) -> Option<&str> {
        self.state().breaker.has_been_healthy().then_some(&*self.url)
    }

    /// It was healthy at some time that this process has not seen.
    pub fn trust(&self) {
        self.state().breaker.trust();
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for the health of a backend while its circuit is open.
async fn probe(member: Weak<Member>) {
    while let Some(pause_ms) = member.upgrade().and_then(|member| {
        let mut state = member.state();
        let pause_ms = state.breaker.next_pause_ms(member.clock.now());
        state.is_probing = pause_ms.is_some();
        pause_ms
    }) {
        tasks::pause(Some(Duration::from_millis(pause_ms))).await;
        if let Some(member) = member.upgrade() {
            let _ = member.ask_anew().await;
        }
    }
}

fn not_healthy(name: &str) -> String {
    format!("Backend \"{name}\" is not healthy")
}

fn without_query(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else {
        return String::new();
    };
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}
