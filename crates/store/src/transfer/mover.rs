//! The walk: from the first page that the target does not have to the comparison at the end.

use super::check::{self, Check, Difference};
use super::{Cursor, Kind, Origin, PageLimit, Portable};
use crate::error::StoreError;

/// One move of a store into another.
pub struct Mover<'a> {
    source: &'a dyn Portable,
    target: &'a dyn Portable,
    limit: PageLimit,
}

/// What a move is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It writes into the target.
    Copying,
    /// It reads both stores again.
    Comparing,
}

/// How far a move has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it is at.
    pub stage: Stage,
    /// Of which kind the newest records were.
    pub kind: Kind,
    /// Records done, those of earlier tries among them.
    pub done: u64,
    /// Records of the source.
    pub total: u64,
}

/// What came of a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Where it went on, if an earlier try had stopped.
    pub resumed: Option<Cursor>,
    /// Records that this try wrote.
    pub copied: u64,
    /// What the comparison found, by kind.
    pub checks: Vec<Check>,
}

impl Summary {
    /// The first record in which the two stores differ. A move with one is not over, and the target stays closed.
    pub fn difference(&self) -> Option<&Difference> {
        self.checks.iter().find_map(|check| check.difference.as_ref())
    }
}

/// Why a move stopped. What was written before stays, and the next try goes on behind it.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The store that is read.
    #[error("the source")]
    Source(#[source] StoreError),
    /// The store that is written.
    #[error("the target")]
    Target(#[source] StoreError),
}

impl<'a> Mover<'a> {
    /// From `source` to `target`.
    pub fn new(source: &'a dyn Portable, target: &'a dyn Portable) -> Self {
        Self {
            source,
            target,
            limit: PageLimit::default(),
        }
    }

    /// The same with other pages.
    #[must_use]
    pub fn paged(self, limit: PageLimit) -> Self {
        Self { limit, ..self }
    }

    /// Moves what the target does not have yet, compares both stores, and, when they are equal, opens the target.
    ///
    /// # Errors
    /// [`TransferError`] when one of the stores refuses or cannot be reached. That they differ is no error: see
    /// [`Summary::difference`].
    pub async fn run(&self, watch: &mut (dyn FnMut(Progress) + Send)) -> Result<Summary, TransferError> {
        let (start, resumed) = self.start().await?;
        let total = self.source.counts().await.map_err(TransferError::Source)?.total();
        let behind = match resumed {
            Some(_) => self.target.counts().await.map_err(TransferError::Target)?.total(),
            None => 0,
        };
        let mut tell = |stage, kind, done| {
            watch(Progress {
                stage,
                kind,
                done,
                total,
            });
        };
        let copied = match start {
            Cursor::End => 0,
            start => {
                let mut told = |kind, copied| tell(Stage::Copying, kind, behind + copied);
                self.copy(start, &mut told).await?
            }
        };
        let mut told = |kind, compared| tell(Stage::Comparing, kind, compared);
        let checks = check::compare(self.source, self.target, self.limit, &mut told).await?;
        // Whoever began to work on the source meanwhile has changed it since.
        self.source.check_idle().await.map_err(TransferError::Source)?;
        let summary = Summary {
            resumed,
            copied,
            checks,
        };
        if summary.difference().is_none() {
            self.target.finish_import().await.map_err(TransferError::Target)?;
        }
        Ok(summary)
    }

    /// Where to begin, and whether that is where another try stopped.
    async fn start(&self) -> Result<(Cursor, Option<Cursor>), TransferError> {
        self.source.check_idle().await.map_err(TransferError::Source)?;
        self.target.check_idle().await.map_err(TransferError::Target)?;
        let from = self.source.origin().await.map_err(TransferError::Source)?;
        from.refuse_unfinished().map_err(TransferError::Source)?;
        let to = self.target.origin().await.map_err(TransferError::Target)?;
        match judge(&from, to).map_err(TransferError::Target)? {
            Some(reached) => Ok((reached.clone(), Some(reached))),
            None => {
                let first = Cursor::start(Kind::ALL[0]);
                let begun = self.target.begin_import(from.id, &first).await;
                begun.map_err(TransferError::Target)?;
                Ok((first, None))
            }
        }
    }

    /// Writes one page while the next one is read.
    async fn copy(&self, start: Cursor, told: &mut (dyn FnMut(Kind, u64) + Send)) -> Result<u64, TransferError> {
        let (mut from, mut copied) = (start, 0);
        let mut page = self
            .source
            .export(&from, self.limit)
            .await
            .map_err(TransferError::Source)?;
        loop {
            let (kind, number) = (page.records.kind(), page.records.len() as u64);
            let behind = page.next.clone().unwrap_or(Cursor::End);
            let ahead = async {
                match &page.next {
                    Some(next) => self.source.export(next, self.limit).await.map(Some),
                    None => Ok(None),
                }
            };
            let (written, ahead) = tokio::join!(self.target.import(&from, page.records, &behind), ahead);
            written.map_err(TransferError::Target)?;
            copied += number;
            told(kind, copied);
            from = behind;
            match ahead.map_err(TransferError::Source)? {
                Some(next) => page = next,
                None => return Ok(copied),
            }
        }
    }
}

/// Where a target goes on; `None` when it is to be begun.
fn judge(from: &Origin, to: Origin) -> Result<Option<Cursor>, StoreError> {
    match (to.source, to.reached) {
        (Some(source), Some(reached)) if source == from.id => Ok(Some(reached)),
        (Some(source), Some(_)) => Err(StoreError::Refused(format!(
            "a move from another store (id {source}, and this one is {}) was begun into it and is not over: end that \
             one, or name a new target",
            from.id
        ))),
        _ => Ok(None),
    }
}
