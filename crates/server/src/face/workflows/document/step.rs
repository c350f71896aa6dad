//! Reading steps: each one twice over, as what is returned of it and as what runs.

use quintet_core::expr::{Limits, Template};
use quintet_core::plan::{Dependency, EdgeOn, ForEach, Join, SkipMode, StepSpec, Timeouts};
use quintet_core::retry::{Backoff, RetryPolicy};
use quintet_engine::Registry;
use serde_json::{Map, Value};

use super::PlanOptions;
use super::ids::{Names, assign};
use super::read::{Findings, MAX_MS, Object, whole};

/// Fields beyond the original's, kept as they are written.
const ADDITIONS: [&str; 12] = [
    "depends_on",
    "join",
    "when",
    "skip",
    "for_each",
    "optional",
    "timeout",
    "timeout_ms",
    "total_timeout_ms",
    "queue_timeout_ms",
    "heartbeat_timeout_ms",
    "approval_timeout_ms",
];
/// Fields of `retry` that are kept.
const RETRY: [&str; 8] = [
    "max",
    "backoff_ms",
    "backoff",
    "max_backoff_ms",
    "jitter_percent",
    "non_retryable_codes",
    "non_retryable_kinds",
    "max_lost",
];
/// Most extra attempts.
const MAX_RETRIES: u64 = 1_000_000;
/// Wait before an extra attempt where none is given, in milliseconds.
const BACKOFF_MS: u64 = 250;

/// All steps of a document.
pub(super) struct ReadSteps {
    pub documents: Vec<Value>,
    pub steps: Vec<StepSpec>,
}

pub(super) fn read_all(
    values: &[Value],
    registry: Option<&Registry>,
    options: PlanOptions,
    found: &mut Findings,
) -> ReadSteps {
    let mut objects = Vec::with_capacity(values.len());
    for (nth, value) in values.iter().enumerate() {
        match value {
            Value::Object(map) => objects.push(Object::new(format!("steps[{nth}]"), map)),
            _ => found.add(format!("steps[{nth}]"), "must be an object"),
        }
    }
    let mut given = Vec::with_capacity(objects.len());
    for object in &objects {
        let id = object.text("id", found).filter(|id| !id.is_empty());
        given.push((id, object.text("name", found).unwrap_or_default()));
    }
    let ids = assign(&given);
    let is_graph = objects.iter().any(|object| object.get("depends_on").is_some());
    let names = Names::new(&ids, &given);
    let mut read = ReadSteps {
        documents: Vec::new(),
        steps: Vec::new(),
    };
    for (nth, object) in objects.iter().enumerate() {
        let mut spec = read_one(object, &ids[nth], given[nth].1, found);
        if is_graph {
            spec.depends_on = dependencies(object, &ids, &names, found);
        } else {
            spec.skip = SkipMode::Satisfy;
            spec.depends_on
                .extend(nth.checked_sub(1).map(|before| after(&ids[before], EdgeOn::Success)));
        }
        check_input(object, &spec, registry, found);
        read.documents.push(document_of(object, &spec));
        spec.requires_approval |= options.require_approval;
        read.steps.push(spec);
    }
    read
}

fn after(step: &str, on: EdgeOn) -> Dependency {
    Dependency {
        step: step.to_owned(),
        on,
    }
}

fn read_one(object: &Object<'_>, id: &str, name: &str, found: &mut Findings) -> StepSpec {
    if object.get("action").is_none_or(|action| action.as_str() == Some("")) {
        found.add(object.at("action"), "is required");
    }
    let mut spec = StepSpec::new(id, object.text("action", found).unwrap_or_default());
    spec.name = name.to_owned();
    spec.input = object.get("input").cloned().unwrap_or_default();
    spec.requires_approval = object.flag("requires_approval", found);
    spec.optional = object.flag("optional", found);
    spec.skip = skip_of(object, found);
    spec.join = join_of(object, found);
    spec.when = match object.get("when") {
        Some(Value::Bool(when)) => Some(when.to_string()),
        _ => object.text("when", found).map(str::to_owned),
    };
    spec.for_each = for_each_of(object, found);
    spec.retry = retry_of(object, found);
    let ms = |name: &str, found: &mut Findings| object.whole(name, 1, MAX_MS, found);
    spec.timeouts = Timeouts {
        queue_ms: ms("queue_timeout_ms", found),
        attempt_ms: object.duration("timeout", found),
        total_ms: ms("total_timeout_ms", found),
        heartbeat_ms: ms("heartbeat_timeout_ms", found),
        approval_ms: ms("approval_timeout_ms", found),
    };
    spec
}

