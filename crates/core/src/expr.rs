//! The language of templates and conditions.
//!
//! A step's `input`, its `when` and its `for_each` may read the run: `{{ context.user.name }}`,
//! `steps.fetch.output.total > 100`. The language is a subset of Jinja's, known from Ansible and Airflow, evaluated
//! here by a small interpreter over borrowed JSON.
//!
//! # Templates
//!
//! A string that is exactly one `{{ expression }}` becomes the value of the expression, with its type: a number stays
//! a number, an object an object. A string with anything around it becomes text: strings as they are, null as nothing,
//! the rest as compact JSON. Keys of objects are never templates. Blocks:
//!
//! ```text
//! {% if context.urgent %}now{% elif context.n > 3 %}soon{% else %}later{% endif %}
//! {% for user in context.users if user.active %}{{ loop.index }}: {{ user.name }}{% else %}nobody{% endfor %}
//! {% for key, value in context.tags | items %}{{ key }}={{ value }};{% endfor %}
//! {% set greeting = 'Hello ' ~ context.name %}{{ greeting }}
//! {% raw %}{{ this stays }}{% endraw %}
//! ```
//!
//! A dash drops the white space on its side: `{%- if x -%}`. There are no comments: `{#` is plain text.
//!
//! # Expressions
//!
//! - Literals: `'text'`, `"text"`, `12`, `1.5`, `true`, `false`, `none`, `[1, 2]`, `{'a': 1}`, `range(3)`.
//! - Reading: `a.b`, `a['b']`, `a[0]`, `a.0`, `a[-1]`, `a[1:3]`.
//! - Operators, loosest first: `x if c else y`, `or`, `and`, `not`, `== != < <= > >= in not in`, `+ -`,
//!   `~` (joins as text), `* / // %`, `**`, unary `-`, then filters `x | upper` and tests `x is defined`.
//! - Filters: default (d), length (count), abs, round, int, float, bool, string, upper, lower, capitalize, trim,
//!   replace, split, lines, urlencode, tojson, fromjson, join, first, last, list, reverse, sort, unique, min, max, sum,
//!   map, select, reject, selectattr, rejectattr, keys, values, items.
//! - Tests: defined, undefined, none (null), true, false, boolean, number, integer, float, string, sequence, mapping,
//!   odd, even, divisibleby, startingwith, endingwith, eq (equalto), ne, lt (lessthan), le, gt (greaterthan), ge, in.
//!
//! What can be read: `steps.<key>.output`, `.status`, `.error`, `.code` (`steps['my step']` for keys that are no
//! names), and whatever other roots the [`Scope`] offers, such as `context`, `run`, `item`, `index`. An output that is
//! a string stays one; `steps.a.output | fromjson` parses it.
//!
//! `{{ secrets.NAME }}` (or `secrets['NAME']`), alone between its braces, stands for a secret of the namespace. Its value
//! is not rendered: whoever sends the text puts it in ([`Slot`]). It is known only where the input of a step is sent.
//!
//! A value that is not there is an error that names the expression, also as a condition: a typing mistake must not
//! quietly skip a step. `x is defined` and `x | default(y)` are the ways to allow for it, at any depth:
//! `context.a.b.c | default(0)`. Sorting and comparing tell upper from lower case.
//!
//! # Why an interpreter of its own
//!
//! Templates come from users, and run on the one thread that moves all runs, so the cost of every one must have a hard
//! bound. Engines with an instruction budget do not give that: one instruction may double a string, fold a constant of
//! gigabytes at compile time, or compare a megabyte; and unbounded `----1` overflows their parser's stack. Here every
//! operation is charged by the size of what it reads and makes, before it does so (`Budget`), nesting is counted by the
//! parser, and data of the run is never converted: a value is a pointer into the JSON that the run holds already.
//!
//! The same input always gives the same result: there is no clock, no randomness, no environment, no loading.

mod ast;
mod blocks;
mod budget;
mod checks;
mod condition;
mod eval;
mod filters;
mod lex;
mod ops;
mod output;
mod parse;
mod secret;
mod template;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

use serde_json::Value;

pub use condition::{Condition, Expression};
pub use secret::{MASK, MAX_SECRET_NAME, Rendered, Slot, is_secret_name};
pub use template::Template;

/// Bounds of one template. All sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest string with markup in it.
    pub source: usize,
    /// Longest condition or `for_each` expression.
    pub condition: usize,
    /// Operations per string: nodes evaluated, list elements walked, 64-byte pieces of text read or made.
    pub fuel: u64,
    /// Operations per render, over all its strings.
    pub total_fuel: u64,
    /// Longest string that a template may make, also on the way.
    pub text: usize,
    /// Everything that a render makes on the way.
    pub memory: usize,
    /// What the strings of one render may give together.
    pub output: usize,
    /// Deepest nesting of the template's JSON and of the result's.
    pub depth: usize,
}

impl Limits {
    /// What the product uses: the worst template takes about ten milliseconds and twenty megabytes.
    pub const DEFAULT: Self = Self {
        source: 16 * 1024,
        condition: 4 * 1024,
        fuel: 100_000,
        total_fuel: 300_000,
        text: 256 * 1024,
        memory: 16 * 1024 * 1024,
        output: 4 * 1024 * 1024,
        depth: 64,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Where names are looked up. Called at most once per name and render, and only for names that are reached.
pub trait Scope {
    /// The value of a top-level name other than `steps`; `None` makes it undefined.
    fn root(&self, name: &str) -> Option<Arc<Value>>;

    /// The step under this key; `None` makes it undefined.
    fn step(&self, key: &str) -> Option<StepView>;

    /// All step keys, in the plan's order. Asked for only by templates that walk `steps` itself.
    fn step_keys(&self) -> Vec<String>;
}

/// What a template sees of a step.
#[derive(Debug, Clone)]
pub struct StepView {
    /// Result of the step; null while there is none.
    pub output: Arc<Value>,
    /// Public name of the step's state.
    pub status: &'static str,
    /// What went wrong, if something did.
    pub error: Option<String>,
    /// Protocol status of the last attempt, for instance an HTTP code.
    pub code: Option<u16>,
}

/// A text is not in the language, or beyond the limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", prefix(path))]
pub struct CompileError {
    /// Where in the JSON value the string stands, such as `body.items[2]`; empty for the value itself.
    pub path: String,
    /// What is wrong, and at which place in the string.
    pub message: String,
}

/// A compiled text could not be evaluated in this scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault}", prefix(path))]
pub struct RenderError {
    /// Where in the JSON value the string stands, such as `body.items[2]`; empty for the value itself.
    pub path: String,
    /// What went wrong.
    pub fault: Fault,
}

/// Why an evaluation ended without a value. None of these goes away by trying again in the same scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The expression, as written, found nothing.
    #[error("`{0}` is undefined")]
    Undefined(String),
    /// It costs more than [`Limits`] allow.
    #[error("the template {0}")]
    Limit(String),
    /// An operation does not fit its operands.
    #[error("{0}")]
    Invalid(String),
}

fn prefix(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!("{path}: ")
    }
}
