//! Filters on lists and objects.

use std::cmp::Ordering;

use super::super::budget::{Outcome, Stop};
use super::super::checks;
use super::super::eval::Eval;
use super::super::ops;
use super::super::output::Out;
use super::super::value::{List, Val};
use super::{Given, find, given, text_arg};

/// A part of each item, named by a dotted path such as `address.city`.
fn part<'a>(eval: &Eval<'a>, item: Val<'a>, path: &'a str) -> Outcome<Val<'a>> {
    let Val::Undefined(here) = eval.nothing() else {
        return Ok(item);
    };
    let mut value = item;
    for name in path.split('.') {
        eval.budget.burn(1)?;
        value = match (value, name.parse::<usize>()) {
            (Val::List(list), Ok(index)) => list.at(index).unwrap_or(Val::Undefined(here)),
            (value, _) => eval.field(value, name, here)?,
        };
    }
    Ok(value)
}

/// The items, or the part of each that the `attribute` argument names.
fn values_of<'a>(
    eval: &Eval<'a>,
    value: Val<'a>,
    args: &Given<'a>,
    attribute: usize,
    who: &str,
) -> Outcome<Vec<Val<'a>>> {
    let list = eval.sequence(value, who)?;
    let path = text_arg(args, attribute, who, "")?;
    let mut values = eval.room(list.len())?;
    for item in list.iter() {
        values.push(if path.is_empty() {
            item
        } else {
            part(eval, item, path).and_then(|part| eval.defined(part))?
        });
    }
    Ok(values)
}

pub(super) fn join<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let separator = text_arg(args, 0, "join", "")?;
    let mut out = Out::new(&eval.budget);
    for (index, item) in values_of(eval, value, args, 1, "join")?.iter().enumerate() {
        if index > 0 {
            out.push(separator)?;
        }
        eval.write(item, &mut out)?;
    }
    eval.text(out.finish())
}

pub(super) fn first<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    if let Val::Str(text) = value {
        return Ok(text
            .chars()
            .next()
            .map_or(eval.nothing(), |c| Val::Str(&text[..c.len_utf8()])));
    }
    Ok(eval.sequence(value, "first")?.at(0).unwrap_or(eval.nothing()))
}

pub(super) fn last<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    if let Val::Str(text) = value {
        return Ok(text
            .char_indices()
            .next_back()
            .map_or(eval.nothing(), |(at, _)| Val::Str(&text[at..])));
    }
    let list = eval.sequence(value, "last")?;
    Ok(list
        .len()
        .checked_sub(1)
        .and_then(|last| list.at(last))
        .unwrap_or(eval.nothing()))
}

pub(super) fn list<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    eval.sequence(value, "list").map(Val::List)
}

pub(super) fn reverse<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    if let Val::Str(text) = value {
        eval.budget.fits(text.len())?;
        return eval.text(text.chars().rev().collect());
    }
    let list = eval.sequence(value, "reverse")?;
    let mut items = eval.room(list.len())?;
    items.extend((0..list.len()).rev().filter_map(|index| list.at(index)));
    eval.pack(items)
}

/// Orders keys that [`comparable`] has accepted; total, as the standard sort demands.
fn order(left: &Val<'_>, right: &Val<'_>) -> Ordering {
    match (left, right) {
        (Val::Str(left), Val::Str(right)) => left.cmp(right),
        _ => ops::numbers(left, right).unwrap_or(Ordering::Equal),
    }
}

/// Accepts keys that are all numbers or all strings, and charges for sorting them.
fn comparable(eval: &Eval<'_>, keys: &[Val<'_>], rounds: usize, who: &str) -> Outcome<()> {
    let text = matches!(keys.first(), Some(Val::Str(_)));
    for key in keys {
        match key {
            Val::Str(key) if text => eval.budget.burn(rounds * (1 + key.len() / 64))?,
            Val::Int(_) | Val::Float(_) if !text => eval.budget.burn(rounds)?,
            other => {
                let message = format!(
                    "{who} needs items that are all numbers or all strings, found {}",
                    other.kind()
                );
                return Err(Stop::invalid(message));
            }
        }
    }
    Ok(())
}

pub(super) fn sort<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let descending = given(args, 0).map_or(Ok(false), |flag| eval.truth(flag))?;
    let list = eval.sequence(value, "sort")?;
    let keys = values_of(eval, Val::List(list.clone()), args, 1, "sort")?;
    let rounds = keys.len().checked_ilog2().unwrap_or(0) as usize + 1;
    comparable(eval, &keys, rounds, "sort")?;
    let mut sorted = eval.room(keys.len())?;
    let mut indexes: Vec<usize> = (0..keys.len()).collect();
    indexes.sort_by(|left, right| {
        let ordering = order(&keys[*left], &keys[*right]);
        if descending { ordering.reverse() } else { ordering }
    });
    sorted.extend(indexes.into_iter().filter_map(|index| list.at(index)));
    eval.pack(sorted)
}

pub(super) fn min<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    extreme(eval, value, args, "min", Ordering::Less)
}

pub(super) fn max<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    extreme(eval, value, args, "max", Ordering::Greater)
}

fn extreme<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>, who: &str, wanted: Ordering) -> Outcome<Val<'a>> {
    let list = eval.sequence(value, who)?;
    let keys = values_of(eval, Val::List(list.clone()), args, 0, who)?;
    comparable(eval, &keys, 1, who)?;
    let best = (0..keys.len()).reduce(|best, next| {
        if order(&keys[next], &keys[best]) == wanted {
            next
        } else {
            best
        }
    });
    Ok(best.and_then(|best| list.at(best)).unwrap_or(eval.nothing()))
}

