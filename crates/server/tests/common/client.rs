//! A small HTTP client on a plain socket, so that nothing about an answer is smoothed over.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// No answer takes longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Client {
    address: String,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
        }
    }

    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        read(&mut self.send(method, path, headers, body))
    }

    /// The status of an answer, from a server that may go away meanwhile.
    pub fn try_call(&self, method: &str, path: &str, body: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let (host, length) = (&self.address, body.len());
        let request = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, rest) = answer.split_once("\r\n\r\n")?;
        let announced = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        // Half an answer is none.
        (announced == Some(rest.len())).then_some(())?;
        head.split(' ').nth(1)?.parse().ok()
    }

    /// Opens a stream of server-sent events.
    pub fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Stream {
        let stream = self.send("GET", path, headers, "");
        let mut reader = BufReader::new(stream);
        let (status, headers) = head(&mut reader);
        Stream {
            status,
            headers,
            reader,
        }
    }

    /// As HTTP/1.0, so that the body is neither cut into chunks nor kept open.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let mut request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        headers
            .iter()
            .for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        request.push_str("\r\n");
        request.push_str(body);
        stream.write_all(request.as_bytes()).expect("request");
        stream
    }
}

/// Reads an answer to its end.
pub fn read(stream: &mut TcpStream) -> Reply {
    let mut reader = BufReader::new(stream);
    let (status, headers) = head(&mut reader);
    let mut body = Vec::new();
    reader.read_to_end(&mut body).expect("body");
    Reply { status, headers, body }
}

fn head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut line = String::new();
    reader.read_line(&mut line).expect("status line");
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no status: {line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("header");
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return (status, headers);
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Fails unless it is the original's plain error of this status and text.
    pub fn assert_plain(&self, status: u16, text: &str) {
        assert_eq!(
            (self.status, self.text().as_str()),
            (status, format!("{text}\n").as_str())
        );
        assert_eq!(self.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
    }

    /// Fails unless it is an error in JSON with this status and code.
    pub fn assert_code(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.json()["error"]["code"], code, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
    }
}

/// A stream of server-sent events.
pub struct Stream {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub id: String,
    pub name: String,
    pub data: Vec<String>,
}

impl Stream {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The next event; `None` when the server has ended the stream.
    pub fn next(&mut self) -> Option<Sent> {
        let mut sent = Sent::default();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).expect("the stream goes on or ends") == 0 {
                return None;
            }
            match line
                .trim_end_matches('\n')
                .split_once(": ")
                .unwrap_or((line.trim_end(), ""))
            {
                ("", "") if sent == Sent::default() => {}
                ("", "") => return Some(sent),
                ("id", id) => sent.id = id.to_owned(),
                ("event", name) => sent.name = name.to_owned(),
                ("data" | "data:", text) => sent.data.push(text.to_owned()),
                _ => {}
            }
        }
    }

    /// Texts of all events up to the end of the stream.
    pub fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next())
            .map(|sent| sent.data.join("\n"))
            .collect()
    }
}
