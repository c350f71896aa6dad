//! Why a step run is not running: the exact reasons, read from the same state that decisions are made on.

use serde::Serialize;

use crate::machine::{RunStatus, StepStatus};
use crate::plan::{Join, StepSpec};
use crate::state::{Class, Hold, RunState, Verdict};
use crate::time::Time;

/// One reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The run is over.
    RunFinished { status: RunStatus },
    /// The step is settled.
    StepSettled { status: StepStatus },
    /// A person holds the run.
    Paused {
        by: Option<String>,
        comment: Option<String>,
        since: Time,
    },
    /// Nothing of the run starts before a time.
    NotBefore { at: Time },
    /// A failed step keeps everything else from starting.
    StoppedByFailure { step: String, error: String },
    /// A predecessor has not ended.
    Dependency { step: String, status: StepStatus },
    /// It will be tried again at a set time.
    RetryAt { at: Time, attempt: u32, error: String },
    /// A person has to approve.
    Approval { since: Option<Time>, until: Option<Time> },
    /// It waits for a time.
    WaitingUntil { at: Time },
    /// It can run, but no executor of its action has a free slot.
    NoFreeExecutor { action: String, since: Option<Time> },
    /// The run's own limit of steps under way is reached.
    RunConcurrency { limit: u32, held_by: Vec<String> },
    /// The limit of its `for_each` is reached.
    ItemConcurrency { limit: u32 },
    /// It waits for its items.
    Items { done: u32, running: u32, total: u32 },
    /// It is running.
    Running {
        attempt: u32,
        since: Option<Time>,
        until: Option<Time>,
    },
}

/// Names shown of the steps that hold a limit.
const HOLDERS_SHOWN: usize = 20;

/// The reasons why step run `n` is not running, most telling first.
pub fn why(state: &RunState, n: u32) -> Vec<Reason> {
    let node = &state.nodes[n as usize];
    if node.status.is_settled() {
        return vec![Reason::StepSettled { status: node.status }];
    }
    if state.status.is_terminal() {
        return vec![Reason::RunFinished { status: state.status }];
    }
    let mut reasons = Vec::new();
    if node.class() != Class::Claimed {
        reasons.extend(holds_of_run(state));
    }
    let spec = &state.plan.spec.steps[node.step as usize];
    match (node.class(), node.hold) {
        (Class::Claimed, _) => {
            reasons.push(Reason::Running {
                attempt: node.attempt,
                since: node.started_at,
                until: node.timer,
            });
        }
        (Class::Approving, _) => reasons.push(Reason::Approval {
            since: node.ready_at,
            until: node.timer,
        }),
        (Class::Retrying, _) => reasons.push(Reason::RetryAt {
            at: node.timer.unwrap_or_default(),
            attempt: node.attempt + 1,
            error: node
                .failure
                .as_ref()
                .map(|failure| failure.message.clone())
                .unwrap_or_default(),
        }),
        (Class::Timing, _) => reasons.push(Reason::WaitingUntil {
            at: node.timer.unwrap_or_default(),
        }),
        (Class::Enqueued, _) => {
            reasons.push(Reason::NoFreeExecutor {
                action: spec.action.clone(),
                since: node.ready_at,
            });
        }
        (Class::Fanning, _) => {
            if let Some(fan) = &node.fan {
                reasons.push(Reason::Items {
                    done: fan.next - fan.running,
                    running: fan.running,
                    total: fan.count,
                });
            }
        }
        (_, Hold::None) if node.verdict == Verdict::Undecided && node.item.is_none() => {
            reasons.extend(dependencies(state, n, spec));
        }
        _ => reasons.extend(limits(state, n, spec)),
    }
    reasons
}

fn holds_of_run(state: &RunState) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Some(note) = &state.paused {
        reasons.push(Reason::Paused {
            by: note.by.clone(),
            comment: note.reason.clone(),
            since: note.at,
        });
    }
    if let Some(at) = state.held_until {
        reasons.push(Reason::NotBefore { at });
    }
    if state.is_tripped()
        && let Some((failed, failure)) = state.first_failure()
    {
        reasons.push(Reason::StoppedByFailure {
            step: state.name_of(failed),
            error: failure.message.clone(),
        });
    }
    reasons
}

fn dependencies(state: &RunState, n: u32, spec: &StepSpec) -> Vec<Reason> {
    debug_assert!(spec.join != Join::AtLeast(0));
    let predecessors = state.plan.steps[n as usize].predecessors.iter();
    let open = predecessors.filter(|edge| !state.nodes[edge.step as usize].status.is_settled());
    let reason = |step: u32| Reason::Dependency {
        step: state.name_of(step),
        status: state.nodes[step as usize].status,
    };
    open.map(|edge| reason(edge.step)).collect()
}

fn limits(state: &RunState, n: u32, spec: &StepSpec) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Some(limit) = state.plan.spec.settings.max_concurrency {
        let held = |class| matches!(class, Class::Claimed | Class::Enqueued | Class::Timing);
        let holders = (0..state.nodes.len() as u32).filter(|&other| held(state.nodes[other as usize].class()));
        let held_by: Vec<String> = holders.take(HOLDERS_SHOWN).map(|other| state.name_of(other)).collect();
        if !held_by.is_empty() {
            reasons.push(Reason::RunConcurrency { limit, held_by });
        }
    }
    let in_turn = state.nodes[n as usize].item.is_some();
    if let (true, Some(limit)) = (in_turn, spec.for_each.as_ref().and_then(|each| each.concurrency)) {
        reasons.push(Reason::ItemConcurrency { limit });
    }
    reasons
}
