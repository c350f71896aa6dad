//! A task until its end.
//!
//! Progress goes to the standard error, so that the standard output has the outcome and nothing else. The server's
//! messages say what happens to steps; how the task ended is asked in the end, because a message may have been missed
//! while a server was restarted.

use std::process::ExitCode;

use quintet_client::{Client, Task};
use serde_json::Value;

use super::screen::Screen;
use super::show;
use crate::cli::failure::FAILED;
use crate::cli::output::{duration, excerpt};

/// The task goes on without this process: as a shell says it of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// What a message says about a step, or about the task where it names none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub step: String,
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// It began.
    Started,
    /// So much of a step is done, in words.
    Part(String),
    /// It ended well.
    Completed { took: Option<u64> },
    /// An attempt failed, and another follows.
    Retrying { error: String },
    /// It failed for good; where it is optional, the others do not mind.
    Failed { error: String, is_optional: bool },
    /// It was left out.
    Skipped { reason: String },
    /// So much of the task is done, in percent, and what the backend says to that.
    Progress(Option<f64>, Option<String>),
    /// Something that a line should say.
    Note(String),
}

/// Follows a task to its end. A task that failed is exit code 1.
pub(super) async fn to_the_end(client: &Client, id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let begun = client.tasks().get(id).await?;
    if !begun.is_finished() {
        let mut screen = Screen::new(&begun);
        let was_interrupted = watch(client, id, &mut screen).await?;
        screen.end();
        if was_interrupted {
            eprintln!(
                "\ninterrupted; {id} goes on. `quintet tasks watch {id}` follows it, `quintet tasks cancel {id}` calls it off"
            );
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    let ended: Task = client.tasks().get(id).await?;
    show::task(&ended, json)?;
    Ok(if ended.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

async fn watch(client: &Client, id: &str, screen: &mut Screen) -> anyhow::Result<bool> {
    let mut messages = client.tasks().follow(id);
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            next = messages.next() => match next {
                None => return Ok(false),
                Some(message) => {
                    if let Some(message) = read(&message?.data) {
                        screen.show(&message);
                    }
                }
            },
            _ = &mut interrupted => return Ok(true),
        }
    }
}

/// Reads a message; `None` for what nobody needs to see.
fn read(data: &str) -> Option<Message> {
    let message: Value = serde_json::from_str(data).ok()?;
    let text = |value: &Value, name: &str| Some(value.get(name)?.as_str()?.to_owned());
    let data = message.get("data").unwrap_or(&Value::Null);
    let error = || excerpt(&text(data, "error").unwrap_or_default(), 200);
    let is_true = |name: &str| data.get(name).and_then(Value::as_bool).unwrap_or_default();
    let what = match message.get("type")?.as_str()? {
        "connected" => What::Progress(message.get("progress")?.as_f64(), None),
        "step:start" => What::Started,
        "step:progress" => What::Part(part(data)?),
        "step:complete" if is_true("skipped") => What::Skipped {
            reason: text(data, "reason").unwrap_or_default(),
        },
        "step:complete" => What::Completed {
            took: message.get("duration").and_then(Value::as_u64),
        },
        "step:retry" => What::Retrying { error: error() },
        "step:error" => What::Failed {
            error: error(),
            is_optional: is_true("optional"),
        },
        "progress" => What::Progress(data.get("progress").and_then(Value::as_f64), text(data, "message")),
        "toast" => What::Note(excerpt(&text(&message, "text")?, 200)),
        "redirect" => What::Note(format!("go on at {}", text(&message, "url")?)),
        _ => return None,
    };
    Some(Message {
        step: text(&message, "stepId").unwrap_or_default(),
        what,
    })
}

/// How far a step is: items that are done, or what its backend says.
fn part(data: &Value) -> Option<String> {
    let count = |name: &str| data.get(name).and_then(Value::as_u64);
    if let Some((done, total)) = count("done").zip(count("total")) {
        return Some(format!("{done} of {total}"));
    }
    let item = count("index").map(|index| format!("[{index}]"));
    let percent = data.get("progress").and_then(Value::as_f64);
    let percent = percent.map(|percent| format!("{percent:.0}%"));
    let message = data
        .get("message")
        .and_then(Value::as_str)
        .map(|text| excerpt(text, 200));
    let words: Vec<String> = [item, percent, message].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

impl What {
    /// In words; `None` where a line of its own would be too much.
    pub fn words(&self) -> Option<String> {
        Some(match self {
            Self::Started => "started".to_owned(),
            Self::Part(text) | Self::Note(text) => text.clone(),
            Self::Completed { took: Some(ms) } => format!("completed in {}", duration(*ms)),
            Self::Completed { took: None } => "completed".to_owned(),
            Self::Retrying { error } => format!("failed, and is tried again: {error}"),
            Self::Failed { error, is_optional } => {
                let mark = if *is_optional {
                    "failed, and is optional"
                } else {
                    "FAILED"
                };
                format!("{mark}: {error}")
            }
            Self::Skipped { reason } if reason.is_empty() => "skipped".to_owned(),
            Self::Skipped { reason } => format!("skipped: {reason}"),
            Self::Progress(percent, Some(message)) => {
                let percent = percent.map(|percent| format!("{percent:.0}% ")).unwrap_or_default();
                format!("{percent}{}", excerpt(message, 200))
            }
            Self::Progress(_, None) => return None,
        })
    }
}
