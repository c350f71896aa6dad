//! Reading `text/event-stream`: bytes in, messages out. Written from the WHATWG description: line ends may be LF, CRLF
//! or CR, lines that begin with a colon are signs of life, `data` lines of one message are joined by line feeds.

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: String,
}

/// Turns pieces of a stream into messages.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    message: Message,
    has_data: bool,
}

impl Parser {
    /// Reads a piece and adds the messages that it completes to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut impl Extend<Message>) {
        for &byte in bytes {
            match byte {
                b'\n' if std::mem::take(&mut self.after_cr) => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    out.extend(self.end_of_line(&String::from_utf8_lossy(&line)));
                }
                _ => {
                    self.after_cr = false;
                    self.line.push(byte);
                }
            }
        }
    }

    fn end_of_line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return std::mem::take(&mut self.has_data).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            "id" => self.message.id = Some(value.to_owned()),
            "event" => self.message.event = Some(value.to_owned()),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&str]) -> Vec<Message> {
        let (mut parser, mut messages) = (Parser::default(), Vec::new());
        pieces
            .iter()
            .for_each(|piece| parser.feed(piece.as_bytes(), &mut messages));
        messages
    }

    fn message(id: Option<&str>, event: Option<&str>, data: &str) -> Message {
        Message {
            id: id.map(str::to_owned),
            event: event.map(str::to_owned),
            data: data.to_owned(),
        }
    }

    #[test]
    fn messages_survive_any_cut_and_any_line_end() {
        let text = "id: 3.1\nevent: step\ndata: {\"a\":1}\n\ndata: ü\n\n";
        let expected = vec![
            message(Some("3.1"), Some("step"), "{\"a\":1}"),
            message(None, None, "ü"),
        ];
        for end in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', end);
            for cut in 0..text.len() {
                let (mut parser, mut messages) = (Parser::default(), Vec::new());
                parser.feed(&text.as_bytes()[..cut], &mut messages);
                parser.feed(&text.as_bytes()[cut..], &mut messages);
                assert_eq!(messages, expected, "{end:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn several_data_lines_are_one_message_and_comments_are_none() {
        assert_eq!(
            parse(&[": ping\n\ndata: a\ndata: b\ndata:\n\n"]),
            [message(None, None, "a\nb\n")]
        );
    }

    #[test]
    fn a_message_without_its_empty_line_is_not_given() {
        assert_eq!(parse(&["data: a\n"]), []);
        assert_eq!(parse(&["event: x\n\n"]), []);
    }
}
