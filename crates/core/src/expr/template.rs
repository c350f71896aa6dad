//! A JSON value with templates in it: compiled once, rendered per step run.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::ast::Program;
use super::blocks;
use super::budget::{Budget, Outcome, Stop};
use super::eval::Eval;
use super::lex::SyntaxFault;
use super::parse::References;
use super::secret::{self, Rendered, Slot};
use super::value::Arena;
use super::{CompileError, Fault, Limits, RenderError, Scope};

/// A step's input, compiled. Immutable and cheap to clone.
#[derive(Clone)]
pub struct Template(Arc<Compiled>);

struct Compiled {
    root: Node,
    limits: Limits,
    names: Names,
}

enum Node {
    Literal(Value),
    Text(Program),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// What a compiled text reads from its scope.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub steps: Vec<String>,
    pub roots: Vec<String>,
    pub dynamic_steps: bool,
    pub secrets: Vec<String>,
}

impl From<References> for Names {
    fn from(found: References) -> Self {
        Self {
            steps: found.steps.into_iter().collect(),
            roots: found.roots.into_iter().collect(),
            dynamic_steps: found.dynamic_steps,
            secrets: found.secrets.into_iter().flatten().collect(),
        }
    }
}

impl Template {
    /// Compiles any JSON value; every string inside it may hold templates, keys of objects may not.
    pub fn compile(value: &Value, limits: &Limits) -> Result<Self, CompileError> {
        Self::compile_as(value, limits, References::default())
    }

    /// Compiles a value that is sent to somebody: its strings may also name secrets.
    pub fn compile_sent(value: &Value, limits: &Limits) -> Result<Self, CompileError> {
        Self::compile_as(value, limits, References::of_sent())
    }

    fn compile_as(value: &Value, limits: &Limits, mut references: References) -> Result<Self, CompileError> {
        let mut compiler = Compiler {
            limits,
            references: &mut references,
        };
        let root = compiler.node(value, &Path::Root, 0)?;
        Ok(Self(Arc::new(Compiled {
            root,
            limits: *limits,
            names: references.into(),
        })))
    }

    /// Whether there is no template inside: rendering is then a clone, whatever the scope.
    pub fn is_literal(&self) -> bool {
        self.as_literal().is_some()
    }

