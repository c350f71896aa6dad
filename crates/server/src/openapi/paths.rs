//! Every operation.

use serde_json::{Map, Value, json};

use super::audit;
use super::auth;
use super::namespaces;
use super::operation::Operation;
use super::pipelines;
use super::schedules;
use super::schemas::{RUN_STATUS, STEP_STATUS};
use super::secrets;
use super::tasks;
use super::tenants;
use crate::picture::Format;

const UNKNOWN_RUN: &str = "No such run.";
const CHANGED: &str = "Another node stores the workflow again and again while it is being started.";
const CONFLICT: &str = "The state of the run or of the step does not allow it.";

pub(super) fn all() -> Vec<Operation> {
    let mut all = workflows();
    all.extend(templates());
    all.extend(runs());
    all.extend(control());
    all.extend(observe());
    all.extend(schedules::all());
    all.extend(namespaces::all());
    all.extend(auth::all());
    all.extend(audit::all());
    all.extend(secrets::all());
    all.push(nodes());
    all.extend(pipelines::all());
    all.extend(tasks::all());
    all.extend(tenants::all());
    all
}

fn demo() -> Value {
    json!({
        "name": "demo",
        "description": "Simple demo workflow",
        "steps": [{
            "name": "call ai-router",
            "action": "http",
            "input": {
                "method": "POST",
                "url": "http://ai-router:8080/v1/chat/completions",
                "headers": { "Content-Type": "application/json" },
                "body": { "model": "llama2", "messages": [{ "role": "user", "content": "{{ context.question }}" }] },
            },
            "retry": { "max": 2, "backoff_ms": 500 },
        }],
    })
}

fn start() -> Value {
    json!({ "workflow_id": "wf_20261121T100000_1a2b3c4d", "context": { "project_id": "default" } })
}

fn workflows() -> Vec<Operation> {
    vec![
        Operation::new(
            "post /v1/workflows",
            "createWorkflow",
            "workflows",
            "Create a workflow, or its next version",
        )
        .original()
        .about("An id that exists already gets a new version; without an id one is made.")
        .document("Document", demo())
        .ok("Workflow")
        .error(
            400,
            "`bad json`, `name and steps required`, or `schema validation failed: <field>: <reason>; ...`.",
        ),
        Operation::new(
            "get /v1/workflows",
            "listWorkflows",
            "workflows",
            "List workflows, by id",
        )
        .original()
        .query(
            "limit",
            "Most entries of the page.",
            json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 1000 }),
        )
        .query(
            "cursor",
            "The `next_cursor` of the page before.",
            json!({ "type": "string" }),
        )
        .ok("WorkflowPage"),
        Operation::new(
            "post /v1/workflows/validate",
            "validateWorkflow",
            "workflows",
            "Check a document, store nothing",
        )
        .document("Document", demo())
        .ok("Validation")
        .error(400, "Everything that is wrong with it, under `errors`."),
        Operation::new(
            "get /v1/workflows/{id}",
            "getWorkflow",
            "workflows",
            "Read the current version",
        )
        .ok("Workflow")
        .error(404, "No such workflow."),
        Operation::new(
            "delete /v1/workflows/{id}",
            "deleteWorkflow",
            "workflows",
            "Remove a workflow with its versions",
        )
        .about("Its runs stay, and those that are under way go on.")
        .answer(204, json!({ "description": "Removed." }))
        .error(404, "No such workflow."),
        Operation::new(
            "get /v1/workflows/{id}/versions",
            "listVersions",
            "workflows",
            "List the versions, oldest first",
        )
        .original()
        .about("An unknown workflow has `null` for its items.")
        .ok("VersionList"),
        Operation::new(
            "get /v1/workflows/{id}/versions/{version}",
            "getVersion",
            "workflows",
            "Read one version",
        )
        .ok("Version")
        .error(404, "No such version."),
        Operation::new(
            "post /v1/workflows/{id}/rollback",
            "rollbackWorkflow",
            "workflows",
            "Make an old version the newest",
        )
        .original()
        .body("Rollback", true, json!({ "version": 1 }))
        .ok("Workflow")
        .error(404, "`version not found`, also for an unknown workflow."),
        picture(Operation::new(
            "get /v1/workflows/{id}/visualize",
            "drawWorkflow",
            "workflows",
            "Draw the current version, or another",
        ))
        .query(
            "version",
            "Number of the version; the current one if absent.",
            json!({ "type": "integer", "minimum": 1 }),
        )
        .error(404, "No such workflow, or no such version."),
    ]
}

/// An operation that answers with a picture.
fn picture(operation: Operation) -> Operation {
    let names: Vec<&str> = Format::ALL.into_iter().map(Format::name).collect();
    let text = |format: Format| {
        let media_type = format.media_type().split(';').next().unwrap_or_default();
        (media_type.to_owned(), json!({ "schema": { "type": "string" } }))
    };
    let content: Map<String, Value> = Format::ALL.into_iter().map(text).collect();
    operation
        .query(
            "format",
            "How the picture is written.",
            json!({ "type": "string", "enum": names, "default": names[0] }),
        )
        .answer(200, json!({ "description": "The picture.", "content": content }))
        .error(422, "Too many steps for an SVG; the other formats have no limit.")
}

