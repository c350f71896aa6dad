//! A picture that any browser shows: no script, no font and no style from elsewhere.

use std::fmt::Write;

use quintet_core::plan::EdgeOn;

use super::layout::Layout;
use super::pack::pack;
use super::{Node, Picture, State, edge_label, shorten};

const FONT: &str = "ui-sans-serif,system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif";
const MARGIN: f64 = 32.0;
const TITLE: f64 = 36.0;
const LAYER_GAP: f64 = 56.0;
const LABEL_SIZE: f64 = 14.0;
const SMALL_SIZE: f64 = 11.0;
const LINE: f64 = 16.0;
/// Characters of a note that a card shows.
const NOTE: usize = 48;
/// How much wider bold text is.
const BOLD: f64 = 1.12;

/// One node, measured.
struct Card<'a> {
    node: &'a Node,
    label: String,
    lines: Vec<String>,
    width: f64,
    height: f64,
}

/// The picture as a document of its own.
pub fn svg(picture: &Picture) -> String {
    let cards: Vec<Card<'_>> = picture.nodes.iter().map(Card::of).collect();
    let widths: Vec<f64> = cards.iter().map(|card| card.width).collect();
    let layout = pack(&widths, &picture.pairs());
    let rows = Rows::of(
        &cards,
        &layout,
        if picture.title.is_empty() {
            MARGIN
        } else {
            MARGIN + TITLE
        },
    );
    let title_width = text_width(&picture.title, 18.0);
    let (width, height) = (layout.width.max(title_width) + 2.0 * MARGIN, rows.bottom + MARGIN);
    let left = MARGIN + (width - 2.0 * MARGIN - layout.width) / 2.0;
    let mut out = String::new();
    open(&mut out, width, height, &picture.title);
    for (edge, points) in picture.edges.iter().zip(&layout.edges) {
        if edge.from == edge.to {
            let (x, layer) = layout.nodes[edge.from];
            draw_loop(&mut out, left + x + cards[edge.from].width / 2.0, rows.middle[layer]);
            continue;
        }
        draw_edge(
            &mut out,
            edge.on,
            &route(points, left, &rows, &cards[edge.from], &cards[edge.to]),
        );
    }
    for (card, &(x, layer)) in cards.iter().zip(&layout.nodes) {
        card.draw(&mut out, left + x, rows.middle[layer]);
    }
    out.push_str("</svg>\n");
    out
}

/// Heights of the layers.
struct Rows {
    middle: Vec<f64>,
    half: Vec<f64>,
    bottom: f64,
}

impl Rows {
    fn of(cards: &[Card<'_>], layout: &Layout, top: f64) -> Self {
        let mut half = vec![0.0f64; layout.layers];
        for (card, &(_, layer)) in cards.iter().zip(&layout.nodes) {
            half[layer] = half[layer].max(card.height / 2.0);
        }
        let (mut middle, mut y) = (Vec::with_capacity(half.len()), top);
        for half in &half {
            middle.push(y + half);
            y += 2.0 * half + LAYER_GAP;
        }
        Self {
            middle,
            half,
            bottom: (y - LAYER_GAP).max(top),
        }
    }
}

fn open(out: &mut String, width: f64, height: f64, title: &str) {
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"{FONT}\" role=\"img\">"
    );
    if !title.is_empty() {
        let _ = writeln!(out, "<title>{}</title>", escape(title));
    }
    for (id, colour) in [("arrow", "#94a3b8"), ("arrow-failure", "#dc2626")] {
        let _ = writeln!(
            out,
            "<marker id=\"{id}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" \
             orient=\"auto-start-reverse\"><path d=\"M0 1 L9 5 L0 9 z\" fill=\"{colour}\"/></marker>"
        );
    }
    let _ = writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#f8fafc\"/>");
    if !title.is_empty() {
        let (x, y) = (width / 2.0, MARGIN + 14.0);
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" font-size=\"18\" font-weight=\"600\" \
             fill=\"#0f172a\">{}</text>",
            escape(title)
        );
    }
}

/// The points that an arrow goes through: from the lower edge of one card to the upper edge of the other, and
/// straight down through the layers between. One that closes a circle goes the same way upwards.
fn route(points: &[(f64, usize)], left: f64, rows: &Rows, from: &Card<'_>, to: &Card<'_>) -> Vec<(f64, f64)> {
    let is_upwards = points.first().map(|point| point.1) > points.last().map(|point| point.1);
    if is_upwards {
        let points: Vec<(f64, usize)> = points.iter().rev().copied().collect();
        let mut path = route(&points, left, rows, to, from);
        path.reverse();
        return path;
    }
    let last = points.len() - 1;
    let mut path = Vec::with_capacity(points.len() * 2);
    for (at, &(x, layer)) in points.iter().enumerate() {
        let (x, y) = (left + x, rows.middle[layer]);
        if at == 0 {
            path.push((x, y + from.height / 2.0));
        } else if at == last {
            path.push((x, y - to.height / 2.0));
        } else {
            path.push((x, y - rows.half[layer]));
            path.push((x, y + rows.half[layer]));
        }
    }
    path
}

