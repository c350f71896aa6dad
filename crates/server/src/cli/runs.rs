//! `quintet runs`: starting, steering and looking at runs.

mod show;
mod verbs;

use std::process::ExitCode;
use std::time::Duration;

use quintet_client::{Client, Decision, Run, RunFilter, StartRun};
use serde_json::Value;

use super::failure::FAILED;
use super::output::{print_json, print_line};
use super::{document, failure};
pub use show::{print_state, print_steps};
pub use verbs::{Args, WaitArgs};
use verbs::{Filter, Start, Step, Verb, Why};

/// What the server waits for at most; the rest is waited for here.
const LONGEST_WAIT_MS: u64 = 60_000;

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (client, json) = (args.server.client()?, args.json);
    match args.verb {
        Verb::Start(args) => return start_any(&client, args, json).await,
        Verb::List(filter) => show::list(&list(&client, filter).await?, json)?,
        Verb::Show { run } => show::run(&client, &run, json).await?,
        Verb::Steps { run } => show::steps(&client, &run, json).await?,
        Verb::Step(step) => print_json(&client.runs().step(&step.run, &step.step).await?)?,
        Verb::Why(why) => self::why(&client, &why, json).await?,
        Verb::History { run, after } => show::history(&client, &run, after, json).await?,
        Verb::Logs { run, follow } => logs(&client, &run, follow, json).await?,
        Verb::Delete { run } => {
            client.runs().delete(&run).await?;
            print_line(&format!("{run} is deleted"))?;
        }
        verb => print_state(&steer(&client, verb).await?, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The verbs that move a run and answer with it.
async fn steer(client: &Client, verb: Verb) -> anyhow::Result<Run> {
    let runs = client.runs();
    Ok(match verb {
        Verb::Cancel(note) => runs.cancel(&note.run, &note.decision()).await?,
        Verb::Pause(note) => runs.pause(&note.run, &note.decision()).await?,
        Verb::Resume(note) => runs.resume(&note.run, &note.decision()).await?,
        Verb::Approve(answer) => {
            let (run, decision) = answer.into_parts();
            runs.approve(&run, &decision).await?
        }
        Verb::Reject(answer) => {
            let (run, decision) = answer.into_parts();
            runs.reject(&run, &decision).await?
        }
        Verb::Retry { run, step, by } => {
            runs.retry(
                &run,
                &Decision {
                    step,
                    by,
                    ..Decision::default()
                },
            )
            .await?
        }
        Verb::Rerun {
            step: Step { run, step },
            by,
        } => {
            runs.rerun(
                &run,
                &Decision {
                    step: Some(step),
                    by,
                    ..Decision::default()
                },
            )
            .await?
        }
        Verb::Resolve {
            run,
            step,
            by,
            reason,
            output,
        } => {
            let output = output.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
            let decision = Decision {
                step,
                by,
                reason,
                ..Decision::default()
            };
            runs.resolve(&run, &decision, output).await?
        }
        Verb::Start(_)
        | Verb::List(_)
        | Verb::Show { .. }
        | Verb::Steps { .. }
        | Verb::Step(_)
        | Verb::Why(_)
        | Verb::History { .. }
        | Verb::Logs { .. }
        | Verb::Delete { .. } => unreachable!("verbs that only look are handled before"),
    })
}

async fn start_any(client: &Client, args: Start, json: bool) -> anyhow::Result<ExitCode> {
    let input = args.input.as_deref().map(document::input).transpose()?;
    let (start, document) = match (&args.workflow, &args.file) {
        (Some(id), _) => (StartRun::workflow(id), None),
        (None, Some(file)) => {
            let document = document::read(file)?;
            (StartRun::inline(document.workflow.clone()), Some(document))
        }
        (None, None) => return Err(document::BadInput::new("name a workflow, or a document with --file").into()),
    };
    let mut context = document
        .as_ref()
        .map(|document| document.input.clone())
        .unwrap_or_default();
    if let Some(Value::Object(input)) = input {
        context.extend(input);
    }
    let mut start = start.context(Value::Object(context));
    if let Some(key) = &args.idempotency_key {
        start = start.idempotency_key(key);
    }
    match (self::start(client, start, &args.wait, json).await, document) {
        (Err(error), Some(document)) => Err(match error.downcast() {
            Ok(error) => failure::with_line(error, &document),
            Err(error) => error,
        }),
        (started, _) => started,
    }
}

/// Starts a run and, if asked to, waits for its end; a run that ended badly is exit code 1.
pub async fn start(client: &Client, mut start: StartRun, wait: &WaitArgs, json: bool) -> anyhow::Result<ExitCode> {
    let wait_ms = wait.ms()?;
    if let Some(ms) = wait_ms {
        start = start.wait_ms(ms.min(LONGEST_WAIT_MS));
    }
    let mut run = client.runs().start(&start).await?;
    if let Some(rest) = wait_ms
        .and_then(|ms| ms.checked_sub(LONGEST_WAIT_MS))
        .filter(|_| !run.status.is_finished())
    {
        let mut events = client.runs().follow_events(&run.id);
        let end = async {
            while events.next().await.transpose()?.is_some() {}
            Ok::<_, quintet_client::Error>(())
        };
        if let Ok(followed) = tokio::time::timeout(Duration::from_millis(rest), end).await {
            followed?;
        }
        run = client.runs().get(&run.id).await?;
    }
    print_state(&run, json)?;
    let failed = wait_ms.is_some() && run.status.is_finished() && !run.status.is_success();
    Ok(if failed {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Pages until the limit is reached or nothing is left.
async fn list(client: &Client, filter: Filter) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    let mut page = RunFilter {
        workflow_id: filter.workflow,
        status: filter.status.map(|status| status.to_uppercase()),
        created_from: filter.created_from,
        created_before: filter.created_before,
        limit: Some(filter.limit.min(100)),
        cursor: None,
    };
    loop {
        let found = client.runs().list(&page).await?;
        runs.extend(found.items);
        page.cursor = found.next_cursor;
        if page.cursor.is_none() || runs.len() >= filter.limit as usize {
            runs.truncate(filter.limit as usize);
            return Ok(runs);
        }
    }
}

async fn why(client: &Client, why: &Why, json: bool) -> anyhow::Result<()> {
    let answer = client.runs().why(&why.run, why.step.as_deref()).await?;
    show::why(&answer, json)
}

async fn logs(client: &Client, run: &str, follow: bool, json: bool) -> anyhow::Result<()> {
    let print = |line: &str| {
        if json {
            print_line(&Value::from(line).to_string())
        } else {
            print_line(line)
        }
    };
    if !follow {
        return client
            .runs()
            .logs(run)
            .await?
            .items
            .iter()
            .try_for_each(|line| print(line));
    }
    // An unknown run would be waited for: the original's stream said nothing about it.
    client.runs().get(run).await?;
    let mut lines = client.runs().follow_logs(run);
    while let Some(line) = lines.next().await {
        print(&line?.data)?;
    }
    Ok(())
}
