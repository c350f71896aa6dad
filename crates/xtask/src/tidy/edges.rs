//! Who may know whom. The arrows between the crates go one way, and a forbidden dependency is the only reason for which
//! a crate exists at all; cargo itself only refuses circles.
//!
//! Tests may reach for the testkit from anywhere. Two outside libraries have a home too: nobody but a store speaks to a
//! database, and the core stays free of anything that waits, logs or talks.

use crate::metadata::Metadata;
use crate::tidy::Finding;

/// The crates that each crate may use in what it ships.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("quintet-core", &[]),
    ("quintet-store", &["quintet-core"]),
    ("quintet-store-sqlite", &["quintet-core", "quintet-store"]),
    ("quintet-store-postgres", &["quintet-core", "quintet-store"]),
    ("quintet-engine", &["quintet-core", "quintet-store"]),
    ("quintet-executors", &["quintet-core", "quintet-engine"]),
    ("quintet-client", &[]),
    (
        "quintet",
        &[
            "quintet-core",
            "quintet-store",
            "quintet-store-sqlite",
            "quintet-store-postgres",
            "quintet-engine",
            "quintet-executors",
            "quintet-client",
        ],
    ),
    (
        "quintet-testkit",
        &[
            "quintet-core",
            "quintet-store",
            "quintet-store-sqlite",
            "quintet-store-postgres",
            "quintet-engine",
            "quintet-executors",
            "quintet-client",
        ],
    ),
    ("xtask", &["quintet-testkit"]),
];

const TESTKIT: &str = "quintet-testkit";

/// Outside libraries that belong to the named crates alone.
const HOMES: [(&str, &[&str]); 2] = [
    ("rusqlite", &["quintet-store-sqlite"]),
    ("tokio-postgres", &["quintet-store-postgres"]),
];

/// What the core must do without: it decides, and leaves waiting, talking and logging to others.
const NOT_IN_CORE: [&str; 6] = ["tokio", "async-trait", "futures-util", "tracing", "reqwest", "axum"];

pub fn check(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ours = |name: &str| metadata.packages.iter().any(|package| package.name == name);
    for package in &metadata.packages {
        let mut broken = |message: String| findings.push(Finding::new(&package.name, 0, message));
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            broken("is a new crate: say in crates/xtask/src/tidy/edges.rs whom it may know".to_owned());
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let dev = dependency.kind.as_deref() == Some("dev");
            if ours(name) && !allowed.contains(&name) && !(dev && name == TESTKIT) {
                let kind = if dev { "a test" } else { "it" };
                broken(format!(
                    "must not know {name} ({kind} depends on it): arrows go from the server to the core"
                ));
            }
            if dev {
                continue;
            }
            if package.name == "quintet-core" && NOT_IN_CORE.contains(&name) {
                broken(format!("must not use {name}: the core is pure"));
            }
            if HOMES
                .iter()
                .any(|(library, homes)| *library == name && !homes.contains(&package.name.as_str()))
            {
                broken(format!("must not use {name}: only the store that owns it does"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Dependency, Package};

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let line = |&(name, kind): &(&str, Option<&str>)| Dependency {
            name: name.to_owned(),
            source: None,
            req: "*".to_owned(),
            kind: kind.map(str::to_owned),
        };
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            license: None,
            source: None,
            dependencies: dependencies.iter().map(line).collect(),
        }
    }

    /// The workspace in which `name` has these dependencies, and every other crate has none.
    fn messages(name: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<String> {
        let others = ALLOWED.iter().map(|(other, _)| *other).filter(|other| *other != name);
        let mut packages: Vec<Package> = others.map(|other| package(other, &[])).collect();
        packages.push(package(name, dependencies));
        check(&Metadata { packages })
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn arrows_towards_the_core_are_allowed() {
        let fine = [
            ("quintet-core", None),
            ("quintet-store", None),
            ("quintet-testkit", Some("dev")),
            ("serde", None),
        ];
        assert_eq!(messages("quintet-engine", &fine), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_away_from_the_core_is_found() {
        assert!(messages("quintet-core", &[("quintet-store", None)])[0].contains("must not know quintet-store"));
        assert!(messages("quintet-engine", &[("quintet-store-sqlite", Some("dev"))])[0].contains("a test depends"));
        assert!(messages("quintet-testkit", &[("quintet", None)])[0].contains("must not know quintet "));
        assert!(messages("quintet", &[("quintet-testkit", None)])[0].contains("must not know quintet-testkit"));
        assert_eq!(
            messages("quintet-store", &[("quintet-store-sqlite", Some("build"))]).len(),
            1
        );
    }

    #[test]
    fn a_crate_that_nobody_placed_is_found() {
        assert!(messages("quintet-shortcut", &[])[0].contains("is a new crate"));
    }

    #[test]
    fn a_library_outside_its_home_is_found() {
        assert!(messages("quintet-core", &[("tokio", None)])[0].contains("the core is pure"));
        assert_eq!(
            messages("quintet-core", &[("tokio", Some("dev"))]),
            Vec::<String>::new()
        );
        assert!(messages("quintet", &[("rusqlite", None)])[0].contains("only the store"));
        assert_eq!(
            messages("quintet-store-sqlite", &[("rusqlite", None)]),
            Vec::<String>::new()
        );
    }
}
