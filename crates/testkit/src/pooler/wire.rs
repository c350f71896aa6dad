//! As much of PostgreSQL's protocol 3.0 as a pooler must understand: where a message ends, and what begins a session.

use std::io::{Error, ErrorKind, Read, Result};

/// Longer messages are taken for a broken stream.
const LONGEST: usize = 256 * 1024 * 1024;

const PROTOCOL_3_0: u32 = 3 << 16;
const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// What names a session to those who want to cancel its query: process id and secret.
pub(super) type Key = (u32, u32);

/// A message in its wire form.
#[derive(Debug, Clone)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    pub fn new(kind: u8, payload: &[u8]) -> Self {
        let mut bytes = vec![kind];
        bytes.extend(length(payload.len() + 4));
        bytes.extend(payload);
        Self { bytes }
    }

    pub fn read(from: &mut impl Read) -> Result<Self> {
        let mut head = [0; 5];
        from.read_exact(&mut head)?;
        let payload = read_payload(from, u32::from_be_bytes([head[1], head[2], head[3], head[4]]))?;
        Ok(Self::new(head[0], &payload))
    }

    pub fn kind(&self) -> u8 {
        self.bytes[0]
    }

    pub fn payload(&self) -> &[u8] {
        &self.bytes[5..]
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Ends the session with a reason.
    pub fn fatal(code: &str, text: &str) -> Self {
        let mut payload = Vec::new();
        for (field, value) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', code), (b'M', text)] {
            payload.push(field);
            payload.extend(value.as_bytes());
            payload.push(0);
        }
        payload.push(0);
        Self::new(b'E', &payload)
    }

    /// Tells a session its key.
    pub fn key((process, secret): Key) -> Self {
        Self::new(b'K', &[process.to_be_bytes(), secret.to_be_bytes()].concat())
    }

    /// The key in a message that tells it.
    pub fn told_key(&self) -> Option<Key> {
        parse_key(self.payload())
    }
}

/// How a client introduces itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Introduction {
    /// Asks for encryption first.
    Encryption,
    /// Wants another session's query cancelled.
    Cancel(Key),
    /// Names and values.
    Startup(Vec<(String, String)>),
}

/// Reads what comes before the first ordinary message.
pub(super) fn read_introduction(from: &mut impl Read) -> Result<Introduction> {
    let mut head = [0; 4];
    from.read_exact(&mut head)?;
    let packet = read_payload(from, u32::from_be_bytes(head))?;
    let broken = || Error::new(ErrorKind::InvalidData, "no introduction of protocol 3.0");
    let (code, rest) = packet.split_first_chunk::<4>().ok_or_else(broken)?;
    match u32::from_be_bytes(*code) {
        TLS | GSS => Ok(Introduction::Encryption),
        CANCEL => parse_key(rest).map(Introduction::Cancel).ok_or_else(broken),
        PROTOCOL_3_0 => {
            let words: Vec<String> = rest
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            let pairs = words.chunks_exact(2).take_while(|pair| !pair[0].is_empty());
            Ok(Introduction::Startup(
                pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
            ))
        }
        _ => Err(broken()),
    }
}

/// Asks a server for a session.
pub(super) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut payload = PROTOCOL_3_0.to_be_bytes().to_vec();
    for (name, value) in parameters {
        for word in [name, value] {
            payload.extend(word.as_bytes());
            payload.push(0);
        }
    }
    payload.push(0);
    [&length(payload.len() + 4), payload.as_slice()].concat()
}

/// Asks a server to cancel the query of a session.
pub(super) fn cancel((process, secret): Key) -> Vec<u8> {
    [16, CANCEL, process, secret].map(u32::to_be_bytes).concat()
}

fn parse_key(bytes: &[u8]) -> Option<Key> {
    let (process, rest) = bytes.split_first_chunk::<4>()?;
    let (secret, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*process), u32::from_be_bytes(*secret)))
}

/// `length` counts itself.
fn read_payload(from: &mut impl Read, length: u32) -> Result<Vec<u8>> {
    let size = (length as usize).checked_sub(4).filter(|size| *size <= LONGEST);
    let mut payload = vec![0; size.ok_or_else(|| Error::new(ErrorKind::InvalidData, "no length of a message"))?];
    from.read_exact(&mut payload)?;
    Ok(payload)
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("messages are shorter").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_startup_is_read_as_it_was_written() {
        let sent = startup(&[("user", "u"), ("options", "")]);
        let pairs = [("user", "u"), ("options", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let read = read_introduction(&mut sent.as_slice()).unwrap();
        assert_eq!(read, Introduction::Startup(pairs.to_vec()));
    }

    #[test]
    fn a_cancellation_carries_the_key_that_the_session_was_told() {
        let key = Message::key((7, 9)).told_key().unwrap();
        let read = read_introduction(&mut cancel(key).as_slice()).unwrap();
        assert_eq!(read, Introduction::Cancel((7, 9)));
    }

    #[test]
    fn an_impossible_length_is_an_error_and_no_allocation() {
        for length in [3_u32, u32::MAX] {
            let bytes = [&[b'Q'][..], &length.to_be_bytes()].concat();
            assert!(Message::read(&mut bytes.as_slice()).is_err());
        }
    }
}
