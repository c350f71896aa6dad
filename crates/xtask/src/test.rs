//! `cargo xtask test`: the server first, then every test of the workspace, then the documentation's examples.
//!
//! The binary is built first because the tests under `crates/server/tests` start the real one; they find it through
//! `QUINTET_BIN`. One private PostgreSQL cluster serves the whole run, through `QUINTET_TEST_POSTGRES`, and one S3
//! service, through `QUINTET_TEST_S3`; where one of these is set already, the server that it names does. With
//! cargo-nextest each test has a process of its own, and a hanging one is named; without it `cargo test` runs the same
//! tests. What ran is counted from what the runners print, and the count is the last line
//! (`12 passed, 0 failed, 0 skipped`), kept in `target/xtask/tests` too: a green run that ran nothing shows as that.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use quintet_testkit::postgres::{self, Cluster, Durability, Options};
use quintet_testkit::{bullmq, ray, s3};

use crate::{needs, shell};

/// Every test has pools of its own, and as many tests run at once as there are processors.
const MAX_CONNECTIONS: u32 = 200;

#[derive(clap::Args)]
pub struct Args {
    /// Leave out the tests that start the real binary.
    #[arg(long)]
    skip_e2e: bool,
    /// Run only tests whose name contains this.
    filter: Option<String>,
}

/// How many tests ended in which way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Who runs the tests, and so says how many there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Nextest,
    Libtest,
}

