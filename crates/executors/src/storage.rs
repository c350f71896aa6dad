//! Object storage that the server shares with its workers, and the tokens by which workers get into it.
//!
//! Workers of the pipelines face read their input from a bucket and leave output, assets and logs there: a dispatch
//! carries only keys, and a token with the backend's credentials under encryption. So both sides must mean the same
//! object by the same key and address the same bucket in the same way, whatever library each is built on; where the
//! workers' way is peculiar (virtual hosts, a `bucket` that local folders ignore), it is followed here.
//!
//! - [`Backend`] and [`BackendSet`]: what the operator configured, read from JSON or from the environment.
//! - [`Backends`] and [`Bucket`]: the same, opened: put, get, stream, head, delete.
//! - [`Key`]: a checked object key. Nothing reaches a backend by another way, so no key climbs out of it.
//! - [`TokenMint`]: tokens for dispatches, in either of two formats.
//!
//! Backends are the operator's word and not a user's: requests to them do not pass the outbound guard. Credentials are
//! shown nowhere: not by `Debug`, not in a [`BackendView`], not in the text of an error, even where a server repeats
//! them in its answer.

mod backend;
mod bucket;
mod environment;
mod error;
mod fields;
mod key;
#[cfg(unix)]
mod local;
mod mint;
mod random;
mod remote;
mod secret;
mod set;
mod token;
mod transport;

pub use backend::{Backend, BackendView, Credentials, Provider};
pub use bucket::{Backends, Bucket, Durability, Metadata, Object, ObjectStream, OpenError};
pub use environment::from_environment;
pub use error::StorageError;
pub use fields::ConfigError;
pub use key::{Key, KeyError, file_name};
pub use mint::{Claims, TokenMint};
pub use random::{RandomError, Randomness, SystemRandomness};
pub use secret::Secret;
pub use set::BackendSet;
pub use token::{TokenCipher, TokenError, TokenFormat};
