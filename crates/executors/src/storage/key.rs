//! Object keys that are safe to hand to any backend, and file names that are safe inside of one.
//!
//! Keys come from workers' callbacks and from URLs. In a bucket of a service, `..` is a name like any other; in a local
//! folder it is the way out, and a proxy on the way may decode `%2e%2e%2f` once more than expected. So a key is refused
//! when it would climb under any number of decodings, on every backend alike: what is accepted does not depend on where
//! the objects happen to lie today.

use std::fmt;
use std::sync::Arc;

/// What S3 and GCS take.
const MAX_BYTES: usize = 1024;
/// Rounds of percent-decoding that are looked through. A key that changes even then is not worth its risk.
const MAX_DECODINGS: usize = 4;
/// Bytes of an uploaded file's name; file systems take 255, and a staged file needs some of them.
const MAX_NAME_BYTES: usize = 200;

/// A checked object key: relative, without empty, `.` or `..` segments, backslashes or control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

/// Why a text is no object key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// Longer than backends take.
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Begins with a slash.
    #[error("it begins with /")]
    Absolute,
    /// Two slashes in a row, or one at the end.
    #[error("it has an empty segment")]
    EmptySegment,
    /// `.` or `..`, plain or percent-encoded.
    #[error("it has a segment . or ..")]
    DotSegment,
    /// `\`, plain or percent-encoded, which some systems take for a slash.
    #[error("it has a backslash")]
    Backslash,
    /// NUL and its like, plain or percent-encoded.
    #[error("it has a control character")]
    Control,
    /// Percent-encoded over and over.
    #[error("it is percent-encoded too many times")]
    Encoded,
    /// Only in a local folder: a part of the way is a link, or no folder, or the object is no plain file.
    #[error("it does not lead to a plain file by plain folders")]
    NotPlain,
    /// Only in a local folder: a name is too long for the file system.
    #[error("a segment is too long for the file system")]
    SegmentTooLong,
}

impl Key {
    /// Checks a text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(KeyError::TooLong);
        }
        if !text.starts_with('/') && text.split('/').any(str::is_empty) {
            return Err(KeyError::EmptySegment);
        }
        let mut form = text.as_bytes().to_vec();
        for _ in 0..MAX_DECODINGS {
            check_form(&form)?;
            let decoded = percent_decode(&form);
            if decoded == form {
                return Ok(Self(text.into()));
            }
            form = decoded;
        }
        Err(KeyError::Encoded)
    }

    /// The key as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments, of which there is at least one.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

fn check_form(form: &[u8]) -> Result<(), KeyError> {
    if form.starts_with(b"/") {
        return Err(KeyError::Absolute);
    }
    if form.contains(&b'\\') {
        return Err(KeyError::Backslash);
    }
    if form.iter().any(u8::is_ascii_control) || String::from_utf8_lossy(form).chars().any(char::is_control) {
        return Err(KeyError::Control);
    }
    if form
        .split(|byte| *byte == b'/')
        .any(|segment| segment == b"." || segment == b"..")
    {
        return Err(KeyError::DotSegment);
    }
    Ok(())
}

