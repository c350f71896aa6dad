//! Values back to text and to JSON, within bounds.

use std::io;

use serde::Serialize;
use serde_json::{Map, Number, Value};

use super::budget::{Budget, Outcome, Stop};
use super::eval::Eval;
use super::value::{Dict, List, Val};

/// Charged per node of a typed result, so that a million nulls are not free.
const NODE_BYTES: usize = 8;

/// A string under construction that cannot outgrow the limit.
pub(super) struct Out<'b> {
    bytes: Vec<u8>,
    limit: usize,
    budget: &'b Budget,
}

impl<'b> Out<'b> {
    pub fn new(budget: &'b Budget) -> Self {
        Self {
            bytes: Vec::new(),
            limit: budget.limits.text,
            budget,
        }
    }

    pub fn push(&mut self, text: &str) -> Outcome<()> {
        self.budget.scan(text.len())?;
        io::Write::write_all(self, text.as_bytes()).map_err(|_| self.too_long())
    }

    /// Appends anything serialisable as compact JSON.
    fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome<()> {
        let before = self.bytes.len();
        serde_json::to_writer(&mut *self, value).map_err(|_| self.too_long())?;
        // Escaping and walking cost more than copying.
        self.budget.burn((self.bytes.len() - before) / 16)
    }

    fn too_long(&self) -> Stop {
        Stop::Limit(format!("makes a string longer than {} bytes", self.limit))
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn finish(self) -> String {
        // Only whole strings and JSON are ever written, so this keeps the bytes as they are.
        String::from_utf8(self.bytes).unwrap_or_default()
    }
}

impl io::Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Eval<'a> {
    /// The text of a value inside other text: strings raw, null as nothing, the rest as compact JSON.
    pub fn write(&self, value: &Val<'a>, out: &mut Out<'_>) -> Outcome<()> {
        match value {
            Val::Str(text) => out.push(text),
            Val::Null => Ok(()),
            value => self.write_json(value, out),
        }
    }

