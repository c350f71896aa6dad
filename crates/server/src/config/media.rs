//! What is done with media files: measuring them, and cutting them up.

use std::path::PathBuf;

use quintet_executors::media::Settings;

use super::ConfigError;
use super::section::section;
use super::value::Millis;

section! {
    /// What is done with media files whose tasks are done in chunks (`tasks.chunking`).
    pub struct Media = "media" {
        /// Folder in which media files lie. Paths in payloads are looked up in it, and never outside; chunks that `ffmpeg`
        /// cuts are put below `.chunks` in it, where backends must be able to read them. Default: none, so that payloads
        /// must say their `duration`, and nothing can be cut.
        pub dir: Option<PathBuf> = None,
        /// The program that cuts. Default: `ffmpeg`, found in `PATH`.
        pub ffmpeg: PathBuf = PathBuf::from("ffmpeg"),
        /// The program that measures. Default: `ffprobe`, found in `PATH`.
        pub ffprobe: PathBuf = PathBuf::from("ffprobe"),
        /// How long one of these programs may take. Default: 10m.
        pub process_timeout: Millis = Millis(600_000),
        /// Files that are measured and cut at a time on this node. Default: 2. Raise it on machines with many processors.
        pub concurrency: usize = 2,
        /// After how long chunks of a task that was never merged are removed. Default: 168h, a week. Raise it where tasks
        /// wait longer than that.
        pub keep_chunks: Millis = Millis(7 * 24 * 3_600_000),
    }
}

impl Media {
    /// As what works with the files wants them.
    pub fn settings(&self) -> Settings {
        Settings {
            dir: self.dir.clone(),
            ffmpeg: self.ffmpeg.clone(),
            ffprobe: self.ffprobe.clone(),
            process_timeout_ms: self.process_timeout.0,
            concurrency: self.concurrency,
            keep_chunks_ms: self.keep_chunks.0,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let limits = [
            ("process_timeout", self.process_timeout.0),
            ("concurrency", self.concurrency as u64),
            ("keep_chunks", self.keep_chunks.0),
        ];
        match limits.iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(ConfigError::senseless(format!("media.{name}"), "must be above 0")),
            None => Ok(()),
        }
    }
}
