//! A Rust file taken apart: its code without comments and literals, and its string literals without the code.
//!
//! Rules that search for words need this, or a comment that explains a ban would break it. Both views keep every line
//! where it was, so that a hit in a view has the line number of the file. It is not a parser: it knows comments, all
//! string forms and character literals, which is what it takes not to be misled by a quote.

/// The two views; what does not belong to one is spaces there.
pub struct Views {
    pub code: String,
    pub strings: String,
}

/// Takes a file apart.
pub fn split(text: &str) -> Views {
    let mut cursor = Cursor {
        text: text.as_bytes(),
        at: 0,
        code: Vec::new(),
        strings: Vec::new(),
    };
    while let Some(byte) = cursor.peek(0) {
        match byte {
            b'/' if cursor.peek(1) == Some(b'/') => cursor.line_comment(),
            b'/' if cursor.peek(1) == Some(b'*') => cursor.block_comment(),
            b'"' => cursor.string(),
            b'r' | b'b' | b'c' if cursor.starts_word() => cursor.prefixed(),
            b'\'' => cursor.quote(),
            _ => cursor.take(View::Code, 1),
        }
    }
    Views {
        code: String::from_utf8_lossy(&cursor.code).into_owned(),
        strings: String::from_utf8_lossy(&cursor.strings).into_owned(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Code,
    Strings,
    Neither,
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    code: Vec<u8>,
    strings: Vec<u8>,
}

impl Cursor<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    /// Moves on, keeping the bytes in one view; line ends stay in both.
    fn take(&mut self, view: View, count: usize) {
        let end = (self.at + count).min(self.text.len());
        for &byte in &self.text[self.at..end] {
            let blank = if byte == b'\n' { b'\n' } else { b' ' };
            self.code.push(if view == View::Code { byte } else { blank });
            self.strings.push(if view == View::Strings { byte } else { blank });
        }
        self.at = end;
    }

    /// Whether the byte here is not in the middle of a name.
    fn starts_word(&self) -> bool {
        self.at == 0 || !is_name(self.text[self.at - 1])
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.take(View::Neither, 1);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.text.len() {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => depth += 1,
                (Some(b'*'), Some(b'/')) => depth -= 1,
                _ => {
                    self.take(View::Neither, 1);
                    continue;
                }
            }
            self.take(View::Neither, 2);
            if depth == 0 {
                return;
            }
        }
    }

    /// `"..."`, with escapes.
    fn string(&mut self) {
        self.take(View::Code, 1);
        while let Some(byte) = self.peek(0) {
            match byte {
                b'"' => return self.take(View::Code, 1),
                b'\\' => self.take(View::Strings, 2),
                _ => self.take(View::Strings, 1),
            }
        }
    }

    /// `r"..."`, `br#"..."#`, `b"..."`, `c"..."`, or a name that begins with one of these letters.
    fn prefixed(&mut self) {
        let mut ahead = 1;
        while ahead < 2 && matches!(self.peek(ahead), Some(b'r')) {
            ahead += 1;
        }
        let raw = self.peek(ahead - 1) == Some(b'r');
        let mut hashes = 0;
        while raw && self.peek(ahead + hashes) == Some(b'#') {
            hashes += 1;
        }
        if self.peek(ahead + hashes) != Some(b'"') {
            // A name, a byte character or a raw identifier: what follows is looked at by itself.
            return self.take(View::Code, 1);
        }
        self.take(View::Code, ahead + hashes);
        if !raw {
            return self.string();
        }
        self.take(View::Code, 1);
        let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
        while self.at < self.text.len() && !self.text[self.at..].starts_with(&close) {
            self.take(View::Strings, 1);
        }
        self.take(View::Code, close.len());
    }

    /// A character, or the start of a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == Some(b'\\') {
            self.take(View::Neither, 3);
            while self.peek(0).is_some_and(|byte| byte != b'\'' && byte != b'\n') {
                self.take(View::Neither, 1);
            }
            return self.take(View::Neither, 1);
        }
        let width = match self.peek(1) {
            Some(byte) if byte >= 0xf0 => 4,
            Some(byte) if byte >= 0xe0 => 3,
            Some(byte) if byte >= 0xc0 => 2,
            _ => 1,
        };
        if self.peek(1 + width) == Some(b'\'') {
            self.take(View::Neither, width + 2)
        } else {
            self.take(View::Code, 1)
        }
    }
}

/// Whether a byte can be part of a name.
pub fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        split(text).code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn strings(text: &str) -> String {
        split(text).strings.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_belong_to_neither_view() {
        let text = "a(); // one \"x\"\n/* two /* nested */ \"y\" */ b();";
        assert_eq!(code(text), "a(); b();");
        assert_eq!(strings(text), "");
    }

    #[test]
    fn every_form_of_string_is_taken_out_of_the_code() {
        let text = r##"f("one \" two", r"three\", r#"fo"ur"#, b"five", br#"six"#, c"seven"); g()"##;
        assert_eq!(code(text), r##"f(" ", r" ", r#" "#, b" ", br#" "#, c" "); g()"##);
        assert_eq!(strings(text), "one \\\" two three\\ fo\"ur five six seven");
    }

    #[test]
    fn a_quote_character_does_not_open_a_string() {
        assert_eq!(
            code("if c == '\"' || c == b'\\'' { now() } // x"),
            "if c == || c == b { now() }"
        );
        assert_eq!(
            code("fn f<'a>(x: &'a str, y: 'é') -> &'static str { now() }")
                .matches("now()")
                .count(),
            1
        );
    }

    #[test]
    fn names_that_begin_like_a_prefix_stay_names() {
        assert_eq!(
            code("for r in rows { b = r#type; br(c) }"),
            "for r in rows { b = r#type; br(c) }"
        );
        assert_eq!(strings("bar\"x\""), "x");
    }

    #[test]
    fn lines_stay_where_they_were() {
        let text = "a\n\"b\nc\"\n/* d\n*/ e";
        let views = split(text);
        assert_eq!(views.code.lines().count(), 5);
        assert_eq!(views.strings.lines().nth(2), Some("c "));
        assert_eq!(views.code.lines().nth(4), Some("   e"));
    }
}
