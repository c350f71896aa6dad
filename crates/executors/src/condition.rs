//! `condition`: looks at the run's context, or at a templated value, and decides how the run goes on.
//!
//! `key` with `equals` or `not_equals` is the original language: a missing key is false for both, a non-null
//! `equals` wins over `not_equals`, and with neither the answer is false. Comparison is strict about types, but a
//! number is a number: 1 equals 1.0. `if` is an addition: a value that templates have filled in, judged by
//! [`is_truthy`]; where `key` stands beside it, both must hold.
//!
//! What follows: true goes on (to `on_true_next`, if given); false stops the run successfully, fails the step, or
//! goes on (to `on_false_next`), as `on_false` says.

use std::sync::Arc;

use async_trait::async_trait;
use quintet_core::outcome::{Failure, Outcome, Success, Work};
use quintet_engine::executor::{Executor, Mode};
use serde_json::{Number, Value};

use crate::template::is_template;

/// Input `{key, equals, not_equals, on_false, if, on_true_next, on_false_next}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Condition;

#[async_trait]
impl Executor for Condition {
    fn actions(&self) -> Vec<String> {
        vec!["condition".to_owned()]
    }

    fn mode(&self) -> Mode {
        Mode::Inline
    }

    fn check_input(&self, _action: &str, input: &Value) -> Result<(), String> {
        if is_template(input) {
            return Ok(());
        }
        is_readable(input)?;
        for field in ["key", "on_false"] {
            text(input, field)?;
        }
        for field in ["on_true_next", "on_false_next"] {
            if !input.get(field).is_some_and(is_template) {
                selected(input, field)?;
            }
        }
        Ok(())
    }

    fn execute_inline(&self, work: &Work) -> Outcome {
        decide(&work.input, &work.context).unwrap_or_else(|wrong| {
            let failure = Failure::permanent("invalid_input", "invalid condition input");
            Outcome::Failed(Failure {
                detail: Some(wrong.into()),
                ..failure
            })
        })
    }
}

fn is_readable(input: &Value) -> Result<(), String> {
    if input.is_object() || input.is_null() {
        Ok(())
    } else {
        Err("input: must be an object".to_owned())
    }
}

/// The outcome, or which field has the wrong type.
fn decide(input: &Value, context: &Value) -> Result<Outcome, String> {
    is_readable(input)?;
    if holds(input, context)? {
        let next = selected(input, "on_true_next")?;
        return Ok(success("condition true", next, false));
    }
    let on_false = text(input, "on_false")?.unwrap_or_default().to_lowercase();
    Ok(match on_false.as_str() {
        "stop" => success("condition false; stopping", None, true),
        "fail" => Outcome::Failed(Failure {
            code: Some(400),
            ..Failure::new("condition_failed", "condition failed")
        }),
        _ => success("condition false; continue", selected(input, "on_false_next")?, false),
    })
}

fn success(output: &str, next: Option<Vec<String>>, stop: bool) -> Outcome {
    Outcome::Succeeded(Success {
        output: Arc::new(output.into()),
        code: Some(200),
        next,
        stop,
        ..Success::default()
    })
}

fn holds(input: &Value, context: &Value) -> Result<bool, String> {
    let key = text(input, "key")?;
    match (input.get("if"), key) {
        (Some(value), None) => Ok(is_truthy(value)),
        (Some(value), Some(key)) => Ok(is_truthy(value) && matches(input, context.get(key))),
        (None, key) => Ok(matches(input, context.get(key.unwrap_or_default()))),
    }
}

fn matches(input: &Value, actual: Option<&Value>) -> bool {
    let Some(actual) = actual else { return false };
    let wanted = |field| input.get(field).filter(|value| !value.is_null());
    match (wanted("equals"), wanted("not_equals")) {
        (Some(equal), _) => is_equal(actual, equal),
        (None, Some(other)) => !is_equal(actual, other),
        (None, None) => false,
    }
}

fn text<'a>(input: &'a Value, field: &str) -> Result<Option<&'a str>, String> {
    match input.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("input.{field}: must be a string")),
    }
}

fn selected(input: &Value, field: &str) -> Result<Option<Vec<String>>, String> {
    let wrong = || format!("input.{field}: must be an array of step keys");
    match input.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(keys)) => {
            let keys = keys.iter().map(|key| key.as_str().map(str::to_owned));
            keys.collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

/// Equal in type and value at every depth; numbers by their value, whatever their notation.
fn is_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => is_equal_number(left, right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let is_in_right =
                |(key, value): (&String, &Value)| right.get(key).is_some_and(|other| is_equal(value, other));
            left.len() == right.len() && left.iter().all(is_in_right)
        }
        (left, right) => left == right,
    }
}

fn is_equal_number(left: &Number, right: &Number) -> bool {
    // Whole numbers are compared as such: as floats, large neighbours would be equal.
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => left == right,
        _ => left.as_f64() == right.as_f64(),
    }
}

