//! Delivers what commits put into the outbox: at least once, in order per target and key.
//!
//! A message that cannot be delivered holds back only those behind it under the same key; and a receiver that hangs
//! takes only the places of its own lane ([`lanes`]). As soon as a place is free, the store is asked for more. The
//! schedule of attempts follows Standard Webhooks: at once, then ever longer waits for about a day and a half, then
//! the message is given up and counted.
//!
//! Where several nodes share the store, a message is claimed for a while. A delivery begins only if it must end before
//! its claim does, whatever the receiver does.

mod lanes;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use quintet_core::time::Time;
use quintet_store::{Claim, OutboxAsk, StoreError};

use self::lanes::{Lanes, Start};
use crate::engine::Shared;
use crate::hooks::{Delivery, DeliveryError};
use crate::metrics::OutcomeLabel;
use crate::tasks;

/// Milliseconds for which what is being delivered is not offered to other nodes.
const CLAIM_MS: u64 = 60_000;
/// Milliseconds that a delivery may take.
const DELIVERY_MS: u64 = 30_000;
/// Milliseconds after which a claimed message that did not begin is left: the rest of its claim is for its delivery,
/// and for telling the store.
const START_MS: u64 = 20_000;
/// Milliseconds before the store is asked again for what nobody announced, while deliveries are under way or messages
/// are another node's.
const LOOK_MS: u64 = 1_000;
/// An answer of the store that takes longer than this is followed by a rest, so that a long backlog that has to be
/// passed over does not occupy the store.
const QUICK_MS: u64 = 20;
/// Longest rest in milliseconds.
const REST_MS: u64 = 2_000;
/// Milliseconds to wait after the first, second, ... failed delivery.
const SCHEDULE_MS: [u64; 12] = [
    1_000, 5_000, 30_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000, 36_000_000, 36_000_000,
    36_000_000,
];

/// Runs until the engine stops.
pub(crate) async fn run(shared: Arc<Shared>, delivery: Arc<dyn Delivery>) {
    let mut outbox = Outbox {
        shared: Arc::clone(&shared),
        delivery,
        lanes: Lanes::default(),
        flights: FuturesUnordered::new(),
        delivered: Vec::new(),
        failed: VecDeque::new(),
        rests_until: Time(0),
    };
    while !shared.stop.is_cancelled() {
        let pause = match outbox.tick().await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(error = %error, "the outbox cannot be read");
                Some(Duration::from_millis(LOOK_MS))
            }
        };
        tokio::select! {
            () = tasks::pause(pause) => {}
            () = shared.outbox_filled.notified() => {}
            Some(landed) = outbox.flights.next() => outbox.land(landed),
            () = shared.stop.cancelled() => {}
        }
    }
    outbox.drain().await;
}

/// How a delivery ended.
struct Landed {
    start: Start,
    took_ms: u64,
    result: Result<(), DeliveryError>,
}

struct Failed {
    id: i64,
    error: String,
    retry_at: Option<Time>,
}

struct Outbox {
    shared: Arc<Shared>,
    delivery: Arc<dyn Delivery>,
    lanes: Lanes,
    flights: FuturesUnordered<BoxFuture<'static, Landed>>,
    /// What the store is to be told.
    delivered: Vec<i64>,
    failed: VecDeque<Failed>,
    rests_until: Time,
}

impl Outbox {
    /// Tells the store what ended and begins what may begin; says how long to wait if nothing happens.
    async fn tick(&mut self) -> Result<Option<Duration>, StoreError> {
        while let Some(Some(landed)) = self.flights.next().now_or_never() {
            self.land(landed);
        }
        self.save().await?;
        let rest = self.rests_until.ms_since(self.shared.clock.now());
        if rest > 0 {
            self.begin();
            return Ok(Some(Duration::from_millis(rest)));
        }
        while self.ask().await? {}
        let now = self.shared.clock.now();
        let lag_ms = self.lanes.oldest().map_or(0, |oldest| now.ms_since(oldest));
        self.shared.metrics.outbox_lag_seconds.set(lag_ms as f64 / 1e3);
        if !self.lanes.is_idle() {
            return Ok(Some(Duration::from_millis(LOOK_MS)));
        }
        // A message that another node is delivering is due already: it is that node's affair for a while.
        let least_ms = if self.shared.store.is_shared() { LOOK_MS } else { 10 };
        let next = self.shared.store.outbox_next().await?;
        Ok(next.map(|at| Duration::from_millis(at.ms_since(self.shared.clock.now()).max(least_ms))))
    }

