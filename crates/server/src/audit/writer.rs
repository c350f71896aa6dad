//! Stores the entries that wait, together, at the end of the one chain.
//!
//! Whoever writes names the version of the head that it has read; of several nodes one succeeds, and the others read the
//! head again. Until its entries are stored the writer goes on to nothing else, because what is behind them in the chain
//! needs their hash. Where the answer of the store was lost it looks whether they are there before it tries again.

use std::sync::Arc;
use std::time::Duration;

use quintet_engine::clock::{Clock, random_u64};
use quintet_engine::tasks;
use quintet_store::{RecordWrite, Store, StoreError};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::chain::{Link, seal};
use super::{Draft, ENTRY, Figures, HEAD, NAMESPACE, id_of, read};

/// Entries that are stored together.
const BATCH: usize = 256;
/// Pauses after a failure.
const FIRST_PAUSE_MS: u64 = 50;
const LONGEST_PAUSE_MS: u64 = 2_000;
/// Tries that are left once the server stops.
const LAST_TRIES: u32 = 50;

/// An entry to be stored.
pub(super) struct Job {
    pub draft: Draft,
    /// Told when it is stored.
    pub done: Option<oneshot::Sender<()>>,
}

/// The end of the chain, and the version of the record that says so.
struct Head {
    version: u64,
    link: Link,
}

pub(super) struct Writer {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    node: Arc<str>,
    figures: Figures,
    /// As far as this node knows.
    head: Option<Head>,
    /// Number and text of an entry of which nobody knows whether it was stored.
    doubt: Option<(u64, String)>,
}

impl Writer {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, node: &str, figures: Figures) -> Self {
        Self {
            store,
            clock,
            node: node.into(),
            figures,
            head: None,
            doubt: None,
        }
    }

    /// Runs until it is closed, and then until nothing waits.
    pub async fn run(mut self, mut jobs: mpsc::Receiver<Job>, closing: CancellationToken) {
        loop {
            let first = tokio::select! {
                biased;
                job = jobs.recv() => job,
                () = closing.cancelled() => {
                    jobs.close();
                    jobs.recv().await
                }
            };
            let Some(first) = first else { return };
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(next) = jobs.try_recv()
            {
                batch.push(next);
            }
            self.store(batch, &closing).await;
        }
    }

    async fn store(&mut self, batch: Vec<Job>, closing: &CancellationToken) {
        let (mut pause_ms, mut last_tries) = (FIRST_PAUSE_MS, LAST_TRIES);
        loop {
            let pause = match self.write(&batch).await {
                Ok(true) => break,
                Ok(false) => {
                    self.figures.conflicts.inc();
                    random_u64() % 8
                }
                Err(error) => {
                    self.figures.failed.inc();
                    tracing::warn!(error = %error, entries = batch.len(), "audit entries could not be stored; trying again");
                    pause_ms = (pause_ms * 2).min(LONGEST_PAUSE_MS);
                    if closing.is_cancelled() {
                        FIRST_PAUSE_MS
                    } else {
                        pause_ms
                    }
                }
            };
            if closing.is_cancelled() {
                last_tries -= 1;
                if last_tries == 0 {
                    self.give_up(&batch);
                    return;
                }
            }
            // The end is not slept through: the last tries begin at once.
            let pause = tasks::pause(Some(Duration::from_millis(pause)));
            tokio::select! {
                () = pause => {}
                () = closing.cancelled(), if !closing.is_cancelled() => {}
            }
        }
        self.figures.written.inc_by(batch.len() as u64);
        for done in batch.into_iter().filter_map(|job| job.done) {
            // Whoever waited may have gone.
            let _ = done.send(());
        }
    }

    /// The server stops and the store does not come back: the log is all that is left.
    fn give_up(&self, batch: &[Job]) {
        for job in batch {
            self.figures.dropped.inc();
            tracing::error!(entry = %job.draft.as_text(), "an audit entry is lost: the store cannot be used");
        }
    }

    /// One try; false where another node was faster.
    async fn write(&mut self, batch: &[Job]) -> Result<bool, StoreError> {
        if let Some((seq, text)) = &self.doubt {
            let found = self.store.record(NAMESPACE, ENTRY, &id_of(*seq)).await?;
            let is_there = found.is_some_and(|record| record.body == *text);
            self.doubt = None;
            if is_there {
                return Ok(true);
            }
        }
        let Head { version, mut link } = match self.head.take() {
            Some(head) => head,
            None => self.read_head().await?,
        };
        let mut writes = Vec::with_capacity(batch.len() + 1);
        let mut first = None;
        for job in batch {
            let (text, next) = seal(job.draft.fields(&self.node), &link);
            first.get_or_insert_with(|| (next.seq, text.clone()));
            writes.push(self.record(ENTRY, &id_of(next.seq), 0, text));
            link = next;
        }
        let head = json!({ "seq": link.seq, "hash": link.hash }).to_string();
        writes.push(self.record(HEAD, HEAD, version, head));
        match self.store.put_records(writes).await {
            Ok(true) => {
                let version = version + 1;
                self.head = Some(Head { version, link });
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(error) => {
                self.doubt = first;
                Err(error)
            }
        }
    }

    fn record(&self, kind: &str, id: &str, expected: u64, body: String) -> RecordWrite {
        RecordWrite {
            namespace: NAMESPACE.into(),
            kind: kind.into(),
            id: id.into(),
            expected: Some(expected),
            body: Some(body),
            expires_at: None,
            at: self.clock.now(),
        }
    }

    async fn read_head(&self) -> Result<Head, StoreError> {
        let Some(record) = self.store.record(NAMESPACE, HEAD, HEAD).await? else {
            return Ok(Head {
                version: 0,
                link: self.last().await?,
            });
        };
        Ok(Head {
            version: record.version,
            link: read::link_of(&record)?,
        })
    }

    /// The last entry where no head says which it is: somebody has removed that, or there is none yet.
    async fn last(&self) -> Result<Link, StoreError> {
        let (mut link, mut after) = (Link::origin(), None);
        loop {
            let page = self.store.records(NAMESPACE, ENTRY, after.as_deref(), 1_000).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.to_string());
            link = read::link_of(last)?;
        }
        if link.seq > 0 {
            tracing::error!(
                entry = link.seq,
                "the head of the audit trail is gone; going on after its last entry"
            );
        }
        Ok(link)
    }
}
