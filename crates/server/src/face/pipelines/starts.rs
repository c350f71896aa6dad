//! Starting work: a pipeline by its trigger, and tasks by themselves through the queue.
//!
//! The input is stored where workers will look for it before the run is: a worker that is told of a run finds its input.
//! If the run then does not come about, an object is left that nothing points to.

mod repeat;

use std::sync::Arc;

use axum::extract::{Path, State};
use http::HeaderMap;
use quintet_core::id::RunId;
use quintet_core::outcome::Success;
use quintet_core::plan::Plan;
use quintet_core::time::Time;
use quintet_engine::{EngineError, Idempotency, StartRun};
use serde_json::{Map, Value, json};

use super::body::Json;
use super::directory::Picture;
use super::graph::Pipeline;
use super::labels::Labels;
use super::plan::FailureMode;
use super::public_id::{PipelineRunId, TaskRunId};
use super::reply::{self, Answer, Refusal};
use super::state::Pipelines;
use super::validation;
use super::zod_error::{self, Fields, Findings, Range};
use crate::app::App;
use repeat::Earlier;

/// Tasks of one batch.
const MAX_BATCH: usize = 1_000;
/// Longest idempotency key, in bytes.
const MAX_KEY: usize = 255;
/// Where a client may also put the key.
const KEY_HEADER: &str = "idempotency-key";

/// Workflow ids of runs of pipelines begin so.
pub(super) const OF_PIPELINE: &str = "pipeline:";
/// Workflow ids of tasks by themselves begin so.
pub(super) const OF_TASK: &str = "task:";

/// What becomes of an input that does not fit its task's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Validation {
    Strict,
    #[default]
    Warn,
    None,
}

/// A request to start something, read from its body.
struct Wish {
    input: Value,
    priority: Option<i32>,
    metadata: Map<String, Value>,
    key: Option<String>,
    /// When it may begin.
    not_before: Option<Time>,
}

impl Wish {
    fn read(fields: &Fields<'_>, found: &mut Findings) -> Self {
        let range = Range::from(f64::from(i32::MIN + 1)).to(f64::from(i32::MAX));
        let priority = fields.optional_number("priority", range, found);
        let key = fields.optional_text("idempotencyKey", found);
        if key.is_some_and(|key| key.is_empty() || key.len() > MAX_KEY) {
            found.add(&fields.at("idempotencyKey"), format!("must have 1 to {MAX_KEY} bytes"));
        }
        Self {
            input: fields.get("input").cloned().unwrap_or_else(|| json!({})),
            priority: priority.map(|priority| priority.round() as i32),
            metadata: fields.optional_object("metadata", found).cloned().unwrap_or_default(),
            key: key.map(str::to_owned),
            not_before: None,
        }
    }

    fn with_header(mut self, headers: &HeaderMap) -> Result<Self, Refusal> {
        let header = headers.get(KEY_HEADER).map(|key| key.to_str().unwrap_or_default());
        match header {
            None => {}
            Some(key) if key.is_empty() || key.len() > MAX_KEY => {
                return Err(Refusal::bad(format!(
                    "Idempotency-Key must have 1 to {MAX_KEY} visible characters"
                )));
            }
            Some(key) => self.key = self.key.or(Some(key.to_owned())),
        }
        Ok(self)
    }
}

/// What is to run.
struct Target {
    workflow: Arc<str>,
    plan: Arc<Plan>,
    labels: Labels,
    /// Default lifetime of a cached result, in milliseconds.
    ttl_ms: u64,
}

impl Pipelines {
    /// Looks once more at the store before an id counts as unknown: another node may know it.
    pub(super) async fn picture_with(
        &self,
        app: &App,
        is_there: impl Fn(&Picture) -> bool,
    ) -> Result<Arc<Picture>, Refusal> {
        let picture = self.directory.picture();
        if is_there(&picture) || !self.store.is_shared() {
            return Ok(picture);
        }
        self.catch_up(&app.engine).await?;
        Ok(self.directory.picture())
    }

    fn ttl_ms(&self, task: Option<u64>) -> u64 {
        task.unwrap_or(self.settings.idempotency_ttl_seconds.saturating_mul(1_000))
    }
}

