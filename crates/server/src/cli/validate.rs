//! `quintet validate`: everything that can be said about a document without running it.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::document::{self, BadInput, Document, line_of};
use super::failure::BAD_INPUT;
use super::output::{print_json, print_line};
use super::plan;

/// Check a document without running it
///
/// Finds unknown steps, circles, templates that do not parse or name unknown steps, wrong types and illegal settings.
/// Exit code 2 when there is something wrong.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// YAML or JSON; `-` is the standard input
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries the command out.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let read = document::read(&args.file);
    let found = match &read {
        Ok(document) => findings(document),
        Err(error) => vec![error.clone()],
    };
    let file = args.file.display();
    if args.json {
        let line = |finding: &BadInput| line_of(read.as_ref().ok()?, &finding.field);
        let errors = found
            .iter()
            .map(|found| json!({"field": found.field, "message": found.message, "line": line(found)}));
        print_json(&json!({"valid": found.is_empty(), "errors": errors.collect::<Vec<_>>()}))?;
    } else if found.is_empty() {
        let steps = read.map_or(0, |document| document.workflow["steps"].as_array().map_or(0, Vec::len));
        print_line(&format!(
            "{file}: ok, {steps} step{}",
            if steps == 1 { "" } else { "s" }
        ))?;
    } else {
        for finding in &found {
            match read
                .as_ref()
                .ok()
                .and_then(|document| line_of(document, &finding.field))
            {
                Some(line) => eprintln!("{file}:{line}: {finding}"),
                None if read.is_err() => eprintln!("{finding}"),
                None => eprintln!("{file}: {finding}"),
            }
        }
    }
    Ok(if found.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BAD_INPUT)
    })
}

fn findings(document: &Document) -> Vec<BadInput> {
    let mut found = plan::of(document).err().unwrap_or_default();
    found.extend(
        document
            .fixtures
            .as_ref()
            .and_then(|section| super::fixtures::check(section).err()),
    );
    found
}
