//! Single expressions: conditions, and the list of a `for_each`.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::ast::Program;
use super::blocks;
use super::parse::References;
use super::template::{Names, alone, syntax, within};
use super::{CompileError, Limits, RenderError, Scope, Template};

struct Compiled {
    program: Program,
    limits: Limits,
    names: Names,
}

fn compile(source: &str, limits: &Limits) -> Result<Arc<Compiled>, CompileError> {
    let mut references = References::default();
    let text = source.trim();
    let program = within(text, limits.condition).and_then(|text| blocks::expression(text, &mut references));
    let program = program.map_err(|fault| syntax(fault, text, String::new()))?;
    Ok(Arc::new(Compiled {
        limits: *limits,
        program,
        names: references.into(),
    }))
}

/// A yes-or-no expression, compiled. Immutable and cheap to clone.
#[derive(Clone)]
pub struct Condition(Arc<Compiled>);

impl Condition {
    /// Compiles an expression, bare (`context.n > 3`) or wrapped (`{{ context.n > 3 }}`).
    pub fn compile(source: &str, limits: &Limits) -> Result<Self, CompileError> {
        compile(source, limits).map(Self)
    }

    /// Whether the expression is true in `scope`: empty, zero, false and null are false.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<bool, RenderError> {
        alone(&self.0.program, self.0.limits, scope, |eval, program| {
            eval.test(program)
        })
    }

    /// Keys of the steps that are read by name, sorted.
    pub fn references(&self) -> &[String] {
        &self.0.names.steps
    }

    /// Top-level names that are read, without `steps`, sorted.
    pub fn roots(&self) -> &[String] {
        &self.0.names.roots
    }

    /// The text that was compiled.
    pub fn source(&self) -> &str {
        &self.0.program.source
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.source()).finish()
    }
}

/// An expression that gives a value, or a literal list, compiled. Immutable and cheap to clone.
#[derive(Clone)]
pub struct Expression(Kind);

#[derive(Clone)]
enum Kind {
    Source(Arc<Compiled>),
    List(Template),
}

impl Expression {
    /// Compiles an expression, bare (`context.items`) or wrapped (`{{ context.items }}`).
    pub fn compile(source: &str, limits: &Limits) -> Result<Self, CompileError> {
        compile(source, limits).map(|compiled| Self(Kind::Source(compiled)))
    }

    /// Compiles what a `for_each` may be: a string with an expression, or an array whose strings may hold templates.
    pub fn compile_value(value: &Value, limits: &Limits) -> Result<Self, CompileError> {
        match value {
            Value::String(source) => Self::compile(source, limits),
            Value::Array(_) => Template::compile(value, limits).map(|list| Self(Kind::List(list))),
            _ => Err(CompileError {
                path: String::new(),
                message: "must be an expression or an array".to_owned(),
            }),
        }
    }

    /// The value of the expression in `scope`.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<Value, RenderError> {
        match &self.0 {
            Kind::Source(compiled) => alone(&compiled.program, compiled.limits, scope, |eval, program| {
                eval.render(program, 0)
            }),
            Kind::List(list) => list.render(scope),
        }
    }

    /// Keys of the steps that are read by name, sorted.
    pub fn references(&self) -> &[String] {
        match &self.0 {
            Kind::Source(compiled) => &compiled.names.steps,
            Kind::List(list) => list.references(),
        }
    }

    /// Top-level names that are read, without `steps`, sorted.
    pub fn roots(&self) -> &[String] {
        match &self.0 {
            Kind::Source(compiled) => &compiled.names.roots,
            Kind::List(list) => list.roots(),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Source(compiled) => f.debug_tuple("Expression").field(&compiled.program.source).finish(),
            Kind::List(list) => f.debug_tuple("Expression").field(list).finish(),
        }
    }
}
