//! `cargo xtask fuzz`: generated requests, valid and broken, against a real server, until enough have been sent.
//!
//! Schemathesis reads the server's own OpenAPI description, so a new operation is covered the moment it is described.
//! The first round walks every phase; operations with few distinct inputs use up their share early, so more rounds of
//! fuzzing follow, each with the next seed, until the asked number is reached. The run fails when a check fails, when
//! the server ends or panics, or when it does not stop cleanly. Streams are left out: they never end by design. So is the
//! request for maintenance, after which the server refuses, by design, most of what it is asked.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{needs, server, shell};

/// No input that was generated may lead to any of these being violated.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,negative_data_rejection";
/// More rounds than this find nothing new to send.
const MAX_ROUNDS: u64 = 40;
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "patch", "head", "options", "trace"];

#[derive(clap::Args)]
pub struct Args {
    /// How many requests must have been sent.
    #[arg(long, default_value_t = 10_000)]
    requests: u64,
    /// Repeats a run; a new one is drawn without it.
    #[arg(long)]
    seed: Option<u64>,
    /// Drive the release build.
    #[arg(long)]
    release: bool,
    /// Drive this server instead of building one.
    #[arg(long, conflicts_with = "release")]
    bin: Option<PathBuf>,
    /// Anything else that `st run` understands, after `--`.
    #[arg(last = true)]
    more: Vec<String>,
}

/// What the description says that matters here.
#[derive(Debug, PartialEq, Eq)]
struct Api {
    operations: u64,
    /// Paths whose answer is a stream of events.
    streams: Vec<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let schemathesis = needs::SCHEMATHESIS.ensure()?;
    let binary = match &args.bin {
        Some(binary) => binary
            .canonicalize()
            .with_context(|| format!("no server at {}", binary.display()))?,
        None if args.release => server::build(server::Profile::Release)?,
        None => server::build(server::Profile::Debug)?,
    };
    let seed = args.seed.unwrap_or_else(server::fresh_seed);
    shell::say(&format!("fuzz: requests={} seed={seed}", args.requests));

    let folder = tempfile::tempdir()?;
    let server = server::Server::start(&binary, folder.path())?;
    let description = server.get("/openapi.json")?;
    let api = read_api(&description)?;
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, &description)?;
    for path in &api.streams {
        shell::say(&format!("fuzz: {path} is left out, its answer is a stream"));
    }

    let mut sent = 0;
    for round in 0..MAX_ROUNDS {
        let mut st = schemathesis_run(&schemathesis, &file, &server, &api);
        st.args([
            "--phases",
            if round == 0 {
                "examples,coverage,fuzzing,stateful"
            } else {
                "fuzzing,stateful"
            },
        ]);
        st.args(["--seed", &(seed + round).to_string()]);
        st.args([
            "--max-examples",
            &share(args.requests - sent, api.operations, round).to_string(),
        ]);
        st.args(&args.more);
        let outcome = shell::step(&format!("fuzz round {} (seed {})", round + 1, seed + round), || {
            let (status, printed) = shell::tee(&mut st)?;
            shell::expect_success(status, "schemathesis").and_then(|()| generated(&printed))
        });
        // A dead or panicked server explains a failed round better than the round does.
        server.check_healthy()?;
        let again = format!(
            "repeat it with `cargo xtask fuzz --requests {} --seed {seed}`",
            args.requests
        );
        sent += outcome.context(again)?;
        if sent >= args.requests {
            break;
        }
    }
    server.check_healthy()?;
    server.stop()?;
    shell::say(&format!(
        "fuzz: {sent} requests sent to {} operations, seed {seed}",
        api.operations
    ));
    ensure!(
        sent >= args.requests,
        "only {sent} of {} requests could be made in {MAX_ROUNDS} rounds",
        args.requests
    );
    Ok(())
}