fn skip_of(object: &Object<'_>, found: &mut Findings) -> SkipMode {
    let modes = [("propagate", SkipMode::Propagate), ("satisfy", SkipMode::Satisfy)];
    object.choice("skip", &modes, found).unwrap_or_default()
}

fn join_of(object: &Object<'_>, found: &mut Findings) -> Join {
    match object.get("join") {
        None => Join::All,
        Some(Value::Object(map)) => {
            let join = Object::new(object.at("join"), map);
            let wanted = join.whole("at_least", 1, u64::from(u32::MAX), found);
            if join.get("at_least").is_none() {
                found.add(join.at("at_least"), "is required");
            }
            Join::AtLeast(wanted.unwrap_or(1) as u32)
        }
        Some(Value::String(word)) if word == "all" => Join::All,
        Some(Value::String(word)) if word == "any" => Join::Any,
        Some(_) => {
            found.add(object.at("join"), "must be \"all\", \"any\" or {\"at_least\": n}");
            Join::All
        }
    }
}

fn for_each_of(object: &Object<'_>, found: &mut Findings) -> Option<ForEach> {
    match object.get("for_each")? {
        items @ (Value::Array(_) | Value::String(_)) => Some(ForEach {
            items: items.clone(),
            concurrency: None,
        }),
        Value::Object(map) => {
            let each = Object::new(object.at("for_each"), map);
            let limit = each
                .whole("concurrency", 1, u64::from(u32::MAX), found)
                .map(|limit| limit as u32);
            if let Some(items @ (Value::Array(_) | Value::String(_))) = each.get("items") {
                return Some(ForEach {
                    items: items.clone(),
                    concurrency: limit,
                });
            }
            found.add(each.at("items"), "must be an array or a template that gives one");
            None
        }
        _ => {
            found.add(
                object.at("for_each"),
                "must be an array, a template that gives one, or {items, concurrency}",
            );
            None
        }
    }
}

fn retry_of(object: &Object<'_>, found: &mut Findings) -> RetryPolicy {
    let mut policy = RetryPolicy {
        delay_ms: BACKOFF_MS,
        ..RetryPolicy::default()
    };
    let Some(retry) = object.object("retry", found) else {
        return policy;
    };
    policy.max_attempts = 1 + not_negative(&retry, "max", MAX_RETRIES, found).unwrap_or(0) as u32;
    let delay = not_negative(&retry, "backoff_ms", MAX_MS, found).filter(|ms| *ms > 0);
    policy.delay_ms = delay.unwrap_or(BACKOFF_MS);
    let growth = [("fixed", Backoff::Fixed), ("exponential", Backoff::Exponential)];
    policy.backoff = retry.choice("backoff", &growth, found).unwrap_or_default();
    let cap = retry.whole("max_backoff_ms", 1, MAX_MS, found);
    policy.max_delay_ms = cap.unwrap_or(policy.max_delay_ms.max(policy.delay_ms));
    policy.jitter_percent = retry.whole("jitter_percent", 0, 100, found).unwrap_or(0) as u8;
    if let Some(lost) = retry.whole("max_lost", 0, MAX_RETRIES, found) {
        policy.max_lost = lost as u32;
    }
    let code = |value: &Value| whole(value).and_then(|code| u16::try_from(code).ok());
    let kind = |value: &Value| value.as_str().map(str::to_owned);
    policy.non_retryable_codes = list(&retry, "non_retryable_codes", "status codes", code, found);
    policy.non_retryable_kinds = list(&retry, "non_retryable_kinds", "strings", kind, found);
    policy
}

/// A negative number counts as zero, as in the original; the default schema refuses it before that.
fn not_negative(retry: &Object<'_>, name: &str, most: u64, found: &mut Findings) -> Option<u64> {
    if retry
        .get(name)
        .is_some_and(|value| value.as_i64().is_some_and(|number| number < 0))
    {
        return None;
    }
    let number = retry.get(name).and_then(whole);
    if let Some(number) = number
        && number > most
    {
        found.add(retry.at(name), format!("must be at most {most}"));
    } else if number.is_none() && retry.get(name).is_some() {
        found.add(retry.at(name), "must be an integer >= 0");
    }
    number
}

