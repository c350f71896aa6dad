//! What a template compiles to.
//!
//! Every left-associative run (`a ~ b ~ c`, `a + b - c`, `x.y[0] | f | g`) is one flat node, so the depth of a tree is
//! the depth of brackets that the author wrote, which the parser bounds. Evaluation and drop can therefore recurse.
//! Names of locals are resolved to slots and filters to table entries here, once, so a typo is found at compile time.

use std::ops::Range;

use super::checks::Check;
use super::filters::Filter;

/// A piece of the source text, for messages that quote what the author wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
}

/// One compiled string.
pub(super) struct Program {
    pub source: Box<str>,
    pub body: Body,
    /// Size of the frame that holds `{% set %}` and `{% for %}` variables.
    pub slots: usize,
}

/// A whole-string expression keeps its type; anything else renders to text.
pub(super) enum Body {
    Value(Expr),
    Text(Vec<Stmt>),
}

pub(super) enum Stmt {
    Raw(Box<str>),
    Emit(Expr),
    /// The place of this secret.
    Secret(Box<str>),
    If {
        branches: Vec<(Expr, Vec<Stmt>)>,
        otherwise: Vec<Stmt>,
    },
    For(Box<For>),
    Set(usize, Expr),
}

pub(super) struct For {
    pub targets: Vec<usize>,
    pub loop_slot: usize,
    pub iterable: Expr,
    pub filter: Option<Expr>,
    pub body: Vec<Stmt>,
    pub otherwise: Vec<Stmt>,
    /// Slots declared inside; forgotten before each round, since a round does not see the one before it.
    pub scope: Range<usize>,
}

pub(super) enum Expr {
    Const(Const),
    Root {
        name: Box<str>,
        span: Span,
    },
    Steps,
    /// The first of `slots` that was set; the root of that name when none was (a `set` in a branch not taken).
    Local {
        slots: Vec<usize>,
        name: Box<str>,
        span: Span,
    },
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Range(Vec<Expr>),
    Not(Box<Expr>),
    Neg(Box<Expr>),
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Concat(Vec<Expr>),
    Math(Box<Expr>, Vec<(MathOp, Expr)>),
    Compare(Box<Expr>, Vec<(CompareOp, Expr)>),
    If(Box<Choice>),
    Chain(Box<Expr>, Vec<Link>),
}

pub(super) struct Choice {
    pub test: Expr,
    pub then: Expr,
    pub otherwise: Expr,
}

pub(super) enum Const {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Box<str>),
}

/// One postfix: `.field`, `[index]`, `| filter`, `is test`.
pub(super) struct Link {
    pub kind: LinkKind,
    /// From the start of the chain to the end of this link.
    pub span: Span,
}

pub(super) enum LinkKind {
    Field(Box<str>),
    Index(Expr),
    Slice(Option<Expr>, Option<Expr>),
    Filter(&'static Filter, Args),
    Check {
        check: &'static Check,
        negated: bool,
        args: Args,
    },
}

/// Arguments in the order of the callee's parameters; `None` where the author gave none.
pub(super) type Args = Vec<Option<Expr>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MathOp {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Pow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}
