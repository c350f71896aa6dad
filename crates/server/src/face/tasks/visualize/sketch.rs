//! A pipeline as somebody has written it down, not checked for anything but what a drawing needs: steps may wait for each
//! other, for themselves, or for nothing that is there.

use std::collections::HashMap;
use std::fmt::Write;

use quintet_core::plan::EdgeOn;
use serde_json::Value;

use crate::picture::{Edge, Node, Picture, State};

/// The steps, one for each id: where two have the same, the later one stands in the place of the first.
#[derive(Debug)]
pub(super) struct Sketch<'a> {
    steps: Vec<Step<'a>>,
    /// No step has an id or waits for another: they run in the order written.
    is_sequence: bool,
}

#[derive(Debug)]
struct Step<'a> {
    id: String,
    /// Place in the list that was written.
    index: usize,
    task: &'a str,
    depends_on: Vec<&'a str>,
    for_each: bool,
    optional: bool,
}

impl<'a> Sketch<'a> {
    /// Reads a body; the error is the text for whoever sent it.
    pub fn read(body: &'a Value) -> Result<Self, String> {
        let written = match body.get("steps") {
            None | Some(Value::Null | Value::Bool(false)) => return Err("No steps in task".to_owned()),
            Some(Value::Array(steps)) if steps.is_empty() => return Err("No steps in task".to_owned()),
            Some(Value::Array(steps)) => steps,
            Some(_) => return Err("steps must be an array".to_owned()),
        };
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut steps: Vec<Step<'a>> = Vec::with_capacity(written.len());
        let mut is_sequence = true;
        for (index, step) in written.iter().enumerate() {
            let (step, is_named) = Step::read(index, step)?;
            is_sequence &= !is_named && step.depends_on.is_empty();
            match places.get(&step.id) {
                Some(&place) => steps[place] = step,
                None => {
                    places.insert(step.id.clone(), steps.len());
                    steps.push(step);
                }
            }
        }
        Ok(Self { steps, is_sequence })
    }

    /// The original's text. A dot of a task's name becomes a backslash and an `n`, which Mermaid reads as a new line.
    pub fn mermaid(&self) -> String {
        let mut text = String::from("graph TD");
        for step in &self.steps {
            let (id, label) = (plain(&step.id), plain(step.task).replace('.', "\\n"));
            let _ = match step.for_each {
                true => write!(text, "\n  {id}{{{{{label}\\nforEach}}}}"),
                false => write!(text, "\n  {id}[{label}]"),
            };
        }
        for step in &self.steps {
            if let Some(before) = self.before(step) {
                let _ = write!(text, "\n  {before} --> {}", plain(&step.id));
            }
            for dependency in &step.depends_on {
                let _ = write!(text, "\n  {} --> {}", plain(dependency), plain(&step.id));
            }
        }
        let optional = self.steps.iter().filter(|step| step.optional);
        let optional: Vec<String> = optional.map(|step| plain(&step.id)).collect();
        if !optional.is_empty() {
            let _ = write!(text, "\n  style {} stroke-dasharray: 5 5", optional.join(","));
        }
        text
    }

    /// The same for our own drawing. What is waited for and is not there is drawn as the mistake that it is.
    pub fn picture(&self) -> Picture {
        let mut picture = Picture::default();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for step in &self.steps {
            places.insert(&step.id, picture.nodes.len());
            picture.nodes.push(Node {
                key: step.id.clone(),
                label: step.id.clone(),
                action: step.task.to_owned(),
                for_each: step.for_each,
                optional: step.optional,
                ..Node::default()
            });
        }
        for (to, step) in self.steps.iter().enumerate() {
            let on = EdgeOn::Success;
            if let Some(&from) = self.before(step).and_then(|before| places.get(before.as_str())) {
                picture.edges.push(Edge { from, to, on });
            }
            for name in &step.depends_on {
                let from = *places.entry(name).or_insert_with(|| missing(&mut picture.nodes, name));
                picture.edges.push(Edge { from, to, on });
            }
        }
        picture
    }

    /// What comes before a step of a sequence.
    fn before(&self, step: &Step<'_>) -> Option<String> {
        (self.is_sequence && step.index > 0).then(|| format!("step_{}", step.index - 1))
    }
}

impl<'a> Step<'a> {
    /// Reads one, and whether it has a name of its own.
    fn read(index: usize, step: &'a Value) -> Result<(Self, bool), String> {
        let field = |name: &str| format!("steps[{index}].{name}");
        if !step.is_object() {
            return Err(format!("steps[{index}] must be an object"));
        }
        let task = match step.get("task") {
            None | Some(Value::Null) => return Err(format!("{} is required", field("task"))),
            Some(task) => task
                .as_str()
                .ok_or_else(|| format!("{} must be a string", field("task")))?,
        };
        let name = match step.get("id") {
            None | Some(Value::Null) => None,
            Some(id) => Some(id.as_str().ok_or_else(|| format!("{} must be a string", field("id")))?),
        };
        let name = name.filter(|name| !name.is_empty());
        let no_strings = || format!("{} must be an array of strings", field("dependsOn"));
        let depends_on = match step.get("dependsOn") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(names)) => {
                let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
                names.ok_or_else(no_strings)?
            }
            Some(_) => return Err(no_strings()),
        };
        let read = Self {
            id: name.map_or_else(|| format!("step_{index}"), str::to_owned),
            index,
            task,
            depends_on,
            for_each: is_set(step.get("forEach")),
            optional: is_set(step.get("optional")),
        };
        Ok((read, name.is_some()))
    }
}

