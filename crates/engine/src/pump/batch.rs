//! Deciding a batch: from requests to one commit.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use futures_util::StreamExt;
use quintet_core::apply::seal;
use quintet_core::command::Command;
use quintet_core::effect::{Cx, Effect};
use quintet_core::event::{Event, Meta};
use quintet_core::id::RunId;
use quintet_core::outcome::Token;
use quintet_core::state::RunState;
use quintet_core::step::{StepError, start, step};
use quintet_core::time::Time;
use quintet_store::{
    Commit, IdempotencyRecord, IdempotencyWrite, NoticeWrite, PlanWrite, QueueChange, RunRow, RunWrite, StoreError,
    Unit, WorkflowPin,
};

use tracing::Instrument;

use super::Pump;
use crate::dispatch::Standing;
use crate::error::EngineError;
use crate::load;
use crate::request::{Applied, Idempotency, Reply, Request, StartRun, Started};
use crate::scout::Ticket;

/// How long an idempotency key is remembered, in milliseconds: seven days.
const IDEMPOTENCY_TTL_MS: u64 = 7 * 86_400_000;
/// Milliseconds by which nodes' ideas of the time may differ.
const SKEW_MS: u64 = 1_000;
/// Runs loaded at a time.
const LOADS: usize = 64;

type Loaded = Result<Option<Arc<RunState>>, StoreError>;

/// A run that the batch touches.
pub(super) struct Moved {
    pub state: Arc<RunState>,
    pub expected: u64,
    pub events: Vec<Event>,
    pub effects: Vec<Effect>,
    /// The clock was looked at for it.
    pub ticked: bool,
    /// An invariant broke: the state is not to be kept.
    pub broken: bool,
    /// Others are told of it, through the outbox.
    pub told: bool,
}

/// A command of the batch and what came of it.
pub(super) struct Asked {
    pub namespace: Arc<str>,
    pub run: RunId,
    pub command: Command,
    pub reply: Option<Reply<Applied>>,
    pub tries: u8,
    pub result: Result<bool, EngineError>,
    /// Goes back when this is done with.
    pub ticket: Option<Ticket>,
}

impl Asked {
    /// Whether it is an answer of an executor, which cannot be had twice.
    pub fn is_answer(&self) -> bool {
        self.reply.is_none() && matches!(self.command, Command::Complete { .. } | Command::Accept { .. })
    }

    /// Whether no commit carries it.
    pub fn did_nothing(&self) -> bool {
        matches!(self.result, Ok(false) | Err(EngineError::Rejected(_)))
    }
}

/// A start of the batch.
pub(super) struct Begun {
    pub runs: Vec<Moved>,
    pub idempotency: Option<Idempotency>,
    pub watch: bool,
    pub reply: Reply<Started>,
}

/// Everything that one commit carries, and who waits for it.
#[derive(Default)]
pub(super) struct Batch {
    pub begun: Vec<Begun>,
    pub moved: HashMap<RunId, Moved>,
    pub order: Vec<RunId>,
    pub asked: Vec<Asked>,
    /// Runs that were read for this batch: other nodes cannot have moved them long ago.
    pub fresh: HashSet<RunId>,
    /// Runs that could not be read.
    pub unloadable: HashMap<RunId, EngineError>,
}

impl Moved {
    fn new(state: Arc<RunState>) -> Self {
        let expected = state.version;
        Self {
            state,
            expected,
            events: Vec::new(),
            effects: Vec::new(),
            ticked: false,
            broken: false,
            told: false,
        }
    }
}