pub(super) fn sum<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let mut total = Val::Int(0);
    for item in values_of(eval, value, args, 0, "sum")? {
        if !matches!(item, Val::Int(_) | Val::Float(_)) {
            return Err(Stop::invalid(format!("sum needs numbers, found {}", item.kind())));
        }
        total = eval.math(super::super::ast::MathOp::Add, total, item)?;
    }
    Ok(total)
}

/// Keeps the first of equal items. Every pair is compared, and charged.
pub(super) fn unique<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let list = eval.sequence(value, "unique")?;
    let keys = values_of(eval, Val::List(list.clone()), args, 0, "unique")?;
    let mut kept: Vec<usize> = Vec::new();
    'items: for (index, key) in keys.iter().enumerate() {
        for known in &kept {
            if eval.equal(&keys[*known], key)? {
                continue 'items;
            }
        }
        kept.push(index);
    }
    let mut items = eval.room(kept.len())?;
    items.extend(kept.into_iter().filter_map(|index| list.at(index)));
    eval.pack(items)
}

/// `map('upper')` applies a filter, `map(attribute='id')` takes a part of each item.
pub(super) fn map<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let list = eval.sequence(value, "map")?;
    let path = text_arg(args, 1, "map", "")?;
    let mut items = eval.room(list.len())?;
    if !path.is_empty() {
        for item in list.iter() {
            let item = match (part(eval, item, path)?, given(args, 2)) {
                (Val::Undefined(_), Some(fallback)) => fallback.clone(),
                (found, _) => eval.defined(found)?,
            };
            items.push(item);
        }
        return eval.pack(items);
    }
    let name = text_arg(args, 0, "map", "")?;
    let filter = find(name).ok_or_else(|| Stop::invalid(format!("map: there is no filter `{name}`")))?;
    // Filters that walk lists of lists call back here; without a bound a list nested in itself would recurse.
    if filter.required > 0 || name == "map" {
        return Err(Stop::invalid(format!(
            "map cannot apply `{name}`, which needs arguments"
        )));
    }
    for item in list.iter() {
        let item = (filter.run)(eval, eval.defined(item)?, &[])?;
        items.push(eval.defined(item)?);
    }
    eval.pack(items)
}

pub(super) fn select<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    keep(eval, value, "", args, true, "select")
}

pub(super) fn reject<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    keep(eval, value, "", args, false, "reject")
}

pub(super) fn selectattr<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    keep(
        eval,
        value,
        text_arg(args, 0, "selectattr", "")?,
        &args[1..],
        true,
        "selectattr",
    )
}

pub(super) fn rejectattr<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    keep(
        eval,
        value,
        text_arg(args, 0, "rejectattr", "")?,
        &args[1..],
        false,
        "rejectattr",
    )
}

fn keep<'a>(
    eval: &Eval<'a>,
    value: Val<'a>,
    path: &'a str,
    args: &Given<'a>,
    wanted: bool,
    who: &str,
) -> Outcome<Val<'a>> {
    let list: List<'a> = eval.sequence(value, who)?;
    let test = match text_arg(args, 0, who, "")? {
        "" => None,
        name => Some(checks::find(name).ok_or_else(|| Stop::invalid(format!("{who}: there is no test `{name}`")))?),
    };
    if test.is_some_and(|test| !test.params.is_empty() && given(args, 1).is_none()) {
        return Err(Stop::invalid(format!("{who}: this test needs a value to test against")));
    }
    let mut kept = eval.room(list.len())?;
    for item in list.iter() {
        let tested = if path.is_empty() {
            item.clone()
        } else {
            part(eval, item.clone(), path)?
        };
        let holds = match (test, tested) {
            // An item without the attribute is not selected; that it lacks it is data, not a typing mistake.
            (None, Val::Undefined(_)) => false,
            (Some(test), Val::Undefined(_)) if !test.takes_undefined => false,
            (None, tested) => eval.truth(&tested)?,
            (Some(test), tested) => (test.run)(eval, &tested, &args[1..])?,
        };
        if holds == wanted {
            kept.push(item);
        }
    }
    eval.pack(kept)
}

fn entries<'a>(eval: &Eval<'a>, value: &Val<'a>, who: &str) -> Outcome<Vec<(&'a str, Val<'a>)>> {
    eval.entries(value)?
        .ok_or_else(|| Stop::invalid(format!("{who} needs an object, not {}", value.kind())))
}

pub(super) fn keys<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    let entries = entries(eval, &value, "keys")?;
    let mut keys = eval.room(entries.len())?;
    keys.extend(entries.into_iter().map(|(key, _)| Val::Str(key)));
    eval.pack(keys)
}

pub(super) fn values<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    let entries = entries(eval, &value, "values")?;
    let mut values = eval.room(entries.len())?;
    values.extend(entries.into_iter().map(|(_, value)| value));
    eval.pack(values)
}

pub(super) fn items<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    let entries = entries(eval, &value, "items")?;
    let mut items = eval.room(entries.len())?;
    for (key, value) in entries {
        let mut pair = eval.room(2)?;
        pair.extend([Val::Str(key), value]);
        items.push(eval.pack(pair)?);
    }
    eval.pack(items)
}
