//! The table of what becomes of late events, and the words that it is written in.
//!
//! A cell is what happens before, at and after the deadline (`before/at/after`), or one word where that makes no
//! difference. What an accepted event leaves is `<step run><attempt>.<run>`, as in `complete1.going`.

use quintet_core::command::Rejected;
use quintet_core::event::Event;
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::state::{Class, RunState};
use quintet_core::step::StepError;

const TEXT: &str = include_str!("table.txt");

/// The instants looked at, in microseconds from the deadline.
pub const OFFSETS: [i64; 3] = [-1, 0, 1];

/// One line's cell.
pub struct Cell {
    pub situation: &'static str,
    pub late: &'static str,
    pub words: [&'static str; 3],
}

/// Every cell of the table.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut columns: Vec<&str> = Vec::new();
    let lines = TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let (situation, rest) = line.split_once('|').expect("a line has cells");
        let (situation, rest) = (situation.trim(), rest.split('|').map(str::trim));
        if situation == "state" {
            columns = rest.collect();
            continue;
        }
        let words: Vec<&str> = rest.collect();
        assert_eq!(words.len(), columns.len(), "{line}");
        let row = columns.iter().zip(words).map(|(late, cell)| Cell {
            situation,
            late,
            words: three(cell),
        });
        cells.extend(row);
    }
    cells
}

fn three(cell: &'static str) -> [&'static str; 3] {
    let words: Vec<&str> = cell.split('/').collect();
    match words[..] {
        [word] => [word; 3],
        [before, at, after] => [before, at, after],
        _ => panic!("one word or three: {cell}"),
    }
}

/// The table's word for what an event came to.
pub fn word(result: &Result<Vec<Event>, StepError>, state: &RunState, node: u32) -> String {
    match result {
        Ok(events) if events.is_empty() => "nothing".to_owned(),
        Ok(_) => after(state, node),
        Err(StepError::Rejected(rejected)) => refusal(rejected).to_owned(),
        Err(StepError::Illegal(illegal)) => panic!("{illegal}"),
    }
}

fn refusal(rejected: &Rejected) -> &'static str {
    match rejected {
        Rejected::Superseded { .. } => "superseded",
        Rejected::Expired { .. } => "late",
        Rejected::Recorded { .. } => "recorded",
        Rejected::NeverIssued { .. } => "unissued",
        Rejected::Finished(_) => "finished",
        Rejected::WrongStepStatus { .. } => "wrong",
        Rejected::UnknownStep(_) => "unknown",
        Rejected::Held
        | Rejected::WrongRunStatus(_)
        | Rejected::NothingToApprove
        | Rejected::NothingFailed
        | Rejected::HistoryFull(_) => panic!("nothing of the table is refused like this: {rejected}"),
    }
}

fn after(state: &RunState, node: u32) -> String {
    let node = &state.nodes[node as usize];
    let step = match node.status {
        StepStatus::Pending => "pending",
        StepStatus::Enqueued => "enqueued",
        StepStatus::InProgress if node.class() == Class::Claimed => "going",
        StepStatus::InProgress => "waiting",
        StepStatus::WaitingForRetry => "retrying",
        StepStatus::Complete => "complete",
        StepStatus::Error => "error",
        StepStatus::Cancelled => "cancelled",
        StepStatus::ResolvedManually => "resolved",
        StepStatus::Skipped => "skipped",
        StepStatus::EnqueuedForOrchestration | StepStatus::EnqueuedAsErrorForOrchestration => {
            panic!("a step run rests in a transient state")
        }
    };
    format!("{step}{}.{}", node.attempt, run(state.status))
}

fn run(status: RunStatus) -> &'static str {
    match status {
        RunStatus::StepsInProcess => "going",
        RunStatus::WaitingForRetry => "retrying",
        RunStatus::Paused => "paused",
        RunStatus::Complete => "complete",
        RunStatus::Error => "error",
        RunStatus::Cancelled => "cancelled",
        RunStatus::BlockedByFailures => "blocked",
        RunStatus::ResolvedManually => "resolved",
        RunStatus::WaitingForApproval => "asking",
        RunStatus::WaitingForDependencies => "waiting",
        RunStatus::Pending | RunStatus::Initializing | RunStatus::EnqueuingSteps | RunStatus::EvaluatingResults => {
            panic!("a run rests in a transient state")
        }
    }
}
