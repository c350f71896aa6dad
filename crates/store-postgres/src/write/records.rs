//! Writing documents of faces: all or none, on the versions that are expected. As in the long way of a commit, what is there
//! is locked and what is not there is guarded by the primary key: whoever was faster makes the transaction fail as a whole,
//! and it begins again and sees it.

use std::collections::BTreeMap;

use quintet_core::time::Time;
use quintet_store::{Record, RecordWrite};

use crate::codec::{self, Text, micros, signed};
use crate::error::{Result, Verdict};
use crate::session::{BEGIN, COMMIT, Database, Param, ROLLBACK, Session, Step};
use crate::sql;

/// How often somebody may be faster.
const TRIES: usize = 20;

/// Namespace, kind and id.
type Name<'a> = (&'a str, &'a str, &'a str);

/// Version, and when version 1 was stored.
type Standing = (u64, Time);

/// Stores and removes all of them, or none where one is not as expected; says which.
pub async fn put(database: &Database, writes: &[RecordWrite]) -> Result<bool> {
    let mut tries = 1;
    loop {
        match attempt(database, writes).await {
            Err(fault) if matches!(fault.verdict(), Some(Verdict::Taken | Verdict::Again)) && tries < TRIES => {
                tries += 1;
            }
            other => return other,
        }
    }
}

async fn attempt(database: &Database, writes: &[RecordWrite]) -> Result<bool> {
    let mut session = database.session().await?;
    let mut names = Names::default();
    let distinct: BTreeMap<Name<'_>, ()> = writes.iter().map(|write| (name(write), ())).collect();
    distinct.into_keys().for_each(|name| names.push(name));
    let within = only_namespace(writes).map(|namespace| database.within(namespace));
    let mut steps = within.as_ref().map_or_else(|| vec![BEGIN], |within| within.begin());
    steps.push(Step::Run(&sql::RECORDS_LOCK, names.params().to_vec()));
    let found = session.flight(&steps).await?.pop().unwrap_or_default();
    let mut stored: BTreeMap<(String, String, String), Standing> = BTreeMap::new();
    for row in &found.rows {
        let name = (codec::string(row, 0)?, codec::string(row, 1)?, codec::string(row, 2)?);
        stored.insert(name, (codec::unsigned(row, 3)?, codec::time(row, 4)?));
    }
    let stored: BTreeMap<Name<'_>, Standing> = stored
        .iter()
        .map(|((namespace, kind, id), standing)| ((&**namespace, &**kind, &**id), *standing))
        .collect();
    let is_expected = |write: &RecordWrite| {
        let version = stored.get(&name(write)).map_or(0, |(version, _)| *version);
        write.expected.is_none_or(|expected| expected == version)
    };
    if !writes.iter().all(is_expected) {
        session.flight(&[ROLLBACK]).await?;
        return Ok(false);
    }
    write(session, &stored, writes).await?;
    Ok(true)
}

/// Where all of them go, if that is one place; documents of several are written by the engine.
fn only_namespace(writes: &[RecordWrite]) -> Option<&str> {
    let (first, others) = writes.split_first()?;
    let is_same = others.iter().all(|write| write.namespace == first.namespace);
    is_same.then_some(&*first.namespace)
}

fn name(write: &RecordWrite) -> Name<'_> {
    (&write.namespace, &write.kind, &write.id)
}

/// Writes each document once, as the last write of it leaves it.
async fn write(mut session: Session<'_>, stored: &BTreeMap<Name<'_>, Standing>, writes: &[RecordWrite]) -> Result<()> {
    let mut last: BTreeMap<Name<'_>, Option<(Standing, &RecordWrite)>> = BTreeMap::new();
    for write in writes {
        let known = match last.get(&name(write)) {
            Some(earlier) => earlier.map(|(standing, _)| standing),
            None => stored.get(&name(write)).copied(),
        };
        let (version, created_at) = known.unwrap_or((0, write.at));
        let standing = write.body.as_ref().map(|_| ((version + 1, created_at), write));
        last.insert(name(write), standing);
    }
    let (mut removed, mut inserted, mut updated) = (Names::default(), Documents::default(), Documents::default());
    for (name, write) in last {
        match (write, stored.contains_key(&name)) {
            (Some((standing, write)), true) => updated.push(name, standing, write),
            (Some((standing, write)), false) => inserted.push(name, standing, write),
            (None, true) => removed.push(name),
            (None, false) => {}
        }
    }
    let steps = [
        Step::Run(&sql::RECORDS_DELETE, removed.params().to_vec()),
        Step::Run(&sql::RECORDS_UPDATE, updated.params().to_vec()),
        Step::Run(&sql::RECORDS_INSERT, inserted.params().to_vec()),
        COMMIT,
    ];
    session.flight(&steps).await.map(drop)
}

#[derive(Default)]
struct Names<'a> {
    namespace: Vec<Text<'a>>,
    kind: Vec<Text<'a>>,
    id: Vec<Text<'a>>,
}

impl<'a> Names<'a> {
    fn push(&mut self, (namespace, kind, id): Name<'a>) {
        self.namespace.push(Text(namespace));
        self.kind.push(Text(kind));
        self.id.push(Text(id));
    }

    fn params(&self) -> [Param<'_>; 3] {
        [&self.namespace, &self.kind, &self.id]
    }
}

/// Rows of `quintet.records`.
#[derive(Default)]
pub struct Documents<'a> {
    names: Names<'a>,
    version: Vec<i64>,
    body: Vec<Text<'a>>,
    expires_at: Vec<Option<i64>>,
    created_at: Vec<i64>,
    updated_at: Vec<i64>,
}

impl<'a> Documents<'a> {
    fn push(&mut self, name: Name<'a>, (version, created_at): Standing, write: &'a RecordWrite) {
        self.names.push(name);
        self.version.push(signed(version));
        self.body.push(Text(write.body.as_deref().unwrap_or_default()));
        self.expires_at.push(micros(write.expires_at));
        self.created_at.push(created_at.0);
        self.updated_at.push(write.at.0);
    }

    /// As they are.
    pub fn of(records: &'a [Record]) -> Self {
        let mut columns = Self::default();
        for record in records {
            columns.names.push((&record.namespace, &record.kind, &record.id));
            columns.version.push(signed(record.version));
            columns.body.push(Text(&record.body));
            columns.expires_at.push(micros(record.expires_at));
            columns.created_at.push(record.created_at.0);
            columns.updated_at.push(record.updated_at.0);
        }
        columns
    }

    pub fn params(&self) -> [Param<'_>; 8] {
        let [namespace, kind, id] = self.names.params();
        [
            namespace,
            kind,
            id,
            &self.version,
            &self.body,
            &self.expires_at,
            &self.created_at,
            &self.updated_at,
        ]
    }
}