    /// The value itself, when there is no template inside.
    pub fn as_literal(&self) -> Option<&Value> {
        match &self.0.root {
            Node::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// Keys of the steps that are read by name, sorted.
    pub fn references(&self) -> &[String] {
        &self.0.names.steps
    }

    /// Top-level names that are read, without `steps`, sorted.
    pub fn roots(&self) -> &[String] {
        &self.0.names.roots
    }

    /// Whether steps are also read in a way that only a run can resolve, such as `steps[item.key]`.
    pub fn reads_steps_dynamically(&self) -> bool {
        self.0.names.dynamic_steps
    }

    /// Names of the secrets that are named, sorted.
    pub fn secrets(&self) -> &[String] {
        &self.0.names.secrets
    }

    /// Fills the templates in; where a secret is named, the mask stays.
    pub fn render(&self, scope: &dyn Scope) -> Result<Value, RenderError> {
        self.render_sent(scope).map(|rendered| rendered.value)
    }

    /// Fills the templates in, and says where secrets belong.
    pub fn render_sent(&self, scope: &dyn Scope) -> Result<Rendered, RenderError> {
        let mut secrets = Vec::new();
        if let Node::Literal(value) = &self.0.root {
            let value = value.clone();
            return Ok(Rendered { value, secrets });
        }
        let arena = Arena::default();
        let eval = Eval::new(scope, &arena, Budget::new(self.0.limits));
        let value = self.0.root.render(&eval, &Path::Root, 0, &mut secrets)?;
        Ok(Rendered { value, secrets })
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("literal", &self.is_literal())
            .field("reads", &self.0.names)
            .finish()
    }
}

impl Node {
    fn render<'a>(
        &'a self,
        eval: &Eval<'a>,
        path: &Path<'_>,
        depth: usize,
        secrets: &mut Vec<Slot>,
    ) -> Result<Value, RenderError> {
        match self {
            Node::Literal(value) => Ok(value.clone()),
            Node::Text(program) => {
                let value = eval.render(program, depth);
                let value = value.map_err(|stop| failure(stop, &program.source, path.to_string()))?;
                let places = eval.take_secrets();
                if !places.is_empty() {
                    let pointer: Arc<str> = secret::pointer(path).into();
                    secrets.extend(places.into_iter().map(|(at, name)| Slot {
                        pointer: Arc::clone(&pointer),
                        at,
                        name: name.into(),
                    }));
                }
                Ok(value)
            }
            Node::List(nodes) => {
                let mut items = Vec::with_capacity(nodes.len());
                for (index, node) in nodes.iter().enumerate() {
                    items.push(node.render(eval, &Path::Index(path, index), depth + 1, secrets)?);
                }
                Ok(Value::Array(items))
            }
            Node::Map(nodes) => {
                let mut map = Map::with_capacity(nodes.len());
                for (key, node) in nodes {
                    let value = node.render(eval, &Path::Key(path, key), depth + 1, secrets)?;
                    map.insert(key.clone(), value);
                }
                Ok(Value::Object(map))
            }
        }
    }
}

struct Compiler<'l, 'r> {
    limits: &'l Limits,
    references: &'r mut References,
}

impl Compiler<'_, '_> {
    fn node(&mut self, value: &Value, path: &Path<'_>, depth: usize) -> Result<Node, CompileError> {
        let limit = self.limits.depth;
        if depth >= limit && matches!(value, Value::Array(_) | Value::Object(_)) {
            let message = format!("nested deeper than {limit} levels");
            return Err(CompileError {
                path: path.to_string(),
                message,
            });
        }
        match value {
            Value::String(text) if blocks::is_template(text) => {
                let program = within(text, self.limits.source).and_then(|text| blocks::template(text, self.references));
                program
                    .map(Node::Text)
                    .map_err(|fault| syntax(fault, text, path.to_string()))
            }
            Value::Array(items) => {
                let nodes = items.iter().enumerate();
                let nodes = nodes.map(|(index, item)| self.node(item, &Path::Index(path, index), depth + 1));
                let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
                let literal = nodes.iter().all(|node| matches!(node, Node::Literal(_)));
                Ok(if literal {
                    Node::Literal(value.clone())
                } else {
                    Node::List(nodes)
                })
            }
            Value::Object(map) => {
                let mut nodes = Vec::with_capacity(map.len());
                for (key, item) in map {
                    nodes.push((key.clone(), self.node(item, &Path::Key(path, key), depth + 1)?));
                }
                let literal = nodes.iter().all(|(_, node)| matches!(node, Node::Literal(_)));
                Ok(if literal {
                    Node::Literal(value.clone())
                } else {
                    Node::Map(nodes)
                })
            }
            scalar => Ok(Node::Literal(scalar.clone())),
        }
    }
}

/// Where in the value a string stands; made into text only when an error needs it.
pub(super) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(parent, key) if plain(key) => {
                parent.fmt(f)?;
                f.write_str(if matches!(parent, Path::Root) { "" } else { "." })?;
                f.write_str(key)
            }
            Path::Key(parent, key) => write!(f, "{parent}[{key:?}]"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// Refuses a source text that is too long to be looked at.
pub(super) fn within(source: &str, limit: usize) -> Result<&str, SyntaxFault> {
    if source.len() > limit {
        return Err(SyntaxFault::new(usize::MAX, format!("longer than {limit} bytes")));
    }
    Ok(source)
}

pub(super) fn syntax(fault: SyntaxFault, source: &str, path: String) -> CompileError {
    let Some(before) = source.get(..fault.at) else {
        return CompileError {
            path,
            message: fault.message,
        };
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let place = if line > 1 {
        format!("line {line}, column {column}")
    } else {
        format!("column {column}")
    };
    CompileError {
        path,
        message: format!("{} at {place}", fault.message),
    }
}

pub(super) fn failure(stop: Stop, source: &str, path: String) -> RenderError {
    let fault = match stop {
        Stop::Undefined(span) => Fault::Undefined(source.get(span.start..span.end).unwrap_or(source).trim().to_owned()),
        Stop::Limit(what) => Fault::Limit(what),
        Stop::Invalid(message) => Fault::Invalid(message),
    };
    RenderError { path, fault }
}

/// Runs one program on its own.
pub(super) fn alone<T>(
    program: &Program,
    limits: Limits,
    scope: &dyn Scope,
    run: impl for<'a> FnOnce(&Eval<'a>, &'a Program) -> Outcome<T>,
) -> Result<T, RenderError> {
    let arena = Arena::default();
    let eval = Eval::new(scope, &arena, Budget::new(limits));
    run(&eval, program).map_err(|stop| failure(stop, &program.source, String::new()))
}
