//! Deciding a batch: from requests to one commit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use quintet_core::apply::seal;
use quintet_core::command::Command;
use quintet_core::effect::{Cx, Effect};
use quintet_core::event::{Event, Meta};
use quintet_core::id::RunId;
use quintet_core::state::RunState;
use quintet_core::step::{StepError, start, step};
use quintet_store::{
    Commit, IdempotencyRecord, IdempotencyWrite, PlanWrite, QueueChange, RunRow, RunWrite, StoreError, Unit,
};

use tracing::Instrument;

use super::Pump;
use crate::error::EngineError;
use crate::registry::Slots;
use crate::request::{Applied, Idempotency, Reply, Request, StartRun, Started};

/// How long an idempotency key is remembered, in milliseconds: seven days.
const IDEMPOTENCY_TTL_MS: u64 = 7 * 86_400_000;

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
}

/// A command of the batch and what came of it.
pub(super) struct Asked {
    pub namespace: Arc<str>,
    pub run: RunId,
    pub command: Command,
    pub reply: Option<Reply<Applied>>,
    pub tries: u8,
    pub result: Result<bool, EngineError>,
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
        }
    }
}

impl Pump {
    /// Decides, commits and answers everything in `local`. False when the store failed.
    pub(super) async fn process(&mut self) -> bool {
        let requests: Vec<Request> = self.local.drain(..).collect();
        let meta = Meta {
            at: self.shared.clock.now(),
            owner: self.shared.owner,
        };
        self.load_missing(&requests).await;
        let mut batch = Batch::default();
        let decided = requests.len();
        for request in requests {
            self.decide(&mut batch, request, meta);
        }
        let commit = self.seal(&mut batch, meta);
        if commit.units.is_empty() {
            self.settle(batch, Vec::new()).await;
            return true;
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
                self.settle(batch, results).await;
                true
            }
            Err(error) => {
                self.shared.metrics.commit_errors.inc();
                self.settle_failed(batch, &error);
                false
            }
        }
    }

    /// Loads the runs that the batch is about and that are not in memory.
    async fn load_missing(&mut self, requests: &[Request]) {
        let mut wanted: HashSet<RunId> = HashSet::new();
        let mut loads = FuturesUnordered::new();
        for request in requests {
            if let Request::Command { namespace, run, .. } = request
                && !self.cache.contains(*run)
                && wanted.insert(*run)
            {
                let (shared, namespace, run) = (Arc::clone(&self.shared), Arc::clone(namespace), *run);
                loads.push(async move { (run, shared.load(&namespace, run).await) });
            }
        }
        while let Some((run, loaded)) = loads.next().await {
            match loaded {
                Ok(Some(state)) => {
                    self.shared.metrics.runs_loaded.inc();
                    self.cache.force(Arc::new(state));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(run = %run, error = %error, "a run cannot be loaded");
                    self.unloadable.insert(run, EngineError::from(error));
                }
            }
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
            } => {
                let mut asked = Asked {
                    namespace,
                    run,
                    command,
                    reply,
                    tries,
                    result: Ok(false),
                };
                asked.result = self.decide_command(batch, &asked, meta);
                batch.asked.push(asked);
            }
            Request::Peek { namespace, run, reply } => {
                // A state that this batch has moved is not stored yet: the caller reads the store instead.
                let known = self.cache.get(run).filter(|state| state.created.namespace == namespace);
                let _ = reply.send(known.cloned());
            }
            Request::Nudge => {}
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
            let id = RunId::from_bits(self.ids.next_bits());
            let mut slots = Slots(&shared.registry);
            let mut cx = Cx {
                now: meta.at,
                owner: meta.owner,
                ids: self.ids.as_mut(),
                placement: &mut slots,
            };
            match start(id, Arc::clone(&begin.plan), begin.created(), &mut cx) {
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

    fn decide_command(&mut self, batch: &mut Batch, asked: &Asked, meta: Meta) -> Result<bool, EngineError> {
        let shared = Arc::clone(&self.shared);
        if !batch.moved.contains_key(&asked.run) {
            let Some(state) = self.cache.take(asked.run) else {
                let unloadable = self.unloadable.remove(&asked.run);
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
        let mut slots = Slots(&shared.registry);
        let mut cx = Cx {
            now: meta.at,
            owner: meta.owner,
            ids: self.ids.as_mut(),
            placement: &mut slots,
        };
        match step(Arc::make_mut(&mut moved.state), asked.command.clone(), &mut cx) {
            Ok(out) => {
                let changed = !out.events.is_empty();
                moved.events.extend(out.events);
                moved.effects.extend(out.effects);
                Ok(changed)
            }
            Err(error) => {
                if let Command::Claim { node } = asked.command {
                    shared.refuse_claim(&moved.state, node, &error);
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

    fn write(&self, unit: &mut Unit, moved: &mut Moved, meta: Meta) {
        let state = Arc::make_mut(&mut moved.state);
        seal(state, meta);
        if self.shared.has_hooks {
            unit.outbox
                .extend(self.shared.hooks.messages(state, meta, &moved.events));
        }
        let events = serde_json::to_string(&moved.events).unwrap_or_default();
        let queue = moved
            .effects
            .iter()
            .filter_map(|effect| queue_change(state, effect))
            .collect();
        unit.runs.push(RunWrite {
            expected: moved.expected,
            row: row_of(state),
            events,
            queue,
        });
    }
}

fn remember(key: &Idempotency, runs: &[Moved], meta: Meta) -> IdempotencyWrite {
    let answer: Vec<String> = runs.iter().map(|moved| moved.state.id.to_string()).collect();
    IdempotencyWrite {
        namespace: runs
            .first()
            .map(|moved| Arc::clone(&moved.state.created.namespace))
            .unwrap_or_default(),
        scope: Arc::clone(&key.scope),
        key: key.key.clone(),
        record: IdempotencyRecord {
            request: key.request,
            answer: answer.join(" "),
        },
        expires_at: meta.at.plus_ms(IDEMPOTENCY_TTL_MS),
    }
}

fn queue_change(state: &RunState, effect: &Effect) -> Option<QueueChange> {
    match effect {
        Effect::Enqueue { node } => {
            let step = state.nodes[*node as usize].step as usize;
            let action = state.plan.spec.steps[step].action.to_ascii_lowercase();
            Some(QueueChange::Put {
                node: *node,
                action: action.into(),
            })
        }
        Effect::Dequeue { node } => Some(QueueChange::Remove { node: *node }),
        Effect::Dispatch(_) | Effect::CancelAttempt(_) => None,
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

/// What an idempotency record says was started.
pub(super) fn replayed(record: &IdempotencyRecord) -> Result<Vec<RunId>, StoreError> {
    let ids: Result<Vec<RunId>, _> = record.answer.split(' ').map(str::parse).collect();
    ids.map_err(|error| StoreError::Corrupt(error.to_string()))
}
