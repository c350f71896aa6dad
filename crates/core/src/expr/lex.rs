//! Source text to tokens, one `{{ ... }}` or `{% ... %}` at a time.
//!
//! Inside an expression, braces are counted, so `{{ {'a': {'b': 1}} }}` ends where its author meant it to.

use super::ast::Span;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'s> {
    Name(&'s str),
    Text(String),
    Int(i128),
    Float(f64),
    Sym(&'static str),
}

impl Token<'_> {
    pub fn describe(&self) -> String {
        match self {
            Token::Name(name) => format!("`{name}`"),
            Token::Text(_) => "a string".to_owned(),
            Token::Int(_) | Token::Float(_) => "a number".to_owned(),
            Token::Sym(symbol) => format!("`{symbol}`"),
        }
    }
}

/// What the source text did wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxFault {
    pub at: usize,
    pub message: String,
}

impl SyntaxFault {
    pub fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

/// What ends the region that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    Input,
    /// `}}`, optionally with a dash before it.
    Emit,
    /// `%}`, optionally with a dash before it.
    Tag,
}

/// The tokens of one region.
pub(super) struct Region<'s> {
    pub tokens: Vec<(Token<'s>, Span)>,
    pub start: usize,
    /// Offset of the first byte after the closer.
    pub end: usize,
    /// The closer had a dash: white space after it is dropped.
    pub trim_after: bool,
}

const SYMBOLS: [&str; 23] = [
    "==", "!=", "<=", ">=", "//", "**", "+", "-", "*", "/", "%", "~", "<", ">", "(", ")", "[", "]", ",", ":", ".", "|",
    "=",
];

/// Reads from `from` up to and including the closer.
pub(super) fn region(source: &str, from: usize, until: Until) -> Result<Region<'_>, SyntaxFault> {
    let closer = match until {
        Until::Input => None,
        Until::Emit => Some("}}"),
        Until::Tag => Some("%}"),
    };
    let mut tokens: Vec<(Token<'_>, Span)> = Vec::new();
    let (mut at, mut braces) = (from, 0usize);
    loop {
        let rest = &source[at..];
        let Some(first) = rest.chars().next() else {
            return match closer {
                None => Ok(Region {
                    tokens,
                    start: from,
                    end: at,
                    trim_after: false,
                }),
                Some(closer) => Err(SyntaxFault::new(from, format!("`{closer}` is missing"))),
            };
        };
        if let (0, Some(closer)) = (braces, closer) {
            let dashed = rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(closer));
            if dashed || rest.starts_with(closer) {
                return Ok(Region {
                    tokens,
                    start: from,
                    end: at + usize::from(dashed) + 2,
                    trim_after: dashed,
                });
            }
        }
        let after_dot = matches!(tokens.last(), Some((Token::Sym("."), _)));
        let (token, length) = match first {
            _ if first.is_whitespace() => {
                at += first.len_utf8();
                continue;
            }
            '{' => {
                braces += 1;
                (Token::Sym("{"), 1)
            }
            '}' => {
                braces = braces
                    .checked_sub(1)
                    .ok_or_else(|| SyntaxFault::new(at, "unexpected `}`"))?;
                (Token::Sym("}"), 1)
            }
            '\'' | '"' => text(source, at, first)?,
            '0'..='9' => number(source, at, after_dot)?,
            _ if first.is_alphabetic() || first == '_' => {
                let length = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                (Token::Name(&rest[..length]), length)
            }
            _ => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                Some(symbol) => (Token::Sym(symbol), symbol.len()),
                None => {
                    return Err(SyntaxFault::new(
                        at,
                        format!("unexpected character `{}`", first.escape_debug()),
                    ));
                }
            },
        };
        tokens.push((
            token,
            Span {
                start: at,
                end: at + length,
            },
        ));
        at += length;
    }
}

fn number(source: &str, at: usize, index_only: bool) -> Result<(Token<'_>, usize), SyntaxFault> {
    let bytes = &source.as_bytes()[at..];
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit() || **b == b'_')
            .count()
    };
    let mut length = digits(0);
    let mut float = false;
    // After a dot a number is a list index: `rows.0.1` is two steps, not a fraction.
    if !index_only {
        if bytes.get(length) == Some(&b'.') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit) {
            length += 1 + digits(length + 1);
            float = true;
        }
        if matches!(bytes.get(length), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
            if bytes.get(length + 1 + sign).is_some_and(u8::is_ascii_digit) {
                length += 1 + sign + digits(length + 1 + sign);
                float = true;
            }
        }
    }
    let digits: String = source[at..at + length].chars().filter(|c| *c != '_').collect();
    let out_of_range = || SyntaxFault::new(at, format!("number out of range: {digits}"));
    let token = if float {
        Token::Float(
            digits
                .parse()
                .ok()
                .filter(|value: &f64| value.is_finite())
                .ok_or_else(out_of_range)?,
        )
    } else {
        Token::Int(i128::from(digits.parse::<u64>().map_err(|_| out_of_range())?))
    };
    Ok((token, length))
}

fn text(source: &str, at: usize, quote: char) -> Result<(Token<'_>, usize), SyntaxFault> {
    let mut value = String::new();
    let mut chars = source[at + 1..].char_indices();
    while let Some((offset, c)) = chars.next() {
        if c == quote {
            return Ok((Token::Text(value), offset + 2));
        }
        if c != '\\' {
            value.push(c);
            continue;
        }
        let here = at + 1 + offset;
        let escaped = match chars.next().map(|(_, c)| c) {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some(c @ ('\\' | '\'' | '"' | '/')) => c,
            Some('u') => {
                let hex: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                let code = u32::from_str_radix(&hex, 16)
                    .ok()
                    .filter(|_| hex.len() == 4)
                    .and_then(char::from_u32);
                code.ok_or_else(|| SyntaxFault::new(here, "`\\u` needs four hexadecimal digits of a character"))?
            }
            Some(c) => {
                return Err(SyntaxFault::new(
                    here,
                    format!("unknown escape `\\{}`", c.escape_debug()),
                ));
            }
            None => break,
        };
        value.push(escaped);
    }
    Err(SyntaxFault::new(at, "the closing quote is missing"))
}
