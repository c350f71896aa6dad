//! The life of one postmaster, tied to the life of this process.
//!
//! A shell is the postmaster's parent. It waits on a pipe that only this process holds: a word on it is the signal to
//! pass on, and its end means that this process is gone, by whatever death; then the shell stops the cluster at once and
//! removes its folder. The shell has a process group of its own, so that the Ctrl-C or the kill that ends a test run does
//! not end it too. As the parent has not reaped the postmaster, its number cannot have become another process's.
//!
//! In the other direction goes the postmaster's standard output, of which every backend holds a copy: its end means that
//! the last process of the cluster is gone, which a new postmaster insists on.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::installation::Installation;

/// `$1` is the log, `$2` the folder to remove, the rest the command of the postmaster. A stopped (SIGSTOP) postmaster
/// must go on before it can end; and to a process group that is left alone with a stopped member the kernel sends SIGHUP.
const SCRIPT: &str = r#"
log=$1 home=$2
shift 2
"$@" 2>>"$log" </dev/null &
server=$!
trap '' HUP INT TERM
echo "$server"
exec >/dev/null
read -r signal || orphan=yes
kill -s "${signal:-QUIT}" "$server"
kill -s CONT "$server"
wait "$server"
[ -z "$orphan" ] || rm -rf "$home"
"#;

/// How long a start may take, recovery after a crash included.
const START: Duration = Duration::from_secs(120);
/// How long the last process of a cluster may take to go.
const END: Duration = Duration::from_secs(60);
/// How often the postmaster's own note of its state is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// How a postmaster is made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// A fast shutdown: sessions are ended, and everything is written.
    Int,
    /// An immediate shutdown: a crash, but for the processes, which all end.
    Quit,
    /// A crash. The backends find out by themselves.
    Kill,
}

/// A running postmaster.
#[derive(Debug)]
pub(super) struct Supervisor {
    shell: Child,
    orders: ChildStdin,
    /// Sends nothing, and is disconnected when the last process is gone. In a mutex so that threads may share a cluster.
    gone: Mutex<Receiver<()>>,
    /// Process id of the postmaster.
    pub pid: u32,
}

impl Supervisor {
    /// Starts a postmaster on `home/data` and waits until it takes connections.
    pub fn start(installation: &Installation, home: &Path) -> anyhow::Result<Self> {
        let data = home.join("data");
        let mut command = installation.command("sh");
        command.args(["-c", SCRIPT, "supervisor"]);
        command.arg(home.join("server.log")).arg(home);
        command.arg(installation.program("postgres")).arg("-D").arg(&data);
        command.process_group(0);
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("sh cannot be started")?;
        let orders = shell.stdin.take().context("no pipe to the supervisor")?;
        let mut reader = BufReader::new(shell.stdout.take().context("no pipe from the supervisor")?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let pid = line.trim().parse().context("the supervisor names no process")?;
        let supervisor = Self {
            shell,
            orders,
            gone: Mutex::new(watch(reader)),
            pid,
        };
        if let Err(error) = supervisor.wait_until_ready(&data) {
            // Not merely dropped: the shell would take itself for an orphan, and remove the folder.
            supervisor.end(Signal::Quit)?;
            return Err(error);
        }
        Ok(supervisor)
    }

    /// Ends the postmaster and waits until no process of its cluster is left.
    pub fn end(mut self, signal: Signal) -> anyhow::Result<()> {
        let name = match signal {
            Signal::Int => "INT",
            Signal::Quit => "QUIT",
            Signal::Kill => "KILL",
        };
        writeln!(self.orders, "{name}").context("the supervisor is gone")?;
        if self.still_there_after(END) {
            bail!("processes of the cluster are left {END:?} after SIG{name}");
        }
        self.shell.wait()?;
        Ok(())
    }

    fn still_there_after(&self, time: Duration) -> bool {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.recv_timeout(time) == Err(RecvTimeoutError::Timeout)
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "patience with a process is by the machine's clock"
    )]
    fn wait_until_ready(&self, data: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        while !says_ready(data, self.pid) {
            if !self.still_there_after(LOOK) {
                bail!("the server ended before it was ready");
            }
            if Instant::now() > deadline {
                bail!("the server was not ready within {START:?}");
            }
        }
        Ok(())
    }
}

/// A channel whose other end goes when the last holder of the pipe does.
fn watch(mut pipe: BufReader<ChildStdout>) -> Receiver<()> {
    let (held, gone) = channel();
    std::thread::spawn(move || {
        let _ = pipe.read_to_end(&mut Vec::new());
        drop::<std::sync::mpsc::Sender<()>>(held);
    });
    gone
}

/// Whether the postmaster's own note says that it takes connections. The note outlives a killed postmaster, hence the
/// look at whose it is.
fn says_ready(data: &Path, pid: u32) -> bool {
    let note = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let lines: Vec<&str> = note.lines().map(str::trim).collect();
    lines.first() == Some(&pid.to_string().as_str()) && lines.get(7) == Some(&"ready")
}
