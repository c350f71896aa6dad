//! What of a run's history people and other services are told: log lines and hook messages are made from the same
//! notices, so that they cannot disagree.

use quintet_core::event::Event;
use quintet_core::machine::RunStatus;
use quintet_core::outcome::Failure;
use quintet_core::plan::StepKind;
use quintet_core::state::RunState;
use quintet_core::time::Time;

/// Something worth telling. `n` is the index of the step run.
#[derive(Debug)]
pub(crate) enum Notice<'e> {
    /// The run begins, or goes on after an approval: the original told both the same.
    RunStarted,
    WaitingApproval {
        n: u32,
    },
    StepSucceeded {
        n: u32,
    },
    StepFailed {
        n: u32,
        error: String,
        code: Option<u16>,
    },
    StepRetrying {
        n: u32,
        attempt: u32,
        failure: &'e Failure,
        at: Time,
    },
    StepLost {
        n: u32,
        attempt: u32,
    },
    StepSkipped {
        n: u32,
    },
    StepSaid {
        n: u32,
        text: &'e str,
    },
    StepResolved {
        n: u32,
        by: Option<&'e str>,
    },
    StepsReset {
        nodes: &'e [u32],
        by: Option<&'e str>,
    },
    RunSucceeded,
    RunFailed {
        timed_out_ms: Option<u64>,
    },
    RunBlocked,
    RunResolved {
        by: Option<&'e str>,
        reason: Option<&'e str>,
    },
    RunCanceled {
        by: Option<&'e str>,
        reason: Option<&'e str>,
    },
    RunPaused {
        by: Option<&'e str>,
        reason: Option<&'e str>,
    },
    RunResumed {
        by: Option<&'e str>,
        reason: Option<&'e str>,
    },
    Said {
        text: &'e str,
    },
}

/// The notices of an event. `state` is the run after it, or later.
pub(crate) fn of<'e>(event: &'e Event, state: &RunState) -> Vec<Notice<'e>> {
    match event {
        Event::RunCreated(_) => vec![Notice::RunStarted],
        Event::RunMoved { to } => match to {
            RunStatus::Complete => vec![Notice::RunSucceeded],
            RunStatus::Error => vec![Notice::RunFailed { timed_out_ms: None }],
            RunStatus::BlockedByFailures => vec![Notice::RunBlocked],
            _ => Vec::new(),
        },
        Event::RunCancelled { by, reason, .. } => {
            vec![Notice::RunCanceled {
                by: by.as_deref(),
                reason: reason.as_deref(),
            }]
        }
        Event::RunResolved { by, reason } => vec![Notice::RunResolved {
            by: by.as_deref(),
            reason: reason.as_deref(),
        }],
        Event::RunTimedOut { limit_ms } => vec![Notice::RunFailed {
            timed_out_ms: Some(*limit_ms),
        }],
        Event::RunPaused { by, reason } => vec![Notice::RunPaused {
            by: by.as_deref(),
            reason: reason.as_deref(),
        }],
        Event::RunResumed { by, reason } => vec![Notice::RunResumed {
            by: by.as_deref(),
            reason: reason.as_deref(),
        }],
        Event::ApprovalRequested { n, .. } => vec![Notice::WaitingApproval { n: *n }],
        Event::ApprovalGranted { n, .. } if is_approval(state, *n) => {
            vec![Notice::RunStarted, Notice::StepSucceeded { n: *n }]
        }
        Event::ApprovalGranted { .. } => vec![Notice::RunStarted],
        Event::ApprovalRejected { n, go_on: true, .. } => vec![Notice::RunStarted, Notice::StepSucceeded { n: *n }],
        Event::ApprovalRejected {
            n,
            by,
            comment,
            go_on: false,
        } => {
            let error = rejection(by.as_deref(), comment.as_deref());
            vec![Notice::StepFailed {
                n: *n,
                error,
                code: None,
            }]
        }
        Event::StepSucceeded { n, .. }
        | Event::StepReused { n, .. }
        | Event::WaitElapsed { n }
        | Event::ItemsCollected { n } => {
            vec![Notice::StepSucceeded { n: *n }]
        }
        Event::StepFailed { n, failure, .. } => {
            vec![Notice::StepFailed {
                n: *n,
                error: failure.message.clone(),
                code: failure.code,
            }]
        }
        Event::StepRetrying { n, a, failure, at } => {
            vec![Notice::StepRetrying {
                n: *n,
                attempt: *a,
                failure,
                at: *at,
            }]
        }
        Event::AttemptLost { n, a } => vec![Notice::StepLost { n: *n, attempt: *a }],
        Event::StepSkipped { n, .. } => vec![Notice::StepSkipped { n: *n }],
        Event::StepProgressed {
            n, message: Some(text), ..
        } => vec![Notice::StepSaid { n: *n, text }],
        Event::StepResolved { n, by, .. } => vec![Notice::StepResolved {
            n: *n,
            by: by.as_deref(),
        }],
        Event::StepsReset { nodes, by } => vec![Notice::StepsReset {
            nodes,
            by: by.as_deref(),
        }],
        Event::LogAppended { text } => vec![Notice::Said { text }],
        Event::RunDue
        | Event::StepEnqueued { .. }
        | Event::StepStarted { .. }
        | Event::AttemptAccepted { .. }
        | Event::StepProgressed { .. }
        | Event::RetryDue { .. }
        | Event::WaitStarted { .. }
        | Event::ItemsExpanded { .. } => Vec::new(),
    }
}

fn is_approval(state: &RunState, n: u32) -> bool {
    state
        .nodes
        .get(n as usize)
        .is_some_and(|node| state.plan.kind(node.step) == StepKind::Approval)
}

fn rejection(by: Option<&str>, comment: Option<&str>) -> String {
    let who = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let why = comment.map(|comment| format!(": {comment}")).unwrap_or_default();
    format!("approval rejected{who}{why}")
}

/// A step run's label; items of a `for_each` have their index.
pub(crate) fn label(state: &RunState, n: u32) -> String {
    let Some(node) = state.nodes.get(n as usize) else {
        return format!("#{n}");
    };
    let label = state.plan.spec.steps[node.step as usize].label();
    match node.item {
        Some(item) => format!("{label}[{}]", item.index),
        None => label.to_owned(),
    }
}
