//! One partition of the history for the runs of each day.
//!
//! An id of a run begins with 48 bits of Unix milliseconds, so the runs of a day are a range of ids. Partitions are made a
//! few days ahead, and whenever a commit meets a day that has none: an id may have any time in it, for instance that of
//! a store it was moved from. One is made beside the table and attached to it then, because that keeps nobody waiting:
//! making it as a partition at once would lock out every commit.
//!
//! A partition is dropped when no run of its day is left. The lock for that is asked for with little patience, as every
//! commit would have to wait behind it; the next time will do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError, RwLock};

use quintet_core::id::RunId;
use quintet_core::time::Time;

use crate::codec::{Uuid, get};
use crate::error::{Fault, Result, Verdict};
use crate::migrate::LOCK;
use crate::session::{BEGIN, COMMIT, Database, ROLLBACK, Step};
use crate::sql;

const DAY_MS: u64 = 86_400_000;

/// The last day that 48 bits of milliseconds reach.
const LAST: u64 = ((1 << 48) - 1) / DAY_MS;

/// How many days have a partition before they begin.
const AHEAD: u64 = 3;

/// A day since 1970 (UTC), by the time in an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(u64);

impl Day {
    pub fn of(id: RunId) -> Self {
        let ms = (id.bits() >> 80) as u64;
        Self(ms / DAY_MS)
    }

    /// Days before 1970 have no ids.
    pub fn at(time: Time) -> Self {
        Self((u64::try_from(time.as_ms()).unwrap_or(0) / DAY_MS).min(LAST))
    }

    pub fn first(self) -> RunId {
        RunId::from_bits(u128::from(self.0 * DAY_MS) << 80)
    }

    pub fn last(self) -> RunId {
        let next = Self(self.0 + 1);
        if self.0 >= LAST {
            RunId::from_bits(u128::MAX)
        } else {
            RunId::from_bits(next.first().bits() - 1)
        }
    }

    fn table(self) -> String {
        format!("history_d{:07}", self.0)
    }

    fn named(table: &str) -> Option<Self> {
        table.strip_prefix("history_d")?.parse().ok().map(Self)
    }

    /// Until the end of the day, where the last one has no next.
    fn bounds(self) -> String {
        let text = |id: RunId| format!("'{:032x}'", id.bits());
        let end = if self.0 >= LAST {
            "MAXVALUE".to_owned()
        } else {
            text(Self(self.0 + 1).first())
        };
        format!("FROM ({}) TO ({end})", text(self.first()))
    }
}

/// The days that have a partition, as far as this process knows. Another node may have dropped one since, which a commit
/// finds out.
#[derive(Debug, Default)]
pub struct Days {
    known: RwLock<BTreeSet<Day>>,
    /// What retention found, and at which hour.
    judged: Mutex<BTreeMap<Day, (i64, Whole)>>,
}

/// What retention removes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// A run with its history.
    Run,
    /// All runs of a day, one after the other; the history goes when that is done.
    Day,
}

impl Days {
    /// Those of `days` that are not known to have one, and of the days ahead of `now`.
    pub fn missing(&self, days: impl IntoIterator<Item = Day>) -> BTreeSet<Day> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut last = None;
        let mut missing = BTreeSet::new();
        for day in days {
            if last != Some(day) && !known.contains(&day) {
                missing.insert(day);
            }
            last = Some(day);
        }
        missing
    }

    fn add(&self, days: impl IntoIterator<Item = Day>) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).extend(days);
    }

    /// What retention found of a day within this hour.
    pub fn judged(&self, day: Day, hour: i64) -> Option<Whole> {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.get(&day).filter(|(at, _)| *at == hour).map(|(_, whole)| *whole)
    }

    pub fn judge(&self, day: Day, hour: i64, whole: Whole) {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.retain(|_, (at, _)| *at == hour);
        judged.insert(day, (hour, whole));
    }

    fn remove(&self, day: Day) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&day);
    }

    /// All of them, in order.
    pub fn known(&self) -> Vec<Day> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect()
    }
}

/// Asks which partitions there are.
pub async fn learn(database: &Database, days: &Days) -> Result<()> {
    let answer = database.read(&sql::HISTORY_PARTITIONS, &[]).await?;
    let found = answer
        .rows
        .iter()
        .map(|row| get::<&str>(row, 0))
        .collect::<Result<Vec<_>>>()?;
    let mut known = days.known.write().unwrap_or_else(PoisonError::into_inner);
    *known = found.into_iter().filter_map(Day::named).collect();
    Ok(())
}

