//! Secrets that are put into requests when they are sent, and masked in what comes back.
//!
//! The core renders `{{ secrets.NAME }}` as a mask and a list of places beside the input ([`Slot`]). An executor that
//! sends something outside asks [`fill`] for the input with the values in those places, sends it, and hands whatever
//! it answers through the [`Masker`] that came with it. The filled input lives as long as the call: it is not logged,
//! not kept and not returned.
//!
//! Values come from [`Secrets`], which knows them by namespace and name. Nothing here searches a text for markers: a
//! value goes where the renderer noted a place, and nowhere else.

mod fill;
mod forms;
mod mask;

use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

#[doc(no_inline)]
pub use quintet_core::expr::Slot;

pub use fill::{Filled, fill};
pub use mask::{MASKED_FROM, Masker};

/// Knows the secrets of all namespaces.
#[async_trait]
pub trait Secrets: Send + Sync + 'static {
    /// The value of a secret; `None` where the namespace has none of this name.
    async fn reveal(&self, namespace: &str, name: &str) -> Result<Option<Plain>, RevealError>;
}

/// The value of a secret. It has no `Display` and no `Serialize`, its `Debug` says nothing, and it is wiped when it is
/// dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain(Zeroizing<String>);

impl Plain {
    /// Wraps a value.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The value itself, for the one who sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain(…)")
    }
}

/// A secret is there and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct RevealError {
    /// Why; names no value.
    pub reason: String,
    /// Whether it can be read later without anybody doing something about it.
    pub is_retryable: bool,
}
