//! Messages to the outside: one at a time per target and key.

use std::collections::BTreeMap;

use quintet_core::time::Time;

use super::{Message, State};
use crate::query::OutboxEntry;

impl State {
    /// The oldest undelivered message of each target and key.
    pub(super) fn heads(&self) -> Vec<&Message> {
        let mut heads: BTreeMap<(&str, &str), &Message> = BTreeMap::new();
        for message in self.outbox.values().filter(|message| !message.dead) {
            heads
                .entry((&message.entry.target, &message.entry.key))
                .or_insert(message);
        }
        heads.into_values().collect()
    }

    pub(super) fn messages_due(&self, now: Time, limit: usize) -> Vec<OutboxEntry> {
        let mut due = self.heads();
        due.retain(|message| message.due_at <= now);
        due.sort_by_key(|message| (message.due_at, message.entry.id));
        due.into_iter()
            .take(limit)
            .map(|message| message.entry.clone())
            .collect()
    }
}
