//! An S3 service for tests: `moto_server`, an imitation of AWS that speaks the real protocol, from PyPI.
//!
//! One server serves many tests, each of which makes a bucket of its own. A server listens on loopback only, keeps
//! everything in memory, lets everybody in, and never outlives the process that started it: its parent is a shell that
//! waits on a pipe which only this process holds.

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};

use crate::http::{self, Answer};
use crate::{patience, port};

/// The environment variable with the URL of a server for all tests.
pub const SHARED_VARIABLE: &str = "QUINTET_TEST_S3";
/// The environment variable that names the program.
pub const PROGRAM_VARIABLE: &str = "QUINTET_MOTO_SERVER";
/// The program, as PyPI's package calls it.
const PROGRAM: &str = "moto_server";

/// The imitation wants to see who asks, and takes anybody's word.
const ANYBODY: &str = "AWS4-HMAC-SHA256 Credential=anybody/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, \
                       Signature=0";

/// Python reads half of AWS before it listens.
const START: Duration = Duration::from_secs(120);

/// Ends the server when a line comes or the pipe breaks. The server has a process group of its own, so that a Ctrl-C
/// reaches neither it nor the shell before this process is done with it.
const SCRIPT: &str = r#"
"$@" >/dev/null 2>&1 </dev/null &
server=$!
trap '' HUP INT TERM
read -r order
kill -s KILL "$server"
wait "$server"
"#;

/// A running server of this process; it ends with the value.
#[derive(Debug)]
pub struct Server {
    service: Service,
    shell: Child,
}

/// A service that can be reached, whoever runs it.
#[derive(Debug, Clone)]
pub struct Service {
    address: String,
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
    let programs = folders
        .unwrap_or_default()
        .into_iter()
        .map(|folder| folder.join(PROGRAM));
    programs.into_iter().find(|program| program.is_file()).with_context(|| {
        format!(
            "{PROGRAM} is in neither PATH nor {PROGRAM_VARIABLE}: install it with `pip install 'moto[server]'`, or run \
             the tests by `cargo xtask test`, which does so by itself"
        )
    })
}

/// The service for tests: the one that [`SHARED_VARIABLE`] names, or else one that this process starts at the first call
/// and that ends with the process.
pub fn shared() -> anyhow::Result<Service> {
    static SHARED: OnceLock<Result<(Service, Option<Server>), String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| found_or_started().map_err(|error| format!("{error:#}")));
    match shared {
        Ok((service, _)) => Ok(service.clone()),
        Err(message) => Err(anyhow!("there is no S3 service for the tests: {message}")),
    }
}

fn found_or_started() -> anyhow::Result<(Service, Option<Server>)> {
    if let Ok(url) = std::env::var(SHARED_VARIABLE) {
        return Ok((Service::at(&url)?, None));
    }
    // A static is never dropped: this one ends when its shell sees that the process has.
    let server = Server::start(&program()?)?;
    Ok((server.service().clone(), Some(server)))
}

impl Server {
    /// Starts a server on a free port and waits until it answers.
    pub fn start(program: &Path) -> anyhow::Result<Self> {
        let port = port::free()?.to_string();
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "supervisor"]).arg(program);
        command.args(["-H", "127.0.0.1", "-p", &port]);
        let shell = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("sh cannot be started")?;
        let server = Self {
            service: Service {
                address: format!("127.0.0.1:{port}"),
            },
            shell,
        };
        let answers = || server.service.call("GET", "/").is_ok_and(|answer| answer.status == 200);
        ensure!(
            patience::until(START, answers),
            "{} did not answer within {START:?}",
            program.display()
        );
        Ok(server)
    }

    /// What it serves.
    pub fn service(&self) -> &Service {
        &self.service
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of the pipe is the order.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Service {
    /// The service at a URL: `http://127.0.0.1:port`.
    pub fn at(url: &str) -> anyhow::Result<Self> {
        let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let address = address.filter(|address| !address.is_empty() && !address.contains('/'));
        let address = address.with_context(|| format!("{url} is not of the form http://host:port"))?;
        Ok(Self {
            address: address.to_owned(),
        })
    }

    /// Its URL, with the address of the machine: buckets are found by paths.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its URL, with a name of the machine: buckets can be found by virtual hosts below it.
    pub fn url_by_name(&self) -> String {
        let port = self.address.rsplit(':').next().unwrap_or_default();
        format!("http://localhost:{port}")
    }

    /// Makes a bucket with a name that no other has.
    pub fn fresh_bucket(&self) -> anyhow::Result<String> {
        let name = unique_name();
        let answer = self.call("PUT", &format!("/{name}"))?;
        ensure!(answer.status == 200, "status {}: {}", answer.status, answer.body);
        Ok(name)
    }

    /// The object at a key, looked at by this service's own path to it; none when it is not there.
    pub fn object(&self, bucket: &str, key: &str) -> anyhow::Result<Option<String>> {
        let answer = self.call("GET", &format!("/{bucket}/{key}"))?;
        match answer.status {
            200 => Ok(Some(answer.body)),
            404 => Ok(None),
            status => Err(anyhow!("status {status}: {}", answer.body)),
        }
    }

    fn call(&self, method: &str, path: &str) -> anyhow::Result<Answer> {
        http::call(&self.address, method, path, &[("authorization", ANYBODY)], "")
    }
}

/// Fit to be a part of a host name, and unique among the processes that share a service.
fn unique_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let chance = RandomState::new().build_hasher().finish() & 0xffff_ffff;
    format!("test-{}-{count}-{chance:08x}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_program_is_not_the_complaint_says_how_to_get_it() {
        let complaint = find(None, Some("/no such folder".into())).unwrap_err().to_string();
        assert!(complaint.contains("pip install 'moto[server]'"), "{complaint}");
        let complaint = find(Some("/no such program".into()), None).unwrap_err().to_string();
        assert!(
            complaint.contains("QUINTET_MOTO_SERVER names /no such program"),
            "{complaint}"
        );
    }

    #[test]
    fn the_program_is_found_by_its_variable_and_in_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(PROGRAM);
        std::fs::write(&program, "").unwrap();
        let path = Some(format!("/none:{}", folder.path().display()).into());
        assert_eq!(find(None, path).unwrap(), program);
        assert_eq!(find(Some(program.clone().into()), None).unwrap(), program);
    }

    #[test]
    fn a_service_is_known_by_address_and_by_name() {
        let service = Service::at("http://127.0.0.1:5000/").unwrap();
        assert_eq!(service.url(), "http://127.0.0.1:5000");
        assert_eq!(service.url_by_name(), "http://localhost:5000");
        for wrong in ["127.0.0.1:5000", "http://", "http://h:1/bucket", "https://h:1"] {
            assert!(Service::at(wrong).is_err(), "{wrong}");
        }
    }
}
