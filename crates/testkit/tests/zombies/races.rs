//! Sixty-four processes at once, each with a copy of the same version and something to say: exactly one is heard, and
//! every other one is told what happened.

use std::sync::Arc;

use quintet_core::command::{Command, Rejected};
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::outcome::{Outcome, Success};
use quintet_core::state::{Node, RunState};
use quintet_core::time::Time;
use quintet_store::{Claim, QueueAsk, Turns};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::situation::{Situation, alone, build};
use crate::stores::Fixture;
use crate::story;
use crate::writer::{NAMESPACE, Verdict, Writer};

pub const PROCESSES: usize = 64;
pub const ROUNDS: u64 = 100;
/// For the races that differ only in what is asked for.
const FEWER_ROUNDS: u64 = 25;
/// The owner number of the first process; the others follow.
const FIRST_OWNER: u64 = 1000;

/// What a race came to.
struct Race {
    at: Situation,
    verdicts: Vec<Verdict>,
    /// The process that was heard.
    winner: usize,
    /// The run afterwards.
    state: RunState,
}

impl Race {
    fn node(&self) -> &Node {
        &self.state.nodes[self.at.node as usize]
    }

    /// What the others were told.
    fn others(&self) -> impl Iterator<Item = (usize, &Verdict)> {
        let verdicts = self.verdicts.iter().enumerate();
        verdicts.filter(|(process, _)| *process != self.winner)
    }
}

/// Lets every process ask for something, on a copy that is new when it starts, and again when it was outrun.
async fn race(
    fixture: &Fixture,
    number: u64,
    at: Situation,
    ask: impl Fn(usize, &Situation) -> (Command, Time),
) -> Race {
    race_with_keys(fixture, number, at, ask, |_| None).await
}

/// The same, where what a process commits may have an idempotency key.
async fn race_with_keys(
    fixture: &Fixture,
    number: u64,
    mut at: Situation,
    ask: impl Fn(usize, &Situation) -> (Command, Time),
    key: impl Fn(usize) -> Option<String>,
) -> Race {
    let mut writer = Writer::of(&at, fixture.process(0));
    story::store(&mut at, &mut writer, number).await;
    let (start, mut processes) = (Arc::new(Barrier::new(PROCESSES)), JoinSet::new());
    for process in 0..PROCESSES {
        let (command, now) = ask(process, &at);
        let writer = Writer {
            store: fixture.process(process),
            plan: Arc::clone(&writer.plan),
            owner: FIRST_OWNER + process as u64,
            now,
            slots: 1,
            key: key(process),
            ..writer
        };
        let start = Arc::clone(&start);
        processes.spawn(async move {
            let copy = writer.load().await;
            start.wait().await;
            (process, writer.carry_out(copy, command).await)
        });
    }
    let mut verdicts = processes.join_all().await;
    verdicts.sort_unstable_by_key(|(process, _)| *process);
    let won = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Won);
    let winners: Vec<usize> = won.map(|(process, _)| *process).collect();
    let state = writer.load().await;
    let [winner] = winners[..] else {
        panic!("race {number}: {winners:?} were all heard");
    };
    assert_eq!(state.version, at.sim.state.version + 1, "race {number}: written once");
    let verdicts = verdicts.into_iter().map(|(_, verdict)| verdict).collect();
    Race {
        at,
        verdicts,
        winner,
        state,
    }
}

fn complete(at: &Situation, outcome: Outcome) -> Command {
    let token = at.token(at.attempt());
    Command::Complete { token, outcome }
}

/// A success.
pub fn output(value: Value) -> Outcome {
    Outcome::Succeeded(Success {
        output: Arc::new(value),
        ..Success::default()
    })
}

fn outcome_of(node: &Node) -> Option<Outcome> {
    node.success.as_deref().cloned().map(Outcome::Succeeded)
}

pub async fn one_answer_is_recorded_and_all_who_say_the_same_are_told_that_it_is(fixture: Fixture) {
    for number in 0..ROUNDS {
        let race = race(&fixture, number, alone(), |_, at| {
            (complete(at, at.answer.clone()), at.sim.now)
        })
        .await;
        assert!(race.others().all(|(_, verdict)| *verdict == Verdict::Nothing));
        assert_eq!(outcome_of(race.node()), Some(race.at.answer.clone()));
        assert_eq!(race.state.status, RunStatus::Complete);
    }
}

/// A store may go another way with a key.
pub async fn one_answer_is_recorded_also_when_each_comes_with_a_key_of_its_own(fixture: Fixture) {
    for number in 0..FEWER_ROUNDS {
        let key = |process| Some(format!("{number} {process}"));
        let ask = |_: usize, at: &Situation| (complete(at, at.answer.clone()), at.sim.now);
        let race = race_with_keys(&fixture, number, alone(), ask, key).await;
        assert!(race.others().all(|(_, verdict)| *verdict == Verdict::Nothing));
        for process in 0..PROCESSES {
            let key = key(process).expect("each has a key");
            let kept = fixture
                .process(process)
                .idempotency(NAMESPACE, "zombies", &key, Time(0))
                .await;
            let kept = kept.expect("the store answers").is_some();
            assert_eq!(kept, process == race.winner, "a key is kept with what it was used for");
        }
    }
}

