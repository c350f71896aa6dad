//! Figures, as JSON lines or as a table.

use serde_json::{Map, Value, json};

/// Collects and prints figures.
pub(super) struct Report {
    json: bool,
    rows: Vec<(String, String, String)>,
}

impl Report {
    pub fn new(json: bool) -> Self {
        Self { json, rows: Vec::new() }
    }

    /// One workload's figures: name and value, the unit being part of the name.
    pub fn add(&mut self, workload: &str, figures: &[(&str, f64)]) {
        if self.json {
            let mut line = Map::new();
            line.insert("workload".to_owned(), json!(workload));
            for (name, value) in figures {
                line.insert((*name).to_owned(), json!((value * 1000.0).round() / 1000.0));
            }
            println!("{}", Value::Object(line));
            return;
        }
        for (name, value) in figures {
            self.rows
                .push((workload.to_owned(), (*name).to_owned(), readable(*value)));
        }
    }

    /// Prints the table.
    pub fn finish(self) {
        if self.json {
            return;
        }
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["workload", "figure", "value"]);
        for (workload, name, value) in self.rows {
            table.add_row([workload, name, value]);
        }
        println!("{table}");
    }
}

fn readable(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// The `q`-quantile of unsorted values, 0 when there are none.
pub(super) fn quantile(values: &mut [f64], q: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.sort_by(f64::total_cmp);
    let at = ((values.len() - 1) as f64 * q).round() as usize;
    values[at]
}
