//! `quintet docs`: reference pages, printed from the code that they describe.

use std::fmt::{Debug, Write as _};
use std::process::ExitCode;

use quintet_core::machine::{run, step};

use super::output::print_line;
use crate::config::reference;

/// Print reference pages in Markdown
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    page: Page,
}

#[derive(Debug, clap::Subcommand)]
enum Page {
    /// Every setting
    Config,
    /// The states of runs and steps, and what leads from one to another
    StateMachines,
}

/// Carries the command out.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let page = match args.page {
        Page::Config => reference::markdown(),
        Page::StateMachines => state_machines(),
    };
    print_line(page.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

const INTRODUCTION: &str = "# State machines

<!-- Written by `quintet docs state-machines` from the tables in crates/core/src/machine; do not edit. -->

Nothing but these two tables decides whether a transition is legal. A state marked *transient* is passed through inside
one transaction; a run or a step never rests in it. A state marked *final* is left only when a person asks for it.
";

fn state_machines() -> String {
    let mut page = String::from(INTRODUCTION);
    let runs: Vec<_> = run::TABLE
        .iter()
        .map(|(from, trigger, to)| (from.as_str(), word(trigger), to.as_str()))
        .collect();
    let kind = |status: &run::RunStatus| match (status.is_terminal(), status.is_resting()) {
        (true, _) => "final",
        (_, false) => "transient",
        _ => "",
    };
    let states: Vec<_> = run::ALL.iter().map(|status| (status.as_str(), kind(status))).collect();
    machine(&mut page, "Runs", &states, &runs);
    let steps: Vec<_> = step::TABLE
        .iter()
        .map(|(from, trigger, to)| (from.as_str(), word(trigger), to.as_str()))
        .collect();
    let kind = |status: &step::StepStatus| match status {
        step::StepStatus::EnqueuedForOrchestration | step::StepStatus::EnqueuedAsErrorForOrchestration => "transient",
        status if status.is_settled() => "final",
        _ => "",
    };
    let states: Vec<_> = step::ALL.iter().map(|status| (status.as_str(), kind(status))).collect();
    machine(&mut page, "Steps", &states, &steps);
    page
}

type Row = (&'static str, String, &'static str);

fn machine(page: &mut String, title: &str, states: &[(&str, &str)], rows: &[Row]) {
    let _ = write!(
        page,
        "\n## {title}\n\n```mermaid\nstateDiagram-v2\n    [*] --> pending\n"
    );
    for (from, _) in states {
        for (to, _) in states {
            let between = rows.iter().filter(|row| row.0 == *from && row.2 == *to);
            let triggers: Vec<&str> = between.map(|row| row.1.as_str()).collect();
            if !triggers.is_empty() {
                let _ = writeln!(page, "    {from} --> {to}: {}", triggers.join(", "));
            }
        }
    }
    page.push_str("```\n\n| from | trigger | to |\n|---|---|---|\n");
    let mark = |name: &str| match states.iter().find(|state| state.0 == name) {
        Some((_, kind)) if !kind.is_empty() => format!("`{name}` *{kind}*"),
        _ => format!("`{name}`"),
    };
    for (from, trigger, to) in rows {
        let _ = writeln!(page, "| {} | {trigger} | {} |", mark(from), mark(to));
    }
}

/// `ReadyStepsFound` as `ready steps found`.
fn word(trigger: &impl Debug) -> String {
    let mut words = String::new();
    for letter in format!("{trigger:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_and_every_state_of_both_tables_is_on_the_page() {
        let page = state_machines();
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, run::TABLE.len() + step::TABLE.len());
        for state in run::ALL
            .iter()
            .map(|state| state.as_str())
            .chain(step::ALL.iter().map(|state| state.as_str()))
        {
            assert!(page.contains(&format!("`{state}`")), "{state}");
        }
        assert!(page.contains("pending --> initializing: start\n"));
        assert!(page.contains("| `complete` *final* | reopen | `evaluating_results` *transient* |"));
    }
}
