//! Who is delivered to next.
//!
//! Each receiver has a lane, and a lane has few places, so that one that hangs takes only those. Receivers may be
//! named by users, who can name as many as they like: so all lanes that were slow share a quarter of the places, all
//! that nothing is known of share half, and the rest is always there for those that answer promptly.
//!
//! Messages that are in a lane, under way or waiting, are left out of what the store is asked for; and so are the
//! receivers whose lanes are full, so that their backlog, however long, hides nobody else's messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use quintet_core::time::Time;
use quintet_store::{OutboxEntry, Targets};

/// Deliveries under way at a time.
const PLACES: usize = 64;
/// Milliseconds within which a prompt receiver answers.
const PROMPT_MS: u64 = 5_000;
/// Lanes that are remembered while nothing is in them.
const REMEMBERED: usize = 1_024;

/// What is known of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pace {
    /// Nothing.
    #[default]
    Unknown,
    /// It answered promptly the last time, be it with a refusal.
    Prompt,
    /// It did not.
    Slow,
}

impl Pace {
    /// Deliveries under way at a time in all lanes of this pace.
    const fn places(self) -> usize {
        match self {
            Self::Unknown => PLACES / 2,
            Self::Prompt => PLACES,
            Self::Slow => PLACES / 4,
        }
    }

    /// Deliveries under way at a time in one lane.
    const fn lane_places(self) -> usize {
        match self {
            Self::Unknown | Self::Prompt => 8,
            Self::Slow => 4,
        }
    }
}

/// The lanes that something is in, and idle ones whose pace is known.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<Arc<str>, Lane>,
    under_way: usize,
    /// The same by the pace that the lane had when the delivery began.
    by_pace: [usize; 3],
    /// Every message that is in a lane, and when it was written.
    held: BTreeMap<i64, Time>,
}

#[derive(Debug, Default)]
struct Lane {
    under_way: usize,
    waiting: VecDeque<Waiting>,
    pace: Pace,
}

#[derive(Debug)]
struct Waiting {
    entry: OutboxEntry,
    start_by: Time,
}

/// A delivery that may begin.
#[derive(Debug)]
pub(super) struct Start {
    pub entry: OutboxEntry,
    /// What was known of the receiver.
    pub pace: Pace,
}

/// What there is room for.
#[derive(Debug)]
pub(super) struct Room {
    pub limit: usize,
    targets: Vec<Arc<str>>,
    only: bool,
}

impl Room {
    pub fn targets(&self) -> Targets<'_> {
        if self.only {
            Targets::Only(&self.targets)
        } else {
            Targets::Except(&self.targets)
        }
    }
}

impl Lane {
    /// Whether a message of this lane could begin at once, as far as the lane goes.
    fn has_room(&self) -> bool {
        self.waiting.is_empty() && self.under_way < self.pace.lane_places()
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }
}

impl Lanes {
    /// What the store is to be asked for; `None` while there is no place at all.
    pub fn room(&self) -> Option<Room> {
        let is_full = |pace: Pace| self.by_pace[pace as usize] >= pace.places();
        let only = is_full(Pace::Unknown);
        let fits = |lane: &Lane| lane.has_room() && !is_full(lane.pace);
        let named = self.lanes.iter().filter(|(_, lane)| fits(lane) == only);
        let targets: Vec<Arc<str>> = named.map(|(target, _)| Arc::clone(target)).collect();
        let limit = PLACES - self.under_way;
        let is_none = limit == 0 || (only && targets.is_empty());
        (!is_none).then_some(Room { limit, targets, only })
    }

    /// Takes messages in, which must begin by a time or are forgotten: they are somebody else's then.
    pub fn take(&mut self, entries: Vec<OutboxEntry>, start_by: Time) {
        for entry in entries {
            self.held.insert(entry.id, entry.created_at);
            let lane = self.lanes.entry(Arc::clone(&entry.target)).or_default();
            lane.waiting.push_back(Waiting { entry, start_by });
        }
    }

    /// The deliveries that may begin now.
    pub fn start(&mut self, now: Time) -> Vec<Start> {
        if self.lanes.len() > REMEMBERED {
            self.lanes.retain(|_, lane| !lane.is_idle());
        }
        let mut starts = Vec::new();
        for lane in self.lanes.values_mut() {
            while let Some(waiting) = lane.waiting.front() {
                if waiting.start_by <= now {
                    self.held.remove(&waiting.entry.id);
                    lane.waiting.pop_front();
                    continue;
                }
                let pace = lane.pace;
                let is_full = self.under_way >= PLACES || self.by_pace[pace as usize] >= pace.places();
                if is_full || lane.under_way >= pace.lane_places() {
                    break;
                }
                let Some(Waiting { entry, .. }) = lane.waiting.pop_front() else {
                    break;
                };
                lane.under_way += 1;
                self.under_way += 1;
                self.by_pace[pace as usize] += 1;
                starts.push(Start { entry, pace });
            }
        }
        starts
    }

    /// A delivery that began has ended. Its message stays held until it is released.
    pub fn ended(&mut self, target: &str, pace: Pace, took_ms: u64) {
        self.under_way -= 1;
        self.by_pace[pace as usize] -= 1;
        let are_many = self.lanes.len() > REMEMBERED;
        let Some(lane) = self.lanes.get_mut(target) else {
            return;
        };
        lane.under_way -= 1;
        lane.pace = if took_ms < PROMPT_MS { Pace::Prompt } else { Pace::Slow };
        if lane.is_idle() && are_many {
            self.lanes.remove(target);
        }
    }

