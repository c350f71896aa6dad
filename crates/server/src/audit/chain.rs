//! How entries hang together: each holds the hash of the one before it, and a hash over all of its own fields.
//!
//! The hash is SHA-256 over the entry without its `hash`, in one form of JSON: keys in the order of their bytes, no white
//! space, text as JSON escapes it. It is taken over whatever fields there are, so that a newer entry with further fields is
//! checked by an older program, and a field that somebody adds is found.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Where a chain ends: the number of its last entry and that one's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// From 1; 0 before the first entry.
    pub seq: u64,
    /// 64 hexadecimal digits.
    pub hash: String,
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It is no entry at all.
    #[error("after entry {0} comes something that is no entry")]
    Unreadable(u64),
    /// Entries were taken out, put in, or moved.
    #[error("after entry {after} comes entry {found}")]
    Gap {
        /// The last good one.
        after: u64,
        /// What came then.
        found: u64,
    },
    /// The entry is not what was written.
    #[error("entry {0} was changed after it was written")]
    Changed(u64),
    /// It was written after another entry than the one that is there.
    #[error("entry {0} does not follow the entry before it, which was replaced")]
    Unlinked(u64),
    /// The end is missing, or was replaced.
    #[error("the chain ends with entry {found}, and should end with entry {expected} ({hash})")]
    WrongEnd {
        /// The last good one.
        found: u64,
        /// What was noted as the last one.
        expected: u64,
        /// That one's hash.
        hash: String,
    },
    /// An entry is not the one that was noted elsewhere.
    #[error("entry {0} is not the one that was noted: the chain was written anew")]
    Rewritten(u64),
}

impl Link {
    /// Before the first entry.
    pub fn origin() -> Self {
        let (seq, hash) = (0, "0".repeat(64));
        Self { seq, hash }
    }

    /// Reads `SEQ:HASH`.
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, hash) = text.split_once(':')?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hash.then_some(())?;
        Some(Self {
            seq: seq.parse().ok()?,
            hash: hash.to_owned(),
        })
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

/// Puts an entry at the end of a chain; gives its text and the new end.
pub(super) fn seal(mut entry: Map<String, Value>, end: &Link) -> (String, Link) {
    let seq = end.seq + 1;
    entry.insert("seq".to_owned(), seq.into());
    entry.insert("previous".to_owned(), end.hash.as_str().into());
    let hash = digest(&entry);
    entry.insert("hash".to_owned(), hash.as_str().into());
    let mut text = String::new();
    write_object(&entry, None, &mut text);
    (text, Link { seq, hash })
}

