//! What `new Date(value)` of JavaScript takes for a date.
//!
//! Numbers are milliseconds since 1970, and null and booleans count as numbers. Strings are read as the language
//! defines (ISO 8601, with a year, a month or a day, and a time), as RFC 2822, and in the forms with slashes or the
//! name of a month that engines agree on. An engine guesses at more than that; a text that only a guess makes a date
//! is refused here.

use serde_json::Value;

/// As far from 1970 as a date can be, in milliseconds.
const FARTHEST_MS: f64 = 8.64e15;
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

pub(super) fn is_date(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::Number(number) => number.as_f64().is_some_and(|ms| ms.abs() <= FARTHEST_MS),
        Value::String(text) => is_iso(text) || is_rfc2822(text) || is_plain(text.trim()),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// Takes a text apart from its front.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// Exactly so many digits, as a number within bounds.
    fn digits(&mut self, count: usize, least: u32, most: u32) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number = digits
            .bytes()
            .all(|digit| digit.is_ascii_digit())
            .then(|| digits.parse().ok())??;
        self.0 = rest;
        (least..=most).contains(&number).then_some(number)
    }

    fn take(&mut self, letter: char) -> Option<()> {
        self.0 = self.0.strip_prefix(letter)?;
        Some(())
    }

    fn take_any(&mut self, letters: &[char]) -> Option<()> {
        self.0 = self.0.strip_prefix(letters)?;
        Some(())
    }
}

fn is_iso(text: &str) -> bool {
    iso(Rest(text)).is_some()
}

/// `YYYY[-MM[-DD]]`, the year also as `±YYYYYY`, and after any of them `T` or a blank and a time.
fn iso(mut rest: Rest<'_>) -> Option<()> {
    if rest.take_any(&['+', '-']).is_some() {
        rest.digits(6, 0, 271_821)?;
    } else {
        rest.digits(4, 0, 9_999)?;
    }
    for most in [12, 31] {
        if rest.take('-').is_none() {
            break;
        }
        rest.digits(2, 1, most)?;
    }
    if rest.take_any(&['T', 't', ' ']).is_some() {
        time(&mut rest)?;
    }
    rest.0.is_empty().then_some(())
}

/// `HH:MM[:SS[.s…]]`, and perhaps `Z` or `±HH:MM`.
fn time(rest: &mut Rest<'_>) -> Option<()> {
    let hour = rest.digits(2, 0, 24)?;
    rest.take(':')?;
    let mut behind = rest.digits(2, 0, 59)?;
    if rest.take(':').is_some() {
        behind += rest.digits(2, 0, 59)?;
        if rest.take_any(&['.', ',']).is_some() {
            let fraction = rest.0.len() - rest.0.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            behind += u32::from(rest.0[..fraction].bytes().any(|digit| digit != b'0'));
            rest.0 = &rest.0[fraction..];
            (fraction > 0).then_some(())?;
        }
    }
    // 24:00 is the end of a day, and nothing comes after it.
    (hour < 24 || behind == 0).then_some(())?;
    if rest.take_any(&['+', '-']).is_some() {
        rest.digits(2, 0, 23)?;
        rest.take(':');
        rest.digits(2, 0, 59)?;
    } else {
        rest.take_any(&['Z', 'z']);
    }
    Some(())
}

fn is_rfc2822(text: &str) -> bool {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_zoned(text).is_ok()
}

/// `2020/1/31`, `1/31/2020`, `31 Jan 2020`, `Jan 31, 2020`, perhaps after the name of a day, and perhaps with a time.
fn is_plain(text: &str) -> bool {
    let (date, time_of_day) = match text.find(':') {
        None => (text, None),
        Some(colon) => match text[..colon].rfind([' ', 'T']) {
            None => return false,
            Some(gap) => (&text[..gap], Some(text[gap + 1..].trim())),
        },
    };
    if let Some(text) = time_of_day {
        let text = text.trim_end_matches("GMT").trim_end_matches("UTC").trim_end();
        let padded = if text.as_bytes().get(1) == Some(&b':') {
            format!("0{text}")
        } else {
            text.to_owned()
        };
        let mut rest = Rest(&padded);
        if time(&mut rest).is_none() || !rest.0.is_empty() {
            return false;
        }
    }
    let parts: Vec<&str> = date
        .split(['/', ' ', ',', '-'])
        .filter(|part| !part.is_empty())
        .collect();
    let parts = match parts.split_first() {
        Some((day, rest)) if is_name_of_day(day) => rest,
        _ => &parts[..],
    };
    let within =
        |text: &str, most: u32| text.len() <= 2 && text.parse::<u32>().is_ok_and(|number| (1..=most).contains(&number));
    let (is_day, is_month) = (|text: &str| within(text, 31), |text: &str| within(text, 12));
    let is_year = |text: &str| text.len() == 4 && text.bytes().all(|digit| digit.is_ascii_digit());
    match parts {
        [first, second, third] if is_year(first) => is_month(second) && is_day(third),
        [first, second, year] if is_year(year) => {
            (is_month(first) && is_day(second))
                || (is_day(first) && is_name_of_month(second))
                || (is_name_of_month(first) && is_day(second))
        }
        _ => false,
    }
}

fn is_name_of_month(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.bytes().all(|letter| letter.is_ascii_lowercase()) && MONTHS.iter().any(|month| lower.starts_with(month))
}

fn is_name_of_day(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    lower.bytes().all(|letter| letter.is_ascii_lowercase()) && days.iter().any(|day| lower.starts_with(day))
}
