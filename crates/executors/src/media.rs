//! Long media inputs in chunks: a step that a backend would choke on becomes many short ones and a merge.
//!
//! `media.split` looks at a payload and says what to hand out instead: one payload for each chunk, with
//! `_chunk: {index, start, end}` in seconds, or the payload as it is where there is nothing to split. `media.merge` takes
//! what the chunks gave and makes one result of it. What lies between is an ordinary `for_each`. Which payload, and by which
//! [`ChunkRule`], a [`Script`] says: this room knows nothing of tasks.
//!
//! Chunks overlap, so that a word at a border is whole in one of them; merging leaves out what was heard twice.
//!
//! # Files of others
//!
//! A path in a payload comes from whoever may submit. It is looked up inside the one folder that the operator named, and
//! opened here, link by link refused ([`place`]). `ffmpeg` and `ffprobe` get the open file and never its name: no
//! shell, no name that begins with a dash, no URL, no moment between check and use. They may open files only and read
//! plain containers only ([`tools`]): a playlist, which is a text that names other files, is none.

mod chunks;
mod merge;
mod place;
mod rule;
mod split;
mod tools;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quintet_core::outcome::{Failure, Work};
use quintet_engine::clock::Clock;
use quintet_engine::executor::Executor;
use serde::Deserialize;
use serde_json::Value;

use place::Place;
pub use rule::{ChunkRule, MergeBy, RuleError, SplitBy};
use tools::Tools;

/// Action of the step that says what the chunks are.
pub const SPLIT: &str = "media.split";
/// Action of the step that makes one result of theirs.
pub const MERGE: &str = "media.merge";
/// Failure kind of what goes wrong with files and programs.
pub const FAILED: &str = "media";
/// Failure kind of a payload that cannot be split.
pub const INVALID: &str = "invalid_input";

/// The field of a payload that says which chunk it is about.
pub(crate) const CHUNK: &str = "_chunk";

/// Settings of what is done with media files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The folder in which media files lie. Paths in payloads are looked up in it, and never outside; chunks that
    /// `ffmpeg` cuts are put below `.chunks` in it, where backends must be able to read them. Default: none, so payloads
    /// must say their `duration`, and nothing can be cut.
    pub dir: Option<PathBuf>,
    /// The program that cuts. Default: `ffmpeg`, found in `PATH`.
    pub ffmpeg: PathBuf,
    /// The program that measures. Default: `ffprobe`, found in `PATH`.
    pub ffprobe: PathBuf,
    /// Milliseconds after which one of these programs is ended. Default: 600000.
    pub process_timeout_ms: u64,
    /// Files that are measured and cut at a time on this node. Default: 2. Raise it on machines with many processors.
    pub concurrency: usize,
    /// Milliseconds after which chunks of a task that was never merged are removed. Default: 604800000, a week. Raise it
    /// where tasks wait longer than that.
    pub keep_chunks_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dir: None,
            ffmpeg: "ffmpeg".into(),
            ffprobe: "ffprobe".into(),
            process_timeout_ms: 600_000,
            concurrency: 2,
            keep_chunks_ms: 7 * 24 * 3_600_000,
        }
    }
}

/// Settings that cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A limit of zero would stop everything.
    #[error("{0} must be above 0")]
    Zero(&'static str),
    /// There is nowhere to put chunks.
    #[error("`split: ffmpeg` needs a media folder, and there is none")]
    NoFolder,
    /// The folder is not there.
    #[error("the media folder {path} cannot be used: {reason}")]
    Folder {
        /// As it is written.
        path: String,
        /// What the system says.
        reason: String,
    },
}

impl Settings {
    /// Whether a rule can be followed under these settings.
    pub fn allow(&self, rule: &ChunkRule) -> Result<(), SettingsError> {
        match rule.split {
            SplitBy::Ffmpeg if self.dir.is_none() => Err(SettingsError::NoFolder),
            SplitBy::Ffmpeg | SplitBy::None => Ok(()),
        }
    }
}

/// A payload to be split.
#[derive(Debug, Clone)]
pub struct Whole {
    /// Templates are filled in.
    pub payload: Value,
    /// How.
    pub rule: ChunkRule,
}

/// What came of the chunks.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The payloads that splitting gave.
    pub chunks: Vec<Value>,
    /// The result of each.
    pub results: Vec<Value>,
    /// How they were made, and how they are merged.
    pub rule: ChunkRule,
}

/// Knows what a step is about.
pub trait Script: Send + Sync + 'static {
    /// The payload that a step splits.
    ///
    /// # Errors
    /// How the attempt fails if that cannot be said.
    fn split(&self, work: &Work) -> Result<Whole, Box<Failure>>;

    /// The chunks that a step merges.
    ///
    /// # Errors
    /// How the attempt fails if that cannot be said.
    fn parts(&self, work: &Work) -> Result<Parts, Box<Failure>>;
}

/// The executors of [`SPLIT`] and [`MERGE`].
///
/// # Errors
/// The settings contradict themselves, or the folder is not there.
pub fn executors(
    settings: &Settings,
    script: &Arc<dyn Script>,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn Executor>>, SettingsError> {
    let limits = [
        ("concurrency", settings.concurrency as u64),
        ("process_timeout_ms", settings.process_timeout_ms),
        ("keep_chunks_ms", settings.keep_chunks_ms),
    ];
    if let Some((name, _)) = limits.iter().find(|(_, limit)| *limit == 0) {
        return Err(SettingsError::Zero(name));
    }
    let place = settings.dir.as_deref().map(Place::open).transpose()?;
    let tools = Tools {
        ffmpeg: settings.ffmpeg.clone(),
        ffprobe: settings.ffprobe.clone(),
        timeout: Duration::from_millis(settings.process_timeout_ms),
    };
    let split = split::Split {
        script: Arc::clone(script),
        place: place.clone(),
        tools,
        clock: Arc::clone(clock),
        keep_chunks_ms: settings.keep_chunks_ms,
        concurrency: settings.concurrency,
    };
    let merge = merge::Merge {
        script: Arc::clone(script),
        place,
    };
    Ok(vec![Arc::new(split), Arc::new(merge)])
}

/// Another attempt would end the same way.
fn invalid(message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure::permanent(INVALID, message))
}

/// Another attempt may do better.
fn failed(message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure::new(FAILED, message))
}

/// Runs blocking work elsewhere.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Box<Failure>> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed(error.to_string()))
}
