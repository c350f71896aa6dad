//! A `quintet` of our own: built, started on a free port, watched, and always stopped.
//!
//! The server is asked to stop with SIGTERM, as a supervisor would ask, and only killed when it does not comply; it is
//! stopped on every way out of a task, a panic included. Its exit is awaited by a thread that owns the child, so that
//! "is it alive" is a look at a channel, and waiting for its end needs no polling.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::shell;

/// How long a start may take before it counts as failed.
const START: Duration = Duration::from_secs(30);
/// How long a stop may take before it is forced.
const STOP: Duration = Duration::from_secs(30);

/// Which build of the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Debug,
    Release,
}

/// Builds the server and gives its path.
pub fn build(profile: Profile) -> Result<PathBuf> {
    let mut build = shell::cargo_build(["build", "--package", "quintet"]);
    let folder = match profile {
        Profile::Debug => "debug",
        Profile::Release => {
            build.arg("--release");
            "release"
        }
    };
    shell::step(&format!("build quintet ({folder})"), || shell::run(&mut build))?;
    Ok(shell::target_dir().join(folder).join("quintet"))
}

/// A seed for a run that was not given one. It is printed, so that the run can be had again.
pub fn fresh_seed() -> u64 {
    // Python's and Rust's tools both take 32 bits without question.
    RandomState::new().build_hasher().finish() & 0xffff_ffff
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pid: u32,
    exit: Receiver<ExitStatus>,
    stderr: PathBuf,
}

impl Server {
    /// Starts the binary with its data below `folder`, and waits until it says that it serves.
    pub fn start(binary: &Path, folder: &Path) -> Result<Self> {
        let stderr = folder.join("stderr.log");
        let mut child = shell::command(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let stdout = child.stdout.take().context("standard output was not piped")?;
        let pid = child.id();
        let (send, exit) = channel();
        std::thread::spawn(move || child.wait().map(|status| send.send(status)));
        // Owned from here on, so that a failed start stops it too.
        let mut server = Self {
            address: ([127, 0, 0, 1], 0).into(),
            pid,
            exit,
            stderr,
        };
        server.address = wait_until_ready(stdout).with_context(|| {
            format!(
                "the server did not start; its standard error was:\n{}",
                server.stderr().unwrap_or_default()
            )
        })?;
        Ok(server)
    }

    /// What the server said on standard error until now.
    pub fn stderr(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.stderr)?).into_owned())
    }

    /// An error when the process has ended or a thread of it has panicked.
    pub fn check_healthy(&self) -> Result<()> {
        if let Ok(status) = self.exit.try_recv() {
            bail!(
                "the server ended by itself ({status}); its last words were:\n{}",
                tail(&self.stderr()?)
            );
        }
        let panics: Vec<String> = self
            .stderr()?
            .lines()
            .filter(|line| line.contains("panicked"))
            .map(str::to_owned)
            .collect();
        ensure!(
            panics.is_empty(),
            "the server panicked {} times, first: {}",
            panics.len(),
            panics[0]
        );
        Ok(())
    }

    /// One GET, for a body that must be there.
    pub fn get(&self, path: &str) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, START)?;
        stream.set_read_timeout(Some(START))?;
        // HTTP/1.0 knows no chunks: the body is what comes until the server closes.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let head = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .context("the answer has no end of head")?;
        let status = String::from_utf8_lossy(&answer[..head])
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        ensure!(status.split(' ').nth(1) == Some("200"), "GET {path} answered {status}");
        Ok(answer.split_off(head + 4))
    }

    /// Asks it to stop, and is content only with a prompt and clean end.
    pub fn stop(self) -> Result<()> {
        signal(self.pid, "TERM");
        match self.exit.recv_timeout(STOP) {
            Ok(status) => ensure!(status.success(), "the server ended with {status} after SIGTERM"),
            Err(RecvTimeoutError::Timeout) => {
                signal(self.pid, "KILL");
                bail!("the server did not end within {STOP:?} of SIGTERM")
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the server had already ended before SIGTERM"),
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A disconnected channel means that the exit was seen: the number may be another process's by now.
        if !matches!(self.exit.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
            return;
        }
        signal(self.pid, "TERM");
        if self.exit.recv_timeout(STOP).is_err() {
            signal(self.pid, "KILL");
        }
    }
}

fn signal(pid: u32, name: &str) {
    shell::succeeds(shell::command("kill").args([format!("-{name}"), pid.to_string()]));
}

fn wait_until_ready(stdout: ChildStdout) -> Result<SocketAddr> {
    let (send, lines) = channel();
    // The thread goes on reading to the end: a full pipe would stop the server.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    loop {
        let line = match lines.recv_timeout(START) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => bail!("no `quintet ready` line within {START:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("it ended without a `quintet ready` line"),
        };
        if let Some(address) = ready_address(&line) {
            return address.parse().with_context(|| format!("no socket address in: {line}"));
        }
    }
}

fn ready_address(line: &str) -> Option<&str> {
    let fields = line.strip_prefix("quintet ready ")?;
    let address = fields
        .split_whitespace()
        .find_map(|field| field.strip_prefix("http="))?;
    Some(address.trim_start_matches("http://").trim_end_matches('/'))
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn fake(folder: &Path, script: &str) -> PathBuf {
        let file = folder.join("fake-quintet");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    const READY: &str = "echo booting; echo 'quintet ready http=127.0.0.1:4242 grpc=127.0.0.1:1 store=sqlite'";

    #[test]
    fn address_is_taken_from_the_ready_line() {
        assert_eq!(
            ready_address("quintet ready http=127.0.0.1:80 store=sqlite"),
            Some("127.0.0.1:80")
        );
        assert_eq!(
            ready_address("quintet ready http=http://127.0.0.1:80/"),
            Some("127.0.0.1:80")
        );
        assert_eq!(ready_address("not quintet ready http=127.0.0.1:80"), None);
    }

    #[test]
    fn a_server_that_stops_when_asked_is_a_good_one() {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("trap 'kill $!; exit 0' TERM; {READY}; sleep 60 & wait");
        let server = Server::start(&fake(folder.path(), &script), folder.path()).unwrap();
        assert_eq!(server.address.port(), 4242);
        server.check_healthy().unwrap();
        server.stop().unwrap();
    }

    #[test]
    fn a_panic_on_standard_error_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("echo \"thread 'w' panicked at x.rs:1\" >&2; {READY}; exec sleep 60");
        let server = Server::start(&fake(folder.path(), &script), folder.path()).unwrap();
        assert!(
            server
                .check_healthy()
                .unwrap_err()
                .to_string()
                .contains("panicked 1 times")
        );
    }

    #[test]
    fn a_server_that_never_gets_ready_tells_why() {
        let folder = tempfile::tempdir().unwrap();
        let outcome = Server::start(&fake(folder.path(), "echo 'port is taken' >&2; exit 1"), folder.path());
        let error = format!("{:#}", outcome.err().unwrap());
        assert!(error.contains("port is taken"), "{error}");
    }
}
