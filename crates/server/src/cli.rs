//! The command line: every operation of the API, and running a workflow without a server.
//!
//! What a command does is in the file of its noun. They all speak to a server through the client crate; `quintet run`
//! brings its own. Exit codes: 0 it worked, 1 it did not, 2 what was handed in is bad.

mod approvals;
mod audit;
mod auth;
mod backends;
pub mod bench;
mod connect;
mod db;
mod dead_letters;
mod docs;
mod document;
mod failure;
mod fixtures;
mod keys;
mod maintenance;
mod namespaces;
mod nodes;
mod openapi;
mod output;
mod pipelines;
mod plan;
mod queues;
mod run;
mod runs;
mod schedules;
mod secrets;
mod serve;
mod services;
mod store;
mod tasks;
mod templates;
mod validate;
mod visualize;
mod workflows;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// Quintet runs multi-step work to the end, whatever crashes.
#[derive(Debug, Parser)]
#[command(
    name = "quintet",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Serve(serve::Args),
    Run(run::Args),
    Workflows(workflows::Args),
    Runs(runs::Args),
    Approvals(approvals::Args),
    Audit(audit::Args),
    Schedules(schedules::Args),
    Secrets(secrets::Args),
    Templates(templates::Args),
    Pipelines(pipelines::Args),
    Services(services::Args),
    #[command(name = "dlq")]
    DeadLetters(dead_letters::Args),
    Maintenance(maintenance::Args),
    Tasks(tasks::Args),
    Queues(queues::Args),
    Backends(backends::Args),
    Namespaces(Box<namespaces::Args>),
    Nodes(nodes::Args),
    Validate(validate::Args),
    Visualize(visualize::Args),
    Fixtures(fixtures::Args),
    Db(db::Args),
    Keys(keys::Args),
    Auth(auth::Args),
    /// Measure what this program does on this machine
    Bench(bench::Args),
    #[command(hide = true)]
    BenchWorker(bench::worker::Args),
    Openapi(openapi::Args),
    Docs(docs::Args),
}

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse_from(usual(std::env::args_os()));
    dispatch(cli.command).unwrap_or_else(|error| failure::report(&error))
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    use connect::block_on;
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Run(args) => block_on(run::run(args)),
        Command::Workflows(args) => block_on(workflows::run(args)),
        Command::Runs(args) => block_on(runs::run(args)),
        Command::Approvals(args) => block_on(approvals::run(args)),
        Command::Audit(args) => block_on(audit::run(args)),
        Command::Schedules(args) => block_on(schedules::run(args)),
        Command::Secrets(args) => block_on(secrets::run(args)),
        Command::Templates(args) => block_on(templates::run(args)),
        Command::Pipelines(args) => block_on(pipelines::run(args)),
        Command::Services(args) => block_on(services::run(args)),
        Command::DeadLetters(args) => block_on(dead_letters::run(args)),
        Command::Maintenance(args) => block_on(maintenance::run(args)),
        Command::Tasks(args) => block_on(tasks::run(args)),
        Command::Queues(args) => block_on(queues::run(args)),
        Command::Backends(args) => block_on(backends::run(args)),
        Command::Namespaces(args) => block_on(namespaces::run(*args)),
        Command::Nodes(args) => block_on(nodes::run(args)),
        Command::Validate(args) => validate::run(&args),
        Command::Visualize(args) => block_on(visualize::run(args)),
        Command::Fixtures(args) => block_on(fixtures::run(args)),
        Command::Db(args) => block_on(db::run(args)),
        Command::Keys(args) => keys::run(args),
        Command::Auth(args) => block_on(auth::run(args)),
        Command::Bench(args) => bench::run(&args),
        Command::BenchWorker(args) => bench::worker::run(args),
        Command::Openapi(args) => openapi::run(&args),
        Command::Docs(args) => docs::run(args),
    }
}

/// Makes the usual command of what the original's users type: `quintet -config FILE` and `quintet --config FILE` serve,
/// and `-config` is `--config`.
fn usual(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let names_config = |argument: &OsString| {
        let name = argument.to_str().map(|text| text.split('=').next().unwrap_or_default());
        matches!(name, Some("-config" | "--config"))
    };
    if arguments.get(1).is_some_and(names_config) {
        arguments.insert(1, "serve".into());
    }
    if arguments.get(1).is_some_and(|command| command == "serve") {
        for argument in arguments.iter_mut().skip(2) {
            let single = argument
                .to_str()
                .filter(|text| *text == "-config" || text.starts_with("-config="));
            if let Some(text) = single {
                *argument = format!("-{text}").into();
            }
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        let words = usual(line.split(' ').map(OsString::from));
        words.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_bare_config_serves_with_one_dash_and_with_two() {
        for line in [
            "quintet -config f",
            "quintet --config f",
            "quintet serve -config f",
            "quintet serve --config f",
        ] {
            assert_eq!(words(line), ["quintet", "serve", "--config", "f"], "{line}");
        }
        assert_eq!(words("quintet -config=f"), ["quintet", "serve", "--config=f"]);
        assert_eq!(words("quintet run -config"), ["quintet", "run", "-config"]);
    }
}
