//! Tokens to expressions, by recursive descent.
//!
//! Precedence, loosest first, as in Jinja: `a if c else b`, `or`, `and`, `not`, comparisons, `+ -`, `~`, `* / // %`,
//! `**`, unary `-`, then postfixes. Whatever the author nests passes through [`Parser::expression`], which counts
//! depth; whatever he repeats is read by a loop. So no input can exhaust the stack.

mod cursor;
mod postfix;

use std::collections::BTreeSet;

use super::ast::{Choice, CompareOp, Const, Expr, MathOp, Span};
use super::lex::{Region, SyntaxFault, Token};
use super::secret;

/// How deep brackets and blocks may nest. Real templates stay in single digits.
pub(super) const MAX_NESTING: usize = 32;

/// Names that a template reads from outside.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Step keys that are spelled out.
    pub steps: BTreeSet<String>,
    /// Other top-level names.
    pub roots: BTreeSet<String>,
    /// `steps` is also used in a way that only a run can resolve.
    pub dynamic_steps: bool,
    /// Names of secrets; `None` where none may be named.
    pub secrets: Option<BTreeSet<String>>,
}

impl References {
    /// Of a text that is sent, and may therefore name secrets.
    pub fn of_sent() -> Self {
        Self {
            secrets: Some(BTreeSet::new()),
            ..Self::default()
        }
    }
}

pub(super) struct Parser<'s, 'r> {
    pub source: &'s str,
    tokens: Vec<(Token<'s>, Span)>,
    next: usize,
    /// Where the loaded region begins.
    start: usize,
    pub depth: usize,
    /// Visible local variables, innermost last.
    pub locals: Vec<(&'s str, usize)>,
    pub slots: usize,
    references: &'r mut References,
}

type Parsed<T> = Result<T, SyntaxFault>;

impl<'s, 'r> Parser<'s, 'r> {
    pub fn new(source: &'s str, references: &'r mut References) -> Self {
        Self {
            source,
            tokens: Vec::new(),
            next: 0,
            start: 0,
            depth: 0,
            locals: Vec::new(),
            slots: 0,
            references,
        }
    }

    /// Turns to the tokens of the next region.
    pub fn load(&mut self, region: &mut Region<'s>) {
        self.tokens = std::mem::take(&mut region.tokens);
        self.next = 0;
        self.start = region.start;
    }

    pub fn tokens(&self) -> &[(Token<'s>, Span)] {
        &self.tokens
    }

    pub fn may_send_secrets(&self) -> bool {
        self.references.secrets.is_some()
    }

    pub fn note_secret(&mut self, name: &str) {
        if let Some(secrets) = &mut self.references.secrets {
            secrets.insert(name.to_owned());
        }
    }

    /// Parses all loaded tokens as one expression.
    pub fn whole_expression(&mut self) -> Parsed<Expr> {
        let expr = self.expression()?;
        self.finish()?;
        Ok(expr)
    }

    pub fn finish(&self) -> Parsed<()> {
        match self.tokens.get(self.next) {
            None => Ok(()),
            Some((token, span)) => Err(SyntaxFault::new(span.start, format!("unexpected {}", token.describe()))),
        }
    }

    /// Counts one level of nesting; the caller takes it back when it is through.
    pub fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(SyntaxFault::new(
                self.here(),
                format!("nested deeper than {MAX_NESTING} levels"),
            ));
        }
        Ok(())
    }

    pub fn expression(&mut self) -> Parsed<Expr> {
        self.deeper()?;
        let mut expr = self.any()?;
        if self.eat_name("if") {
            let test = self.any()?;
            let otherwise = if self.eat_name("else") {
                self.expression()?
            } else {
                Expr::Const(Const::Null)
            };
            expr = Expr::If(Box::new(Choice {
                test,
                then: expr,
                otherwise,
            }));
        }
        self.depth -= 1;
        Ok(expr)
    }

    /// An expression without a trailing `if`, for places where `if` means something else.
    pub fn any(&mut self) -> Parsed<Expr> {
        self.run_of(Self::all, |parser| parser.eat_name("or"), Expr::Any)
    }

    fn all(&mut self) -> Parsed<Expr> {
        self.run_of(Self::not, |parser| parser.eat_name("and"), Expr::All)
    }

    fn not(&mut self) -> Parsed<Expr> {
        let mut count = 0usize;
        while self.eat_name("not") {
            count += 1;
        }
        let inner = self.compare()?;
        Ok(match count {
            0 => inner,
            _ if count % 2 == 1 => Expr::Not(Box::new(inner)),
            _ => Expr::Not(Box::new(Expr::Not(Box::new(inner)))),
        })
    }

    fn compare(&mut self) -> Parsed<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        while let Some(op) = self.compare_op()? {
            rest.push((op, self.sum()?));
        }
        Ok(if rest.is_empty() {
            first
        } else {
            Expr::Compare(Box::new(first), rest)
        })
    }

