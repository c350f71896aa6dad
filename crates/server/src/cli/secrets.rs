//! `quintet secrets`: what steps may send and nobody may read.
//!
//! A value is never an argument: arguments are seen by everybody on the machine, and kept by the shell.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::Cell;
use serde_json::json;

use super::connect::ServerArgs;
use super::document::BadInput;
use super::output::{print_json, print_line, print_table};

/// Keep values that steps may send and nobody may read
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
    /// Store one; its value is read from the standard input, where nothing else is said
    Set {
        /// Its name; steps write {{ secrets.NAME }}
        name: String,
        /// Read the value from this file
        #[arg(long, value_name = "FILE", conflicts_with = "env")]
        file: Option<PathBuf>,
        /// Take the value of this environment variable
        #[arg(long, value_name = "VARIABLE")]
        env: Option<String>,
    },
    /// List their names
    List,
    /// Remove one; steps that name it fail from then on
    Delete {
        /// Its name
        name: String,
    },
    /// Seal all secrets of the namespace under a new data key; their values stay
    RotateKey,
}

/// Carries the command out.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (client, json) = (args.server.client()?, args.json);
    let secrets = client.secrets();
    match args.verb {
        Verb::Set { name, file, env } => {
            let stored = secrets.put(&name, &value(file, env)?).await?;
            let words = format!("{} is stored, version {}", stored.name, stored.version);
            done(json, &stored, &words)?;
            if !stored.masked && !json {
                eprintln!("it is shorter than 8 bytes, so it is not masked where a receiver repeats it");
            }
        }
        Verb::List => {
            let all = secrets.all().await?;
            if json {
                print_json(&all)?;
                return Ok(ExitCode::SUCCESS);
            }
            let rows = all.iter().map(|secret| {
                vec![
                    Cell::new(&secret.name),
                    Cell::new(secret.version),
                    Cell::new(&secret.updated_at),
                    Cell::new(secret.updated_by.as_deref().unwrap_or_default()),
                ]
            });
            print_table(&["NAME", "VERSION", "UPDATED", "BY"], rows.collect(), "no secrets")?;
        }
        Verb::Delete { name } => {
            secrets.delete(&name).await?;
            done(json, &json!({ "deleted": name }), &format!("{name} is deleted"))?;
        }
        Verb::RotateKey => {
            let rotated = secrets.rotate_key().await?;
            let words = format!(
                "{} secrets are sealed under the key {}",
                rotated.secrets, rotated.key_id
            );
            done(json, &rotated, &words)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The value; the line break at its end is the editor's or the terminal's.
fn value(file: Option<PathBuf>, env: Option<String>) -> anyhow::Result<String> {
    let mut text = match (file, env) {
        (Some(path), _) => {
            let read = std::fs::read_to_string(&path);
            read.map_err(|error| BadInput::at(path.display().to_string(), error))?
        }
        (None, Some(name)) => {
            let read = std::env::var(&name);
            return Ok(read.map_err(|_| BadInput::at(name, "is not set, or not text"))?);
        }
        (None, None) => {
            let mut text = String::new();
            if std::io::stdin().is_terminal() {
                eprintln!("type the value, then Enter and Ctrl-D");
            }
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| BadInput::at("the standard input", error))?;
            text
        }
    };
    for end in ['\n', '\r'] {
        if text.ends_with(end) {
            text.pop();
        }
    }
    Ok(text)
}

fn done(json: bool, value: &impl serde::Serialize, text: &str) -> anyhow::Result<()> {
    if json { print_json(value) } else { print_line(text) }
}
