//! The body of `POST /api/register`: a service, and the tasks that it offers.
//!
//! A task needs an id and the hash of its code; every other field has the default that the original's SDK fills in.
//! What is there must have the right type and lie within bounds.
//!
//! Three rules are tighter than the original's. A task's id must be safe in a URL's path, since workers match it
//! undecoded and would answer 404 for ever. The service's address must be plain `http` or `https`, without a query, a
//! fragment or credentials: paths are appended to it, and it is shown to whoever lists the services. And counts and
//! sizes are bounded.
//!
//! One rule is laxer: `priority` may have a fraction, as in the original's type, and is rounded to a whole number.

use quintet_core::retry::Backoff;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::zod_error::{Fields, Findings, Path, Range};
use crate::face::workflows::document::is_nested_at_most;

/// Most tasks of one service.
pub(crate) const MAX_TASKS: usize = 10_000;
/// Longest id or version, in bytes.
const MAX_ID: usize = 255;
/// Longest description, in bytes.
const MAX_DESCRIPTION: usize = 16 * 1024;
/// Longest address of a service, in bytes.
const MAX_URL: usize = 2048;
/// Deepest nesting of an input schema.
const MAX_SCHEMA_DEPTH: usize = 32;
/// Ten years: longest time that a setting may name, in milliseconds.
const LONGEST_MS: f64 = 315_576_000_000.0;
/// Most retries.
const MAX_RETRIES: f64 = 1_000_000.0;

/// What a service says about itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Registration {
    pub service_id: String,
    pub version: String,
    /// Without a slash at its end.
    pub base_url: String,
    /// In the order given, each id once.
    pub tasks: Vec<TaskEntry>,
}

/// A task as its service describes it; also how it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskEntry {
    pub id: String,
    /// Changes when the task's code does.
    pub code_hash: String,
    /// Tasks that may follow, each once.
    pub allowed_next: Vec<String>,
    /// Longest time that an attempt may take.
    pub timeout_ms: u64,
    /// Further attempts after the first.
    pub retries: u32,
    pub retry_backoff: Backoff,
    pub retry_delay_ms: u64,
    pub max_retry_delay_ms: u64,
    pub heartbeat_interval_ms: u64,
    /// Most attempts at a time; 0 is no limit.
    pub concurrency: u32,
    /// Lower goes first.
    pub priority: i32,
    /// How long a result may be reused; the server's own setting when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_ttl_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
}

impl TaskEntry {
    /// A task with the defaults of the original's SDK.
    pub fn new(id: impl Into<String>, code_hash: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            code_hash: code_hash.into(),
            allowed_next: Vec::new(),
            timeout_ms: 300_000,
            retries: 3,
            retry_backoff: Backoff::Exponential,
            retry_delay_ms: 1_000,
            max_retry_delay_ms: 86_400_000,
            heartbeat_interval_ms: 60_000,
            concurrency: 0,
            priority: 100,
            idempotency_ttl_ms: None,
            description: None,
            input_schema: None,
        }
    }
}

impl Registration {
    /// Reads a body. `max_retry_delay_ms` is the server's setting for tasks that do not say their own.
    pub fn read(body: &Value, max_retry_delay_ms: u64) -> Result<Self, Findings> {
        let mut found = Findings::default();
        let read = read(body, max_retry_delay_ms, &mut found);
        match read {
            Some(registration) if !found.is_any() => Ok(registration),
            _ => Err(found),
        }
    }
}

/// Whether a task of this id can be called by its workers: they match the undecoded path.
pub(crate) fn is_task_id(id: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_.~-".contains(&byte);
    // Clients take `.` and `..` in a path for the folder and its parent.
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(is_safe) && id != "." && id != ".."
}

/// Goes on after a finding, so that all of them are told at once.
fn read(body: &Value, max_retry_delay_ms: u64, found: &mut Findings) -> Option<Registration> {
    let fields = Fields::of(Some(body), Path::root(), found)?;
    let service_id = fields.text("serviceId", found);
    if let Some(id) = service_id {
        check_name(id, &fields.at("serviceId"), found);
    }
    let version = fields.text("version", found);
    if let Some(version) = version {
        check_name(version, &fields.at("version"), found);
    }
    let base_url = fields.text("baseUrl", found);
    if let Some(complaint) = base_url.and_then(url_complaint) {
        found.add(&fields.at("baseUrl"), complaint);
    }
    let tasks = fields.list("tasks", found)?;
    let tasks = read_tasks(tasks, &fields.at("tasks"), max_retry_delay_ms, found);
    Some(Registration {
        service_id: service_id?.to_owned(),
        version: version?.to_owned(),
        base_url: base_url?.trim_end_matches('/').to_owned(),
        tasks,
    })
}

fn read_tasks(tasks: &[Value], path: &Path, max_retry_delay_ms: u64, found: &mut Findings) -> Vec<TaskEntry> {
    if tasks.len() > MAX_TASKS {
        found.add(path, format!("Array must contain at most {MAX_TASKS} element(s)"));
        return Vec::new();
    }
    let mut ids = std::collections::HashSet::new();
    let mut read = Vec::with_capacity(tasks.len());
    for (nth, task) in tasks.iter().enumerate() {
        let Some(fields) = Fields::of(Some(task), path.at(nth), found) else {
            continue;
        };
        let Some(task) = read_task(&fields, max_retry_delay_ms, found) else {
            continue;
        };
        if !ids.insert(task.id.clone()) {
            found.add(&fields.at("id"), format!("Duplicate task id '{}'", task.id));
        }
        read.push(task);
    }
    read
}

