//! What checking against a schema can cost, judged before it is done.
//!
//! A short schema can double its work at every level through `$ref`, or call itself without end. So the references
//! of a user's schema must point into the schema itself and never lead back, and the number of values in it, with
//! every reference written out, is bounded. What a check costs is then at most that number for each value checked.

use std::collections::HashMap;

use serde_json::Value;

/// Most values of a schema, references written out.
const VALUES: usize = 5_000;
/// Most work for one check: values of the schema times values of what is checked.
pub(super) const WORK: usize = 50_000_000;
/// Deepest nesting, references included.
const DEPTH: usize = 200;

/// The number of values in a schema with every reference written out.
pub(super) fn of(schema: &Value) -> Result<usize, String> {
    let mut walk = Walk {
        root: schema,
        known: HashMap::new(),
    };
    walk.cost(schema, 0)
}

/// The number of values in a value.
pub(super) fn size_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size_of).sum::<usize>(),
        Value::Object(entries) => 1 + entries.values().map(size_of).sum::<usize>(),
        _ => 1,
    }
}

struct Walk<'a> {
    root: &'a Value,
    /// Costs of what references point to; `None` while it is being found out.
    known: HashMap<&'a str, Option<usize>>,
}

impl<'a> Walk<'a> {
    fn cost(&mut self, value: &'a Value, depth: usize) -> Result<usize, String> {
        if depth > DEPTH {
            return Err("is nested too deep".to_owned());
        }
        let mut cost = 1;
        match value {
            Value::Array(items) => {
                for item in items {
                    cost = add(cost, self.cost(item, depth + 1)?)?;
                }
            }
            Value::Object(entries) => {
                for (name, entry) in entries {
                    cost = add(cost, self.cost(entry, depth + 1)?)?;
                    if let Value::String(target) = entry {
                        cost = add(cost, self.reference(name, target, depth)?)?;
                    }
                }
            }
            _ => {}
        }
        Ok(cost)
    }

    fn reference(&mut self, name: &str, target: &'a str, depth: usize) -> Result<usize, String> {
        match name {
            "$ref" => {}
            "$dynamicRef" | "$recursiveRef" => return Err(format!("{name} is not supported")),
            _ => return Ok(0),
        }
        match self.known.get(target) {
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => return Err(format!("the reference {target} leads back to itself")),
            None => {}
        }
        let pointer = target
            .strip_prefix('#')
            .filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let pointer = pointer.ok_or_else(|| format!("the reference {target} is not of the form #/..."))?;
        let root = self.root;
        let found = root
            .pointer(pointer)
            .ok_or_else(|| format!("the reference {target} leads nowhere"))?;
        self.known.insert(target, None);
        let cost = self.cost(found, depth + 1)?;
        self.known.insert(target, Some(cost));
        Ok(cost)
    }
}

fn add(one: usize, other: usize) -> Result<usize, String> {
    let sum = one.saturating_add(other);
    if sum > VALUES {
        Err(format!("has more than {VALUES} values, references written out"))
    } else {
        Ok(sum)
    }
}
