//! Random graphs with random outcomes end in the state that an independent model predicts, whatever the order
//! of answers, however many attempts are lost, doubled or answered late; and at every point the stored
//! history folds to the very state.

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use quintet_core::command::Command;
use quintet_core::machine::RunStatus;
use quintet_core::outcome::{Failure, Outcome, Success, Token};
use quintet_core::plan::{Dependency, EdgeOn, FailurePolicy, ForEach, Join, PlanSpec, Settings, SkipMode, StepSpec};
use quintet_core::retry::RetryPolicy;
use quintet_core::step::StepError;
use serde_json::{Value, json};
use support::Sim;

/// What a step will do.
#[derive(Debug, Clone)]
struct Script {
    failures: u32,
    permanent: bool,
    max_attempts: u32,
    next: Option<u32>,
}

#[derive(Debug, Clone)]
struct Case {
    spec: PlanSpec,
    scripts: Vec<Script>,
    slots: u32,
}

fn step_strategy(at: usize) -> impl Strategy<Value = (StepSpec, Script)> {
    let edges = prop::collection::vec((0..at.max(1), 0..3u8), 0..4);
    let kind = (0..8u8, 0..10u8, 0..6u8, any::<bool>(), 0..5u8);
    let script = (0..4u32, 0..8u8, 1..4u32, prop::option::weighted(0.15, 0..4u32));
    (edges, kind, script).prop_map(move |(edges, (join, when, each, optional, satisfy), script)| {
        let mut step = StepSpec::new(format!("s{at}"), "work");
        for (before, on) in edges.into_iter().filter(|(before, _)| *before < at) {
            let on = [EdgeOn::Success, EdgeOn::Failure, EdgeOn::Always][usize::from(on)];
            let name = format!("s{before}");
            if step.depends_on.iter().all(|known| known.step != name) {
                step.depends_on.push(Dependency { step: name, on });
            }
        }
        step.join = match join {
            0 => Join::Any,
            2 => Join::Available,
            1 if !step.depends_on.is_empty() => Join::AtLeast(step.depends_on.len().div_ceil(2) as u32),
            _ => Join::All,
        };
        step.when = match when {
            0 => Some("context.no".to_owned()),
            1 => Some("context.yes".to_owned()),
            _ => None,
        };
        step.skip = if satisfy == 0 {
            SkipMode::Satisfy
        } else {
            SkipMode::Propagate
        };
        step.for_each = match each {
            0 => Some(ForEach {
                items: json!([1, 2, 3]),
                concurrency: Some(2),
            }),
            1 => Some(ForEach {
                items: json!("{{ context.none }}"),
                concurrency: None,
            }),
            _ => None,
        };
        step.optional = optional && when > 6;
        let (failures, permanent, max_attempts, next) = script;
        step.retry = RetryPolicy {
            max_attempts,
            delay_ms: 10,
            ..RetryPolicy::default()
        };
        (
            step,
            Script {
                failures,
                permanent: permanent == 0,
                max_attempts,
                next,
            },
        )
    })
}

fn case(policy: FailurePolicy) -> impl Strategy<Value = Case> {
    (1..9usize).prop_flat_map(move |len| {
        let steps: Vec<_> = (0..len).map(step_strategy).collect();
        (steps, 1..6u32, prop::option::of(1..3u32)).prop_map(move |(steps, slots, max_concurrency)| {
            let (steps, scripts) = steps.into_iter().unzip();
            let settings = Settings {
                on_failure: policy,
                max_concurrency,
                ..Settings::default()
            };
            Case {
                spec: PlanSpec { steps, settings },
                scripts,
                slots,
            }
        })
    })
}

/// How a step ends, by the model.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Complete,
    Error,
    Skipped { blocked: bool },
    ConditionFalse,
}

fn succeeds(script: &Script) -> bool {
    script.failures == 0 || (!script.permanent && script.failures < script.max_attempts)
}

