//! `quintet audit`: who did what, and whether anybody has changed that since.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::Cell;
use quintet_client::{AuditEntry, AuditFilter, Client};

use super::connect::ServerArgs;
use super::document::BadInput;
use super::output::{print_json, print_line, print_table};
use crate::audit::chain::{Broken, Link, Verifier};

/// Entries that are fetched at a time.
const PAGE: u64 = 5_000;
/// Longest line of a file that is read, in bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// Read who did what to which object, and check that nobody has changed it
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List entries, newest first
    List(Box<List>),
    /// Print all entries, oldest first: one JSON object a line
    Export {
        /// Only entries above this number
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: u64,
    },
    /// Check the chain; ends with 1 where it is broken, and says where
    Verify {
        /// An export, instead of what the server has; `-` is the standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// What was noted of an earlier check: finds also a chain that was written anew
        #[arg(long, value_name = "SEQ:HASH")]
        anchor: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Of this caller
    #[arg(long)]
    actor: Option<String>,
    /// Of this operation, such as cancelRun
    #[arg(long)]
    action: Option<String>,
    /// About what has this id
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// About this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// That ended like this
    #[arg(long, value_parser = ["done", "refused", "failed", "abandoned"])]
    outcome: Option<String>,
    /// From this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// How many
    #[arg(long, short = 'n', default_value_t = 100)]
    limit: usize,
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::List(wanted) => list(&args.server.client()?, *wanted, args.json).await?,
        Verb::Export { after } => export(&args.server.client()?, after).await?,
        Verb::Verify { file, anchor } => {
            let anchor = anchor.map(|text| Link::parse(&text).ok_or_else(|| BadInput::at("--anchor", "is SEQ:HASH")));
            let anchor = anchor.transpose()?;
            let checked = match file {
                Some(path) => of_file(&path, anchor)?,
                None => of_server(&args.server.client()?, anchor).await?,
            };
            return tell(checked, args.json);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, wanted: List, json: bool) -> anyhow::Result<()> {
    let filter = AuditFilter {
        namespace: wanted.namespace,
        actor: wanted.actor,
        action: wanted.action,
        object: wanted.object,
        outcome: wanted.outcome,
        from: wanted.from,
        to: wanted.to,
    };
    let (mut entries, mut cursor) = (Vec::new(), None::<String>);
    while entries.len() < wanted.limit {
        let left = (wanted.limit - entries.len()).min(1_000) as u32;
        let page = client.audit().list(&filter, cursor.as_deref(), Some(left)).await?;
        entries.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if json {
        return print_json(&entries);
    }
    let rows = entries.iter().map(|entry| {
        vec![
            Cell::new(entry.seq),
            Cell::new(&entry.at),
            Cell::new(&entry.actor),
            Cell::new(&entry.namespace),
            Cell::new(&entry.action),
            Cell::new(object(entry)),
            Cell::new(&entry.outcome),
        ]
    });
    let heading = ["SEQ", "AT", "ACTOR", "NAMESPACE", "ACTION", "OBJECT", "OUTCOME"];
    print_table(&heading, rows.collect(), "no entries")
}

/// What an entry is about, in a word.
fn object(entry: &AuditEntry) -> String {
    let named = entry.object.values().filter_map(|id| id.as_str());
    let mut ids: Vec<&str> = named.collect();
    if ids.is_empty() {
        ids.extend(entry.created.as_deref());
    }
    ids.join(" ")
}

async fn export(client: &Client, mut after: u64) -> anyhow::Result<()> {
    let end = client.audit().head().await?.seq;
    while after < end {
        let lines = client.audit().export(after, PAGE).await?;
        let lines = String::from_utf8_lossy(&lines);
        let Some(last) = lines.lines().next_back() else { break };
        print_line(lines.trim_end())?;
        // Where entries are missing more than the number of lines is behind.
        let entry: serde_json::Value = serde_json::from_str(last).unwrap_or_default();
        after = entry["seq"].as_u64().unwrap_or_default().max(after + 1);
    }
    Ok(())
}

/// What a check found: how many entries, and the end of the chain; or where it is broken.
type Checked = Result<(u64, Link), Broken>;

async fn of_server(client: &Client, anchor: Option<Link>) -> anyhow::Result<Checked> {
    let head = client.audit().head().await?;
    let head = Link {
        seq: head.seq,
        hash: head.hash,
    };
    let mut verifier = Verifier::from_start(anchor);
    let mut after = 0;
    while after < head.seq {
        let lines = client.audit().export(after, PAGE.min(head.seq - after)).await?;
        let lines = String::from_utf8_lossy(&lines);
        if let Err(broken) = lines.lines().try_for_each(|line| verifier.check(line)) {
            return Ok(Err(broken));
        }
        if lines.is_empty() {
            break;
        }
        after = verifier.end();
    }
    Ok(verifier.finish(Some(&head)))
}

/// An export may begin anywhere.
fn of_file(path: &PathBuf, anchor: Option<Link>) -> anyhow::Result<Checked> {
    let failed = |error: std::io::Error| BadInput::at(path.display().to_string(), error);
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?)
    };
    let mut reader = BufReader::new(source);
    let mut verifier = Verifier::from_anywhere(anchor);
    loop {
        let mut line = String::new();
        let read = reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_line(&mut line)
            .map_err(failed)?;
        if read == 0 {
            return Ok(verifier.finish(None));
        }
        if let Err(broken) = verifier.check(line.trim_end()) {
            return Ok(Err(broken));
        }
    }
}

fn tell(checked: Checked, json: bool) -> anyhow::Result<ExitCode> {
    match checked {
        Ok((count, end)) => {
            if json {
                print_json(&serde_json::json!({ "whole": true, "entries": count, "seq": end.seq, "hash": end.hash }))?;
            } else {
                print_line(&format!("the chain is whole: {count} entries, up to {end}"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(broken) => {
            if json {
                print_json(&serde_json::json!({ "whole": false, "broken": broken.to_string() }))?;
            } else {
                eprintln!("the chain is broken: {broken}");
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
