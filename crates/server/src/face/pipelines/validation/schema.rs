//! What an input schema says, read from its JSON.
//!
//! Labels, placeholders, help texts, and what a file upload accepts, are for forms, and passed over.

use serde_json::{Map, Value};

use super::formats::Pattern;

/// Deepest nesting of fields.
const MAX_DEPTH: usize = 32;
/// Most fields, on all levels together.
const MAX_FIELDS: usize = 10_000;

/// A schema, ready to check.
#[derive(Debug)]
pub(crate) struct InputSchema {
    pub(super) fields: Vec<Field>,
    /// Fields that are not listed are refused.
    pub(super) strict: bool,
}

/// A schema that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid input schema: {path}: {message}")]
pub(crate) struct SchemaError {
    path: String,
    message: String,
}

#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    pub kind: Kind,
    pub required: bool,
    /// Only of fields that are not required.
    pub default: Option<Value>,
    pub show_if: Option<ShowIf>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Text(Text),
    Number {
        integer: bool,
        least: Option<f64>,
        most: Option<f64>,
    },
    Boolean,
    Date,
    Choice(Vec<Value>),
    Choices(Vec<Value>),
    Anything,
    Array(Option<Box<Field>>),
    /// Without properties it is any object.
    Object(Option<Vec<Field>>),
}

#[derive(Debug, Default)]
pub(super) struct Text {
    pub format: Option<Format>,
    pub shortest: Option<f64>,
    pub longest: Option<f64>,
    pub pattern: Option<Pattern>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Email,
    Url,
}

#[derive(Debug)]
pub(super) struct ShowIf {
    pub field: String,
    pub operator: Operator,
    pub value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Gt,
    Lt,
    Gte,
    Lte,
    In,
    NotIn,
}

const OPERATORS: [(&str, Operator); 8] = [
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    ("gt", Operator::Gt),
    ("lt", Operator::Lt),
    ("gte", Operator::Gte),
    ("lte", Operator::Lte),
    ("in", Operator::In),
    ("notIn", Operator::NotIn),
];

impl InputSchema {
    /// Reads a schema; it ends at the first thing that is wrong.
    pub fn read(schema: &Value) -> Result<Self, SchemaError> {
        let Value::Object(map) = schema else {
            return Err(wrong("schema", "must be an object"));
        };
        let at = Place {
            path: String::new(),
            map,
        };
        let fields = at.fields("fields", MAX_DEPTH, &mut { MAX_FIELDS })?;
        let fields = fields.ok_or_else(|| wrong("fields", "must be an array"))?;
        let strict = at.flag("strict")?;
        Ok(Self { fields, strict })
    }
}

/// An object of the schema and where it stands.
struct Place<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Place<'a> {
    fn at(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, SchemaError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(&self.at(name), "must be a string")),
        }
    }

    fn needed(&self, name: &str) -> Result<&'a str, SchemaError> {
        self.text(name)?.ok_or_else(|| wrong(&self.at(name), "is required"))
    }

    fn flag(&self, name: &str) -> Result<bool, SchemaError> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(wrong(&self.at(name), "must be true or false")),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>, SchemaError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(wrong(&self.at(name), "must be a number")),
            },
        }
    }

    fn list(&self, name: &str) -> Result<Option<&'a [Value]>, SchemaError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(_) => Err(wrong(&self.at(name), "must be an array")),
        }
    }

    fn below(path: String, value: &'a Value) -> Result<Self, SchemaError> {
        match value {
            Value::Object(map) => Ok(Self { path, map }),
            _ => Err(wrong(&path, "must be an object")),
        }
    }

    fn fields(&self, name: &str, depth: usize, left: &mut usize) -> Result<Option<Vec<Field>>, SchemaError> {
        let Some(list) = self.list(name)? else { return Ok(None) };
        let mut fields: Vec<Field> = Vec::with_capacity(list.len().min(64));
        for (nth, field) in list.iter().enumerate() {
            let place = Self::below(format!("{}.{nth}", self.at(name)), field)?;
            let name = place.needed("name")?;
            fields.push(place.field(name, depth, left)?);
        }
        Ok(Some(fields))
    }

    fn field(&self, name: &str, depth: usize, left: &mut usize) -> Result<Field, SchemaError> {
        if depth == 0 {
            return Err(wrong(&self.path, "is nested too deep"));
        }
        *left = left
            .checked_sub(1)
            .ok_or_else(|| wrong(&self.path, "has too many fields before it"))?;
        let required = self.flag("required")?;
        Ok(Field {
            name: name.to_owned(),
            kind: self.kind(depth, left)?,
            required,
            default: self.map.get("default").filter(|_| !required).cloned(),
            show_if: self.show_if()?,
        })
    }

    fn kind(&self, depth: usize, left: &mut usize) -> Result<Kind, SchemaError> {
        Ok(match self.needed("type")? {
            "string" | "textarea" => Kind::Text(self.limits(None)?),
            "email" => Kind::Text(self.limits(Some(Format::Email))?),
            "url" => Kind::Text(self.limits(Some(Format::Url))?),
            "file" => Kind::Text(Text::default()),
            word @ ("number" | "integer") => Kind::Number {
                integer: word == "integer",
                least: self.number("min")?,
                most: self.number("max")?,
            },
            "boolean" => Kind::Boolean,
            "date" | "datetime" => Kind::Date,
            "select" => Kind::Choice(self.options()?),
            "multiselect" => Kind::Choices(self.options()?),
            "json" => Kind::Anything,
            "array" => Kind::Array(match self.get("items") {
                None => None,
                // Items have no names of their own.
                Some(items) => {
                    let place = Self::below(self.at("items"), items)?;
                    Some(Box::new(place.field("", depth - 1, left)?))
                }
            }),
            "object" => Kind::Object(self.fields("properties", depth - 1, left)?),
            _ => return Err(wrong(&self.at("type"), "is not known")),
        })
    }

    fn limits(&self, format: Option<Format>) -> Result<Text, SchemaError> {
        Ok(Text {
            format,
            shortest: self.number("minLength")?,
            longest: self.number("maxLength")?,
            pattern: self.text("pattern")?.and_then(Pattern::compile),
        })
    }

    fn options(&self) -> Result<Vec<Value>, SchemaError> {
        let list = self.list("options")?.unwrap_or_default();
        let values = list.iter().enumerate().map(|(nth, option)| {
            let path = format!("{}.{nth}", self.at("options"));
            let value = option
                .get("value")
                .filter(|value| !value.is_object() && !value.is_array());
            value.cloned().ok_or_else(|| wrong(&path, "must have a value"))
        });
        values.collect()
    }

    fn show_if(&self) -> Result<Option<ShowIf>, SchemaError> {
        let Some(value) = self.get("showIf") else {
            return Ok(None);
        };
        let place = Self::below(self.at("showIf"), value)?;
        let word = place.needed("operator")?;
        let operator = OPERATORS.iter().find(|(known, _)| *known == word);
        let operator = operator.ok_or_else(|| wrong(&place.at("operator"), "is not known"))?.1;
        Ok(Some(ShowIf {
            field: place.needed("field")?.to_owned(),
            operator,
            value: place.map.get("value").cloned().unwrap_or_default(),
        }))
    }
}

fn wrong(path: &str, message: &str) -> SchemaError {
    SchemaError {
        path: path.to_owned(),
        message: message.to_owned(),
    }
}