/// Whether JavaScript takes it for true.
fn is_set(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(_) => true,
    }
}

/// A name within its line: one that held a line break could bring lines of its own into the text.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The place of a step that is waited for and is not there.
fn missing(nodes: &mut Vec<Node>, name: &str) -> usize {
    nodes.push(Node {
        key: name.to_owned(),
        label: name.to_owned(),
        action: "there is no such step".to_owned(),
        state: Some(State::Failed),
        ..Node::default()
    });
    nodes.len() - 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(steps: Value) -> String {
        Sketch::read(&json!({ "steps": steps })).expect("steps").mermaid()
    }

    fn refusal(body: Value) -> String {
        Sketch::read(&body).expect_err("a refusal")
    }

    #[test]
    fn the_original_example_has_exactly_its_text() {
        let steps = json!([
            { "id": "download", "task": "data.download" },
            { "id": "process", "task": "video.process", "dependsOn": ["download"] },
        ]);
        let expected = r"graph TD
  download[data\ndownload]
  process[video\nprocess]
  download --> process";
        assert_eq!(text(steps), expected);
    }

    #[test]
    fn every_dot_breaks_the_line_and_a_loop_has_braces() {
        let steps = json!([{ "task": "a.b.c" }, { "task": "d", "forEach": "{{steps.0.items}}" }]);
        let expected = r"graph TD
  step_0[a\nb\nc]
  step_1{{d\nforEach}}
  step_0 --> step_1";
        assert_eq!(text(steps), expected);
    }

    #[test]
    fn edges_come_after_all_nodes_and_those_to_unknown_steps_too() {
        let steps = json!([
            { "id": "join", "task": "j", "dependsOn": ["b", "ghost", "a"] },
            { "id": "a", "task": "x" },
            { "id": "b", "task": "y", "dependsOn": ["a"] },
        ]);
        let expected = "graph TD\n  join[j]\n  a[x]\n  b[y]\n  b --> join\n  ghost --> join\n  a --> join\n  a --> b";
        assert_eq!(text(steps), expected);
    }

    #[test]
    fn one_id_anywhere_ends_the_sequence_and_an_empty_list_does_not() {
        let named = json!([{ "task": "a" }, { "id": "x", "task": "b" }]);
        assert_eq!(text(named), "graph TD\n  step_0[a]\n  x[b]");
        let plain = json!([{ "task": "a", "id": "" }, { "task": "b", "dependsOn": [] }, { "task": "c" }]);
        assert!(text(plain).ends_with("\n  step_0 --> step_1\n  step_1 --> step_2"));
    }

    #[test]
    fn optional_steps_share_the_last_line() {
        let steps = json!([
            { "id": "a", "task": "x", "optional": true },
            { "id": "b", "task": "y", "dependsOn": ["a"], "optional": true },
            { "id": "c", "task": "z", "optional": false },
        ]);
        assert!(text(steps).ends_with("\n  a --> b\n  style a,b stroke-dasharray: 5 5"));
    }

    #[test]
    fn the_later_of_two_steps_with_one_id_stands_where_the_first_stood() {
        let steps = json!([
            { "id": "a", "task": "first", "optional": true },
            { "id": "b", "task": "middle", "dependsOn": ["a"] },
            { "id": "a", "task": "second", "dependsOn": ["b"] },
        ]);
        assert_eq!(text(steps), "graph TD\n  a[second]\n  b[middle]\n  b --> a\n  a --> b");
    }

    #[test]
    fn a_name_cannot_begin_a_line_of_its_own() {
        let steps = json!([{ "id": "a\n  click a href \"javascript:x\"", "task": "t\r\n  b[c]" }]);
        assert_eq!(text(steps).lines().count(), 2);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_with_the_field_named() {
        let none = "No steps in task";
        for body in [
            json!({}),
            json!(null),
            json!("x"),
            json!({ "steps": [] }),
            json!({ "steps": null }),
        ] {
            assert_eq!(refusal(body), none);
        }
        for (steps, expected) in [
            (json!({ "0": {} }), "steps must be an array"),
            (json!("ab"), "steps must be an array"),
            (json!([{ "task": "a" }, {}]), "steps[1].task is required"),
            (json!([{ "task": 7 }]), "steps[0].task must be a string"),
            (json!([{ "task": "a", "id": 7 }]), "steps[0].id must be a string"),
            (json!([null]), "steps[0] must be an object"),
            (
                json!([{ "task": "a", "dependsOn": "b" }]),
                "steps[0].dependsOn must be an array of strings",
            ),
        ] {
            assert_eq!(refusal(json!({ "steps": steps })), expected);
        }
    }

    #[test]
    fn circles_and_missing_steps_are_drawn() {
        let steps = json!({ "steps": [
            { "id": "a", "task": "x", "dependsOn": ["b", "ghost"] },
            { "id": "b", "task": "y", "dependsOn": ["a", "b", "ghost"] },
        ] });
        let picture = Sketch::read(&steps).expect("steps").picture();
        assert_eq!(picture.nodes.len(), 3);
        let pairs: Vec<(usize, usize)> = picture.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        assert_eq!(pairs, [(1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]);
        let svg = picture.draw_bounded(crate::picture::Format::Svg).expect("small");
        assert_eq!(svg.matches("marker-end=").count(), 5);
        assert!(svg.contains("there is no such step"));
    }
}
