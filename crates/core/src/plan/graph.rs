//! Edges, order and cycles. Kahn's algorithm, iterative, linear in nodes and edges.

use std::collections::{HashMap, HashSet};

use super::{Edge, PlanError, StepSpec};

/// Successors and predecessors of each step.
pub(super) struct Adjacency {
    pub successors: Vec<Vec<Edge>>,
    pub predecessors: Vec<Vec<Edge>>,
}

/// Builds the adjacency, refusing unknown, repeated and self edges.
pub(super) fn link(steps: &[StepSpec], index: &HashMap<String, u32>) -> Result<Adjacency, PlanError> {
    let mut adjacency = Adjacency {
        successors: vec![Vec::new(); steps.len()],
        predecessors: vec![Vec::new(); steps.len()],
    };
    let mut seen: HashSet<u32> = HashSet::new();
    for (at, step) in steps.iter().enumerate() {
        seen.clear();
        for (nth, dependency) in step.depends_on.iter().enumerate() {
            let field = || format!("steps[{at}].depends_on[{nth}]");
            let Some(&before) = index.get(&dependency.step) else {
                let message = format!("unknown step \"{}\"", dependency.step);
                return Err(PlanError::new(field(), message));
            };
            if before as usize == at {
                return Err(PlanError::new(
                    field(),
                    format!("step \"{}\" depends on itself", step.key),
                ));
            }
            if !seen.insert(before) {
                return Err(PlanError::new(
                    field(),
                    format!("step \"{}\" is named twice", dependency.step),
                ));
            }
            adjacency.successors[before as usize].push(Edge {
                step: at as u32,
                on: dependency.on,
            });
            adjacency.predecessors[at].push(Edge {
                step: before,
                on: dependency.on,
            });
        }
    }
    Ok(adjacency)
}

/// A cycle, as step indices with the first repeated at the end, or `None` when the graph has none.
pub(super) fn find_cycle(adjacency: &Adjacency) -> Option<Vec<u32>> {
    let mut remaining: Vec<usize> = adjacency.predecessors.iter().map(Vec::len).collect();
    let mut ready: Vec<u32> = (0..remaining.len() as u32)
        .filter(|&step| remaining[step as usize] == 0)
        .collect();
    let mut ordered = 0;
    while let Some(step) = ready.pop() {
        ordered += 1;
        for edge in &adjacency.successors[step as usize] {
            let left = &mut remaining[edge.step as usize];
            *left -= 1;
            if *left == 0 {
                ready.push(edge.step);
            }
        }
    }
    if ordered == remaining.len() {
        return None;
    }
    // Every step left over has a predecessor left over: walking backwards must come round.
    let mut at = remaining.iter().position(|left| *left > 0)? as u32;
    let mut position: HashMap<u32, usize> = HashMap::new();
    let mut path = Vec::new();
    while !position.contains_key(&at) {
        position.insert(at, path.len());
        path.push(at);
        at = adjacency.predecessors[at as usize]
            .iter()
            .find(|edge| remaining[edge.step as usize] > 0)?
            .step;
    }
    let mut cycle = path.split_off(position[&at]);
    cycle.reverse();
    let lowest = cycle
        .iter()
        .enumerate()
        .min_by_key(|(_, step)| **step)
        .map_or(0, |(nth, _)| nth);
    cycle.rotate_left(lowest);
    cycle.push(cycle[0]);
    Some(cycle)
}
