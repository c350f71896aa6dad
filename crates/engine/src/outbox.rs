//! Delivers what commits put into the outbox: at least once, in order per target and key.
//!
//! A message that cannot be delivered holds back only those behind it under the same key. The schedule
//! follows Standard Webhooks: at once, then ever longer waits for about a day and a half, then it is given up
//! and counted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use quintet_core::time::Time;
use quintet_store::{Claim, OutboxEntry, StoreError};

use crate::engine::Shared;
use crate::hooks::{Delivery, DeliveryError};
use crate::metrics::OutcomeLabel;
use crate::tasks;

/// Messages taken at a time.
const PAGE: usize = 128;
/// Milliseconds for which what is being delivered is not offered to other nodes: longer than a delivery may take.
const CLAIM_MS: u64 = 60_000;
/// Milliseconds before messages that another node has taken are looked at again.
const TAKEN_MS: u64 = 1_000;
/// Deliveries under way at a time.
const CONCURRENT: usize = 16;
/// Milliseconds to wait after the first, second, ... failed delivery.
const SCHEDULE_MS: [u64; 12] = [
    1_000, 5_000, 30_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000, 36_000_000, 36_000_000,
    36_000_000,
];

/// Runs until the engine stops.
pub(crate) async fn run(shared: Arc<Shared>, delivery: Arc<dyn Delivery>) {
    while !shared.stop.is_cancelled() {
        let pause = match deliver_due(&shared, delivery.as_ref()).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(error = %error, "the outbox cannot be read");
                Some(Duration::from_secs(1))
            }
        };
        tokio::select! {
            () = tasks::pause(pause) => {}
            () = shared.outbox_filled.notified() => {}
            () = shared.stop.cancelled() => {}
        }
    }
}

/// Delivers everything that is due; says how long to wait for the next message.
async fn deliver_due(shared: &Shared, delivery: &dyn Delivery) -> Result<Option<Duration>, StoreError> {
    loop {
        let now = shared.clock.now();
        let claim = Claim {
            owner: shared.owner(),
            now,
            until: now.plus_ms(CLAIM_MS),
        };
        // What is claimed must be delivered before the claim ends.
        let page = if shared.store.is_shared() { CONCURRENT } else { PAGE };
        let due = shared.store.outbox_due(claim, page).await?;
        if due.is_empty() || shared.stop.is_cancelled() {
            break;
        }
        let oldest = due
            .iter()
            .map(|entry| now.ms_since(entry.created_at))
            .max()
            .unwrap_or(0);
        shared.metrics.outbox_lag_seconds.set(oldest as f64 / 1e3);
        let attempts = due.into_iter().map(|entry| attempt(delivery, entry));
        let mut attempts = futures_util::stream::iter(attempts).buffer_unordered(CONCURRENT);
        let mut delivered = Vec::new();
        while let Some((entry, result)) = attempts.next().await {
            let outcome = if result.is_ok() { "succeeded" } else { "failed" };
            shared
                .metrics
                .outbox_deliveries
                .get_or_create(&OutcomeLabel { outcome })
                .inc();
            match result {
                Ok(()) => delivered.push(entry.id),
                Err(error) => failed(shared, &entry, &error).await?,
            }
        }
        if !delivered.is_empty() {
            shared.store.outbox_delivered(&delivered).await?;
        }
    }
    shared.metrics.outbox_lag_seconds.set(0.0);
    // A message that another node is delivering is due already: it is that node's affair for a while.
    let least_ms = if shared.store.is_shared() { TAKEN_MS } else { 10 };
    let next = shared.store.outbox_next().await?;
    Ok(next.map(|at| Duration::from_millis(at.ms_since(shared.clock.now()).max(least_ms))))
}

async fn attempt(delivery: &dyn Delivery, entry: OutboxEntry) -> (OutboxEntry, Result<(), DeliveryError>) {
    let result = delivery.deliver(&entry).await;
    (entry, result)
}

async fn failed(shared: &Shared, entry: &OutboxEntry, error: &DeliveryError) -> Result<(), StoreError> {
    let retry_at = retry_at(shared.clock.now(), entry.attempts, error);
    let (target, message, given_up) = (entry.target.as_ref(), entry.message_id.as_str(), retry_at.is_none());
    tracing::warn!(target, message, attempts = entry.attempts + 1, given_up, error = %error, "hook not delivered");
    shared.store.outbox_failed(entry.id, &error.message, retry_at).await
}

fn retry_at(now: Time, attempts: u32, error: &DeliveryError) -> Option<Time> {
    if !error.retryable {
        return None;
    }
    let wait = SCHEDULE_MS.get(attempts as usize)?;
    Some(now.plus_ms(error.retry_after_ms.unwrap_or(0).max(*wait)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end_and_a_receivers_wish_is_honoured() {
        let error = |retryable, retry_after_ms| DeliveryError {
            message: String::new(),
            retryable,
            retry_after_ms,
        };
        assert_eq!(retry_at(Time(0), 0, &error(true, None)), Some(Time(1_000_000)));
        assert_eq!(retry_at(Time(0), 0, &error(true, Some(60_000))), Some(Time(60_000_000)));
        assert_eq!(retry_at(Time(0), 12, &error(true, None)), None);
        assert_eq!(retry_at(Time(0), 0, &error(false, None)), None);
    }
}
