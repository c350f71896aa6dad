//! The filters: a closed table, found by name at compile time.
//!
//! Names and arguments are Jinja's where Jinja has the filter; `fromjson`, `keys` and `values` are additions. A filter
//! charges for what it reads and makes before it does so. There is no clock, no randomness and no I/O among them.

mod lists;
mod text;

use super::budget::{Outcome, Stop};
use super::eval::Eval;
use super::ops;
use super::value::Val;

/// Arguments as bound to the filter's parameters.
pub(super) type Given<'a> = [Option<Val<'a>>];

pub(super) struct Filter {
    pub name: &'static str,
    pub params: &'static [&'static str],
    /// How many of the parameters must be given.
    pub required: usize,
    /// The filter wants to see undefined values instead of failing on them.
    pub takes_undefined: bool,
    pub run: for<'a> fn(&Eval<'a>, Val<'a>, &Given<'a>) -> Outcome<Val<'a>>,
}

const fn filter(
    name: &'static str,
    params: &'static [&'static str],
    run: for<'a> fn(&Eval<'a>, Val<'a>, &Given<'a>) -> Outcome<Val<'a>>,
) -> Filter {
    Filter {
        name,
        params,
        required: 0,
        takes_undefined: false,
        run,
    }
}

const fn needing(required: usize, filter: Filter) -> Filter {
    Filter { required, ..filter }
}

static FILTERS: &[Filter] = &[
    Filter {
        takes_undefined: true,
        ..filter("default", &["value", "boolean"], default)
    },
    Filter {
        takes_undefined: true,
        ..filter("d", &["value", "boolean"], default)
    },
    filter("length", &[], length),
    filter("count", &[], length),
    filter("abs", &[], abs),
    filter("round", &["precision"], round),
    filter("int", &["default"], int),
    filter("float", &["default"], float),
    filter("bool", &[], |eval, value, _| eval.truth(&value).map(Val::Bool)),
    filter("string", &[], text::string),
    filter("upper", &[], text::upper),
    filter("lower", &[], text::lower),
    filter("capitalize", &[], text::capitalize),
    filter("trim", &["chars"], text::trim),
    needing(2, filter("replace", &["old", "new"], text::replace)),
    filter("split", &["separator", "maxsplit"], text::split),
    filter("lines", &[], text::lines),
    filter("urlencode", &[], text::urlencode),
    filter("tojson", &["indent"], text::to_json),
    filter("fromjson", &[], text::from_json),
    filter("join", &["separator", "attribute"], lists::join),
    filter("first", &[], lists::first),
    filter("last", &[], lists::last),
    filter("list", &[], lists::list),
    filter("reverse", &[], lists::reverse),
    filter("sort", &["reverse", "attribute"], lists::sort),
    filter("unique", &["attribute"], lists::unique),
    filter("min", &["attribute"], lists::min),
    filter("max", &["attribute"], lists::max),
    filter("sum", &["attribute"], lists::sum),
    filter("map", &["filter", "attribute", "default"], lists::map),
    filter("select", &["test", "value"], lists::select),
    filter("reject", &["test", "value"], lists::reject),
    needing(
        1,
        filter("selectattr", &["attribute", "test", "value"], lists::selectattr),
    ),
    needing(
        1,
        filter("rejectattr", &["attribute", "test", "value"], lists::rejectattr),
    ),
    filter("keys", &[], lists::keys),
    filter("values", &[], lists::values),
    filter("items", &[], lists::items),
];

pub(super) fn find(name: &str) -> Option<&'static Filter> {
    FILTERS.iter().find(|filter| filter.name == name)
}

/// A string argument, or `fallback` where none was given.
fn text_arg<'a>(args: &Given<'a>, index: usize, who: &str, fallback: &'a str) -> Outcome<&'a str> {
    match args.get(index).and_then(Option::as_ref) {
        None | Some(Val::Null) => Ok(fallback),
        Some(Val::Str(text)) => Ok(text),
        Some(other) => Err(Stop::invalid(format!(
            "{who} needs a string argument, not {}",
            other.kind()
        ))),
    }
}

fn given<'a, 'v>(args: &'v Given<'a>, index: usize) -> Option<&'v Val<'a>> {
    args.get(index).and_then(Option::as_ref)
}

fn default<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let also_false = given(args, 1).is_some_and(|flag| matches!(flag, Val::Bool(true)));
    let missing = matches!(value, Val::Undefined(_)) || (also_false && !eval.truth(&value)?);
    Ok(if missing {
        given(args, 0).cloned().unwrap_or(Val::Str(""))
    } else {
        value
    })
}

fn length<'a>(eval: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    let length = match &value {
        Val::Str(text) => {
            eval.budget.scan(text.len())?;
            text.chars().count()
        }
        Val::List(list) => list.len(),
        Val::Map(map) => map.len(),
        Val::Steps => eval.step_keys()?.len(),
        other => return Err(Stop::invalid(format!("{} has no length", other.kind()))),
    };
    Ok(Val::Int(length as i128))
}

fn abs<'a>(_: &Eval<'a>, value: Val<'a>, _: &Given<'a>) -> Outcome<Val<'a>> {
    match value {
        Val::Int(value) => ops::int(value.checked_abs()),
        Val::Float(value) => Ok(Val::Float(value.abs())),
        other => Err(Stop::invalid(format!("abs needs a number, not {}", other.kind()))),
    }
}

fn round<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let precision = given(args, 0).map_or(Ok(0), |arg| eval.integer(arg, "round"))?;
    match value {
        Val::Int(value) => Ok(Val::Int(value)),
        Val::Float(value) => {
            let scale = 10f64.powi(precision.clamp(-300, 300) as i32);
            let rounded = (value * scale).round() / scale;
            // So fine a precision that scaling overflows leaves the number as it is.
            Ok(Val::Float(if rounded.is_finite() { rounded } else { value }))
        }
        other => Err(Stop::invalid(format!("round needs a number, not {}", other.kind()))),
    }
}

fn int<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let parsed = match &value {
        Val::Int(value) => Some(*value),
        Val::Float(value) => Some(value.trunc() as i128),
        Val::Bool(value) => Some((*value).into()),
        Val::Str(text) => {
            eval.budget.scan(text.len())?;
            let text = text.trim();
            text.parse::<i128>()
                .ok()
                .or_else(|| text.parse::<f64>().ok().map(|value| value.trunc() as i128))
        }
        _ => None,
    };
    convert(
        parsed.map(Some).and_then(|value| ops::int(value).ok()),
        &value,
        args,
        "an integer",
    )
}

fn float<'a>(eval: &Eval<'a>, value: Val<'a>, args: &Given<'a>) -> Outcome<Val<'a>> {
    let parsed = match &value {
        Val::Bool(value) => Some(f64::from(u8::from(*value))),
        Val::Str(text) => {
            eval.budget.scan(text.len())?;
            text.trim().parse().ok()
        }
        number => ops::float(number),
    };
    convert(
        parsed.and_then(|value| ops::finite(value).ok()),
        &value,
        args,
        "a float",
    )
}

fn convert<'a>(parsed: Option<Val<'a>>, from: &Val<'a>, args: &Given<'a>, to: &str) -> Outcome<Val<'a>> {
    parsed
        .or_else(|| given(args, 0).cloned())
        .ok_or_else(|| Stop::invalid(format!("{} that is not {to}", from.kind())))
}
