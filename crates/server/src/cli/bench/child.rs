//! The server that is measured: this binary, as a child process.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use quintet_core::time::Time;
use quintet_engine::clock::{Clock, SystemClock};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running server.
pub(super) struct Server {
    child: Child,
    /// Where it listens.
    pub address: String,
    /// Milliseconds from its start to its ready line.
    pub ready_ms: f64,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// CPU seconds of all threads.
    pub cpu_s: f64,
    /// Resident memory in bytes.
    pub resident: f64,
}

pub(super) fn now() -> Time {
    SystemClock.now()
}

/// Milliseconds since `start`, with fractions.
pub(super) fn ms_since(start: Time) -> f64 {
    (now().0 - start.0) as f64 / 1e3
}

impl Usage {
    /// What it has used so far, as the system counts it.
    pub fn of(child: &Child) -> Self {
        let pid = child.id().unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map_or("", |parts| parts.1)
            .split_whitespace()
            .collect();
        let number = |at: usize| {
            fields
                .get(at)
                .and_then(|field| field.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        // Fields 14 and 15 (user and system ticks) and 24 (pages), counted from the one after the name.
        Self {
            cpu_s: (number(11) + number(12)) / 100.0,
            resident: number(21) * 4096.0,
        }
    }
}

impl Server {
    /// Starts a server on a data directory, or on a database.
    pub async fn start(data: &Path, url: Option<&str>) -> anyhow::Result<Self> {
        let begun = now();
        let mut command = Command::new(std::env::current_exe()?);
        if let Some(url) = url {
            // Not as an argument: everybody on the machine can read those.
            command.env("QUINTET_STORE__URL", url);
        }
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("QUINTET_LOG__LEVEL", "error")
            // What is measured is how much work gets through, not how well a limit holds.
            .env("QUINTET_PIPELINES__MAX_CONCURRENCY", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the server could not be started")?;
        let stdout = child.stdout.take().context("no output of the server")?;
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(rest) = line.strip_prefix("quintet ready http=") {
                let address = rest.split_whitespace().next().unwrap_or_default().to_owned();
                return Ok(Self {
                    child,
                    address,
                    ready_ms: ms_since(begun),
                });
            }
        }
        bail!("the server ended before it was ready")
    }

    /// What it has used so far, as the system counts it.
    pub fn usage(&self) -> Usage {
        Usage::of(&self.child)
    }

    /// Ends it with SIGTERM and waits.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id() {
            let killed = Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await?;
            anyhow::ensure!(killed.success(), "the server could not be ended");
        }
        self.child.wait().await?;
        Ok(())
    }
}
