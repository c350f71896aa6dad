//! Cron arithmetic: when a schedule is due next, by the clocks of a time zone.
//!
//! An expression has five fields (minute, hour, day of month, month, day of week) or six with seconds before them, as
//! cron(8) and the parser that BullMQ uses have them; or it is a name such as `@daily`. Which times match is decided by
//! sets of numbers ([`Pattern`]); this file lays the matching times of the wall clock on the line of real time.
//!
//! **Daylight saving.** A zone's time is a row of stretches with one offset each. Where the clock is put forward, some
//! local times do not exist; where it is put back, some happen twice. Two kinds of schedules want different things then:
//!
//! - One that is *pinned* to hours (`30 2 * * *`, `0 */6 * * *`) means something that is done at that time of each day.
//!   A time that does not exist is due at the first instant after the gap, and one that happens twice is due the first
//!   time only. cron(8) does the same for jobs at fixed hours.
//! - One that fits *every* hour (`*/15 * * * *`, `0 * * * *`) means a pace. It follows elapsed time: nothing is due for
//!   times that do not exist, and in the repeated hour it goes on as in any other. Once for each local time would be an
//!   hour of silence in autumn.
//!
//! Every time that is given is a distinct instant: two local times of one gap are due together, once.
//!
//! Time zones come from the database that is compiled in, so that all nodes, on whatever machines, say the same.

mod field;
mod pattern;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::time::Time;
use pattern::Pattern;

/// Longest expression, in bytes.
const MAX_TEXT: usize = 256;
/// Stretches of one offset looked at. A date that comes every 40 years lies behind 80 of them.
const MAX_STRETCHES: usize = 2_000;
/// How far back the last due time is looked for: nothing that matches at all is rarer.
const MAX_BACK_SECONDS: i64 = 100 * 366 * 86_400;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// When something is due, again and again.
#[derive(Debug, Clone)]
pub struct Cron {
    pattern: Pattern,
    zone: TimeZone,
}

/// An expression that means nothing, or a zone that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// There is nothing, or far too much.
    #[error("a cron expression has 1 to {MAX_TEXT} characters")]
    Length,
    /// Not five and not six fields.
    #[error(
        "a cron expression has 5 fields (minute, hour, day of month, month, day of week), or 6 with seconds before them, \
         and not {0}"
    )]
    FieldCount(usize),
    /// An `@name` that is none of those known.
    #[error(
        "{0} is not known: there are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and @minutely"
    )]
    Nickname(String),
    /// A field cannot be read.
    #[error("{field}: {reason}")]
    Field {
        /// Which one.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// Nothing matches, such as 31 February.
    #[error("no date matches: the days and months exclude each other")]
    Never,
    /// No such time zone.
    #[error("the time zone {0:?} is not known: give a name of the IANA database, such as Europe/Berlin or UTC")]
    Zone(String),
}

impl CronError {
    /// Whether the time zone is wrong, and not the expression.
    pub fn is_about_zone(&self) -> bool {
        matches!(self, Self::Zone(_))
    }
}

/// What a stretch of a zone's time is: its offset, and where it begins.
struct Stretch {
    begins: i64,
    offset: i64,
}

impl Cron {
    /// Reads an expression for the clocks of a time zone.
    pub fn parse(text: &str, zone: &str) -> Result<Self, CronError> {
        let pattern = Pattern::parse(text)?;
        let known = ZONES.get(zone).ok().filter(|known| !known.is_unknown());
        let zone = known.ok_or_else(|| CronError::Zone(zone.to_owned()))?;
        Ok(Self { pattern, zone })
    }

    /// The zone's name as the database writes it.
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The first due time after `after`; `None` beyond the end of the calendar, in the year 9999.
    pub fn next_after(&self, after: Time) -> Option<Time> {
        let start = after.0.div_euclid(1_000_000).checked_add(1)?;
        let mut at = Timestamp::from_second(start).ok()?;
        let mut stretch = Stretch {
            begins: i64::MIN,
            offset: self.offset(at),
        };
        let mut local = start + stretch.offset;
        if self.is_pinned() {
            local = self.after_change(start, local, &mut stretch);
        }
        for _ in 0..MAX_STRETCHES {
            local = self.pattern.next_local(local)?;
            // A local time in a gap would lie before its own stretch.
            let due = (local - stretch.offset).max(stretch.begins);
            let change = self.zone.following(at).next();
            let ends = change.as_ref().map(|change| change.timestamp().as_second());
            let Some(ends) = ends.filter(|ends| *ends <= due) else {
                Timestamp::from_second(due).ok()?;
                return due.checked_mul(1_000_000).map(Time);
            };
            at = Timestamp::from_second(ends).ok()?;
            let offset = self.offset(at);
            // A pinned schedule has had what the clock showed before; a pace takes what it shows now.
            if !self.is_pinned() {
                local = ends + offset;
            }
            stretch = Stretch { begins: ends, offset };
        }
        None
    }

    /// The last due time at or before `time`.
    pub fn last_until(&self, time: Time) -> Option<Time> {
        let end = time.0.div_euclid(1_000_000);
        let due_after = |second: i64| {
            let due = self.next_after(Time(second.checked_mul(1_000_000)?))?;
            Some(due.0.div_euclid(1_000_000)).filter(|due| *due <= end)
        };
        let mut back = 1;
        let mut latest = loop {
            match due_after(end.checked_sub(back)?) {
                Some(due) => break due,
                None if back > MAX_BACK_SECONDS => return None,
                None => back *= 2,
            }
        };
        // Between `latest` and `none` there may be later ones: nothing is due after `none`.
        let mut none = end;
        while latest < none {
            let middle = latest + (none - latest) / 2;
            match due_after(middle) {
                Some(due) => latest = due,
                None => none = middle,
            }
        }
        Some(Time(latest * 1_000_000))
    }

    /// All due times after `after`, one after the other.
    pub fn upcoming(&self, after: Time) -> impl Iterator<Item = Time> + '_ {
        std::iter::successors(self.next_after(after), |time| self.next_after(*time))
    }

    /// What the zone's clock shows at a time, with its offset: `2026-10-25T02:30:00+01:00[Europe/Berlin]`.
    pub fn local(&self, time: Time) -> String {
        let stamp = Timestamp::from_microsecond(time.0).unwrap_or(Timestamp::UNIX_EPOCH);
        stamp.to_zoned(self.zone.clone()).to_string()
    }

    /// Whether it stands for times of the day rather than for a pace.
    fn is_pinned(&self) -> bool {
        !self.pattern.fits_every_hour()
    }

    fn offset(&self, at: Timestamp) -> i64 {
        i64::from(self.zone.to_offset(at).seconds())
    }

    /// From which local time on a pinned schedule looks, with regard to the change before `start`: what the clock showed
    /// before that is done, and what it left out is due at the change itself.
    fn after_change(&self, start: i64, local: i64, stretch: &mut Stretch) -> i64 {
        let before_next = start.checked_add(1).and_then(|next| Timestamp::from_second(next).ok());
        let change = before_next.and_then(|next| Some(self.zone.preceding(next).next()?.timestamp()));
        let Some(begins) = change.map(|change| change.as_second()) else {
            return local;
        };
        let Ok(before) = Timestamp::from_second(begins - 1) else {
            return local;
        };
        stretch.begins = begins;
        let shown = begins + self.offset(before);
        if begins == start { shown } else { local.max(shown) }
    }
}
