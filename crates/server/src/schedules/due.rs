//! Which nominal time is to be started now, what is left out, and what a schedule is afterwards. Pure.
//!
//! A time counts as missed when it lies more than a minute back: whoever restarts a server or loses its store for some
//! seconds wants what was due meanwhile, whatever the rule. Times that are not missed are all started, one by one. Beyond
//! that the rule decides: `skip` leaves them out, `latest` starts one run for all of them unless a newer time has come
//! that is not missed, `all` starts each, of more than a thousand the latest thousand.

use quintet_core::cron::Cron;
use quintet_core::id::RunId;
use quintet_core::time::Time;

use super::model::{Last, Missed, Outcome, Retry, State};

/// How late a time may be started without being missed.
pub(super) const GRACE_MS: i64 = 60_000;
/// Times that are made up for.
pub(super) const MOST_MADE_UP: usize = 1_000;
/// Times that are counted one by one when they are left out at once; a schedule of seconds passes so many in hours.
const MOST_COUNTED: usize = 100_000;
/// First and longest pause before a start is tried again.
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 60_000;

/// What is to be done about a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing yet.
    Wait,
    /// Start this nominal time; so many before it are left out.
    Start { nominal: Time, missed: u64 },
    /// Start nothing; so many are left out.
    Pass { missed: u64, next_at: Option<Time> },
}

/// Decides about a schedule whose next nominal time is `next_at`.
pub(super) fn decide(rule: Missed, cron: &Cron, next_at: Time, now: Time) -> Decision {
    if next_at > now {
        return Decision::Wait;
    }
    let in_time_from = Time(now.0.saturating_sub(GRACE_MS * 1_000));
    if next_at >= in_time_from {
        return start(cron, next_at, next_at);
    }
    let in_time = cron.next_after(Time(in_time_from.0 - 1)).filter(|time| *time <= now);
    match (rule, in_time) {
        (Missed::All, _) => start(cron, next_at, first_of_latest(cron, next_at, now)),
        (Missed::Skip | Missed::Latest, Some(nominal)) => start(cron, next_at, nominal),
        (Missed::Latest, None) => start(cron, next_at, cron.last_until(now).unwrap_or(next_at)),
        (Missed::Skip, None) => Decision::Pass {
            missed: count(cron, next_at, Time(now.0.saturating_add(1))),
            next_at: cron.next_after(now),
        },
    }
}

fn start(cron: &Cron, next_at: Time, nominal: Time) -> Decision {
    // The clock may have been set back, or the expression been changed under the time that was next.
    let nominal = nominal.max(next_at);
    let missed = count(cron, next_at, nominal);
    Decision::Start { nominal, missed }
}

/// How many times there are from `first`, which is one, to before `end`.
fn count(cron: &Cron, first: Time, end: Time) -> u64 {
    let times = std::iter::successors(Some(first), |time| cron.next_after(*time));
    times.take_while(|time| *time < end).take(MOST_COUNTED).count() as u64
}

/// The first of the latest times that are made up for.
fn first_of_latest(cron: &Cron, next_at: Time, now: Time) -> Time {
    let times = std::iter::successors(Some(next_at), |time| cron.next_after(*time));
    if times.take_while(|time| *time <= now).take(MOST_MADE_UP + 1).count() <= MOST_MADE_UP {
        return next_at;
    }
    let back = std::iter::successors(cron.last_until(now), |time| cron.last_until(Time(time.0 - 1)));
    back.take(MOST_MADE_UP).last().unwrap_or(next_at)
}

/// What has been done about a schedule whose next nominal time was `from`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    /// A nominal time is settled.
    Settled { last: Last, missed: u64 },
    /// Nothing was started.
    Passed { missed: u64, next_at: Option<Time> },
    /// The start failed, and another try can help.
    Retry { nominal: Time, missed: u64, error: String },
}

impl Effect {
    pub fn started(nominal: Time, missed: u64, run: RunId, at: Time) -> Self {
        let last = Last {
            nominal,
            at,
            outcome: Outcome::Started,
            run_id: Some(run),
            error: None,
        };
        Self::Settled { last, missed }
    }

