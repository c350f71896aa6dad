//! A load generator that costs little: one request at a time on each keep-alive connection.

use anyhow::Context;
use tokio::net::TcpStream;

use super::wire::Wire;

/// One keep-alive connection.
pub(super) struct Connection {
    wire: Wire,
    host: String,
}

/// An answer.
pub(super) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Connection {
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .context("the server is not reachable")?;
        Ok(Self {
            wire: Wire::new(stream)?,
            host: address.to_owned(),
        })
    }

    /// The bytes of a request, to be sent as often as wanted.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let (host, length) = (&self.host, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body.as_bytes()].concat()
    }

    pub async fn call(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let request = self.request(method, path, body);
        self.send(&request).await
    }

    /// Sends a prepared request and reads its answer.
    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.wire.send(request).await?;
        let message = self.wire.receive().await?;
        let message = message.context("the server closed the connection")?;
        let status = message.first.split(' ').nth(1).and_then(|code| code.parse().ok());
        Ok(Answer {
            status: status.context("no status")?,
            body: message.body,
        })
    }
}

impl Answer {
    /// The body as JSON; an error when the status is not 200.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        anyhow::ensure!(
            self.status == 200,
            "status {}: {}",
            self.status,
            String::from_utf8_lossy(&self.body)
        );
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// Sums the samples of a metric over its labels.
pub(super) fn metric(text: &str, name: &str) -> f64 {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let of_name = samples.filter_map(|line| line.rsplit_once(' ')).filter(|(key, _)| {
        key.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
    });
    of_name.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::metric;

    #[test]
    fn samples_of_one_name_are_summed_over_their_labels() {
        let text = "# HELP a x\na_total{o=\"x\"} 2\na_total{o=\"y\"} 3\na_total_more 100\nb 1\n";
        assert_eq!(
            (metric(text, "a_total"), metric(text, "b"), metric(text, "c")),
            (5.0, 1.0, 0.0)
        );
    }
}