/// Something that waits for itself: an arrow around the card's right edge.
fn draw_loop(out: &mut String, right: f64, middle: f64) {
    let _ = writeln!(
        out,
        "<path d=\"M{right:.1} {:.1} c26 -6 26 26 0 20\" fill=\"none\" stroke=\"#94a3b8\" stroke-width=\"1.6\" \
         marker-end=\"url(#arrow)\"/>",
        middle - 10.0
    );
}

fn draw_edge(out: &mut String, on: EdgeOn, points: &[(f64, f64)]) {
    let (colour, dash, marker) = match on {
        EdgeOn::Success => ("#94a3b8", "", "arrow"),
        EdgeOn::Failure => ("#dc2626", " stroke-dasharray=\"5 4\"", "arrow-failure"),
        EdgeOn::Always => ("#94a3b8", " stroke-dasharray=\"5 4\"", "arrow"),
    };
    let mut path = format!("M{:.1} {:.1}", points[0].0, points[0].1);
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        if (x0 - x1).abs() < 0.5 {
            let _ = write!(path, " L{x1:.1} {y1:.1}");
        } else {
            let bend = (y1 - y0) / 2.0;
            let _ = write!(
                path,
                " C{x0:.1} {:.1} {x1:.1} {:.1} {x1:.1} {y1:.1}",
                y0 + bend,
                y1 - bend
            );
        }
    }
    let _ = writeln!(
        out,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"{dash} marker-end=\"url(#{marker})\"/>"
    );
    if let Some(words) = edge_label(on) {
        let ((x0, y0), (x1, y1)) = (points[0], points[1]);
        let (x, y) = (f64::midpoint(x0, x1), f64::midpoint(y0, y1));
        let width = text_width(words, SMALL_SIZE) + 8.0;
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"16\" rx=\"4\" fill=\"#f8fafc\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"{SMALL_SIZE}\" fill=\"{colour}\">{words}</text>",
            x - width / 2.0,
            y - 8.0,
            y + 4.0,
        );
    }
}

impl<'a> Card<'a> {
    fn of(node: &'a Node) -> Self {
        let label = shorten(&node.label, 36);
        let mut facts = vec![shorten(&node.action, 40)];
        facts.extend(node.for_each.then(|| "for each".to_owned()));
        facts.extend(
            (node.approval && !node.action.eq_ignore_ascii_case("approval")).then(|| "needs approval".to_owned()),
        );
        facts.extend(node.optional.then(|| "optional".to_owned()));
        let mut lines = vec![facts.join(" · ")];
        lines.extend(node.when.as_ref().map(|when| format!("if {}", shorten(when, 44))));
        lines.extend(node.join.as_ref().map(|join| format!("join: {join}")));
        lines.extend(node.note.as_ref().map(|note| shorten(note, NOTE)));
        let widest = lines
            .iter()
            .map(|line| text_width(line, SMALL_SIZE))
            .fold(BOLD * text_width(&label, LABEL_SIZE), f64::max);
        let height = 30.0 + LINE * lines.len() as f64 + 4.0;
        Self {
            node,
            label,
            lines,
            width: (widest + 36.0).max(110.0),
            height,
        }
    }

