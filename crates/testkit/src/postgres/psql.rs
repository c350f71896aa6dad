//! `psql` for tests: statements in, bare rows out.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::installation::{program_dir, without_settings};

/// Runs statements one after another, each in a transaction of its own, up to the first that fails. The rows come back
/// one a line, their columns parted by `|`.
pub(super) fn run(url: &str, sql: &str) -> anyhow::Result<String> {
    // A server elsewhere needs no server here: then the client alone is in PATH.
    let program = program_dir().map_or_else(|_| "psql".into(), |programs| programs.join("psql"));
    let mut command = Command::new(program);
    without_settings(&mut command);
    command.env("PGCONNECT_TIMEOUT", "10");
    command.args([
        "--no-psqlrc",
        "--quiet",
        "--no-align",
        "--tuples-only",
        "--set=ON_ERROR_STOP=1",
    ]);
    command.args(["--file=-", "--dbname", url]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("psql cannot be started")?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let sql = sql.to_owned();
    // Written beside, because psql answers the first statements before it has read the last.
    let writer = std::thread::spawn(move || stdin.write_all(sql.as_bytes()));
    let output = child.wait_with_output()?;
    let written = writer.join();
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    written.map_or_else(|_| bail!("the writer panicked"), |done| Ok(done?))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