impl Pump {
    /// Decides, commits and answers everything in `local`. False when the store failed.
    pub(super) async fn process(&mut self) -> bool {
        let requests = self.take_local();
        let mut batch = Batch::default();
        self.load_missing(&mut batch, &requests).await;
        let meta = Meta {
            at: self.now_for(&requests),
            owner: self.shared.owner(),
        };
        let decided = requests.len();
        for request in requests {
            self.decide(&mut batch, request, meta);
        }
        let commit = self.seal(&mut batch, meta);
        if commit.units.is_empty() {
            return self.settle(batch, Vec::new()).await;
        }
        self.shared.metrics.batch_size.observe(decided as f64);
        let begun = self.shared.clock.now();
        let span = tracing::debug_span!("commit", units = commit.units.len(), requests = decided);
        let result = self.shared.store.commit(commit).instrument(span).await;
        let micros = self.shared.clock.now().0.saturating_sub(begun.0);
        self.shared.metrics.commit_seconds.observe(micros as f64 / 1e6);
        match result {
            Ok(results) => {
                self.shared.metrics.commits.inc();
                self.settle(batch, results).await
            }
            Err(error) => {
                self.shared.metrics.commit_errors.inc();
                self.settle_failed(batch, &error);
                false
            }
        }
    }

    /// The time of the batch: nodes' ideas of it differ a little, and the times of one run must not step back.
    fn now_for(&self, requests: &[Request]) -> Time {
        let now = self.shared.clock.now();
        if !self.shared.store.is_shared() {
            return now;
        }
        let limit = now.plus_ms(SKEW_MS);
        let moved_at = requests.iter().filter_map(|request| match request {
            Request::Command { run, .. } => self.cache.get(*run).map(|state| state.updated_at),
            _ => None,
        });
        moved_at.filter(|at| *at < limit).fold(now, Time::max)
    }

    /// The requests at hand; those about lost attempts with what this loop really holds.
    fn take_local(&mut self) -> Vec<Request> {
        let is_recovery = |request: &Request| matches!(request, Request::Recover { .. });
        if !self.local.iter().any(is_recovery) {
            return self.local.drain(..).collect();
        }
        let held = Arc::new(self.held());
        let me = self.shared.owner();
        let known = |request| match request {
            Request::Recover {
                namespace,
                run,
                alive,
                as_of,
                ticket,
            } => {
                let mut alive = alive.to_vec();
                alive.push(me);
                let held = Arc::clone(&held);
                Request::found(namespace, run, Command::Recover { alive, held, as_of }, ticket)
            }
            other => other,
        };
        self.local.drain(..).map(known).collect()
    }

    /// Attempts that this loop really holds: those under way, and those whose answers are still to be stored. An
    /// attempt leaves the first set only after its answer is in the channel, so looking at the sets in this order
    /// misses none.
    fn held(&mut self) -> HashSet<Token> {
        let mut held = self.dispatcher.held();
        while let Ok(request) = self.urgent.try_recv() {
            self.local.push_back(request);
        }
        held.extend(self.local.iter().filter_map(|request| match request {
            Request::Command {
                command: Command::Complete { token, .. } | Command::Accept { token },
                ..
            } => Some(*token),
            _ => None,
        }));
        held
    }

    /// Loads the runs that the batch is about and that are not in memory, and brings those up to date about which
    /// there is a doubt.
    async fn load_missing(&mut self, batch: &mut Batch, requests: &[Request]) {
        let mut wanted: HashSet<RunId> = HashSet::new();
        let mut loads = Vec::new();
        for request in requests {
            let (namespace, run, is_doubtful) = match request {
                Request::Command {
                    namespace, run, tries, ..
                } => (namespace, *run, *tries > 0),
                Request::Look { namespace, run } => (namespace, *run, true),
                _ => continue,
            };
            if (is_doubtful || !self.cache.contains(run)) && wanted.insert(run) {
                loads.push(self.read(namespace, run));
            }
        }
        let mut loads = futures_util::stream::iter(loads).buffer_unordered(LOADS);
        while let Some((run, loaded)) = loads.next().await {
            match loaded {
                Ok(Some(state)) => {
                    self.shared.metrics.runs_loaded.inc();
                    self.cache.force(state);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(run = %run, error = %error, "a run cannot be loaded");
                    batch.unloadable.insert(run, EngineError::from(error));
                }
            }
        }
        batch.fresh = wanted;
    }