fn templates() -> Vec<Operation> {
    vec![
        Operation::new(
            "get /v1/templates",
            "listTemplates",
            "templates",
            "List the built-in templates",
        )
        .original()
        .about("Each can be run by its id or name: `POST /v1/runs {\"template\": ...}`.")
        .ok("TemplateList"),
        Operation::new(
            "post /v1/templates",
            "createFromTemplate",
            "templates",
            "Store an ordinary workflow",
        )
        .original()
        .about("As `POST /v1/workflows`, but not checked against the schema.")
        .document("TemplateDocument", demo())
        .ok("Workflow")
        .error(
            400,
            "`bad json`, `name and steps required`, or what keeps it from being a plan.",
        ),
    ]
}

pub(super) fn idempotent(operation: Operation) -> Operation {
    let words = "A repeated request with the same key starts nothing twice and is answered with the same runs.";
    // No pattern: white space around a header's value is no part of it.
    let schema = json!({ "type": "string", "minLength": 1, "maxLength": 255 });
    operation.header("Idempotency-Key", words, schema)
}

fn runs() -> Vec<Operation> {
    let wait = json!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(ms|s)?$", "examples": ["30s", "500ms"] });
    let statuses = |names: &[&str]| {
        let one = names.join("|");
        json!({ "type": "string", "pattern": format!("^({one})(,({one}))*$") })
    };
    let cursor = json!({ "type": "string", "pattern": "^run_[0-7][0-9a-hjkmnp-tv-z]{25}$" });
    let time = json!({ "type": "string", "format": "date-time" });
    vec![
        idempotent(Operation::new("post /v1/runs", "startRun", "runs", "Start a run"))
            .original()
            .about("Of a workflow, of a template (`template`), or of a document that comes along (`workflow`).")
            .query(
                "wait",
                "Answer with the result if it comes within this time, at most 60s.",
                wait,
            )
            .body("Start", true, start())
            .ok("Run")
            .error(
                400,
                "`bad json`, `workflow_id required`, or `not found` for an unknown workflow.",
            )
            .error(409, CHANGED)
            .error(
                422,
                "The context does not fit the input_schema, or the key was used for another request.",
            ),
        Operation::new("get /v1/runs", "listRuns", "runs", "List runs, newest first")
            .query("workflow_id", "Only of this workflow.", json!({ "type": "string" }))
            .query(
                "status",
                "Only in these states, separated by commas.",
                statuses(&RUN_STATUS),
            )
            .query(
                "created_from",
                "Only those accepted at or after this time.",
                time.clone(),
            )
            .query("created_before", "Only those accepted before this time.", time)
            .limit()
            .query("cursor", "The `next_cursor` of the page before.", cursor.clone())
            .ok("RunPage"),
        idempotent(Operation::new(
            "post /v1/runs/batch",
            "startRuns",
            "runs",
            "Start many runs, all or none",
        ))
        .body("Batch", true, json!({ "runs": [start()] }))
        .ok("RunList")
        .error(409, CHANGED)
        .error(
            422,
            "A context does not fit its input_schema, or the key was used for another request.",
        ),
        Operation::new("get /v1/runs/{id}", "getRun", "runs", "Read a run")
            .original()
            .ok("Run")
            .error(404, UNKNOWN_RUN),
        Operation::new(
            "delete /v1/runs/{id}",
            "deleteRun",
            "runs",
            "Remove a finished run with its history",
        )
        .answer(204, json!({ "description": "Removed." }))
        .error(404, UNKNOWN_RUN)
        .error(409, "It is not finished."),
        Operation::new(
            "get /v1/approvals",
            "listApprovals",
            "control",
            "List what waits for a person",
        )
        .about("The page is one of runs; a run can have several approvals.")
        .query("workflow_id", "Only of this workflow.", json!({ "type": "string" }))
        .limit()
        .query("cursor", "The `next_cursor` of the page before.", cursor)
        .ok("ApprovalPage"),
    ]
}

