//! Whole strings to programs: text, `{{ ... }}` and the few `{% ... %}` blocks.
//!
//! The blocks are `if`, `for`, `set` and `raw`. There is deliberately no `include`, `import`, `extends` or `macro`: a
//! string of a step's input is complete in itself.

use super::ast::{Body, Expr, For, Program, Stmt};
use super::lex::{self, SyntaxFault, Until};
use super::parse::{Parser, References};

type Parsed<T> = Result<T, SyntaxFault>;

/// Whether a string holds any markup at all.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Compiles a string that may mix text and markup.
pub(super) fn template(source: &str, references: &mut References) -> Parsed<Program> {
    let mut reader = Reader {
        parser: Parser::new(source, references),
        at: 0,
        trim: false,
        scope: 0,
    };
    let mut body = reader.block(&[])?.0;
    let slots = reader.parser.slots;
    let whole = body.len() == 1 && source.starts_with("{{") && source.ends_with("}}");
    let body = match body.pop() {
        Some(Stmt::Emit(expr)) if whole => Body::Value(expr),
        last => Body::Text(body.into_iter().chain(last).collect()),
    };
    Ok(Program {
        source: source.into(),
        body,
        slots,
    })
}

/// Compiles an expression, bare or as the single `{{ ... }}` of a string.
pub(super) fn expression(source: &str, references: &mut References) -> Parsed<Program> {
    let source = source.trim();
    if source.starts_with("{{") {
        let program = template(source, references)?;
        return match program.body {
            Body::Value(_) => Ok(program),
            Body::Text(_) => Err(SyntaxFault::new(
                0,
                "text around `{{ }}` where one expression is expected",
            )),
        };
    }
    let mut region = lex::region(source, 0, Until::Input)?;
    let mut parser = Parser::new(source, references);
    parser.load(&mut region);
    let body = Body::Value(parser.whole_expression()?);
    Ok(Program {
        source: source.into(),
        body,
        slots: parser.slots,
    })
}

struct Reader<'s, 'r> {
    parser: Parser<'s, 'r>,
    at: usize,
    /// The markup before ended with a dash: white space after it is dropped.
    trim: bool,
    /// Where the locals of the innermost loop begin; `set` inside it leaves those outside alone.
    scope: usize,
}