    pub fn overlapped(nominal: Time, missed: u64, run: RunId, at: Time) -> Self {
        let last = Last {
            nominal,
            at,
            outcome: Outcome::Overlapped,
            run_id: Some(run),
            error: None,
        };
        Self::Settled { last, missed }
    }

    pub fn failed(nominal: Time, missed: u64, error: String, at: Time) -> Self {
        let last = Last {
            nominal,
            at,
            outcome: Outcome::Failed,
            run_id: None,
            error: Some(error),
        };
        Self::Settled { last, missed }
    }
}

impl State {
    /// Takes in what was done while `from` came next; says whether that changes anything. A schedule that others have
    /// moved on, paused or changed meanwhile stays where they put it, and only learns of a run that it did not know.
    pub(super) fn take(&mut self, cron: Option<&Cron>, from: Time, effect: &Effect, now: Time) -> bool {
        let is_next = self.next_at == Some(from);
        match effect {
            Effect::Settled { last, missed } if is_next => {
                self.counts.missed += missed;
                self.move_to(cron.and_then(|cron| cron.next_after(last.nominal)));
                self.note(last.clone());
                true
            }
            Effect::Settled { last, .. } if self.knows_less_than(last) => {
                self.note(last.clone());
                true
            }
            Effect::Passed { missed, next_at } if is_next => {
                self.counts.missed += missed;
                self.move_to(*next_at);
                true
            }
            Effect::Retry { nominal, missed, error } if is_next => {
                let tries = self.retry.as_ref().map_or(0, |retry| retry.tries) + 1;
                let pause = FIRST_PAUSE_MS.saturating_mul(1 << tries.min(16)) / 2;
                self.counts.missed += missed;
                self.next_at = Some(*nominal);
                self.retry = Some(Retry {
                    tries,
                    at: now.plus_ms(pause.min(LONGEST_PAUSE_MS)),
                    error: error.clone(),
                });
                true
            }
            Effect::Settled { .. } | Effect::Passed { .. } | Effect::Retry { .. } => false,
        }
    }

