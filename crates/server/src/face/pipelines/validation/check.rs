//! Checks an input. The recursion is as deep as the schema, whose depth is bounded when it is read.

use serde_json::{Map, Value};

use super::InputError;
use super::dates::is_date;
use super::formats::{self, is_email, is_url};
use super::schema::{Field, Format, InputSchema, Kind, Operator, ShowIf, Text};
use crate::face::pipelines::zod_error::{Path, expected, shortened};

/// Findings told; one more is not looked for.
const TOLD: usize = 100;
/// Matches of patterns that may backtrack, in one input.
const BACKTRACKING_MATCHES: usize = 1_000;

impl InputSchema {
    /// What is wrong with an input; nothing if it fits.
    pub fn check(&self, input: &Value) -> Vec<InputError> {
        let mut check = Check {
            root: input,
            found: Vec::new(),
            backtracking_left: BACKTRACKING_MATCHES,
        };
        let Value::Object(map) = input else {
            check.mistyped(&Path::root(), "object", input);
            return check.found;
        };
        check.object(&self.fields, map, &Path::root());
        if self.strict {
            let unknown = map
                .keys()
                .filter(|key| !self.fields.iter().any(|field| field.name == **key));
            let unknown: Vec<String> = unknown.take(TOLD).map(|key| format!("'{}'", shortened(key))).collect();
            if !unknown.is_empty() {
                let message = format!("Unrecognized key(s) in object: {}", unknown.join(", "));
                check.add(&Path::root(), message, "unrecognized_keys");
            }
        }
        check.found
    }
}

struct Check<'a> {
    root: &'a Value,
    found: Vec<InputError>,
    backtracking_left: usize,
}

