//! Places in a store.

use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::plan::Digest;

use super::Kind;
use super::canonical::{Decoder, Encoder};
use crate::error::StoreError;

/// A place in the walk over a store: behind the record with this key, or before all records of a kind. Cursors are in
/// the order of the walk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cursor {
    /// By digest.
    Plans(Option<Digest>),
    /// By namespace and id.
    Workflows(Option<(Arc<str>, Arc<str>)>),
    /// By namespace, id and version.
    Versions(Option<(Arc<str>, Arc<str>, u32)>),
    /// By id.
    Runs(Option<RunId>),
    /// By run and sequence number.
    History(Option<(RunId, u64)>),
    /// By run and step.
    Queue(Option<(RunId, u32)>),
    /// By namespace, scope and key.
    Keys(Option<(Arc<str>, Arc<str>, Arc<str>)>),
    /// By number.
    Messages(Option<i64>),
    /// By run and step.
    Steps(Option<(RunId, u32)>),
    /// By run, step and attempt.
    Letters(Option<(RunId, u32, u32)>),
    /// By namespace, kind and id.
    Documents(Option<(Arc<str>, Arc<str>, Arc<str>)>),
    /// Everything is behind it.
    End,
}

impl Cursor {
    /// Before the first record of a kind.
    pub const fn start(kind: Kind) -> Self {
        match kind {
            Kind::Plans => Self::Plans(None),
            Kind::Workflows => Self::Workflows(None),
            Kind::Versions => Self::Versions(None),
            Kind::Runs => Self::Runs(None),
            Kind::History => Self::History(None),
            Kind::Queue => Self::Queue(None),
            Kind::Keys => Self::Keys(None),
            Kind::Messages => Self::Messages(None),
            Kind::Steps => Self::Steps(None),
            Kind::Letters => Self::Letters(None),
            Kind::Documents => Self::Documents(None),
        }
    }

    /// Of the records that come next; the last one at the end.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Plans(_) => Kind::Plans,
            Self::Workflows(_) => Kind::Workflows,
            Self::Versions(_) => Kind::Versions,
            Self::Runs(_) => Kind::Runs,
            Self::History(_) => Kind::History,
            Self::Queue(_) => Kind::Queue,
            Self::Keys(_) => Kind::Keys,
            Self::Messages(_) => Kind::Messages,
            Self::Steps(_) => Kind::Steps,
            Self::Letters(_) => Kind::Letters,
            Self::Documents(_) | Self::End => Kind::Documents,
        }
    }

    /// For the target to keep.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.number(if *self == Self::End {
            Kind::ALL.len() as i64
        } else {
            self.kind() as i64
        });
        match self {
            Self::Plans(key) => out.option(key.as_ref(), |out, key| out.bytes(&key.0)),
            Self::Workflows(key) => out.option(key.as_ref(), |out, (namespace, id)| {
                out.text(namespace);
                out.text(id);
            }),
            Self::Versions(key) => out.option(key.as_ref(), |out, (namespace, id, version)| {
                out.text(namespace);
                out.text(id);
                out.number((*version).into());
            }),
            Self::Runs(key) => out.option(key.as_ref(), |out, run| out.bytes(&run.to_bytes())),
            Self::History(key) => out.option(key.as_ref(), |out, (run, seq)| {
                out.bytes(&run.to_bytes());
                out.number(seq.cast_signed());
            }),
            Self::Queue(key) | Self::Steps(key) => out.option(key.as_ref(), |out, (run, node)| {
                out.bytes(&run.to_bytes());
                out.number((*node).into());
            }),
            Self::Keys(key) | Self::Documents(key) => out.option(key.as_ref(), |out, (namespace, within, name)| {
                out.text(namespace);
                out.text(within);
                out.text(name);
            }),
            Self::Letters(key) => out.option(key.as_ref(), |out, (run, node, attempt)| {
                out.bytes(&run.to_bytes());
                out.number((*node).into());
                out.number((*attempt).into());
            }),
            Self::Messages(key) => out.option(key.as_ref(), |out, id| out.number(*id)),
            Self::End => {}
        }
        out.into_bytes()
    }

    /// Reads [`Cursor::to_bytes`] back.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the bytes are not from there.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut bytes = Decoder::new(bytes);
        Self::read(&mut bytes)
            .filter(|_| bytes.is_at_end())
            .ok_or_else(|| StoreError::Corrupt("the place where a move stopped cannot be read".to_owned()))
    }

    fn read(from: &mut Decoder<'_>) -> Option<Self> {
        let number = usize::try_from(from.number()?).ok()?;
        let Some(kind) = Kind::ALL.get(number) else {
            return (number == Kind::ALL.len()).then_some(Self::End);
        };
        let run = |from: &mut Decoder<'_>| Some(RunId::from_bytes(from.bytes()?.try_into().ok()?));
        let small = |from: &mut Decoder<'_>| u32::try_from(from.number()?).ok();
        Some(match kind {
            Kind::Plans => Self::Plans(from.option(|from| Some(Digest(from.bytes()?.try_into().ok()?)))?),
            Kind::Workflows => Self::Workflows(from.option(|from| Some((from.text()?, from.text()?)))?),
            Kind::Versions => Self::Versions(from.option(|from| Some((from.text()?, from.text()?, small(from)?)))?),
            Kind::Runs => Self::Runs(from.option(run)?),
            Kind::History => Self::History(from.option(|from| Some((run(from)?, from.number()?.cast_unsigned())))?),
            Kind::Queue => Self::Queue(from.option(|from| Some((run(from)?, small(from)?)))?),
            Kind::Keys => Self::Keys(from.option(|from| Some((from.text()?, from.text()?, from.text()?)))?),
            Kind::Messages => Self::Messages(from.option(Decoder::number)?),
            Kind::Steps => Self::Steps(from.option(|from| Some((run(from)?, small(from)?)))?),
            Kind::Letters => Self::Letters(from.option(|from| Some((run(from)?, small(from)?, small(from)?)))?),
            Kind::Documents => Self::Documents(from.option(|from| Some((from.text()?, from.text()?, from.text()?)))?),
        })
    }
}

