//! The reference page of the settings, from their doc comments.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Config, Key};

/// The page, in Markdown.
pub fn markdown() -> String {
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut page = String::from(INTRODUCTION);
    for section in Config::sections() {
        let title = if section.path.is_empty() {
            "General".to_owned()
        } else {
            format!("`{}`", section.path)
        };
        let _ = write!(page, "\n## {title}\n\n{}\n\n", section.about);
        page.push_str("| setting | kind | default | variable | meaning |\n|---|---|---|---|---|\n");
        for key in section.keys {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | `{}` | {} |",
                key.path,
                key.kind.as_str(),
                default_of(&defaults, &key),
                variable(&key.path),
                meaning(&key.doc)
            );
        }
    }
    page
}

const INTRODUCTION: &str = "# Settings

<!-- Written by `quintet docs config` from the doc comments in crates/server/src/config; do not edit. -->

Flags win over the environment, the environment over the file, the file over the defaults. The file is TOML or YAML:
the one named by `--config FILE`, or else `quintet.toml`, `quintet.yaml` or `config.yaml` in the working directory, if
one is there. A setting that is not in this list is an error. In variables, lists are JSON or divided by commas, and
tables are JSON.

These variables mean what they mean elsewhere: `HOST` and `PORT` (`server.host`, `server.port`), `DATABASE_URL`
(`store.url`), `LOG_LEVEL` and `RUST_LOG` (`log.level`), `OTEL_EXPORTER_OTLP_ENDPOINT` (`telemetry.otlp_endpoint`) and
`OTEL_SERVICE_NAME` (`telemetry.service_name`); and those of the orchestrators that this one replaces: `DB_HOST`,
`DB_PORT`, `DB_NAME` or `DB_DATABASE`, `DB_USER` or `DB_USERNAME`, `DB_PASS` or `DB_PASSWORD` and `DB_SSL` (together
`store.url`, where `DATABASE_URL` is not set), `DB_POOL_MAX` (`database.pool_size`), `CORS_ORIGIN` (`server.cors_origin`), and
what is said at `pipelines` and at `tasks`.
`LOG_LEVEL` may also be `minimal` (`warn`), `normal` (`info`) or `detailed` (`debug`). A variable with `QUINTET_` wins over
these.
";

fn variable(path: &str) -> String {
    format!("QUINTET_{}", path.replace('.', "__").to_ascii_uppercase())
}

fn default_of(defaults: &Value, key: &Key) -> String {
    let value = key.path.split('.').try_fold(defaults, |value, name| value.get(name));
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(Value::Array(list)) if list.is_empty() => "none".to_owned(),
        Some(Value::Object(table)) if table.is_empty() => "none".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

/// The doc comment, safe inside a table.
fn meaning(doc: &str) -> String {
    doc.replace('|', "\\|")
}
