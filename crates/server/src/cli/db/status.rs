//! What a store says of itself.

use quintet_core::time::Time;
use quintet_store::transfer::Origin;
use quintet_store::{NodeRow, StoreStatus};
use quintet_store_postgres::Snapshot;
use serde_json::{Value, json};

use super::Opened;
use crate::cli::output::duration;

/// An open snapshot that is worth a line for people.
const LASTING_MS: u64 = 1_000;

/// Everything that `quintet db status` prints.
pub struct Figures {
    status: StoreStatus,
    origin: Origin,
    nodes: Vec<NodeRow>,
    /// What keeps the database from cleaning up, if anything does.
    snapshot: Option<Snapshot>,
}

impl Figures {
    pub async fn of(opened: &Opened) -> anyhow::Result<Self> {
        let snapshot = match opened {
            Opened::Sqlite(_) => None,
            Opened::Postgres(store) => store.oldest_snapshot().await?,
        };
        Ok(Self {
            status: opened.store().status().await?,
            origin: opened.portable().origin().await?,
            nodes: opened.store().nodes().await?,
            snapshot,
        })
    }

    pub fn json(&self) -> Value {
        let status = &self.status;
        let runs = status.runs.iter();
        let runs: serde_json::Map<_, _> = runs
            .map(|(state, count)| (state.as_str().to_owned(), json!(count)))
            .collect();
        let snapshot = self.snapshot.as_ref().map(
            |snapshot| json!({"age_ms": snapshot.age_ms, "pid": snapshot.pid, "application": snapshot.application}),
        );
        json!({
            "kind": status.kind, "schema": status.schema, "id": self.origin.id.to_string(),
            "moved_from": self.origin.source.map(|id| id.to_string()), "complete": self.origin.reached.is_none(),
            "durability": status.durability, "warnings": status.warnings, "bytes": status.bytes,
            "runs": runs, "queued": status.queued, "outbox": status.outbox, "outbox_dead": status.outbox_dead,
            "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(), "oldest_snapshot": snapshot,
        })
    }

    /// `place` is where the store is, without a password.
    pub fn lines(&self, place: &str) -> Vec<String> {
        let status = &self.status;
        let mut lines = vec![
            format!("store       {place}"),
            format!("kind        {}, schema {}", status.kind, status.schema),
            format!("durability  {}", status.durability),
        ];
        lines.extend(status.warnings.iter().map(|warning| format!("WARNING     {warning}")));
        if let (Some(reached), Some(source)) = (&self.origin.reached, self.origin.source) {
            lines.push(format!(
                "WARNING     A move from the store {source} is not over (it has reached {reached}): run the same \
                 `quintet db move` again."
            ));
        }
        if let Some(bytes) = status.bytes {
            lines.push(format!("size        {:.1} MiB", bytes as f64 / f64::from(1 << 20)));
        }
        let runs = status
            .runs
            .iter()
            .map(|(state, count)| format!("{count} {}", state.as_str()));
        let runs: Vec<String> = runs.collect();
        let runs = if runs.is_empty() {
            "none".to_owned()
        } else {
            runs.join(", ")
        };
        lines.push(format!("runs        {runs}"));
        lines.push(format!("queued      {}", status.queued));
        lines.push(format!(
            "messages    {} to send, {} given up",
            status.outbox, status.outbox_dead
        ));
        lines.extend(self.nodes.iter().map(|node| format!("node        {}", describe(node))));
        // Every statement opens one for a moment.
        let lasting = self.snapshot.as_ref().filter(|snapshot| snapshot.age_ms >= LASTING_MS);
        if let Some(Snapshot {
            age_ms,
            pid,
            application,
        }) = lasting
        {
            let age = duration(*age_ms);
            lines.push(format!(
                "snapshot    the oldest open one is {age} old (pid {pid}, {application})"
            ));
        }
        lines
    }
}

fn node(node: &NodeRow) -> Value {
    let time = rfc3339;
    json!({
        "owner": format!("{:016x}", node.owner), "name": node.name, "url": node.url, "version": node.version,
        "started_at": time(node.started_at), "last_beat_at": time(node.beat_at),
        "lease_until": time(node.expires_at), "draining": node.draining, "in_flight": node.in_flight,
        "taken_over": node.taken_by.is_some(),
    })
}

fn describe(node: &NodeRow) -> String {
    let mut text = node.name.to_string();
    if !node.url.is_empty() {
        text += &format!(" at {}", node.url);
    }
    text += &format!(
        ", version {}, {} under way, lease until {}",
        node.version,
        node.in_flight,
        rfc3339(node.expires_at)
    );
    if node.draining {
        text += ", leaving";
    }
    if node.taken_by.is_some() {
        text += ", being taken over";
    }
    text
}

fn rfc3339(time: Time) -> String {
    let stamp = jiff::Timestamp::from_microsecond(time.0);
    stamp.map(|stamp| stamp.to_string()).unwrap_or_default()
}
