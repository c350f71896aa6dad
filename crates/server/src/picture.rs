//! A workflow, or a run of one, as a picture: for the command line, and for every face that draws.
//!
//! What is drawn is a [`Picture`]: nodes and edges, without any notion of how it will look. [`Format`] says how it is
//! written. Texts are cheap, whatever their size. An SVG needs places for everything: that costs more than it shows where
//! there are thousands of steps, so what strangers ask for is bounded ([`Picture::draw_bounded`]), and done
//! [`aside`] of the threads that answer requests.

mod aside;
mod dot;
mod layers;
mod layout;
mod live;
mod mermaid;
mod pack;
mod svg;

use std::collections::HashMap;

use quintet_core::plan::{EdgeOn, Join, PlanSpec, StepSpec};

pub(crate) use aside::aside;
pub(crate) use live::note;

/// Steps that an SVG drawn for a stranger may have.
const MAX_STEPS: usize = 2_000;
/// Things in it that are drawn or need a place: steps, arrows, and the bends of these on their way past other steps.
const MAX_THINGS: usize = 20_000;

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

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text that GitHub, GitLab and many wikis draw
    Mermaid,
    /// Text for Graphviz
    Dot,
    /// A picture for browsers
    Svg,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 3] = [Format::Svg, Format::Mermaid, Format::Dot];

    /// The name that requests give it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Mermaid => "mermaid",
            Format::Dot => "dot",
            Format::Svg => "svg",
        }
    }

    /// What HTTP calls it.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Mermaid => "text/vnd.mermaid; charset=utf-8",
            Format::Dot => "text/vnd.graphviz; charset=utf-8",
            Format::Svg => "image/svg+xml",
        }
    }
}

/// The picture would be larger than anybody can look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{steps} steps with these arrows are too many for an SVG (up to {MAX_STEPS}, fewer with long arrows); ask for the \
     format mermaid or dot, and draw that with a tool of your own"
)]
pub struct TooLarge {
    steps: usize,
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

    /// The picture as text, however large it is.
    pub fn draw(&self, format: Format) -> String {
        match format {
            Format::Mermaid => mermaid::mermaid(self),
            Format::Dot => dot::dot(self),
            Format::Svg => svg::svg(self),
        }
    }

    /// The picture as text, unless drawing it would take long.
    pub fn draw_bounded(&self, format: Format) -> Result<String, TooLarge> {
        let steps = self.nodes.len();
        let things = || self.edges.len() + layers::places(steps, &self.pairs());
        let is_large = || steps > MAX_STEPS || things() > MAX_THINGS;
        if format == Format::Svg && is_large() {
            return Err(TooLarge { steps });
        }
        Ok(self.draw(format))
    }

    /// The edges as the layout wants them.
    fn pairs(&self) -> Vec<(usize, usize)> {
        self.edges.iter().map(|edge| (edge.from, edge.to)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A small workflow with one of everything.
    pub(super) fn order() -> Picture {
        let node = |key: &str, label: &str, action: &str| Node {
            key: key.to_owned(),
            label: label.to_owned(),
            action: action.to_owned(),
            ..Node::default()
        };
        let edge = |from, to, on| Edge { from, to, on };
        Picture {
            title: "order".to_owned(),
            nodes: vec![
                node("fetch", "fetch order", "http"),
                Node {
                    for_each: true,
                    ..node("price", "price", "http")
                },
                Node {
                    approval: true,
                    when: Some("context.total > \"a\"".to_owned()),
                    ..node("end", "end", "approval")
                },
                Node {
                    optional: true,
                    join: Some("any".to_owned()),
                    ..node("mend", "mend", "http")
                },
            ],
            edges: vec![
                edge(0, 1, EdgeOn::Success),
                edge(1, 2, EdgeOn::Success),
                edge(0, 3, EdgeOn::Failure),
                edge(1, 3, EdgeOn::Always),
            ],
        }
    }

    fn of(steps: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Picture {
        let node = |at: usize| Node {
            key: format!("step_{at}"),
            ..Node::default()
        };
        let on = EdgeOn::Success;
        Picture {
            title: String::new(),
            nodes: (0..steps).map(node).collect(),
            edges: edges.into_iter().map(|(from, to)| Edge { from, to, on }).collect(),
        }
    }

    #[test]
    fn an_svg_for_strangers_has_a_limit_and_a_text_has_none() {
        let many = of(100_000, (1..100_000).map(|to| (to - 1, to)));
        let complaint = many.draw_bounded(Format::Svg).unwrap_err().to_string();
        assert!(complaint.starts_with("100000 steps ") && complaint.contains("mermaid or dot"));
        for format in [Format::Mermaid, Format::Dot] {
            assert!(many.draw_bounded(format).unwrap().lines().count() > 199_998);
        }
        assert!(of(MAX_STEPS, []).draw_bounded(Format::Svg).is_ok());
    }

    #[test]
    fn few_steps_with_very_many_bends_are_refused_before_they_are_laid_out() {
        // Every step before every other: 400 steps, and more than ten million bends.
        let pairs = (0..400).flat_map(|to| (0..to).map(move |from| (from, to)));
        assert!(of(400, pairs).draw_bounded(Format::Svg).is_err());
    }
}
