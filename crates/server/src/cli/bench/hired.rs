//! The push worker's process, as seen by whoever measures with it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::child::Usage;
use super::nodes::Nodes;
use super::worker::{Noted, READY};

/// How long steps may take to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// A worker that has registered.
pub(super) struct Hired {
    child: Child,
    words: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Hired {
    pub async fn start(nodes: &Nodes) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("bench-worker")
            .args(nodes.addresses())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the worker could not be started")?;
        let words = child.stdin.take().context("no input of the worker")?;
        let stdout = child.stdout.take().context("no output of the worker")?;
        let mut worker = Self {
            child,
            words,
            answers: BufReader::new(stdout).lines(),
        };
        let said = worker.heard().await?;
        ensure!(said == READY, "the worker said {said}");
        Ok(worker)
    }

    /// Waits until so many callbacks were acknowledged since its start.
    pub async fn wait(&mut self, callbacks: usize) -> anyhow::Result<()> {
        let said = self.ask(&format!("wait {callbacks}\n")).await?;
        ensure!(said == callbacks.to_string(), "the worker said {said}");
        Ok(())
    }

    /// Everything that it noted; an error where something went wrong for it.
    pub async fn noted(&mut self) -> anyhow::Result<Noted> {
        let noted: Noted = serde_json::from_str(&self.ask("report\n").await?)?;
        ensure!(noted.failures.is_empty(), "the worker failed: {:?}", noted.failures);
        Ok(noted)
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        Usage::of(&self.child)
    }

    /// Ends it and waits.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.words);
        let status = self.child.wait().await?;
        ensure!(status.success(), "the worker ended with {status}");
        Ok(())
    }

    async fn ask(&mut self, word: &str) -> anyhow::Result<String> {
        self.words.write_all(word.as_bytes()).await?;
        let answer = tokio::time::timeout(PATIENCE, self.heard()).await;
        answer.context("the worker did not answer in time: steps have not ended")?
    }

    async fn heard(&mut self) -> anyhow::Result<String> {
        self.answers.next_line().await?.context("the worker ended")
    }
}
