//! A blocking HTTP/1.1 exchange for tests: one connection, one request, one answer.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

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

/// Sends a request and reads its answer. Any error leaves open whether the request took effect.
pub fn call(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    (&stream).write_all(request.as_bytes())?;
    let (head, body) = read_message(&mut BufReader::new(&stream))?;
    let status = head
        .first()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    Ok(Answer {
        status: status.context("no status")?,
        body,
    })
}

/// Reads the lines of a head and the body that its `content-length` announces.
pub(crate) fn read_message(reader: &mut impl BufRead) -> anyhow::Result<(Vec<String>, String)> {
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
    Ok((head, String::from_utf8_lossy(&body).into_owned()))
}

/// The value of a header.
pub(crate) fn header<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    let of_name = |line: &'a String| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name));
    head.iter().skip(1).find_map(of_name).map(|(_, value)| value.trim())
}