    /// Asks the store for as much as there is room for; whether there may be more.
    async fn ask(&mut self) -> Result<bool, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.begin();
        let Some(room) = self.lanes.room() else {
            return Ok(false);
        };
        let now = shared.clock.now();
        let claim = Claim {
            owner: shared.owner(),
            now,
            until: now.plus_ms(CLAIM_MS),
        };
        let held = self.lanes.held();
        let ask = OutboxAsk {
            except: &held,
            targets: room.targets(),
            limit: room.limit,
        };
        let due = shared.store.outbox_due(claim, ask).await?;
        let answered_at = shared.clock.now();
        let took_ms = answered_at.ms_since(now);
        if took_ms > QUICK_MS {
            self.rests_until = answered_at.plus_ms((10 * took_ms).min(REST_MS));
        }
        let is_more = due.len() == room.limit && took_ms <= QUICK_MS;
        self.lanes.take(due, now.plus_ms(START_MS));
        self.begin();
        Ok(is_more && !shared.stop.is_cancelled())
    }

    fn begin(&mut self) {
        for start in self.lanes.start(self.shared.clock.now()) {
            let flight = fly(Arc::clone(&self.shared), Arc::clone(&self.delivery), start);
            self.flights.push(flight.boxed());
        }
    }

    fn land(&mut self, landed: Landed) {
        let Landed { start, took_ms, result } = landed;
        let entry = start.entry;
        self.lanes.ended(&entry.target, start.pace, took_ms);
        let outcome = if result.is_ok() { "succeeded" } else { "failed" };
        let deliveries = &self.shared.metrics.outbox_deliveries;
        deliveries.get_or_create(&OutcomeLabel { outcome }).inc();
        let Err(error) = result else {
            self.delivered.push(entry.id);
            return;
        };
        let retry_at = retry_at(self.shared.clock.now(), entry.attempts, &error);
        let (target, message, given_up) = (entry.target.as_ref(), entry.message_id.as_str(), retry_at.is_none());
        tracing::warn!(target, message, attempts = entry.attempts + 1, given_up, error = %error, "hook not delivered");
        self.failed.push_back(Failed {
            id: entry.id,
            error: error.message,
            retry_at,
        });
    }

    /// Tells the store what ended. What it cannot be told now is told later, and is not delivered again meanwhile.
    async fn save(&mut self) -> Result<(), StoreError> {
        if !self.delivered.is_empty() {
            self.shared.store.outbox_delivered(&self.delivered).await?;
            for id in self.delivered.drain(..) {
                self.lanes.release(id);
            }
        }
        while let Some(Failed { id, error, retry_at }) = self.failed.front() {
            self.shared.store.outbox_failed(*id, error, *retry_at).await?;
            self.lanes.release(*id);
            self.failed.pop_front();
        }
        Ok(())
    }

    /// Lets deliveries that are under way end, for most of the time that a shutdown has.
    async fn drain(mut self) {
        let patience = Duration::from_millis(self.shared.config.drain_ms / 4 * 3);
        let mut over = std::pin::pin!(tasks::pause(Some(patience)));
        loop {
            tokio::select! {
                landed = self.flights.next() => match landed {
                    Some(landed) => self.land(landed),
                    None => break,
                },
                () = &mut over => {
                    let cut_off = self.flights.len();
                    tracing::warn!(cut_off, "deliveries did not end in time; they will be made again");
                    break;
                }
            }
        }
        if let Err(error) = self.save().await {
            tracing::warn!(error = %error, "what was delivered could not be stored and will be delivered again");
        }
    }
}

/// One attempt, which ends in any case.
async fn fly(shared: Arc<Shared>, delivery: Arc<dyn Delivery>, start: Start) -> Landed {
    let began_at = shared.clock.now();
    let attempt = AssertUnwindSafe(delivery.deliver(&start.entry)).catch_unwind();
    let attempt = tokio::time::timeout(Duration::from_millis(DELIVERY_MS), attempt);
    let again = |message: String| DeliveryError {
        message,
        retryable: true,
        retry_after_ms: None,
    };
    let result = match attempt.await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(again(format!("panicked: {}", tasks::panic_text(panic.as_ref())))),
        Err(_) => Err(again(format!("no answer within {DELIVERY_MS} ms"))),
    };
    Landed {
        took_ms: shared.clock.now().ms_since(began_at),
        start,
        result,
    }
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
