//! Ray for tests: a cluster of this machine with a Serve app of two task types (`text.upper`, `math.sum`) behind an HTTP
//! ingress, and the dashboard with its Jobs API. Ray is from PyPI.
//!
//! A cluster takes a quarter of a minute to start and a gigabyte of memory, so it is started only by those tests that
//! need it, one for each of their processes. It listens on loopback (one port of each replica of the app aside, which
//! Ray binds as it likes), sends no statistics, keeps its files in a folder of its own, and never outlives the process
//! that started it: its parent is a shell that waits on a pipe which only this process holds, and that ends the whole
//! process group.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use serde_json::Value;

use crate::http::{self, Request};
use crate::{patience, port};

/// The environment variable with the URLs of a cluster for all tests: those of its ingress and of its dashboard, with a
/// comma between them.
pub const SHARED_VARIABLE: &str = "QUINTET_TEST_RAY";
/// The environment variable that names the program, which has its Python beside it.
pub const PROGRAM_VARIABLE: &str = "QUINTET_RAY";
/// The program, as PyPI's package calls it.
const PROGRAM: &str = "ray";
/// What is run by the Python beside the program.
const CLUSTER: &str = include_str!("ray/cluster.py");

/// A dozen Python programs start one after another.
const START: Duration = Duration::from_secs(180);

/// Starts the cluster, and ends it when a line comes or the pipe breaks: gently, then by force, then all that is left of
/// its process group, this shell among it. Its workers have groups of their own and end when the cluster is gone.
const SCRIPT: &str = r#"
folder=$1
shift
"$@" >"$folder/output" 2>&1 </dev/null &
cluster=$!
trap '' HUP INT TERM
read -r order
kill -s TERM "$cluster"
(sleep 20; kill -s KILL "$cluster") 2>/dev/null &
wait "$cluster"
rm -rf "$folder"
kill -s KILL 0
"#;

/// What keeps Ray to itself: no token for its API, no statistics, and the loopback address as that of the node.
const SURROUNDINGS: [(&str, &str); 3] = [
    ("RAY_AUTH_MODE", "disabled"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0"),
];

/// A running cluster of this process; it ends with the value.
#[derive(Debug)]
pub struct Server {
    cluster: Cluster,
    shell: Child,
}

/// A cluster that can be reached, whoever runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Of the Serve app: `http://127.0.0.1:port`.
    pub ingress_url: String,
    /// Of the dashboard.
    pub dashboard_url: String,
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
            "{PROGRAM} is in neither PATH nor {PROGRAM_VARIABLE}: install it with `pip install 'ray[serve]'` in a virtual \
             environment, or run the tests by `cargo xtask test`, which does so by itself"
        )
    })
}

/// The cluster for tests: the one that [`SHARED_VARIABLE`] names, or else one that this process starts at the first call
/// and that ends with the process.
pub fn shared() -> anyhow::Result<Cluster> {
    static SHARED: OnceLock<Result<(Cluster, Option<Server>), String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| found_or_started().map_err(|error| format!("{error:#}")));
    match shared {
        Ok((cluster, _)) => Ok(cluster.clone()),
        Err(message) => Err(anyhow!("there is no Ray cluster for the tests: {message}")),
    }
}

fn found_or_started() -> anyhow::Result<(Cluster, Option<Server>)> {
    if let Ok(urls) = std::env::var(SHARED_VARIABLE) {
        return Ok((Cluster::at(&urls)?, None));
    }
    // A static is never dropped: this one ends when its shell sees that the process has.
    let server = Server::start(&program()?)?;
    Ok((server.cluster().clone(), Some(server)))
}

impl Server {
    /// Starts a cluster on free ports and waits until it answers.
    pub fn start(program: &Path) -> anyhow::Result<Self> {
        let python = program.with_file_name("python3");
        ensure!(python.is_file(), "there is no python3 beside {}", program.display());
        let (ingress, dashboard) = (port::free()?, port::free()?);
        // Its sockets lie in it, and their paths must be short. The shell removes it.
        let folder = tempfile::Builder::new().prefix("ray").tempdir()?.keep();
        let script = folder.join("cluster.py");
        std::fs::write(&script, CLUSTER)?;
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "supervisor"])
            .arg(&folder)
            .arg(python)
            .arg(script);
        command.args([ingress.to_string(), dashboard.to_string()]).arg(&folder);
        let shell = command
            .current_dir(&folder)
            .envs(SURROUNDINGS)
            .env_remove("RAY_ADDRESS")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("sh cannot be started")?;
        let server = Self {
            cluster: Cluster {
                ingress_url: format!("http://127.0.0.1:{ingress}"),
                dashboard_url: format!("http://127.0.0.1:{dashboard}"),
            },
            shell,
        };
        let output = folder.join("output");
        let said = || std::fs::read_to_string(&output).unwrap_or_default();
        let is_ready = patience::until(START, || said().contains("READY")) && server.cluster.answers();
        ensure!(is_ready, "Ray was not ready within {START:?}: {}", said());
        Ok(server)
    }

    /// What it serves.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of the pipe is the order.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Cluster {
    /// The cluster at two URLs with a comma between them.
    pub fn at(urls: &str) -> anyhow::Result<Self> {
        let wrong = || format!("{urls} is not of the form http://host:port,http://host:port");
        let (ingress, dashboard) = urls.split_once(',').with_context(wrong)?;
        ensure!(
            [ingress, dashboard].iter().all(|url| url.starts_with("http://")),
            wrong()
        );
        Ok(Self {
            ingress_url: ingress.to_owned(),
            dashboard_url: dashboard.to_owned(),
        })
    }

    /// The state of a job as the dashboard tells it, for instance `RUNNING`; none where it knows no such job.
    pub fn job_status(&self, submission_id: &str) -> anyhow::Result<Option<String>> {
        let address = self.dashboard_url.trim_start_matches("http://");
        let answer = http::call(address, "GET", &format!("/api/jobs/{submission_id}"), &[], "")?;
        match answer.status {
            404 => Ok(None),
            _ => Ok(answer.ok()?["status"].as_str().map(str::to_owned)),
        }
    }

    /// All jobs, as the dashboard tells of them.
    pub fn jobs(&self) -> anyhow::Result<Vec<Value>> {
        let address = self.dashboard_url.trim_start_matches("http://");
        let answer = http::call(address, "GET", "/api/jobs/", &[], "")?.ok()?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    fn answers(&self) -> bool {
        [(&self.ingress_url, "/health"), (&self.dashboard_url, "/api/version")]
            .into_iter()
            .all(|(url, path)| {
                let answer = Request::read(path).send(url.trim_start_matches("http://"), START);
                answer.is_ok_and(|answer| answer.status == 200)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_program_is_not_the_complaint_says_how_to_get_it() {
        let complaint = find(None, Some("/no such folder".into())).unwrap_err().to_string();
        assert!(complaint.contains("pip install 'ray[serve]'"), "{complaint}");
        let complaint = find(Some("/no such program".into()), None).unwrap_err().to_string();
        assert!(complaint.contains("QUINTET_RAY names /no such program"), "{complaint}");
    }

    #[test]
    fn a_cluster_is_known_by_its_two_urls() {
        let cluster = Cluster::at("http://127.0.0.1:1,http://127.0.0.1:2").unwrap();
        assert_eq!(
            (cluster.ingress_url.as_str(), cluster.dashboard_url.as_str()),
            ("http://127.0.0.1:1", "http://127.0.0.1:2")
        );
        for wrong in ["http://127.0.0.1:1", "a,b", ""] {
            assert!(Cluster::at(wrong).is_err(), "{wrong}");
        }
    }
}
