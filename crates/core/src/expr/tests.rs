//! Tests of the language, its limits, and its agreement with Jinja.

mod bombs;
mod cost;
mod jinja;
mod language;
mod secrets;
mod templates;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Condition, Expression, Limits, RenderError, Scope, StepView, Template};

/// A scope that notes what it was asked for.
#[derive(Default)]
struct Fixture {
    roots: BTreeMap<String, Arc<Value>>,
    steps: Vec<(String, StepView)>,
    asked: RefCell<Vec<String>>,
}

impl Fixture {
    fn with_context(context: Value) -> Self {
        let mut fixture = Self::default();
        fixture.roots.insert("context".to_owned(), Arc::new(context));
        fixture
    }

    fn step(mut self, key: &str, output: Value) -> Self {
        let view = StepView {
            output: Arc::new(output),
            status: "succeeded",
            error: None,
            code: Some(200),
        };
        self.steps.push((key.to_owned(), view));
        self
    }
}

impl Scope for Fixture {
    fn root(&self, name: &str) -> Option<Arc<Value>> {
        self.asked.borrow_mut().push(name.to_owned());
        self.roots.get(name).cloned()
    }

    fn step(&self, key: &str) -> Option<StepView> {
        self.asked.borrow_mut().push(format!("steps.{key}"));
        self.steps
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, view)| view.clone())
    }

    fn step_keys(&self) -> Vec<String> {
        self.asked.borrow_mut().push("steps".to_owned());
        self.steps.iter().map(|(key, _)| key.clone()).collect()
    }
}

fn fixture() -> Fixture {
    let context = json!({
        "n": 7, "big": u64::MAX, "small": i64::MIN, "ratio": 0.1, "whole": 2.0, "name": "Ada", "empty": "", "none": null,
        "flag": true, "list": [3, 1, 2], "tags": {"z": 1, "a": 2}, "text": "{\"k\": [1, 2]}",
        "users": [{"name": "Bo", "age": 30, "on": true}, {"name": "Al", "age": 25, "on": false}, {"name": "Cy", "age": 41, "on": true}],
    });
    Fixture::with_context(context)
        .step("fetch", json!({"ok": true, "rows": [{"id": 1}, {"id": 2}]}))
        .step("my step", json!("text"))
}

fn render(value: Value) -> Result<Value, RenderError> {
    Template::compile(&value, &Limits::DEFAULT)
        .expect("compiles")
        .render(&fixture())
}

fn text(source: &str) -> Value {
    render(Value::from(source)).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn eval(source: &str) -> Value {
    let expression = Expression::compile(source, &Limits::DEFAULT).unwrap_or_else(|error| panic!("{source}: {error}"));
    expression
        .evaluate(&fixture())
        .unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn eval_error(source: &str) -> String {
    let expression = Expression::compile(source, &Limits::DEFAULT).unwrap_or_else(|error| panic!("{source}: {error}"));
    expression.evaluate(&fixture()).expect_err(source).to_string()
}

fn compile_error(source: &str) -> String {
    Template::compile(&Value::from(source), &Limits::DEFAULT)
        .expect_err(source)
        .to_string()
}

fn holds(source: &str) -> bool {
    Condition::compile(source, &Limits::DEFAULT)
        .expect(source)
        .evaluate(&fixture())
        .expect(source)
}