/// The model: steps in order, each judged from the ends of those before it.
fn predict(case: &Case) -> (Vec<End>, RunStatus) {
    let mut ends: Vec<End> = Vec::new();
    for (at, step) in case.spec.steps.iter().enumerate() {
        let (mut led, mut blocked) = (0, 0);
        for edge in &step.depends_on {
            let before: usize = edge.step[1..].parse().unwrap();
            let good = match ends[before] {
                End::Complete => true,
                End::Error => case.spec.steps[before].optional,
                End::ConditionFalse => case.spec.steps[before].skip == SkipMode::Satisfy,
                End::Skipped { .. } => false,
            };
            // Only a result names successors; an empty for_each or a skipped step has none to give.
            let names = ends[before] == End::Complete && case.spec.steps[before].for_each.is_none();
            let chosen = !names || case.scripts[before].next.is_none_or(|pick| at as u32 % 4 == pick);
            match ends[before] {
                _ if good => led += u32::from(edge.on != EdgeOn::Failure && chosen),
                End::Error if edge.on == EdgeOn::Success => blocked += 1,
                End::Error => led += 1,
                End::Skipped { blocked: true } => blocked += 1,
                _ => {}
            }
        }
        let starts = match step.join {
            _ if step.depends_on.is_empty() => true,
            Join::All => blocked == 0 && led > 0,
            Join::Any | Join::Available => led > 0,
            Join::AtLeast(needed) => led >= needed,
        };
        ends.push(if !starts {
            End::Skipped { blocked: blocked > 0 }
        } else if step.when.as_deref() == Some("context.no") {
            End::ConditionFalse
        } else {
            match &step.for_each {
                Some(each) if each.items.is_string() => End::Complete,
                Some(_) if step.optional || succeeds(&case.scripts[at]) => End::Complete,
                None if succeeds(&case.scripts[at]) => End::Complete,
                _ => End::Error,
            }
        });
    }
    let handled = |at: usize| {
        let name = format!("s{at}");
        case.spec.steps.iter().any(|step| {
            step.depends_on
                .iter()
                .any(|edge| edge.step == name && edge.on != EdgeOn::Success)
        })
    };
    let fails = (0..ends.len()).any(|at| ends[at] == End::Error && !case.spec.steps[at].optional && !handled(at));
    (ends, if fails { RunStatus::Error } else { RunStatus::Complete })
}

/// Answers attempts in an order drawn from `choices` until nothing is left to do.
fn drive(case: &Case, choices: &[u8]) -> Sim {
    let context = json!({ "yes": true, "no": false, "none": [] });
    let mut sim = Sim::start(case.spec.clone(), context, case.slots);
    let mut choices = choices.iter().copied().cycle();
    let mut late: Vec<(Token, Outcome)> = Vec::new();
    let mut holds = 3;
    for turn in 0.. {
        assert!(turn < 5_000, "stuck: {:?}", sim.state);
        let choice = choices.next().unwrap_or(0);
        disturb(&mut sim, choice, &late, &mut holds);
        while sim.slots.free > 0 && !sim.queue.is_empty() {
            let node = sim.queue[usize::from(choice) % sim.queue.len()];
            sim.slots.free -= 1;
            sim.ok(Command::Claim { node });
        }
        if sim.held.is_empty() {
            if sim.state.paused.is_some() {
                sim.ok(Command::Resume { by: None, reason: None });
            } else if !sim.next_timer() && sim.held.is_empty() && sim.queue.is_empty() {
                break;
            }
            continue;
        }
        let work = sim.held[usize::from(choice) % sim.held.len()].clone();
        let node = &sim.state.nodes[work.token.node as usize];
        let script = &case.scripts[node.step as usize];
        let outcome = if node.tries < script.failures {
            let retryable = if script.permanent { Some(false) } else { None };
            Outcome::Failed(Failure {
                message: "scripted".into(),
                retryable,
                ..Failure::default()
            })
        } else {
            let next = script
                .next
                .map(|pick| (0..9).filter(|at| at % 4 == pick).map(|at| format!("s{at}")).collect());
            Outcome::Succeeded(Success {
                output: Arc::new(json!(work.step)),
                next,
                ..Success::default()
            })
        };
        late.push((work.token, outcome.clone()));
        sim.answer(work.token, outcome).unwrap();
    }
    sim
}