/// The days from that of `now` on that should have a partition already.
pub fn ahead(now: Time) -> impl Iterator<Item = Day> {
    let today = Day::at(now).0;
    (today..=today.saturating_add(AHEAD).min(LAST)).map(Day)
}

/// Makes the partitions that are not there, whoever else does the same at the same time.
pub async fn make(database: &Database, days: &Days, wanted: BTreeSet<Day>) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let lock = format!("SELECT pg_catalog.pg_advisory_xact_lock({LOCK})");
    let mut session = database.session().await?;
    session
        .flight(&[BEGIN, Step::Plain("SET LOCAL lock_timeout = '5s'"), Step::Plain(&lock)])
        .await?;
    let looks = [
        Step::Run(&sql::WALL_ENGINE, Vec::new()),
        Step::Run(&sql::HISTORY_PARTITIONS, Vec::new()),
    ];
    let found = session.flight(&looks).await?;
    let engine: String = get(found[0].single()?, 0)?;
    let there = found[1]
        .rows
        .iter()
        .map(|row| get::<&str>(row, 0))
        .collect::<Result<BTreeSet<_>>>()?;
    let definitions: Vec<String> = wanted
        .iter()
        .filter(|day| !there.contains(&*day.table()))
        .map(|day| definition(*day, &engine))
        .collect();
    let mut steps: Vec<Step<'_>> = definitions.iter().map(|text| Step::Plain(text)).collect();
    steps.push(COMMIT);
    session.flight(&steps).await?;
    days.add(wanted);
    Ok(())
}

/// Whoever goes through the table meets its policies and none of these: they are for those who go past it.
fn definition(day: Day, engine: &str) -> String {
    let (table, bounds) = (day.table(), day.bounds());
    format!(
        "CREATE TABLE quintet.{table} (LIKE quintet.history INCLUDING ALL); \
         ALTER TABLE quintet.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
         CREATE POLICY engine ON quintet.{table} TO {engine} USING (true); \
         ALTER TABLE quintet.history ATTACH PARTITION quintet.{table} FOR VALUES {bounds}"
    )
}

/// Drops the partition of a day if no run of that day is left; false when there is one, or when somebody was in the way.
pub async fn drop_day(database: &Database, days: &Days, day: Day) -> Result<bool> {
    let mut session = database.session().await?;
    let lock = "SET LOCAL lock_timeout = '200ms'; LOCK TABLE quintet.history IN ACCESS EXCLUSIVE MODE";
    match session.flight(&[BEGIN, Step::Plain(lock)]).await {
        Err(fault) if fault.verdict() == Some(Verdict::Again) => return Ok(false),
        other => other?,
    };
    // Whoever starts a run of that day has either committed it by now, or waits, and finds no partition then.
    let (first, last) = (Uuid(day.first()), Uuid(day.last()));
    let left = session
        .flight(&[Step::Run(&sql::RUNS_ANY, vec![&first, &last])])
        .await?
        .remove(0);
    if get::<bool>(left.single()?, 0)? {
        session.flight(&[ROLLBACK]).await?;
        return Ok(false);
    }
    days.remove(day);
    let drop = format!("DROP TABLE IF EXISTS quintet.{}", day.table());
    session.flight(&[Step::Plain(&drop), COMMIT]).await?;
    Ok(true)
}

/// Whether a commit failed for want of a partition.
pub fn is_missing(fault: &Fault) -> bool {
    fault.verdict() == Some(Verdict::NoPartition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_lies_in_the_range_of_its_day() {
        for bits in [0, 1, 86_400_000 << 80, (86_400_000 << 80) - 1, 1 << 127, u128::MAX] {
            let id = RunId::from_bits(bits);
            let day = Day::of(id);
            assert!(day.first() <= id && id <= day.last(), "{id} in {day:?}");
            assert_eq!(Day::named(&day.table()), Some(day));
        }
        assert_eq!(Day::of(RunId::from_bits(u128::MAX)), Day(LAST));
        assert!(Day(LAST).bounds().ends_with("TO (MAXVALUE)"));
    }

    #[test]
    fn days_join_without_gap_or_overlap() {
        for day in [0, 20_000, LAST - 1] {
            assert_eq!(Day(day).last().bits() + 1, Day(day + 1).first().bits());
        }
    }

    #[test]
    fn only_days_without_a_partition_are_missing() {
        let days = Days::default();
        days.add([Day(1), Day(3)]);
        assert_eq!(days.missing([Day(1), Day(2), Day(2), Day(3)]), BTreeSet::from([Day(2)]));
        assert_eq!(ahead(Time(0)).last(), Some(Day(AHEAD)));
        assert_eq!(ahead(Time(i64::MAX)).last(), Some(Day(LAST.min(106_751_991 + AHEAD))));
    }
}
