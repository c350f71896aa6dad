//! All bridged queues of a process, and their loops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use quintet_core::outcome::Token;
use tokio_util::sync::CancellationToken;

use super::keys::Keys;
use super::link::Link;
use super::returning::Returns;
use super::scripts::Queue;
use super::settings::{BullmqSettings, Mode, SettingsError};
use super::taking::{Incoming, Starts};
use super::workers::{Desk, Outgoing, Workers};

/// How often things are looked at, and how long others are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two looks at the jobs of attempts under way.
    pub look: Duration,
    /// How long a producer's job is kept by one sign of life: after that it counts as left. Shorter than BullMQ's own
    /// 30 seconds, because here a job loses nothing by being taken over too early.
    pub lock: Duration,
    /// How long a command waits on the server for something to happen.
    pub block: Duration,
    /// Before something that did not work is tried again.
    pub retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(5),
            lock: Duration::from_secs(10),
            block: Duration::from_secs(5),
            retry: Duration::from_secs(1),
        }
    }
}

/// The bridged queues.
pub struct Bridge {
    outgoing: BTreeMap<String, Arc<Outgoing>>,
    incoming: Vec<Arc<Incoming>>,
}

impl Bridge {
    /// Prepares the bridge; the server is not called yet, and may be away.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn new(settings: &BullmqSettings, desk: &Arc<dyn Desk>, pace: Pace) -> Result<Arc<Self>, SettingsError> {
        settings.check()?;
        let link = Arc::new(Link::new(&settings.url)?);
        let queue_of = |queue: &str| Queue {
            link: Arc::clone(&link),
            keys: Keys::of(&settings.prefix, &settings.queues[queue].name_in_bullmq(queue)),
        };
        let outgoing = settings.queues_of(Mode::Workers).map(|queue| {
            let lane = Outgoing::new(queue, queue_of(queue), Arc::clone(desk), pace);
            (queue.to_owned(), Arc::new(lane))
        });
        let incoming = settings.queues_of(Mode::Producers).map(|queue| {
            let of = &settings.queues[queue];
            let key = format!("bull:{}:{}", settings.prefix, of.name_in_bullmq(queue));
            Arc::new(Incoming::new(queue, key, queue_of(queue), of.concurrency, pace))
        });
        Ok(Arc::new(Self {
            outgoing: outgoing.collect(),
            incoming: incoming.collect(),
        }))
    }

    /// The executor of steps that BullMQ workers do.
    pub fn workers(self: &Arc<Self>) -> Workers {
        Workers::new(Arc::clone(self))
    }

    /// The queues whose steps BullMQ workers do, by their names in Quintet.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.outgoing.keys().map(String::as_str)
    }

    pub(super) fn outgoing(&self, queue: &str) -> Option<&Arc<Outgoing>> {
        self.outgoing.get(queue)
    }

    /// The attempts' own queues are not known here, and a job that is not there is quickly found missing.
    pub(super) fn withdraw(&self, token: Token) {
        self.outgoing.values().for_each(|lane| lane.withdraw(token));
    }

    /// Carries answers and jobs until `stop`. Jobs whose runs are not over by then are given back.
    pub async fn run(&self, returns: Arc<dyn Returns>, starts: Arc<dyn Starts>, stop: CancellationToken) {
        let outgoing = self.outgoing.values().map(|lane| {
            let (lane, returns, stop) = (Arc::clone(lane), Arc::clone(&returns), stop.clone());
            async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = lane.carry_back(returns) => {}
                }
            }
        });
        let incoming = self.incoming.iter().map(|lane| {
            let (lane, starts, stop) = (Arc::clone(lane), Arc::clone(&starts), stop.clone());
            async move { lane.carry_in(starts, stop).await }
        });
        tokio::join!(join_all(outgoing), join_all(incoming));
    }
}
