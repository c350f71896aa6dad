//! A blocking HTTP/1.1 exchange for tests: one connection, one request, one answer.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// How long a server that nobody torments may think about a request.
const SILENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body text.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("status {}: {}", self.status, self.body))
    }

    /// The body as JSON; an error unless the status is 200.
    pub fn ok(&self) -> anyhow::Result<Value> {
        if self.status != 200 {
            bail!("status {}: {}", self.status, self.body);
        }
        self.json()
    }
}

/// What is asked of a server.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a str,
    /// Path with its query.
    pub path: &'a str,
    /// Headers by their names.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body text.
    pub body: &'a str,
}

impl<'a> Request<'a> {
    /// A request that only reads.
    pub fn read(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            headers: &[],
            body: "",
        }
    }

    /// A request that changes something.
    pub fn post(path: &'a str, body: &'a str) -> Self {
        Self {
            method: "POST",
            body,
            ..Self::read(path)
        }
    }

    /// Sends it and reads the answer, of which nothing may stay away for longer than `silence`. Any error leaves open
    /// whether the request took effect.
    pub fn send(&self, address: &str, silence: Duration) -> anyhow::Result<Answer> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(silence))?;
        stream.set_nodelay(true)?;
        let Self { method, path, body, .. } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
        for (name, value) in self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        (&stream).write_all(head.as_bytes())?;
        read_answer(&stream)
    }
}

/// Sends a request and reads its answer. Any error leaves open whether the request took effect.
pub fn call(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> anyhow::Result<Answer> {
    let request = Request {
        method,
        path,
        headers,
        body,
    };
    request.send(address, SILENCE)
}

fn read_answer(stream: &TcpStream) -> anyhow::Result<Answer> {
    let (head, body) = read_message(&mut BufReader::new(stream))?;
    let status = head
        .first()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    Ok(Answer {
        status: status.context("no status")?,
        body,
    })
}

/// Reads the lines of a head and the text that its `content-length` announces.
pub(crate) fn read_message(reader: &mut impl BufRead) -> anyhow::Result<(Vec<String>, String)> {
    let (head, body) = read_bytes(reader)?;
    Ok((head, String::from_utf8_lossy(&body).into_owned()))
}

/// Reads the lines of a head and the body that its `content-length` announces.
pub(crate) fn read_bytes(reader: &mut impl BufRead) -> anyhow::Result<(Vec<String>, Vec<u8>)> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            bail!("the connection was closed");
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        head.push(line.to_owned());
    }
    let length = header(&head, "content-length")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

/// The value of a header.
pub(crate) fn header<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    let of_name = |line: &'a String| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name));
    head.iter().skip(1).find_map(of_name).map(|(_, value)| value.trim())
}
