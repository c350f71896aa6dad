//! What is to be worked off: steps whose joins are decided, the highest priority first, and then in order of arrival.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// Nodes in the order in which they are to be looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Agenda {
    /// By priority; none of them is empty.
    lanes: BTreeMap<Reverse<i32>, VecDeque<u32>>,
}

impl Agenda {
    /// The next one.
    pub fn front(&self) -> Option<u32> {
        self.lanes.values().next()?.front().copied()
    }

    /// Behind all others of its priority.
    pub fn push_back(&mut self, priority: i32, n: u32) {
        self.lanes.entry(Reverse(priority)).or_default().push_back(n);
    }

    /// Before all others of its priority.
    pub fn push_front(&mut self, priority: i32, n: u32) {
        self.lanes.entry(Reverse(priority)).or_default().push_front(n);
    }

    /// Takes a node off. It is worked off from the front, so a node that leaves is nearly always there.
    pub fn remove(&mut self, n: u32) {
        let Some(mut first) = self.lanes.first_entry() else {
            return;
        };
        if first.get().front() == Some(&n) {
            first.get_mut().pop_front();
            if first.get().is_empty() {
                first.remove();
            }
        } else {
            self.retain(|waiting| waiting != n);
        }
    }

    /// Keeps some.
    pub fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        self.lanes.retain(|_, lane| {
            lane.retain(|n| keep(*n));
            !lane.is_empty()
        });
    }

    /// Takes all off.
    pub fn clear(&mut self) {
        self.lanes.clear();
    }

    /// All of them, in order.
    pub fn nodes(&self) -> Vec<u32> {
        self.lanes.values().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_priority_comes_first_and_equals_in_order_of_arrival() {
        let mut agenda = Agenda::default();
        for (priority, n) in [(0, 1), (5, 2), (0, 3), (-1, 4), (5, 5)] {
            agenda.push_back(priority, n);
        }
        agenda.push_front(0, 6);
        assert_eq!(agenda.nodes(), [2, 5, 6, 1, 3, 4]);
        agenda.remove(2);
        agenda.remove(3);
        agenda.remove(99);
        assert_eq!((agenda.front(), agenda.nodes()), (Some(5), vec![5, 6, 1, 4]));
        agenda.retain(|n| n != 5 && n != 4);
        assert_eq!(agenda.front(), Some(6));
        agenda.clear();
        assert_eq!(agenda, Agenda::default());
    }
}
