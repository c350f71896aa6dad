//! The description of the HTTP API, as data: OpenAPI 3.1.
//!
//! It is written by hand beside the handlers' own words, and tests hold it against the router: the same paths and
//! methods, every reference defined, every operation with an answer and its errors. What a workflow document may
//! hold is not written twice: it is the JSON Schema that documents are checked against.

mod audit;
mod auth;
mod namespaces;
mod operation;
mod paths;
mod pipelines;
mod schedules;
mod schemas;
mod secrets;
mod tasks;
mod tenants;

use serde_json::{Map, Value, json};

/// The whole description.
pub fn openapi() -> Value {
    let mut served: Map<String, Value> = Map::new();
    for operation in paths::all() {
        let path = served.entry(operation.path.to_owned()).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(operation.method.to_owned(), operation.describe());
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Quintet",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Durable workflows: versioned definitions, runs, approvals, logs and history. Errors of the \
                original endpoints are plain text unless `Accept` names application/json; all others are JSON. Paths \
                under /api are those of services' workers, of pipelines made of their tasks, and of tasks for compute \
                backends.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "tags": [
            { "name": "workflows", "description": "Definitions and their versions." },
            { "name": "templates", "description": "The template pack." },
            { "name": "runs", "description": "Starting, reading and listing runs." },
            { "name": "control", "description": "What people do to runs." },
            { "name": "observe", "description": "Steps, reasons, history and logs." },
            { "name": "schedules", "description": "What is started again and again." },
            { "name": "audit", "description": "Who did what to which object." },
            { "name": "namespaces", "description": "Who is served, and how much each may use." },
            { "name": "auth", "description": "Keys, and who is asking." },
            { "name": "secrets", "description": "What steps may send and nobody may read." },
            { "name": "nodes", "description": "The processes that work on the store." },
            { "name": "pipelines", "description": "Tasks that workers of services do, by themselves and as pipelines." },
            { "name": "tasks", "description": "Work for compute backends, by itself and as pipelines written into it." },
            { "name": "queues", "description": "Where work waits, and what does it." },
            { "name": "tenants", "description": "Workflows of tasks, by tenant." },
        ],
        "security": [{}, { "apiKey": [] }, { "bearer": [] }],
        "paths": served,
        "components": {
            "securitySchemes": {
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
                "bearer": { "type": "http", "scheme": "bearer" },
            },
            "schemas": schemas::all(),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::face::{pipelines, tasks, tenants, workflows};

    /// What workers call is served below this too.
    const OF_WORKERS: &str = "/w/{token}";
    /// Tells whoever forgot the path that it did, and does nothing else.
    const NO_PATH: (&str, &str) = ("get", "/api/storage/");

    fn described(description: &Value) -> BTreeSet<(&str, String)> {
        let paths = description["paths"].as_object().unwrap().iter();
        let methods =
            paths.flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |method| (method, path)));
        methods.map(|(method, path)| (method.as_str(), path.clone())).collect()
    }

    #[test]
    fn exactly_what_is_served_is_described() {
        let served = [workflows::ROUTES, pipelines::ROUTES, tasks::ROUTES, tenants::ROUTES]
            .concat()
            .into_iter();
        let served = served.filter(|route| *route != NO_PATH && !route.1.starts_with(OF_WORKERS));
        // A path may have slashes; the description has no sign for that.
        let served = served.map(|(method, path)| (method, path.replace("{*", "{")));
        assert_eq!(described(&openapi()), served.collect());
    }

    #[test]
    fn what_is_served_below_a_token_is_said_by_the_operation() {
        let description = openapi();
        let is_said = |method: &str, path: &str| {
            let servers = description["paths"][path][method]["servers"].as_array();
            servers.is_some_and(|servers| servers.iter().any(|server| server["url"] == OF_WORKERS))
        };
        let said = described(&description);
        let said = said.iter().filter(|(method, path)| is_said(method, path));
        let said: BTreeSet<(&str, &str)> = said.map(|(method, path)| (*method, path.as_str())).collect();
        let served = pipelines::ROUTES.iter();
        let served = served.filter_map(|(method, path)| Some((*method, path.strip_prefix(OF_WORKERS)?)));
        assert_eq!(said, served.collect());
    }

    #[test]
    fn every_reference_is_defined_and_every_schema_is_used() {
        let description = openapi();
        let mut references = BTreeSet::new();
        gather(&description, &mut references);
        for reference in &references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(description.pointer(pointer).is_some(), "{reference}");
        }
        for name in description["components"]["schemas"].as_object().unwrap().keys() {
            assert!(
                references.contains(&format!("#/components/schemas/{name}")),
                "{name} is used nowhere"
            );
        }
    }

    fn gather(value: &Value, references: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| gather(value, references));
            }
            Value::Array(items) => items.iter().for_each(|value| gather(value, references)),
            _ => {}
        }
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_its_path_parameters_and_its_errors() {
        let description = openapi();
        let mut ids = BTreeSet::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(
                    ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                    "{method} {path}"
                );
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let named = parameters.iter().filter(|parameter| parameter["in"] == "path");
                assert_eq!(named.count(), path.matches('{').count(), "{method} {path}");
                for status in ["401", "403", "429", "500", "503"] {
                    assert!(operation["responses"].get(status).is_some(), "{method} {path} {status}");
                }
                assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
            }
        }
    }

    #[test]
    fn the_schemas_are_json_schemas() {
        let description = openapi();
        let schemas = json!({ "components": { "schemas": description["components"]["schemas"] } });
        for name in description["components"]["schemas"].as_object().unwrap().keys() {
            let mut schema = schemas.clone();
            schema["$ref"] = format!("#/components/schemas/{name}").into();
            assert!(jsonschema::draft202012::new(&schema).is_ok(), "{name}");
        }
    }
}
