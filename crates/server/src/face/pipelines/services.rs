//! Services that have registered, with their tasks.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::json;

use super::directory::{Picture, RegisterError, Service, Task};
use super::model::{self, Stamp, TaskDefinition, TaskFacts};
use super::reply::{self, Answer, Refusal};
use super::state::Pipelines;
use crate::app::App;

pub(super) async fn list(State(app): State<Arc<App>>) -> Answer {
    let pipelines = &app.pipelines;
    let picture = pipelines.directory.picture();
    let services = picture.services.values();
    let services: Vec<model::Service> = services
        .map(|service| view(pipelines, service, tasks_of(&picture, service).len()))
        .collect();
    Ok(reply::json(&json!({ "services": services })))
}

pub(super) async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let (picture, id) = known(&app, id).await?;
    let service = find(&picture, &id)?;
    let tasks = definitions(&picture, service);
    let service = model::Service {
        tasks: Some(tasks.clone()),
        ..view(&app.pipelines, service, tasks.len())
    };
    Ok(reply::json(&json!({ "service": service })))
}

pub(super) async fn tasks(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let (picture, id) = known(&app, id).await?;
    let tasks = definitions(&picture, find(&picture, &id)?);
    Ok(reply::json(&json!({ "serviceId": id, "tasks": tasks })))
}

/// An addition to the original: without it a service that is gone for good would be listed for ever, and keep its
/// task ids from others.
pub(super) async fn remove(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let pipelines = &app.pipelines;
    let removed = pipelines.directory.remove(&id, pipelines.clock.now()).await;
    let removed = removed.map_err(|error| match error {
        RegisterError::Store(error) => error.into(),
        RegisterError::Busy | RegisterError::Taken { .. } => {
            Refusal::unavailable("Failed to remove service").because(error.to_string())
        }
    })?;
    if !removed {
        return Err(not_found(&id));
    }
    pipelines.serve(&app.engine);
    app.engine.store().hint();
    tracing::info!(service = id, "service removed");
    Ok(reply::json(&json!({ "success": true, "serviceId": id })))
}

async fn known(app: &App, id: String) -> Result<(Arc<Picture>, String), Refusal> {
    let picture = app
        .pipelines
        .picture_with(app, |picture| picture.services.contains_key(id.as_str()));
    Ok((picture.await?, id))
}

fn find<'p>(picture: &'p Picture, id: &str) -> Result<&'p Service, Refusal> {
    picture.services.get(id).ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> Refusal {
    Refusal::not_found("Service not found", "serviceId", id)
}

fn view(pipelines: &Pipelines, service: &Service, task_count: usize) -> model::Service {
    let (status, heard_at) = pipelines.contacts.of(&service.id, pipelines.clock.now());
    model::Service {
        id: service.id.to_string(),
        service_id: service.id.to_string(),
        version: service.version.clone(),
        base_url: service.base_url.clone(),
        status,
        registered_at: Stamp(service.registered_at),
        last_heartbeat: heard_at.map(Stamp),
        task_count,
        tasks: None,
    }
}

/// The tasks that a service does, in the order of its registration. Those that it left out of a later one without
/// changing its version are still its own, and come last.
fn tasks_of<'p>(picture: &'p Picture, service: &Service) -> Vec<&'p Task> {
    let is_own = |task: &&Task| task.service == service.id && task.removed_in.is_none();
    let registered: HashSet<&str> = service.tasks.iter().map(String::as_str).collect();
    let first = service.tasks.iter().filter_map(|id| picture.tasks.get(id.as_str()));
    let rest = picture
        .tasks
        .values()
        .filter(|task| !registered.contains(task.entry.id.as_str()));
    first.chain(rest).filter(is_own).collect()
}

fn definitions(picture: &Picture, service: &Service) -> Vec<TaskDefinition> {
    let tasks = tasks_of(picture, service).into_iter();
    let definition = |task: &Task| {
        let facts = TaskFacts {
            service_id: &task.service,
            code_version: task.code_version,
            registered_at: task.registered_at,
            updated_at: task.updated_at,
        };
        TaskDefinition::of(&task.entry, facts)
    };
    tasks.map(definition).collect()
}
