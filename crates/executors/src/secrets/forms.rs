//! The forms in which a value comes back: as it is, encoded, or inside of something that is encoded.
//!
//! Encodings that change every sign (base64, hex) are made of the value beforehand and searched for. Encodings that
//! leave signs as they are where they can (percent signs, backslashes, entities) are undone in the text, because there
//! are as many ways to write a value in them as it has signs.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shortest piece of base64 or hex that is searched for.
const MIN_ENCODED: usize = 8;
/// A word inside a value is a secret of its own from this length: the token behind `Bearer`.
const MIN_WORD: usize = 16;

/// Everything to be searched for because of one value.
pub(super) fn needles(value: &str) -> Vec<Vec<u8>> {
    let mut parts = vec![value];
    parts.extend(
        value
            .split_whitespace()
            .filter(|word| word.len() >= MIN_WORD && *word != value),
    );
    let mut needles = Vec::new();
    for part in parts {
        needles.push(part.as_bytes().to_vec());
        let encoded = (0..3).flat_map(|shift| base64_at(part.as_bytes(), shift));
        let hex = [
            hex(part.as_bytes(), b"0123456789abcdef"),
            hex(part.as_bytes(), b"0123456789ABCDEF"),
        ];
        needles.extend(encoded.chain(hex).filter(|needle| needle.len() >= MIN_ENCODED));
    }
    needles.sort();
    needles.dedup();
    needles
}

/// The signs of base64 that depend on the value alone when `shift` bytes stand before it.
fn base64_at(value: &[u8], shift: usize) -> [Vec<u8>; 2] {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(value);
    // The first sign that holds nothing of what stands before, and the last that holds nothing of what follows.
    let (first, last) = ((shift * 8).div_ceil(6), bytes.len() * 8 / 6);
    [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)]
        .map(|text| text.as_bytes().get(first..last).unwrap_or_default().to_vec())
}

fn hex(value: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    let pair = |byte: &u8| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]];
    value.iter().flat_map(pair).collect()
}

/// A text with an encoding undone: its bytes, and where in the text each began. One more start ends the last.
pub(super) struct Undone {
    pub bytes: Vec<u8>,
    pub starts: Vec<u32>,
}

/// What an encoded sign stands for: percent signs spell bytes and not characters.
enum Sign {
    Byte(u8),
    Char(char),
}

/// Reads one encoded sign at the beginning of a text: what it stands for, and how many bytes it takes.
type Read = fn(&[u8]) -> Option<(Sign, usize)>;

/// The readings of a text that differ from the text itself.
pub(super) fn undone(text: &[u8]) -> impl Iterator<Item = Undone> {
    let readings: [(u8, Read); 4] = [(b'%', percent), (b'+', plus), (b'\\', backslash), (b'&', entity)];
    readings
        .into_iter()
        .filter(|(sign, _)| text.contains(sign))
        .map(|(_, read)| undo(text, read))
}

fn undo(text: &[u8], read: Read) -> Undone {
    let mut undone = Undone {
        bytes: Vec::with_capacity(text.len()),
        starts: Vec::with_capacity(text.len() + 1),
    };
    let mut at = 0;
    while at < text.len() {
        let before = undone.bytes.len();
        let length = match read(&text[at..]) {
            Some((Sign::Byte(byte), length)) => {
                undone.bytes.push(byte);
                length
            }
            Some((Sign::Char(sign), length)) => {
                undone.bytes.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
                length
            }
            None => {
                undone.bytes.push(text[at]);
                1
            }
        };
        undone.starts.extend((before..undone.bytes.len()).map(|_| at as u32));
        at += length;
    }
    undone.starts.push(text.len() as u32);
    undone
}

fn percent(text: &[u8]) -> Option<(Sign, usize)> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |sign: &u8| char::from(*sign).to_digit(16);
    Some((Sign::Byte((digit(high)? * 16 + digit(low)?) as u8), 3))
}

/// As forms write it: a plus for a space, and percent signs.
fn plus(text: &[u8]) -> Option<(Sign, usize)> {
    match text {
        [b'+', ..] => Some((Sign::Byte(b' '), 1)),
        _ => percent(text),
    }
}

fn backslash(text: &[u8]) -> Option<(Sign, usize)> {
    let [b'\\', sign, rest @ ..] = text else { return None };
    let plain = match sign {
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'"' | b'\\' | b'/' | b'\'' => char::from(*sign),
        b'u' => return escaped(rest),
        _ => return None,
    };
    Some((Sign::Char(plain), 2))
}

/// What follows `\u`: one code, or two for what lies beyond 16 bits.
fn escaped(rest: &[u8]) -> Option<(Sign, usize)> {
    let first = code(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).map(|sign| (Sign::Char(sign), 6));
    }
    let second = rest.get(4..)?.strip_prefix(b"\\u").and_then(code)?;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + low).map(|sign| (Sign::Char(sign), 12))
}

fn code(text: &[u8]) -> Option<u32> {
    let digits = text
        .get(..4)
        .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn entity(text: &[u8]) -> Option<(Sign, usize)> {
    let rest = text.strip_prefix(b"&")?;
    let end = rest.iter().take(10).position(|sign| *sign == b';')?;
    let name = std::str::from_utf8(&rest[..end]).ok()?;
    let sign = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((Sign::Char(sign), end + 2))
}
