//! Rows as columns: a statement gets an array for each column, so that a batch of any size is one statement.
//!
//! The rows of runs go in the order of their ids, and whatever locks rows does so in the order of a key, so that two
//! commits at the same time wait for each other and do not block each other.

use std::collections::BTreeMap;

use quintet_core::id::RunId;
use quintet_store::{IdempotencyWrite, NoticeWrite, OutboxWrite, QueueChange, RunRow, RunWrite};

use crate::codec::{Text, Uuid, micros, signed};
use crate::session::Param;

/// Rows of `quintet.runs`, without what the store itself keeps there.
#[derive(Default)]
pub struct Runs<'a> {
    id: Vec<Uuid>,
    namespace: Vec<Text<'a>>,
    workflow: Vec<Text<'a>>,
    workflow_version: Vec<i64>,
    plan: Vec<&'a [u8]>,
    status: Vec<i16>,
    version: Vec<i64>,
    priority: Vec<i32>,
    claims: Vec<i64>,
    wake_at: Vec<Option<i64>>,
    created_at: Vec<i64>,
    updated_at: Vec<i64>,
    finished_at: Vec<Option<i64>>,
}

impl<'a> Runs<'a> {
    pub fn push(&mut self, row: &'a RunRow) {
        self.id.push(Uuid(row.id));
        self.namespace.push(Text(&row.namespace));
        self.workflow.push(Text(&row.workflow));
        self.workflow_version.push(row.workflow_version.into());
        self.plan.push(&row.plan.0);
        self.status.push(row.status.number().into());
        self.version.push(signed(row.version));
        self.priority.push(row.priority);
        self.claims.push(row.claims.into());
        self.wake_at.push(micros(row.wake_at));
        self.created_at.push(row.created_at.0);
        self.updated_at.push(row.updated_at.0);
        self.finished_at.push(micros(row.finished_at));
    }

    pub fn is_empty(&self) -> bool {
        self.id.is_empty()
    }

    pub fn len(&self) -> usize {
        self.id.len()
    }

    pub fn ids(&self) -> &Vec<Uuid> {
        &self.id
    }

    pub fn params(&self) -> [Param<'_>; 13] {
        [
            &self.id,
            &self.namespace,
            &self.workflow,
            &self.workflow_version,
            &self.plan,
            &self.status,
            &self.version,
            &self.priority,
            &self.claims,
            &self.wake_at,
            &self.created_at,
            &self.updated_at,
            &self.finished_at,
        ]
    }
}

/// Entries of the history.
#[derive(Default)]
pub struct History<'a> {
    run: Vec<Uuid>,
    seq: Vec<i64>,
    events: Vec<Text<'a>>,
}

impl<'a> History<'a> {
    pub fn push(&mut self, write: &'a RunWrite) {
        self.run.push(Uuid(write.row.id));
        self.seq.push(signed(write.row.version));
        self.events.push(Text(&write.events));
    }

    pub fn is_empty(&self) -> bool {
        self.run.is_empty()
    }

    pub fn params(&self) -> [Param<'_>; 3] {
        [&self.run, &self.seq, &self.events]
    }
}

/// What becomes of queue entries in the end: a later change of the same entry replaces an earlier one.
#[derive(Default)]
pub struct Changes<'a>(BTreeMap<(RunId, u32), (i64, Option<Entry<'a>>)>);

#[derive(Clone, Copy)]
struct Entry<'a> {
    queue: &'a str,
    priority: i32,
    namespace: &'a str,
}

impl<'a> Changes<'a> {
    /// The changes of one write, under the place of its unit.
    pub fn add(&mut self, place: i64, write: &'a RunWrite) {
        for change in &write.queue {
            let (node, entry) = match change {
                QueueChange::Put { node, queue, priority } => (
                    *node,
                    Some(Entry {
                        queue,
                        priority: *priority,
                        namespace: &write.row.namespace,
                    }),
                ),
                QueueChange::Remove { node } => (*node, None),
            };
            self.0.insert((write.row.id, node), (place, entry));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn split(&self) -> (Puts<'a>, Removals) {
        let (mut puts, mut removals) = (Puts::default(), Removals::default());
        for ((run, node), (place, entry)) in &self.0 {
            match entry {
                Some(entry) => puts.push(*place, *run, *node, *entry),
                None => removals.push(*place, *run, *node),
            }
        }
        (puts, removals)
    }
}

#[derive(Default)]
pub struct Puts<'a> {
    place: Vec<i64>,
    run: Vec<Uuid>,
    node: Vec<i64>,
    queue: Vec<Text<'a>>,
    rank: Vec<i64>,
    namespace: Vec<Text<'a>>,
}

impl<'a> Puts<'a> {
    fn push(&mut self, place: i64, run: RunId, node: u32, entry: Entry<'a>) {
        self.place.push(place);
        self.run.push(Uuid(run));
        self.node.push(node.into());
        self.queue.push(Text(entry.queue));
        self.rank.push(-i64::from(entry.priority));
        self.namespace.push(Text(entry.namespace));
    }