    fn knows_less_than(&self, last: &Last) -> bool {
        last.outcome == Outcome::Started
            && self.last.as_ref().is_none_or(|known| {
                known.nominal < last.nominal || (known.nominal == last.nominal && known.outcome != Outcome::Started)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse_rfc3339(text).expect(text)
    }

    fn cron(text: &str) -> Cron {
        Cron::parse(text, "UTC").expect(text)
    }

    /// What is started one after the other, and how many were left out in all, until nothing is due.
    fn play(rule: Missed, text: &str, next_at: &str, now: &str) -> (Vec<Time>, u64, Option<Time>) {
        let (cron, now) = (cron(text), at(now));
        let (mut started, mut left_out, mut next) = (Vec::new(), 0, Some(at(next_at)));
        while let Some(time) = next {
            match decide(rule, &cron, time, now) {
                Decision::Wait => break,
                Decision::Start { nominal, missed } => {
                    started.push(nominal);
                    left_out += missed;
                    next = cron.next_after(nominal);
                }
                Decision::Pass { missed, next_at } => {
                    left_out += missed;
                    next = next_at;
                }
            }
        }
        (started, left_out, next)
    }

    #[test]
    fn each_rule_makes_of_missed_times_what_it_says() {
        const NEXT: &str = "2026-01-01T10:00:00Z";
        let hour = |hour: u32| at(&format!("2026-01-01T{hour:02}:00:00Z"));
        let cases: [(Missed, &str, &str, Vec<Time>, u64); 9] = [
            // On time, and late by less than a minute.
            (Missed::Skip, "0 * * * *", "2026-01-01T10:00:00Z", vec![hour(10)], 0),
            (Missed::Skip, "0 * * * *", "2026-01-01T10:01:00Z", vec![hour(10)], 0),
            // Three hours missed.
            (Missed::Skip, "0 * * * *", "2026-01-01T12:30:00Z", vec![], 3),
            (Missed::Latest, "0 * * * *", "2026-01-01T12:30:00Z", vec![hour(12)], 2),
            (
                Missed::All,
                "0 * * * *",
                "2026-01-01T12:30:00Z",
                vec![hour(10), hour(11), hour(12)],
                0,
            ),
            // The last of them is not missed.
            (Missed::Skip, "0 * * * *", "2026-01-01T12:00:59Z", vec![hour(12)], 2),
            (Missed::Latest, "0 * * * *", "2026-01-01T12:00:59Z", vec![hour(12)], 2),
            // Before its time.
            (Missed::All, "0 * * * *", "2026-01-01T09:59:59Z", vec![], 0),
            (Missed::Latest, "0 * * * *", "2026-01-01T10:02:00Z", vec![hour(10)], 0),
        ];
        for (rule, text, now, started, missed) in cases {
            let (found, left_out, next) = play(rule, text, NEXT, now);
            assert_eq!((found, left_out), (started, missed), "{rule:?} at {now}");
            assert!(next.is_some_and(|next| next > at(now)), "{rule:?} at {now}");
        }
    }

    #[test]
    fn times_that_are_not_missed_are_all_started() {
        for rule in [Missed::Skip, Missed::Latest, Missed::All] {
            let (started, left_out, _) = play(rule, "*/10 * * * * *", "2026-01-01T10:00:00Z", "2026-01-01T10:00:35Z");
            assert_eq!((started.len(), left_out), (4, 0), "{rule:?}");
        }
        let (started, left_out, _) = play(
            Missed::Latest,
            "*/10 * * * * *",
            "2026-01-01T10:00:00Z",
            "2026-01-01T10:10:00Z",
        );
        assert_eq!((started.len(), left_out), (7, 54));
    }

    #[test]
    fn of_very_many_missed_times_the_latest_thousand_are_made_up_for_oldest_first() {
        let now = "2026-01-02T10:00:00Z";
        let (started, left_out, _) = play(Missed::All, "* * * * *", "2026-01-01T10:00:00Z", now);
        assert_eq!(started.len(), MOST_MADE_UP);
        assert_eq!(left_out, 24 * 60 + 1 - MOST_MADE_UP as u64);
        assert_eq!(started.last(), Some(&at(now)));
        assert!(started.is_sorted());
    }

    #[test]
    fn a_year_of_missed_seconds_is_passed_at_once() {
        let (started, _, _) = play(
            Missed::Latest,
            "* * * * * *",
            "2025-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z",
        );
        assert_eq!(started.len(), 61);
    }

    #[test]
    fn what_others_did_meanwhile_stays_and_the_run_is_not_forgotten() {
        let cron = cron("0 * * * *");
        let (from, now) = (at("2026-01-01T10:00:00Z"), at("2026-01-01T10:00:01Z"));
        let run = RunId::from_bits(7);
        let effect = Effect::started(from, 0, run, now);
        let due = State {
            next_at: Some(from),
            ..State::default()
        };
        let mut usual = due.clone();
        assert!(usual.take(Some(&cron), from, &effect, now));
        assert_eq!(usual.next_at, Some(at("2026-01-01T11:00:00Z")));
        assert!(!usual.take(Some(&cron), from, &effect, now), "it is known already");
        let mut paused = State {
            paused: true,
            ..State::default()
        };
        assert!(paused.take(Some(&cron), from, &effect, now));
        assert_eq!(
            (paused.next_at, paused.last_run, paused.counts.fired),
            (None, Some(run), 1)
        );
    }

    #[test]
    fn pauses_between_tries_grow_to_a_minute() {
        let cron = cron("0 * * * *");
        let (from, now) = (at("2026-01-01T10:00:00Z"), at("2026-01-01T10:00:00Z"));
        let mut state = State {
            next_at: Some(from),
            ..State::default()
        };
        let effect = Effect::Retry {
            nominal: from,
            missed: 0,
            error: "no".to_owned(),
        };
        let pauses: Vec<u64> = (0..9)
            .map(|_| {
                assert!(state.take(Some(&cron), from, &effect, now));
                state.retry.as_ref().expect("another try").at.ms_since(now) / 1000
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