/// Late answers, dead processes, holds, and a look at the history.
fn disturb(sim: &mut Sim, choice: u8, late: &[(Token, Outcome)], holds: &mut u32) {
    match choice % 16 {
        0 | 1 => {
            if let Some((token, _)) = late.get(usize::from(choice) % late.len().max(1)) {
                let zombie = Outcome::Succeeded(Success {
                    output: Arc::new(Value::from("zombie")),
                    ..Success::default()
                });
                let refused = sim.command(Command::Complete {
                    token: *token,
                    outcome: zombie,
                });
                assert!(
                    matches!(refused, Err(StepError::Rejected(_))),
                    "a late answer was taken"
                );
            }
        }
        2 if sim.state.nodes.iter().all(|node| node.lost < 8) => {
            sim.owner += 1;
            let held = sim.held.len() as u32;
            sim.held.clear();
            sim.slots.free += held;
            let alive = vec![sim.owner];
            sim.recover(alive);
        }
        3 if *holds > 0 && !sim.state.status.is_terminal() && sim.state.paused.is_none() => {
            *holds -= 1;
            sim.ok(Command::Pause { by: None, reason: None });
        }
        4 if sim.state.paused.is_some() => {
            sim.ok(Command::Resume { by: None, reason: None });
        }
        5 => sim.assert_replay_gives_the_state(),
        6 | 7 => {
            if let Some((token, outcome)) = late.last().cloned() {
                let said_again = sim.command(Command::Complete { token, outcome });
                assert!(
                    matches!(said_again.as_deref(), Ok([]) | Err(StepError::Rejected(_))),
                    "an answer was taken twice"
                );
            }
        }
        _ => {}
    }
}

fn check_limits(sim: &Sim) {
    assert!(sim.held.is_empty() && sim.queue.is_empty());
    assert_eq!(sim.state.claims(), 0);
    sim.assert_replay_gives_the_state();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_step_ends_as_the_model_says(case in case(FailurePolicy::Continue), choices in prop::collection::vec(any::<u8>(), 1..60)) {
        let (ends, status) = predict(&case);
        let sim = drive(&case, &choices);
        check_limits(&sim);
        prop_assert_eq!(sim.state.status, status);
        for (at, end) in ends.iter().enumerate() {
            let expected = match end {
                End::Complete => "complete",
                End::Error => "error",
                End::Skipped { .. } | End::ConditionFalse => "skipped",
            };
            prop_assert_eq!(sim.status_of(&format!("s{at}")), expected, "s{}", at);
        }
    }

    #[test]
    fn fail_fast_ends_in_error_exactly_when_something_failed(case in case(FailurePolicy::FailFast), choices in prop::collection::vec(any::<u8>(), 1..60)) {
        let sim = drive(&case, &choices);
        check_limits(&sim);
        let failed = sim.state.first_failure().is_some();
        prop_assert_eq!(sim.state.status, if failed { RunStatus::Error } else { RunStatus::Complete });
        if !failed {
            prop_assert_eq!(predict(&case).1, RunStatus::Complete);
        }
    }

    #[test]
    fn a_failed_run_that_is_retried_until_its_steps_work_ends_well(mut case in case(FailurePolicy::FailFast), choices in prop::collection::vec(any::<u8>(), 1..60)) {
        for script in &mut case.scripts {
            script.next = None;
        }
        let mut sim = drive(&case, &choices);
        for script in &mut case.scripts {
            (script.failures, script.permanent) = (0, false);
        }
        if sim.state.status == RunStatus::Error {
            sim.ok(Command::Retry { step: None, by: Some("ops".into()) });
            finish(&mut sim);
            check_limits(&sim);
            prop_assert_eq!(sim.state.status, RunStatus::Complete);
        }
    }
}

/// Every attempt succeeds from now on.
fn finish(sim: &mut Sim) {
    for _ in 0..5_000 {
        while sim.slots.free > 0 && !sim.queue.is_empty() {
            sim.slots.free -= 1;
            let node = sim.queue[0];
            sim.ok(Command::Claim { node });
        }
        match sim.held.first().map(|work| work.step.clone()) {
            Some(step) => drop(sim.succeed(&step, json!(step))),
            None if sim.next_timer() => {}
            None if sim.queue.is_empty() => return,
            None => {}
        }
    }
    panic!("stuck: {:?}", sim.state);
}

/// `PROPTEST_CASES` asks for more than CI does.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(1_000)
}
