//! What an executor is handed for an attempt, from the state alone: made when the attempt begins, and again for those
//! who must repeat what was handed out before them.

use std::sync::Arc;

use super::RunState;
use crate::expr::{RenderError, Rendered};
use crate::outcome::{Token, Work};
use crate::scope::RunScope;

impl RunState {
    /// A step run's input with its templates filled in.
    pub(crate) fn input_of(&self, n: u32) -> Result<Rendered, RenderError> {
        let step = self.nodes[n as usize].step as usize;
        self.plan.steps[step].input.render_sent(&RunScope::of(self, n))
    }

    /// The last attempt of a step run, which has this input.
    pub(crate) fn work_of(&self, n: u32, input: Rendered) -> Work {
        let node = &self.nodes[n as usize];
        let at = node.step as usize;
        let plan = &self.plan;
        Work {
            token: Token {
                run: self.id,
                node: n,
                attempt: node.attempt,
            },
            namespace: Arc::clone(&self.created.namespace),
            workflow: Arc::clone(&self.created.workflow),
            step: self.name_of(n),
            action: Arc::clone(&plan.steps[at].action),
            queue: Arc::clone(&plan.steps[at].queue),
            input: input.value,
            secrets: input.secrets,
            context: Arc::clone(&self.context),
            deadline: node.close_by,
            created: Arc::clone(&self.created),
            attempt: node.tries + 1,
            past: node.past.clone(),
            upstream: if plan.spec.steps[at].upstream {
                self.upstream(at as u32)
            } else {
                Vec::new()
            },
        }
    }

    /// What was handed out for an attempt that is under way; none for any other. The same each time, as long as
    /// nothing else in the run changes the context.
    pub fn work_under_way(&self, token: Token) -> Option<Work> {
        let node = self.nodes.get(token.node as usize)?;
        if token.run != self.id || token.attempt != node.attempt || !node.is_claimed() {
            return None;
        }
        let input = self.input_of(token.node).ok()?;
        Some(self.work_of(token.node, input))
    }
}
