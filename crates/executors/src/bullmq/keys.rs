//! Names in Redis: the keys of a queue, and the ids of Quintet's own jobs.

use std::fmt;

use quintet_core::id::RunId;
use quintet_core::outcome::Token;

/// The keys of one queue: `prefix:name:rest`.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    base: String,
}

impl Keys {
    pub fn of(prefix: &str, name: &str) -> Self {
        Self {
            base: format!("{prefix}:{name}:"),
        }
    }

    /// What all of them begin with.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The key with this rest: a job's id, or one of BullMQ's own words.
    pub fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.base)
    }
}

/// The id of the job for an attempt: `run_<26 digits>-<step run>-<attempt>`. BullMQ allows no colon in ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId(pub Token);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Token { run, node, attempt } = self.0;
        write!(f, "{run}-{node}-{attempt}")
    }
}

impl JobId {
    /// Reads it back; none for jobs of others.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (run, node, attempt) = (parts.next()?, parts.next()?, parts.next()?);
        let token = Token {
            run: run.parse::<RunId>().ok()?,
            node: node.parse().ok()?,
            attempt: attempt.parse().ok()?,
        };
        // One spelling for each attempt: `+1` and `01` are numbers too.
        let id = Self(token);
        (id.to_string() == text).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_nothing_else_is_taken_for_one() {
        let token = Token {
            run: RunId::from_bits(77),
            node: 3,
            attempt: 12,
        };
        let text = JobId(token).to_string();
        assert_eq!(JobId::parse(&text), Some(JobId(token)));
        assert!(!text.contains(':'));
        let run = token.run;
        for other in [
            "1",
            "repeat:abc:1",
            "",
            &format!("{run}-3"),
            &format!("{run}-3-012"),
            &format!("{run}-3-+1"),
            &format!("{run}-3-1-4"),
        ] {
            assert_eq!(JobId::parse(other), None, "{other}");
        }
    }
}