impl Check<'_> {
    fn add(&mut self, path: &Path, message: impl Into<String>, code: &'static str) {
        if self.found.len() < TOLD {
            self.found.push(InputError {
                field: path.dotted(),
                message: message.into(),
                code,
            });
        }
    }

    fn mistyped(&mut self, path: &Path, type_name: &str, value: &Value) {
        self.add(path, expected(type_name, Some(value)), "invalid_type");
    }

    fn object(&mut self, fields: &[Field], map: &Map<String, Value>, path: &Path) {
        for field in fields {
            let path = path.at(&field.name);
            match map.get(&field.name).or(field.default.as_ref()) {
                Some(value) => self.value(&field.kind, value, &path),
                None if field.required && self.is_shown(field, fields, map) => {
                    self.add(&path, expected("", None), "invalid_type");
                }
                None => {}
            }
        }
    }

    fn value(&mut self, kind: &Kind, value: &Value, path: &Path) {
        match kind {
            Kind::Text(limits) => self.text(limits, value, path),
            Kind::Number { integer, least, most } => self.number(*integer, (*least, *most), value, path),
            Kind::Boolean if !value.is_boolean() => self.mistyped(path, "boolean", value),
            Kind::Date if !is_date(value) => self.add(path, "Invalid date", "invalid_date"),
            Kind::Boolean | Kind::Date | Kind::Anything => {}
            Kind::Choice(options) => self.choice(options, value, path),
            Kind::Choices(options) => self.each(value, path, |check, item, path| check.choice(options, item, path)),
            Kind::Array(items) => self.each(value, path, |check, item, path| {
                if let Some(items) = items {
                    check.value(&items.kind, item, path);
                }
            }),
            Kind::Object(properties) => match (value, properties) {
                (Value::Object(map), Some(properties)) => self.object(properties, map, path),
                (Value::Object(_), None) => {}
                _ => self.mistyped(path, "object", value),
            },
        }
    }

    fn each(&mut self, value: &Value, path: &Path, one: impl Fn(&mut Self, &Value, &Path)) {
        let Value::Array(items) = value else {
            return self.mistyped(path, "array", value);
        };
        for (nth, item) in items.iter().enumerate() {
            if self.found.len() == TOLD {
                break;
            }
            one(self, item, &path.at(nth));
        }
    }

    fn text(&mut self, limits: &Text, value: &Value, path: &Path) {
        let Value::String(text) = value else {
            return self.mistyped(path, "string", value);
        };
        match limits.format {
            Some(Format::Email) if !is_email(text) => self.add(path, "Invalid email address", "invalid_string"),
            Some(Format::Url) if !is_url(text) => self.add(path, "Invalid URL", "invalid_string"),
            Some(_) | None => {}
        }
        let length = formats::length(text) as f64;
        if let Some(least) = limits.shortest.filter(|least| length < *least) {
            self.add(
                path,
                format!("Minimum length is {}", formats::number(least)),
                "too_small",
            );
        }
        if let Some(most) = limits.longest.filter(|most| length > *most) {
            self.add(path, format!("Maximum length is {}", formats::number(most)), "too_big");
        }
        let Some(pattern) = &limits.pattern else { return };
        if pattern.backtracks {
            let Some(left) = self.backtracking_left.checked_sub(1) else {
                return self.add(path, "Too many values to check their format", "invalid_string");
            };
            self.backtracking_left = left;
        }
        if !pattern.is_found_in(value) {
            self.add(path, "Invalid format", "invalid_string");
        }
    }

    fn number(&mut self, integer: bool, (least, most): (Option<f64>, Option<f64>), value: &Value, path: &Path) {
        let Some(number) = value.as_f64() else {
            return self.mistyped(path, "number", value);
        };
        if integer && number.fract() != 0.0 {
            self.add(path, "Must be an integer", "invalid_type");
        }
        if let Some(least) = least.filter(|least| number < *least) {
            self.add(
                path,
                format!("Minimum value is {}", formats::number(least)),
                "too_small",
            );
        }
        if let Some(most) = most.filter(|most| number > *most) {
            self.add(path, format!("Maximum value is {}", formats::number(most)), "too_big");
        }
    }

    fn choice(&mut self, options: &[Value], value: &Value, path: &Path) {
        if options.is_empty() || options.iter().any(|option| is_same(option, value)) {
            return;
        }
        let words: Option<Vec<String>> = options
            .iter()
            .map(|option| Some(format!("'{}'", option.as_str()?)))
            .collect();
        match (words, value, options) {
            (Some(words), Value::String(text), _) => {
                let words = words.join(" | ");
                let message = format!("Invalid enum value. Expected {words}, received '{}'", shortened(text));
                self.add(path, message, "invalid_enum_value");
            }
            (Some(words), _, _) => self.mistyped(path, &words.join(" | "), value),
            (None, _, [only]) => {
                let message = format!("Invalid literal value, expected {}", literal(only));
                self.add(path, message, "invalid_literal");
            }
            (None, _, _) => self.add(path, "Invalid input", "invalid_union"),
        }
    }

    fn is_shown(&self, field: &Field, siblings: &[Field], map: &Map<String, Value>) -> bool {
        let Some(condition) = &field.show_if else { return true };
        let sibling = siblings.iter().find(|sibling| sibling.name == condition.field);
        let actual = map
            .get(&condition.field)
            .or_else(|| sibling.and_then(|sibling| sibling.default.as_ref()))
            .or_else(|| {
                condition
                    .field
                    .split('.')
                    .try_fold(self.root, |value, name| value.get(name))
            });
        holds(condition, actual)
    }
}

fn holds(condition: &ShowIf, actual: Option<&Value>) -> bool {
    let wanted = &condition.value;
    let is_equal = || actual.is_some_and(|actual| is_same(actual, wanted));
    let is_listed = || {
        let list = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
        actual.is_some_and(|actual| list.iter().any(|item| is_same(item, actual)))
    };
    let order = || match (actual?, wanted) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (one, other) => one.as_f64()?.partial_cmp(&other.as_f64()?),
    };
    match condition.operator {
        Operator::Eq => is_equal(),
        Operator::Ne => !is_equal(),
        Operator::Gt => order().is_some_and(std::cmp::Ordering::is_gt),
        Operator::Lt => order().is_some_and(std::cmp::Ordering::is_lt),
        Operator::Gte => order().is_some_and(std::cmp::Ordering::is_ge),
        Operator::Lte => order().is_some_and(std::cmp::Ordering::is_le),
        Operator::In => is_listed(),
        Operator::NotIn => !is_listed(),
    }
}

/// Equal as JavaScript has it: 1 and 1.0 are one number.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn literal(value: &Value) -> String {
    value.as_f64().map_or_else(|| value.to_string(), formats::number)
}