pub async fn of_many_different_answers_one_is_recorded_and_all_others_are_told_which(fixture: Fixture) {
    for number in 0..ROUNDS {
        let race = race(&fixture, number, alone(), |process, at| {
            (complete(at, output(json!({ "by": process }))), at.sim.now)
        })
        .await;
        assert_eq!(outcome_of(race.node()), Some(output(json!({ "by": race.winner }))));
        let mut digests: Vec<String> = Vec::new();
        for (process, verdict) in race.others() {
            let Verdict::Refused(Rejected::Recorded {
                attempt: 1,
                status: StepStatus::Complete,
                outcome,
            }) = verdict
            else {
                panic!("race {number}: process {process} was told {verdict:?}");
            };
            digests.push(outcome.to_string());
        }
        digests.dedup();
        assert_eq!(digests.len(), 1);
    }
}

pub async fn of_a_cancel_and_an_answer_one_wins_and_everybody_is_told_which(fixture: Fixture) {
    let cancel = || Command::Cancel { by: None, reason: None };
    let cancels = |process: usize| process.is_multiple_of(2);
    for number in 0..ROUNDS {
        let race = race(&fixture, number, alone(), |process, at| {
            let answer = complete(at, at.answer.clone());
            (if cancels(process) { cancel() } else { answer }, at.sim.now)
        })
        .await;
        let (attempt, current) = (1, 1);
        let (run, step, cancel_told, answer_told) = if cancels(race.winner) {
            let status = StepStatus::Cancelled;
            let superseded = Rejected::Superseded {
                attempt,
                current,
                status,
            };
            (
                RunStatus::Cancelled,
                status,
                RunStatus::Cancelled,
                Verdict::Refused(superseded),
            )
        } else {
            (
                RunStatus::Complete,
                StepStatus::Complete,
                RunStatus::Complete,
                Verdict::Nothing,
            )
        };
        assert_eq!((race.state.status, race.node().status), (run, step), "race {number}");
        let cancel_told = Verdict::Refused(Rejected::Finished(cancel_told));
        for (process, verdict) in race.others() {
            let expected = if cancels(process) { &cancel_told } else { &answer_told };
            assert_eq!(verdict, expected, "race {number}, process {process}");
        }
    }
}

pub async fn of_an_answer_in_time_and_the_clock_one_ends_the_attempt(fixture: Fixture) {
    let ticks = |process: usize| process.is_multiple_of(2);
    for number in 0..FEWER_ROUNDS {
        let at = build("1 in progress, must answer");
        let race = race(&fixture, number, at, |process, at| {
            let deadline = at.deadline();
            if ticks(process) {
                (Command::Tick, deadline)
            } else {
                (complete(at, at.answer.clone()), Time(deadline.0 - 1))
            }
        })
        .await;
        let late = Verdict::Refused(Rejected::Expired {
            attempt: 1,
            status: StepStatus::WaitingForRetry,
        });
        let (status, answer_told) = if ticks(race.winner) {
            (StepStatus::WaitingForRetry, late)
        } else {
            (StepStatus::Complete, Verdict::Nothing)
        };
        assert_eq!(race.node().status, status, "race {number}");
        for (process, verdict) in race.others() {
            let expected = if ticks(process) {
                &Verdict::Nothing
            } else {
                &answer_told
            };
            assert_eq!(verdict, expected, "race {number}, process {process}");
        }
    }
}

pub async fn a_retry_asked_for_by_many_is_one_new_attempt(fixture: Fixture) {
    for number in 0..FEWER_ROUNDS {
        let race = race(&fixture, number, build("error after a failure"), |_, at| {
            (Command::Retry { step: None, by: None }, at.sim.now)
        })
        .await;
        assert!(
            race.others()
                .all(|(_, verdict)| *verdict == Verdict::Refused(Rejected::NothingFailed))
        );
        assert_eq!((race.node().status, race.node().attempt), (StepStatus::InProgress, 2));
    }
}

pub async fn a_step_claimed_by_many_is_handed_out_once(fixture: Fixture) {
    for number in 0..FEWER_ROUNDS {
        let race = race(&fixture, number, build("enqueued"), |_, at| {
            (Command::Claim { node: at.node }, at.sim.now)
        })
        .await;
        let wrong = |verdict: &Verdict| matches!(verdict, Verdict::Refused(Rejected::WrongStepStatus { .. }));
        assert!(race.others().all(|(_, verdict)| wrong(verdict)));
        let (node, winner) = (race.node(), FIRST_OWNER + race.winner as u64);
        assert_eq!(
            (node.status, node.attempt, node.owner),
            (StepStatus::InProgress, 1, winner)
        );
        assert!(
            node.timer.is_some_and(|deadline| deadline > race.state.updated_at),
            "a deadline from the first"
        );
        let claim = Claim {
            owner: winner,
            now: race.state.updated_at,
            until: race.state.updated_at.plus_ms(1),
        };
        let left = fixture
            .process(0)
            .queued(&[QueueAsk::all("work")], &Turns::default(), claim, 10)
            .await;
        assert!(left.expect("the store answers").is_empty());
    }
}

pub async fn an_attempt_that_many_find_lost_is_made_again_once(fixture: Fixture) {
    let everybody: Vec<u64> = (FIRST_OWNER..FIRST_OWNER + PROCESSES as u64).collect();
    for number in 0..FEWER_ROUNDS {
        let at = build("1 in progress, without limits");
        let race = race(&fixture, number, at, |_, at| {
            let recover = Command::Recover {
                alive: everybody.clone(),
                held: Arc::default(),
                as_of: Time(i64::MAX),
            };
            (recover, at.sim.now)
        })
        .await;
        assert!(race.others().all(|(_, verdict)| *verdict == Verdict::Nothing));
        let (node, winner) = (race.node(), FIRST_OWNER + race.winner as u64);
        assert_eq!((node.status, node.attempt, node.lost), (StepStatus::InProgress, 2, 1));
        assert_eq!(node.owner, winner);
    }
}