fn control() -> Vec<Operation> {
    let by = || json!({ "by": "ann" });
    let added = |call, id, summary| {
        Operation::new(call, id, "control", summary)
            .error(404, UNKNOWN_RUN)
            .error(409, CONFLICT)
    };
    let original = |call, id, summary| {
        Operation::new(call, id, "control", summary)
            .original()
            .about("Where there is nothing to do the run comes back unchanged.")
            .error(400, "`not found` for an unknown run, or a wrong body.")
            .error(404, "The run has no such step.")
            .error(409, CONFLICT)
    };
    vec![
        original(
            "post /v1/runs/{id}/approve",
            "approveRun",
            "Agree to the awaited approval",
        )
        .body("Decision", false, json!({ "by": "ann", "comment": "looks good" }))
        .ok("Run"),
        original("post /v1/runs/{id}/cancel", "cancelRun", "Call a run off")
            .body("Reason", false, by())
            .ok("Run"),
        added("post /v1/runs/{id}/reject", "rejectRun", "Decline the awaited approval")
            .body("Decision", false, json!({ "by": "ann", "comment": "too risky" }))
            .ok("Run"),
        added("post /v1/runs/{id}/pause", "pauseRun", "Start nothing new in a run")
            .body("Reason", false, by())
            .ok("Run"),
        added("post /v1/runs/{id}/resume", "resumeRun", "Lift the hold")
            .body("Reason", false, by())
            .ok("Run"),
        added("post /v1/runs/{id}/retry", "retryRun", "Try failed steps again")
            .about("The named step, or all that failed, and what follows from them.")
            .body("StepChoice", false, by())
            .ok("Run"),
        added(
            "post /v1/runs/{id}/rerun",
            "rerunRun",
            "Run a step and everything after it again",
        )
        .body("Rerun", true, json!({ "step": "fetch" }))
        .ok("Run"),
        added(
            "post /v1/runs/{id}/resolve",
            "resolveRun",
            "Declare an unfinished run settled",
        )
        .about("What is under way is called off; the run counts as dealt with, not as canceled.")
        .body("Reason", false, by())
        .ok("Run"),
        added(
            "post /v1/runs/{id}/steps/{step}/resolve",
            "resolveStep",
            "Settle a step by hand",
        )
        .about("With an output it counts as succeeded, without one as resolved.")
        .body("Resolution", false, json!({ "by": "ann", "output": { "ok": true } }))
        .ok("Run"),
    ]
}

fn observe() -> Vec<Operation> {
    let read = |call, id, summary| Operation::new(call, id, "observe", summary).error(404, UNKNOWN_RUN);
    let cursor = || json!({ "type": "string", "pattern": "^[0-9]{1,9}$" });
    let one = STEP_STATUS.join("|");
    let statuses = json!({ "type": "string", "pattern": format!("^({one})(,({one}))*$") });
    let last_id = json!({ "type": "string", "pattern": "^[1-9][0-9]{0,17}\\.[0-9]{1,9}$" });
    let stream = |operation: Operation, words: &str| {
        let schema = json!({ "type": "string" });
        let answer = json!({ "description": words, "content": { "text/event-stream": { "schema": schema } } });
        operation
            .header("Last-Event-ID", "Go on after this event.", last_id.clone())
            .answer(200, answer)
            .answer(
                204,
                json!({ "description": "The run has ended and nothing follows the given event." }),
            )
    };
    vec![
        read(
            "get /v1/runs/{id}/steps",
            "listSteps",
            "List the step runs, in the plan's order",
        )
        .query("status", "Only in these states, separated by commas.", statuses)
        .limit()
        .query("cursor", "The `next_cursor` of the page before.", cursor())
        .ok("StepPage"),
        read(
            "get /v1/runs/{id}/steps/{step}",
            "getStep",
            "Read a step run with its attempts",
        )
        .ok("StepDetail"),
        read(
            "get /v1/runs/{id}/steps/{step}/why",
            "whyStep",
            "Why a step is not running",
        )
        .ok("Why"),
        read(
            "get /v1/runs/{id}/why",
            "whyRun",
            "Why each unsettled step is not running",
        )
        .limit()
        .query("cursor", "The `next_cursor` of the page before.", cursor())
        .ok("WhyPage"),
        picture(read(
            "get /v1/runs/{id}/visualize",
            "drawRun",
            "Draw the run in the colours of its steps",
        )),
        read("get /v1/runs/{id}/history", "getHistory", "Read the history")
            .query(
                "after",
                "Only what follows this entry.",
                json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX }),
            )
            .limit()
            .ok("HistoryPage"),
        stream(
            read("get /v1/runs/{id}/events", "streamEvents", "Follow the history"),
            "Events with their name, id and JSON; ends when the run has ended.",
        ),
        read("get /v1/runs/{id}/logs", "getLogs", "Read the log")
            .original()
            .ok("LogList"),
        read("post /v1/runs/{id}/logs", "appendLog", "Append a line to the log")
            .original()
            .text("hello")
            .ok("Appended")
            .error(400, "`message required`"),
        stream(
            read("get /v1/runs/{id}/logs/stream", "streamLogs", "Follow the log").original(),
            "`data:` lines with an id; ends when the run has ended.",
        ),
    ]
}

fn nodes() -> Operation {
    Operation::new(
        "get /v1/nodes",
        "listNodes",
        "nodes",
        "List the processes that work on the store",
    )
    .about("One, unless the store is PostgreSQL. A node that stopped in order is gone at once.")
    .ok("NodeList")
}
