//! Objects in real backends: a folder of this machine, an S3 service addressed in each way, and Google's API.
//!
//! What every backend owes is in `contract.rs` and tried on each; what is peculiar to a kind is with the kind. The S3
//! service is `moto_server`, which `cargo xtask test` provides.

mod contract;
mod failures;
mod folders;
mod services;
#[path = "../support/mod.rs"]
mod support;

use quintet_executors::storage::{BackendSet, Backends, Bucket, Key};
use serde_json::Value;

/// The bucket of one backend.
fn open(backend: Value) -> Bucket {
    let set = BackendSet::from_json(&Value::Array(vec![backend]).to_string(), None).expect("settings");
    Backends::open(set).expect("backends").default_bucket().clone()
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("key")
}
