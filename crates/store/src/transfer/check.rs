//! The comparison: both stores are read from the first record to the last, side by side. Each side has a count and a
//! SHA-256 over the canonical bytes of its records, which anybody can ask for again, and where they differ the first record
//! that does is named.

use std::collections::VecDeque;
use std::fmt;

use quintet_core::plan::Digest;
use sha2::{Digest as _, Sha256};

use super::mover::TransferError;
use super::{Cursor, Kind, PageLimit, Portable};
use crate::error::StoreError;

/// One kind of record, on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Which kind.
    pub kind: Kind,
    /// What was read.
    pub source: Side,
    /// What was written.
    pub target: Side,
    /// Where they differ, if they do.
    pub difference: Option<Difference>,
}

/// One side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// Number of records.
    pub count: u64,
    /// SHA-256 over all of them, in order.
    pub digest: Digest,
}

/// The first record that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The target does not have it.
    Missing(Cursor),
    /// The source does not have it.
    Surplus(Cursor),
    /// Both have it, and not alike.
    Changed(Cursor),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "{key} is missing in the target"),
            Self::Surplus(key) => write!(f, "{key} is in the target only"),
            Self::Changed(key) => write!(f, "{key} is not the same in both"),
        }
    }
}

/// Compares kind by kind, and tells how many records were compared.
pub(super) async fn compare(
    source: &dyn Portable,
    target: &dyn Portable,
    limit: PageLimit,
    told: &mut (dyn FnMut(Kind, u64) + Send),
) -> Result<Vec<Check>, TransferError> {
    let (mut checks, mut compared) = (Vec::new(), 0);
    for kind in Kind::ALL {
        let mut left = Walk::new(source, kind, limit);
        let mut right = Walk::new(target, kind, limit);
        let mut difference = None;
        loop {
            let (filled, filled_too) = tokio::join!(left.fill(), right.fill());
            filled.map_err(TransferError::Source)?;
            filled_too.map_err(TransferError::Target)?;
            if left.is_over() && right.is_over() {
                break;
            }
            let found = step(&mut left, &mut right, difference.is_none());
            difference = difference.or(found);
            told(kind, compared + left.count);
        }
        compared += left.count;
        checks.push(Check {
            kind,
            source: left.side(),
            target: right.side(),
            difference,
        });
    }
    Ok(checks)
}

/// Takes what can be compared without reading on. Once a difference is known the rest is only counted.
fn step(left: &mut Walk<'_>, right: &mut Walk<'_>, look: bool) -> Option<Difference> {
    let mut found = None;
    while look && found.is_none() && !left.is_empty() && !right.is_empty() {
        found = left
            .take()
            .zip(right.take())
            .and_then(|(left, right)| differ(left, right));
    }
    if !look || found.is_some() {
        left.drain();
        right.drain();
    } else if left.is_over() {
        found = right.take().map(|(key, _)| Difference::Surplus(key));
    } else if right.is_over() {
        found = left.take().map(|(key, _)| Difference::Missing(key));
    }
    found
}

fn differ(left: Item, right: Item) -> Option<Difference> {
    match left.0.cmp(&right.0) {
        std::cmp::Ordering::Less => Some(Difference::Missing(left.0)),
        std::cmp::Ordering::Greater => Some(Difference::Surplus(right.0)),
        std::cmp::Ordering::Equal => (left.1 != right.1).then_some(Difference::Changed(left.0)),
    }
}

type Item = (Cursor, Vec<u8>);

/// One side while it is read.
struct Walk<'a> {
    store: &'a dyn Portable,
    kind: Kind,
    limit: PageLimit,
    /// Where to read on; `None` when nothing of the kind is left.
    ahead: Option<Cursor>,
    page: VecDeque<Item>,
    count: u64,
    hash: Sha256,
}

impl<'a> Walk<'a> {
    fn new(store: &'a dyn Portable, kind: Kind, limit: PageLimit) -> Self {
        Self {
            store,
            kind,
            limit,
            ahead: Some(Cursor::start(kind)),
            page: VecDeque::new(),
            count: 0,
            hash: Sha256::new(),
        }
    }

    /// Reads on when there is nothing to compare.
    async fn fill(&mut self) -> Result<(), StoreError> {
        while self.page.is_empty() {
            let Some(from) = self.ahead.take() else { break };
            let page = self.store.export(&from, self.limit).await?;
            self.page = page.records.canonical().into();
            self.ahead = page.next.filter(|next| next.kind() == self.kind);
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.page.is_empty()
    }

    fn is_over(&self) -> bool {
        self.page.is_empty() && self.ahead.is_none()
    }

    fn take(&mut self) -> Option<Item> {
        let (key, bytes) = self.page.pop_front()?;
        self.count += 1;
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(&bytes);
        Some((key, bytes))
    }

    fn drain(&mut self) {
        while self.take().is_some() {}
    }

    fn side(self) -> Side {
        Side {
            count: self.count,
            digest: Digest(self.hash.finalize().into()),
        }
    }
}
