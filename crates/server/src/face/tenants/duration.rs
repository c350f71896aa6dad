//! Durations and times as Go writes them.
//!
//! This face's clients count durations in nanoseconds, both ways; the engine counts milliseconds. A duration is rounded up
//! on its way in, so that the shortest limit does not become none. Times are RFC 3339 with as many digits of the second
//! as there are, and the time that was never set is the first of January of the year 1.

use quintet_core::time::Time;

/// The time that was never set.
pub(crate) const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

const NS_PER_US: i64 = 1_000;
const NS_PER_MS: u64 = 1_000_000;
const NS_PER_SECOND: u64 = 1_000_000_000;

/// Milliseconds that are at least so many nanoseconds; none is 0.
pub(crate) fn ms_up(ns: i64) -> u64 {
    u64::try_from(ns).unwrap_or(0).div_ceil(NS_PER_MS)
}

/// Nanoseconds from one time to a later one; 0 where it is not later.
pub(crate) fn between(from: Time, to: Time) -> i64 {
    to.0.saturating_sub(from.0).max(0).saturating_mul(NS_PER_US)
}

/// A time in UTC, to the digit that it has.
pub(crate) fn timestamp(time: Time) -> String {
    let stamp = jiff::Timestamp::from_microsecond(time.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    stamp.to_string()
}

/// A time in UTC in whole seconds.
pub(crate) fn timestamp_seconds(time: Time) -> String {
    timestamp(Time(time.0.div_euclid(1_000_000) * 1_000_000))
}

/// A time that a client wrote, as it is written back; `None` where it is no time.
pub(crate) fn echoed(text: &str) -> Option<String> {
    // Go reads a `T` and a `Z` in capitals only.
    if text.as_bytes().get(10) != Some(&b'T') || text.ends_with('z') {
        return None;
    }
    Time::parse_rfc3339(text)?;
    let (whole, rest) = text.split_at(19);
    let digits = rest
        .strip_prefix('.')
        .map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, zone) = match digits {
        0 => ("", rest),
        _ => (&rest[1..=digits], &rest[1 + digits..]),
    };
    let fraction = fraction[..fraction.len().min(9)].trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let zone = if zone == "+00:00" { "Z" } else { zone };
    Some(format!("{whole}{point}{fraction}{zone}"))
}

/// A duration in words: `45m0s`, `1.5s`, `300ns`.
pub(crate) fn text(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    if ns < NS_PER_SECOND {
        let (unit, per) = match ns {
            0 => return "0s".to_owned(),
            1..1_000 => ("ns", 1),
            1_000..NS_PER_MS => ("µs", 1_000),
            _ => ("ms", NS_PER_MS),
        };
        return format!("{sign}{}{unit}", decimal(ns, per));
    }
    let (minutes, rest) = (ns / (60 * NS_PER_SECOND), ns % (60 * NS_PER_SECOND));
    let seconds = decimal(rest, NS_PER_SECOND);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// How many times `per` there is in `ns`, with the digits after the point that are not all zero.
fn decimal(ns: u64, per: u64) -> String {
    let (whole, rest) = (ns / per, ns % per);
    if rest == 0 {
        return whole.to_string();
    }
    let width = per.ilog10() as usize;
    let digits = format!("{rest:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The other way round, for the words that [`text`] makes.
    fn read(text: &str) -> Option<i128> {
        let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let mut total = 0i128;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let per: i128 = match unit {
                "h" => 3_600_000_000_000,
                "m" => 60_000_000_000,
                "s" => 1_000_000_000,
                "ms" => 1_000_000,
                "µs" => 1_000,
                "ns" => 1,
                _ => return None,
            };
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            total += whole.parse::<i128>().ok()? * per;
            let scale = 10i128.pow(u32::try_from(fraction.len()).ok()?);
            total += fraction.parse::<i128>().unwrap_or(0) * per / scale;
            rest = tail;
        }
        Some(sign * total)
    }

    #[test]
    fn durations_read_as_in_go() {
        for (ns, words) in [
            (0, "0s"),
            (1, "1ns"),
            (300, "300ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (1_234_567, "1.234567ms"),
            (1_000_000_000, "1s"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (2_700_000_000_000, "45m0s"),
            (3_600_000_000_000, "1h0m0s"),
            (5_400_000_000_001, "1h30m0.000000001s"),
            (-1_500_000_000, "-1.5s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(text(ns), words);
        }
    }

    #[test]
    fn a_limit_is_rounded_up_so_that_it_never_becomes_none() {
        for (ns, ms) in [
            (0, 0),
            (-5, 0),
            (1, 1),
            (300, 1),
            (1_000_000, 1),
            (1_000_001, 2),
            (i64::MAX, 9_223_372_036_855),
        ] {
            assert_eq!(ms_up(ns), ms, "{ns}");
        }
    }

    #[test]
    fn times_have_the_digits_that_they_need() {
        assert_eq!(timestamp(Time(0)), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(Time(1_700_000_000_120_000)), "2023-11-14T22:13:20.12Z");
        assert_eq!(timestamp_seconds(Time(1_700_000_000_999_999)), "2023-11-14T22:13:20Z");
        assert_eq!(between(Time(5), Time(7)), 2_000);
        assert_eq!(between(Time(7), Time(5)), 0);
    }

    #[test]
    fn a_time_comes_back_as_go_writes_it_and_anything_else_is_none() {
        for (given, back) in [
            (ZERO_TIME, Some(ZERO_TIME)),
            ("2024-02-29T01:02:03.450Z", Some("2024-02-29T01:02:03.45Z")),
            ("2024-02-29T01:02:03.000+00:00", Some("2024-02-29T01:02:03Z")),
            ("2024-02-29T01:02:03+02:00", Some("2024-02-29T01:02:03+02:00")),
            ("2024-02-29t01:02:03Z", None),
            ("2023-02-29T01:02:03Z", None),
            ("2024-02-29 01:02:03Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(echoed(given).as_deref(), back, "{given}");
        }
    }

    proptest! {
        #[test]
        fn every_duration_can_be_read_back(ns in any::<i64>()) {
            prop_assert_eq!(read(&text(ns)), Some(i128::from(ns)), "{}", text(ns));
        }

        #[test]
        fn reading_a_time_never_panics(text in ".{0,40}") {
            let _ = echoed(&text);
        }
    }
}
