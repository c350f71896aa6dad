//! One task of a stream: its history, folded step by step, and what is told of it.

use std::fmt;
use std::sync::Arc;

use quintet_core::apply::{apply, create, seal};
use quintet_core::event::Event;
use quintet_core::id::RunId;
use quintet_core::plan::Plan;
use quintet_core::state::RunState;
use quintet_engine::{Engine, Progress, events_of};
use quintet_store::{StoreError, StoredCommit};
use serde_json::json;
use tokio::sync::watch;

use super::super::{effects, ticks};

/// History entries read at a time.
const PAGE: usize = 256;

/// How far a client has come: everything before entry `seq` of the history, and of that one the messages up to number
/// `last`, from 1.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    seq: u64,
    last: u32,
}

impl Position {
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, last) = text.split_once('.')?;
        Some(Self {
            seq: seq.parse().ok()?,
            last: last.parse().ok()?,
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, self.last)
    }
}

/// What a look at the history gave.
#[derive(Debug)]
pub(super) enum Read {
    /// JSON in one line, and where the client is with it.
    Messages(Vec<(Position, String)>),
    /// Nothing new.
    Nothing,
    /// The task is over, or gone, and everything was read.
    Over,
}

/// Reads the history of one task.
pub(super) struct Follower {
    engine: Arc<Engine>,
    namespace: Arc<str>,
    run: RunId,
    plan: Arc<Plan>,
    /// What the history was folded to so far.
    state: Option<RunState>,
    /// What the client has.
    position: Position,
    watch: Option<watch::Receiver<Progress>>,
    is_over: bool,
}

impl Follower {
    pub fn new(engine: Arc<Engine>, state: &RunState, position: Position) -> Self {
        let namespace = Arc::clone(&state.created.namespace);
        Self {
            watch: Some(engine.watch(&namespace, state.id)),
            engine,
            namespace,
            run: state.id,
            plan: Arc::clone(&state.plan),
            state: None,
            position,
            is_over: false,
        }
    }

    pub fn position(&self) -> Position {
        self.position
    }

    /// The client has it.
    pub fn told(&mut self, position: Position) {
        self.position = position;
    }

    /// Whether waiting for the store makes sense.
    pub fn may_recover(&self) -> bool {
        self.engine.is_ready()
    }

    /// Whether nothing will happen to it any more.
    pub async fn is_over(&self) -> Result<bool, StoreError> {
        let row = self.engine.store().run(&self.namespace, self.run).await?;
        Ok(row.is_none_or(|row| row.finished_at.is_some()))
    }

    /// Until there may be news.
    pub async fn changed(&mut self) {
        let Some(watch) = self.watch.as_mut().filter(|_| !self.is_over) else {
            return std::future::pending().await;
        };
        if watch.changed().await.is_err() {
            self.watch = None;
        }
    }

    /// What follows on what was read before.
    pub async fn read(&mut self) -> Result<Read, StoreError> {
        let store = Arc::clone(self.engine.store());
        while !self.is_over {
            let after = self.state.as_ref().map_or(0, |state| state.version);
            let commits = store.commits(&self.namespace, self.run, after, PAGE).await?;
            let mut messages = Vec::new();
            for commit in &commits {
                self.fold(commit, &mut messages)?;
            }
            if !messages.is_empty() {
                return Ok(Read::Messages(messages));
            }
            if commits.len() == PAGE {
                continue;
            }
            let known = self.state.as_ref().map_or(0, |state| state.version);
            match store.run(&self.namespace, self.run).await? {
                None => self.is_over = true,
                Some(row) if row.version > known => {}
                Some(row) if row.finished_at.is_some() || !self.engine.is_ready() => self.is_over = true,
                Some(_) => return Ok(Read::Nothing),
            }
        }
        Ok(Read::Over)
    }

    /// Folds an entry, and gathers what the client has not heard of it.
    fn fold(&mut self, commit: &StoredCommit, messages: &mut Vec<(Position, String)>) -> Result<(), StoreError> {
        let events = events_of(&commit.events)?;
        let corrupt = |reason: String| StoreError::Corrupt(format!("{}: {reason}", self.run));
        let state = match (&mut self.state, events.first()) {
            (Some(state), _) => state,
            (state @ None, Some(Event::RunCreated(created))) => {
                state.insert(create(self.run, Arc::clone(&self.plan), created, commit.meta))
            }
            (None, _) => return Err(corrupt("the history does not begin with run_created".to_owned())),
        };
        let mut told = Vec::new();
        for event in &events {
            apply(state, commit.meta, event).map_err(|error| corrupt(error.to_string()))?;
            told.extend(ticks::of(state, event, commit.meta.at).iter().map(|tick| json!(tick)));
        }
        seal(state, commit.meta);
        told.extend(effects::shown(state, &events));
        let numbered = (1..)
            .zip(told)
            .map(|(last, data)| (Position { seq: commit.seq, last }, data.to_string()));
        messages.extend(numbered.filter(|(position, _)| *position > self.position));
        Ok(())
    }
}
