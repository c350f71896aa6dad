//! The graph of a task's steps: which mode it is in, what comes before what, and what can never run.
//!
//! As soon as one step has an id or names what it depends on, the steps are a graph, and start as soon as they can;
//! otherwise they are a sequence.
//!
//! The original went through a graph in waves: everything that could run, and the next when all of that had ended. The
//! wave of a step is its *level* here. Nothing waits for waves any more, but what they promised holds: a step may read
//! the result of every step of a lower level, also of one that it does not depend on by name.
//!
//! All walks are iterative, and linear in steps and edges.

use std::borrow::Cow;
use std::collections::HashMap;

use super::document::Step;
use super::template::index;

/// Steps named in a message.
const SHOWN: usize = 50;

/// How steps follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In the order written.
    Sequence,
    /// As soon as what they depend on has ended.
    Graph,
}

/// Steps in their order. They are named by their positions.
#[derive(Debug)]
pub(crate) struct Graph<'d> {
    pub mode: Mode,
    ids: HashMap<Cow<'d, str>, usize>,
    /// What each one depends on, each once, in the order written.
    pub before: Vec<Vec<usize>>,
    levels: Vec<usize>,
}

/// Why some steps can never run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deadlock {
    /// What those steps do, in order.
    tasks: Vec<String>,
    reasons: Vec<String>,
}

impl<'d> Graph<'d> {
    pub fn of(steps: &[Step<'d>]) -> Result<Self, Deadlock> {
        let is_graph = steps.iter().any(|step| step.is_named || !step.depends_on.is_empty());
        let mut ids = HashMap::with_capacity(steps.len());
        let mut trouble = Trouble::new(steps.len());
        for (nth, step) in steps.iter().enumerate() {
            if let Some(first) = ids.insert(step.id.clone(), nth) {
                trouble.add([first, nth], format!("steps[{nth}].id: duplicate id {:?}", step.id));
                ids.insert(step.id.clone(), first);
            }
        }
        let before = match is_graph {
            true => edges(steps, &ids, &mut trouble),
            false => (0..steps.len())
                .map(|nth| nth.checked_sub(1).into_iter().collect())
                .collect(),
        };
        let levels = levels(&before, &mut trouble, |nth| steps[nth].id.as_ref());
        match trouble.found(steps) {
            Some(deadlock) => Err(deadlock),
            None => Ok(Self {
                mode: if is_graph { Mode::Graph } else { Mode::Sequence },
                ids,
                before,
                levels,
            }),
        }
    }

    /// The step that a template calls so: by its id, by `step_<n>`, and in a sequence by its number.
    pub fn find(&self, name: &str) -> Option<usize> {
        let numbered = || {
            let number = match self.mode {
                Mode::Sequence => name.strip_prefix("step_").unwrap_or(name),
                Mode::Graph => name.strip_prefix("step_")?,
            };
            index(number).filter(|nth| *nth < self.before.len())
        };
        self.ids.get(name).copied().or_else(numbered)
    }

    /// Whether the first has always ended when the second begins.
    pub fn precedes(&self, first: usize, second: usize) -> bool {
        self.levels[first] < self.levels[second]
    }

    /// How many steps follow one another up to this one.
    pub fn level(&self, nth: usize) -> usize {
        self.levels[nth]
    }

    /// Levels of more than one step, as positions.
    pub fn parallel(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (nth, level) in self.levels.iter().enumerate() {
            if groups.len() <= *level {
                groups.resize(*level + 1, Vec::new());
            }
            groups[*level].push(nth);
        }
        groups.retain(|group| group.len() > 1);
        groups
    }
}

impl Deadlock {
    /// What the original said, when it had got stuck.
    pub fn text(&self) -> String {
        format!(
            "Pipeline deadlock: cannot run remaining steps [{}]. Check for circular dependencies or missing dependency \
             IDs.",
            shown(&self.tasks, ", ")
        )
    }

