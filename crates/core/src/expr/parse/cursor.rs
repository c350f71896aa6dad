//! Reading the tokens of a region one by one.

use super::super::ast::Span;
use super::super::lex::{SyntaxFault, Token};
use super::{Parsed, Parser};

impl<'s> Parser<'s, '_> {
    pub(in crate::expr) fn peek(&self) -> Option<&Token<'s>> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    pub(super) fn advance(&mut self) -> Option<Token<'s>> {
        let token = self.tokens.get(self.next).map(|(token, _)| token.clone());
        self.next += 1;
        token
    }

    pub(super) fn at(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token::Sym(found)) if *found == symbol)
    }

    pub(in crate::expr) fn eat(&mut self, symbol: &str) -> bool {
        let found = self.at(symbol);
        self.next += usize::from(found);
        found
    }

    pub(in crate::expr) fn eat_name(&mut self, name: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(found)) if *found == name);
        self.next += usize::from(found);
        found
    }

    pub(in crate::expr) fn expect(&mut self, symbol: &'static str) -> Parsed<()> {
        if self.eat(symbol) {
            Ok(())
        } else {
            Err(self.missing(symbol))
        }
    }

    pub(in crate::expr) fn expect_name(&mut self, name: &str) -> Parsed<()> {
        if self.eat_name(name) {
            Ok(())
        } else {
            Err(self.missing(name))
        }
    }

    pub(super) fn missing(&self, what: &str) -> SyntaxFault {
        let found = self.peek().map_or_else(|| "the end".to_owned(), Token::describe);
        SyntaxFault::new(self.here(), format!("expected `{what}`, found {found}"))
    }

    pub(in crate::expr) fn name(&mut self, what: &str) -> Parsed<(&'s str, Span)> {
        let span = self.span();
        match self.advance() {
            Some(Token::Name(name)) => Ok((name, span)),
            _ => Err(SyntaxFault::new(span.start, format!("{what} is missing"))),
        }
    }

    pub(super) fn span(&self) -> Span {
        let end = self.last_end();
        self.tokens
            .get(self.next)
            .map_or(Span { start: end, end }, |(_, span)| *span)
    }

    pub(in crate::expr) fn here(&self) -> usize {
        self.span().start
    }

    pub(super) fn last_end(&self) -> usize {
        self.next
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last))
            .map_or(self.start, |(_, span)| span.end)
    }

    pub(super) fn since(&self, start: usize) -> Span {
        Span {
            start,
            end: self.last_end(),
        }
    }
}
