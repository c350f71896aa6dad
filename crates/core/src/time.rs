//! Points in time and spans, as the core sees them: numbers that somebody handed in.

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// Later than every real time.
    pub const NEVER: Time = Time(i64::MAX);

    /// This time moved forward by milliseconds; saturates.
    pub fn plus_ms(self, ms: u64) -> Time {
        let micros = i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        Time(self.0.saturating_add(micros))
    }

    /// Whole milliseconds since the epoch.
    pub fn as_ms(self) -> i64 {
        self.0 / 1000
    }

    /// Milliseconds from `earlier` to this time, 0 when it is not later.
    pub fn ms_since(self, earlier: Time) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0) / 1000).unwrap_or(0)
    }
}

impl Time {
    /// Reads `2026-11-21T10:00:00.123Z` or with an offset (`+01:00`); `None` for anything else.
    pub fn parse_rfc3339(text: &str) -> Option<Time> {
        let bytes = text.as_bytes();
        if !text.is_ascii() || bytes.len() < 20 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        if !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' || bytes[16] != b':' {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<i64> {
            let digits = text.get(from..to)?;
            if digits.bytes().all(|byte| byte.is_ascii_digit()) {
                digits.parse().ok()
            } else {
                None
            }
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let date_fits = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
        if !date_fits || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let rest = &text[19..];
        let digits = rest
            .strip_prefix('.')
            .map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
        let (fraction, zone) = if digits > 0 {
            (&rest[1..=digits], &rest[1 + digits..])
        } else {
            ("", rest)
        };
        let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
        let seconds = days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?;
        seconds.checked_mul(1_000_000)?.checked_add(micros).map(Time)
    }
}

fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let bytes = zone.as_bytes();
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if bytes.len() != 6 || bytes[3] != b':' {
        return None;
    }
    let (hours, minutes): (i64, i64) = (zone.get(1..3)?.parse().ok()?, zone.get(4..6)?.parse().ok()?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

pub(crate) fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01, by the civil calendar counted from March.
pub(crate) fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_times_are_read_with_fractions_and_offsets() {
        let read = |text| Time::parse_rfc3339(text).map(|time| time.0);
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2000-02-29T12:30:15.5Z"), Some(951_827_415_500_000));
        assert_eq!(read("2000-02-29T13:30:15.500000999+01:00"), Some(951_827_415_500_000));
        assert_eq!(read("1969-12-31T23:59:59Z"), Some(-1_000_000));
    }

    #[test]
    fn other_texts_are_not_times() {
        for text in [
            "",
            "tomorrow",
            "2001-02-29T00:00:00Z",
            "2001-13-01T00:00:00Z",
            "2001-01-01T24:00:00Z",
            "2001-01-01T00:00:00",
            "2001-01-01T00:00:00+1:00",
            "2001-01-01T00:00:00.Z",
            "2001-01-01T00:00:0éZ",
        ] {
            assert_eq!(Time::parse_rfc3339(text), None, "{text}");
        }
    }
}