    /// The same, and where it is.
    pub fn precise(&self) -> String {
        format!("{} ({})", self.text(), shown(&self.reasons, "; "))
    }
}

fn shown(texts: &[String], between: &str) -> String {
    let mut text = texts
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(between);
    if texts.len() > SHOWN {
        text.push_str(between);
        text.push_str("...");
    }
    text
}

/// Steps that are stuck, and why.
struct Trouble {
    is_stuck: Vec<bool>,
    reasons: Vec<String>,
}

impl Trouble {
    fn new(steps: usize) -> Self {
        Self {
            is_stuck: vec![false; steps],
            reasons: Vec::new(),
        }
    }

    fn add(&mut self, steps: impl IntoIterator<Item = usize>, reason: String) {
        steps.into_iter().for_each(|nth| self.is_stuck[nth] = true);
        self.reasons.push(reason);
    }

    fn found(self, steps: &[Step<'_>]) -> Option<Deadlock> {
        let stuck = steps.iter().zip(&self.is_stuck).filter(|(_, is_stuck)| **is_stuck);
        let tasks: Vec<String> = stuck.map(|(step, _)| step.task.to_owned()).collect();
        (!self.reasons.is_empty()).then_some(Deadlock {
            tasks,
            reasons: self.reasons,
        })
    }
}

fn edges(steps: &[Step<'_>], ids: &HashMap<Cow<'_, str>, usize>, trouble: &mut Trouble) -> Vec<Vec<usize>> {
    let mut edges = Vec::with_capacity(steps.len());
    // Last step that named each one, so that naming it twice counts once.
    let mut named_by = vec![usize::MAX; steps.len()];
    for (nth, step) in steps.iter().enumerate() {
        let mut before = Vec::with_capacity(step.depends_on.len());
        for (at, id) in step.depends_on.iter().enumerate() {
            match ids.get(*id) {
                Some(&first) if named_by[first] != nth => {
                    named_by[first] = nth;
                    before.push(first);
                }
                Some(_) => {}
                None => trouble.add([nth], format!("steps[{nth}].dependsOn[{at}]: no step {id:?}")),
            }
        }
        edges.push(before);
    }
    edges
}

/// The level of each step; what cannot be reached is stuck, and one cycle is named.
fn levels<'i>(before: &[Vec<usize>], trouble: &mut Trouble, id: impl Fn(usize) -> &'i str) -> Vec<usize> {
    let mut after = vec![Vec::new(); before.len()];
    for (nth, before) in before.iter().enumerate() {
        before.iter().for_each(|&first| after[first].push(nth));
    }
    let mut waits_for: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut levels = vec![0; before.len()];
    let mut ready: Vec<usize> = (0..before.len()).filter(|&nth| waits_for[nth] == 0).collect();
    while let Some(nth) = ready.pop() {
        for &next in &after[nth] {
            levels[next] = levels[next].max(levels[nth] + 1);
            trouble.is_stuck[next] |= trouble.is_stuck[nth];
            waits_for[next] -= 1;
            if waits_for[next] == 0 {
                ready.push(next);
            }
        }
    }
    let left: Vec<usize> = (0..before.len()).filter(|&nth| waits_for[nth] > 0).collect();
    if let Some(&first) = left.first() {
        let mut names: Vec<String> = cycle(first, before, &waits_for)
            .into_iter()
            .map(|nth| id(nth).to_owned())
            .collect();
        names.push(names[0].clone());
        trouble.add(left, format!("cycle {}", shown(&names, " -> ")));
    }
    levels
}

/// One cycle among the steps that wait for one another, in the direction of time, its first step first.
pub(crate) fn cycle(from: usize, before: &[Vec<usize>], waits_for: &[usize]) -> Vec<usize> {
    let (mut at, mut path) = (from, Vec::new());
    let mut seen_at = HashMap::new();
    // Each of them waits for another one: walking backwards must come round.
    while let std::collections::hash_map::Entry::Vacant(entry) = seen_at.entry(at) {
        entry.insert(path.len());
        path.push(at);
        at = before[at]
            .iter()
            .copied()
            .find(|&first| waits_for[first] > 0)
            .unwrap_or(at);
    }
    let mut cycle = path.split_off(seen_at[&at]);
    cycle.reverse();
    let lowest = cycle
        .iter()
        .enumerate()
        .min_by_key(|(_, nth)| **nth)
        .map_or(0, |(at, _)| at);
    cycle.rotate_left(lowest);
    cycle
}

#[cfg(test)]
mod tests;