pub(super) async fn trigger(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Json,
) -> Answer {
    let pipelines = &app.pipelines;
    pipelines.must_take_work()?;
    let body = body.or_empty();
    let (wish, mode, validation) = read_trigger(&body)?;
    let wish = wish.with_header(&headers)?;
    let picture = pipelines
        .picture_with(&app, |picture| picture.pipeline(&id).is_some())
        .await?;
    let pipeline = picture.pipeline(&id);
    let pipeline = pipeline.ok_or_else(|| Refusal::not_found("Pipeline not found", "pipelineId", &id))?;
    let warnings = check_inputs(&picture, &pipeline, &wish.input, validation)?;
    let mode = mode.unwrap_or_default();
    let plan = picture.plan_of(&pipeline, mode, &pipelines.rules);
    let plan = plan.map_err(|reason| Refusal::bad("Failed to trigger pipeline").because(reason))?;
    let target = Target {
        workflow: format!("{OF_PIPELINE}{id}").into(),
        plan,
        ttl_ms: pipelines.ttl_ms(ttl_of_entries(&picture, &pipeline)),
        labels: Labels {
            pipeline: Some(id.clone()),
            pipeline_version: Some(pipeline.version()),
            failure_mode: mode,
            input_path: String::new(),
            backend: pipelines.assets.ready()?.storage.default_bucket().backend().id.clone(),
            metadata: wish.metadata.clone(),
            idempotency_key: wish.key.clone(),
        },
    };
    let entries = pipeline.entries;
    let names: Vec<&str> = pipeline.tasks[..entries].iter().map(|task| &*task.id).collect();
    let started = start(&app, &target, &wish, entries).await?;
    let queued: Vec<String> = names
        .iter()
        .filter_map(|name| started.task_run(&target.plan, name))
        .collect();
    let mut answer = json!({
        "pipelineRunId": PipelineRunId(started.run).to_string(),
        "status": "running",
        "inputPath": input_path(started.run, true),
        "entryTasks": names,
        "queuedTasks": queued,
    });
    if !warnings.is_empty() {
        answer["validationWarnings"] = Value::Object(warnings);
    }
    Ok(reply::json(&answer))
}

/// An object that has `input` is an envelope; anything else is the input itself.
fn read_trigger(body: &Value) -> Result<(Wish, Option<FailureMode>, Validation), Refusal> {
    let mut found = Findings::default();
    let is_envelope = body.as_object().is_some_and(|map| map.contains_key("input"));
    if !is_envelope {
        if !body.is_object() {
            found.add(&zod_error::Path::root(), zod_error::expected("object", Some(body)));
            return Err(found.into());
        }
        let wish = Wish {
            input: body.clone(),
            priority: None,
            metadata: Map::new(),
            key: None,
            not_before: None,
        };
        return Ok((wish, None, Validation::default()));
    }
    let Some(fields) = Fields::of(Some(body), zod_error::Path::root(), &mut found) else {
        return Err(found.into());
    };
    let wish = Wish::read(&fields, &mut found);
    let mode = fields.choice("failureMode", &FailureMode::CHOICES, &mut found);
    let choices = [
        ("strict", Validation::Strict),
        ("warn", Validation::Warn),
        ("none", Validation::None),
    ];
    let validation = fields.choice("validationMode", &choices, &mut found);
    if found.is_any() {
        return Err(found.into());
    }
    Ok((wish, mode, validation.unwrap_or_default()))
}

/// Findings about the input, by entry task.
fn check_inputs(
    picture: &Picture,
    pipeline: &Pipeline,
    input: &Value,
    mode: Validation,
) -> Result<Map<String, Value>, Refusal> {
    let mut all = Map::new();
    if mode == Validation::None {
        return Ok(all);
    }
    for entry in &pipeline.tasks[..pipeline.entries] {
        let schema = picture
            .task(&entry.id)
            .and_then(|task| task.entry.input_schema.as_ref());
        let Some(schema) = schema else { continue };
        let found = validation::validate(schema, input);
        if !found.is_empty() {
            all.insert(entry.id.to_string(), json!(found));
        }
    }
    if mode == Validation::Strict && !all.is_empty() {
        return Err(Refusal::bad("Input validation failed").with("validationErrors", Value::Object(all)));
    }
    Ok(all)
}

/// How long the results of a pipeline's entries may be taken over: as long as the least of them.
fn ttl_of_entries(picture: &Picture, pipeline: &Pipeline) -> Option<u64> {
    let entries = pipeline.tasks[..pipeline.entries].iter();
    let ttl = entries.filter_map(|entry| picture.task(&entry.id)?.entry.idempotency_ttl_ms);
    ttl.min()
}

/// A run that was asked for.
struct Begun {
    run: RunId,
    /// It is an earlier one.
    is_earlier: bool,
    /// And it has ended well.
    is_complete: bool,
}

