//! What was done when, beside the logs of those to whom it was done.

use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A file with a line for everything that happens.
#[derive(Debug)]
pub(super) struct Diary {
    file: Mutex<File>,
    begun: Instant,
}

impl Diary {
    /// Begins one; `time` is what the clock of the others shows now, as they write it.
    #[allow(clippy::disallowed_methods, reason = "faults happen by the machine's clock")]
    pub fn begin(file: &Path, time: &str) -> anyhow::Result<Self> {
        let diary = Self {
            file: Mutex::new(File::create(file)?),
            begun: Instant::now(),
        };
        diary.note(format_args!("begun at {time} UTC"));
        Ok(diary)
    }

    /// Writes a line, with the time since the beginning.
    #[allow(clippy::disallowed_methods, reason = "faults happen by the machine's clock")]
    pub fn note(&self, what: impl Display) {
        self.note_at(Instant::now(), what);
    }

    /// Writes a line about something that happened earlier.
    pub fn note_at(&self, at: Instant, what: impl Display) {
        let seconds = at.saturating_duration_since(self.begun).as_secs_f64();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A line that cannot be written is missed only by a person who looks for something else.
        let _ = writeln!(file, "{seconds:9.3} {what}");
    }
}
