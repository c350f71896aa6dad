//! The recording HTTP target that steps and hooks call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::Value;

/// One request that arrived.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Call {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// What the target says.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    /// The answer is kept back until [`Target::release`].
    pub held: bool,
}

impl Answer {
    pub fn ok(body: &str) -> Self {
        Self {
            status: 200,
            body: body.to_owned(),
            held: false,
        }
    }

    pub fn status(status: u16, body: &str) -> Self {
        Self {
            status,
            body: body.to_owned(),
            held: false,
        }
    }

    pub fn held(body: &str) -> Self {
        Self {
            held: true,
            ..Self::ok(body)
        }
    }
}

type Script = dyn Fn(&Call, usize) -> Answer + Send + Sync;

struct Shared {
    calls: Mutex<Vec<Call>>,
    released: Mutex<bool>,
    opened: Condvar,
    script: Box<Script>,
}

/// A recording target; its threads end with the test's process.
pub struct Target {
    address: String,
    shared: Arc<Shared>,
}

impl Target {
    /// Answers everything with 200 and this body.
    pub fn saying(body: &'static str) -> Self {
        Self::scripted(move |_, _| Answer::ok(body))
    }

    /// Answers as the script says; it gets the call and how many of the same path came before.
    pub fn scripted(script: impl Fn(&Call, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
        let address = listener.local_addr().expect("address").to_string();
        let shared = Arc::new(Shared {
            calls: Mutex::default(),
            released: Mutex::new(false),
            opened: Condvar::new(),
            script: Box::new(script),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().expect("calls").clone()
    }

    /// Calls of one path.
    pub fn calls_of(&self, path: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.path == path).collect()
    }

    /// Lets held answers go.
    pub fn release(&self) {
        *self.shared.released.lock().expect("released") = true;
        self.shared.opened.notify_all();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.release();
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let mut writer = stream.try_clone().expect("stream");
    let mut reader = BufReader::new(stream);
    while let Some(call) = read(&mut reader) {
        let before = {
            let mut calls = shared.calls.lock().expect("calls");
            let before = calls.iter().filter(|known| known.path == call.path).count();
            calls.push(call.clone());
            before
        };
        let answer = (shared.script)(&call, before);
        if answer.held {
            let released = shared.released.lock().expect("released");
            drop(
                shared
                    .opened
                    .wait_while(released, |released| !*released)
                    .expect("released"),
            );
        }
        let Answer { status, body, .. } = answer;
        let text = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if writer.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Call> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Call {
        method,
        path,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
