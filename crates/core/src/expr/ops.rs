//! Operators: arithmetic, comparison, containment, truth, slices.

use std::cmp::Ordering;

use super::ast::{CompareOp, MathOp};
use super::budget::{Outcome, Stop};
use super::eval::Eval;
use super::value::{Dict, List, Val};

impl<'a> Eval<'a> {
    /// Empty, zero, false and null are false; an undefined value is an error, since it is most often a typing mistake.
    pub fn truth(&self, value: &Val<'a>) -> Outcome<bool> {
        Ok(match value {
            Val::Undefined(span) => return Err(Stop::Undefined(*span)),
            Val::Null => false,
            Val::Bool(value) => *value,
            Val::Int(value) => *value != 0,
            Val::Float(value) => *value != 0.0,
            Val::Str(text) => !text.is_empty(),
            Val::List(list) => list.len() > 0,
            Val::Map(map) => map.len() > 0,
            Val::Steps | Val::Step(_) | Val::Loop(_) => true,
        })
    }

    pub fn negate(&self, value: Val<'a>) -> Outcome<Val<'a>> {
        match self.defined(value)? {
            Val::Int(value) => int(value.checked_neg()),
            Val::Float(value) => Ok(Val::Float(-value)),
            other => Err(Stop::invalid(format!("cannot negate {}", other.kind()))),
        }
    }

    pub fn math(&self, op: MathOp, left: Val<'a>, right: Val<'a>) -> Outcome<Val<'a>> {
        match (op, self.defined(left)?, self.defined(right)?) {
            (MathOp::Add, Val::Str(left), Val::Str(right)) => {
                self.budget.fits(left.len() + right.len())?;
                self.text([left, right].concat())
            }
            (MathOp::Add, Val::List(left), Val::List(right)) => {
                let mut items = self.room(left.len() + right.len())?;
                items.extend(left.iter().chain(right.iter()));
                self.pack(items)
            }
            (MathOp::Mul, Val::Str(text), Val::Int(times)) | (MathOp::Mul, Val::Int(times), Val::Str(text)) => {
                let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
                self.budget.fits(text.len().saturating_mul(times))?;
                self.text(text.repeat(times))
            }
            (op, Val::Int(left), Val::Int(right)) => integers(op, left, right),
            (op, left, right) => match (float(&left), float(&right)) {
                (Some(left), Some(right)) => floats(op, left, right),
                _ => {
                    let (left, right) = (left.kind(), right.kind());
                    Err(Stop::invalid(format!(
                        "cannot use `{}` on {left} and {right}",
                        symbol(op)
                    )))
                }
            },
        }
    }

    pub fn compare(&self, op: CompareOp, left: &Val<'a>, right: &Val<'a>) -> Outcome<bool> {
        Ok(match op {
            CompareOp::Eq => self.equal(left, right)?,
            CompareOp::Ne => !self.equal(left, right)?,
            CompareOp::In => self.contains(right, left)?,
            CompareOp::NotIn => !self.contains(right, left)?,
            CompareOp::Lt => self.order(left, right)?.is_lt(),
            CompareOp::Le => self.order(left, right)?.is_le(),
            CompareOp::Gt => self.order(left, right)?.is_gt(),
            CompareOp::Ge => self.order(left, right)?.is_ge(),
        })
    }

    pub fn equal(&self, left: &Val<'a>, right: &Val<'a>) -> Outcome<bool> {
        self.same(left, right, 0)
    }