/// The hash of an entry, over everything but the hash that it holds.
fn digest(entry: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_object(entry, Some("hash"), &mut text);
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn write_object(object: &Map<String, Value>, without: Option<&str>, out: &mut String) {
    let mut fields: Vec<_> = object.iter().filter(|(key, _)| Some(key.as_str()) != without).collect();
    fields.sort_unstable_by_key(|(key, _)| *key);
    out.push('{');
    for (nth, (key, value)) in fields.into_iter().enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        let _ = write!(out, "{comma}{}:", Value::from(key.as_str()));
        write_value(value, out);
    }
    out.push('}');
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => write_object(object, None, out),
        Value::Array(items) => {
            out.push('[');
            for (nth, item) in items.iter().enumerate() {
                out.push_str(if nth > 0 { "," } else { "" });
                write_value(item, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

/// Walks along a chain, entry by entry, in their order.
#[derive(Debug)]
pub struct Verifier {
    end: Option<Link>,
    /// What was noted elsewhere.
    anchor: Option<Link>,
    count: u64,
}

impl Verifier {
    /// From the first entry on.
    pub fn from_start(anchor: Option<Link>) -> Self {
        Self {
            end: Some(Link::origin()),
            anchor,
            count: 0,
        }
    }

    /// From whichever entry comes first: a part of a chain.
    pub fn from_anywhere(anchor: Option<Link>) -> Self {
        Self {
            end: None,
            anchor,
            count: 0,
        }
    }

    /// The next entry.
    pub fn check(&mut self, text: &str) -> Result<(), Broken> {
        let after = self.end.as_ref().map_or(0, |end| end.seq);
        let unreadable = || Broken::Unreadable(after);
        let value: Value = serde_json::from_str(text).map_err(|_| unreadable())?;
        let entry = value.as_object().ok_or_else(unreadable)?;
        let seq = entry.get("seq").and_then(Value::as_u64).ok_or_else(unreadable)?;
        let said = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        if let Some(end) = &self.end
            && seq != end.seq + 1
        {
            return Err(Broken::Gap { after, found: seq });
        }
        let hash = digest(entry);
        if said("hash") != hash {
            return Err(Broken::Changed(seq));
        }
        if self.end.as_ref().is_some_and(|end| said("previous") != end.hash) {
            return Err(Broken::Unlinked(seq));
        }
        if self
            .anchor
            .as_ref()
            .is_some_and(|anchor| anchor.seq == seq && anchor.hash != hash)
        {
            return Err(Broken::Rewritten(seq));
        }
        self.end = Some(Link { seq, hash });
        self.count += 1;
        Ok(())
    }

    /// That was all: the chain must end no sooner than what was noted, and exactly at `head` where that is known.
    pub fn finish(self, head: Option<&Link>) -> Result<(u64, Link), Broken> {
        let end = self.end.unwrap_or_else(Link::origin);
        let wrong = |expected: &Link| Broken::WrongEnd {
            found: end.seq,
            expected: expected.seq,
            hash: expected.hash.clone(),
        };
        if let Some(head) = head
            && *head != end
        {
            return Err(wrong(head));
        }
        if let Some(anchor) = &self.anchor
            && anchor.seq > end.seq
        {
            return Err(wrong(anchor));
        }
        Ok((self.count, end))
    }

    /// The last good entry.
    pub fn end(&self) -> u64 {
        self.end.as_ref().map_or(0, |end| end.seq)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain(number: usize) -> Vec<String> {
        let mut end = Link::origin();
        let entries = (0..number).map(|nth| {
            let entry = json!({ "action": format!("do \"{nth}\" \u{e9}"), "object": { "id": nth, "a": [1, null] } });
            let (text, next) = seal(entry.as_object().cloned().unwrap(), &end);
            end = next;
            text
        });
        entries.collect()
    }

    fn verdict(entries: &[String]) -> Result<(u64, Link), Broken> {
        let mut verifier = Verifier::from_start(None);
        for entry in entries {
            verifier.check(entry)?;
        }
        verifier.finish(None)
    }

    #[test]
    fn a_chain_as_it_was_written_is_whole() {
        let (count, end) = verdict(&chain(5)).unwrap();
        assert_eq!((count, end.seq), (5, 5));
        assert_eq!(Link::parse(&end.to_string()), Some(end));
        for wrong in [
            "",
            "5",
            "5:abc",
            &format!("x:{}", "0".repeat(64)),
            &format!("5:{}", "G".repeat(64)),
        ] {
            assert_eq!(Link::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn whatever_is_done_to_a_chain_is_found_where_it_was_done() {
        let whole = chain(5);
        let changed = |nth: usize, change: &dyn Fn(&mut Value)| {
            let mut entries = whole.clone();
            let mut value: Value = serde_json::from_str(&entries[nth]).unwrap();
            change(&mut value);
            entries[nth] = value.to_string();
            verdict(&entries).unwrap_err()
        };
        assert_eq!(
            changed(2, &|entry| entry["action"] = "nothing".into()),
            Broken::Changed(3)
        );
        assert_eq!(
            changed(2, &|entry| entry["object"]["id"] = 9.into()),
            Broken::Changed(3)
        );
        assert_eq!(changed(2, &|entry| entry["more"] = 9.into()), Broken::Changed(3));
        assert_eq!(
            changed(2, &|entry| entry["seq"] = 9.into()),
            Broken::Gap { after: 2, found: 9 }
        );
        assert_eq!(changed(2, &|entry| entry["hash"] = Value::Null), Broken::Changed(3));
        let forged = changed(2, &|entry| {
            let mut forged = entry.as_object().cloned().unwrap();
            forged.insert("action".to_owned(), "nothing".into());
            let previous = forged["previous"].as_str().unwrap().to_owned();
            let text = seal(forged, &Link { seq: 2, hash: previous }).0;
            *entry = serde_json::from_str(&text).unwrap();
        });
        assert_eq!(
            forged,
            Broken::Unlinked(4),
            "a new hash is not the one that the next entry knows"
        );
        let without = |nth: usize| [&whole[..nth], &whole[nth + 1..]].concat();
        assert_eq!(verdict(&without(2)), Err(Broken::Gap { after: 2, found: 4 }));
        assert_eq!(verdict(&without(0)), Err(Broken::Gap { after: 0, found: 2 }));
        let mut swapped = whole.clone();
        swapped.swap(1, 2);
        assert_eq!(verdict(&swapped), Err(Broken::Gap { after: 1, found: 3 }));
        assert_eq!(verdict(&["no entry".to_owned()]), Err(Broken::Unreadable(0)));
    }

    #[test]
    fn an_end_that_is_missing_and_a_chain_that_was_written_anew_are_found_by_what_was_noted() {
        let whole = chain(5);
        let end = verdict(&whole).unwrap().1;
        let walk = |entries: &[String], anchor: Option<Link>, head: Option<&Link>| {
            let mut verifier = Verifier::from_start(anchor);
            entries.iter().try_for_each(|entry| verifier.check(entry))?;
            verifier.finish(head).map(|(count, _)| count)
        };
        assert_eq!(walk(&whole, Some(end.clone()), Some(&end)), Ok(5));
        let wrong_end = |found| Broken::WrongEnd {
            found,
            expected: 5,
            hash: end.hash.clone(),
        };
        assert_eq!(walk(&whole[..4], None, Some(&end)), Err(wrong_end(4)));
        assert_eq!(walk(&whole[..4], Some(end.clone()), None), Err(wrong_end(4)));
        let noted = Link {
            seq: 3,
            hash: "f".repeat(64),
        };
        assert_eq!(walk(&whole, Some(noted), None), Err(Broken::Rewritten(3)));
    }

    #[test]
    fn a_part_of_a_chain_is_checked_from_where_it_begins() {
        let whole = chain(5);
        let mut verifier = Verifier::from_anywhere(None);
        whole[2..].iter().try_for_each(|entry| verifier.check(entry)).unwrap();
        assert_eq!(verifier.finish(None).unwrap().0, 3);
    }

    #[test]
    fn the_form_that_is_hashed_does_not_depend_on_the_order_of_fields() {
        let one = json!({ "b": 1, "a": { "d": "x", "c": [true] } });
        let other = json!({ "a": { "c": [true], "d": "x" }, "b": 1 });
        let hash = |value: &Value| digest(value.as_object().unwrap());
        assert_eq!(hash(&one), hash(&other));
        // By `printf '{"a":{"c":[true],"d":"x"},"b":1}' | sha256sum`.
        let mut text = String::new();
        write_object(one.as_object().unwrap(), None, &mut text);
        assert_eq!(text, r#"{"a":{"c":[true],"d":"x"},"b":1}"#);
    }
}
