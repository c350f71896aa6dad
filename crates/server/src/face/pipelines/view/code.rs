//! Which version of a task's code did something.
//!
//! The answer of an attempt is stored with the version that was registered when it came. An attempt that never
//! answered has none with it: then the task's history tells what was registered at the time.

use quintet_core::state::Node;
use quintet_core::time::Time;
use serde_json::Value;

use super::super::directory::Task;

/// A version of a task's code. Of a task that nobody knows any more it is version 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Code {
    pub version: u32,
    pub hash: String,
}

impl Code {
    /// What an answer was stored with.
    pub fn read(stored: &Value) -> Option<Self> {
        Some(Self {
            version: u32::try_from(stored.get("codeVersion")?.as_u64()?).ok()?,
            hash: stored.get("codeHash")?.as_str()?.to_owned(),
        })
    }

    /// What the last answer of a step was stored with.
    pub fn recorded(node: &Node) -> Option<Self> {
        let detail = || node.failure.as_ref()?.detail.as_ref();
        let stored = node.success.as_ref().map(|success| &*success.output);
        stored.or_else(detail).and_then(Self::read)
    }

    /// What was registered at a time, or is now.
    pub fn of_task(task: Option<&Task>, at: Option<Time>) -> Self {
        let Some(task) = task else {
            return Self::default();
        };
        let then = at.and_then(|at| task.history.iter().find(|version| version.recorded_at <= at));
        match then {
            Some(version) => Self {
                version: version.code_version,
                hash: version.code_hash.clone(),
            },
            None => Self {
                version: task.code_version,
                hash: task.entry.code_hash.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::directory::CodeVersion;
    use super::super::super::register_request::TaskEntry;
    use super::*;

    #[test]
    fn what_was_registered_at_the_time_is_found_in_the_history() {
        let version = |code_version: u32, at: i64| CodeVersion {
            code_version,
            code_hash: format!("h{code_version}"),
            service_version: "1".to_owned(),
            recorded_at: Time(at),
        };
        let task = Task {
            entry: TaskEntry::new("t", "h3"),
            service: "s".into(),
            code_version: 3,
            registered_at: Time(10),
            updated_at: Time(30),
            history: vec![version(3, 30), version(2, 20), version(1, 10)],
            removed_in: None,
            record: 1,
        };
        let at = |at: Option<i64>| Code::of_task(Some(&task), at.map(Time)).version;
        assert_eq!(
            [at(Some(10)), at(Some(19)), at(Some(20)), at(Some(99)), at(None)],
            [1, 1, 2, 3, 3]
        );
        assert_eq!(at(Some(9)), 3, "older than everything that is known");
        assert_eq!(Code::of_task(None, None), Code::default());
    }

    #[test]
    fn an_answer_tells_its_code_by_itself() {
        let stored = json!({ "outputPath": "x", "codeVersion": 2, "codeHash": "ab" });
        let read = Code::read(&stored).unwrap();
        assert_eq!((read.version, read.hash.as_str()), (2, "ab"));
        assert_eq!(Code::read(&json!({ "codeVersion": "2", "codeHash": "ab" })), None);
        assert_eq!(Code::read(&json!({})), None);
    }
}
