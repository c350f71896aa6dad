//! Messages to the outside: one at a time per target and key.

use std::collections::BTreeMap;

use super::{Message, State, Taken};
use crate::node::Claim;
use crate::query::{OutboxAsk, OutboxEntry};

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

    pub(super) fn messages_due(&mut self, claim: Claim, ask: OutboxAsk<'_>) -> Vec<OutboxEntry> {
        let mut due = self.heads();
        due.retain(|message| message.due_at <= claim.now && message.taken.is_free_for(claim.owner, claim.now));
        due.retain(|message| ask.wants(message.entry.id, &message.entry.target));
        due.sort_by_key(|message| (message.due_at, message.entry.id));
        let due: Vec<OutboxEntry> = due
            .into_iter()
            .take(ask.limit)
            .map(|message| message.entry.clone())
            .collect();
        for entry in &due {
            if let Some(message) = self.outbox.get_mut(&entry.id) {
                message.taken = Taken::by(claim);
            }
        }
        due
    }
}
