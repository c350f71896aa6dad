//! What a tenant has, and how the parameters of paths are filled with it.

use serde_json::{Value, json};

use crate::common::until;
use crate::site::{HOME, Site, Stream, key_of};

/// Ids by what they are ids of.
pub struct Things {
    ids: Vec<(&'static str, String)>,
}

/// What nobody else may ever see of a tenant.
pub fn canary(namespace: &str) -> String {
    format!("canary-of-{namespace}")
}

impl Things {
    /// Everything that any tenant can have.
    pub fn of(site: &Site, who: &str, namespace: &str) -> Self {
        let (word, named) = (canary(namespace), |what: &str| format!("{namespace}-{what}"));
        let make = |method: &str, path: &str, body: &Value| site.done(who, method, path, body);
        let labels = json!({ "name": namespace, "labels": { "team": word } });
        site.done("root", "POST", "/v1/namespaces", &labels);
        let flow = json!({ "id": named("flow"), "name": word, "steps": [{ "name": "ask", "action": "approval" }] });
        make("POST", "/v1/workflows", &flow);
        let start = json!({ "workflow_id": named("flow"), "context": { "word": word } });
        let run = text(&make("POST", "/v1/runs", &start), "id");
        let lines = site.ask(Some(&key_of(who)), "POST", &format!("/v1/runs/{run}/logs"), &word);
        assert_eq!(lines.status, 200, "{}", lines.text);
        let other = text(&make("POST", "/v1/runs", &start), "id");
        let settled = json!({ "outcome": "succeeded", "output": { "word": word } });
        make("POST", &format!("/v1/runs/{other}/steps/ask/resolve"), &settled);
        let plan = json!({
            "id": named("plan"), "name": word, "cron": "0 0 1 1 *", "target": { "workflow_id": named("flow") },
        });
        make("POST", "/v1/schedules", &plan);
        make(
            "PUT",
            &format!("/v1/secrets/{}", named("word")),
            &json!({ "value": format!("{word}-in-secret") }),
        );
        let key = make("POST", "/v1/auth/keys", &json!({ "name": word, "roles": ["viewer"] }));
        let intent = json!({
            "intent_id": named("intent"), "intent_text": word, "tasks": [{ "id": "a", "type": "t" }],
        });
        let workflow = make("POST", &format!("/api/v1/tenants/{namespace}/workflows"), &intent);
        let ids = vec![
            ("workflow", named("flow")),
            ("run", run),
            ("schedule", named("plan")),
            ("secret", named("word")),
            ("key", text(&key, "id")),
            ("namespace", namespace.to_owned()),
            ("tenants' workflow", text(&workflow, "workflow_id")),
        ];
        Self { ids }
    }

    /// What only the tenant of the services and backends has besides.
    pub fn with_services(mut self, site: &Site) -> Self {
        let (word, make) = (canary(HOME), |path: &str, body: &Value| {
            site.done("admin", "POST", path, body)
        });
        let service = json!({
            "serviceId": "bravo-service", "version": "1.0.0", "baseUrl": site.target.url(""),
            "tasks": [{ "id": "bravo-job", "codeHash": "0123456789abcdef", "description": word, "retries": 0 }],
        });
        make("/api/register", &service);
        let queue = json!({ "taskId": "bravo-job", "input": { "word": word } });
        let task_run = text(&make("/api/queue/task", &queue), "runId");
        until("the worker has it", || {
            site.target
                .calls()
                .iter()
                .any(|call| call.body.contains(&task_run))
                .then_some(())
        });
        let failed = json!({ "status": "failed", "error": word, "errorCode": "NO" });
        make(&format!("/api/callback/{task_run}"), &failed);
        let letter = until("a dead letter", || {
            let list = site.done("admin", "GET", "/api/dlq", &Value::Null);
            list["items"].get(0).map(|letter| text(letter, "id"))
        });
        let input = json!({ "input": { "word": word } });
        let started = make("/api/pipelines/bravo-service/trigger", &input);
        let cut = [("content-type", "multipart/form-data; boundary=cut")];
        let file = format!(
            "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{word}\"\r\nContent-Type: text/plain\r\n\r\n\
             {word}\r\n--cut--\r\n"
        );
        let upload = site.ask_as(
            Some(&key_of("admin")),
            &cut,
            ("POST", "/api/upload/temp", &file),
            Stream::Begun,
        );
        assert_eq!(upload.status, 200, "{}", upload.text);
        let upload = upload.json();
        let task = make(
            "/api/tasks",
            &json!({ "type": "bravo-type", "payload": { "word": word } }),
        );
        self.ids.extend([
            ("service", "bravo-service".to_owned()),
            ("job", "bravo-job".to_owned()),
            ("pipeline", "bravo-service".to_owned()),
            ("pipeline run", text(&started, "pipelineRunId")),
            ("task run", task_run),
            ("dead letter", letter),
            ("object", text(&upload, "storagePath")),
            ("upload", text(&upload, "uploadId")),
            ("task", text(&task, "taskId")),
            ("queue", "bravo-type".to_owned()),
        ]);
        self
    }