fn schemathesis_run(program: &Path, description: &Path, server: &server::Server, api: &Api) -> Command {
    let mut st = shell::command(program);
    // It leaves a cache in the folder that it runs in.
    st.current_dir(description.parent().unwrap_or(Path::new("/")));
    st.arg("run")
        .arg(description)
        .args(["--url", &format!("http://{}", server.address)]);
    st.args(fixed_options())
        .args(["--exclude-path", "/api/maintenance/request"])
        .args(api.streams.iter().flat_map(|path| ["--exclude-path", path]));
    st
}

fn fixed_options() -> [&'static str; 14] {
    [
        "--mode",
        "all",
        "--checks",
        CHECKS,
        // One: CPython 3.11 counts the depth of `ast.parse` for all threads together, and two workers make it fail now
        // and then with a SystemError that says nothing about the server.
        "--workers",
        "1",
        "--continue-on-failure",
        "--no-color",
        // A failure is repeated by its seed, not by a database that only this machine has.
        "--generation-database",
        "none",
        // A slow machine is no finding.
        "--suppress-health-check",
        "all",
        "--request-timeout",
        "20",
    ]
}

/// How many examples each operation gets, so that together they make up what is missing. Those without parameters run
/// out of different requests, so the later rounds ask the others for more.
fn share(missing: u64, operations: u64, round: u64) -> u64 {
    let even = missing.div_ceil(operations.max(1)).max(20);
    if round == 0 { even } else { even * 2 }
}

fn read_api(description: &[u8]) -> Result<Api> {
    let description: Value = serde_json::from_slice(description).context("/openapi.json is not JSON")?;
    let paths = description["paths"]
        .as_object()
        .context("/openapi.json describes no paths")?;
    let mut api = Api {
        operations: 0,
        streams: Vec::new(),
    };
    for (path, item) in paths {
        let operations: Vec<&Value> = METHODS.iter().filter_map(|method| item.get(*method)).collect();
        if operations.iter().any(|operation| is_stream(operation)) {
            api.streams.push(path.clone());
        } else {
            api.operations += operations.len() as u64;
        }
    }
    if api.operations == 0 {
        bail!("/openapi.json describes no operation that can be tried");
    }
    Ok(api)
}

fn is_stream(operation: &Value) -> bool {
    let answers = operation["responses"]
        .as_object()
        .into_iter()
        .flat_map(|answers| answers.values());
    answers
        .into_iter()
        .any(|answer| answer["content"].get("text/event-stream").is_some())
}

/// The number in the summary's `329 generated, 329 passed`.
fn generated(printed: &str) -> Result<u64> {
    let line = printed.lines().rev().find(|line| line.contains(" generated"));
    let count = line.and_then(|line| line.trim_start().split(' ').next());
    count
        .and_then(|count| count.replace(',', "").parse().ok())
        .context("schemathesis did not say how much it sent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_and_streams_left_out() {
        let description = br#"{"paths": {
            "/runs": {"parameters": [], "get": {"responses": {"200": {}}}, "post": {}},
            "/runs/{id}/events": {"get": {"responses": {"200": {"content": {"text/event-stream": {}}}}}}
        }}"#;
        let api = read_api(description).unwrap();
        assert_eq!(
            api,
            Api {
                operations: 2,
                streams: vec!["/runs/{id}/events".to_owned()]
            }
        );
    }

    #[test]
    fn a_description_without_operations_is_refused() {
        assert!(read_api(br#"{"paths": {}}"#).is_err());
        assert!(read_api(b"<html>").is_err());
    }

    #[test]
    fn shares_of_the_operations_make_up_the_whole() {
        assert_eq!(share(10_000, 30, 0), 334);
        assert_eq!(share(3_000, 30, 1), 200);
        assert_eq!(share(5, 30, 0), 20);
    }

    #[test]
    fn requests_are_counted_from_the_summary() {
        assert_eq!(
            generated("Test cases:\n  329 generated, 329 passed\nSeed: 1\n").unwrap(),
            329
        );
        assert!(generated("nothing was said").is_err());
    }
}
