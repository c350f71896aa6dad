//! The ids that this face shows.
//!
//! They are the engine's own ids in other letters, so that no table maps one to the other: a callback names its run,
//! its step run and its attempt by itself. Digits are base 36, as the original's were, and the run's have a fixed
//! width, so that ids sort as the runs do.
//!
//! | id | form |
//! |---|---|
//! | pipeline run | `prun_` run |
//! | task run | `trun_` run node |
//! | attempt | the task run's, and from the second attempt on `~` attempt |
//! | dead letter | `dlq_` run node `~` attempt |
//! | upload | `tmp_` 21 characters of URL-safe base64 |
//!
//! A worker is told the id of the attempt as if it were the run's: it carries it verbatim into its callback, and into
//! the keys of the objects that it writes. So a late answer can be told from the one that is awaited, though the
//! protocol has no field for it.
//!
//! Reading is strict: a text is an id only if it is letter by letter what would be written for it. Two spellings of
//! one run would be two keys to whoever caches or compares them.

use std::fmt;

use quintet_core::id::RunId;
use quintet_core::outcome::Token;

/// Letters of an upload id, each six bits.
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE36: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// As many digits as the highest run needs: 36^25 > 2^128.
const RUN_DIGITS: usize = 25;
const UPLOAD_LETTERS: usize = 21;

/// A pipeline run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PipelineRunId(pub RunId);

/// A task run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskRunId {
    pub run: RunId,
    /// Index of the step run in the run.
    pub node: u32,
}

/// An attempt of a task run, as the worker knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptId {
    pub task_run: TaskRunId,
    /// From 1.
    pub attempt: u32,
}

/// What became of a task run that failed for good at this attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeadLetterId {
    pub task_run: TaskRunId,
    /// 0 for a step that failed without an attempt.
    pub attempt: u32,
}

/// A temporary upload: 126 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UploadId(u128);

impl PipelineRunId {
    pub fn parse(text: &str) -> Option<Self> {
        let (run, rest) = take_run(text.strip_prefix("prun_")?)?;
        rest.is_empty().then_some(Self(run))
    }
}

impl TaskRunId {
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_digits(text.strip_prefix("trun_")?)
    }

    fn from_digits(digits: &str) -> Option<Self> {
        let (run, node) = take_run(digits)?;
        let node = number(node, 36)?;
        Some(Self { run, node })
    }

    fn write_digits(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_run(self.run, f)?;
        write_number(self.node, f)
    }
}

impl AttemptId {
    pub fn of(token: Token) -> Self {
        let task_run = TaskRunId {
            run: token.run,
            node: token.node,
        };
        Self {
            task_run,
            attempt: token.attempt,
        }
    }

    /// The fencing token; an answer that names an attempt which is not under way is refused by the engine.
    pub fn token(self) -> Token {
        Token {
            run: self.task_run.run,
            node: self.task_run.node,
            attempt: self.attempt,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (task_run, attempt) = match text.split_once('~') {
            None => (text, 1),
            Some((task_run, attempt)) => (task_run, number(attempt, 10).filter(|&attempt| attempt >= 2)?),
        };
        let task_run = TaskRunId::parse(task_run)?;
        Some(Self { task_run, attempt })
    }
}

impl DeadLetterId {
    pub fn parse(text: &str) -> Option<Self> {
        let (task_run, attempt) = text.strip_prefix("dlq_")?.split_once('~')?;
        let task_run = TaskRunId::from_digits(task_run)?;
        let attempt = number(attempt, 10)?;
        Some(Self { task_run, attempt })
    }
}

impl UploadId {
    /// Of random bits; the highest two are not used.
    pub fn from_random(bits: u128) -> Self {
        Self(bits & ((1 << (6 * UPLOAD_LETTERS)) - 1))
    }

    pub fn parse(text: &str) -> Option<Self> {
        let letters = text.strip_prefix("tmp_")?;
        if letters.len() != UPLOAD_LETTERS {
            return None;
        }
        letters
            .bytes()
            .try_fold(0u128, |bits, letter| Some(bits << 6 | value_in(URL_SAFE, letter)?))
            .map(Self)
    }
}

impl fmt::Display for PipelineRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("prun_")?;
        write_run(self.0, f)
    }
}

impl fmt::Display for TaskRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("trun_")?;
        self.write_digits(f)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempt {
            1 => write!(f, "{}", self.task_run),
            attempt => write!(f, "{}~{attempt}", self.task_run),
        }
    }
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dlq_")?;
        self.task_run.write_digits(f)?;
        write!(f, "~{}", self.attempt)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tmp_")?;
        let letters = (0..UPLOAD_LETTERS).rev();
        letters
            .map(|nth| URL_SAFE[(self.0 >> (6 * nth) & 63) as usize])
            .try_for_each(|letter| write!(f, "{}", char::from(letter)))
    }
}

fn write_run(run: RunId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = [0u8; RUN_DIGITS];
    let mut rest = run.bits();
    for digit in digits.iter_mut().rev() {
        *digit = BASE36[(rest % 36) as usize];
        rest /= 36;
    }
    f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
}

fn write_number(number: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = Vec::with_capacity(7);
    let mut rest = number;
    while rest > 0 || digits.is_empty() {
        digits.push(BASE36[(rest % 36) as usize]);
        rest /= 36;
    }
    digits
        .iter()
        .rev()
        .try_for_each(|digit| write!(f, "{}", char::from(*digit)))
}

/// The run at the start of a text, and what follows it.
fn take_run(text: &str) -> Option<(RunId, &str)> {
    let (digits, rest) = text.split_at_checked(RUN_DIGITS)?;
    let bits = digits.bytes().try_fold(0u128, |bits, digit| {
        bits.checked_mul(36)?.checked_add(value_in(BASE36, digit)?)
    })?;
    Some((RunId::from_bits(bits), rest))
}

/// A number as it would be written: without leading zeros, signs or upper case.
fn number(text: &str, base: u32) -> Option<u32> {
    if text.is_empty() || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.bytes().try_fold(0u32, |number, digit| {
        let digit = value_in(&BASE36[..base as usize], digit)? as u32;
        number.checked_mul(base)?.checked_add(digit)
    })
}

fn value_in(alphabet: &[u8], letter: u8) -> Option<u128> {
    alphabet.iter().position(|known| *known == letter).map(|at| at as u128)
}

#[cfg(test)]
mod tests;
