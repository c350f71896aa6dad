//! HTTP/1.1 as both ends of the measurement speak it: messages on a keep-alive connection, headers read just far enough
//! to find the body, so that measuring costs little of the machine that is measured.

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection.
pub(super) struct Wire {
    stream: TcpStream,
    /// What was read of the next message.
    buffer: Vec<u8>,
}

/// A request or an answer.
pub(super) struct Message {
    /// Request line or status line.
    pub first: String,
    pub body: Vec<u8>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    pub async fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(message).await?)
    }

    /// The next message; none where the other side has closed between two.
    pub async fn receive(&mut self) -> anyhow::Result<Option<Message>> {
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if !self.read().await? {
                ensure!(self.buffer.is_empty(), "the connection was closed within a message");
                return Ok(None);
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head])?;
        let length: usize = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .context("a message without content-length")?;
        let first = text.lines().next().unwrap_or_default().to_owned();
        while self.buffer.len() < head + length {
            ensure!(self.read().await?, "the connection was closed within a message");
        }
        let body = self.buffer[head..head + length].to_vec();
        self.buffer.drain(..head + length);
        Ok(Some(Message { first, body }))
    }

    async fn read(&mut self) -> anyhow::Result<bool> {
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}
