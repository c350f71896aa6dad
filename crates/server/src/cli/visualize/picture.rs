//! What is drawn: a workflow as nodes and edges, without any notion of how it will look.

use std::collections::HashMap;

use quintet_core::plan::{EdgeOn, Join, PlanSpec, StepSpec};
use serde_json::Value;

/// A workflow, or a run of one, as a graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picture {
    /// Shown above it; may be empty.
    pub title: String,
    /// In the order of the definition.
    pub nodes: Vec<Node>,
    /// In the order of the definition.
    pub edges: Vec<Edge>,
}

/// A step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// Unique name.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// What it does.
    pub action: String,
    /// It runs once for each item of a list.
    pub for_each: bool,
    /// Its failure does not fail the run.
    pub optional: bool,
    /// A person has to agree before it starts, or is all that it asks for.
    pub approval: bool,
    /// It is skipped when this is false.
    pub when: Option<String>,
    /// How many predecessors it waits for, where that is not all of them.
    pub join: Option<String>,
    /// Where it stands in a run.
    pub state: Option<State>,
    /// A few words about how it went.
    pub note: Option<String>,
}

/// An arrow.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// Index of the node that comes before.
    pub from: usize,
    /// Index of the node that comes after.
    pub to: usize,
    /// Which end of the former is followed.
    pub on: EdgeOn,
}

/// Where a step stands, as far as a picture tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not begun.
    Pending,
    /// Under way.
    Running,
    /// Waits for a time or a person.
    Waiting,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Its branch was not taken.
    Skipped,
    /// Called off.
    Canceled,
}

impl State {
    /// All of them.
    pub const ALL: [State; 7] = [
        State::Pending,
        State::Running,
        State::Waiting,
        State::Succeeded,
        State::Failed,
        State::Skipped,
        State::Canceled,
    ];

    /// Reads the API's name of a step's status.
    pub fn of_status(status: &str) -> State {
        match status {
            "SUCCEEDED" | "RESOLVED" => State::Succeeded,
            "FAILED" => State::Failed,
            "RUNNING" | "QUEUED" => State::Running,
            "WAITING" | "WAITING_APPROVAL" | "RETRYING" => State::Waiting,
            "SKIPPED" => State::Skipped,
            "CANCELED" => State::Canceled,
            _ => State::Pending,
        }
    }

    /// Name, for style classes.
    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Running => "running",
            State::Waiting => "waiting",
            State::Succeeded => "succeeded",
            State::Failed => "failed",
            State::Skipped => "skipped",
            State::Canceled => "canceled",
        }
    }

    /// Fill, border and text colour.
    pub fn colours(self) -> [&'static str; 3] {
        match self {
            State::Pending => ["#ffffff", "#94a3b8", "#334155"],
            State::Running => ["#dbeafe", "#2563eb", "#1e3a8a"],
            State::Waiting => ["#fef3c7", "#d97706", "#78350f"],
            State::Succeeded => ["#dcfce7", "#16a34a", "#14532d"],
            State::Failed => ["#fee2e2", "#dc2626", "#7f1d1d"],
            State::Skipped => ["#f8fafc", "#cbd5e1", "#94a3b8"],
            State::Canceled => ["#f1f5f9", "#64748b", "#475569"],
        }
    }
}

impl Picture {
    /// The picture of a plan. Dependencies on steps that are not there are left out.
    pub fn of_plan(title: &str, plan: &PlanSpec) -> Self {
        let index: HashMap<&str, usize> = plan
            .steps
            .iter()
            .enumerate()
            .map(|(at, step)| (step.key.as_str(), at))
            .collect();
        let mut edges = Vec::new();
        for (to, step) in plan.steps.iter().enumerate() {
            let before = step
                .depends_on
                .iter()
                .filter_map(|edge| Some((*index.get(edge.step.as_str())?, edge.on)));
            edges.extend(before.map(|(from, on)| Edge { from, to, on }));
        }
        Self {
            title: title.to_owned(),
            nodes: plan.steps.iter().map(node).collect(),
            edges,
        }
    }
}

impl Picture {
    /// The picture of what the API lists as the steps of a run; items of a `for_each` are left out.
    pub fn of_steps(steps: &[Value]) -> Self {
        let text = |step: &Value, name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let steps: Vec<&Value> = steps.iter().filter(|step| step.get("item").is_none()).collect();
        let index: HashMap<&str, usize> = steps
            .iter()
            .enumerate()
            .filter_map(|(at, step)| Some((step.get("id")?.as_str()?, at)))
            .collect();
        let mut picture = Self::default();
        for (to, step) in steps.iter().enumerate() {
            let (key, name, action) = (text(step, "id"), text(step, "name"), text(step, "action"));
            picture.nodes.push(Node {
                label: if name.is_empty() { key.clone() } else { name },
                approval: step.get("approval").is_some() || action.eq_ignore_ascii_case("approval"),
                for_each: step.get("items").is_some(),
                key,
                action,
                ..Node::default()
            });
            let before = step.get("depends_on").and_then(Value::as_array).into_iter().flatten();
            let before = before.filter_map(|key| index.get(key.as_str()?).copied());
            picture.edges.extend(before.map(|from| Edge {
                from,
                to,
                on: EdgeOn::Success,
            }));
        }
        picture
    }
}

fn node(step: &StepSpec) -> Node {
    Node {
        key: step.key.clone(),
        label: step.label().to_owned(),
        action: step.action.clone(),
        for_each: step.for_each.is_some(),
        optional: step.optional,
        approval: step.requires_approval || step.action.eq_ignore_ascii_case("approval"),
        when: step.when.clone(),
        join: match step.join {
            Join::All => None,
            Join::Any => Some("any".to_owned()),
            Join::Available => Some("what is available".to_owned()),
            Join::AtLeast(n) => Some(format!("at least {n}")),
        },
        state: None,
        note: None,
    }
}

/// The words on an arrow.
pub fn edge_label(on: EdgeOn) -> Option<&'static str> {
    match on {
        EdgeOn::Success => None,
        EdgeOn::Failure => Some("on failure"),
        EdgeOn::Always => Some("always"),
    }
}

/// The first characters of a text.
pub fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}
