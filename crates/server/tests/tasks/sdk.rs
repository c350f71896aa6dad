//! The face's client library and its dashboard, as `sdk.mjs` plays them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::House;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tasks/sdk.mjs");

/// What came of an operation.
#[derive(Debug)]
pub struct Outcome {
    /// The messages of a stream that it followed.
    pub messages: Vec<Value>,
    /// What was returned, or the text of the exception.
    pub result: Result<Value, String>,
}

impl House {
    /// Makes an operation of the library or of the dashboard, and gives what the application gets.
    pub fn client(&self, operation: &str, arguments: &Value) -> Result<Value, String> {
        self.operation(operation, arguments, || {}).result
    }

    /// Follows a task's news to its end; `begin` is called when the first message is there.
    pub fn follow(&self, id: &str, begin: impl FnOnce()) -> Vec<Value> {
        let outcome = self.operation("follow", &serde_json::json!([id]), begin);
        assert!(outcome.result.is_ok(), "{outcome:?}");
        outcome.messages
    }

    fn operation(&self, operation: &str, arguments: &Value, begin: impl FnOnce()) -> Outcome {
        let mut child = Command::new("node")
            .arg(PROGRAM)
            .args([
                &format!("http://{}", self.server().address()),
                operation,
                &arguments.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node starts (the tests need it, version 20 or later)");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let mut messages = Vec::new();
        let mut result = None;
        let mut begin = Some(begin);
        for line in lines.map_while(Result::ok) {
            let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if let Some(message) = told.get("message") {
                messages.push(message.clone());
                begin.take().into_iter().for_each(|begin| begin());
            } else if let Some(error) = told["error"].as_str() {
                result = Some(Err(error.to_owned()));
            } else {
                result = Some(Ok(told["value"].clone()));
            }
        }
        child.wait().expect("it ends");
        let result = result.unwrap_or_else(|| panic!("{operation} said nothing; messages: {messages:#?}"));
        Outcome { messages, result }
    }
}