fn read_task(fields: &Fields<'_>, max_retry_delay_ms: u64, found: &mut Findings) -> Option<TaskEntry> {
    let id = fields.text("id", found);
    if let Some(id) = id.filter(|id| !is_task_id(id)) {
        found.add(&fields.at("id"), id_complaint(id));
    }
    let code_hash = fields.text("codeHash", found);
    if let Some(hash) = code_hash {
        check_name(hash, &fields.at("codeHash"), found);
    }
    let backoffs = [("fixed", Backoff::Fixed), ("exponential", Backoff::Exponential)];
    let (some_ms, count) = (Range::above(0.0).to(LONGEST_MS), Range::from(0.0));
    let seconds = Range::above(0.0).to(LONGEST_MS / 1000.0);
    let mut ms = |name: &str, range: Range, scale: f64| {
        let number = fields.optional_number(name, range, found)?;
        // A time above zero stays above zero.
        Some(((number * scale).round() as u64).max(1))
    };
    let timeout_ms = ms("timeout", seconds, 1000.0);
    let idempotency_ttl_ms = ms("idempotencyTTL", seconds, 1000.0);
    let retry_delay_ms = ms("retryDelayMs", some_ms, 1.0);
    let longest_delay_ms = ms("maxRetryDelayMs", some_ms, 1.0);
    let heartbeat_interval_ms = ms("heartbeatIntervalMs", some_ms, 1.0);
    let retries = fields.optional_integer("retries", count.to(MAX_RETRIES), found);
    let concurrency = fields.optional_integer("concurrency", count.to(f64::from(u32::MAX)), found);
    let priority = fields.optional_number("priority", Range::ANY, found);
    let retry_backoff = fields.choice("retryBackoff", &backoffs, found);
    let allowed_next = read_next(fields, found);
    let description = fields.optional_text("description", found);
    if description.is_some_and(|text| text.len() > MAX_DESCRIPTION) {
        let message = format!("String must contain at most {MAX_DESCRIPTION} character(s)");
        found.add(&fields.at("description"), message);
    }
    let input_schema = read_schema(fields, found);
    let default = TaskEntry::new(id?, code_hash?);
    Some(TaskEntry {
        allowed_next,
        timeout_ms: timeout_ms.unwrap_or(default.timeout_ms),
        retries: retries.map_or(default.retries, |number| number as u32),
        retry_backoff: retry_backoff.unwrap_or(default.retry_backoff),
        retry_delay_ms: retry_delay_ms.unwrap_or(default.retry_delay_ms),
        max_retry_delay_ms: longest_delay_ms.unwrap_or(max_retry_delay_ms),
        heartbeat_interval_ms: heartbeat_interval_ms.unwrap_or(default.heartbeat_interval_ms),
        concurrency: concurrency.map_or(default.concurrency, |number| number as u32),
        priority: priority.map_or(default.priority, |number| number.round() as i32),
        idempotency_ttl_ms,
        description: description.map(str::to_owned),
        input_schema: input_schema.cloned().map(Value::Object),
        ..default
    })
}

/// Naming a successor twice is naming it once.
fn read_next(fields: &Fields<'_>, found: &mut Findings) -> Vec<String> {
    let texts = fields.texts("allowedNext", found);
    let mut seen = std::collections::HashSet::new();
    let mut next = Vec::with_capacity(texts.len());
    for (nth, id) in texts.into_iter().enumerate() {
        if !is_task_id(id) {
            found.add(&fields.at("allowedNext").at(nth), id_complaint(id));
        } else if seen.insert(id) {
            next.push(id.to_owned());
        }
    }
    next
}

/// What the schema means is judged when an input is checked against it: a broken one is then told in the answer.
fn read_schema<'a>(fields: &Fields<'a>, found: &mut Findings) -> Option<&'a Map<String, Value>> {
    let schema = fields.optional_object("inputSchema", found)?;
    if schema.values().all(|value| is_nested_at_most(MAX_SCHEMA_DEPTH, value)) {
        return Some(schema);
    }
    let message = format!("Schema must not be nested deeper than {MAX_SCHEMA_DEPTH}");
    found.add(&fields.at("inputSchema"), message);
    None
}

fn check_name(name: &str, path: &Path, found: &mut Findings) {
    if name.is_empty() {
        found.add(path, "String must contain at least 1 character(s)");
    } else if name.len() > MAX_ID {
        found.add(path, format!("String must contain at most {MAX_ID} character(s)"));
    } else if name.chars().any(char::is_control) {
        found.add(path, "String must not contain control characters");
    }
}

fn id_complaint(id: &str) -> String {
    match id.len() {
        0 => "String must contain at least 1 character(s)".to_owned(),
        length if length > MAX_ID => format!("String must contain at most {MAX_ID} character(s)"),
        _ => "Task ids consist of letters, digits, '_', '.', '~' and '-', and are not '.' or '..'".to_owned(),
    }
}

fn url_complaint(text: &str) -> Option<&'static str> {
    let Ok(url) = url::Url::parse(text) else {
        return Some("Invalid url");
    };
    if text.len() > MAX_URL || !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        Some("Invalid url")
    } else if !url.username().is_empty() || url.password().is_some() {
        Some("Invalid url: it must not contain credentials")
    } else if url.query().is_some() || url.fragment().is_some() {
        Some("Invalid url: paths are appended to it, so it can have no query and no fragment")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
