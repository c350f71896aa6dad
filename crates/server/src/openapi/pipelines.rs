//! The operations of the pipelines face.
//!
//! What workers call is also served below `/w/{token}`. That is said by the servers of the operation, so that each is
//! described once. `GET /api/storage/` is not described: it is there to tell whoever forgot the path that it did.

mod answers;
mod house;
mod requests;

use serde_json::{Map, Value, json};

use super::operation::{Operation, reference};
use super::paths::idempotent;

const TAG: &str = "pipelines";
const UNKNOWN_PIPELINE: &str = "No such pipeline.";
const UNKNOWN_TASK: &str = "No service has registered such a task.";
const UNKNOWN_UPLOAD: &str = "No such upload.";
const UNKNOWN_LETTER: &str = "No such dead letter.";
const OTHER_INPUT: &str = "The idempotency key was used before with another input.";
const MAINTENANCE: &str = "In maintenance, stopping, or the store or the storage cannot be used.";
const TASK_STATUS: [&str; 7] = [
    "pending",
    "running",
    "waiting",
    "completed",
    "failed",
    "timeout",
    "cancelled",
];
const RUN_STATUS: [&str; 6] = ["pending", "running", "completed", "failed", "cancelled", "partial"];

/// Every operation of the face.
pub(super) fn all() -> Vec<Operation> {
    let mut all = workers();
    all.extend(registered());
    all.extend(starts());
    all.extend(runs());
    all.extend(dead_letters());
    all.extend(storage());
    all.extend(upkeep());
    all
}

/// The schemas that they name.
pub(super) fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    let parts = [requests::all()].into_iter().chain(answers::all());
    for part in parts.chain(house::all()) {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    all
}

fn operation(call: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(call, id, TAG, summary).of_pipelines()
}

/// `limit` and `offset`.
fn slice(operation: Operation) -> Operation {
    let number = |least: u32, most: u32, default: u32| json!({ "anyOf": [{ "type": "integer", "minimum": least, "maximum": most, "default": default }, empty()] });
    operation
        .query("limit", "Most entries of the page.", number(1, 1_000, 100))
        .query("offset", "So many entries are passed over.", number(0, 100_000, 0))
}

/// A parameter without a value counts as absent.
fn empty() -> Value {
    json!({ "type": "string", "maxLength": 0 })
}