/// Whether a value counts as true: not null, false, zero, empty, nor one of these as a text (templates that mix
/// text and values yield texts).
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(
            text.trim().to_lowercase().as_str(),
            "" | "false" | "0" | "null" | "none"
        ),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::tests::{succeeded, work};
    use serde_json::json;

    fn run(context: Value, input: Value) -> Outcome {
        let mut work = work("condition", input);
        work.context = Arc::new(context);
        Condition.execute_inline(&work)
    }

    fn says(context: Value, input: Value) -> bool {
        match succeeded(run(context, input)).output.as_str() {
            Some("condition true") => true,
            Some("condition false; continue") => false,
            other => panic!("unexpected output {other:?}"),
        }
    }

    #[test]
    fn equals_is_strict_about_types_but_not_about_the_notation_of_numbers() {
        for (actual, wanted, expected) in [
            (json!(1), json!(1), true),
            (json!(1), json!(1.0), true),
            (json!(1), json!("1"), false),
            (json!(1), json!(true), false),
            (json!(9007199254740993u64), json!(9007199254740992u64), false),
            (json!("a"), json!("a"), true),
            (json!({"a": [1, {"b": 2}]}), json!({"a": [1.0, {"b": 2}]}), true),
            (json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1}), true),
            (json!({"a": 1}), json!({"a": 1, "b": 2}), false),
            (json!([1, 2]), json!([2, 1]), false),
            (json!([1]), json!([1, 2]), false),
        ] {
            assert_eq!(
                says(json!({"k": actual}), json!({"key": "k", "equals": wanted})),
                expected,
                "{actual} {wanted}"
            );
            assert_eq!(
                says(json!({"k": actual}), json!({"key": "k", "not_equals": wanted})),
                !expected
            );
        }
    }

    #[test]
    fn a_missing_key_is_false_for_both_comparisons() {
        for input in [
            json!({"key": "k", "equals": 1}),
            json!({"key": "k", "not_equals": 1}),
            json!({"equals": 1}),
            json!(null),
        ] {
            assert!(!says(json!({"other": 1}), input.clone()));
            assert!(!says(json!(null), input));
        }
    }

    #[test]
    fn equals_wins_over_not_equals_and_null_counts_as_absent() {
        let context = || json!({"k": 1, "n": null});
        assert!(says(context(), json!({"key": "k", "equals": 1, "not_equals": 1})));
        assert!(!says(context(), json!({"key": "k", "equals": null, "not_equals": 1})));
        assert!(says(context(), json!({"key": "k", "equals": null, "not_equals": 2})));
        assert!(!says(context(), json!({"key": "k"})));
        assert!(!says(context(), json!({"key": "n", "equals": null})));
    }

    #[test]
    fn false_stops_fails_or_continues_as_asked() {
        let on_false = |what: &str| run(json!({"k": 1}), json!({"key": "k", "equals": 2, "on_false": what}));
        for what in ["stop", "STOP"] {
            let stopped = succeeded(on_false(what));
            assert_eq!(
                (stopped.output.as_ref(), stopped.code, stopped.stop),
                (&json!("condition false; stopping"), Some(200), true)
            );
        }
        let Outcome::Failed(failure) = on_false("Fail") else {
            panic!("must fail")
        };
        assert_eq!(
            (failure.message.as_str(), failure.code, failure.retryable),
            ("condition failed", Some(400), None)
        );
        for what in ["continue", "", "other"] {
            let continued = succeeded(on_false(what));
            assert_eq!(
                (continued.output.as_ref(), continued.code, continued.stop),
                (&json!("condition false; continue"), Some(200), false)
            );
        }
    }

    #[test]
    fn a_templated_if_is_judged_by_its_truth() {
        for value in [
            json!(true),
            json!(1),
            json!("yes"),
            json!([0]),
            json!({"a": null}),
            json!(-0.5),
        ] {
            assert!(says(json!({}), json!({"if": value})), "{value}");
        }
        for value in [
            json!(false),
            json!(0),
            json!(0.0),
            json!(""),
            json!(" False "),
            json!("0"),
            json!("null"),
            json!([]),
            json!({}),
            json!(null),
        ] {
            assert!(!says(json!({}), json!({"if": value})), "{value}");
        }
        let both = |value: bool, k: i32| says(json!({"k": k}), json!({"if": value, "key": "k", "equals": 1}));
        assert_eq!([both(true, 1), both(true, 2), both(false, 1)], [true, false, false]);
    }

    #[test]
    fn the_answer_selects_the_successors() {
        let input = |value: bool| json!({"if": value, "on_true_next": ["a", "b"], "on_false_next": []});
        assert_eq!(
            succeeded(run(json!({}), input(true))).next,
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(succeeded(run(json!({}), input(false))).next, Some(vec![]));
        assert_eq!(succeeded(run(json!({}), json!({"if": true}))).next, None);
    }

    #[test]
    fn wrong_types_fail_for_good_at_run_time_and_are_named_at_creation() {
        for (input, field) in [
            (json!({"key": 1}), "input.key: must be a string"),
            (
                json!({"on_false": true, "if": false}),
                "input.on_false: must be a string",
            ),
            (
                json!({"on_true_next": "a", "if": true}),
                "input.on_true_next: must be an array of step keys",
            ),
            (
                json!({"on_false_next": [1], "if": false}),
                "input.on_false_next: must be an array of step keys",
            ),
            (json!([1]), "input: must be an object"),
        ] {
            assert_eq!(Condition.check_input("condition", &input), Err(field.to_owned()));
            let Outcome::Failed(failure) = run(json!({}), input) else {
                panic!("must fail")
            };
            assert_eq!(
                (failure.message.as_str(), failure.retryable),
                ("invalid condition input", Some(false))
            );
        }
        for input in [
            json!({"on_true_next": "{{ input.next }}"}),
            json!({"if": "{{ x }}"}),
            json!("{{ x }}"),
            json!(null),
        ] {
            assert_eq!(Condition.check_input("condition", &input), Ok(()));
        }
    }
}