    fn same(&self, left: &Val<'a>, right: &Val<'a>, depth: usize) -> Outcome<bool> {
        self.budget.burn(1)?;
        if depth > self.budget.limits.depth {
            return Err(Stop::Limit("compares values that are nested too deep".to_owned()));
        }
        Ok(match (left, right) {
            (Val::Undefined(span), _) | (_, Val::Undefined(span)) => return Err(Stop::Undefined(*span)),
            (Val::Null, Val::Null) => true,
            (Val::Bool(left), Val::Bool(right)) => left == right,
            (Val::Int(_) | Val::Float(_), Val::Int(_) | Val::Float(_)) => {
                numbers(left, right).is_some_and(Ordering::is_eq)
            }
            (Val::Str(left), Val::Str(right)) => {
                self.budget.scan(left.len().min(right.len()))?;
                left == right
            }
            (Val::List(left), Val::List(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(right.iter()) {
                    if !self.same(&left, &right, depth + 1)? {
                        return Ok(false);
                    }
                }
                true
            }
            _ => match (self.entries(left)?, self.entries(right)?) {
                (Some(left), Some(right)) => self.same_entries(left, right, depth)?,
                _ => false,
            },
        })
    }

    fn same_entries(
        &self,
        left: Vec<(&'a str, Val<'a>)>,
        mut right: Vec<(&'a str, Val<'a>)>,
        depth: usize,
    ) -> Outcome<bool> {
        if left.len() != right.len() {
            return Ok(false);
        }
        self.budget.burn(left.len() * 2)?;
        right.sort_unstable_by_key(|(key, _)| *key);
        for (key, value) in left {
            let Ok(found) = right.binary_search_by_key(&key, |(key, _)| key) else {
                return Ok(false);
            };
            if !self.same(&value, &right[found].1, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub fn order(&self, left: &Val<'a>, right: &Val<'a>) -> Outcome<Ordering> {
        match (left, right) {
            (Val::Undefined(span), _) | (_, Val::Undefined(span)) => Err(Stop::Undefined(*span)),
            (Val::Str(left), Val::Str(right)) => {
                self.budget.scan(left.len().min(right.len()))?;
                Ok(left.cmp(right))
            }
            _ => numbers(left, right)
                .ok_or_else(|| Stop::invalid(format!("{} and {} have no order", left.kind(), right.kind()))),
        }
    }

    pub fn contains(&self, container: &Val<'a>, item: &Val<'a>) -> Outcome<bool> {
        let item = self.defined(item.clone())?;
        match (self.defined(container.clone())?, item) {
            (Val::Str(text), Val::Str(part)) => {
                self.budget.scan(text.len() + part.len())?;
                Ok(text.contains(part))
            }
            (Val::List(list), item) => {
                for candidate in list.iter() {
                    if self.equal(&candidate, &item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Val::Map(map), Val::Str(key)) => {
                if let Dict::Built(built) = &map {
                    self.budget.burn(built.items.len() / 16)?;
                }
                Ok(map.get(key).is_some())
            }
            (Val::Steps, Val::Str(key)) => Ok(self.step(key).is_some()),
            (container, item) => Err(Stop::invalid(format!(
                "cannot look for {} in {}",
                item.kind(),
                container.kind()
            ))),
        }
    }

    pub fn slice(&self, value: Val<'a>, start: Option<i128>, stop: Option<i128>) -> Outcome<Val<'a>> {
        match value {
            Val::List(list) => {
                let (start, stop) = bounds(start, stop, list.len());
                match list {
                    List::Json(items) => Ok(Val::List(List::Json(&items[start..stop]))),
                    List::Built(built) => {
                        let mut items = self.room(stop - start)?;
                        items.extend_from_slice(&built.items[start..stop]);
                        self.pack(items)
                    }
                }
            }
            Val::Str(text) => {
                self.budget.burn(1 + text.len() / 16)?;
                let (start, stop) = bounds(start, stop, text.chars().count());
                let offset = |index| text.char_indices().nth(index).map_or(text.len(), |(offset, _)| offset);
                Ok(Val::Str(&text[offset(start)..offset(stop)]))
            }
            other => Err(Stop::invalid(format!("cannot take a slice of {}", other.kind()))),
        }
    }

    pub fn integer(&self, value: &Val<'a>, who: &str) -> Outcome<i128> {
        match value {
            Val::Undefined(span) => Err(Stop::Undefined(*span)),
            Val::Int(value) => Ok(*value),
            Val::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Ok(*value as i128),
            other => Err(Stop::invalid(format!(
                "{who} needs a whole number, not {}",
                other.kind()
            ))),
        }
    }
}

/// Checks that an integer is one that JSON holds exactly here.
pub(super) fn int<'a>(value: Option<i128>) -> Outcome<Val<'a>> {
    value
        .filter(|value| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(value))
        .map(Val::Int)
        .ok_or_else(|| Stop::invalid("number out of range"))
}

pub(super) fn finite<'a>(value: f64) -> Outcome<Val<'a>> {
    if value.is_finite() {
        Ok(Val::Float(value))
    } else {
        Err(Stop::invalid("number out of range"))
    }
}

pub(super) fn float(value: &Val<'_>) -> Option<f64> {
    match value {
        Val::Int(value) => Some(*value as f64),
        Val::Float(value) => Some(*value),
        _ => None,
    }
}

/// Orders two numbers exactly, also a large integer and a float; this order is total, which sorting relies on.
pub(super) fn numbers(left: &Val<'_>, right: &Val<'_>) -> Option<Ordering> {
    Some(match (left, right) {
        (Val::Int(left), Val::Int(right)) => left.cmp(right),
        (Val::Float(left), Val::Float(right)) => left.partial_cmp(right)?,
        (Val::Int(left), Val::Float(right)) => mixed(*left, *right),
        (Val::Float(left), Val::Int(right)) => mixed(*right, *left).reverse(),
        _ => return None,
    })
}

fn mixed(left: i128, right: f64) -> Ordering {
    // The cast saturates, and integers here are far inside its range.
    left.cmp(&(right.trunc() as i128))
        .then_with(|| 0.0f64.partial_cmp(&right.fract()).unwrap_or(Ordering::Equal))
}

fn integers<'a>(op: MathOp, left: i128, right: i128) -> Outcome<Val<'a>> {
    if right == 0 && matches!(op, MathOp::Div | MathOp::FloorDiv | MathOp::Rem) {
        return Err(Stop::invalid("division by zero"));
    }
    let floor = || {
        let (quotient, rest) = (left / right, left % right);
        if rest != 0 && (rest < 0) != (right < 0) {
            (quotient - 1, rest + right)
        } else {
            (quotient, rest)
        }
    };
    match op {
        MathOp::Add => int(left.checked_add(right)),
        MathOp::Sub => int(left.checked_sub(right)),
        MathOp::Mul => int(left.checked_mul(right)),
        MathOp::Div => finite(left as f64 / right as f64),
        MathOp::FloorDiv => int(Some(floor().0)),
        MathOp::Rem => int(Some(floor().1)),
        MathOp::Pow if right < 0 => floats(op, left as f64, right as f64),
        MathOp::Pow => int(u32::try_from(right)
            .ok()
            .and_then(|exponent| left.checked_pow(exponent))),
    }
}

fn floats<'a>(op: MathOp, left: f64, right: f64) -> Outcome<Val<'a>> {
    if right == 0.0 && matches!(op, MathOp::Div | MathOp::FloorDiv | MathOp::Rem) {
        return Err(Stop::invalid("division by zero"));
    }
    finite(match op {
        MathOp::Add => left + right,
        MathOp::Sub => left - right,
        MathOp::Mul => left * right,
        MathOp::Div => left / right,
        MathOp::FloorDiv => (left / right).floor(),
        MathOp::Rem => {
            let rest = left % right;
            if rest != 0.0 && (rest < 0.0) != (right < 0.0) {
                rest + right
            } else {
                rest
            }
        }
        MathOp::Pow => left.powf(right),
    })
}

fn symbol(op: MathOp) -> &'static str {
    match op {
        MathOp::Add => "+",
        MathOp::Sub => "-",
        MathOp::Mul => "*",
        MathOp::Div => "/",
        MathOp::FloorDiv => "//",
        MathOp::Rem => "%",
        MathOp::Pow => "**",
    }
}

/// Bounds of a slice as Python has them: negative ones count from the end, and none is ever out of range.
fn bounds(start: Option<i128>, stop: Option<i128>, length: usize) -> (usize, usize) {
    let clamp = |bound: i128| {
        let bound = if bound < 0 { bound + length as i128 } else { bound };
        usize::try_from(bound.max(0)).unwrap_or(usize::MAX).min(length)
    };
    let start = start.map_or(0, clamp);
    (start, stop.map_or(length, clamp).max(start))
}