    /// Ids of the same form that nobody has.
    pub fn of_nobody(&self) -> Self {
        let other = |(kind, id): &(&'static str, String)| {
            // The last of them may be anything that is a digit or a letter.
            let turned = if id.ends_with('0') { '1' } else { '0' };
            (*kind, format!("{}{turned}", &id[..id.len() - 1]))
        };
        Self {
            ids: self.ids.iter().map(other).collect(),
        }
    }

    /// With something else of one kind.
    pub fn but(mut self, kind: &'static str, id: &str) -> Self {
        self.ids.retain(|(known, _)| *known != kind);
        self.ids.push((kind, id.to_owned()));
        self
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(|(_, id)| id.as_str())
    }

    /// The path with these things in it; `None` where there are none of a kind.
    pub fn fill(&self, pattern: &str) -> Option<String> {
        let mut path = String::new();
        for part in pattern.split('/').skip(1) {
            let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            let value = name.map_or(Some(part.to_owned()), |name| self.value(pattern, name));
            path.push('/');
            path.push_str(&value?);
        }
        Some(path)
    }

    fn value(&self, pattern: &str, name: &str) -> Option<String> {
        let fixed = match name {
            "version" => "1",
            "step" => "ask",
            "token" => "wrong",
            _ => "",
        };
        if !fixed.is_empty() {
            return Some(fixed.to_owned());
        }
        let kind = kind(pattern, name);
        let known = self.ids.iter().find(|(known, _)| *known == kind);
        known.map(|(_, id)| id.replace(' ', "%20"))
    }
}

/// Of what a parameter is the id.
fn kind(pattern: &str, name: &str) -> &'static str {
    let pattern = pattern.strip_prefix("/w/{token}").unwrap_or(pattern);
    let (root, rest) = pattern.split_once("/{").expect("a parameter");
    let of_pipelines = ["/history", "/input-schema", "/validate-input"];
    match (root, name) {
        ("/v1/workflows", "id") => "workflow",
        ("/v1/runs", "id") => "run",
        ("/v1/schedules", "id") => "schedule",
        ("/v1/secrets", "name") => "secret",
        ("/v1/auth/keys", "id") => "key",
        ("/v1/namespaces", "name") | ("/api/v1/tenants", "tenant") => "namespace",
        ("/v1/queues", "name") => "queue",
        ("/api/v1/tenants", "workflow") => "tenants' workflow",
        ("/api/services", "id") => "service",
        ("/api/tasks", "id") if of_pipelines.iter().any(|end| rest.ends_with(end)) => "job",
        ("/api/tasks", "id") => "task",
        ("/api/pipelines", "id") => "pipeline",
        ("/api/runs", "id") => "pipeline run",
        ("/api/task-runs" | "/api/callback", "id") => "task run",
        ("/api/dlq", "id") => "dead letter",
        ("/api/storage", "path") => "object",
        ("/api/upload/temp", "id") => "upload",
        _ => panic!("`{name}` of {pattern}: say here what it is the id of"),
    }
}

fn text(value: &Value, field: &str) -> String {
    let found = value[field].as_str();
    found.unwrap_or_else(|| panic!("{field} of {value}")).to_owned()
}