    fn draw(&self, out: &mut String, x: f64, y: f64) {
        let [fill, border, colour] = self.node.state.unwrap_or(State::Pending).colours();
        let accent = self.node.state.map_or_else(|| kind_colour(self.node), |_| border);
        let (left, top) = (x - self.width / 2.0, y - self.height / 2.0);
        let dash = if self.node.optional || self.node.state == Some(State::Skipped) {
            " stroke-dasharray=\"5 4\""
        } else {
            ""
        };
        out.push_str("<g>\n");
        if let Some(note) = self.node.note.as_ref().filter(|note| note.chars().count() > NOTE) {
            // What the card has no room for is shown to whoever points at it.
            let _ = writeln!(out, "<title>{}</title>", escape(note));
        }
        if self.node.for_each {
            // A card behind the card says that there are several.
            self.outline(out, (left + 5.0, top + 5.0), (fill, border), dash);
        }
        self.outline(out, (left, top), (fill, border), dash);
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"4\" height=\"{:.1}\" rx=\"2\" fill=\"{accent}\"/>",
            left + 8.0,
            top + 9.0,
            self.height - 18.0
        );
        let text = left + 22.0;
        let _ = writeln!(
            out,
            "<text x=\"{text:.1}\" y=\"{:.1}\" font-size=\"{LABEL_SIZE}\" font-weight=\"600\" fill=\"{}\">{}</text>",
            top + 24.0,
            if self.node.state.is_some() { colour } else { "#0f172a" },
            escape(&self.label)
        );
        for (nth, line) in self.lines.iter().enumerate() {
            let y = top + 42.0 + LINE * nth as f64;
            let _ = writeln!(
                out,
                "<text x=\"{text:.1}\" y=\"{y:.1}\" font-size=\"{SMALL_SIZE}\" fill=\"{}\">{}</text>",
                if self.node.state.is_some() { colour } else { "#64748b" },
                escape(line)
            );
        }
        out.push_str("</g>\n");
    }

    fn outline(&self, out: &mut String, (x, y): (f64, f64), (fill, border): (&str, &str), dash: &str) {
        let (width, height) = (self.width, self.height);
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"10\" fill=\"{fill}\" \
             stroke=\"{border}\" stroke-width=\"1.4\"{dash}/>"
        );
    }
}

/// Tells the kinds of steps apart in a picture without a run.
fn kind_colour(node: &Node) -> &'static str {
    match node.action.to_lowercase().as_str() {
        _ if node.approval => "#d97706",
        "http" => "#2563eb",
        "transform" => "#7c3aed",
        "condition" => "#db2777",
        "wait" => "#0891b2",
        "noop" => "#94a3b8",
        _ => "#0d9488",
    }
}

/// Width of a text in a common sans serif, estimated generously: there is no font to ask.
fn text_width(text: &str, size: f64) -> f64 {
    let of = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.32,
        'f' | 't' | 'r' | ' ' | '(' | ')' | '[' | ']' | '/' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' => 0.95,
        'A'..='Z' => 0.72,
        c if c.is_ascii() => 0.61,
        _ => 1.0,
    };
    text.chars().map(of).sum::<f64>() * size
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // Control characters are not allowed in XML, not even escaped.
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use quick_xml::events::Event;

    use super::super::tests::order;
    use super::*;

    #[test]
    fn every_step_and_arrow_is_drawn_and_texts_are_escaped() {
        let mut picture = order();
        picture.nodes[0].label = "<a> & \"b\"\u{1}".to_owned();
        let text = svg(&picture);
        assert!(text.contains("&lt;a&gt; &amp; &quot;b&quot; "));
        assert_eq!(text.matches("marker-end=").count(), picture.edges.len());
        assert_eq!(
            text.matches("font-weight=\"600\" fill=\"#0f172a\"").count(),
            picture.nodes.len() + 1
        );
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
    }

    /// Reads a document to its end, with every name, attribute and reference in it.
    fn is_well_formed(text: &str) -> Result<usize, quick_xml::Error> {
        let mut reader = quick_xml::Reader::from_str(text);
        let mut elements = 0;
        loop {
            match reader.read_event()? {
                Event::Start(element) | Event::Empty(element) => {
                    elements += 1;
                    for attribute in element.attributes() {
                        attribute?;
                    }
                }
                Event::GeneralRef(reference) => {
                    assert!(["amp", "lt", "gt", "quot"].map(str::as_bytes).contains(&&*reference))
                }
                Event::Eof => return Ok(elements),
                _ => {}
            }
        }
    }

    #[test]
    fn hostile_texts_leave_the_document_well_formed_and_without_a_script() {
        let mut picture = order();
        let hostile = "]]></text><script>alert(1)</script><!-- & &#0; \u{1} \" onload=\"x";
        picture.title = hostile.to_owned();
        for node in &mut picture.nodes {
            (node.label, node.action) = (hostile.to_owned(), hostile.to_owned());
            (node.when, node.note) = (Some(hostile.to_owned()), Some(hostile.to_owned()));
        }
        let text = svg(&picture);
        assert!(is_well_formed(&text).expect("well-formed") > 20, "{text}");
        assert!(!text.contains("<script") && !text.contains("onload=\""), "{text}");
        // The check itself can fail.
        assert!(is_well_formed("<svg><a></svg>").is_err());
    }

    #[test]
    fn an_empty_picture_is_still_a_document() {
        assert!(svg(&Picture::default()).ends_with("</svg>\n"));
    }
}
