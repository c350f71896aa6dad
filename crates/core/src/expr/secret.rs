//! Secrets in templates: named, never rendered.
//!
//! `{{ secrets.NAME }}` leaves [`MASK`] in the text and notes beside the rendered value where it stands: which string,
//! at which byte, and whose value belongs there. Only whoever sends the text looks the value up, and puts it in place
//! of the mask ([`Slot`]). So the value is never part of anything that is evaluated, stored or shown.
//!
//! The places are noted by the renderer and by nothing else. Data of a run that holds the mask, the name of a secret
//! or a whole `{{ secrets.NAME }}` stays the data that it is: nothing is ever searched for in a rendered text.
//!
//! For the same reason no expression can read a secret: a filter or a comparison would turn it into data. The only
//! form is the whole of a `{{ }}`, in a template that was compiled as one that is sent
//! ([`Template::compile_sent`](super::Template::compile_sent)).

use std::sync::Arc;

use serde_json::Value;

use super::lex::{SyntaxFault, Token};
use super::parse::Parser;
use super::template::Path;

/// What stands in a rendered text where the value of a secret is to stand.
pub const MASK: &str = "***";

/// The name that stands for all secrets of the namespace.
pub(super) const ROOT: &str = "secrets";

/// Longest name of a secret, in bytes.
pub const MAX_SECRET_NAME: usize = 128;

/// Most secrets in one rendered input.
pub const MAX_SLOTS: usize = 256;

/// The place of a secret in a rendered value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The string that it stands in, as a JSON pointer.
    pub pointer: Arc<str>,
    /// The byte in that string at which [`MASK`] begins.
    pub at: usize,
    /// Whose value belongs there.
    pub name: Arc<str>,
}

/// A value, and the places in it where secrets belong.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The value, with [`MASK`] in those places.
    pub value: Value,
    /// The places, in the order of the template; those of one string with rising offsets.
    pub secrets: Vec<Slot>,
}

/// Whether a secret may have this name.
pub fn is_secret_name(name: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_SECRET_NAME).contains(&name.len()) && name.bytes().all(is_known)
}

/// The string at a place, as a JSON pointer.
pub(super) fn pointer(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Key(parent, key) => format!("{}/{}", pointer(parent), key.replace('~', "~0").replace('/', "~1")),
        Path::Index(parent, index) => format!("{}/{index}", pointer(parent)),
    }
}

impl Parser<'_, '_> {
    /// The name of a secret, when that is all that the loaded tokens say.
    pub(super) fn secret(&mut self) -> Result<Option<Box<str>>, SyntaxFault> {
        let (name, at) = match self.tokens() {
            [(Token::Name(ROOT), _), (Token::Sym("."), _), (Token::Name(name), at)] => (*name, at.start),
            [
                (Token::Name(ROOT), _),
                (Token::Sym("["), _),
                (Token::Text(name), at),
                (Token::Sym("]"), _),
            ] => (name.as_str(), at.start),
            _ => return Ok(None),
        };
        let name: Box<str> = name.into();
        if !self.may_send_secrets() {
            return Err(SyntaxFault::new(at, MISPLACED));
        }
        if !is_secret_name(&name) {
            let message = format!("a secret's name has 1 to {MAX_SECRET_NAME} of the signs A-Z a-z 0-9 _ - and .");
            return Err(SyntaxFault::new(at, message));
        }
        self.note_secret(&name);
        Ok(Some(name))
    }
}

/// Why `secrets` is refused where nothing is sent.
pub(super) const MISPLACED: &str = "`secrets` can be read in the input of a step that sends it, and nowhere else";

/// Why `secrets` is refused as a part of an expression.
pub(super) const NOT_ALONE: &str = "a secret can only stand alone, as `{{ secrets.NAME }}` or `{{ secrets['NAME'] }}`: \
                                    no filter, operator or block sees its value";
