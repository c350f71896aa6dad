//! What is printed: JSON for programs, tables and a little colour for people.
//!
//! Colour appears only on a terminal and never where `NO_COLOR` is set. A closed pipe (`quintet runs list | head`) is
//! no error: the output ends there.

use std::io::{ErrorKind, IsTerminal, Write};

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use quintet_core::time::Time;
use quintet_engine::clock::{Clock, SystemClock};
use serde::Serialize;

pub(crate) use crate::words::duration;

/// Prints one line to the standard output.
pub fn print_line(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out
        .write_all(line.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Prints a value as indented JSON.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string_pretty(value)?)
}

/// Prints a value as one line of JSON.
pub fn print_json_line(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string(value)?)
}

/// Prints rows under a heading, or says that there are none.
pub fn print_table(heading: &[&str], rows: Vec<Vec<Cell>>, nothing: &str) -> anyhow::Result<()> {
    if rows.is_empty() {
        eprintln!("{nothing}");
        return Ok(());
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if !is_coloured() {
        table.force_no_tty();
    }
    table.set_header(
        heading
            .iter()
            .map(|name| Cell::new(name).add_attribute(Attribute::Bold)),
    );
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    print_line(&lines.join("\n"))
}

/// A status in its colour.
pub fn status_cell(status: &str) -> Cell {
    let colour = match hue(status) {
        Hue::Good => Color::Green,
        Hue::Bad => Color::Red,
        Hue::Busy => Color::Blue,
        Hue::Waiting => Color::Yellow,
        Hue::Dim => Color::DarkGrey,
    };
    Cell::new(status).fg(colour)
}

/// What a text is meant to say by its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hue {
    /// Success.
    Good,
    /// Failure.
    Bad,
    /// Under way.
    Busy,
    /// Somebody or something is awaited.
    Waiting,
    /// Less important.
    Dim,
}

/// The colour of a status.
pub fn hue(status: &str) -> Hue {
    match status {
        "SUCCEEDED" | "RESOLVED" | "completed" | "active" | "healthy" => Hue::Good,
        "FAILED" | "BLOCKED" | "failed" | "timeout" | "disconnected" | "unhealthy" => Hue::Bad,
        "RUNNING" | "QUEUED" | "running" => Hue::Busy,
        "WAITING_APPROVAL" | "WAITING" | "RETRYING" | "PAUSED" | "waiting" | "partial" | "paused" | "closed" => {
            Hue::Waiting
        }
        _ => Hue::Dim,
    }
}

/// A text in a colour, where colours are shown.
pub fn paint(hue: Hue, text: &str) -> String {
    if !is_coloured() {
        return text.to_owned();
    }
    let code = match hue {
        Hue::Good => 32,
        Hue::Bad => 31,
        Hue::Busy => 34,
        Hue::Waiting => 33,
        Hue::Dim => 90,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Whether a person looks at the standard output, through something that shows colours.
pub fn is_coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// How long ago a time of the API was.
pub fn age(time: &str) -> String {
    let now = SystemClock.now();
    match Time::parse_rfc3339(time).map(|time| now.ms_since(time)) {
        None => String::new(),
        Some(0..1000) => "just now".to_owned(),
        Some(ms) => format!("{} ago", duration(ms)),
    }
}

/// How long it was from one time of the API to another.
pub fn between(from: &str, to: &str) -> Option<u64> {
    Some(Time::parse_rfc3339(to)?.ms_since(Time::parse_rfc3339(from)?))
}

/// The first line of a text, not longer than `limit`.
pub fn excerpt(text: &str, limit: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut = line.chars().count() > limit || text.lines().nth(1).is_some();
    let shown: String = line.chars().take(limit).collect();
    if cut { format!("{shown}…") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_one_line() {
        assert_eq!(excerpt("a\nb", 10), "a…");
        assert_eq!(excerpt("abcdef", 3), "abc…");
        assert_eq!(excerpt("abc", 3), "abc");
    }
}