    fn compare_op(&mut self) -> Parsed<Option<CompareOp>> {
        let op = match self.peek() {
            Some(Token::Sym("==")) => CompareOp::Eq,
            Some(Token::Sym("!=")) => CompareOp::Ne,
            Some(Token::Sym("<")) => CompareOp::Lt,
            Some(Token::Sym("<=")) => CompareOp::Le,
            Some(Token::Sym(">")) => CompareOp::Gt,
            Some(Token::Sym(">=")) => CompareOp::Ge,
            Some(Token::Name("in")) => CompareOp::In,
            Some(Token::Name("not")) => {
                self.next += 1;
                self.expect_name("in")?;
                return Ok(Some(CompareOp::NotIn));
            }
            _ => return Ok(None),
        };
        self.next += 1;
        Ok(Some(op))
    }

    fn sum(&mut self) -> Parsed<Expr> {
        self.math(Self::concat, &[("+", MathOp::Add), ("-", MathOp::Sub)])
    }

    fn concat(&mut self) -> Parsed<Expr> {
        self.run_of(Self::product, |parser| parser.eat("~"), Expr::Concat)
    }

    fn product(&mut self) -> Parsed<Expr> {
        const OPS: [(&str, MathOp); 4] = [
            ("*", MathOp::Mul),
            ("/", MathOp::Div),
            ("//", MathOp::FloorDiv),
            ("%", MathOp::Rem),
        ];
        self.math(Self::power, &OPS)
    }

    fn power(&mut self) -> Parsed<Expr> {
        self.math(Self::filtered, &[("**", MathOp::Pow)])
    }

    fn run_of(
        &mut self,
        operand: fn(&mut Self) -> Parsed<Expr>,
        again: fn(&mut Self) -> bool,
        build: fn(Vec<Expr>) -> Expr,
    ) -> Parsed<Expr> {
        let first = operand(self)?;
        if !again(self) {
            return Ok(first);
        }
        let mut parts = vec![first, operand(self)?];
        while again(self) {
            parts.push(operand(self)?);
        }
        Ok(build(parts))
    }

    fn math(&mut self, operand: fn(&mut Self) -> Parsed<Expr>, ops: &[(&'static str, MathOp)]) -> Parsed<Expr> {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some((_, op)) = ops.iter().copied().find(|(symbol, _)| self.eat(symbol)) {
            rest.push((op, operand(self)?));
        }
        Ok(if rest.is_empty() {
            first
        } else {
            Expr::Math(Box::new(first), rest)
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let span = self.span();
        let Some(token) = self.advance() else {
            return Err(SyntaxFault::new(span.start, "an expression is missing"));
        };
        match token {
            Token::Text(text) => Ok(Expr::Const(Const::Text(text.into()))),
            Token::Int(value) => Ok(Expr::Const(Const::Int(value))),
            Token::Float(value) => Ok(Expr::Const(Const::Float(value))),
            Token::Name(name) => self.named(name, span),
            Token::Sym("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sym("[") => Ok(Expr::List(self.items("]", Self::expression)?)),
            Token::Sym("{") => Ok(Expr::Map(self.items("}", |parser| {
                let key = parser.expression()?;
                parser.expect(":")?;
                Ok((key, parser.expression()?))
            })?)),
            Token::Sym(_) => Err(SyntaxFault::new(span.start, format!("unexpected {}", token.describe()))),
        }
    }

    fn named(&mut self, name: &'s str, span: Span) -> Parsed<Expr> {
        Ok(match name {
            "true" | "True" => Expr::Const(Const::Bool(true)),
            "false" | "False" => Expr::Const(Const::Bool(false)),
            "none" | "None" | "null" => Expr::Const(Const::Null),
            "and" | "or" | "not" | "in" | "is" | "if" | "else" => {
                return Err(SyntaxFault::new(span.start, format!("unexpected `{name}`")));
            }
            secret::ROOT => {
                let message = if self.may_send_secrets() {
                    secret::NOT_ALONE
                } else {
                    secret::MISPLACED
                };
                return Err(SyntaxFault::new(span.start, message));
            }
            "range" if self.eat("(") => {
                let args = self.items(")", Self::expression)?;
                if !(1..=3).contains(&args.len()) {
                    return Err(SyntaxFault::new(span.start, "`range` takes one to three numbers"));
                }
                Expr::Range(args)
            }
            _ => {
                let slots: Vec<usize> = self
                    .locals
                    .iter()
                    .rev()
                    .filter(|(local, _)| *local == name)
                    .map(|(_, slot)| *slot)
                    .collect();
                if !slots.is_empty() {
                    return Ok(Expr::Local {
                        slots,
                        name: name.into(),
                        span,
                    });
                }
                if name == "steps" {
                    return Ok(Expr::Steps);
                }
                self.references.roots.insert(name.to_owned());
                Expr::Root {
                    name: name.into(),
                    span,
                }
            }
        })
    }

    /// Comma-separated items up to `close`; a trailing comma is fine.
    fn items<T>(&mut self, close: &'static str, item: fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(item(self)?);
            if !self.eat(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }
}