    /// Reads a run, or what is new of one that is in memory.
    fn read(&mut self, namespace: &Arc<str>, run: RunId) -> impl Future<Output = (RunId, Loaded)> + use<> {
        let (shared, namespace, known) = (Arc::clone(&self.shared), Arc::clone(namespace), self.cache.take(run));
        async move {
            let loaded = match known {
                Some(state) => load::catch_up(shared.store.as_ref(), state).await.map(Some),
                None => shared.load(&namespace, run).await.map(|state| state.map(Arc::new)),
            };
            (run, loaded)
        }
    }

    fn decide(&mut self, batch: &mut Batch, request: Request, meta: Meta) {
        match request {
            Request::Start {
                starts,
                idempotency,
                watch,
                reply,
            } => {
                self.decide_start(batch, starts, (idempotency, watch), reply, meta);
            }
            Request::Command {
                namespace,
                run,
                command,
                reply,
                tries,
                ticket,
            } => {
                let mut asked = Asked {
                    namespace,
                    run,
                    command,
                    reply,
                    tries,
                    result: Ok(false),
                    ticket,
                };
                asked.result = self.decide_command(batch, &mut asked, meta);
                batch.asked.push(asked);
            }
            Request::Peek { namespace, run, reply } => {
                // A state that this batch has moved is not stored yet: the caller reads the store instead.
                let known = self.cache.get(run).filter(|state| state.created.namespace == namespace);
                let _ = reply.send(known.cloned());
            }
            Request::Look { run, .. } => self.look(batch, run),
            Request::Recover { .. } | Request::Nudge => {}
        }
    }

    /// Stops the attempts of a run that another node has called off.
    fn look(&self, batch: &Batch, run: RunId) {
        let state = match batch.moved.get(&run) {
            Some(moved) => Some(&moved.state),
            None => self.cache.get(run),
        };
        self.dispatcher.cancel_lost(run, |token| {
            let node = state.and_then(|state| state.nodes.get(token.node as usize));
            match node {
                Some(node) if node.is_claimed() && node.attempt == token.attempt => Standing::UnderWay,
                // Nobody makes it again.
                Some(node) if node.status.is_settled() => Standing::CalledOff,
                _ => Standing::Lost,
            }
        });
    }

    fn queue_change(&self, state: &RunState, effect: &Effect, now: Time) -> Option<QueueChange> {
        match effect {
            Effect::Enqueue { node } => {
                let step = state.nodes[*node as usize].step;
                let (queue, priority) = (state.plan.queue(step), state.priority_of(*node));
                let flow = self.shared.registry.flow(&state.plan.spec.steps[step as usize].action);
                Some(QueueChange::Put {
                    node: *node,
                    queue: Arc::clone(queue),
                    priority: flow.map_or(priority, |flow| flow.rank(queue, priority, now)),
                })
            }
            Effect::Dequeue { node } => Some(QueueChange::Remove { node: *node }),
            Effect::Dispatch(_) | Effect::CancelAttempt(_) => None,
        }
    }

    fn decide_start(
        &mut self,
        batch: &mut Batch,
        starts: Vec<StartRun>,
        (idempotency, watch): (Option<Idempotency>, bool),
        reply: Reply<Started>,
        meta: Meta,
    ) {
        let shared = Arc::clone(&self.shared);
        let mut runs: Vec<Moved> = Vec::with_capacity(starts.len());
        for begin in starts {
            let id = begin.id.unwrap_or_else(|| self.ids.next_run());
            let mut slots = shared.slots(&begin.namespace, meta.at);
            let mut cx = Cx {
                now: meta.at,
                owner: meta.owner,
                ids: &mut self.ids,
                placement: &mut slots,
            };
            match start(id, Arc::clone(&begin.plan), begin.created(), &begin.reused, &mut cx) {
                Ok((state, out)) => {
                    let moved = Moved::new(Arc::new(state));
                    runs.push(Moved {
                        events: out.events,
                        effects: out.effects,
                        ..moved
                    });
                }
                Err(error) => {
                    runs.iter().for_each(|moved| shared.give_back(&moved.effects));
                    tracing::error!(error = %error, "a run could not be started");
                    let _ = reply.send(Err(EngineError::Internal(error.to_string())));
                    return;
                }
            }
        }
        batch.begun.push(Begun {
            runs,
            idempotency,
            watch,
            reply,
        });
    }

