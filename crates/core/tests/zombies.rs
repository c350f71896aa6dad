//! Late events: the answers and heartbeats of zombies, claims and recoveries by another process, the clock, and people
//! who ask twice, at a step run in every state, before, at and after its deadline.
//!
//! What must become of each is written in `zombies/table.txt`. Two invariants are asserted for all of them, before and
//! after: an attempt is ended by at most one answer (I2), and at most one attempt of a step run can write (I6).

#[path = "zombies/late.rs"]
mod late;
#[path = "zombies/situation.rs"]
mod situation;
mod support;
#[path = "zombies/table.rs"]
mod table;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use late::other;
use quintet_core::apply::apply_commit;
use quintet_core::command::{Command, Rejected};
use quintet_core::effect::Cx;
use quintet_core::event::Event;
use quintet_core::machine::{RunStatus, StepStatus, step};
use quintet_core::outcome::{Failure, Outcome, Success, Token};
use quintet_core::state::RunState;
use quintet_core::step::StepError;
use quintet_core::time::Time;
use situation::{Situation, alone, build};
use support::{Ids, Sim, Slots, rejected};
use table::{Cell, OFFSETS};

type Arrived = (Situation, Command, Result<Vec<Event>, StepError>);

/// Lets a late event arrive at a fresh situation.
fn arrive(situation: &str, late: &str, offset: i64) -> Arrived {
    let mut at = build(situation);
    let (command, by) = late::make(late, &at);
    at.sim.now.0 = at.deadline().0 + offset;
    at.sim.owner = by;
    let result = at.sim.command(command.clone());
    (at, command, result)
}

/// Everything in the table, with what came of it.
fn each(mut look: impl FnMut(&Cell, &str, Arrived)) {
    for cell in table::cells() {
        for (offset, word) in OFFSETS.into_iter().zip(cell.words) {
            look(&cell, word, arrive(cell.situation, cell.late, offset));
        }
    }
}

