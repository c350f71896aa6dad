//! The operations on schedules, and their schemas.

use serde_json::{Map, Value, json};

use super::operation::{Operation, reference};
use super::paths::idempotent;
use super::schemas::{count, object, text, time};

const TAG: &str = "schedules";
const UNKNOWN: &str = "No such schedule.";
const REFUSED: &str = "A field is wrong, the expression matches no date, or the workflow is unknown.";
const UNFIT: &str = "The context does not fit the workflow's input_schema.";

/// Every operation.
pub(super) fn all() -> Vec<Operation> {
    let mut all = documents();
    all.extend(control());
    all
}

fn documents() -> Vec<Operation> {
    let cursor = json!({ "type": "string" });
    vec![
        Operation::new("post /v1/schedules", "createSchedule", TAG, "Create a schedule")
            .body("NewSchedule", true, example())
            .ok("Schedule")
            .error(400, REFUSED)
            .error(404, "No such workflow.")
            .error(409, "There is a schedule with this id already.")
            .error(422, UNFIT),
        Operation::new("get /v1/schedules", "listSchedules", TAG, "List schedules, by id")
            .limit()
            .query("cursor", "The `next_cursor` of the page before.", cursor)
            .ok("SchedulePage"),
        Operation::new("get /v1/schedules/{id}", "getSchedule", TAG, "Read a schedule")
            .ok("Schedule")
            .error(404, UNKNOWN),
        Operation::new("patch /v1/schedules/{id}", "changeSchedule", TAG, "Change a schedule")
            .about(
                "What is absent stays; a `note` of null is taken away. Another expression or zone counts from now on.",
            )
            .body("ScheduleChange", true, json!({ "cron": "0 4 * * *", "missed": "skip" }))
            .ok("Schedule")
            .error(400, REFUSED)
            .error(404, "No such schedule, or no such workflow.")
            .error(422, UNFIT),
        Operation::new("delete /v1/schedules/{id}", "deleteSchedule", TAG, "Remove a schedule")
            .about("Its runs stay. A start that is under way is not taken back.")
            .answer(204, json!({ "description": "Removed." }))
            .error(404, UNKNOWN),
    ]
}

fn control() -> Vec<Operation> {
    let number = json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 10 });
    vec![
        Operation::new(
            "post /v1/schedules/{id}/pause",
            "pauseSchedule",
            TAG,
            "Start nothing until it is resumed",
        )
        .ok("Schedule")
        .error(404, UNKNOWN),
        Operation::new(
            "post /v1/schedules/{id}/resume",
            "resumeSchedule",
            TAG,
            "Go on with the next time",
        )
        .about("Times that passed meanwhile were left out on purpose, and are not made up for.")
        .ok("Schedule")
        .error(404, UNKNOWN),
        idempotent(Operation::new(
            "post /v1/schedules/{id}/trigger",
            "triggerSchedule",
            TAG,
            "Start a run now",
        ))
        .about("Whatever the schedule says, and also while it is paused. Its next time stays.")
        .ok("TriggeredSchedule")
        .error(404, "No such schedule, or no such workflow.")
        .error(
            409,
            "Another node stores the workflow again and again while it is being started.",
        )
        .error(
            422,
            "The context does not fit the workflow's input_schema, or the key was used for another schedule.",
        ),
        Operation::new(
            "get /v1/schedules/{id}/upcoming",
            "listUpcoming",
            TAG,
            "List the times that come next",
        )
        .about("Of a paused schedule those that would come if it were resumed.")
        .query("count", "How many.", number)
        .query("after", "From this time on; from now on when absent.", time())
        .ok("UpcomingList")
        .error(404, UNKNOWN),
    ]
}

fn example() -> Value {
    json!({
        "id": "nightly",
        "cron": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "target": { "kind": "workflow", "workflow_id": "report", "context": { "day": "yesterday" } },
    })
}