fn one_of(words: &[&str]) -> Value {
    json!({ "anyOf": [{ "enum": words }, empty()] })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn workers() -> Vec<Operation> {
    let of_workers = |call, id, summary| {
        let token = json!({ "token": { "default": "TOKEN", "description": "`pipelines.worker_token`, for workers that can send no header." } });
        operation(call, id, summary).also_below("/w/{token}", token)
    };
    let beat = json!({ "runId": "trun_0a1b2c3d4e5f6g7h8i9j0k1l20", "progress": 40, "message": "page 4 of 10" });
    vec![
        of_workers("post /api/register", "registerService", "Say what a worker does")
            .about("Replaces what the service registered before. Tasks that it leaves out under another version are orphaned: \
                runs in which one of them is pending are cancelled.")
            .body("Registration", true, requests::registration())
            .ok("Registered")
            .error(409, "Another service does one of the tasks."),
        of_workers("post /api/heartbeat", "heartbeat", "Show that an attempt is under way")
            .about("Acknowledged for unknown and finished runs too.")
            .body("Heartbeat", true, beat.clone())
            .ok("HeartbeatAnswer"),
        of_workers("post /api/progress", "progress", "Say how far an attempt has come")
            .about("The same as a heartbeat.")
            .body("Heartbeat", true, beat)
            .ok("HeartbeatAnswer"),
        of_workers("post /api/callback/{id}", "callback", "Answer for an attempt")
            .about("The first answer of an attempt counts; later ones are acknowledged and change nothing.")
            .body("Callback", true, requests::callback())
            .ok("CallbackAnswer")
            .error(404, "No such attempt was ever made."),
    ]
}

fn registered() -> Vec<Operation> {
    vec![
        operation("get /api/services", "listServices", "List services, by id").ok("ServiceList"),
        operation("get /api/services/{id}", "getService", "Read a service with its tasks")
            .ok("ServiceAnswer")
            .error(404, "No such service."),
        operation("delete /api/services/{id}", "removeService", "Forget a service and its tasks")
            .about("Runs of its tasks stay, and wait for a service that registers them.")
            .ok("ServiceRemoved")
            .error(404, "No such service."),
        operation("get /api/services/{id}/tasks", "listServiceTasks", "List the tasks of a service")
            .ok("ServiceTasks")
            .error(404, "No such service."),
        operation("get /api/tasks/{id}/history", "getTaskHistory", "List the versions of a task's code")
            .about("The latest first. A task that nobody knows has none.")
            .ok("TaskHistory"),
        operation("get /api/tasks/{id}/input-schema", "getInputSchema", "Read what a task's input looks like")
            .ok("InputSchema")
            .error(404, UNKNOWN_TASK),
        operation("post /api/tasks/{id}/validate-input", "validateInput", "Check an input, start nothing")
            .body("InputCheck", true, json!({ "input": { "pdfUrl": "https://example.com/a.pdf" } }))
            .ok("InputValidation")
            .error(404, UNKNOWN_TASK),
        operation("get /api/pipelines", "listPipelines", "List pipelines, by id")
            .about("Those of services, and those of entry tasks that something follows. Any other task can be triggered too.")
            .ok("PipelineList"),
        operation("get /api/pipelines/{id}", "getPipeline", "Read a pipeline")
            .ok("PipelineAnswer")
            .error(404, UNKNOWN_PIPELINE),
        operation("post /api/pipelines/{id}/dry-run", "dryRunPipeline", "Say what a run would do")
            .about("Starts nothing. Where an input is given it is checked.")
            .body("DryRunRequest", false, json!({ "input": { "pdfUrl": "https://example.com/a.pdf" } }))
            .ok("DryRun")
            .error(404, UNKNOWN_PIPELINE),
    ]
}

fn starts() -> Vec<Operation> {
    let item = || json!({ "taskId": "download", "input": { "pdfUrl": "https://example.com/a.pdf" } });
    vec![
        idempotent(operation("post /api/pipelines/{id}/trigger", "triggerPipeline", "Start a run of a pipeline"))
            .about("A body without `input` is the input itself. With a key that stands for a finished run, a new run takes over \
                the results of the entry tasks.")
            .body("Trigger", false, json!({ "input": { "pdfUrl": "https://example.com/a.pdf" }, "failureMode": "continue" }))
            .ok("Triggered")
            .error(400, "The body, the pipeline, or in strict mode the input is wrong.")
            .error(404, UNKNOWN_PIPELINE)
            .error(409, OTHER_INPUT)
            .error(503, MAINTENANCE),
        idempotent(operation("post /api/queue/task", "queueTask", "Run one task by itself"))
            .about("A task with `scheduledFor` begins at that time, if that is still to come.")
            .body("QueueItem", true, item())
            .ok("Queued")
            .error(404, UNKNOWN_TASK)
            .error(409, OTHER_INPUT)
            .error(503, MAINTENANCE),
        operation("post /api/queue/batch", "queueTasks", "Run tasks by themselves, all or none")
            .about("All are checked before the first is started. Those without a key start by one commit.")
            .body("QueueBatch", true, json!({ "tasks": [item()] }))
            .ok("QueuedBatch")
            .error(404, UNKNOWN_TASK)
            .error(409, OTHER_INPUT)
            .error(503, MAINTENANCE),
        operation("get /api/queue/status", "getQueueStatus", "Count task runs by state").ok("QueueStatus"),
        slice(operation("get /api/queue/items", "listQueueItems", "List task runs"))
            .about("The lower priority number first, then the older.")
            .query("status", "Only in this state.", one_of(&TASK_STATUS))
            .query("taskId", "Only of this task.", text())
            .query("pipelineRunId", "Only of this pipeline run.", text())
            .ok("TaskRunList"),
        process("post /api/process", "process"),
        process("post /api/tick", "tick"),
    ]
}

fn process(call: &'static str, id: &'static str) -> Operation {
    operation(call, id, "Hand out what is due")
        .about("For `pipelines.mode = \"serverless\"`, where nothing is handed out otherwise. Both paths do the same.")
        .ok("Processed")
}

fn runs() -> Vec<Operation> {
    let time = || json!({ "type": "string", "examples": ["2026-01-31T12:00:00Z", "2026-01-31"] });
    vec![
        slice(operation(
            "get /api/runs",
            "listPipelineRuns",
            "List pipeline runs, newest first",
        ))
        .query("pipelineId", "Only of this pipeline.", text())
        .query("status", "Only in this state.", one_of(&RUN_STATUS))
        .query(
            "from",
            "Only those accepted at or after this time, or on or after this day.",
            time(),
        )
        .query(
            "to",
            "Only those accepted until this time, or until the end of this day.",
            time(),
        )
        .ok("PipelineRunList"),
        operation(
            "get /api/runs/{id}",
            "getPipelineRun",
            "Read a pipeline run with its tasks",
        )
        .ok("PipelineRunAnswer")
        .error(404, "No such run."),
        operation("get /api/task-runs/{id}", "getTaskRun", "Read a task run")
            .ok("TaskRun")
            .error(404, "No such task run."),
    ]
}

fn dead_letters() -> Vec<Operation> {
    let flag = one_of(&["true", "false", "1", "0"]);
    vec![
        slice(operation(
            "get /api/dlq",
            "listDeadLetters",
            "List what failed for good, the latest first",
        ))
        .query("pipelineId", "Only of this pipeline.", text())
        .query("taskId", "Only of this task.", text())
        .query("includeRetried", "Also those that were tried again.", flag)
        .ok("DeadLetterList"),
        operation("get /api/dlq/{id}", "getDeadLetter", "Read a dead letter")
            .ok("DeadLetter")
            .error(404, UNKNOWN_LETTER),
        operation("post /api/dlq/{id}/retry", "retryDeadLetter", "Try again what failed")
            .about("In the same run, which is taken up where it stopped, with the code that is registered now.")
            .ok("Retried")
            .error(404, UNKNOWN_LETTER)
            .error(409, "It was tried again before, or it cannot be now.")
            .error(410, "Its run has been removed.")
            .error(503, MAINTENANCE),
        operation(
            "post /api/dlq/retry-all",
            "retryDeadLetters",
            "Try again everything that failed",
        )
        .about("What cannot be tried again is told under `failed`.")
        .body("RetryAll", false, json!({ "taskId": "download" }))
        .ok("RetriedAll")
        .error(503, MAINTENANCE),
        operation("post /api/dlq/purge", "purgeDeadLetters", "Remove old dead letters")
            .body("Purge", false, json!({ "olderThan": "30d" }))
            .ok("Purged"),
    ]
}

fn storage() -> Vec<Operation> {
    let object = json!({
        "description": "The content as JSON where it is that, and else the object as it is.",
        "content": {
            "application/json": { "schema": reference("StoredObject") },
            "text/plain": { "schema": text() },
            "application/octet-stream": { "schema": {} },
        },
    });
    vec![
        operation("get /api/storage/backends", "listBackends", "List storage backends")
            .about("Without their credentials.")
            .ok("BackendList"),
        operation("get /api/storage/{path}", "getObject", "Read an object")
            .query(
                "backend",
                "Id of the backend; the default one where it is absent.",
                text(),
            )
            .query(
                "raw",
                "The bytes, whatever they are.",
                json!({ "enum": ["true", "false", "1", "0"] }),
            )
            .answer(200, object)
            .error(404, "No such object, or no such backend."),
        operation("post /api/upload/temp", "uploadFile", "Store a file for a run")
            .about("It is removed after a day, unless a run has claimed it by its id in the input. At most 100 MiB.")
            .header("X-User-Id", "Who uploads; the address where it is absent.", text())
            .file("UploadForm")
            .ok("Uploaded"),
        operation("get /api/upload/temp/{id}", "getUpload", "Read about an upload")
            .ok("Upload")
            .error(404, UNKNOWN_UPLOAD),
        operation("delete /api/upload/temp/{id}", "deleteUpload", "Remove an upload")
            .ok("UploadDeleted")
            .error(404, UNKNOWN_UPLOAD)
            .error(409, "A run has claimed it.")
            .error(410, "It was removed before."),
        operation("get /api/upload/stats", "getUploadStats", "Count uploads").ok("UploadStats"),
    ]
}

fn upkeep() -> Vec<Operation> {
    vec![
        operation(
            "get /api/info",
            "getInfo",
            "Read how the server is set up for pipelines",
        )
        .ok("Info"),
        operation("get /api/maintenance", "getMaintenance", "Read the maintenance mode").ok("Maintenance"),
        operation(
            "post /api/maintenance/request",
            "requestMaintenance",
            "Take nothing new in",
        )
        .about("What is under way ends first; then the mode becomes `maintenance` by itself.")
        .ok("Maintenance")
        .error(409, "It was requested already."),
        operation(
            "post /api/maintenance/enter",
            "enterMaintenance",
            "Enter maintenance now",
        )
        .ok("Maintenance")
        .error(409, "It was not requested, or tasks are still to be done."),
        operation("post /api/maintenance/exit", "exitMaintenance", "Take work again").ok("Maintenance"),
    ]
}
