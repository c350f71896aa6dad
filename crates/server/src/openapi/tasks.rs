//! The operations of the tasks face, and of the queues and backends behind it.

mod answers;
mod document;

use serde_json::{Map, Value, json};

use super::operation::{Operation, reference};
use super::paths::idempotent;
use crate::picture::Format;

const TAG: &str = "tasks";
const QUEUES: &str = "queues";
const UNKNOWN: &str = "No such task.";
const MAINTENANCE: &str = "In maintenance, stopping, or the store cannot be used.";

/// Every operation of the face.
pub(super) fn all() -> Vec<Operation> {
    let mut all = submitted();
    all.extend(observed());
    all.extend(pictures());
    all.extend(queues());
    all
}

/// The schemas that they name.
pub(super) fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    for part in [document::all(), answers::all(), answers::queues()] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    all
}

fn operation(call: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(call, id, TAG, summary).of_tasks()
}

fn text() -> Value {
    json!({ "type": "string" })
}

/// Ids are unique over all queues: naming one is not needed, and narrows the search where it is done.
fn in_queue(operation: Operation) -> Operation {
    operation.query("queue", "Only if it is in this queue.", text())
}

fn submitted() -> Vec<Operation> {
    vec![
        idempotent(operation("post /api/tasks", "submitTask", "Submit a task"))
            .about(
                "With `steps` it is a pipeline, and `type` is only its name. With `cron` it is a schedule that submits \
                the task again and again.",
            )
            .body("TaskDocument", true, document::chat())
            .ok("TaskAccepted")
            .error(400, "The document is wrong; `message` says where.")
            .error(503, MAINTENANCE),
        in_queue(operation("get /api/tasks/{id}", "getTask", "Read a task"))
            .ok("Task")
            .error(404, UNKNOWN),
        in_queue(operation("delete /api/tasks/{id}", "cancelTask", "Call a task off"))
            .about("Whether it waits, is delayed, waits for another attempt or is under way: nothing of it starts any more, \
                and the call that is under way is given up.")
            .ok("TaskCancelled")
            .error(400, "It is already finished.")
            .error(404, UNKNOWN),
        in_queue(operation("post /api/tasks/{id}/retry", "retryTask", "Submit a finished task once more"))
            .about("As a new one, without its delay.")
            .ok("TaskRetried")
            .error(404, UNKNOWN)
            .error(409, "It is still under way.")
            .error(503, MAINTENANCE),
    ]
}

fn observed() -> Vec<Operation> {
    let limit = json!({ "type": "integer", "minimum": 0, "maximum": 1000, "default": 50 });
    let cursor = json!({ "type": "string", "pattern": "^run_[0-7][0-9a-hjkmnp-tv-z]{25}$" });
    let statuses = [
        "queued",
        "running",
        "completed",
        "failed",
        "waiting",
        "active",
        "delayed",
        "prioritized",
        "paused",
        "cancelled",
    ];
    let messages = json!({
        "description": "Messages without an event name, each a JSON object with a `type`; it ends with the task.",
        "content": { "text/event-stream": { "schema": text() } },
    });
    vec![
        operation("get /api/tasks", "listTasks", "List tasks, newest first")
            .query(
                "queue",
                "Of this queue, or of `all`.",
                json!({ "type": "string", "default": "default" }),
            )
            .query(
                "status",
                "Only in this state, by its public or its internal name.",
                json!({ "enum": statuses }),
            )
            .query("limit", "At most so many.", limit)
            .query("cursor", "The `nextCursor` of the page before.", cursor)
            .ok("TaskList"),
        operation("get /api/tasks/types", "listTaskTypes", "List what the backends can do").ok("TaskTypes"),
        operation("get /api/tasks/stream", "followTask", "Follow a task")
            .about("Or several. First what has happened, then what happens, until all of them have ended.")
            .query(
                "taskId",
                "Of this task, or of up to 32 with commas between. Required.",
                text(),
            )
            .header("Last-Event-ID", "Go on after this message.", text())
            .answer(200, messages)
            .error(404, UNKNOWN),
        operation(
            "get /api/tasks/{id}/logs",
            "getTaskLogs",
            "Read what the backend has logged",
        )
        .ok("TaskLogs")
        .error(404, UNKNOWN),
    ]
}

fn pictures() -> Vec<Operation> {
    let names: Vec<&str> = ["json"]
        .into_iter()
        .chain(Format::ALL.into_iter().map(Format::name))
        .collect();
    let mut content: Map<String, Value> = Format::ALL
        .into_iter()
        .map(|format| {
            let media_type = format.media_type().split(';').next().unwrap_or_default();
            (media_type.to_owned(), json!({ "schema": text() }))
        })
        .collect();
    content.insert(
        "application/json".to_owned(),
        json!({ "schema": reference("TaskPicture") }),
    );
    vec![
        operation("post /api/visualize", "visualizeTask", "Draw the steps of a task")
            .about("Submits nothing.")
            .body("TaskPictureRequest", true, document::download())
            .ok("TaskPicture")
            .error(400, "There are no steps, or they cannot be drawn."),
        in_queue(operation(
            "get /api/tasks/{id}/visualize",
            "visualizeSubmittedTask",
            "Draw the steps of a task in their states",
        ))
        .query(
            "format",
            "All that there is to say about the picture, or the picture alone.",
            json!({ "enum": names, "default": "json" }),
        )
        .answer(200, json!({ "description": "The picture.", "content": content }))
        .error(404, UNKNOWN)
        .error(422, "Too many steps for an SVG."),
    ]
}

fn queues() -> Vec<Operation> {
    let own = |call, id, summary| Operation::new(call, id, QUEUES, summary).of_tasks();
    let paused = json!({
        "description": "Done.",
        "content": { "application/json": { "schema": reference("TaskQueue") } },
    });
    vec![
        own("get /v1/queues", "listQueues", "List queues").ok("TaskQueueList"),
        own(
            "post /v1/queues/{name}/pause",
            "pauseQueue",
            "Start nothing more of a queue",
        )
        .about("What is under way goes on. It holds for all nodes, and survives restarts.")
        .answer(200, paused.clone())
        .error(404, "No such queue."),
        own(
            "post /v1/queues/{name}/resume",
            "resumeQueue",
            "Lift the pause of a queue",
        )
        .answer(200, paused)
        .error(404, "No such queue."),
        own("get /v1/backends", "listComputeBackends", "List compute backends")
            .about("As the node that answers sees them.")
            .ok("ComputeBackendList"),
    ]
}