    fn decide_command(&mut self, batch: &mut Batch, asked: &mut Asked, meta: Meta) -> Result<bool, EngineError> {
        let shared = Arc::clone(&self.shared);
        if !batch.moved.contains_key(&asked.run) {
            let Some(state) = self.cache.take(asked.run) else {
                let unloadable = batch.unloadable.get(&asked.run).cloned();
                return Err(unloadable.unwrap_or(EngineError::RunNotFound(asked.run)));
            };
            batch.order.push(asked.run);
            batch.moved.insert(asked.run, Moved::new(state));
        }
        let moved = batch
            .moved
            .get_mut(&asked.run)
            .filter(|moved| moved.state.created.namespace == asked.namespace);
        let Some(moved) = moved else {
            return Err(EngineError::RunNotFound(asked.run));
        };
        if moved.broken {
            return Err(EngineError::Internal("an invariant of the run is broken".to_owned()));
        }
        moved.ticked |= asked.command == Command::Tick;
        let mut slots = shared.slots(&asked.namespace, meta.at);
        let mut cx = Cx {
            now: meta.at,
            owner: meta.owner,
            ids: &mut self.ids,
            placement: &mut slots,
        };
        match step(Arc::make_mut(&mut moved.state), asked.command.clone(), &mut cx) {
            Ok(out) => {
                // A slot that the scout took is the attempt's now, or was released by the core.
                if let Some(slot) = asked.ticket.as_mut().and_then(|ticket| ticket.slot.take()) {
                    slot.hand_over();
                }
                let changed = !out.events.is_empty();
                moved.events.extend(out.events);
                moved.effects.extend(out.effects);
                Ok(changed)
            }
            Err(error) => {
                if let Command::Claim { node } = asked.command {
                    tracing::debug!(run = %asked.run, node, error = %error, "claim refused");
                }
                match error {
                    StepError::Rejected(rejected) => Err(rejected.into()),
                    StepError::Illegal(illegal) => {
                        tracing::error!(run = %asked.run, error = %illegal, "an invariant is broken");
                        shared.give_back(&moved.effects);
                        (moved.broken, moved.events, moved.effects) = (true, Vec::new(), Vec::new());
                        Err(EngineError::Internal(illegal.to_string()))
                    }
                }
            }
        }
    }

    /// Makes the commit: one unit for each start, one for each moved run.
    fn seal(&mut self, batch: &mut Batch, meta: Meta) -> Commit {
        let mut units = Vec::with_capacity(batch.begun.len() + batch.moved.len());
        for begun in &mut batch.begun {
            let mut unit = Unit::default();
            for moved in &mut begun.runs {
                let is_new = |plan: &PlanWrite| plan.digest != moved.state.plan.digest;
                if unit.plans.iter().all(is_new) {
                    unit.plans.extend(self.shared.plans.write_for(&moved.state.plan));
                }
                unit.pins.extend(self.pin(&moved.state));
                self.write(&mut unit, moved, meta);
            }
            unit.idempotency = begun.idempotency.as_ref().map(|key| remember(key, &begun.runs, meta));
            units.push(unit);
        }
        for run in &batch.order {
            let Some(moved) = batch.moved.get_mut(run).filter(|moved| !moved.events.is_empty()) else {
                continue;
            };
            let mut unit = Unit::default();
            self.write(&mut unit, moved, meta);
            units.push(unit);
        }
        Commit { meta, units }
    }

