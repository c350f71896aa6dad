//! The real binary as a child process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// A running `quintet serve`; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl Server {
    /// Starts the binary on a data directory and waits for its ready line.
    pub fn start(binary: &Path, data: &Path) -> anyhow::Result<Self> {
        let mut child = Self::spawn(binary, data)?;
        let stdout = child.stdout.take().context("no output")?;
        for line in BufReader::new(stdout).lines() {
            if let Some(rest) = line?.strip_prefix("quintet ready http=") {
                let address = rest.split_whitespace().next().unwrap_or_default().to_owned();
                return Ok(Self { child, address });
            }
        }
        let status = child.wait()?;
        bail!("quintet ended before it was ready: {status}")
    }

    /// Starts the binary and does not wait for anything.
    pub fn spawn(binary: &Path, data: &Path) -> anyhow::Result<Child> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(data.join("server.log"))?;
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))
    }

    /// Sends a signal by its name, for instance `STOP`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status()?;
        anyhow::ensure!(status.success(), "kill -{name} failed");
        Ok(())
    }

    /// Kills it at once, as a crash does.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it with SIGTERM; the exit code.
    pub fn terminate(mut self) -> anyhow::Result<Option<i32>> {
        self.signal("TERM")?;
        Ok(self.child.wait()?.code())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
