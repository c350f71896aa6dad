//! A target that ends the move, as a kill or a lost connection would.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use crate::error::StoreError;
use crate::transfer::{Counts, Cursor, Origin, Page, PageLimit, Portable, Records, StoreId};

/// When it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of the page is written.
    BeforeTheWrite,
    /// The page is written, and nobody is told.
    AfterTheWrite,
}

type Meddler<'a> = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> + Send + Sync + 'a>;

/// Lets some pages through and then fails.
pub struct Faulty<'a> {
    inner: &'a dyn Portable,
    pages: AtomicUsize,
    moment: Moment,
    /// Called when everything is written.
    meddler: Option<Meddler<'a>>,
}

impl<'a> Faulty<'a> {
    /// The page number `pages` (from 0) is the one that fails.
    pub fn new(inner: &'a dyn Portable, pages: usize, moment: Moment) -> Self {
        Self {
            inner,
            pages: pages.into(),
            moment,
            meddler: None,
        }
    }

    pub fn meddling<F>(mut self, meddler: impl Fn() -> F + Send + Sync + 'a) -> Self
    where
        F: Future<Output = ()> + Send + 'a,
    {
        self.meddler = Some(Box::new(move || Box::pin(meddler())));
        self
    }

    fn let_through(&self) -> bool {
        let left = |pages: usize| pages.checked_sub(1);
        self.pages
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .is_ok()
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("as a test wants it".to_owned())
}

#[async_trait]
impl Portable for Faulty<'_> {
    async fn origin(&self) -> Result<Origin, StoreError> {
        self.inner.origin().await
    }

    async fn check_idle(&self) -> Result<(), StoreError> {
        self.inner.check_idle().await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.inner.counts().await
    }

    async fn export(&self, after: &Cursor, limit: PageLimit) -> Result<Page, StoreError> {
        self.inner.export(after, limit).await
    }

    async fn begin_import(&self, source: StoreId, reached: &Cursor) -> Result<(), StoreError> {
        self.inner.begin_import(source, reached).await
    }

    async fn import(&self, from: &Cursor, records: Records, next: &Cursor) -> Result<(), StoreError> {
        let passes = self.let_through();
        if passes || self.moment == Moment::AfterTheWrite {
            self.inner.import(from, records, next).await?;
        }
        if !passes {
            return Err(gone());
        }
        if let (Cursor::End, Some(meddler)) = (next, &self.meddler) {
            meddler().await;
        }
        Ok(())
    }

    async fn finish_import(&self) -> Result<(), StoreError> {
        self.inner.finish_import().await
    }
}
