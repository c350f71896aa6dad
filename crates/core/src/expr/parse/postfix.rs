//! What follows an operand: fields, indexes, filters, tests, and their arguments.
//!
//! Callees are looked up and their arguments bound to parameters here, so that a wrong name is a compile error.

use super::super::ast::{Args, Const, Expr, Link, LinkKind, Span};
use super::super::lex::{SyntaxFault, Token};
use super::super::{checks, filters};
use super::{Parsed, Parser};

impl Parser<'_, '_> {
    /// An operand with its filters and tests. These apply to the negated value: `-x | abs` is `(-x) | abs`.
    pub(super) fn filtered(&mut self) -> Parsed<Expr> {
        let start = self.here();
        let operand = self.operand()?;
        let mut links = Vec::new();
        loop {
            let kind = if self.eat("|") {
                let (name, at) = self.name("the name of a filter")?;
                let filter = filters::find(name)
                    .ok_or_else(|| SyntaxFault::new(at.start, format!("there is no filter `{name}`")))?;
                let args = if self.eat("(") {
                    self.args(name, filter.params)?
                } else {
                    no_args(filter.params)
                };
                require(name, at, filter.params, filter.required, &args)?;
                LinkKind::Filter(filter, args)
            } else if self.eat_name("is") {
                self.check()?
            } else {
                break;
            };
            links.push(Link {
                kind,
                span: self.since(start),
            });
        }
        Ok(chain(operand, links))
    }

    fn check(&mut self) -> Parsed<LinkKind> {
        let negated = self.eat_name("not");
        let (name, at) = self.name("the name of a test")?;
        let check =
            checks::find(name).ok_or_else(|| SyntaxFault::new(at.start, format!("there is no test `{name}`")))?;
        let mut args = no_args(check.params);
        if self.eat("(") {
            args = self.args(name, check.params)?;
        } else if self.starts_operand()
            && let Some(slot) = args.first_mut()
        {
            *slot = Some(self.operand()?);
        }
        require(name, at, check.params, check.params.len(), &args)?;
        Ok(LinkKind::Check { check, negated, args })
    }

    fn starts_operand(&self) -> bool {
        match self.peek() {
            Some(Token::Name(name)) => !matches!(*name, "and" | "or" | "not" | "else" | "if" | "is" | "in"),
            Some(Token::Text(_) | Token::Int(_) | Token::Float(_)) => true,
            Some(Token::Sym(symbol)) => matches!(*symbol, "[" | "{" | "-"),
            None => false,
        }
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let mut minuses = 0usize;
        while self.eat("-") {
            minuses += 1;
        }
        let inner = self.postfixed()?;
        Ok(match minuses {
            0 => inner,
            _ if minuses % 2 == 1 => Expr::Neg(Box::new(inner)),
            _ => Expr::Neg(Box::new(Expr::Neg(Box::new(inner)))),
        })
    }

    fn postfixed(&mut self) -> Parsed<Expr> {
        let start = self.here();
        let base = self.primary()?;
        let mut links = Vec::new();
        loop {
            let kind = if self.eat(".") {
                self.field()?
            } else if self.eat("[") {
                self.subscript()?
            } else if matches!(self.peek(), Some(Token::Sym("("))) {
                let what = self.source[start..self.last_end()].trim_end();
                let message = format!("`{what}` cannot be called; `range(...)` is the only function, try a filter");
                return Err(SyntaxFault::new(self.here(), message));
            } else {
                break;
            };
            links.push(Link {
                kind,
                span: self.since(start),
            });
        }
        if matches!(base, Expr::Steps) {
            match links.first().map(|link| &link.kind) {
                Some(LinkKind::Field(key) | LinkKind::Index(Expr::Const(Const::Text(key)))) => {
                    self.references.steps.insert(key.to_string());
                }
                _ => self.references.dynamic_steps = true,
            }
        }
        Ok(chain(base, links))
    }

    fn field(&mut self) -> Parsed<LinkKind> {
        let at = self.here();
        match self.advance() {
            Some(Token::Name(name)) => Ok(LinkKind::Field(name.into())),
            Some(Token::Int(index)) => Ok(LinkKind::Index(Expr::Const(Const::Int(index)))),
            _ => Err(SyntaxFault::new(at, "a name or an index must follow `.`")),
        }
    }

    fn subscript(&mut self) -> Parsed<LinkKind> {
        let start = if self.at(":") { None } else { Some(self.expression()?) };
        if self.eat(":") {
            let stop = if self.at("]") { None } else { Some(self.expression()?) };
            self.expect("]")?;
            return Ok(LinkKind::Slice(start, stop));
        }
        self.expect("]")?;
        start
            .map(LinkKind::Index)
            .ok_or_else(|| SyntaxFault::new(self.here(), "an index is missing"))
    }

    fn args(&mut self, callee: &str, params: &[&str]) -> Parsed<Args> {
        let mut args = no_args(params);
        let mut positional = 0;
        while !self.eat(")") {
            let at = self.here();
            let named = match (self.peek(), self.tokens.get(self.next + 1)) {
                (Some(Token::Name(name)), Some((Token::Sym("="), _))) => Some(*name),
                _ => None,
            };
            let index = match named {
                Some(name) => {
                    self.next += 2;
                    params.iter().position(|param| *param == name)
                }
                None => {
                    positional += 1;
                    Some(positional - 1)
                }
            };
            let slot = index
                .and_then(|index| args.get_mut(index))
                .filter(|slot| slot.is_none());
            let slot = slot.ok_or_else(|| {
                let known = if params.is_empty() {
                    "no arguments".to_owned()
                } else {
                    params.join(", ")
                };
                SyntaxFault::new(at, format!("`{callee}` does not take this argument; it takes {known}"))
            })?;
            *slot = Some(self.expression()?);
            if !self.eat(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(args)
    }
}

fn no_args(params: &[&str]) -> Args {
    params.iter().map(|_| None).collect()
}

fn require(name: &str, at: Span, params: &[&str], required: usize, args: &Args) -> Parsed<()> {
    match args.iter().take(required).position(Option::is_none) {
        None => Ok(()),
        Some(missing) => Err(SyntaxFault::new(
            at.start,
            format!("`{name}` needs its argument `{}`", params[missing]),
        )),
    }
}

/// Appends to an existing chain instead of nesting one inside the other.
fn chain(base: Expr, mut links: Vec<Link>) -> Expr {
    if links.is_empty() {
        return base;
    }
    match base {
        Expr::Chain(base, mut first) => {
            first.append(&mut links);
            Expr::Chain(base, first)
        }
        base => Expr::Chain(Box::new(base), links),
    }
}
