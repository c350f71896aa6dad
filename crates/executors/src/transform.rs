//! `transform`: merges keys into the run's context.

use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::outcome::{Outcome, Success, Work};
use quintet_engine::executor::{Executor, Mode};
use serde_json::Value;

use crate::template::is_template;

/// Input `{"set": {...}}`; anything else is ignored and it always succeeds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Transform;

#[async_trait]
impl Executor for Transform {
    fn actions(&self) -> Vec<String> {
        vec!["transform".to_owned()]
    }

    fn mode(&self) -> Mode {
        Mode::Inline
    }

    fn check_input(&self, _action: &str, input: &Value) -> Result<(), String> {
        match input.get("set") {
            None | Some(Value::Null | Value::Object(_)) => Ok(()),
            Some(set) if is_template(set) => Ok(()),
            Some(_) => Err("input.set: must be an object".to_owned()),
        }
    }

    fn execute_inline(&self, work: &Work) -> Outcome {
        let set = work.input.get("set").and_then(Value::as_object).cloned();
        Outcome::Succeeded(Success {
            output: Arc::new("ok".into()),
            code: Some(200),
            set,
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
    fn set_is_handed_to_the_context_and_the_output_is_ok() {
        let success = succeeded(Transform.execute_inline(&work("transform", json!({"set": {"k": 1}, "x": 2}))));
        assert_eq!((success.output.as_ref(), success.code), (&json!("ok"), Some(200)));
        assert_eq!(success.set.map(Value::Object), Some(json!({"k": 1})));
    }

    #[test]
    fn it_succeeds_without_a_change_when_there_is_nothing_to_set() {
        for input in [
            json!(null),
            json!({}),
            json!("text"),
            json!({"set": null}),
            json!({"set": [1]}),
        ] {
            assert_eq!(succeeded(Transform.execute_inline(&work("transform", input))).set, None);
        }
    }

    #[test]
    fn creation_refuses_a_set_that_can_never_be_an_object() {
        for input in [
            json!(null),
            json!({}),
            json!({"set": {}}),
            json!({"set": "{{ input.x }}"}),
        ] {
            assert_eq!(Transform.check_input("transform", &input), Ok(()));
        }
        let refused = Transform.check_input("transform", &json!({"set": 1}));
        assert_eq!(refused, Err("input.set: must be an object".to_owned()));
    }
}