/// One invocation: what it is called, who counts, and the command.
type Run = (&'static str, Runner, Command);

pub fn run(args: &Args) -> Result<()> {
    shell::step("build quintet", || {
        shell::run(&mut shell::cargo_build(["build", "--package", "quintet"]))
    })?;
    needs::NODE.ensure()?;
    needs::FFMPEG.ensure()?;
    let postgresql = start_postgresql()?;
    let s3 = start_s3()?;
    needs::REDIS.ensure()?;
    let bullmq = needs::BULLMQ.ensure()?;
    let ray = find_ray()?;
    let nextest = shell::succeeds(&mut shell::cargo(["nextest", "--version"]));
    let runs = if nextest { nextest_runs(args) } else { cargo_runs(args) };

    let mut total = Tally::default();
    let mut first_failure = None;
    for (heading, runner, mut command) in runs {
        command.env("QUINTET_BIN", shell::target_dir().join("debug/quintet"));
        if let Some(cluster) = &postgresql {
            command.env(postgres::SHARED_VARIABLE, cluster.base_url());
        }
        if let Some(server) = &s3 {
            command.env(s3::SHARED_VARIABLE, server.service().url());
        }
        if let Some(program) = &ray {
            command.env(ray::PROGRAM_VARIABLE, program);
        }
        command.env(bullmq::FOLDER_VARIABLE, &bullmq);
        let outcome = shell::step(heading, || {
            let (status, printed) = shell::tee(&mut command)?;
            total.add(tally(&printed, runner));
            shell::expect_success(status, heading)
        });
        // The later runs still tell something, so a failure waits for them.
        first_failure = first_failure.or(outcome.err());
    }
    report(total)?;
    match first_failure {
        Some(error) => Err(error),
        None if total.passed == 0 => bail!("no test ran"),
        None => Ok(()),
    }
}

/// The cluster for the run; none when the surroundings name a server. It ends with the value, and with this process if
/// that is interrupted.
fn start_postgresql() -> Result<Option<Cluster>> {
    if std::env::var_os(postgres::SHARED_VARIABLE).is_some() {
        return Ok(None);
    }
    needs::POSTGRESQL.ensure()?;
    let start = || {
        let options = Options::new(Durability::Fast).set("max_connections", MAX_CONNECTIONS);
        Cluster::start(&options).map(Some)
    };
    shell::step("start PostgreSQL", start)
}

/// The S3 service for the run, likewise.
fn start_s3() -> Result<Option<s3::Server>> {
    if std::env::var_os(s3::SHARED_VARIABLE).is_some() {
        return Ok(None);
    }
    let program = needs::MOTO.ensure()?;
    shell::step("start an S3 service", || s3::Server::start(&program).map(Some))
}

/// The program of Ray, which the tests that need a cluster start themselves: one that runs all the time would take
/// memory and time from the others.
fn find_ray() -> Result<Option<PathBuf>> {
    let is_given = [ray::SHARED_VARIABLE, ray::PROGRAM_VARIABLE]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if is_given {
        Ok(None)
    } else {
        needs::RAY.ensure().map(Some)
    }
}

fn nextest_runs(args: &Args) -> Vec<Run> {
    let mut tests = shell::cargo_build(["nextest", "run", "--workspace", "--no-fail-fast"]);
    if args.skip_e2e {
        tests.args(["--filterset", "not (package(quintet) and kind(test))"]);
    }
    tests.args(&args.filter);
    let mut runs = vec![("tests (nextest)", Runner::Nextest, tests)];
    // A filter asks for some test by name: compiling every example of the documentation is not a part of that.
    if args.filter.is_none() {
        runs.push((
            "documentation examples",
            Runner::Libtest,
            shell::cargo_build(["test", "--workspace", "--doc", "--no-fail-fast"]),
        ));
    }
    runs
}

fn cargo_runs(args: &Args) -> Vec<Run> {
    let mut all = shell::cargo_build(["test", "--workspace", "--no-fail-fast"]);
    if !args.skip_e2e {
        all.args(&args.filter);
        return vec![("tests (cargo test)", Runner::Libtest, all)];
    }
    all.args(["--exclude", "quintet"]).args(&args.filter);
    let mut server = shell::cargo_build(["test", "--package", "quintet", "--no-fail-fast", "--bins"]);
    if shell::root().join("crates/server/src/lib.rs").is_file() {
        server.arg("--lib");
    }
    server.args(&args.filter);
    vec![
        ("tests (cargo test)", Runner::Libtest, all),
        ("tests of the server's units (cargo test)", Runner::Libtest, server),
    ]
}

fn report(total: Tally) -> Result<()> {
    let line = format!(
        "{} passed, {} failed, {} skipped",
        total.passed, total.failed, total.skipped
    );
    let file = shell::target_dir().join("xtask/tests");
    std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    std::fs::write(&file, format!("{line}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    shell::say(&line);
    Ok(())
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Adds up the closing lines of the runner. Only of that one: nextest shows what a failed test's own libtest printed.
fn tally(printed: &str, runner: Runner) -> Tally {
    let mut total = Tally::default();
    for line in printed.lines() {
        let Some(counts) = runner.closing_counts(line) else {
            continue;
        };
        let words: Vec<&str> = counts
            .split([' ', ',', ';', '(', ')', '.'])
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<u64>() else { continue };
            match pair[1] {
                "passed" => total.passed += count,
                "failed" | "timed" | "exec" => total.failed += count,
                "skipped" | "ignored" => total.skipped += count,
                _ => {}
            }
        }
    }
    total
}

impl Runner {
    fn closing_counts(self, line: &str) -> Option<&str> {
        match self {
            // `     Summary [   0.040s] 3 tests run: 2 passed (1 slow), 1 failed, 4 skipped`
            Self::Nextest => Some(line.trim_start().strip_prefix("Summary [")?.split_once(" run: ")?.1),
            // `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ..`
            Self::Libtest => line.strip_prefix("test result: "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_summary_is_counted_and_a_failed_tests_own_result_is_not() {
        let printed = "     PASS [   0.004s] quintet-core id::ok\n    test result: FAILED. 0 passed; 1 failed; 0 ignored\n\
                       \n     Summary [   0.040s] 21 tests run: 15 passed (1 slow), 5 failed, 1 timed out, 3 skipped\n";
        assert_eq!(
            tally(printed, Runner::Nextest),
            Tally {
                passed: 15,
                failed: 6,
                skipped: 3
            }
        );
    }

    #[test]
    fn libtest_results_of_several_binaries_add_up() {
        let printed = "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n\
                       test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(
            tally(printed, Runner::Libtest),
            Tally {
                passed: 5,
                failed: 2,
                skipped: 1
            }
        );
    }

    #[test]
    fn what_a_test_prints_is_not_counted() {
        let printed = "7 passed, 3 failed\nnote: Summary [x] 9 tests run: 9 passed\n    test result: ok. 1 passed\n";
        assert_eq!(tally(printed, Runner::Nextest), Tally::default());
        assert_eq!(tally(printed, Runner::Libtest), Tally::default());
    }
}