fn list<T>(
    object: &Object<'_>,
    name: &str,
    what: &str,
    read: impl Fn(&Value) -> Option<T>,
    found: &mut Findings,
) -> Vec<T> {
    let Some(value) = object.get(name) else {
        return Vec::new();
    };
    let items = value
        .as_array()
        .and_then(|items| items.iter().map(read).collect::<Option<Vec<T>>>());
    items.unwrap_or_else(|| {
        found.add(object.at(name), format!("must be an array of {what}"));
        Vec::new()
    })
}

fn dependencies(object: &Object<'_>, ids: &[String], names: &Names<'_>, found: &mut Findings) -> Vec<Dependency> {
    let items = match object.get("depends_on") {
        None => return Vec::new(),
        Some(Value::Array(items)) => items.as_slice(),
        Some(one @ (Value::String(_) | Value::Object(_))) => std::slice::from_ref(one),
        Some(_) => {
            found.add(object.at("depends_on"), "must be an array of steps");
            return Vec::new();
        }
    };
    let mut read = Vec::with_capacity(items.len());
    for (nth, item) in items.iter().enumerate() {
        let at = || format!("{}[{nth}]", object.at("depends_on"));
        let (name, on) = match item {
            Value::String(name) => (name.as_str(), EdgeOn::Success),
            Value::Object(map) => {
                let edge = Object::new(at(), map);
                let ends = [
                    ("success", EdgeOn::Success),
                    ("failure", EdgeOn::Failure),
                    ("always", EdgeOn::Always),
                ];
                let on = edge.choice("on", &ends, found).unwrap_or_default();
                if edge.get("step").is_none() {
                    found.add(edge.at("step"), "is required");
                }
                (edge.text("step", found).unwrap_or_default(), on)
            }
            _ => {
                found.add(at(), "must be a step's id, or {step, on}");
                continue;
            }
        };
        match names.find(ids, name) {
            Ok(step) => read.push(after(step, on)),
            Err(message) => found.add(at(), message),
        }
    }
    read
}

fn check_input(object: &Object<'_>, spec: &StepSpec, registry: Option<&Registry>, found: &mut Findings) {
    let Some(executor) = registry.and_then(|registry| registry.executor(&spec.action)) else {
        return;
    };
    let names_secrets =
        || Template::compile_sent(&spec.input, &Limits::DEFAULT).is_ok_and(|it| !it.secrets().is_empty());
    if !executor.takes_secrets() && names_secrets() {
        found.add(
            object.at("input"),
            format!("the action {} takes no secrets", spec.action),
        );
    }
    if let Err(finding) = executor.check_input(&spec.action, &spec.input) {
        let (field, message) = finding.split_once(": ").unwrap_or(("input", finding.as_str()));
        found.add(object.at(field), message);
    }
}

/// What is returned of a step.
fn document_of(object: &Object<'_>, spec: &StepSpec) -> Value {
    let mut step = Map::new();
    step.insert("id".to_owned(), spec.key.as_str().into());
    step.insert("name".to_owned(), spec.name.as_str().into());
    step.insert("action".to_owned(), spec.action.as_str().into());
    if !spec.input.is_null() {
        step.insert("input".to_owned(), spec.input.clone());
    }
    let retry = object.get("retry").and_then(Value::as_object);
    let is_zero = |name: &str, value: &Value| matches!(name, "max" | "backoff_ms") && value.as_f64() == Some(0.0);
    let kept = |name: &&str| {
        retry?
            .get(*name)
            .filter(|value| !value.is_null() && !is_zero(name, value))
    };
    let retry: Map<String, Value> = RETRY
        .iter()
        .filter_map(|name| kept(name).map(|value| ((*name).to_owned(), value.clone())))
        .collect();
    step.insert("retry".to_owned(), Value::Object(retry));
    if spec.requires_approval {
        step.insert("requires_approval".to_owned(), true.into());
    }
    for name in ADDITIONS {
        if let Some(value) = object.get(name) {
            step.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(step)
}