/// Decodes once; what only looks encoded stays as it is.
fn percent_decode(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// A name for an uploaded file, fit to be one segment of a key, as near to what the uploader called it as is safe.
/// Folders before the name are dropped, whichever way they are written.
pub fn file_name(uploaded_as: &str) -> String {
    let last = uploaded_as.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe: String = last
        .chars()
        .map(|letter| if is_plain(letter) { letter } else { '_' })
        .collect();
    let safe = safe.trim_matches(|letter: char| letter == '.' || letter.is_whitespace());
    match shorten(safe) {
        name if name.is_empty() => "file".to_owned(),
        name => name,
    }
}

/// Not what shells, URLs, file systems or Windows give a meaning to, and not what makes a name read as another.
fn is_plain(letter: char) -> bool {
    let has_meaning = matches!(
        letter,
        ':' | '*' | '?' | '"' | '<' | '>' | '|' | '%' | '#' | '&' | '$' | '`' | '\'' | ';'
    );
    let is_invisible =
        matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    !letter.is_control() && !has_meaning && !is_invisible
}

/// Cuts a name that is too long, before its ending.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    let ending = name.rfind('.').map_or("", |dot| &name[dot..]);
    let ending = if ending.len() <= 20 { ending } else { "" };
    let mut cut = MAX_NAME_BYTES - ending.len();
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{ending}", &name[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_workers_are_taken_as_they_are() {
        for key in [
            "a",
            "runs/trun_0/output.json",
            "runs/trun_0~2/assets/my file (1).txt",
            "temp-uploads/tmp_-_/résumé.pdf",
            "a/..b/c..",
            "a/.hidden",
            "100%/50%zz",
            "a%20b/c%2Fd",
        ] {
            assert_eq!(Key::parse(key).map(|key| key.to_string()), Ok(key.to_owned()));
        }
        let segments: Vec<_> = Key::parse("a/b/c").unwrap().segments().map(str::to_owned).collect();
        assert_eq!(segments, ["a", "b", "c"]);
    }

    #[test]
    fn keys_that_could_lead_out_are_refused_with_the_reason() {
        for (key, reason) in [
            ("", KeyError::Empty),
            ("/etc/passwd", KeyError::Absolute),
            ("//etc/passwd", KeyError::Absolute),
            ("%2fetc/passwd", KeyError::Absolute),
            ("..", KeyError::DotSegment),
            ("a/../b", KeyError::DotSegment),
            ("./a", KeyError::DotSegment),
            ("a/.", KeyError::DotSegment),
            ("..%2f..%2fetc%2fhostname", KeyError::DotSegment),
            ("a/%2e%2e/b", KeyError::DotSegment),
            ("a/.%2E/b", KeyError::DotSegment),
            ("a/%252e%252e/b", KeyError::DotSegment),
            ("a/%25252e./b", KeyError::DotSegment),
            ("a%25252525252fb", KeyError::Encoded),
            ("..\\..\\boot.ini", KeyError::Backslash),
            ("a%5c..%5cb", KeyError::Backslash),
            ("a\0b", KeyError::Control),
            ("a%00b", KeyError::Control),
            ("a\nb", KeyError::Control),
            ("a\u{85}b", KeyError::Control),
            ("a//b", KeyError::EmptySegment),
            ("a/", KeyError::EmptySegment),
        ] {
            assert_eq!(Key::parse(key), Err(reason), "{key:?}");
        }
        assert!(Key::parse(&"x".repeat(1024)).is_ok());
        assert_eq!(Key::parse(&"x".repeat(1025)), Err(KeyError::TooLong));
    }

    #[test]
    fn names_of_uploads_become_one_harmless_segment() {
        for (uploaded_as, name) in [
            ("report.pdf", "report.pdf"),
            ("résumé 2.pdf", "résumé 2.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\a.txt", "a.txt"),
            ("..%2f..%2fx", "_2f.._2fx"),
            (".bashrc", "bashrc"),
            ("..", "file"),
            ("", "file"),
            ("a/", "file"),
            ("a\0b\n.txt", "a_b_.txt"),
            ("cod\u{202e}txt.exe", "cod_txt.exe"),
            ("<script>.html", "_script_.html"),
        ] {
            assert_eq!(file_name(uploaded_as), name, "{uploaded_as:?}");
            assert!(Key::parse(&format!("temp-uploads/tmp_x/{}", file_name(uploaded_as))).is_ok());
        }
    }

    #[test]
    fn a_long_name_is_cut_before_its_ending() {
        let name = file_name(&format!("{}.tar", "ü".repeat(300)));
        assert!(name.len() <= MAX_NAME_BYTES, "{}", name.len());
        assert!(name.ends_with("ü.tar"));
        assert_eq!(file_name(&"y".repeat(999)).len(), MAX_NAME_BYTES);
    }
}