impl Begun {
    fn task_run(&self, plan: &Plan, task: &str) -> Option<String> {
        let node = plan.step_index(task)?;
        Some(TaskRunId { run: self.run, node }.to_string())
    }
}

/// Where the input of a run lies.
fn input_path(run: RunId, is_pipeline: bool) -> String {
    if is_pipeline {
        format!("pipelines/{}/input.json", PipelineRunId(run))
    } else {
        format!("standalone/{}/input.json", TaskRunId { run, node: 0 })
    }
}

/// Starts a run of a target, or finds the one that its key stands for. The results of an earlier run's first `entries`
/// steps are taken over where the key stands for one that has ended well.
async fn start(app: &App, target: &Target, wish: &Wish, entries: usize) -> Result<Begun, Refusal> {
    loop {
        let earlier = repeat::earlier(app, target, wish).await?;
        let (mut reused, mut replaces) = (Vec::new(), None);
        match earlier {
            Earlier::None => {}
            Earlier::UnderWay(run) => {
                return Ok(Begun {
                    run,
                    is_earlier: true,
                    is_complete: false,
                });
            }
            Earlier::Complete(state) => {
                if target.labels.pipeline.is_none() {
                    return Ok(Begun {
                        run: state.id,
                        is_earlier: true,
                        is_complete: true,
                    });
                }
                let result = |n: u32| Some((n, state.nodes.get(n as usize)?.success.clone()?));
                // Of the same plan the steps have the same places; of another one nothing is taken over.
                if state.plan.digest == target.plan.digest {
                    reused = (0..entries as u32).filter_map(result).collect();
                }
                replaces = Some(vec![state.id]);
            }
            Earlier::Void(run) => replaces = Some(vec![run]),
        }
        let run = app.engine.mint(1)[0];
        let start = begin(app, target, wish, run, reused).await?;
        let key = wish.key.as_deref().map(|key| Idempotency {
            ttl_ms: Some(repeat::REMEMBERED_MS),
            replaces,
            ..Idempotency::new(&repeat::scope(target), key, repeat::digest(wish))
        });
        match app.engine.start_runs(vec![start], key, false).await {
            Ok(started) if started.replayed => {
                // Somebody was faster with the same key: what became of that decides anew.
                continue;
            }
            Ok(_) => {
                return Ok(Begun {
                    run,
                    is_earlier: false,
                    is_complete: false,
                });
            }
            Err(EngineError::IdempotencyMismatch) => {
                let message = "the idempotency key was used before with another input; use a new key";
                return Err(Refusal::conflict("Idempotency key was used before").because(message));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn begin(
    app: &App,
    target: &Target,
    wish: &Wish,
    run: RunId,
    reused: Vec<(u32, Arc<Success>)>,
) -> Result<StartRun, Refusal> {
    let pipelines = &app.pipelines;
    let labels = Labels {
        input_path: input_path(run, target.labels.pipeline.is_some()),
        ..target.labels.clone()
    };
    let stored = pipelines.assets.ready()?.put_input(run, &labels, &wish.input).await;
    stored.map_err(|failure| Refusal::unavailable("Storage unavailable").because(failure.message))?;
    pipelines
        .claim_uploads(&wish.input, run, labels.pipeline.is_some())
        .await?;
    Ok(StartRun {
        workflow: Arc::clone(&target.workflow),
        context: Arc::new(wish.input.clone()),
        priority: wish.priority.map_or(0, i32::saturating_neg),
        priority_is_for_all: wish.priority.is_some(),
        not_before: wish.not_before,
        labels: labels.to_map(),
        id: Some(run),
        reused,
        ..StartRun::of(&pipelines.namespace, Arc::clone(&target.plan))
    })
}

/// One task of the queue's requests.
struct Item {
    task: String,
    wish: Wish,
}

fn read_item(fields: &Fields<'_>, found: &mut Findings) -> Option<Item> {
    let task = fields.text("taskId", found);
    let mut wish = Wish::read(fields, found);
    wish.not_before = scheduled_for(fields, found);
    Some(Item {
        task: task?.to_owned(),
        wish,
    })
}

fn scheduled_for(fields: &Fields<'_>, found: &mut Findings) -> Option<Time> {
    let text = fields.optional_text("scheduledFor", found)?;
    let time = Time::parse_rfc3339(text);
    if time.is_none() {
        found.add(&fields.at("scheduledFor"), "Invalid datetime");
    }
    time
}

fn target_of(pipelines: &Pipelines, picture: &Picture, item: &Item) -> Result<Target, Refusal> {
    let unknown = || {
        Refusal::not_found("Task not found", "taskId", &item.task).because(format!("Task '{}' not found", item.task))
    };
    let task = picture.task(&item.task).ok_or_else(unknown)?;
    let plan = picture.plan_of_task(task, &pipelines.rules);
    let plan = plan.map_err(|reason| Refusal::bad("Failed to queue task").because(reason))?;
    Ok(Target {
        workflow: format!("{OF_TASK}{}", item.task).into(),
        plan,
        ttl_ms: pipelines.ttl_ms(task.entry.idempotency_ttl_ms),
        labels: Labels {
            pipeline: None,
            pipeline_version: None,
            failure_mode: FailureMode::default(),
            input_path: String::new(),
            backend: pipelines.assets.ready()?.storage.default_bucket().backend().id.clone(),
            metadata: item.wish.metadata.clone(),
            idempotency_key: item.wish.key.clone(),
        },
    })
}

fn queued(item: &Item, begun: &Begun) -> Value {
    json!({
        "runId": TaskRunId { run: begun.run, node: 0 }.to_string(),
        "status": if begun.is_earlier && begun.is_complete { "completed" } else { "queued" },
        "taskId": item.task,
        "inputPath": input_path(begun.run, false),
    })
}

pub(super) async fn queue_task(State(app): State<Arc<App>>, headers: HeaderMap, body: Json) -> Answer {
    let pipelines = &app.pipelines;
    pipelines.must_take_work()?;
    let body = body.or_empty();
    let mut found = Findings::default();
    let fields = Fields::of(Some(&body), zod_error::Path::root(), &mut found);
    let item = fields.and_then(|fields| read_item(&fields, &mut found));
    let Some(mut item) = item.filter(|_| !found.is_any()) else {
        return Err(found.into());
    };
    item.wish = item.wish.with_header(&headers)?;
    let picture = pipelines
        .picture_with(&app, |picture| picture.task(&item.task).is_some())
        .await?;
    let target = target_of(pipelines, &picture, &item)?;
    let begun = start(&app, &target, &item.wish, 0).await?;
    Ok(reply::json(&queued(&item, &begun)))
}

/// All or nothing: every item is checked before the first is started, and those without a key are started by one commit.
pub(super) async fn queue_batch(State(app): State<Arc<App>>, body: Json) -> Answer {
    let pipelines = &app.pipelines;
    pipelines.must_take_work()?;
    let items = read_batch(&body.or_empty())?;
    let all = |picture: &Picture| items.iter().all(|item| picture.task(&item.task).is_some());
    let picture = pipelines.picture_with(&app, all).await?;
    let mut targets = Vec::with_capacity(items.len());
    for item in &items {
        targets.push(target_of(pipelines, &picture, item)?);
    }
    let fresh: Vec<usize> = (0..items.len()).filter(|&nth| items[nth].wish.key.is_none()).collect();
    let ids = app.engine.mint(fresh.len());
    let mut starts = Vec::with_capacity(fresh.len());
    for (&nth, &run) in fresh.iter().zip(&ids) {
        starts.push(begin(&app, &targets[nth], &items[nth].wish, run, Vec::new()).await?);
    }
    if !starts.is_empty() {
        app.engine.start_runs(starts, None, false).await?;
    }
    let mut ids = ids.into_iter();
    let mut results = Vec::with_capacity(items.len());
    for (item, target) in items.iter().zip(&targets) {
        let begun = match &item.wish.key {
            None => ids.next().map(|run| Begun {
                run,
                is_earlier: false,
                is_complete: false,
            }),
            Some(_) => Some(start(&app, target, &item.wish, 0).await?),
        };
        results.extend(begun.map(|begun| queued(item, &begun)));
    }
    Ok(reply::json(&json!({ "queued": results.len(), "results": results })))
}

fn read_batch(body: &Value) -> Result<Vec<Item>, Refusal> {
    let mut found = Findings::default();
    let Some(fields) = Fields::of(Some(body), zod_error::Path::root(), &mut found) else {
        return Err(found.into());
    };
    let tasks = fields.list("tasks", &mut found).unwrap_or_default();
    if tasks.len() > MAX_BATCH {
        found.add(
            &fields.at("tasks"),
            format!("Array must contain at most {MAX_BATCH} element(s)"),
        );
        return Err(found.into());
    }
    let mut items = Vec::with_capacity(tasks.len());
    for (nth, task) in tasks.iter().enumerate() {
        let fields = Fields::of(Some(task), fields.at("tasks").at(nth), &mut found);
        items.extend(fields.and_then(|fields| read_item(&fields, &mut found)));
    }
    if found.is_any() { Err(found.into()) } else { Ok(items) }
}