    /// Another node may have stored a newer version than the one that was found here.
    fn pin(&self, state: &RunState) -> Option<WorkflowPin> {
        let created = &state.created;
        let is_pinned = self.shared.store.is_shared() && created.workflow_version > 0;
        is_pinned.then(|| WorkflowPin {
            namespace: Arc::clone(&created.namespace),
            id: Arc::clone(&created.workflow),
            version: created.workflow_version,
        })
    }

    fn write(&self, unit: &mut Unit, moved: &mut Moved, meta: Meta) {
        let state = Arc::make_mut(&mut moved.state);
        seal(state, meta);
        if self.shared.has_hooks {
            let messages = self.shared.hooks.messages(state, meta, &moved.events);
            moved.told = !messages.is_empty();
            unit.outbox.extend(messages);
        }
        let events = serde_json::to_string(&moved.events).unwrap_or_default();
        let queue = moved
            .effects
            .iter()
            .filter_map(|effect| self.queue_change(state, effect, meta.at))
            .collect();
        self.project(unit, state, meta, &moved.events, &moved.effects);
        if self.shared.store.is_shared() {
            unit.limits.extend(self.limits(&moved.effects));
            unit.notices.extend(notices(state, &moved.effects, meta));
        }
        unit.runs.push(RunWrite {
            expected: moved.expected,
            row: row_of(state),
            events,
            queue,
        });
    }
}

/// Words to the owners of attempts that are called off.
fn notices(state: &RunState, effects: &[Effect], meta: Meta) -> Vec<NoticeWrite> {
    let owner = |effect: &Effect| match effect {
        Effect::CancelAttempt(token) => state.nodes.get(token.node as usize).map(|node| node.owner),
        _ => None,
    };
    let mut owners: Vec<u64> = effects
        .iter()
        .filter_map(owner)
        .filter(|owner| *owner != meta.owner)
        .collect();
    owners.sort_unstable();
    owners.dedup();
    owners
        .into_iter()
        .map(|owner| NoticeWrite { owner, run: state.id })
        .collect()
}

fn remember(key: &Idempotency, runs: &[Moved], meta: Meta) -> IdempotencyWrite {
    let ids: Vec<RunId> = runs.iter().map(|moved| moved.state.id).collect();
    IdempotencyWrite {
        namespace: runs
            .first()
            .map(|moved| Arc::clone(&moved.state.created.namespace))
            .unwrap_or_default(),
        scope: Arc::clone(&key.scope),
        key: key.key.clone(),
        record: IdempotencyRecord {
            request: key.request,
            answer: answer_of(&ids),
        },
        expires_at: meta.at.plus_ms(key.ttl_ms.unwrap_or(IDEMPOTENCY_TTL_MS)),
        replaces: key.replaces.as_deref().map(answer_of),
    }
}

/// The indexed part of a run's state.
pub(crate) fn row_of(state: &RunState) -> RunRow {
    RunRow {
        id: state.id,
        namespace: Arc::clone(&state.created.namespace),
        workflow: Arc::clone(&state.created.workflow),
        workflow_version: state.created.workflow_version,
        plan: state.created.plan,
        status: state.status,
        version: state.version,
        priority: state.created.priority,
        claims: state.claims(),
        wake_at: state.next_wake(),
        created_at: state.created_at,
        updated_at: state.updated_at,
        finished_at: state.finished_at,
    }
}

/// What is remembered of runs that were started.
fn answer_of(ids: &[RunId]) -> String {
    let ids: Vec<String> = ids.iter().map(RunId::to_string).collect();
    ids.join(" ")
}

/// What an idempotency record says was started.
pub(super) fn replayed(record: &IdempotencyRecord) -> Result<Vec<RunId>, StoreError> {
    let ids: Result<Vec<RunId>, _> = record.answer.split(' ').map(str::parse).collect();
    ids.map_err(|error| StoreError::Corrupt(error.to_string()))
}
