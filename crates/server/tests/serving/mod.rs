//! The real binary in a folder of its own, spoken to over plain sockets: nothing between the test and the bytes.

#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A `quintet` command in this folder, without the settings of whoever runs the tests.
pub fn quintet(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintet"));
    for name in [
        "HOST",
        "PORT",
        "DATABASE_URL",
        "DB_HOST",
        "MODE",
        "STORAGE_BACKENDS",
        "STORAGE_PROVIDER",
        "CORS_ORIGIN",
        "MODAL_URL",
        "RAY_URL",
        "REDIS_URL",
        "LOG_LEVEL",
        "RUST_LOG",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "RUST_BACKTRACE",
    ] {
        command.env_remove(name);
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs a command that is expected to end by itself.
pub fn run(folder: &Path, words: &[&str]) -> Output {
    quintet(folder).args(words).output().expect("the binary runs")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A server under test; killed when it is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub ready_line: String,
    stdout: BufReader<std::process::ChildStdout>,
    log: Receiver<String>,
    said: Vec<String>,
}

impl Server {
    /// Serves `data` of this folder on a free port.
    pub fn start(folder: &Path) -> Self {
        Self::with(folder, &[], &[])
    }

    pub fn with(folder: &Path, words: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = quintet(folder);
        command.arg("serve").args(words).envs(environment.iter().copied());
        if !words.iter().any(|word| word.contains("-config") || *word == "--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (send, log) = channel();
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            errors
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| send.send(line))
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut ready_line = String::new();
        stdout.read_line(&mut ready_line).expect("standard output");
        let address = ready_line
            .split("http=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next()?.trim_start_matches("https://").parse().ok());
        let Some(address) = address else {
            let log: Vec<String> = log.iter().collect();
            panic!("not ready: {ready_line:?}\n{}", log.join("\n"));
        };
        Self {
            child,
            address,
            ready_line,
            stdout,
            log,
            said: Vec::new(),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until the log has a line with these words.
    pub fn wait_for(&mut self, words: &str) {
        while !self.said.iter().any(|line| line.contains(words)) {
            let line = self.log.recv_timeout(PATIENCE);
            self.said
                .push(line.unwrap_or_else(|_| panic!("never said {words:?}: {:#?}", self.said)));
        }
    }

    /// Waits for its end; gives its exit status, what else it wrote to standard output, and its log.
    pub fn wait(mut self) -> (ExitStatus, String, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("standard output");
        let status = self.child.wait().expect("it ended");
        self.said.extend(self.log.iter());
        (status, rest, self.said.join("\n"))
    }

    /// Asks it to stop and waits; gives its log.
    pub fn stop(self) -> String {
        self.signal("TERM");
        let (status, _, log) = self.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[], body)
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        Answer::read(self.open(method, path, headers, body))
    }

    /// Sends a request and leaves its answer to be read.
    pub fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|(name, _)| *name == "host") {
            head.push_str(&format!("host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).expect("sent");
        // A server that refuses a request by its head may have closed already.
        let _ = stream.write_all(body.as_bytes());
        stream
    }

    /// Starts a run of one http step to this URL; gives its id.
    pub fn start_run(&self, url: &str) -> String {
        let workflow = serde_json::json!({
            "name": "one call",
            "steps": [{ "name": "call", "action": "http", "input": { "url": url, "method": "GET" } }],
        });
        let created = self.post("/v1/workflows", &workflow.to_string());
        assert_eq!(created.status, 200, "{created:?}");
        let start = serde_json::json!({ "workflow_id": created.json()["id"] });
        let started = self.post("/v1/runs", &start.to_string());
        assert_eq!(started.status, 200, "{started:?}");
        started.json()["id"].as_str().expect("id").to_owned()
    }

    /// Follows the log of a run until it has a line with these words.
    pub fn follow(&self, run: &str, words: &str) {
        let stream = self.open("GET", &format!("/v1/runs/{run}/logs/stream"), &[], "");
        let mut lines = BufReader::new(stream).lines();
        assert!(
            lines.any(|line| line.expect("line").contains(words)),
            "the stream of {run} ended without {words:?}"
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn read(stream: impl Read) -> Self {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("status line");
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("{line:?}"));
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("header");
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut body = Vec::new();
        // The length is trusted over the end of the connection, which a refusal may reset.
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .and_then(|(_, value)| value.parse().ok());
        match length {
            Some(length) => drop(reader.take(length).read_to_end(&mut body)),
            None => drop(reader.read_to_end(&mut body)),
        }
        Self {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A place that steps call, which answers when it is told to.
pub struct Target {
    pub url: String,
    arrived: Receiver<String>,
    answer: Sender<&'static str>,
}

impl Target {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let url = format!("http://{}/", listener.local_addr().expect("address"));
        let (tell, arrived) = channel();
        let (answer, told) = channel::<&'static str>();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(request) = request(&stream) else { continue };
                if tell.send(request).is_err() {
                    return;
                }
                let Ok(body) = told.recv() else { return };
                let text = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                // The caller may have given up.
                let _ = (&stream).write_all(text.as_bytes());
            }
        });
        Self { url, arrived, answer }
    }

    /// Waits for a request; gives its head and body.
    pub fn next(&self) -> String {
        self.arrived.recv_timeout(PATIENCE).expect("a request arrives")
    }

    /// Whether another request has arrived.
    pub fn has_more(&self) -> bool {
        self.arrived.try_recv().is_ok()
    }

    pub fn answer(&self, body: &'static str) {
        self.answer.send(body).expect("the target lives");
    }
}

/// Head and body of a request with a length.
fn request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let start = text.len();
        if reader.read_line(&mut text).ok()? == 0 {
            return None;
        }
        let line = text[start..].trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).ok()?;
    text.push_str(&String::from_utf8_lossy(&body));
    Some(text)
}

pub fn folder() -> TempDir {
    tempfile::tempdir().expect("folder")
}

/// Writes a file into the folder.
pub fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    path
}
