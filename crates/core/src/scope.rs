//! What templates and conditions of a run can see.
//!
//! `context`, `steps.<key>.{output, status, error, code}`, `run.{id, workflow, namespace}`, and for the
//! items of a `for_each` `item` and `index`. Values are handed over by reference, not copied.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::expr::{Scope, StepView};
use crate::state::RunState;

/// The scope of one step run.
pub(crate) struct RunScope<'a> {
    state: &'a RunState,
    n: u32,
}

impl<'a> RunScope<'a> {
    pub(crate) fn of(state: &'a RunState, n: u32) -> Self {
        Self { state, n }
    }
}

impl Scope for RunScope<'_> {
    fn root(&self, name: &str) -> Option<Arc<Value>> {
        match name {
            "context" => Some(Arc::clone(&self.state.context)),
            "run" => Some(Arc::new(json!({
                "id": self.state.id.to_string(),
                "workflow": self.state.created.workflow,
                "namespace": self.state.created.namespace,
            }))),
            "item" | "index" => {
                let item = self.state.nodes[self.n as usize].item?;
                if name == "index" {
                    return Some(Arc::new(Value::from(item.index)));
                }
                let fan = self.state.nodes[item.parent as usize].fan.as_ref()?;
                fan.items.get(item.index as usize).cloned().map(Arc::new)
            }
            _ => None,
        }
    }

    fn step(&self, key: &str) -> Option<StepView> {
        let node = &self.state.nodes[self.state.plan.step_index(key)? as usize];
        let success = node.success.as_ref();
        Some(StepView {
            output: success.map(|success| Arc::clone(&success.output)).unwrap_or_default(),
            status: node.status.as_str(),
            error: node.failure.as_ref().map(|failure| failure.message.clone()),
            code: success
                .and_then(|success| success.code)
                .or(node.failure.as_ref().and_then(|failure| failure.code)),
        })
    }

    fn step_keys(&self) -> Vec<String> {
        self.state.plan.spec.steps.iter().map(|step| step.key.clone()).collect()
    }
}
