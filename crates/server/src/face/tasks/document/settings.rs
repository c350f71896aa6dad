//! Settings that a task has, and its steps may have their own of: retries, resources, and how long media are cut up.

use quintet_core::retry::Backoff;
use quintet_executors::media::ChunkRule;
use serde_json::{Map, Value};

use super::read::{Fields, Problems};

/// Attempts in all where nothing is said.
const ATTEMPTS: u32 = 3;
/// Milliseconds between attempts where nothing is said.
const DELAY_MS: u64 = 1_000;
/// Most attempts.
const MAX_ATTEMPTS: i64 = 1_000_000;
/// Most of anything that is counted in megabytes or cores.
const MAX_AMOUNT: f64 = 1e12;

/// When a failed attempt is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    /// In all.
    pub attempts: u32,
    pub backoff: Backoff,
    pub delay_ms: u64,
    pub max_delay_ms: Option<u64>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: ATTEMPTS,
            backoff: Backoff::Fixed,
            delay_ms: DELAY_MS,
            max_delay_ms: None,
        }
    }
}

/// Nothing of something is as good as not having said it.
pub(super) fn retry(fields: &Fields<'_>, problems: &mut Problems) -> Option<Retry> {
    let fields = fields.group("retry", problems)?;
    let attempts = fields.whole("attempts", 0..=MAX_ATTEMPTS, problems);
    let attempts = attempts.and_then(|attempts| u32::try_from(attempts).ok());
    let words = [("fixed", Backoff::Fixed), ("exponential", Backoff::Exponential)];
    let usual = Retry::default();
    Some(Retry {
        attempts: attempts.filter(|attempts| *attempts > 0).unwrap_or(usual.attempts),
        backoff: fields.choice("backoff", &words, problems).unwrap_or_default(),
        delay_ms: fields
            .ms("delay", problems)
            .filter(|ms| *ms > 0)
            .unwrap_or(usual.delay_ms),
        max_delay_ms: fields.ms("maxDelay", problems).filter(|ms| *ms > 0),
    })
}

/// Which GPU is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Gpu {
    #[default]
    None,
    Any,
    Model(String),
}

/// What the work needs.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Resources {
    pub gpu: Gpu,
    /// Megabytes of the GPU's memory.
    pub vram_mb: Option<f64>,
    /// Megabytes.
    pub ram_mb: Option<f64>,
    /// Cores.
    pub cpu: Option<f64>,
    /// For all attempts together.
    pub timeout_ms: Option<u64>,
}

pub(super) fn resources(fields: &Fields<'_>, problems: &mut Problems) -> Option<Resources> {
    let fields = fields.group("resources", problems)?;
    let mut amount = |name| fields.number(name, MAX_AMOUNT, problems).filter(|amount| *amount > 0.0);
    Some(Resources {
        vram_mb: amount("vram"),
        ram_mb: amount("ram"),
        cpu: amount("cpu"),
        gpu: gpu(&fields, problems),
        timeout_ms: fields.seconds("timeout", problems),
    })
}

fn gpu(fields: &Fields<'_>, problems: &mut Problems) -> Gpu {
    match fields.get("gpu") {
        None | Some(Value::Bool(false)) => Gpu::None,
        Some(Value::Bool(true)) => Gpu::Any,
        Some(Value::String(model)) if model.is_empty() => Gpu::None,
        Some(Value::String(model)) => {
            problems.check_name(&fields.at("gpu"), model);
            Gpu::Model(model.clone())
        }
        Some(_) => {
            problems.add(fields.at("gpu"), "must be true, false or the name of a model");
            Gpu::None
        }
    }
}

/// How a long input is cut up. The lengths and the words are those of the rules that an operator writes.
pub(super) fn chunk(fields: &Fields<'_>, problems: &mut Problems) -> Option<ChunkRule> {
    let fields = fields.group("chunk", problems)?;
    let input_field = fields.text("inputField", problems).unwrap_or_default();
    if input_field.is_empty() || input_field.contains("{{") || input_field.contains("{%") {
        problems.add(fields.at("inputField"), "must name a field of the payload");
        return None;
    }
    let mut written = Map::new();
    written.insert("input_field".to_owned(), input_field.into());
    // `defaultSize` is the original's word.
    let size = ["size", "defaultSize"]
        .into_iter()
        .find(|name| fields.get(name).is_some());
    for (rule, name) in [("size", size.unwrap_or("size")), ("overlap", "overlap")] {
        let length = match fields.get(name) {
            // A number is one of seconds.
            Some(Value::Number(seconds)) => Value::String(format!("{seconds}s")),
            Some(other) => other.clone(),
            None => continue,
        };
        written.insert(rule.to_owned(), length);
    }
    for (rule, name) in [("merge", "mergeStrategy"), ("split", "split")] {
        written.extend(fields.get(name).map(|word| (rule.to_owned(), word.clone())));
    }
    let read = serde_json::from_value(Value::Object(written));
    read.map_err(|error| problems.add(fields.path(), error.to_string()))
        .ok()
}