#[test]
fn every_late_event_meets_what_the_table_says() {
    let (mut looked_at, mut wrong) = (0, Vec::new());
    each(|cell, expected, (at, _, result)| {
        looked_at += 1;
        let word = table::word(&result, &at.sim.state, at.node);
        if word != expected {
            let (situation, late, offset) = (cell.situation, cell.late, at.sim.now.0);
            wrong.push(format!("{situation} | {late} at {offset}: {word}, not {expected}"));
        }
    });
    assert!(
        wrong.is_empty(),
        "{} of {looked_at}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(looked_at >= 200, "only {looked_at} combinations");
}

#[test]
fn the_table_has_a_cell_for_each_situation_and_event_and_each_state_of_the_machine_has_a_situation() {
    let named: Vec<_> = table::cells().iter().map(|cell| (cell.situation, cell.late)).collect();
    let cells: HashSet<_> = named.iter().copied().collect();
    assert_eq!(named.len(), cells.len(), "no cell is there twice");
    let situations = || situation::ALL.iter().map(|(name, _)| *name);
    let all: HashSet<_> = situations()
        .flat_map(|situation| late::ALL.iter().map(move |late| (situation, late.name)))
        .collect();
    assert_eq!(cells, all);
    let reached: BTreeSet<StepStatus> = situations().map(|name| status(&build(name))).collect();
    let transient = [
        StepStatus::EnqueuedForOrchestration,
        StepStatus::EnqueuedAsErrorForOrchestration,
    ];
    let at_rest = step::ALL.into_iter().filter(|status| !transient.contains(status));
    assert_eq!(reached, at_rest.collect());
}

fn status(at: &Situation) -> StepStatus {
    at.sim.state.nodes[at.node as usize].status
}

#[test]
fn what_is_refused_or_said_twice_leaves_the_run_as_it_was_and_the_rest_is_in_its_history() {
    each(|cell, word, (at, _, result)| {
        let mut before = build(cell.situation);
        (before.sim.now, before.sim.owner) = (at.sim.now, at.sim.owner);
        let unchanged = format!("{:?}", before.sim.state) == format!("{:?}", at.sim.state);
        let accepted = result.is_ok_and(|events| !events.is_empty());
        assert_eq!(unchanged, !accepted, "{} | {}: {word}", cell.situation, cell.late);
        at.sim.assert_replay_gives_the_state();
    });
}

#[test]
fn a_refusal_of_an_attempt_names_it_and_what_the_step_is_now() {
    each(|cell, _, (at, command, result)| {
        let (Command::Complete { token, .. } | Command::Heartbeat { token, .. }) = command else {
            return;
        };
        let Err(StepError::Rejected(refused)) = result else {
            return;
        };
        let (named, current, now) = (token.attempt, at.attempt(), status(&at));
        match refused {
            Rejected::Superseded {
                attempt,
                current: last,
                status,
            } => assert_eq!((attempt, last, status), (named, current, now)),
            Rejected::NeverIssued { attempt, current: last } => assert_eq!((attempt, last), (named, current)),
            Rejected::Expired { attempt, status } => assert_eq!((attempt, status), (named, now)),
            Rejected::Recorded { attempt, status, .. } => assert_eq!((attempt, status), (named, now)),
            other => panic!("{} | {}: {other}", cell.situation, cell.late),
        }
    });
}

#[test]
fn an_accepted_answer_is_recorded_under_its_attempt_as_it_was_given() {
    let mut accepted = 0;
    each(|_, _, (at, command, result)| {
        if let (Command::Complete { token, outcome }, Ok(events)) = (command, result)
            && !events.is_empty()
        {
            accepted += 1;
            assert_eq!(
                answers(&events),
                [(token, Some(outcome))].map(|(t, o)| (t.node, t.attempt, o))
            );
            assert_eq!(token, at.token(at.attempt()));
        }
    });
    assert!(accepted > 20);
}

/// The ends of attempts among some events, with the answers that made them.
fn answers(events: &[Event]) -> Vec<(u32, u32, Option<Outcome>)> {
    let answer = |event: &Event| match event {
        Event::StepSucceeded { n, a, success } => Some((*n, *a, Some(Outcome::Succeeded((**success).clone())))),
        Event::StepRetrying { n, a, failure, .. } | Event::StepFailed { n, a, failure } if *a > 0 => {
            Some((*n, *a, Some(Outcome::Failed((**failure).clone()))))
        }
        Event::AttemptLost { n, a } => Some((*n, *a, None)),
        _ => None,
    };
    events.iter().filter_map(answer).collect()
}

#[test]
fn an_attempt_is_ended_at_most_once_whatever_comes_late() {
    each(|cell, _, (at, ..)| {
        let name = || format!("I2: {} | {}", cell.situation, cell.late);
        let mut ended: HashMap<(u32, u32), u32> = HashMap::new();
        for (_, events) in &at.sim.history {
            let events: Vec<Event> = serde_json::from_str(events).expect("events can be read back");
            for (node, attempt, _) in answers(&events) {
                *ended.entry((node, attempt)).or_default() += 1;
            }
        }
        assert!(ended.values().all(|times| *times == 1), "{}: {ended:?}", name());
        // The last answer is in: whoever else answers for the step run, answers for nothing.
        let mut state = at.sim.state.clone();
        for token in writers(&at, &at.sim.state) {
            assert!(answer(&mut state, at.sim.now, token, at.answer.clone()));
        }
        assert_eq!(writers(&at, &state), [], "{}", name());
    });
}

#[test]
fn at_most_one_attempt_of_a_step_run_can_write_and_it_is_the_one_under_way() {
    each(|cell, _, (at, ..)| {
        let before = build(cell.situation);
        for state in [&before.sim.state, &at.sim.state] {
            let node = &state.nodes[at.node as usize];
            let in_time = node.timer.is_none_or(|deadline| at.sim.now < deadline);
            let mut allowed = Vec::new();
            if node.is_claimed() && in_time {
                allowed.push(at.token(node.attempt));
            }
            assert_eq!(writers(&at, state), allowed, "I6: {} | {}", cell.situation, cell.late);
        }
    });
}

/// Which attempts' answers would change the run now.
fn writers(at: &Situation, state: &RunState) -> Vec<Token> {
    let last = state.nodes[at.node as usize].attempt;
    let mut writers: Vec<Token> = Vec::new();
    for token in (0..last + 3).map(|attempt| at.token(attempt)) {
        let takes = |outcome| answer(&mut state.clone(), at.sim.now, token, outcome);
        if takes(at.answer.clone()) | takes(other()) {
            writers.push(token);
        }
    }
    writers
}

/// Answers for an attempt; whether that changed anything.
fn answer(state: &mut RunState, now: Time, token: Token, outcome: Outcome) -> bool {
    let mut cx = Cx {
        now,
        owner: situation::HOLDER,
        ids: &mut Ids(1),
        placement: &mut Slots { free: 0 },
    };
    let command = Command::Complete { token, outcome };
    quintet_core::step::step(state, command, &mut cx).is_ok_and(|out| !out.events.is_empty())
}

#[test]
fn an_attempt_that_never_gives_a_sign_of_life_has_its_deadline_from_the_hand_out_on() {
    for (situation, ms) in [("1 in progress, must answer", 1000), ("1 in progress, must beat", 400)] {
        let at = build(situation);
        let handed_out = at.sim.state.nodes[at.node as usize].started_at.unwrap();
        assert_eq!(at.sim.state.next_wake(), Some(handed_out.plus_ms(ms)));
    }
    let (claimed, ..) = arrive("enqueued", "claim", -1);
    assert_eq!(claimed.sim.state.next_wake(), Some(claimed.sim.now.plus_ms(1000)));
}

#[test]
fn a_heartbeat_moves_the_deadline_only_while_there_is_one_to_move() {
    let beats = |offset| {
        let (at, _, result) = arrive("1 in progress, must beat", "beat", offset);
        let deadline = at.sim.state.nodes[at.node as usize].timer.unwrap();
        (result.is_ok(), deadline.0 - at.sim.now.0)
    };
    assert_eq!(beats(-1), (true, 400_000));
    assert_eq!(beats(0), (false, 0));
    assert_eq!(beats(1), (false, -1));
    let (at, ..) = arrive("2 in progress after an expiry", "older beat", -1);
    assert_eq!(at.sim.state.nodes[at.node as usize].timer.unwrap().0, at.sim.now.0 + 1);
}

#[test]
fn a_retry_asked_for_twice_is_made_once_and_what_the_old_attempt_answers_stays_refused() {
    for situation in [
        "error after a failure",
        "error after an expiry",
        "error, run blocked",
        "cancelled",
    ] {
        let (mut at, retry, result) = arrive(situation, "retry", 0);
        assert!(result.is_ok());
        let again = at.sim.command(retry);
        assert!(
            matches!(rejected(again), Rejected::WrongStepStatus { .. }),
            "{situation}"
        );
        assert_eq!((at.attempt(), at.sim.running()), (2, vec!["a"]), "{situation}");
        for outcome in [at.answer.clone(), other()] {
            let late = at.sim.command(Command::Complete {
                token: at.token(1),
                outcome,
            });
            let (attempt, current, status) = (1, 2, StepStatus::InProgress);
            assert_eq!(
                rejected(late),
                Rejected::Superseded {
                    attempt,
                    current,
                    status
                }
            );
        }
    }
}

#[test]
fn of_a_cancel_and_an_answer_the_first_wins_and_the_other_is_told_so() {
    let complete = |at: &mut Situation| {
        let (token, outcome) = (at.token(1), at.answer.clone());
        at.sim.command(Command::Complete { token, outcome })
    };
    let cancel = |at: &mut Situation| at.sim.command(Command::Cancel { by: None, reason: None });
    let mut at = alone();
    assert!(complete(&mut at).is_ok());
    assert_eq!(rejected(cancel(&mut at)), Rejected::Finished(RunStatus::Complete));
    assert_eq!(
        (at.sim.state.status, status(&at)),
        (RunStatus::Complete, StepStatus::Complete)
    );
    let mut at = alone();
    assert!(cancel(&mut at).is_ok());
    let (attempt, current, status_then) = (1, 1, StepStatus::Cancelled);
    assert_eq!(
        rejected(complete(&mut at)),
        Rejected::Superseded {
            attempt,
            current,
            status: status_then
        }
    );
    assert_eq!(
        (at.sim.state.status, status(&at)),
        (RunStatus::Cancelled, StepStatus::Cancelled)
    );
}

#[test]
fn the_digest_of_what_is_recorded_is_the_same_after_a_replay_and_differs_from_that_of_anything_else() {
    let digest = |sim: &mut Sim, token: Token| {
        let outcome = other();
        match rejected(sim.command(Command::Complete { token, outcome })) {
            Rejected::Recorded { outcome, .. } => outcome,
            refused => panic!("{refused}"),
        }
    };
    let mut digests = HashSet::new();
    for situation in ["complete", "error after a failure"] {
        let mut at = build(situation);
        let token = at.token(1);
        let live = digest(&mut at.sim, token);
        at.sim.state = at.sim.replayed();
        assert_eq!(digest(&mut at.sim, token), live);
        assert!(
            at.sim
                .command(Command::Complete {
                    token,
                    outcome: at.answer.clone()
                })
                .unwrap()
                .is_empty()
        );
        digests.insert(live);
    }
    assert_eq!(digests.len(), 2);
}

#[test]
fn a_history_in_which_a_zombie_ends_an_attempt_is_illegal() {
    let ends = |situation: &str, attempt: u32| {
        let mut at = build(situation);
        let (n, a) = (at.node, attempt);
        let end = Event::AttemptLost { n, a };
        let meta = at.sim.history.last().expect("a run has a history").0;
        apply_commit(&mut at.sim.state, meta, &[end]).is_ok()
    };
    assert!(ends("2 in progress after an expiry", 2));
    assert!(!ends("2 in progress after an expiry", 1), "the attempt before");
    assert!(!ends("2 in progress after an expiry", 3), "the attempt after");
    for (situation, last) in [
        ("pending after a loss, run paused", 1),
        ("enqueued after a failure", 1),
        ("in progress, a timer", 0),
        ("in progress, its items", 0),
        ("waiting for retry after an expiry", 1),
        ("cancelled", 1),
    ] {
        assert!(!ends(situation, last), "no attempt is under way: {situation}");
    }
}

#[test]
fn a_history_in_which_an_attempt_begins_under_an_old_number_is_illegal() {
    let begins = |attempt: u32| {
        let mut at = build("enqueued after a failure");
        let begin = Event::StepStarted {
            n: at.node,
            a: attempt,
            close_by: None,
            beat_by: None,
        };
        let meta = at.sim.history.last().expect("a run has a history").0;
        apply_commit(&mut at.sim.state, meta, &[begin]).is_ok()
    };
    assert_eq!([0, 1, 2].map(begins), [false, false, true]);
}

#[test]
fn a_history_in_which_a_zombie_says_anything_is_illegal() {
    let (success, failure) = (Arc::new(Success::default()), Arc::new(Failure::new("test", "broken")));
    let says = |nth: usize, attempt: u32| {
        let mut at = build("2 in progress after an expiry");
        let (n, a, failure) = (at.node, attempt, Arc::clone(&failure));
        let progressed = Event::StepProgressed {
            n,
            a,
            beat_by: None,
            progress: Some(50.0),
            message: None,
        };
        let succeeded = Event::StepSucceeded {
            n,
            a,
            success: Arc::clone(&success),
        };
        let retrying = Event::StepRetrying {
            n,
            a,
            failure: Arc::clone(&failure),
            at: at.sim.now,
        };
        let failed = Event::StepFailed { n, a, failure };
        let event = [progressed, succeeded, retrying, failed].into_iter().nth(nth);
        let meta = at.sim.history.last().expect("a run has a history").0;
        apply_commit(&mut at.sim.state, meta, &[event.expect("four of them")]).is_ok()
    };
    for nth in 0..4 {
        assert_eq!(
            [1, 2, 3].map(|attempt| says(nth, attempt)),
            [false, true, false],
            "{nth}"
        );
    }
}
