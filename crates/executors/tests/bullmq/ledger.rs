//! A store of attempts that counts what is done to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use quintet_core::event::Created;
use quintet_core::id::RunId;
use quintet_core::outcome::{Failure, Outcome, Token, Work};
use quintet_core::plan::Digest;
use quintet_engine::executor::{Executor, Handed};
use quintet_executors::bullmq::{ACTION, Desk, Order, QUEUE_PREFIX, Returns, Standing, Stored, Unavailable, Workers};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{PATIENCE, QUEUE};

#[derive(Default)]
pub struct Ledger {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    attempts: HashMap<Token, Attempt>,
    is_away: bool,
    /// Answers that were brought while the store was away.
    turned_away: u32,
}

struct Attempt {
    work: Work,
    stage: Stage,
    /// Answers that counted; more than one is work done twice in the book.
    counted: Vec<Outcome>,
    refused: u32,
    progress: Vec<(Option<f64>, Option<String>)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    InHand,
    Outside,
    Over,
}

/// Makes orders of what [`Ledger::begin`] put into the input.
pub struct OrderDesk;

impl Desk for OrderDesk {
    fn order(&self, work: &Work) -> Result<Order, Box<Failure>> {
        Ok(Order {
            task_type: "video.render".to_owned(),
            payload: work.input["payload"].clone(),
            task_id: work.token.run.to_string(),
            step_id: Some(work.step.clone()),
            attempt: work.attempt,
            priority: work.input["priority"].as_i64().unwrap_or(0) as i32,
        })
    }
}

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let made = change(&mut self.state());
        self.changed.notify_waiters();
        made
    }

    /// An attempt of a new run that a process is about to hand over.
    pub fn begin(&self, payload: Value, priority: i32) -> Work {
        self.change(|state| {
            let token = Token {
                run: RunId::from_bits(state.attempts.len() as u128 + 1),
                node: 0,
                attempt: 1,
            };
            let work = work(token, json!({ "payload": payload, "priority": priority }));
            let attempt = Attempt {
                work: work.clone(),
                stage: Stage::InHand,
                counted: Vec::new(),
                refused: 0,
                progress: Vec::new(),
            };
            state.attempts.insert(token, attempt);
            work
        })
    }

    /// Begins an attempt, hands it over and notes that, as the engine does.
    pub async fn give(&self, workers: &Workers, payload: Value, priority: i32) -> Token {
        let work = self.begin(payload, priority);
        self.hand_over(workers, work).await
    }

    pub async fn hand_over(&self, workers: &Workers, work: Work) -> Token {
        let token = work.token;
        let handed = workers.hand_over(work).await;
        assert!(matches!(handed, Handed::Accepted), "{handed:?}");
        self.change(|state| {
            let attempt = state.attempts.get_mut(&token).expect("begun");
            if attempt.stage == Stage::InHand {
                attempt.stage = Stage::Outside;
            }
        });
        token
    }

    /// Nobody wants the attempt any more.
    pub fn call_off(&self, token: Token) {
        self.change(|state| state.attempts.get_mut(&token).expect("begun").stage = Stage::Over);
    }

    /// Comes and goes.
    pub fn set_away(&self, is_away: bool) {
        self.change(|state| state.is_away = is_away);
    }

    pub fn turned_away(&self) -> u32 {
        self.state().turned_away
    }

    pub fn counted(&self, token: Token) -> usize {
        self.state().attempts[&token].counted.len()
    }

    pub fn progress(&self, token: Token) -> Vec<(Option<f64>, Option<String>)> {
        self.state().attempts[&token].progress.clone()
    }

    /// Waits until the attempt is answered; an answer may count once only.
    pub async fn outcome(&self, token: Token) -> Outcome {
        self.until(|state| state.attempts[&token].counted.first().cloned())
            .await
    }

    /// The output of an attempt that must succeed.
    pub async fn output(&self, token: Token) -> Value {
        match self.outcome(token).await {
            Outcome::Succeeded(success) => success.output.as_ref().clone(),
            Outcome::Failed(failure) => panic!("{failure:?}"),
        }
    }

    pub async fn failure(&self, token: Token) -> Failure {
        match self.outcome(token).await {
            Outcome::Failed(failure) => failure,
            Outcome::Succeeded(success) => panic!("{success:?}"),
        }
    }

    pub async fn until_refused(&self, token: Token) {
        self.until(|state| (state.attempts[&token].refused > 0).then_some(()))
            .await;
    }

    async fn until<T>(&self, find: impl Fn(&State) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = find(&self.state()) {
                    return found;
                }
                changed.await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("it did not come to that"))
    }
}

fn work(token: Token, input: Value) -> Work {
    Work {
        token,
        namespace: "default".into(),
        workflow: "".into(),
        step: "render".to_owned(),
        action: ACTION.into(),
        queue: format!("{QUEUE_PREFIX}{QUEUE}").into(),
        input,
        secrets: Vec::new(),
        context: Arc::default(),
        deadline: None,
        created: Arc::new(Created {
            namespace: "default".into(),
            workflow: "".into(),
            workflow_version: 0,
            plan: Digest([0; 32]),
            context: Arc::default(),
            priority: 0,
            labels: serde_json::Map::new(),
            priority_is_for_all: false,
            not_before: None,
        }),
        attempt: 1,
        past: Vec::new(),
        upstream: Vec::new(),
    }
}

#[async_trait]
impl Returns for Ledger {
    async fn complete(&self, token: Token, outcome: Outcome) -> Result<Stored, Unavailable> {
        self.change(|state| {
            if state.is_away {
                state.turned_away += 1;
                return Err(Unavailable("the store is away".to_owned()));
            }
            let Some(attempt) = state.attempts.get_mut(&token) else {
                return Ok(Stored::Unknown);
            };
            if attempt.stage == Stage::Over {
                attempt.refused += 1;
                return Ok(Stored::Over);
            }
            attempt.stage = Stage::Over;
            attempt.counted.push(outcome);
            Ok(Stored::Counted)
        })
    }

    async fn progress(&self, token: Token, percent: Option<f64>, words: Option<String>) -> Result<(), Unavailable> {
        self.change(|state| {
            if let Some(attempt) = state.attempts.get_mut(&token) {
                attempt.progress.push((percent, words));
            }
        });
        Ok(())
    }

    async fn outstanding(&self, queue: &str, offset: u64, limit: u64) -> Result<Vec<Token>, Unavailable> {
        assert_eq!(queue, QUEUE);
        let state = self.state();
        if state.is_away {
            return Err(Unavailable("the store is away".to_owned()));
        }
        let open = state
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.stage != Stage::Over);
        let mut tokens: Vec<Token> = open.map(|(token, _)| *token).collect();
        tokens.sort_by_key(|token| token.run);
        Ok(tokens.into_iter().skip(offset as usize).take(limit as usize).collect())
    }

    async fn standing(&self, token: Token) -> Result<Standing, Unavailable> {
        let state = self.state();
        Ok(match state.attempts.get(&token) {
            None => Standing::Unknown,
            Some(attempt) => match attempt.stage {
                Stage::Over => Standing::Over,
                Stage::InHand => Standing::InHand,
                Stage::Outside => Standing::Outside(Box::new(attempt.work.clone())),
            },
        })
    }
}
