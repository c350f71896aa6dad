//! A private Redis server for tests, that can be killed and come back with or without what it held.
//!
//! `redis-server` of Debian. It listens on loopback only, writes every command to its log before it answers, and never
//! outlives the process that started it: its parent is a shell that waits on a pipe which only this process holds.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::{patience, port};

/// The environment variable that names the program.
pub const PROGRAM_VARIABLE: &str = "QUINTET_REDIS_SERVER";
const PROGRAM: &str = "redis-server";

const START: Duration = Duration::from_secs(30);
const CALL: Duration = Duration::from_secs(5);

/// Kills the server when a line comes or the pipe breaks. The server has a process group of its own, so that a Ctrl-C
/// reaches neither it nor the shell before this process is done with it.
const SCRIPT: &str = r#"
"$@" >/dev/null 2>&1 </dev/null &
server=$!
trap '' HUP INT TERM
read -r order
kill -s KILL "$server"
wait "$server"
"#;

/// A server on a port of its own; it ends with the value.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    port: u16,
    folder: TempDir,
    shell: Option<Child>,
}

/// What a server that comes back still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Everything that it had acknowledged.
    Kept,
    /// Nothing.
    Lost,
}

/// The program: the one that [`PROGRAM_VARIABLE`] names, or the one in `PATH`.
pub fn program() -> anyhow::Result<PathBuf> {
    find(std::env::var_os(PROGRAM_VARIABLE), std::env::var_os("PATH"))
}

fn find(named: Option<OsString>, path: Option<OsString>) -> anyhow::Result<PathBuf> {
    if let Some(named) = named.map(PathBuf::from) {
        ensure!(
            named.is_file(),
            "{PROGRAM_VARIABLE} names {}, but there is no program there",
            named.display()
        );
        return Ok(named);
    }
    let folders = path.map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut programs = folders
        .unwrap_or_default()
        .into_iter()
        .map(|folder| folder.join(PROGRAM));
    programs.find(|program| program.is_file()).with_context(|| {
        format!(
            "{PROGRAM} is in neither PATH nor {PROGRAM_VARIABLE}: install Debian's package redis-server, or run the tests \
             by `cargo xtask test`, which does so by itself"
        )
    })
}

impl Redis {
    /// Starts a server on a free port and waits until it answers.
    pub fn start() -> anyhow::Result<Self> {
        let mut server = Self {
            program: program()?,
            port: port::free()?,
            folder: tempfile::tempdir().context("a folder for Redis")?,
            shell: None,
        };
        server.begin()?;
        Ok(server)
    }

    /// Where it is, while it runs.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            // The end of the pipe is the order.
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
    }

    /// Starts it again on the same port, after [`Redis::kill`].
    pub fn revive(&mut self, data: Data) -> anyhow::Result<()> {
        self.kill();
        if data == Data::Lost {
            self.folder = tempfile::tempdir().context("a folder for Redis")?;
        }
        self.begin()
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "supervisor"]).arg(&self.program);
        command.args(arguments(self.port, self.folder.path()));
        let shell = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("sh cannot be started")?;
        self.shell = Some(shell);
        let port = self.port;
        ensure!(
            patience::until(START, || answers(port).unwrap_or(false)),
            "{} did not answer within {START:?}",
            self.program.display()
        );
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn arguments(port: u16, folder: &Path) -> Vec<OsString> {
    let port = port.to_string();
    let fixed = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
    ];
    let mut arguments: Vec<OsString> = fixed.iter().map(OsString::from).collect();
    arguments.extend(["--appendfsync", "always", "--dir"].map(OsString::from));
    arguments.push(folder.into());
    arguments
}

/// Whether it has loaded what it had: until then it answers with an error.
fn answers(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(CALL))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says one command, and gives the first line of the answer.
    fn say(redis: &Redis, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn what_was_acknowledged_survives_a_kill_unless_it_is_to_be_lost() {
        let mut redis = Redis::start().unwrap();
        assert_eq!(say(&redis, "INCR count"), ":1");
        redis.kill();
        assert!(!answers(redis.port).unwrap_or(false));
        redis.revive(Data::Kept).unwrap();
        assert_eq!(say(&redis, "INCR count"), ":2");
        redis.revive(Data::Lost).unwrap();
        assert_eq!(say(&redis, "INCR count"), ":1");
    }

    #[test]
    fn where_the_program_is_not_the_complaint_says_how_to_get_it() {
        let complaint = find(None, Some("/no such folder".into())).unwrap_err().to_string();
        assert!(complaint.contains("Debian's package redis-server"), "{complaint}");
    }
}
