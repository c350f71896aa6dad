//! Everything that can arrive late at a step run.

use std::collections::HashSet;
use std::sync::Arc;

use quintet_core::command::Command;
use quintet_core::outcome::{Failure, Outcome, Success};
use quintet_core::time::Time;
use serde_json::{Value, json};

use super::situation::{HOLDER, RESCUER, STRANGER, Situation};

/// Something late: under which name the table has it, what it asks, and by whose process.
pub struct Late {
    pub name: &'static str,
    pub make: fn(&Situation) -> Command,
    pub by: u64,
}

const fn late(name: &'static str, make: fn(&Situation) -> Command) -> Late {
    let by = HOLDER;
    Late { name, make, by }
}

const fn elsewhere(name: &'static str, make: fn(&Situation) -> Command) -> Late {
    let by = STRANGER;
    Late { name, make, by }
}

/// All of them.
pub const ALL: &[Late] = &[
    late("same", |at| answer(at, 0, at.answer.clone())),
    late("other", |at| answer(at, 0, other())),
    late("failure", |at| answer(at, 0, failure())),
    late("older same", |at| answer(at, -1, at.older.clone())),
    late("older other", |at| answer(at, -1, other())),
    late("unissued", |at| answer(at, 1, at.answer.clone())),
    late("beat", |at| beat(at, 0)),
    late("older beat", |at| beat(at, -1)),
    late("unissued beat", |at| beat(at, 1)),
    elsewhere("claim", |at| Command::Claim { node: at.node }),
    elsewhere("recover", |_| recover(&[STRANGER])),
    elsewhere("recover, alive", |_| recover(&[HOLDER, RESCUER, STRANGER])),
    elsewhere("tick", |_| Command::Tick),
    late("cancel", |_| Command::Cancel { by: None, reason: None }),
    late("retry", |at| Command::Retry {
        step: Some(at.sim.state.name_of(at.node)),
        by: None,
    }),
    late("rerun", |at| Command::Rerun {
        step: at.sim.state.name_of(at.node),
        by: None,
    }),
    late("resolve", |at| resolve(at, None)),
    late("complete by hand", |at| resolve(at, Some(json!("by hand")))),
];

/// The command of a name, and the process that gives it.
pub fn make(name: &str, at: &Situation) -> (Command, u64) {
    let known = ALL.iter().find(|late| late.name == name);
    let Late { make, by, .. } = known.expect("the event is known");
    (make(at), *by)
}

/// What no attempt of any situation answers.
pub fn other() -> Outcome {
    Outcome::Succeeded(Success {
        output: Arc::new(json!({ "by": "a zombie" })),
        ..Success::default()
    })
}

/// A failure that no attempt of any situation ends with.
pub fn failure() -> Outcome {
    Outcome::Failed(Failure::new("test", "broken otherwise"))
}

/// The attempt that is so far from the last one.
fn number(at: &Situation, distance: i32) -> u32 {
    at.attempt().saturating_add_signed(distance)
}

fn answer(at: &Situation, distance: i32, outcome: Outcome) -> Command {
    let token = at.token(number(at, distance));
    Command::Complete { token, outcome }
}

fn beat(at: &Situation, distance: i32) -> Command {
    Command::Heartbeat {
        token: at.token(number(at, distance)),
        progress: Some(50.0),
        message: None,
    }
}

/// Judges by whoever is alive after everything that has happened.
fn recover(alive: &[u64]) -> Command {
    Command::Recover {
        alive: alive.to_vec(),
        held: Arc::new(HashSet::new()),
        as_of: Time(i64::MAX),
    }
}

fn resolve(at: &Situation, output: Option<Value>) -> Command {
    Command::Resolve {
        step: at.sim.state.name_of(at.node),
        by: None,
        reason: None,
        output,
    }
}
