//! A task as a picture: the plan that it became, told in the words of the document that was submitted, in the colours of
//! its steps' states.

use std::collections::{HashMap, HashSet};

use quintet_core::plan::EdgeOn;
use quintet_core::state::RunState;
use serde_json::{Map, Value, json};

use super::super::ids::queue_of;
use super::super::plan::SINGLE;
use super::link;
use crate::picture::{Format, Node, Picture};

/// The parts of a step that is done in chunks, by the ends of their keys. The one that merges has the step's own.
const PARTS: [(&str, &str); 2] = [(":split", "split into chunks"), (":chunks", "every chunk")];

/// A task's picture.
pub(super) struct Live {
    id: String,
    /// What each node's backend is asked for.
    tasks: Vec<String>,
    pub picture: Picture,
}

impl Live {
    pub fn of(state: &RunState) -> Self {
        let words = Words::of(&state.context["task"], queue_of(state).unwrap_or_default());
        let id = state.id.to_string();
        let mut picture = Picture::of_state(&format!("{} · {id}", words.kind), state);
        // This face knows one kind of arrow; others are how the parts of a step that is done in chunks share its failure.
        picture.edges.iter_mut().for_each(|edge| edge.on = EdgeOn::Success);
        let parts: HashSet<String> = picture.nodes.iter().map(|node| node.key.clone()).collect();
        let is_merged = |node: &Node| parts.contains(&format!("{}{}", node.key, PARTS[0].0));
        let tasks = picture.nodes.iter_mut().map(|node| words.tell(node)).collect();
        for node in picture.nodes.iter_mut().filter(|node| is_merged(node)) {
            node.action.push_str(" · merge");
        }
        Self { id, tasks, picture }
    }

    /// Everything that there is to say about it.
    pub fn described(&self) -> Value {
        let Picture { nodes, edges, .. } = &self.picture;
        let arrows = edges.iter();
        let arrows = arrows.map(|edge| json!({ "from": nodes[edge.from].key, "to": nodes[edge.to].key }));
        let mermaid = self.picture.draw(Format::Mermaid);
        json!({
            "taskId": self.id,
            "url": link::to(&mermaid),
            "mermaid": mermaid,
            "svg": self.picture.draw_bounded(Format::Svg).ok(),
            "nodes": nodes.iter().zip(&self.tasks).map(|(node, task)| described(node, task)).collect::<Vec<_>>(),
            "edges": arrows.collect::<Vec<_>>(),
        })
    }
}

fn described(node: &Node, task: &str) -> Value {
    let mut described = Map::new();
    let mut say = |name: &str, value: Option<Value>| {
        described.extend(value.map(|value| (name.to_owned(), value)));
    };
    say("id", Some(node.key.as_str().into()));
    say("task", Some(task.into()));
    say("state", node.state.map(|state| state.name().into()));
    say("forEach", node.for_each.then_some(true.into()));
    say("optional", node.optional.then_some(true.into()));
    say("note", node.note.as_deref().map(Into::into));
    described.into()
}

/// What the author of a task called things.
struct Words<'a> {
    kind: String,
    queue: &'a str,
    /// By the keys that they have in the plan.
    steps: HashMap<String, &'a Value>,
}

impl<'a> Words<'a> {
    fn of(document: &'a Value, queue: &'a str) -> Self {
        let steps = document["steps"].as_array().into_iter().flatten().enumerate();
        let key = |at: usize, step: &Value| match step["id"].as_str() {
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => format!("step_{at}"),
        };
        let kind = match &document["type"] {
            Value::String(kind) => kind.clone(),
            kind => kind.to_string(),
        };
        Self {
            kind,
            queue,
            steps: steps.map(|(at, step)| (key(at, step), step)).collect(),
        }
    }

    /// Says of a node what its author said, where the plan says how we do it; the answer is what its backend is asked for.
    fn tell(&self, node: &mut Node) -> String {
        let is_part = |end: &str| node.key.ends_with(end) && !self.steps.contains_key(&node.key);
        let part = PARTS.into_iter().find(|(end, _)| is_part(end));
        let key = match part {
            Some((end, _)) => node.key[..node.key.len() - end.len()].to_owned(),
            None => node.key.clone(),
        };
        let (label, about, task) = match self.steps.get(&key) {
            Some(step) => {
                node.when = condition(step);
                let task = step["task"].as_str().unwrap_or_default().to_owned();
                (key, task.clone(), task)
            }
            None if key == SINGLE => (self.kind.clone(), format!("queue {}", self.queue), self.kind.clone()),
            None => return node.action.clone(),
        };
        node.label = label;
        node.action = match part {
            Some((_, words)) => format!("{about} · {words}"),
            None => about,
        };
        task
    }
}

/// When a step runs, as its author said it.
fn condition(step: &Value) -> Option<String> {
    match step["runWhen"].as_str() {
        None | Some("" | "always") => None,
        Some("on-demand") => Some("asked for".to_owned()),
        Some(condition) => Some(condition.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(document: &Value, key: &str) -> (Node, String) {
        let mut node = Node {
            key: key.to_owned(),
            label: "what the plan says".to_owned(),
            action: "backend".to_owned(),
            when: Some("context.task.payload.flag".to_owned()),
            ..Node::default()
        };
        let task = Words::of(document, "gpu").tell(&mut node);
        (node, task)
    }

    #[test]
    fn a_node_has_the_words_of_the_document_and_not_those_of_the_plan() {
        let document = json!({ "type": "label", "steps": [
            { "task": "audio.fetch" },
            { "id": "b", "task": "audio.transcribe", "runWhen": "{{payload.flag}}" },
            { "id": "c", "task": "text.sum", "runWhen": "on-demand" },
        ] });
        for (key, label, action, when) in [
            ("step_0", "step_0", "audio.fetch", None),
            ("b", "b", "audio.transcribe", Some("{{payload.flag}}")),
            (
                "b:split",
                "b",
                "audio.transcribe · split into chunks",
                Some("{{payload.flag}}"),
            ),
            ("c", "c", "text.sum", Some("asked for")),
        ] {
            let (node, _) = told(&document, key);
            assert_eq!(
                (node.label.as_str(), node.action.as_str(), node.when.as_deref()),
                (label, action, when)
            );
        }
        assert_eq!(told(&document, "b:chunks").1, "audio.transcribe");
    }

    #[test]
    fn a_task_without_steps_is_a_node_of_its_type() {
        let document = json!({ "type": "text.chat", "payload": {} });
        let (node, task) = told(&document, SINGLE);
        assert_eq!((node.label.as_str(), node.action.as_str()), ("text.chat", "queue gpu"));
        assert_eq!(described(&node, &task), json!({ "id": "task", "task": "text.chat" }));
        assert_eq!(told(&document, "task:split").0.action, "queue gpu · split into chunks");
    }
}
