//! `noop`: succeeds at once. A placeholder in drafts, and the yardstick of what a step costs by itself.

use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::outcome::{Outcome, Success, Work};
use quintet_engine::executor::{Executor, Mode};
use serde_json::Value;

/// Input `{"output": any}`; the output is that value, or null.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noop;

#[async_trait]
impl Executor for Noop {
    fn actions(&self) -> Vec<String> {
        vec!["noop".to_owned()]
    }

    fn mode(&self) -> Mode {
        Mode::Inline
    }

    fn execute_inline(&self, work: &Work) -> Outcome {
        let output = work.input.get("output").cloned().unwrap_or(Value::Null);
        Outcome::Succeeded(Success {
            output: Arc::new(output),
            ..Success::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::tests::{succeeded, work};
    use serde_json::json;

    #[test]
    fn the_output_is_what_the_input_says_or_null() {
        let run = |input| succeeded(Noop.execute_inline(&work("noop", input)));
        assert_eq!(run(json!({"output": {"a": [1]}})).output.as_ref(), &json!({"a": [1]}));
        for input in [json!(null), json!({}), json!("text"), json!([1])] {
            assert_eq!(run(input), Success::default());
        }
    }
}
