//! Short ways to write commits in cases. Everything panics when it does not work: these are tests.

use std::sync::Arc;

use quintet_core::event::Meta;
use quintet_core::id::RunId;
use quintet_core::machine::{RunStatus, StepStatus};
use quintet_core::plan::Digest;
use quintet_core::time::Time;

use crate::commit::{
    Commit, IdempotencyRecord, IdempotencyWrite, OutboxWrite, QueueChange, RunRow, RunWrite, Unit, UnitResult,
};
pub use crate::deal::Turns;
use crate::node::Claim;
pub use crate::query::OutboxAsk;
use crate::query::{DueRun, QueueAsk, QueueEntry, RunFilter};
use crate::steps::{DeadLetter, StepRow};
use crate::traits::Store;

/// The namespace of an install that has only one.
pub const DEFAULT: &str = "default";

/// What the cases get.
pub type AnyStore = Arc<dyn Store>;

/// The run with a small number.
pub fn id(number: u64) -> RunId {
    RunId::from_bits(u128::from(number))
}

/// A plan's identity.
pub fn digest(number: u8) -> Digest {
    Digest([number; 32])
}

/// Starts run `number`: under way, no timer, nothing claimed, accepted at the time `number`.
pub fn start(number: u64) -> RunWrite {
    let at = Time(i64::try_from(number).expect("a small number"));
    RunWrite {
        expected: 0,
        row: RunRow {
            id: id(number),
            namespace: DEFAULT.into(),
            workflow: "".into(),
            workflow_version: 0,
            plan: digest(1),
            status: RunStatus::StepsInProcess,
            version: 1,
            priority: 0,
            claims: 0,
            wake_at: None,
            created_at: at,
            updated_at: at,
            finished_at: None,
        },
        events: format!("[\"started {number}\"]"),
        queue: Vec::new(),
    }
}

impl RunWrite {
    /// The same with a changed row.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut RunRow)) -> Self {
        change(&mut self.row);
        self
    }

    /// The same with a step put into a queue, where it goes as the run says.
    #[must_use]
    pub fn put(self, node: u32, queue: &str) -> Self {
        let priority = self.row.priority;
        self.put_at(node, queue, priority)
    }

    /// The same with a step put into a queue, where it goes as it says itself.
    #[must_use]
    pub fn put_at(mut self, node: u32, queue: &str, priority: i32) -> Self {
        self.queue.push(QueueChange::Put {
            node,
            queue: queue.into(),
            priority,
        });
        self
    }

    /// The same with a step removed from the queue.
    #[must_use]
    pub fn remove(mut self, node: u32) -> Self {
        self.queue.push(QueueChange::Remove { node });
        self
    }

    /// The same with other events.
    #[must_use]
    pub fn saying(mut self, events: &str) -> Self {
        events.clone_into(&mut self.events);
        self
    }

    /// The same in another namespace.
    #[must_use]
    pub fn within(self, namespace: &str) -> Self {
        self.with(|row| row.namespace = namespace.into())
    }

    /// The same with a time to wake.
    #[must_use]
    pub fn waking(self, at: i64) -> Self {
        self.with(|row| row.wake_at = Some(Time(at)))
    }

    /// The write after this one, which changes only the version and the time.
    #[must_use]
    pub fn next(&self) -> Self {
        let mut next = Self {
            expected: self.row.version,
            queue: Vec::new(),
            ..self.clone()
        };
        next.row.version += 1;
        next.row.updated_at = Time(self.row.updated_at.0 + 1);
        next.events = format!("[\"version {}\"]", next.row.version);
        next
    }

    /// The write after this one, which ends the run.
    #[must_use]
    pub fn finish(&self, status: RunStatus, at: i64) -> Self {
        self.next().with(|row| {
            row.status = status;
            row.claims = 0;
            row.wake_at = None;
            row.updated_at = Time(at);
            row.finished_at = Some(Time(at));
        })
    }
}

/// The row of a step of run `number`: an attempt is in progress.
pub fn step_row(number: u64, node: u32) -> StepRow {
    StepRow {
        run: id(number),
        node,
        namespace: DEFAULT.into(),
        workflow: "flow".into(),
        step: format!("step {node}").into(),
        action: "push".into(),
        queue: "task".into(),
        status: StepStatus::InProgress,
        attempt: 1,
        priority: 0,
        created_at: Time(10),
        updated_at: Time(10),
    }
}

