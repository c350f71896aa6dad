//! Which times of the wall clock match an expression.
//!
//! Local times are seconds since 1970-01-01 00:00 of the same clock, without any zone. The calendar repeats after 400
//! years, so a search that long finds what there is, or shows that there is nothing.

use super::field::{Days, Field, Weekdays, field};
use super::{CronError, MAX_TEXT};
use crate::time::{days_before, days_in};

const DAY: i64 = 86_400;
/// After so many months the calendar is the same again.
const MONTHS: i64 = 400 * 12;

const SECOND: Field = Field::numbers("second", 0, 59);
const MINUTE: Field = Field::numbers("minute", 0, 59);
const HOUR: Field = Field::numbers("hour", 0, 23);
const MONTH: Field = Field {
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
    ..Field::numbers("month", 1, 12)
};

/// The sets of an expression's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: Days,
    months: u64,
    weekdays: Weekdays,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(CronError::Length);
        }
        let text = if text.starts_with('@') { nickname(text)? } else { text };
        let mut fields: Vec<&str> = text.split_whitespace().collect();
        match fields.len() {
            5 => fields.insert(0, "0"),
            6 => {}
            other => return Err(CronError::FieldCount(other)),
        }
        let pattern = Self {
            seconds: field(&SECOND, fields[0])?,
            minutes: field(&MINUTE, fields[1])?,
            hours: field(&HOUR, fields[2])?,
            days: Days::parse(fields[3])?,
            months: field(&MONTH, fields[4])?,
            weekdays: Weekdays::parse(fields[5])?,
        };
        match pattern.next_day(0) {
            Some(_) => Ok(pattern),
            None => Err(CronError::Never),
        }
    }

    /// Whether there is no hour that it leaves out.
    pub fn fits_every_hour(&self) -> bool {
        self.hours == HOUR.all()
    }

    /// The first matching local time at or after `from`.
    pub fn next_local(&self, from: i64) -> Option<i64> {
        let (today, second) = (from.div_euclid(DAY), from.rem_euclid(DAY));
        let day = self.next_day(today)?;
        if day == today {
            if let Some(second) = self.next_second(second) {
                return Some(day * DAY + second);
            }
            return Some(self.next_day(day + 1)? * DAY + self.next_second(0)?);
        }
        Some(day * DAY + self.next_second(0)?)
    }

    /// The first matching second of a day at or after `from`.
    fn next_second(&self, from: i64) -> Option<i64> {
        let (hour, minute, second) = (from / 3600, from / 60 % 60, from % 60);
        if contains(self.hours, hour) {
            if contains(self.minutes, minute)
                && let Some(second) = next(self.seconds, second)
            {
                return Some(hour * 3600 + minute * 60 + second);
            }
            if let Some(minute) = next(self.minutes, minute + 1) {
                return Some(hour * 3600 + minute * 60 + next(self.seconds, 0)?);
            }
        }
        let hour = next(self.hours, hour + 1)?;
        Some(hour * 3600 + next(self.minutes, 0)? * 60 + next(self.seconds, 0)?)
    }

    /// The first matching day at or after `from`, in days since 1970-01-01.
    fn next_day(&self, from: i64) -> Option<i64> {
        let (mut year, mut month, mut first) = civil(from);
        for _ in 0..=MONTHS {
            if contains(self.months, month) {
                let length = days_in(year, month);
                let start = days_before(year, month, 1);
                let found = (first..=length).find(|day| self.fits_day(*day, length, start + day - 1));
                if let Some(day) = found {
                    return Some(start + day - 1);
                }
            }
            first = 1;
            month += 1;
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        None
    }

    /// A day of the month or a day of the week, where both are restricted.
    fn fits_day(&self, day: i64, length: i64, since_1970: i64) -> bool {
        // 1970-01-01 was a Thursday.
        let weekday = (since_1970 + 4).rem_euclid(7);
        match (self.days.is_any(), self.weekdays.is_any()) {
            (true, true) => true,
            (false, true) => self.days.fit(day, length),
            (true, false) => self.weekdays.fit(weekday, day, length),
            (false, false) => self.days.fit(day, length) || self.weekdays.fit(weekday, day, length),
        }
    }
}

fn nickname(text: &str) -> Result<&'static str, CronError> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@minutely" => "* * * * *",
        _ => return Err(CronError::Nickname(text.to_owned())),
    })
}

fn contains(set: u64, number: i64) -> bool {
    (0..64).contains(&number) && set >> number & 1 == 1
}

/// The smallest number of the set that is at least `from`.
fn next(set: u64, from: i64) -> Option<i64> {
    if !(0..64).contains(&from) {
        return None;
    }
    let rest = set >> from << from;
    (rest != 0).then(|| i64::from(rest.trailing_zeros()))
}

/// Year, month and day of a day since 1970-01-01, by the civil calendar counted from March.
fn civil(since_1970: i64) -> (i64, i64, i64) {
    let days = since_1970 + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}
