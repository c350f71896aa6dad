//! As much of DER as a public key needs: a tag, a length, and what is inside.

pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OBJECT_ID: u8 = 0x06;
pub const SEQUENCE: u8 = 0x30;

/// Values, one after the other.
pub struct Der<'a>(pub &'a [u8]);

impl<'a> Der<'a> {
    /// What is inside the next value, which must have this tag.
    pub fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (length, rest) = length(rest)?;
        if *found != tag || rest.len() < length {
            return None;
        }
        let (inside, after) = rest.split_at(length);
        self.0 = after;
        Some(inside)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A length in its shortest form, at most 65,535.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [short @ 0..=0x7F, rest @ ..] => Some((usize::from(*short), rest)),
        [0x81, one, rest @ ..] if *one >= 0x80 => Some((usize::from(*one), rest)),
        [0x82, high, low, rest @ ..] if *high > 0 => Some((usize::from(*high) << 8 | usize::from(*low), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_one_after_the_other_and_damage_is_noticed() {
        let mut der = Der(&[0x02, 0x01, 0x05, 0x03, 0x02, 0x00, 0xFF]);
        assert_eq!(der.value(INTEGER), Some(&[5][..]));
        assert_eq!(der.value(INTEGER), None, "another tag");
        assert_eq!(der.value(BIT_STRING), Some(&[0, 0xFF][..]));
        assert!(der.is_empty() && der.value(INTEGER).is_none());
        for damaged in [
            &[0x02][..],
            &[0x02, 0x02, 0x00],
            &[0x02, 0x80],
            &[0x02, 0x81, 0x7F],
            &[0x02, 0x82, 0x00, 0x80],
        ] {
            assert_eq!(Der(damaged).value(INTEGER), None, "{damaged:?}");
        }
        let long = [&[0x30, 0x82, 0x01, 0x00][..], &[7; 256]].concat();
        assert_eq!(Der(&long).value(SEQUENCE).map(<[u8]>::len), Some(256));
    }
}