/// The key, as people know it.
impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plans(Some(digest)) => write!(f, "{digest}"),
            Self::Workflows(Some((namespace, id))) => write!(f, "{namespace}/{id}"),
            Self::Versions(Some((namespace, id, version))) => write!(f, "{namespace}/{id} version {version}"),
            Self::Runs(Some(run)) => write!(f, "{run}"),
            Self::History(Some((run, seq))) => write!(f, "{run} entry {seq}"),
            Self::Queue(Some((run, node))) | Self::Steps(Some((run, node))) => write!(f, "{run} step {node}"),
            Self::Keys(Some((namespace, scope, key))) => write!(f, "{namespace}/{scope}/{key}"),
            Self::Messages(Some(id)) => write!(f, "message {id}"),
            Self::Letters(Some((run, node, attempt))) => write!(f, "{run} step {node} attempt {attempt}"),
            Self::Documents(Some((namespace, kind, id))) => write!(f, "{namespace}/{kind}/{id}"),
            Self::End => write!(f, "the end"),
            start => write!(f, "the first of the {}", start.kind().as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<Cursor> {
        let run = RunId::from_bits(7 << 90);
        let mut all: Vec<Cursor> = Kind::ALL.map(Cursor::start).into();
        all.extend([
            Cursor::Plans(Some(Digest([9; 32]))),
            Cursor::Workflows(Some(("a".into(), "b\0".into()))),
            Cursor::Versions(Some(("".into(), "b".into(), u32::MAX))),
            Cursor::Runs(Some(run)),
            Cursor::History(Some((run, 3))),
            Cursor::Queue(Some((run, 4))),
            Cursor::Keys(Some(("a".into(), "b".into(), "ü".into()))),
            Cursor::Messages(Some(-1)),
            Cursor::Steps(Some((run, u32::MAX))),
            Cursor::Letters(Some((run, 0, 5))),
            Cursor::Documents(Some(("a".into(), "".into(), "\0".into()))),
            Cursor::End,
        ]);
        all
    }

    #[test]
    fn every_place_is_read_back_as_it_was_written() {
        for cursor in examples() {
            assert_eq!(Cursor::from_bytes(&cursor.to_bytes()).unwrap(), cursor);
        }
    }

    #[test]
    fn bytes_that_are_no_place_are_damage() {
        for cursor in examples() {
            let mut bytes = cursor.to_bytes();
            assert!(Cursor::from_bytes(&bytes[..bytes.len() - 1]).is_err(), "{cursor}");
            bytes.push(0);
            assert!(Cursor::from_bytes(&bytes).is_err(), "{cursor}");
        }
        let beyond = Kind::ALL.len() as i64 + 1;
        assert!(Cursor::from_bytes(&beyond.to_be_bytes()).is_err());
    }

    #[test]
    fn places_are_in_the_order_of_the_walk() {
        let of_kinds: Vec<Cursor> = Kind::ALL.map(Cursor::start).into_iter().chain([Cursor::End]).collect();
        assert!(of_kinds.is_sorted());
        assert!(Cursor::start(Kind::Runs) < Cursor::Runs(Some(RunId::from_bits(0))));
        assert!(Cursor::Runs(Some(RunId::from_bits(u128::MAX))) < Cursor::start(Kind::History));
    }
}