    /// The store knows what became of a message.
    pub fn release(&mut self, id: i64) {
        self.held.remove(&id);
    }

    /// Messages that are in a lane, or whose end the store does not know yet.
    pub fn held(&self) -> Vec<i64> {
        self.held.keys().copied().collect()
    }

    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// When the oldest held message was written.
    pub fn oldest(&self) -> Option<Time> {
        self.held.values().copied().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(target: &str, ids: std::ops::Range<i64>) -> Vec<OutboxEntry> {
        let entry = |id| OutboxEntry {
            id,
            target: target.into(),
            key: id.to_string().into(),
            message_id: String::new(),
            body: String::new(),
            attempts: 0,
            created_at: Time(id),
        };
        ids.map(entry).collect()
    }

    const LATER: Time = Time(1_000_000);

    fn started(lanes: &mut Lanes) -> Vec<i64> {
        lanes.start(Time(0)).iter().map(|start| start.entry.id).collect()
    }

    fn includes(lanes: &Lanes, target: &str) -> bool {
        lanes.room().is_some_and(|room| room.targets().include(target))
    }

    #[test]
    fn a_lane_has_few_places_and_is_not_asked_for_while_it_is_full() {
        let mut lanes = Lanes::default();
        lanes.take(entries("slow", 0..20), LATER);
        assert_eq!(started(&mut lanes), (0..8).collect::<Vec<_>>());
        assert!(!includes(&lanes, "slow") && includes(&lanes, "other"));
        lanes.take(entries("other", 100..101), LATER);
        assert_eq!(started(&mut lanes), [100]);
        lanes.ended("slow", Pace::Unknown, 10);
        assert_eq!(started(&mut lanes), [8]);
        assert_eq!(lanes.held().len(), 21, "what has ended is held until the store knows");
        lanes.release(0);
        assert_eq!(lanes.held().len(), 20);
    }

    #[test]
    fn unknown_receivers_leave_half_of_the_places_to_prompt_ones() {
        let mut lanes = Lanes::default();
        lanes.take(entries("prompt", 0..1), LATER);
        assert_eq!(started(&mut lanes), [0]);
        lanes.ended("prompt", Pace::Unknown, 10);
        lanes.release(0);
        for n in 1..100 {
            lanes.take(entries(&format!("unknown {n}"), n..n + 1), LATER);
        }
        assert_eq!(started(&mut lanes).len(), PLACES / 2);
        assert!(!includes(&lanes, "unknown 200") && includes(&lanes, "prompt"));
        lanes.take(entries("prompt", 200..204), LATER);
        assert_eq!(started(&mut lanes), [200, 201, 202, 203]);
    }

    #[test]
    fn however_many_receivers_are_slow_a_new_one_has_its_turn() {
        let mut lanes = Lanes::default();
        for n in 0..40 {
            lanes.take(entries(&format!("slow {n}"), n..n + 1), LATER);
            let pace = lanes.start(Time(0))[0].pace;
            lanes.ended(&format!("slow {n}"), pace, PROMPT_MS);
            lanes.release(n);
        }
        for n in 0..40 {
            lanes.take(entries(&format!("slow {n}"), n * 10..n * 10 + 5), LATER);
        }
        let under_way = started(&mut lanes);
        assert_eq!(under_way.len(), PLACES / 4);
        assert!(
            under_way.iter().all(|id| id % 10 < 4),
            "four in each lane: {under_way:?}"
        );
        assert!(!includes(&lanes, "slow 39") && includes(&lanes, "new"));
        lanes.take(entries("new", 1000..1001), LATER);
        assert_eq!(started(&mut lanes), [1000]);
    }

    #[test]
    fn what_is_known_of_a_receiver_is_how_it_answered_last() {
        let mut lanes = Lanes::default();
        let mut known = Pace::Unknown;
        for (n, took_ms, pace) in [(0, 10, Pace::Prompt), (1, PROMPT_MS, Pace::Slow), (2, 0, Pace::Prompt)] {
            lanes.take(entries("a", n..n + 1), LATER);
            assert_eq!(lanes.start(Time(0))[0].pace, known);
            lanes.ended("a", known, took_ms);
            known = pace;
        }
        assert_eq!((lanes.under_way, lanes.by_pace), (0, [0; 3]));
    }

    #[test]
    fn what_waited_too_long_is_forgotten() {
        let mut lanes = Lanes::default();
        lanes.take(entries("a", 0..10), Time(5));
        assert_eq!(lanes.start(Time(4)).len(), 8);
        lanes.ended("a", Pace::Unknown, 1);
        assert!(lanes.start(Time(5)).is_empty());
        lanes.release(0);
        assert_eq!(lanes.held(), (1..8).collect::<Vec<_>>());
    }

    #[test]
    fn of_many_idle_lanes_not_all_are_remembered() {
        let mut lanes = Lanes::default();
        for n in 0..2 * REMEMBERED as i64 {
            let target = format!("host {n}");
            lanes.take(entries(&target, n..n + 1), LATER);
            lanes.start(Time(0));
            lanes.ended(&target, Pace::Unknown, 1);
            lanes.release(n);
        }
        assert!(lanes.lanes.len() <= REMEMBERED + 1);
        assert!(lanes.is_idle() && lanes.lanes.len() > 1);
    }
}
