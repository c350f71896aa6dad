//! The same races through whole engines: every process has an engine with a cache, batches and a loop of its own, and
//! the callers have nothing but its answers.

use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::command::{Command, Rejected};
use quintet_core::id::RunId;
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::outcome::{Outcome, Token, Work};
use quintet_core::plan::{Plan, PlanSpec, StepSpec};
use quintet_core::state::RunState;
use quintet_engine::clock::{SystemClock, TimeOrderedIds};
use quintet_engine::executor::{Executor, Mode};
use quintet_engine::{Engine, EngineConfig, EngineError, EngineParts, NodeConfig, Registry, StartRun};
use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::races::{PROCESSES as CALLERS, ROUNDS, output};
use crate::stores::Fixture;
use crate::writer::NAMESPACE;

/// No engine is taken for dead, however busy the machine is.
const LEASE_MS: u64 = 600_000;

/// Keeps what it is given until it is told to stop.
struct Holder;

#[async_trait]
impl Executor for Holder {
    fn actions(&self) -> Vec<String> {
        vec!["held".into()]
    }
    fn mode(&self) -> Mode {
        Mode::Async { concurrency: 4096 }
    }
    async fn execute(&self, _work: Work) -> Outcome {
        std::future::pending().await
    }
}

/// What a caller was told: whether the command changed anything, or why it was refused.
type Told = Result<bool, Rejected>;

/// An engine for each process.
struct Engines {
    engines: Vec<Arc<Engine>>,
    _fixture: Fixture,
}

impl Engines {
    async fn start(fixture: Fixture) -> Self {
        let mut engines = Vec::new();
        for store in &fixture.processes {
            let engine = Engine::start(EngineParts {
                store: Arc::clone(store),
                registry: Registry::new([Arc::new(Holder) as Arc<dyn Executor>]),
                clock: Arc::new(SystemClock),
                ids: Box::new(TimeOrderedIds::new(SystemClock)),
                hooks: None,
                quota: None,
                config: EngineConfig {
                    drain_ms: 1,
                    node: NodeConfig {
                        lease_ms: LEASE_MS,
                        ..NodeConfig::default()
                    },
                    ..EngineConfig::default()
                },
            });
            engines.push(Arc::new(engine.await.expect("the engine starts")));
        }
        Self {
            engines,
            _fixture: fixture,
        }
    }

    fn of(&self, caller: usize) -> Arc<Engine> {
        Arc::clone(&self.engines[caller % self.engines.len()])
    }

    /// A run whose only step is under way.
    async fn begin(&self) -> Token {
        let spec = PlanSpec {
            steps: vec![StepSpec::new("a", "held")],
            ..PlanSpec::default()
        };
        let plan = Plan::compile(spec).expect("the plan is legal");
        let start = StartRun::of(NAMESPACE, Arc::new(plan));
        let started = self.engines[0].start_runs(vec![start], None, false).await;
        Token {
            run: started.expect("the run starts").runs[0].id,
            node: 0,
            attempt: 1,
        }
    }

    async fn state(&self, caller: usize, run: RunId) -> Arc<RunState> {
        let state = self.of(caller).state(&NAMESPACE.into(), run).await;
        state.expect("the run is there")
    }

    /// Everybody asks at once, half of them with nothing of the run in memory.
    async fn race(&self, token: Token, ask: impl Fn(usize) -> Command) -> (usize, Vec<Told>) {
        let (start, mut callers) = (Arc::new(Barrier::new(CALLERS)), JoinSet::new());
        for caller in 0..CALLERS {
            let (engine, command, start) = (self.of(caller), ask(caller), Arc::clone(&start));
            callers.spawn(async move {
                start.wait().await;
                (
                    caller,
                    told(engine.command(&NAMESPACE.into(), token.run, command).await),
                )
            });
        }
        let mut answers = callers.join_all().await;
        answers.sort_unstable_by_key(|(caller, _)| *caller);
        let answers: Vec<Told> = answers.into_iter().map(|(_, told)| told).collect();
        let changed = answers.iter().enumerate().filter(|(_, told)| **told == Ok(true));
        let winners: Vec<usize> = changed.map(|(caller, _)| caller).collect();
        let [winner] = winners[..] else {
            panic!("{winners:?} were all heard: {answers:?}");
        };
        (winner, answers)
    }

