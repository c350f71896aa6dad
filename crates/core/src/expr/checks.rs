//! The tests behind `is`: a closed table, found by name at compile time.

use super::ast::CompareOp;
use super::budget::{Outcome, Stop};
use super::eval::Eval;
use super::filters::Given;
use super::value::Val;

pub(super) type Run = for<'a> fn(&Eval<'a>, &Val<'a>, &Given<'a>) -> Outcome<bool>;

pub(super) struct Check {
    pub name: &'static str,
    /// All of them must be given.
    pub params: &'static [&'static str],
    /// The test wants to see undefined values instead of failing on them.
    pub takes_undefined: bool,
    pub run: Run,
}

const fn check(name: &'static str, run: Run) -> Check {
    Check {
        name,
        params: &[],
        takes_undefined: false,
        run,
    }
}

const fn binary(name: &'static str, run: Run) -> Check {
    Check {
        name,
        params: &["other"],
        takes_undefined: false,
        run,
    }
}

static CHECKS: &[Check] = &[
    Check {
        takes_undefined: true,
        ..check("defined", |_, value, _| Ok(!matches!(value, Val::Undefined(_))))
    },
    Check {
        takes_undefined: true,
        ..check("undefined", |_, value, _| Ok(matches!(value, Val::Undefined(_))))
    },
    check("none", |_, value, _| Ok(matches!(value, Val::Null))),
    check("null", |_, value, _| Ok(matches!(value, Val::Null))),
    check("true", |_, value, _| Ok(matches!(value, Val::Bool(true)))),
    check("false", |_, value, _| Ok(matches!(value, Val::Bool(false)))),
    check("boolean", |_, value, _| Ok(matches!(value, Val::Bool(_)))),
    check("number", |_, value, _| Ok(matches!(value, Val::Int(_) | Val::Float(_)))),
    check("integer", |_, value, _| Ok(matches!(value, Val::Int(_)))),
    check("float", |_, value, _| Ok(matches!(value, Val::Float(_)))),
    check("string", |_, value, _| Ok(matches!(value, Val::Str(_)))),
    check("sequence", |_, value, _| Ok(matches!(value, Val::List(_)))),
    check("mapping", |_, value, _| {
        Ok(matches!(value, Val::Map(_) | Val::Steps | Val::Step(_) | Val::Loop(_)))
    }),
    check("odd", |eval, value, _| {
        Ok(eval.integer(value, "odd")?.rem_euclid(2) == 1)
    }),
    check("even", |eval, value, _| {
        Ok(eval.integer(value, "even")?.rem_euclid(2) == 0)
    }),
    binary("divisibleby", divisible),
    binary("startingwith", |eval, value, args| {
        affix(eval, value, args, |text, part| text.starts_with(part))
    }),
    binary("endingwith", |eval, value, args| {
        affix(eval, value, args, |text, part| text.ends_with(part))
    }),
    binary("eq", |eval, value, args| compare(eval, CompareOp::Eq, value, args)),
    binary("equalto", |eval, value, args| compare(eval, CompareOp::Eq, value, args)),
    binary("ne", |eval, value, args| compare(eval, CompareOp::Ne, value, args)),
    binary("lt", |eval, value, args| compare(eval, CompareOp::Lt, value, args)),
    binary("lessthan", |eval, value, args| {
        compare(eval, CompareOp::Lt, value, args)
    }),
    binary("le", |eval, value, args| compare(eval, CompareOp::Le, value, args)),
    binary("gt", |eval, value, args| compare(eval, CompareOp::Gt, value, args)),
    binary("greaterthan", |eval, value, args| {
        compare(eval, CompareOp::Gt, value, args)
    }),
    binary("ge", |eval, value, args| compare(eval, CompareOp::Ge, value, args)),
    binary("in", |eval, value, args| compare(eval, CompareOp::In, value, args)),
];

pub(super) fn find(name: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.name == name)
}

fn other<'a, 'v>(args: &'v Given<'a>) -> Outcome<&'v Val<'a>> {
    args.first()
        .and_then(Option::as_ref)
        .ok_or_else(|| Stop::invalid("this test needs a value to test against"))
}

fn compare<'a>(eval: &Eval<'a>, op: CompareOp, value: &Val<'a>, args: &Given<'a>) -> Outcome<bool> {
    eval.compare(op, value, other(args)?)
}

fn divisible<'a>(eval: &Eval<'a>, value: &Val<'a>, args: &Given<'a>) -> Outcome<bool> {
    let by = eval.integer(other(args)?, "divisibleby")?;
    let value = eval.integer(value, "divisibleby")?;
    value
        .checked_rem(by)
        .map(|rest| rest == 0)
        .ok_or_else(|| Stop::invalid("division by zero"))
}

fn affix<'a>(eval: &Eval<'a>, value: &Val<'a>, args: &Given<'a>, holds: fn(&str, &str) -> bool) -> Outcome<bool> {
    match (value, other(args)?) {
        (Val::Str(text), Val::Str(part)) => {
            eval.budget.scan(part.len())?;
            Ok(holds(text, part))
        }
        (value, part) => Err(Stop::invalid(format!(
            "needs two strings, not {} and {}",
            value.kind(),
            part.kind()
        ))),
    }
}