impl StepRow {
    /// The same with a change.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// The dead letter of an attempt of a step of run `number`.
pub fn letter(number: u64, node: u32, attempt: u32) -> DeadLetter {
    DeadLetter {
        run: id(number),
        node,
        attempt,
        namespace: DEFAULT.into(),
        workflow: "flow".into(),
        step: format!("step {node}").into(),
        queue: "task".into(),
        body: format!("{{\"attempt\":{attempt}}}"),
        failed_at: Time(10),
        retried_at: None,
    }
}

impl DeadLetter {
    /// The same with a change.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Commits rows of steps, in a unit of their own.
pub async fn put_steps(store: &AnyStore, steps: impl IntoIterator<Item = StepRow>) {
    let unit = Unit {
        steps: steps.into_iter().collect(),
        ..Unit::default()
    };
    assert_eq!(commit(store, unit).await, UnitResult::Applied);
}

/// Commits dead letters, in a unit of their own.
pub async fn put_letters(store: &AnyStore, letters: impl IntoIterator<Item = DeadLetter>) {
    let unit = Unit {
        letters: letters.into_iter().collect(),
        ..Unit::default()
    };
    assert_eq!(commit(store, unit).await, UnitResult::Applied);
}

/// A unit of runs only.
pub fn unit(runs: impl IntoIterator<Item = RunWrite>) -> Unit {
    Unit {
        runs: runs.into_iter().collect(),
        ..Unit::default()
    }
}

/// A unit of one message only.
pub fn message(target: &str, key: &str, body: &str) -> Unit {
    let message_id = format!("id of {body}");
    let outbox = vec![OutboxWrite {
        target: target.into(),
        key: key.into(),
        message_id,
        body: body.into(),
    }];
    Unit {
        outbox,
        ..Unit::default()
    }
}

/// A key in the scope `start` that expires at the time 1000.
pub fn key(key: &str, answer: &str) -> IdempotencyWrite {
    IdempotencyWrite {
        namespace: DEFAULT.into(),
        scope: "start".into(),
        key: key.into(),
        record: IdempotencyRecord {
            request: [7; 32],
            answer: answer.into(),
        },
        expires_at: Time(1000),
        replaces: None,
    }
}

/// The time and owner of commits that do not care.
pub fn meta(at: i64) -> Meta {
    Meta { at: Time(at), owner: 1 }
}

/// Of the one owner that the cases act for.
pub fn claim(now: i64) -> Claim {
    claim_of(1, now, now.saturating_add(1_000_000))
}

/// Of some owner.
pub fn claim_of(owner: u64, now: i64, until: i64) -> Claim {
    Claim {
        owner,
        now: Time(now),
        until: Time(until),
    }
}

/// Commits units at a time.
pub async fn commit_at(store: &AnyStore, at: i64, units: Vec<Unit>) -> Vec<UnitResult> {
    store
        .commit(Commit { meta: meta(at), units })
        .await
        .expect("the commit is applied")
}

/// Commits one unit at the time 10.
pub async fn commit(store: &AnyStore, unit: Unit) -> UnitResult {
    commit_at(store, 10, vec![unit]).await.pop().expect("one answer")
}

/// Commits one write, which must be applied, and returns it.
pub async fn apply(store: &AnyStore, write: RunWrite) -> RunWrite {
    assert_eq!(commit(store, unit([write.clone()])).await, UnitResult::Applied);
    write
}

/// Commits several writes, each in a unit of its own, which must all be applied.
pub async fn apply_all(store: &AnyStore, writes: impl IntoIterator<Item = RunWrite>) {
    let units: Vec<Unit> = writes.into_iter().map(|write| unit([write])).collect();
    let results = commit_at(store, 10, units).await;
    assert!(
        results.iter().all(|result| *result == UnitResult::Applied),
        "{results:?}"
    );
}

/// The row of a run that must be there.
pub async fn row(store: &AnyStore, number: u64) -> RunRow {
    store.run(DEFAULT, id(number)).await.unwrap().expect("the run is there")
}

/// Numbers of the runs on a page.
pub async fn listed(store: &AnyStore, filter: &RunFilter) -> Vec<u64> {
    numbers(
        store
            .runs(DEFAULT, filter, None, 1000)
            .await
            .unwrap()
            .rows
            .iter()
            .map(|row| row.id),
    )
}

/// Numbers of runs that are due.
pub async fn due(store: &AnyStore, now: i64) -> Vec<u64> {
    due_numbers(&store.due(claim(now), 1000).await.unwrap())
}

/// Numbers of runs.
pub fn due_numbers(due: &[DueRun]) -> Vec<u64> {
    numbers(due.iter().map(|run| run.id))
}

/// Everything that waits in some queues.
pub fn asks(queues: &[&str]) -> Vec<QueueAsk> {
    queues.iter().map(|queue| QueueAsk::all(queue)).collect()
}

/// Run and step of each entry in some queues.
pub async fn queued(store: &AnyStore, queues: &[&str], limit: usize) -> Vec<(u64, u32)> {
    let entries: Vec<QueueEntry> = store
        .queued(&asks(queues), &Turns::default(), claim(0), limit)
        .await
        .unwrap();
    entries.iter().map(|entry| (number(entry.run), entry.node)).collect()
}

/// Bodies of the messages that are due.
pub async fn messages(store: &AnyStore, now: i64) -> Vec<String> {
    store
        .outbox_due(claim(now), OutboxAsk::up_to(1000))
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.body)
        .collect()
}

/// Position of the message with this body, which must be due.
pub async fn message_id(store: &AnyStore, now: i64, body: &str) -> i64 {
    let due = store.outbox_due(claim(now), OutboxAsk::up_to(1000)).await.unwrap();
    due.iter()
        .find(|entry| entry.body == body)
        .expect("the message is due")
        .id
}

/// Numbers back from ids.
pub fn numbers(ids: impl IntoIterator<Item = RunId>) -> Vec<u64> {
    ids.into_iter().map(number).collect()
}

fn number(id: RunId) -> u64 {
    u64::try_from(id.bits()).expect("a small number")
}