    pub fn write_json(&self, value: &Val<'a>, out: &mut Out<'_>) -> Outcome<()> {
        self.budget.burn(1)?;
        match value {
            Val::Undefined(span) => Err(Stop::Undefined(*span)),
            Val::Null => out.push("null"),
            Val::Bool(value) => out.json(value),
            Val::Int(value) => out.push(&value.to_string()),
            Val::Float(value) => out.json(value),
            Val::Str(text) => out.json(text),
            Val::List(List::Json(items)) => out.json(items),
            Val::Map(Dict::Json(map)) => out.json(map),
            Val::List(list) => {
                out.push("[")?;
                for (index, item) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(",")?;
                    }
                    self.write_json(&item, out)?;
                }
                out.push("]")
            }
            Val::Map(_) | Val::Steps | Val::Step(_) | Val::Loop(_) => {
                out.push("{")?;
                for (index, (key, item)) in self.entries(value)?.unwrap_or_default().into_iter().enumerate() {
                    if index > 0 {
                        out.push(",")?;
                    }
                    out.json(key)?;
                    out.push(":")?;
                    self.write_json(&item, out)?;
                }
                out.push("}")
            }
        }
    }

    /// Indented JSON, for people.
    pub fn pretty(&self, value: &Val<'a>, indent: usize) -> Outcome<String> {
        let value = self.materialize(value, 0)?;
        let mut out = Out::new(&self.budget);
        let spaces = vec![b' '; indent];
        let formatter = serde_json::ser::PrettyFormatter::with_indent(&spaces);
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
        let written = value.serialize(&mut serializer);
        written.map_err(|_| out.too_long())?;
        self.budget.burn(out.bytes.len() / 16)?;
        Ok(out.finish())
    }

    /// The value as JSON data; `depth` is how deep in the whole result it will stand.
    pub fn materialize(&self, value: &Val<'a>, depth: usize) -> Outcome<Value> {
        match value {
            Val::List(List::Json(items)) => self.copy_all(items, depth),
            Val::Map(Dict::Json(map)) => self.copy_map(map, depth),
            Val::List(list) => {
                self.level(depth)?;
                list.iter()
                    .map(|item| self.materialize(&item, depth + 1))
                    .collect::<Outcome<_>>()
                    .map(Value::Array)
            }
            Val::Map(_) | Val::Steps | Val::Step(_) | Val::Loop(_) => {
                self.level(depth)?;
                let mut map = Map::new();
                for (key, item) in self.entries(value)?.unwrap_or_default() {
                    self.budget.emit(key.len())?;
                    map.insert(key.to_owned(), self.materialize(&item, depth + 1)?);
                }
                Ok(Value::Object(map))
            }
            scalar => self.scalar(scalar),
        }
    }

    fn scalar(&self, value: &Val<'a>) -> Outcome<Value> {
        self.budget.emit(NODE_BYTES)?;
        Ok(match value {
            Val::Undefined(span) => return Err(Stop::Undefined(*span)),
            Val::Bool(value) => Value::Bool(*value),
            Val::Int(value) => {
                let number = i64::try_from(*value)
                    .map(Number::from)
                    .or_else(|_| u64::try_from(*value).map(Number::from));
                Value::Number(number.map_err(|_| Stop::invalid("number out of range"))?)
            }
            Val::Float(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
            Val::Str(text) => {
                self.budget.emit(text.len())?;
                Value::String((*text).to_owned())
            }
            _ => Value::Null,
        })
    }

    fn copy(&self, value: &Value, depth: usize) -> Outcome<Value> {
        match value {
            Value::Array(items) => self.copy_all(items, depth),
            Value::Object(map) => self.copy_map(map, depth),
            scalar => {
                self.budget.emit(NODE_BYTES + scalar.as_str().map_or(0, str::len))?;
                Ok(scalar.clone())
            }
        }
    }

    fn copy_all(&self, items: &[Value], depth: usize) -> Outcome<Value> {
        self.level(depth)?;
        self.budget.emit(NODE_BYTES * items.len())?;
        let mut copies = Vec::with_capacity(items.len());
        for item in items {
            copies.push(self.copy(item, depth + 1)?);
        }
        Ok(Value::Array(copies))
    }

    fn copy_map(&self, map: &Map<String, Value>, depth: usize) -> Outcome<Value> {
        self.level(depth)?;
        let mut copy = Map::new();
        for (key, item) in map {
            self.budget.emit(NODE_BYTES + key.len())?;
            copy.insert(key.clone(), self.copy(item, depth + 1)?);
        }
        Ok(Value::Object(copy))
    }

    fn level(&self, depth: usize) -> Outcome<()> {
        self.budget.emit(NODE_BYTES)?;
        let limit = self.budget.limits.depth;
        if depth >= limit {
            Err(Stop::Limit(format!("gives a result nested deeper than {limit}")))
        } else {
            Ok(())
        }
    }

    /// Entries of anything that reads like an object; `None` for the rest.
    pub fn entries(&self, value: &Val<'a>) -> Outcome<Option<Vec<(&'a str, Val<'a>)>>> {
        let fields = |names: &[&'static str], get: &dyn Fn(&str) -> Option<Val<'a>>| {
            names
                .iter()
                .filter_map(|name| get(name).map(|value| (*name, value)))
                .collect()
        };
        Ok(Some(match value {
            Val::Map(map) => {
                self.budget.make(map.len() * size_of::<(&str, Val<'_>)>())?;
                map.entries()
            }
            Val::Step(view) => {
                let view = *view;
                fields(&["output", "status", "error", "code"], &|name| view.field(name))
            }
            Val::Loop(round) => fields(&["index", "index0", "first", "last", "length"], &|name| {
                round.field(name)
            }),
            Val::Steps => {
                let keys = self.step_keys()?;
                keys.into_iter()
                    .filter_map(|key| self.step(key).map(|view| (key, Val::Step(view))))
                    .collect()
            }
            _ => return Ok(None),
        }))
    }

    /// What can be walked: a list, or the keys of an object.
    pub fn sequence(&self, value: Val<'a>, who: &str) -> Outcome<List<'a>> {
        let value = self.defined(value)?;
        if let Val::List(list) = value {
            return Ok(list);
        }
        let Some(entries) = self.entries(&value)? else {
            return Err(Stop::invalid(format!("{who} needs a list, not {}", value.kind())));
        };
        let mut keys = self.room(entries.len())?;
        keys.extend(entries.into_iter().map(|(key, _)| Val::Str(key)));
        match self.pack(keys)? {
            Val::List(list) => Ok(list),
            _ => Err(Stop::invalid("not a list")),
        }
    }
}
