//! One order of a graph, its levels and its critical path; or a cycle.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Report, Vertex};
use crate::face::tasks::graph::cycle;

/// An order in which everything can run.
pub(super) struct Order {
    sequence: Vec<usize>,
    levels: Vec<usize>,
    /// The chain that ends at each vertex.
    chains: Vec<Chain>,
}

/// A chain of vertices that follow one another. Compared by what it weighs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Chain {
    timeouts_ns: i64,
    length: usize,
    /// The one before its end. Of equal chains the one of earlier vertices counts.
    before: Reverse<Option<usize>>,
}

impl Order {
    /// The order, or a cycle: its first vertex is repeated at the end.
    pub fn of(vertices: &[Vertex<'_>], before: &[Vec<usize>]) -> Result<Self, Vec<usize>> {
        let mut after = vec![Vec::new(); before.len()];
        for (nth, before) in before.iter().enumerate() {
            before.iter().for_each(|&first| after[first].push(nth));
        }
        let mut waits_for: Vec<usize> = before.iter().map(Vec::len).collect();
        let mut ready: BinaryHeap<(i32, Reverse<usize>)> = (0..before.len())
            .filter(|&nth| waits_for[nth] == 0)
            .map(|nth| (vertices[nth].rank, Reverse(nth)))
            .collect();
        let mut order = Self {
            sequence: Vec::with_capacity(before.len()),
            levels: vec![0; before.len()],
            chains: vertices.iter().map(|vertex| Chain::of(vertex, None)).collect(),
        };
        while let Some((_, Reverse(nth))) = ready.pop() {
            order.sequence.push(nth);
            for &next in &after[nth] {
                order.levels[next] = order.levels[next].max(order.levels[nth] + 1);
                let chain = Chain::of(&vertices[next], Some((nth, order.chains[nth])));
                order.chains[next] = order.chains[next].max(chain);
                waits_for[next] -= 1;
                if waits_for[next] == 0 {
                    ready.push((vertices[next].rank, Reverse(next)));
                }
            }
        }
        match waits_for.iter().position(|left| *left > 0) {
            None => Ok(order),
            Some(first) => {
                let mut cycle = cycle(first, before, &waits_for);
                cycle.push(cycle[0]);
                Err(cycle)
            }
        }
    }

    /// Puts what it says into the report.
    pub fn tell(&self, vertices: &[Vertex<'_>], report: &mut Report) {
        let name = |nth: usize| vertices[nth].id.to_owned();
        report.execution_order = self.sequence.iter().map(|&nth| name(nth)).collect();
        let count = self.levels.iter().max().map_or(0, |last| last + 1);
        report.levels = vec![Vec::new(); count];
        for &nth in &self.sequence {
            report.levels[self.levels[nth]].push(name(nth));
        }
        let last = (0..self.chains.len()).max_by_key(|&nth| {
            let Chain {
                timeouts_ns, length, ..
            } = self.chains[nth];
            (timeouts_ns, length, Reverse(nth))
        });
        let mut at = last;
        while let Some(nth) = at {
            report.critical_path.push(name(nth));
            at = self.chains[nth].before.0;
        }
        report.critical_path.reverse();
    }
}

impl Chain {
    fn of(end: &Vertex<'_>, before: Option<(usize, Chain)>) -> Self {
        let own_ns = end.timeout_ns.max(0);
        match before {
            None => Self {
                timeouts_ns: own_ns,
                length: 1,
                before: Reverse(None),
            },
            Some((nth, chain)) => Self {
                timeouts_ns: chain.timeouts_ns.saturating_add(own_ns),
                length: chain.length + 1,
                before: Reverse(Some(nth)),
            },
        }
    }
}
