//! The way to the Redis server.
//!
//! One connection carries the commands of everybody; those that block have one of their own. A connection that broke is
//! made anew at the next call, which fails if that does not work: whoever calls knows how long it can wait. While the
//! server is away, those who queued up behind somebody's failed try share its error instead of waiting for their own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult};
use tokio::sync::Mutex;

use super::settings::{self, SettingsError};

const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);
/// What a command that blocks may take longer than it said.
const GRACE: Duration = Duration::from_secs(5);

pub(super) struct Link {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    failures: AtomicU64,
    shown: String,
}

impl Link {
    /// Connects at the first need.
    pub fn new(url: &str) -> Result<Self, SettingsError> {
        let client = Client::open(url).map_err(|error| SettingsError {
            key: "url".to_owned(),
            message: error.to_string(),
        })?;
        Ok(Self {
            client,
            connection: Mutex::default(),
            failures: AtomicU64::new(0),
            shown: settings::shown(url),
        })
    }

    /// Where the server is, for people.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The connection that all share.
    pub async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let failures = self.failures.load(Ordering::Acquire);
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot {
            return Ok(connection.clone());
        }
        if self.failures.load(Ordering::Acquire) != failures {
            return Err(RedisError::from((ErrorKind::Io, "the server is away")));
        }
        match self.connect(ANSWER).await {
            Ok(connection) => Ok(slot.insert(connection).clone()),
            Err(error) => {
                self.failures.fetch_add(1, Ordering::AcqRel);
                Err(error)
            }
        }
    }

    /// A connection for commands that block for at most so long.
    pub async fn blocking(&self, longest: Duration) -> RedisResult<MultiplexedConnection> {
        self.connect(longest + GRACE).await
    }

    /// Gives the shared connection up if this error says that it is of no use any more.
    pub async fn judge<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        if let Err(error) = &answer
            && (error.is_io_error() || error.is_unrecoverable_error() || error.is_timeout())
        {
            *self.connection.lock().await = None;
        }
        answer
    }

    async fn connect(&self, answer: Duration) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(answer));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_rediss_url_begins_with_a_tls_handshake() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("rediss://localhost:{}", listener.local_addr().unwrap().port());
        let link = Link::new(&url).unwrap();
        let first_byte = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap()
        };
        let (first_byte, connected) = tokio::join!(first_byte, link.connection());
        // A record of the kind `handshake`, before any certificate matters.
        assert_eq!(first_byte, 0x16);
        assert!(connected.is_err());
    }

    #[tokio::test]
    async fn those_who_waited_for_somebodys_failed_try_share_its_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let link = Link::new(&url).unwrap();
        let tries = async {
            // Takes one connection and hangs up; further ones would wait for an answer.
            drop(listener.accept().await.unwrap());
            listener
        };
        let (_listener, first, second, third) =
            tokio::join!(tries, link.connection(), link.connection(), link.connection());
        assert!(first.is_err());
        for waited in [second, third] {
            assert_eq!(
                waited.err().map(|error| error.to_string()).as_deref(),
                Some("the server is away - Io")
            );
        }
    }
}
