//! What the database does by itself: PostgreSQL's own benchmark, on the database that is measured afterwards.
//!
//! `simple-update` is one transaction of an update, a select and an insert: about what a commit of one run costs, in
//! five round trips where a commit of ours takes one. The tables are made for it and dropped again.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

use super::report::Report;

/// Clients at saturation.
const CLIENTS: u16 = 16;

/// Prints the figures of this moment; gives the milliseconds that a transaction of a single client takes.
pub(super) async fn measure(report: &mut Report, url: &str, seconds: u64) -> anyhow::Result<f64> {
    let pgbench = Pgbench {
        program: find().context("pgbench is not installed: on Debian it comes with the package postgresql")?,
        url,
    };
    pgbench.run(&["-q", "-i", "-s", "10"]).await?;
    let seconds = seconds.to_string();
    let run = ["-n", "-N", "-M", "prepared", "-T", &seconds];
    let single = pgbench.run(&[&run[..], &["-c", "1"]].concat()).await?;
    let clients = CLIENTS.to_string();
    let many = pgbench.run(&[&run[..], &["-c", &clients, "-j", "2"]].concat()).await?;
    pgbench.run(&["-i", "-I", "d"]).await?;
    let latency_ms = figure(&single, "latency average = ")?;
    report.add(
        "pgbench",
        &[
            (
                "cores",
                std::thread::available_parallelism().map_or(0.0, |cores| cores.get() as f64),
            ),
            ("single_client_latency_ms", latency_ms),
            ("single_client_tps", figure(&single, "tps = ")?),
            ("clients", f64::from(CLIENTS)),
            ("clients_tps", figure(&many, "tps = ")?),
        ],
    );
    Ok(latency_ms)
}

struct Pgbench<'a> {
    program: PathBuf,
    url: &'a str,
}

impl Pgbench<'_> {
    async fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command.args(args).arg(self.url).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.context("pgbench could not be started")?;
        if !output.status.success() {
            bail!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn figure(text: &str, name: &str) -> anyhow::Result<f64> {
    let rest = text.split_once(name).map(|(_, rest)| rest);
    let number = rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("pgbench did not say {name}"))
}

/// In `PATH`, or where Debian puts it: the newest version's.
fn find() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").into_iter();
    let in_path = in_path.flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let found = in_path.map(|dir| dir.join("pgbench")).find(|program| program.is_file());
    found.or_else(|| {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let programs = versions.map(|version| version.path().join("bin/pgbench"));
        let number = |program: &PathBuf| {
            let version = program.iter().nth_back(2)?.to_str()?;
            version.parse::<u32>().ok()
        };
        programs.filter(|program| program.is_file()).max_by_key(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_pgbench_prints() {
        let text = "latency average = 0.512 ms\ninitial connection time = 1.9 ms\ntps = 1951.23 (without ...)\n";
        assert!((figure(text, "latency average = ").unwrap() - 0.512).abs() < 1e-9);
        assert!((figure(text, "tps = ").unwrap() - 1951.23).abs() < 1e-9);
        assert!(figure("", "tps = ").is_err());
    }
}
