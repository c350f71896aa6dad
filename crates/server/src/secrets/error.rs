//! What can go wrong with secrets. No message holds a value or a key.

use std::path::PathBuf;

use quintet_store::StoreError;

use super::seal::{KeyId, SealError};

/// A secret could not be stored, shown or removed.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is none of this name.
    #[error("secret not found")]
    NotFound,
    /// A field of the request is wrong.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// The namespace has as many as it may have.
    #[error("a namespace has at most {0} secrets")]
    TooMany(usize),
    /// There is nothing to seal values with.
    #[error("no master key: set `secrets.master_key`, because many servers may share this store")]
    NoMasterKey,
    /// The file of the master key cannot be made.
    #[error("cannot make the master key: {0}")]
    KeyFile(#[source] std::io::Error),
    /// Something cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Others write to the same namespace all the time.
    #[error("others change the secrets of this namespace: try again")]
    Contended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The server cannot start with these keys.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A key of the settings cannot be used.
    #[error("`secrets.{setting}`: {reason}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Why.
        reason: String,
    },
    /// The key file cannot be used.
    #[error("the master key {path} cannot be used: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Secrets are stored, and nothing can open them.
    #[error(
        "secrets are stored, but their master key is not here: put it back ({place}), or remove the record \
         `secret.canary` of the namespace `quintet` and give all secrets anew"
    )]
    KeyLost {
        /// Where it belongs.
        place: String,
    },
    /// Secrets are stored under another key.
    #[error(
        "secrets are stored under the master key {stored}, but this server has {here}: set the right one, and name the \
         old one in `secrets.previous_keys` while keys are changed"
    )]
    WrongKey {
        /// The id of the key that is needed.
        stored: KeyId,
        /// The id of the key that is set.
        here: KeyId,
    },
    /// The canary or a data key cannot be opened.
    #[error("the stored secrets cannot be opened: {0}")]
    Damaged(#[source] SecretError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
