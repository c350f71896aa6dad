//! When services were last heard of, by this process. Nothing of it is stored: a worker that nobody has heard of since
//! the start is simply not known to be there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use quintet_core::id::RunId;
use quintet_core::time::Time;
use serde::Serialize;

/// A service that was heard of within this time is active.
const ACTIVE_MS: u64 = 90_000;

/// How a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Liveness {
    /// It was heard of lately.
    Active,
    /// Nothing was heard of it for a while.
    Inactive,
    /// It was called and did not answer.
    Disconnected,
}

/// Signs of life by service.
#[derive(Debug, Default)]
pub(super) struct Contacts(Mutex<HashMap<Arc<str>, Contact>>);

#[derive(Debug, Clone, Copy, Default)]
struct Contact {
    heard_at: Option<Time>,
    missed_at: Option<Time>,
}

impl Contacts {
    /// It called, or answered a call.
    pub fn heard(&self, service: &Arc<str>, now: Time) {
        self.edit(service, |contact| contact.heard_at = Some(now));
    }

    /// It did not answer.
    pub fn missed(&self, service: &Arc<str>, now: Time) {
        self.edit(service, |contact| contact.missed_at = Some(now));
    }

    /// How it is doing, and when it was last heard of.
    pub fn of(&self, service: &str, now: Time) -> (Liveness, Option<Time>) {
        let contacts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let contact = contacts.get(service).copied().unwrap_or_default();
        let liveness = match (contact.heard_at, contact.missed_at) {
            (heard, Some(missed)) if heard.is_none_or(|heard| heard < missed) => Liveness::Disconnected,
            (Some(heard), _) if now.ms_since(heard) <= ACTIVE_MS => Liveness::Active,
            _ => Liveness::Inactive,
        };
        (liveness, contact.heard_at)
    }

    fn edit(&self, service: &Arc<str>, change: impl FnOnce(&mut Contact)) {
        let mut contacts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(contacts.entry(Arc::clone(service)).or_default());
    }
}

/// Which task was dispatched as which step run, for the latest dispatches of this process: so that an answer need not look
/// at its run to know what it is about.
#[derive(Debug, Default)]
pub(super) struct Dispatched(Mutex<Latest>);

/// Dispatches remembered.
const LATEST: usize = 20_000;

#[derive(Debug, Default)]
struct Latest {
    tasks: HashMap<(RunId, u32), Arc<str>>,
    order: VecDeque<(RunId, u32)>,
}

impl Dispatched {
    /// The task goes out.
    pub fn add(&self, step: (RunId, u32), task: &Arc<str>) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.tasks.insert(step, Arc::clone(task)).is_some() {
            return;
        }
        latest.order.push_back(step);
        if latest.order.len() > LATEST
            && let Some(oldest) = latest.order.pop_front()
        {
            latest.tasks.remove(&oldest);
        }
    }

    /// The task of a step run, if it went out from here lately.
    pub fn task(&self, step: (RunId, u32)) -> Option<Arc<str>> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.tasks.get(&step).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_sign_decides_and_grows_old() {
        let contacts = Contacts::default();
        let service: Arc<str> = "svc".into();
        let at = |s: i64| Time(s * 1_000_000);
        assert_eq!(contacts.of("svc", at(1)), (Liveness::Inactive, None));
        contacts.heard(&service, at(1));
        assert_eq!(contacts.of("svc", at(2)), (Liveness::Active, Some(at(1))));
        contacts.missed(&service, at(3));
        assert_eq!(contacts.of("svc", at(3)).0, Liveness::Disconnected);
        contacts.heard(&service, at(4));
        assert_eq!(contacts.of("svc", at(4)).0, Liveness::Active);
        assert_eq!(contacts.of("svc", at(200)).0, Liveness::Inactive);
    }
}
