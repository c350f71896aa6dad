//! The real binary as a child process.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// How the binary is started.
#[derive(Debug, Clone)]
pub struct Launch {
    binary: PathBuf,
    data: PathBuf,
    log: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Launch {
    /// `quintet serve` on a free loopback port, with its embedded store and its log in this folder.
    pub fn new(binary: &Path, data: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            data: data.to_owned(),
            log: data.join("server.log"),
            arguments: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Adds an argument with a value.
    pub fn argument(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Adds a variable to the environment.
    pub fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    /// Writes the log to another file, behind what is there.
    pub fn log(mut self, file: &Path) -> Self {
        self.log = file.to_owned();
        self
    }

    /// Starts the binary and waits for its ready line.
    pub fn start(&self) -> anyhow::Result<Server> {
        let mut server = Server {
            child: self.spawn()?,
            address: String::new(),
        };
        let stdout = server.child.stdout.take().context("no output")?;
        for line in BufReader::new(stdout).lines() {
            if let Some(rest) = line?.strip_prefix("quintet ready http=") {
                server.address = rest.split_whitespace().next().unwrap_or_default().to_owned();
                return Ok(server);
            }
        }
        let status = server.child.wait()?;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or_default();
        bail!("quintet ended before it was ready: {status}: {last}")
    }

    /// Starts the binary and does not wait for anything.
    pub fn spawn(&self) -> anyhow::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&self.data)
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command
            .spawn()
            .with_context(|| format!("{} cannot be started", self.binary.display()))
    }
}

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
        Launch::new(binary, data).start()
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
