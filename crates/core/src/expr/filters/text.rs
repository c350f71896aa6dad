//! Filters on strings and JSON text.

use std::sync::Arc;

use serde_json::Value;

use super::super::budget::{Outcome, Stop};
use super::super::eval::Eval;
use super::super::output::Out;
use super::super::value::Val;
use super::{Given, given, text_arg};

/// The deepest indentation of `tojson(indent=...)`.
const MAX_INDENT: i128 = 8;
/// What one parsed JSON node takes at most, to price `fromjson` before it allocates.
const PARSED_NODE_BYTES: usize = 96;

/// The value's text: a string as it is, anything else as it would stand in a template.
fn text_of<'a>(eval: &Eval<'a>, value: &Val<'a>) -> Outcome<&'a str> {
    if let Val::Str(text) = value {
        eval.budget.scan(text.len())?;
        return Ok(text);
    }
    let mut out = Out::new(&eval.budget);
    eval.write(value, &mut out)?;
    eval.string(out.finish())
}

pub(super) fn string<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    text_of(eval, &value).map(Val::Str)
}

pub(super) fn upper<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    changed(eval, &value, str::to_uppercase)
}

pub(super) fn lower<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    changed(eval, &value, str::to_lowercase)
}

pub(super) fn capitalize<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    changed(eval, &value, |text| {
        let mut chars = text.chars();
        chars.next().map_or(String::new(), |first| {
            first
                .to_uppercase()
                .chain(chars.as_str().to_lowercase().chars())
                .collect()
        })
    })
}

/// Case mapping makes a string at most three times longer, so the inner limit bounds it before it is charged.
fn changed<'a>(eval: &Eval<'a>, value: &Val<'a>, change: impl Fn(&str) -> String) -> Outcome<Val<'a>> {
    let text = text_of(eval, value)?;
    eval.budget.fits(text.len())?;
    eval.text(change(text))
}

pub(super) fn trim<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let text = text_of(eval, &value)?;
    Ok(Val::Str(match text_arg(args, 0, "trim", "")? {
        "" => text.trim(),
        chars => {
            eval.budget.burn(text.len().saturating_mul(chars.len()) / 64)?;
            text.trim_matches(|c| chars.contains(c))
        }
    }))
}

pub(super) fn replace<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let text = text_of(eval, &value)?;
    let (old, new) = (text_arg(args, 0, "replace", "")?, text_arg(args, 1, "replace", "")?);
    if old.is_empty() {
        return Err(Stop::invalid("replace needs a text to look for"));
    }
    let found = text.matches(old).count();
    eval.budget
        .fits((text.len() - found * old.len()).saturating_add(found.saturating_mul(new.len())))?;
    eval.text(text.replace(old, new))
}

pub(super) fn split<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let text = text_of(eval, &value)?;
    let separator = text_arg(args, 0, "split", "")?;
    let most = match given(args, 1) {
        Some(most) => usize::try_from(eval.integer(most, "split")?)
            .unwrap_or(usize::MAX)
            .saturating_add(1),
        None => usize::MAX,
    };
    if separator.is_empty() {
        if most != usize::MAX {
            return Err(Stop::invalid("split needs a separator where maxsplit is given"));
        }
        return parts(eval, || text.split_whitespace());
    }
    parts(eval, || text.splitn(most, separator))
}

pub(super) fn lines<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    let text = text_of(eval, &value)?;
    parts(eval, || text.lines())
}

fn parts<'a, I: Iterator<Item = &'a str>>(eval: &Eval<'a>, split: impl Fn() -> I) -> Outcome<Val<'a>> {
    let mut list = eval.room(split().count())?;
    list.extend(split().map(Val::Str));
    eval.pack(list)
}

/// Percent-encodes all but unreserved characters and `/`.
pub(super) fn urlencode<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let text = text_of(eval, &value)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    let length = text.bytes().map(|byte| if plain(byte) { 1 } else { 3 }).sum();
    eval.budget.fits(length)?;
    let mut encoded = String::with_capacity(length);
    for byte in text.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    eval.text(encoded)
}

pub(super) fn to_json<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let indent = match given(args, 0) {
        None | Some(Val::Null | Val::Bool(false)) => None,
        Some(Val::Bool(true)) => Some(2),
        Some(indent) => Some(eval.integer(indent, "tojson")?.clamp(0, MAX_INDENT) as usize),
    };
    match indent {
        Some(indent) => eval.text(eval.pretty(&value, indent)?),
        None => {
            let mut out = Out::new(&eval.budget);
            eval.write_json(&value, &mut out)?;
            eval.text(out.finish())
        }
    }
}

/// Parses a JSON text; what is data already passes through, so that it does not matter whether a step's output was
/// stored as text or as data.
pub(super) fn from_json<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    let Val::Str(text) = value else { return Ok(value) };
    let nodes = 1 + text.bytes().filter(|byte| b",[{".contains(byte)).count();
    eval.budget.burn(nodes)?;
    eval.budget.make(text.len().saturating_add(nodes * PARSED_NODE_BYTES))?;
    let parsed: Value =
        serde_json::from_str(text).map_err(|error| Stop::invalid(format!("fromjson: not a JSON text: {error}")))?;
    Ok(eval.keep(Arc::new(parsed)).map_or(Val::Null, Val::of))
}
