//! The fields of an expression: lists of numbers, names, ranges and steps, read into sets of bits.

use super::CronError;

/// What a field may hold.
pub(super) struct Field {
    pub name: &'static str,
    pub min: u8,
    pub max: u8,
    /// Words for the numbers from `min` on.
    pub names: &'static [&'static str],
}

impl Field {
    pub const fn numbers(name: &'static str, min: u8, max: u8) -> Self {
        let names = &[];
        Self { name, min, max, names }
    }

    /// The set of all its numbers.
    pub const fn all(&self) -> u64 {
        (1 << (self.max + 1)) - (1 << self.min)
    }

    fn wrong(&self, reason: String) -> CronError {
        let field = self.name;
        CronError::Field { field, reason }
    }

    /// A number or a name.
    fn number(&self, text: &str) -> Result<u8, CronError> {
        let (min, max) = (self.min, self.max);
        if let Some(at) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(min + u8::try_from(at).unwrap_or_default());
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let names = match (self.names.first(), self.names.last()) {
                (Some(first), Some(last)) => format!(" or a name from {first} to {last}"),
                _ => String::new(),
            };
            return Err(self.wrong(format!("{text:?} is not a number from {min} to {max}{names}")));
        }
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| self.wrong(format!("{text} is not from {min} to {max}")))
    }

    /// `*`, `a`, `a-b`, and each with `/step`; a single number with a step goes on to the end.
    fn part(&self, text: &str) -> Result<u64, CronError> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step)?)),
            None => (text, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (self.min, self.max),
            Some((from, to)) => (self.number(from)?, self.number(to)?),
            None if step.is_some() => (self.number(range)?, self.max),
            None => {
                let number = self.number(range)?;
                (number, number)
            }
        };
        if from > to {
            return Err(self.wrong(format!("the range {range} goes backwards")));
        }
        let numbers = (from..=to).step_by(usize::from(step.unwrap_or(1)));
        Ok(numbers.fold(0, |set, number| set | 1 << number))
    }

    fn step(&self, text: &str) -> Result<u8, CronError> {
        let max = self.max;
        let step = text.parse().ok().filter(|step| (1..=max).contains(step));
        step.ok_or_else(|| self.wrong(format!("the step {text:?} is not from 1 to {max}")))
    }
}

/// The numbers of a field as bits.
pub(super) fn field(kind: &Field, text: &str) -> Result<u64, CronError> {
    text.split(',').try_fold(0, |set, part| Ok(set | kind.part(part)?))
}

const DAY: Field = Field::numbers("day of month", 1, 31);

/// Days of the month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Days {
    set: u64,
    last: bool,
}

impl Days {
    /// Numbers, and `L` for the last day.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let (mut set, mut last) = (0, false);
        for part in text.split(',') {
            if part.eq_ignore_ascii_case("L") {
                last = true;
            } else if part.to_ascii_uppercase().contains('W') {
                return Err(DAY.wrong(format!("{part:?}: the nearest working day (W) is not supported")));
            } else {
                set |= DAY.part(part)?;
            }
        }
        Ok(Self { set, last })
    }

    pub fn is_any(&self) -> bool {
        self.set == DAY.all()
    }

    pub fn fit(&self, day: i64, length: i64) -> bool {
        self.set >> day & 1 == 1 || (self.last && day == length)
    }
}

/// 7 is Sunday too.
const WEEKDAY: Field = Field {
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    ..Field::numbers("day of week", 0, 7)
};
const ALL_WEEKDAYS: u64 = 0x7f;
/// A month has at most so many of a weekday.
const MOST_IN_A_MONTH: u8 = 5;

/// Days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weekdays {
    set: u64,
    /// The last ones of a month.
    last: u64,
    /// The first, second ... ones of a month.
    nth: [u64; MOST_IN_A_MONTH as usize],
}

impl Weekdays {
    /// Numbers and names, `5L` for the last Friday of a month, `MON#2` for its second Monday.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let (mut set, mut last, mut nth) = (0, 0, [0; MOST_IN_A_MONTH as usize]);
        for part in text.split(',') {
            if let Some((day, which)) = part.split_once('#') {
                let which: Option<u8> = which.parse().ok();
                let which = which.filter(|which| (1..=MOST_IN_A_MONTH).contains(which));
                let which =
                    which.ok_or_else(|| WEEKDAY.wrong(format!("{part:?}: behind # is a number from 1 to 5")))?;
                nth[usize::from(which - 1)] |= one_week(1 << WEEKDAY.number(day)?);
            } else if let Some(day) = part.strip_suffix(['L', 'l']).filter(|day| !day.is_empty()) {
                last |= one_week(1 << WEEKDAY.number(day)?);
            } else {
                set |= one_week(WEEKDAY.part(part)?);
            }
        }
        Ok(Self { set, last, nth })
    }

    pub fn is_any(&self) -> bool {
        self.set == ALL_WEEKDAYS
    }

    pub fn fit(&self, weekday: i64, day: i64, length: i64) -> bool {
        let has = |set: u64| set >> weekday & 1 == 1;
        let which = usize::try_from((day - 1) / 7).unwrap_or_default();
        has(self.set) || (day + 7 > length && has(self.last)) || self.nth.get(which).is_some_and(|set| has(*set))
    }
}

fn one_week(set: u64) -> u64 {
    (set | set >> 7) & ALL_WEEKDAYS
}
