//! Documents of faces.

use quintet_core::time::Time;

use super::State;
use crate::record::{Record, RecordWrite};

impl State {
    pub(super) fn put_records(&mut self, writes: Vec<RecordWrite>) -> bool {
        let is_expected = |write: &RecordWrite| {
            let key = (write.namespace.clone(), write.kind.clone(), write.id.clone());
            let version = self.records.get(&key).map_or(0, |record| record.version);
            write.expected.is_none_or(|expected| expected == version)
        };
        if !writes.iter().all(is_expected) {
            return false;
        }
        writes.into_iter().for_each(|write| self.put_record(write));
        true
    }

    fn put_record(&mut self, write: RecordWrite) {
        let key = (write.namespace.clone(), write.kind.clone(), write.id.clone());
        let Some(body) = write.body else {
            self.records.remove(&key);
            return;
        };
        let known = self.records.get(&key);
        let record = Record {
            version: known.map_or(0, |known| known.version) + 1,
            created_at: known.map_or(write.at, |known| known.created_at),
            namespace: write.namespace,
            kind: write.kind,
            id: write.id,
            body,
            expires_at: write.expires_at,
            updated_at: write.at,
        };
        self.records.insert(key, record);
    }

    pub(super) fn record(&self, namespace: &str, kind: &str, id: &str) -> Option<Record> {
        let key = (namespace.into(), kind.into(), id.into());
        self.records.get(&key).cloned()
    }

    pub(super) fn records_after(&self, namespace: &str, kind: &str, after: Option<&str>, limit: usize) -> Vec<Record> {
        let of_kind = self.records.values().filter(|record| {
            &*record.namespace == namespace && &*record.kind == kind && after.is_none_or(|after| &*record.id > after)
        });
        of_kind.take(limit).cloned().collect()
    }

    pub(super) fn expired_records(&self, kind: &str, now: Time, limit: usize) -> Vec<Record> {
        let expired = |record: &&Record| &*record.kind == kind && record.expires_at.is_some_and(|at| at <= now);
        let mut expired: Vec<&Record> = self.records.values().filter(expired).collect();
        expired.sort_by_key(|record| (record.expires_at, record.namespace.clone(), record.id.clone()));
        expired.into_iter().take(limit).cloned().collect()
    }
}