/// The schemas that they name.
pub(super) fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    for part in [written(), shown()] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    all
}

/// The fields that a body may have, beside `id` and `paused`.
fn fields() -> Value {
    json!({
        "name": { "type": ["string", "null"], "maxLength": 200 },
        "cron": { "type": "string", "minLength": 1, "maxLength": 256, "description":
            "Minute, hour, day of month, month, day of week; with seconds before them where there are six. Or @daily and the like." },
        "timezone": { "type": ["string", "null"], "description": "A name of the IANA database; UTC when absent." },
        "target": reference("ScheduleTarget"),
        "missed": { "enum": ["skip", "latest", "all", null], "default": "latest", "description":
            "What becomes of times that could not be started within a minute: nothing, one run for all, or a run for each." },
        "overlap": { "enum": ["allow", "skip", null], "default": "allow", "description":
            "Whether a time is left out while the run before is not over." },
        "note": { "type": ["string", "null"], "maxLength": 4096 },
    })
}

fn closed(required: &[&str], properties: Value) -> Value {
    let mut schema = object(required, properties);
    schema["additionalProperties"] = false.into();
    schema
}

fn written() -> Value {
    let mut new = fields();
    new["id"] = json!({ "type": ["string", "null"], "pattern": "^[A-Za-z0-9_.-]{1,128}$" });
    new["paused"] = json!({ "type": ["boolean", "null"], "default": false });
    json!({
        "NewSchedule": closed(&["cron", "target"], new),
        "ScheduleChange": closed(&[], fields()),
        "ScheduleTarget": { "oneOf": [
            closed(&["workflow_id"], json!({
                "kind": { "enum": ["workflow", null] },
                "workflow_id": { "type": "string", "minLength": 1, "description": "A workflow, of which the current version is started, or a template." },
                "context": { "type": ["object", "null"], "description": "What templates read as `context`." },
                "priority": { "type": ["integer", "null"], "minimum": i32::MIN, "maximum": i32::MAX },
            })),
            closed(&["kind", "document"], json!({
                "kind": { "const": "task" },
                "document": { "type": "object", "description": "A body of `POST /api/tasks`." },
            })),
        ] },
    })
}

fn shown() -> Value {
    json!({
        "Schedule": object(
            &["id", "name", "cron", "timezone", "target", "missed", "overlap", "paused", "counts", "created_at", "updated_at"],
            json!({
                "id": text(),
                "name": text(),
                "cron": text(),
                "timezone": text(),
                "target": reference("ScheduleTarget"),
                "missed": { "enum": ["skip", "latest", "all"] },
                "overlap": { "enum": ["allow", "skip"] },
                "paused": { "type": "boolean" },
                "note": text(),
                "next_at": time(),
                "retry": object(&["tries", "at", "error"], json!({ "tries": count(), "at": time(), "error": text() })),
                "last": object(&["nominal_at", "fired_at", "outcome"], json!({
                    "nominal_at": time(),
                    "fired_at": time(),
                    "outcome": { "enum": ["started", "failed", "overlapped"] },
                    "run_id": text(),
                    "error": text(),
                })),
                "last_run_id": text(),
                "counts": object(&["fired", "missed", "failed", "overlapped", "triggered"], json!({
                    "fired": count(), "missed": count(), "failed": count(), "overlapped": count(), "triggered": count(),
                })),
                "created_at": time(),
                "updated_at": time(),
            }),
        ),
        "SchedulePage": object(&["items"], json!({
            "items": { "type": "array", "items": reference("Schedule") }, "next_cursor": text(),
        })),
        "TriggeredSchedule": object(&["schedule_id", "run_id"], json!({ "schedule_id": text(), "run_id": text() })),
        "UpcomingList": object(&["items"], json!({ "items": { "type": "array", "items": object(&["at", "local"], json!({
            "at": time(),
            "local": { "type": "string", "description": "What the zone's clock shows then, with its offset and its name." },
        })) } })),
    })
}