    pub fn len(&self) -> usize {
        self.run.len()
    }

    /// The first is the place, which only the fast way needs.
    pub fn params(&self) -> [Param<'_>; 6] {
        [
            &self.place,
            &self.run,
            &self.node,
            &self.queue,
            &self.rank,
            &self.namespace,
        ]
    }
}

#[derive(Default)]
pub struct Removals {
    place: Vec<i64>,
    run: Vec<Uuid>,
    node: Vec<i64>,
}

impl Removals {
    fn push(&mut self, place: i64, run: RunId, node: u32) {
        self.place.push(place);
        self.run.push(Uuid(run));
        self.node.push(node.into());
    }

    pub fn len(&self) -> usize {
        self.run.len()
    }

    /// The first is the place.
    pub fn params(&self) -> [Param<'_>; 3] {
        [&self.place, &self.run, &self.node]
    }
}

#[derive(Default)]
pub struct Messages<'a> {
    place: Vec<i64>,
    target: Vec<Text<'a>>,
    key: Vec<Text<'a>>,
    message_id: Vec<Text<'a>>,
    body: Vec<Text<'a>>,
}

impl<'a> Messages<'a> {
    pub fn push(&mut self, place: i64, message: &'a OutboxWrite) {
        self.place.push(place);
        self.target.push(Text(&message.target));
        self.key.push(Text(&message.key));
        self.message_id.push(Text(&message.message_id));
        self.body.push(Text(&message.body));
    }

    pub fn len(&self) -> usize {
        self.place.len()
    }

    /// The first is the place.
    pub fn params(&self) -> [Param<'_>; 5] {
        [&self.place, &self.target, &self.key, &self.message_id, &self.body]
    }
}

#[derive(Default)]
pub struct Notices {
    place: Vec<i64>,
    owner: Vec<i64>,
    run: Vec<Uuid>,
}

impl Notices {
    pub fn push(&mut self, place: i64, notice: NoticeWrite) {
        self.place.push(place);
        self.owner.push(notice.owner.cast_signed());
        self.run.push(Uuid(notice.run));
    }

    pub fn len(&self) -> usize {
        self.place.len()
    }

    /// The first is the place.
    pub fn params(&self) -> [Param<'_>; 3] {
        [&self.place, &self.owner, &self.run]
    }
}

/// Idempotency records; without any for a unit that has no key.
#[derive(Default)]
pub struct Keys<'a> {
    namespace: Vec<Option<Text<'a>>>,
    scope: Vec<Option<Text<'a>>>,
    key: Vec<Option<Text<'a>>>,
    request: Vec<Option<&'a [u8]>>,
    answer: Vec<Option<Text<'a>>>,
    expires_at: Vec<Option<i64>>,
    replaces: Vec<Option<Text<'a>>>,
}

impl<'a> Keys<'a> {
    /// `replaces` is the stored answer that may go.
    pub fn push(&mut self, key: Option<&'a IdempotencyWrite>, replaces: Option<&'a str>) {
        self.namespace.push(key.map(|key| Text(&key.namespace)));
        self.scope.push(key.map(|key| Text(&key.scope)));
        self.key.push(key.map(|key| Text(&key.key)));
        self.request.push(key.map(|key| &key.record.request[..]));
        self.answer.push(key.map(|key| Text(&key.record.answer)));
        self.expires_at.push(key.map(|key| key.expires_at.0));
        self.replaces.push(replaces.map(Text));
    }

    /// Whether no unit has one.
    pub fn is_empty(&self) -> bool {
        self.key.iter().all(Option::is_none)
    }

    pub fn params(&self) -> [Param<'_>; 6] {
        [
            &self.namespace,
            &self.scope,
            &self.key,
            &self.request,
            &self.answer,
            &self.expires_at,
        ]
    }

    /// Which answers may go.
    pub fn replaces(&self) -> Param<'_> {
        &self.replaces
    }
}

#[derive(Default)]
pub struct Pins<'a> {
    namespace: Vec<Text<'a>>,
    id: Vec<Text<'a>>,
    version: Vec<i64>,
}

impl<'a> Pins<'a> {
    pub fn push(&mut self, namespace: &'a str, id: &'a str, version: u32) {
        self.namespace.push(Text(namespace));
        self.id.push(Text(id));
        self.version.push(version.into());
    }

    pub fn params(&self) -> [Param<'_>; 3] {
        [&self.namespace, &self.id, &self.version]
    }

    /// Which workflows, without their versions.
    pub fn names(&self) -> [Param<'_>; 2] {
        [&self.namespace, &self.id]
    }
}
