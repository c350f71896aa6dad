//! What each kind of record is known by, and what is to be equal on both sides.

use quintet_core::time::Time;

use super::super::Cursor;
use super::super::canonical::Encoder;
use super::{HistoryRecord, MessageRecord, MessageState, QueueRecord, Record, VersionRecord, WorkflowRecord};
use crate::commit::{IdempotencyWrite, PlanWrite, RunRow};
use crate::steps::{DeadLetter, StepRow};

impl Record for PlanWrite {
    fn place(&self) -> Cursor {
        Cursor::Plans(Some(self.digest))
    }

    fn write(&self, out: &mut Encoder) {
        out.bytes(&self.digest.0);
        out.text(&self.spec);
    }
}

impl Record for WorkflowRecord {
    fn place(&self) -> Cursor {
        Cursor::Workflows(Some((self.namespace.clone(), self.id.clone())))
    }

    fn write(&self, out: &mut Encoder) {
        out.text(&self.namespace);
        out.text(&self.id);
        out.text(&self.name);
        out.number(self.version.into());
        out.number(self.created_at.0);
    }
}

impl Record for VersionRecord {
    fn place(&self) -> Cursor {
        Cursor::Versions(Some((self.namespace.clone(), self.id.clone(), self.version)))
    }

    fn write(&self, out: &mut Encoder) {
        out.text(&self.namespace);
        out.text(&self.id);
        out.number(self.version.into());
        out.text(&self.document);
        out.bytes(&self.digest.0);
        out.number(self.created_at.0);
    }
}

impl Record for RunRow {
    fn place(&self) -> Cursor {
        Cursor::Runs(Some(self.id))
    }

    fn write(&self, out: &mut Encoder) {
        let time = |out: &mut Encoder, time: Time| out.number(time.0);
        out.bytes(&self.id.to_bytes());
        out.text(&self.namespace);
        out.text(&self.workflow);
        out.number(self.workflow_version.into());
        out.bytes(&self.plan.0);
        out.number(self.status.number().into());
        out.number(self.version.cast_signed());
        out.number(self.priority.into());
        out.number(self.claims.into());
        out.option(self.wake_at, time);
        out.number(self.created_at.0);
        out.number(self.updated_at.0);
        out.option(self.finished_at, time);
    }
}

impl Record for HistoryRecord {
    fn place(&self) -> Cursor {
        Cursor::History(Some((self.run, self.commit.seq)))
    }

    fn write(&self, out: &mut Encoder) {
        out.bytes(&self.run.to_bytes());
        out.number(self.commit.seq.cast_signed());
        out.number(self.commit.meta.at.0);
        out.number(self.commit.meta.owner.cast_signed());
        out.text(&self.commit.events);
    }
}

impl Record for QueueRecord {
    fn place(&self) -> Cursor {
        Cursor::Queue(Some((self.run, self.node)))
    }

    fn write(&self, out: &mut Encoder) {
        out.bytes(&self.run.to_bytes());
        out.number(self.node.into());
        out.text(&self.queue);
        out.number(self.rank);
        out.text(&self.namespace);
    }
}

impl Record for IdempotencyWrite {
    fn place(&self) -> Cursor {
        Cursor::Keys(Some((
            self.namespace.clone(),
            self.scope.clone(),
            self.key.as_str().into(),
        )))
    }

    fn write(&self, out: &mut Encoder) {
        out.text(&self.namespace);
        out.text(&self.scope);
        out.text(&self.key);
        out.bytes(&self.record.request);
        out.text(&self.record.answer);
        out.number(self.expires_at.0);
    }
}

impl Record for MessageRecord {
    fn place(&self) -> Cursor {
        Cursor::Messages(Some(self.id))
    }

    fn write(&self, out: &mut Encoder) {
        out.number(self.id);
        out.text(&self.target);
        out.text(&self.key);
        out.text(&self.message_id);
        out.text(&self.body);
        out.number(self.attempts.into());
        out.number(self.due_at.0);
        out.number(self.created_at.0);
        out.number(match self.state {
            MessageState::Waiting => 0,
            MessageState::GivenUp => 2,
        });
        out.option(self.error.as_deref(), Encoder::text);
    }
}

impl Record for StepRow {
    fn place(&self) -> Cursor {
        Cursor::Steps(Some((self.run, self.node)))
    }

    fn write(&self, out: &mut Encoder) {
        out.bytes(&self.run.to_bytes());
        out.number(self.node.into());
        out.text(&self.namespace);
        out.text(&self.workflow);
        out.text(&self.step);
        out.text(&self.action);
        out.text(&self.queue);
        out.text(self.status.as_str());
        out.number(self.attempt.into());
        out.number(self.priority.into());
        out.number(self.created_at.0);
        out.number(self.updated_at.0);
    }
}

impl Record for DeadLetter {
    fn place(&self) -> Cursor {
        Cursor::Letters(Some((self.run, self.node, self.attempt)))
    }

    fn write(&self, out: &mut Encoder) {
        out.bytes(&self.run.to_bytes());
        out.number(self.node.into());
        out.number(self.attempt.into());
        out.text(&self.namespace);
        out.text(&self.workflow);
        out.text(&self.step);
        out.text(&self.queue);
        out.text(&self.body);
        out.number(self.failed_at.0);
        out.option(self.retried_at, |out, at| out.number(at.0));
    }
}

impl Record for crate::record::Record {
    fn place(&self) -> Cursor {
        Cursor::Documents(Some((self.namespace.clone(), self.kind.clone(), self.id.clone())))
    }

    fn write(&self, out: &mut Encoder) {
        out.text(&self.namespace);
        out.text(&self.kind);
        out.text(&self.id);
        out.number(self.version.cast_signed());
        out.text(&self.body);
        out.option(self.expires_at, |out, at| out.number(at.0));
        out.number(self.created_at.0);
        out.number(self.updated_at.0);
    }
}