    async fn stop(self) {
        let outrun: u64 = self.engines.iter().map(|engine| engine.metrics().conflicts.get()).sum();
        assert_eq!(
            outrun > 0,
            self.engines.len() > 1,
            "{outrun} decisions were on old copies"
        );
        for engine in &self.engines {
            engine.shutdown().await;
        }
    }
}

fn told(answer: Result<quintet_engine::Applied, EngineError>) -> Told {
    match answer {
        Ok(applied) => Ok(applied.changed),
        Err(EngineError::Rejected(rejected)) => Err(rejected),
        Err(other) => panic!("{other}"),
    }
}

pub async fn one_of_many_answers_is_recorded_and_all_engines_tell_the_same(fixture: Fixture) {
    let engines = Engines::start(fixture).await;
    for round in 0..ROUNDS {
        // Three of four say the same; each of the others says something of its own.
        let says = |caller: usize| if caller.is_multiple_of(4) { caller } else { 1 };
        let token = engines.begin().await;
        let complete = |caller: usize| Command::Complete {
            token,
            outcome: output(json!({ "by": says(caller) })),
        };
        let (winner, answers) = engines.race(token, complete).await;
        for (caller, told) in answers.iter().enumerate() {
            match told {
                Ok(changed) => assert_eq!((says(caller), *changed), (says(winner), caller == winner), "{round}"),
                Err(Rejected::Recorded { attempt: 1, .. }) => assert_ne!(says(caller), says(winner), "{round}"),
                Err(other) => panic!("round {round}, caller {caller}: {other}"),
            }
        }
        let beat = Command::Heartbeat {
            token,
            progress: None,
            message: None,
        };
        for process in 0..engines.engines.len() {
            let state = engines.state(process, token.run).await;
            let success = state.nodes[0].success.as_ref().expect("it is recorded");
            assert_eq!(*success.output, json!({ "by": says(winner) }));
            let engine = engines.of(process);
            let stop = told(engine.command(&NAMESPACE.into(), token.run, beat.clone()).await);
            assert!(matches!(stop, Err(Rejected::Recorded { .. })), "told to stop: {stop:?}");
        }
    }
    engines.stop().await;
}

pub async fn a_cancel_or_an_answer_wins_and_all_engines_tell_the_same(fixture: Fixture) {
    let engines = Engines::start(fixture).await;
    // By fours, so that both are asked for everywhere.
    let cancels = |caller: usize| caller % 4 < 2;
    for round in 0..ROUNDS {
        let token = engines.begin().await;
        let ask = |caller: usize| {
            let outcome = output(json!("done"));
            if cancels(caller) {
                Command::Cancel { by: None, reason: None }
            } else {
                Command::Complete { token, outcome }
            }
        };
        let (winner, answers) = engines.race(token, ask).await;
        let (run, step) = if cancels(winner) {
            (RunStatus::Cancelled, StepStatus::Cancelled)
        } else {
            (RunStatus::Complete, StepStatus::Complete)
        };
        for process in 0..engines.engines.len() {
            let state = engines.state(process, token.run).await;
            assert_eq!((state.status, state.nodes[0].status), (run, step), "round {round}");
        }
        for (caller, told) in answers.into_iter().enumerate().filter(|(caller, _)| *caller != winner) {
            let expected = match (cancels(caller), cancels(winner)) {
                (true, _) => Err(Rejected::Finished(run)),
                (false, false) => Ok(false),
                (false, true) => Err(Rejected::Superseded {
                    attempt: 1,
                    current: 1,
                    status: step,
                }),
            };
            assert_eq!(told, expected, "round {round}, caller {caller}");
        }
    }
    engines.stop().await;
}
