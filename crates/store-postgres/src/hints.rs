//! Hints between nodes, by LISTEN and NOTIFY on a connection of their own.
//!
//! A hint says only that looking may be worth while; whoever misses one finds the same by looking later. So it is never
//! part of a commit (a NOTIFY there takes a lock of the whole database until the commit ends), many become one, and a
//! connection that is lost is made again without a word.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_postgres::{AsyncMessage, Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::sql;

/// At most one is sent in this time.
const APART: Duration = Duration::from_millis(50);

/// A lost connection is made again no sooner than after this time.
const RETRY: Duration = Duration::from_secs(1);

/// Both ways. Dropping it ends its task.
#[derive(Default)]
pub struct Hints {
    signs: Arc<Signs>,
    /// No task behind a pooler: nobody listens, and what is to be sent is not.
    task: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Signs {
    wanted: Notify,
    heard: Notify,
}

impl Hints {
    /// Starts to listen.
    pub fn start(config: Config, tls: MakeRustlsConnect) -> Self {
        let hints = Self::default();
        let signs = hints.signs.clone();
        let mut task = JoinSet::new();
        task.spawn(async move { run(&config, &tls, &signs).await });
        *hints.task.lock().unwrap_or_else(PoisonError::into_inner) = task;
        hints
    }

    /// Sends one soon.
    pub fn send(&self) {
        self.signs.wanted.notify_one();
    }

    /// Waits for another node's.
    pub async fn heard(&self) {
        self.signs.heard.notified().await;
    }

    /// Neither sends nor listens from now on.
    pub fn stop(&self) {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

async fn run(config: &Config, tls: &MakeRustlsConnect, signs: &Signs) {
    let (mut retries, mut sends) = (every(RETRY), every(APART));
    loop {
        retries.tick().await;
        if let Err(error) = listen(config, tls, signs, &mut sends).await {
            tracing::debug!(%error, "the connection for hints between nodes was lost");
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Until the connection ends.
async fn listen(config: &Config, tls: &MakeRustlsConnect, signs: &Signs, sends: &mut Interval) -> Result<(), Error> {
    let (client, mut connection) = config.connect(tls.clone()).await?;
    let own = AtomicI32::new(0);
    let hear = async {
        let mut messages = poll_fn(|cx| connection.poll_message(cx));
        while let Some(message) = messages.next().await {
            match message? {
                AsyncMessage::Notification(note) if note.process_id() != own.load(Ordering::Relaxed) => {
                    signs.heard.notify_one();
                }
                _ => {}
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = hear => ended,
        failed = speak(&client, &own, signs, sends) => failed,
    }
}

async fn speak(client: &Client, own: &AtomicI32, signs: &Signs, sends: &mut Interval) -> Result<(), Error> {
    let row = client.query_typed_one(sql::STATUS_SERVER.text, &[]).await?;
    own.store(row.get(4), Ordering::Relaxed);
    client.batch_execute("LISTEN quintet").await?;
    // Whatever was sent while nobody listened.
    signs.heard.notify_one();
    loop {
        signs.wanted.notified().await;
        sends.tick().await;
        client.batch_execute("NOTIFY quintet").await?;
    }
}
