//! Reading the trail: pages of it, newest first, and all of it in order.

use quintet_core::time::Time;
use quintet_store::{Record, StoreError};
use serde_json::Value;

use super::chain::Link;
use super::{Audit, ENTRY, HEAD, NAMESPACE, Outcome, id_of};

/// Entries read from the store at a time.
const CHUNK: u64 = 500;
/// Entries looked at for one page: a filter that few fit gets short pages rather than long waits.
const LOOKED_AT: u64 = 10_000;

/// Which entries are wanted; what is absent does not matter.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub namespace: Option<String>,
    pub actor: Option<String>,
    pub action: Option<String>,
    /// A parameter of the path, or the id of what was made.
    pub object: Option<String>,
    pub outcome: Option<Outcome>,
    pub from: Option<Time>,
    pub to: Option<Time>,
}

/// Part of the trail, newest first.
#[derive(Debug)]
pub(crate) struct Page {
    pub items: Vec<Value>,
    /// Where to go on, if there may be more.
    pub next_before: Option<u64>,
}

impl Filter {
    pub fn admits(&self, entry: &Value) -> bool {
        let is = |wanted: &Option<String>, name: &str| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|wanted| entry[name].as_str() == Some(wanted))
        };
        let at = || entry["at"].as_str().and_then(Time::parse_rfc3339);
        is(&self.namespace, "namespace")
            && is(&self.actor, "actor")
            && is(&self.action, "action")
            && self.outcome.is_none_or(|wanted| entry["outcome"] == wanted.as_str())
            && self.from.is_none_or(|from| at().is_some_and(|at| at >= from))
            && self.to.is_none_or(|to| at().is_some_and(|at| at < to))
            && self.object.as_deref().is_none_or(|wanted| is_about(entry, wanted))
    }
}

fn is_about(entry: &Value, wanted: &str) -> bool {
    let ids = entry["object"].as_object().into_iter().flat_map(|ids| ids.values());
    ids.chain(entry.get("created")).any(|id| id == wanted)
}

/// What a head, or an entry, says of the chain's end.
pub(super) fn link_of(record: &Record) -> Result<Link, StoreError> {
    let corrupt = || StoreError::Corrupt(format!("the audit trail's record `{}` cannot be read", record.id));
    let value: Value = serde_json::from_str(&record.body).map_err(|_| corrupt())?;
    let (seq, hash) = (value["seq"].as_u64(), value["hash"].as_str());
    let (Some(seq), Some(hash)) = (seq, hash) else {
        return Err(corrupt());
    };
    Ok(Link {
        seq,
        hash: hash.to_owned(),
    })
}

/// An entry as it is shown; one that cannot be read says so.
fn shown(record: &Record) -> Value {
    let unreadable = || serde_json::json!({ "seq": record.id.parse::<u64>().ok(), "damaged": true });
    serde_json::from_str(&record.body)
        .ok()
        .filter(Value::is_object)
        .unwrap_or_else(unreadable)
}

impl Audit {
    /// The end of the chain.
    pub async fn head(&self) -> Result<Link, StoreError> {
        let record = self.store.record(NAMESPACE, HEAD, HEAD).await?;
        record.as_ref().map_or_else(|| Ok(Link::origin()), link_of)
    }

    /// At most `limit` entries below the number `before`, newest first.
    pub async fn page(&self, filter: &Filter, before: Option<u64>, limit: usize) -> Result<Page, StoreError> {
        let end = self.head().await?.seq;
        let mut top = before.map_or(end, |before| before.saturating_sub(1).min(end));
        let (mut items, mut looked_at) = (Vec::new(), 0);
        while top > 0 && looked_at < LOOKED_AT {
            let low = top.saturating_sub(CHUNK);
            let chunk = self.between(low, top).await?;
            looked_at += top - low;
            for record in chunk.iter().rev() {
                let entry = shown(record);
                if !filter.admits(&entry) {
                    continue;
                }
                items.push(entry);
                if items.len() == limit {
                    let next = record.id.parse().ok().filter(|seq| *seq > 1);
                    return Ok(Page {
                        items,
                        next_before: next,
                    });
                }
            }
            top = low;
        }
        let next_before = (top > 0).then_some(top + 1);
        Ok(Page { items, next_before })
    }

    /// Texts of entries above the number `after`, in their order, at most `limit`; and the number of the last one looked
    /// at, `None` at the end.
    pub async fn texts(
        &self,
        namespace: Option<&str>,
        after: u64,
        limit: u64,
    ) -> Result<Option<(u64, Vec<String>)>, StoreError> {
        let records = self.between(after, after.saturating_add(limit.min(CHUNK))).await?;
        let Some(last) = records.last().and_then(|last| last.id.parse().ok()) else {
            return Ok(None);
        };
        let is_seen = |record: &&Record| namespace.is_none_or(|own| shown(record)["namespace"] == own);
        let seen = records.iter().filter(is_seen);
        // One line each, whatever somebody has made of it.
        let texts = seen.map(|record| record.body.replace(['\n', '\r'], " ")).collect();
        Ok(Some((last, texts)))
    }

    async fn between(&self, low: u64, top: u64) -> Result<Vec<Record>, StoreError> {
        let after = (low > 0).then(|| id_of(low));
        let number = usize::try_from(top - low).unwrap_or(usize::MAX);
        self.store.records(NAMESPACE, ENTRY, after.as_deref(), number).await
    }
}
