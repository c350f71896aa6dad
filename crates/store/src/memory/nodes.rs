//! Nodes and their leases.

use quintet_core::time::Time;

use super::{Node, State, Taken};
use crate::node::{Beat, NodeBeat, NodeRow, Notice};

impl State {
    pub(super) fn beat(&mut self, beat: &NodeBeat, now: Time) -> Beat {
        let known = self.nodes.get(&beat.owner);
        let held = known.map_or(beat.joins, |node| node.row.taken_by.is_none());
        if held {
            let row = NodeRow {
                owner: beat.owner,
                name: beat.name.clone(),
                url: beat.url.clone(),
                version: beat.version.clone(),
                started_at: beat.started_at,
                beat_at: now,
                expires_at: now.plus_ms(beat.lease_ms),
                draining: beat.draining,
                in_flight: beat.in_flight,
                taken_by: None,
            };
            let taken = Taken::default();
            self.nodes.insert(beat.owner, Node { row, taken });
        }
        let free_runs = self.runs.values().filter(|run| run.taken.is_free_for(beat.owner, now));
        let live = free_runs.map(|run| &run.row).filter(|row| row.finished_at.is_none());
        Beat {
            now,
            held,
            next_wake: live.filter_map(|row| row.wake_at).min(),
            queued: self
                .queue
                .values()
                .any(|entry| entry.taken.is_free_for(beat.owner, now)),
            outbox_next: self
                .heads()
                .into_iter()
                .filter(|message| message.taken.is_free_for(beat.owner, now))
                .map(|message| message.due_at)
                .min(),
            nodes: self.node_rows(),
            notices: self.notices_for(beat.owner),
        }
    }

    fn notices_for(&mut self, owner: u64) -> Vec<Notice> {
        let (mine, others) = std::mem::take(&mut self.notices)
            .into_iter()
            .partition(|notice| notice.owner == owner);
        self.notices = others;
        let named = mine.iter().filter_map(|notice| {
            let run = &self.runs.get(&notice.run)?.row;
            let namespace = run.namespace.clone();
            Some(Notice { namespace, run: run.id })
        });
        named.collect()
    }

    pub(super) fn node_rows(&self) -> Vec<NodeRow> {
        self.nodes.values().map(|node| node.row.clone()).collect()
    }

    pub(super) fn take_over(&mut self, dead: u64, by: u64, now: Time, lease_ms: u64) -> bool {
        let Some(node) = self.nodes.get_mut(&dead) else {
            return false;
        };
        if dead == by || node.row.expires_at > now || !node.taken.is_free_for(by, now) {
            return false;
        }
        node.row.taken_by = Some(by);
        node.taken = Taken(Some((by, now.plus_ms(lease_ms))));
        true
    }

    pub(super) fn forget_node(&mut self, owner: u64) {
        self.nodes.remove(&owner);
        self.notices.retain(|notice| notice.owner != owner);
        // Whoever is gone delivers nothing any more.
        let taken = self.outbox.values_mut().filter(|message| message.taken.is_of(owner));
        taken.for_each(|message| message.taken = Taken::default());
    }
}
