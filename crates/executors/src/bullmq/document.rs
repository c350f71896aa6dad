//! What a producer's job asks for, as a document of the tasks face.
//!
//! Producers of the original add whole tasks; anybody else's data is the payload of a task that is called like the job.

use serde_json::{Map, Value, json};

use super::options::Options;

/// The document for a job.
///
/// # Errors
/// Why there can be none, for whoever looks at the failed job.
pub(super) fn document(queue: &str, name: &str, data: &str, options: &Options) -> Result<Value, String> {
    if options.is_repeated() {
        return Err(
            "the job belongs to a BullMQ job scheduler, which Quintet does not carry on: use a schedule of Quintet's"
                .to_owned(),
        );
    }
    let data: Value = serde_json::from_str(data).map_err(|error| format!("the job's data is not JSON: {error}"))?;
    let is_task = is_task(&data);
    let mut task = match data {
        Value::Object(task) if is_task => task,
        other => wrapped(name, other),
    };
    // It came through this queue, whatever it says; and if it was to wait, it has waited.
    task.insert("queue".to_owned(), json!(queue));
    if options.was_delayed() {
        task.remove("delay");
    }
    // BullMQ fires what is to be repeated; one job is one run.
    task.remove("cron");
    if !task.get("retry").is_some_and(Value::is_object)
        && let Some(retry) = retry(options, is_task)?
    {
        task.insert("retry".to_owned(), Value::Object(retry));
    }
    Ok(Value::Object(task))
}

fn is_task(data: &Value) -> bool {
    let has_text = |field: &str| {
        data.get(field)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    (has_text("type") || has_text("task")) && data.get("payload").is_some()
}

fn wrapped(name: &str, data: Value) -> Map<String, Value> {
    // The tasks face wants a payload, and a job need not have data.
    let payload = match data {
        Value::Null | Value::Bool(false) => json!({}),
        data => data,
    };
    let mut task = Map::new();
    task.insert("type".to_owned(), json!(name));
    task.insert("payload".to_owned(), payload);
    task
}

/// How often it is tried. A job that does not say it is tried once, as in BullMQ; a whole task has its own usual.
fn retry(options: &Options, is_task: bool) -> Result<Option<Map<String, Value>>, String> {
    let attempts = match options.attempts() {
        0 if is_task => return Ok(None),
        attempts => attempts.max(1),
    };
    let mut retry = options.backoff()?;
    retry.insert("attempts".to_owned(), json!(attempts));
    Ok(Some(retry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, data: &str, options: &str) -> Value {
        document("gpu", name, data, &Options::read(options)).unwrap()
    }

    #[test]
    fn a_whole_task_stays_as_it_is_but_for_what_bullmq_has_done() {
        let task = r#"{"type":"text.chat","payload":{"a":1},"queue":"cpu","delay":500,"cron":"* * * * *","x":1}"#;
        assert_eq!(
            made("any", task, r#"{"delay":500,"attempts":0}"#),
            json!({"type":"text.chat","payload":{"a":1},"queue":"gpu","x":1})
        );
        assert_eq!(made("any", task, "{}")["delay"], json!(500));
    }

    #[test]
    fn the_name_of_the_sdk_for_a_type_is_a_task_too() {
        let task = made("any", r#"{"task":"openai.chat","payload":{}}"#, "{}");
        assert_eq!(task, json!({"task":"openai.chat","payload":{},"queue":"gpu"}));
    }

    #[test]
    fn other_data_is_the_payload_of_a_task_that_is_tried_as_often_as_the_job_says() {
        assert_eq!(
            made("resize", r#"{"w":3}"#, "{}"),
            json!({"type":"resize","payload":{"w":3},"queue":"gpu","retry":{"attempts":1}})
        );
        let options = r#"{"attempts":4,"backoff":{"type":"exponential","delay":100}}"#;
        assert_eq!(
            made("resize", "[1]", options)["retry"],
            json!({"backoff":"exponential","delay":100,"attempts":4})
        );
        assert_eq!(made("resize", "null", "{}")["payload"], json!({}));
    }

    #[test]
    fn a_tasks_own_retry_goes_before_the_jobs() {
        let task = r#"{"type":"t","payload":1,"retry":{"attempts":7}}"#;
        assert_eq!(made("any", task, r#"{"attempts":2}"#)["retry"], json!({"attempts":7}));
        let task = r#"{"type":"t","payload":1}"#;
        assert_eq!(made("any", task, r#"{"attempts":2}"#)["retry"], json!({"attempts":2}));
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_reason() {
        let refused = |data: &str, options: &str| document("q", "n", data, &Options::read(options)).unwrap_err();
        assert!(refused("{}", r#"{"repeat":{"every":5}}"#).contains("job scheduler"));
        assert!(refused("{", "{}").contains("not JSON"));
        assert!(refused("{}", r#"{"attempts":2,"backoff":{"type":"mine"}}"#).contains("mine"));
    }
}