impl<'s> Reader<'s, '_> {
    /// Reads statements up to one of the tags in `ends`, or to the end of the source when there are none.
    fn block(&mut self, ends: &[&str]) -> Parsed<(Vec<Stmt>, &'s str)> {
        let source = self.parser.source;
        let mut body = Vec::new();
        loop {
            let rest = &source[self.at..];
            let Some(open) = next_markup(rest) else {
                self.raw(rest, false, &mut body);
                self.at = source.len();
                return match ends {
                    [] => Ok((body, "")),
                    _ => Err(SyntaxFault::new(
                        source.len(),
                        format!("`{{% {} %}}` is missing", ends.join(" or ")),
                    )),
                };
            };
            let dashed = rest[open + 2..].starts_with('-');
            self.raw(&rest[..open], dashed, &mut body);
            let tag_at = self.at + open;
            let inside = tag_at + 2 + usize::from(dashed);
            if rest[open..].starts_with("{{") {
                self.enter(inside, Until::Emit)?;
                body.push(match self.parser.secret()? {
                    Some(name) => Stmt::Secret(name),
                    None => Stmt::Emit(self.parser.whole_expression()?),
                });
                continue;
            }
            self.enter(inside, Until::Tag)?;
            let (tag, _) = self.parser.name("the name of a block")?;
            if ends.contains(&tag) {
                return Ok((body, tag));
            }
            body.push(self.statement(tag, tag_at)?);
        }
    }

    fn enter(&mut self, inside: usize, until: Until) -> Parsed<()> {
        let mut region = lex::region(self.parser.source, inside, until)?;
        self.parser.load(&mut region);
        self.at = region.end;
        self.trim = region.trim_after;
        Ok(())
    }

    fn raw(&mut self, text: &str, trim_end: bool, body: &mut Vec<Stmt>) {
        let text = if std::mem::take(&mut self.trim) {
            text.trim_start()
        } else {
            text
        };
        let text = if trim_end { text.trim_end() } else { text };
        if !text.is_empty() {
            body.push(Stmt::Raw(text.into()));
        }
    }

    fn statement(&mut self, tag: &str, at: usize) -> Parsed<Stmt> {
        match tag {
            "if" => self.nested(Self::if_block),
            "for" => self.nested(Self::for_block),
            "set" => self.set(),
            "raw" => self.verbatim(at),
            "elif" | "else" | "endif" | "endfor" | "endraw" => {
                Err(SyntaxFault::new(at, format!("`{{% {tag} %}}` closes nothing here")))
            }
            _ => Err(SyntaxFault::new(
                at,
                format!("`{{% {tag} %}}` is not known; there are if, for, set and raw"),
            )),
        }
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Parsed<Stmt>) -> Parsed<Stmt> {
        self.parser.deeper()?;
        let parsed = parse(self)?;
        self.parser.depth -= 1;
        Ok(parsed)
    }

    fn if_block(&mut self) -> Parsed<Stmt> {
        let mut branches = Vec::new();
        loop {
            let condition = self.parser.whole_expression()?;
            let (body, end) = self.block(&["elif", "else", "endif"])?;
            branches.push((condition, body));
            if end == "elif" {
                continue;
            }
            self.parser.finish()?;
            let otherwise = if end == "else" {
                self.close("endif")?
            } else {
                Vec::new()
            };
            return Ok(Stmt::If { branches, otherwise });
        }
    }

    fn for_block(&mut self) -> Parsed<Stmt> {
        let mut names = vec![self.parser.name("the name of the loop variable")?.0];
        while self.parser.eat(",") {
            names.push(self.parser.name("the name of the loop variable")?.0);
        }
        self.parser.expect_name("in")?;
        let iterable = self.parser.any()?;
        let visible = self.parser.locals.len();
        let outer = std::mem::replace(&mut self.scope, visible);
        let first = self.parser.slots;
        let targets = names.into_iter().map(|name| self.declare(name)).collect();
        let loop_slot = self.declare("loop");
        let filter = if self.parser.eat_name("if") {
            Some(self.parser.any()?)
        } else {
            None
        };
        self.parser.finish()?;
        let (body, end) = self.block(&["else", "endfor"])?;
        self.parser.finish()?;
        let scope = first..self.parser.slots;
        self.parser.locals.truncate(visible);
        self.scope = outer;
        let otherwise = if end == "else" {
            self.close("endfor")?
        } else {
            Vec::new()
        };
        Ok(Stmt::For(Box::new(For {
            targets,
            loop_slot,
            iterable,
            filter,
            body,
            otherwise,
            scope,
        })))
    }

    fn close(&mut self, end: &str) -> Parsed<Vec<Stmt>> {
        let (body, _) = self.block(&[end])?;
        self.parser.finish()?;
        Ok(body)
    }

    fn set(&mut self) -> Parsed<Stmt> {
        let (name, _) = self.parser.name("the name of the variable")?;
        self.parser.expect("=")?;
        // The value is read first: in `{% set x = x ~ 'a' %}` the right side is the outer `x`.
        let value: Expr = self.parser.whole_expression()?;
        Ok(Stmt::Set(self.declare(name), value))
    }

    fn declare(&mut self, name: &'s str) -> usize {
        if let Some((_, slot)) = self.parser.locals[self.scope..]
            .iter()
            .find(|(local, _)| *local == name)
        {
            return *slot;
        }
        let slot = self.parser.slots;
        self.parser.slots += 1;
        self.parser.locals.push((name, slot));
        slot
    }

    fn verbatim(&mut self, at: usize) -> Parsed<Stmt> {
        self.parser.finish()?;
        let rest = &self.parser.source[self.at..];
        for (open, _) in rest.match_indices("{%") {
            let inside = &rest[open + 2..];
            let Some(close) = inside.find("%}") else { break };
            let tag = &inside[..close];
            if tag.trim_matches('-').trim() == "endraw" {
                let text = if self.trim {
                    rest[..open].trim_start()
                } else {
                    &rest[..open]
                };
                let text = if tag.starts_with('-') { text.trim_end() } else { text };
                self.trim = tag.ends_with('-');
                self.at += open + 2 + close + 2;
                return Ok(Stmt::Raw(text.into()));
            }
        }
        Err(SyntaxFault::new(at, "`{% endraw %}` is missing"))
    }
}

fn next_markup(text: &str) -> Option<usize> {
    let opens = |at: &usize| matches!(text.as_bytes().get(at + 1), Some(b'{' | b'%'));
    text.match_indices('{').map(|(at, _)| at).find(opens)
}
