//! Submitting a task: from a file, from flags, or from a file with flags over it.

use std::path::PathBuf;
use std::process::ExitCode;

use quintet_client::{Client, Submission};
use serde::Deserialize;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde_json::{Map, Value};

use super::follow;
use crate::cli::document::{self, BadInput};
use crate::cli::output::{print_json, print_line};
use crate::config::Millis;

/// What is submitted.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The task, in JSON or YAML; `-` is the standard input. Flags win over what it says
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// What the backend is asked to do, such as text.chat
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// What the backend is given: JSON, `@FILE`, or `@-`
    #[arg(long, short, value_name = "JSON|@FILE")]
    payload: Option<String>,
    /// In which queue it waits
    #[arg(long, short)]
    queue: Option<String>,
    /// Which waiting tasks are first: higher numbers are sooner
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<i64>,
    /// Not before this time has passed, such as 30s or 2h
    #[arg(long, value_name = "SPAN", value_parser = span)]
    delay: Option<Millis>,
    /// Submit it again and again at these times, such as "0 9 * * 1-5"
    #[arg(long, value_name = "PATTERN", conflicts_with = "wait")]
    cron: Option<String>,
    /// Where those times are, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Which backend does it
    #[arg(long)]
    backend: Option<String>,
    /// Run this step although it runs on demand only; may be given several times
    #[arg(long, value_name = "STEP")]
    on_demand: Vec<String>,
    /// Submits one task, however often the command is given with the same key
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait for its end and show its steps meanwhile; exit code 1 if it failed
    #[arg(long, short)]
    wait: bool,
}

/// Submits, and follows where that is wanted.
pub(super) async fn run(client: &Client, args: Args, json: bool) -> anyhow::Result<ExitCode> {
    let mut submission = submission(&args)?;
    if let Some(key) = &args.idempotency_key {
        submission = submission.idempotency_key(key);
    }
    let submitted = client.tasks().submit(&submission).await?;
    if args.wait {
        eprintln!("{} submitted", submitted.task_id);
        return follow::to_the_end(client, &submitted.task_id, json).await;
    }
    if json {
        print_json(&submitted)?;
    } else {
        print_line(&submitted.task_id)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn submission(args: &Args) -> Result<Submission, BadInput> {
    let mut task = match &args.file {
        Some(file) => document::object(file)?,
        None if args.kind.is_some() => Map::new(),
        None => return Err(BadInput::new("there is no task: give a FILE, or --type and --payload")),
    };
    let text = |text: &Option<String>| text.clone().map(Value::String);
    let payload = args.payload.as_deref().map(payload).transpose()?;
    let on_demand = (!args.on_demand.is_empty()).then(|| args.on_demand.clone().into());
    let flags = [
        ("type", text(&args.kind)),
        ("payload", payload),
        ("queue", text(&args.queue)),
        ("priority", args.priority.map(Value::from)),
        ("delay", args.delay.map(|delay| delay.0.into())),
        ("cron", text(&args.cron)),
        ("timezone", text(&args.timezone)),
        ("backend", text(&args.backend)),
        ("onDemand", on_demand),
    ];
    task.extend(
        flags
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    // The server asks for one; without a file nobody would think of it.
    if args.file.is_none() {
        task.entry("payload").or_insert_with(|| Value::Object(Map::new()));
    }
    Ok(Submission::document(task))
}

fn payload(argument: &str) -> Result<Value, BadInput> {
    document::any_input(argument).map_err(|error| match error.field.as_str() {
        "--input" => BadInput::at("--payload", error.message),
        _ => error,
    })
}

fn span(text: &str) -> Result<Millis, String> {
    Millis::deserialize(StrDeserializer::<ValueError>::new(text)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn read(words: &[&str]) -> Result<Submission, String> {
        let line = Line::try_parse_from([&["submit"], words].concat()).map_err(|error| error.to_string())?;
        submission(&line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_make_a_task_and_win_over_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("task.yaml");
        std::fs::write(&file, "type: a\nqueue: cpu\npayload: {x: 1}\nretry: {attempts: 1}\n").unwrap();
        let file = file.to_str().unwrap();
        let words = [
            "--queue",
            "gpu",
            "--priority",
            "-3",
            "--delay",
            "1m30s",
            "--on-demand",
            "s1",
        ];
        let whole = json!({"type": "a", "queue": "gpu", "payload": {"x": 1}, "retry": {"attempts": 1}, "priority": -3,
            "delay": 90_000, "onDemand": ["s1"]});
        let expected = Submission::document(whole.as_object().unwrap().clone());
        assert_eq!(read(&[&[file], &words[..]].concat()), Ok(expected));
        let alone = Submission::new("text.chat", json!({"prompt": "hi"}));
        assert_eq!(
            read(&["--type", "text.chat", "--payload", r#"{"prompt": "hi"}"#]),
            Ok(alone)
        );
        assert_eq!(read(&["--type", "t"]), Ok(Submission::new("t", json!({}))));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let refused = |words: &[&str]| read(words).unwrap_err();
        assert!(refused(&["--type", "t", "--payload", "{"]).starts_with("--payload: is not JSON"));
        assert!(refused(&["--type", "t", "--delay", "soon"]).contains("`250ms`"));
        assert!(refused(&["/no/such/file"]).contains("/no/such/file"));
        assert!(refused(&[]).contains("--type"));
        assert!(refused(&["--type", "t", "--cron", "* * * * *", "--wait"]).contains("--cron"));
    }
}
