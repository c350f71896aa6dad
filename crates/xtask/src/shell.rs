//! Running other programs: headings with durations, and exit codes that reach the caller.
//!
//! Everything starts at the root of the workspace, so that a task does the same wherever it was called from. A nested
//! `cargo` must not see what the outer `cargo run` set for xtask itself: build scripts (ring's, for one) list those
//! variables as reasons to run again, and each switch between `cargo xtask` and `cargo` would rebuild half the tree.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

/// Another program ended with this code, and xtask ends with the same.
#[derive(Debug)]
pub struct Failed {
    what: String,
    code: u8,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} failed with exit code {}", self.what, self.code)
    }
}

impl std::error::Error for Failed {}

/// The exit code that an error asks for: that of the program which failed, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Failed>().map_or(1, |failed| failed.code)
}

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate is two folders below the root")
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Whether this runs where nobody watches.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}

/// A command at the root of the workspace, without the variables that `cargo run` set for xtask.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if own.iter().any(|prefix| text.starts_with(prefix)) || text == "CARGO_PRIMARY_PACKAGE" || text == "OUT_DIR" {
            command.env_remove(&name);
        }
    }
    command
}

/// The cargo that started this.
pub fn cargo<I, S>(args: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args);
    cargo
}

/// A cargo command that builds: CI takes the lock file as it is, and fails when it is out of date.
pub fn cargo_build<I, S>(args: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut cargo = cargo(args);
    if in_ci() {
        cargo.arg("--locked");
    }
    cargo
}

/// Runs `work` under a heading, and says how long it took and how it ended.
#[allow(
    clippy::disallowed_methods,
    reason = "a duration for a person's eyes: nothing is decided by it"
)]
pub fn step<T>(heading: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("==> {heading}"));
    let start = Instant::now();
    let outcome = work();
    let word = if outcome.is_ok() { "done" } else { "FAILED" };
    say(&format!("<== {heading}: {word} in {}", human(start.elapsed())));
    outcome
}

/// A line on standard output, in order with what the tools print.
pub fn say(line: &str) {
    println!("{line}");
    // A closed pipe is the reader's decision; the tools' exit codes still count.
    let _ = std::io::stdout().flush();
}

fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= 60 {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{:.1}s", duration.as_secs_f64())
    }
}

/// Runs to the end with the terminal handed through; any other exit code than 0 is an error that carries it.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    expect_success(status, &shown(command))
}

/// Runs to the end while showing what it prints, and gives both outputs back, line by line.
pub fn tee(command: &mut Command) -> Result<(ExitStatus, String)> {
    let what = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {what}"))?;
    let stderr = child.stderr.take().context("standard error was not piped")?;
    let stdout = child.stdout.take().context("standard output was not piped")?;
    let errors = std::thread::spawn(move || forward(stderr, |line| eprint!("{line}")));
    let mut printed = forward(stdout, |line| print!("{line}"));
    printed.push_str(&errors.join().map_err(|_| anyhow!("the reader of {what} panicked"))?);
    Ok((child.wait()?, printed))
}

fn forward(from: impl Read, show: impl Fn(&str)) -> String {
    let mut reader = BufReader::new(from);
    let mut all = String::new();
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
        let text = String::from_utf8_lossy(&line);
        show(&text);
        all.push_str(&text);
        line.clear();
    }
    all
}

/// Runs to the end and gives standard output back; standard error is shown.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let what = shown(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {what}"))?;
    expect_success(output.status, &what)?;
    Ok(output.stdout)
}

/// Whether it starts and ends well; nothing that it prints is shown.
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Turns a bad exit status into the error that carries its code.
pub fn expect_success(status: ExitStatus, what: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    // A program that a signal ended has no code: 1 stands for it.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Err(Failed {
        what: what.to_owned(),
        code,
    }
    .into())
}

/// Looks a program up in `PATH`.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_of_the_failed_program_is_handed_on() {
        let error = run(command("sh").args(["-c", "exit 7"]))
            .unwrap_err()
            .context("while testing");
        assert_eq!(exit_code(&error), 7);
        assert_eq!(
            format!("{error:#}"),
            "while testing: sh -c exit 7 failed with exit code 7"
        );
    }

    #[test]
    fn tee_gives_both_outputs_back() {
        let (status, printed) = tee(command("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(printed, "out\nerr\n");
    }

    #[test]
    fn a_command_does_not_see_what_cargo_set_for_xtask() {
        let seen = output(command("sh").args(["-c", "echo ${CARGO_PKG_NAME:-nothing}"])).unwrap();
        assert_eq!(String::from_utf8(seen).unwrap(), "nothing\n");
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(human(Duration::from_millis(1_250)), "1.2s");
        assert_eq!(human(Duration::from_secs(125)), "2m05s");
    }
}
