//! The operations of the description, each with what its row at the edge says that it needs.

use std::collections::BTreeMap;

use quintet::identity::Permission;

/// The rows themselves: they are no part of what the crate offers, so they are read as they are written.
const ROWS: &str = include_str!("../../src/http/access.rs");

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    Worker,
    AnyKey,
    May(Permission),
}

/// One method of one path.
#[derive(Debug, Clone)]
pub struct Operation {
    /// In capitals.
    pub method: String,
    /// With its parameters as `{name}`.
    pub pattern: String,
    pub need: Need,
}

impl Operation {
    pub fn has_parameters(&self) -> bool {
        self.pattern.contains('{')
    }

    /// What goes along where something does.
    pub fn body(&self) -> &'static str {
        match self.method.as_str() {
            "GET" | "DELETE" => "",
            _ if self.pattern.ends_with("/rollback") => r#"{"version":1}"#,
            _ if self.pattern.ends_with("/resolve") => r#"{"outcome":"succeeded","output":{}}"#,
            _ if self.pattern.starts_with("/v1/secrets/") => r#"{"value":"a long enough value"}"#,
            _ => "{}",
        }
    }
}

/// The names of what may stand in the query of a described operation.
pub fn query(operation: &Operation) -> Vec<String> {
    let description = quintet::openapi::openapi();
    let described = &description["paths"][&operation.pattern][operation.method.to_lowercase()];
    let parameters = described["parameters"].as_array().into_iter().flatten();
    let of_query = parameters.filter(|parameter| parameter["in"] == "query");
    of_query
        .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// Every operation that is described.
pub fn described() -> Vec<Operation> {
    let (rows, description) = (rows(), quintet::openapi::openapi());
    let paths = description["paths"].as_object().expect("paths");
    let named = paths.iter().flat_map(|(pattern, methods)| {
        let methods = methods.as_object().expect("methods").keys();
        methods.map(move |method| (method.to_uppercase(), pattern.clone()))
    });
    let operations = named.map(|(method, pattern)| {
        let need = rows.get(&(method.clone(), pattern.clone()));
        let need = *need.unwrap_or_else(|| panic!("{method} {pattern} is described and has no row"));
        Operation { method, pattern, need }
    });
    operations.collect()
}

/// Those, and what has a row and is not described: probes, and what workers reach below a token.
pub fn all() -> Vec<Operation> {
    let rows = rows().into_iter();
    let served: Vec<Operation> = rows
        .map(|((method, pattern), need)| Operation { method, pattern, need })
        .collect();
    let is_served = |one: &Operation| {
        let same = |other: &&Operation| (&other.method, &other.pattern) == (&one.method, &one.pattern);
        served.iter().find(same).is_some()
    };
    assert!(described().iter().all(is_served));
    served
}

fn rows() -> BTreeMap<(String, String), Need> {
    let (_, rows) = ROWS.split_once("const ROWS: &[Row] = &[").expect("the rows");
    let (rows, _) = rows.split_once("\n];").expect("their end");
    let lines = rows.lines().map(str::trim).filter(|line| line.starts_with('('));
    lines.map(row).collect()
}

fn row(line: &str) -> ((String, String), Need) {
    let inner = line.strip_prefix('(').and_then(|line| line.strip_suffix("),"));
    let parts: Vec<&str> = inner.unwrap_or_else(|| panic!("{line}")).splitn(3, ", ").collect();
    let [method, pattern, need] = parts[..] else {
        panic!("{line}");
    };
    let named = |name: &&&Permission| need == format!("May(P::{:?})", **name);
    let need = match need {
        "Nothing" => Need::Nothing,
        "Face" => Need::Worker,
        "Known" => Need::AnyKey,
        _ => Need::May(
            *Permission::ALL
                .iter()
                .find(|name| named(&name))
                .unwrap_or_else(|| panic!("{line}")),
        ),
    };
    let method = method.trim_matches('"').to_uppercase();
    // The description has no sign for a path with slashes.
    let pattern = pattern.trim_matches('"').replace("{*", "{");
    ((method, pattern), need)
}
