//! Which refused requests are noted: enough to see who tries what, and not so many that a guesser fills the store.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use quintet_core::time::Time;

use super::Draft;

/// Of the same kind one is noted within this time.
const WINDOW_MS: u64 = 60_000;
/// Kinds remembered; beyond it the oldest knowledge is dropped.
const KINDS: usize = 10_000;
/// Of all kinds so many are noted within [`WINDOW_MS`], whoever asks from however many addresses.
const TOGETHER: u32 = 300;

#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When a kind was noted last, and how many have come since.
    kinds: HashMap<(String, String, u16), (Time, u64)>,
    since: Option<Time>,
    noted: u32,
}

impl Refusals {
    /// How many like it were left out, if this one is to be noted.
    pub fn admit(&self, draft: &Draft, now: Time) -> Option<u64> {
        let who = format!("{} {}", draft.actor, draft.client);
        let kind = (who, draft.route.clone(), draft.status.unwrap_or_default());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since: Time| now.ms_since(since) >= WINDOW_MS;
        if state.since.is_none_or(is_over) {
            (state.since, state.noted) = (Some(now), 0);
        }
        let is_room = state.noted < TOGETHER;
        let left_out = match state.kinds.get_mut(&kind) {
            Some((last, left_out)) if is_over(*last) && is_room => {
                *last = now;
                Some(std::mem::take(left_out))
            }
            Some((_, left_out)) => {
                *left_out += 1;
                None
            }
            None if !is_room => None,
            None => {
                if state.kinds.len() >= KINDS {
                    state.kinds.retain(|_, (last, _)| !is_over(*last));
                }
                if state.kinds.len() >= KINDS {
                    state.kinds.clear();
                }
                state.kinds.insert(kind, (now, 0));
                Some(0)
            }
        };
        state.noted += u32::from(left_out.is_some());
        left_out
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::draft;
    use super::*;

    fn from(client: &str) -> Draft {
        Draft {
            client: client.to_owned(),
            status: Some(403),
            ..draft("a")
        }
    }

    #[test]
    fn of_a_kind_one_is_noted_in_a_minute_and_says_how_many_there_were() {
        let refusals = Refusals::default();
        let (start, later) = (Time(0), Time(0).plus_ms(WINDOW_MS));
        assert_eq!(refusals.admit(&from("a"), start), Some(0));
        assert_eq!(refusals.admit(&from("b"), start), Some(0));
        for _ in 0..5 {
            assert_eq!(refusals.admit(&from("a"), start), None);
        }
        assert_eq!(refusals.admit(&from("a"), later), Some(5));
        assert_eq!(refusals.admit(&from("b"), later), Some(0));
    }

    #[test]
    fn a_guesser_with_many_addresses_is_noted_a_few_hundred_times_a_minute() {
        let refusals = Refusals::default();
        let noted = (0..5_000).filter(|nth| refusals.admit(&from(&nth.to_string()), Time(0)).is_some());
        assert_eq!(noted.count(), TOGETHER as usize);
        let state = refusals.0.lock().unwrap();
        assert!(state.kinds.len() <= KINDS);
    }
}
