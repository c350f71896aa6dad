use quintet_core::retry::Backoff;
use quintet_executors::media::{MergeBy, SplitBy};
use serde_json::json;

use super::*;

fn parse(body: Value) -> Result<Task, Vec<Problem>> {
    Task::parse(&body, &Rules::default())
}

fn problems(body: Value) -> Vec<String> {
    parse(body)
        .expect_err("it is refused")
        .iter()
        .map(Problem::text)
        .collect()
}

/// Problems of a task with this field.
fn problem(field: &str, value: Value) -> Vec<String> {
    let mut body = json!({ "type": "t", "payload": {} });
    body[field] = value;
    problems(body)
}

/// Problems of a task with a step with this field.
fn of_step(field: &str, value: Value) -> Vec<String> {
    let mut step = json!({ "task": "t" });
    step[field] = value;
    problems(json!({ "type": "t", "payload": {}, "steps": [step] }))
}

#[test]
fn what_the_original_checked_comes_first_and_in_its_words() {
    for body in [
        json!({}),
        json!("text"),
        json!([]),
        json!(null),
        json!({ "payload": {} }),
    ] {
        assert_eq!(problems(body), ["task.type is required"]);
    }
    for falsy in [json!(null), json!(""), json!(0), json!(false)] {
        assert_eq!(
            problems(json!({ "type": falsy, "payload": {}, "priority": "x" })),
            ["task.type is required"]
        );
    }
    assert_eq!(
        problems(json!({ "type": "t", "priority": "x" })),
        ["task.payload is required"]
    );
    for falsy in [json!(null), json!(""), json!(0), json!(-0.0), json!(false)] {
        assert_eq!(
            problems(json!({ "type": "t", "payload": falsy })),
            ["task.payload is required"]
        );
    }
    for truthy in [json!({}), json!([]), json!("x"), json!(1), json!(true)] {
        assert!(parse(json!({ "type": "t", "payload": truthy })).is_ok(), "{truthy}");
    }
}

#[test]
fn a_type_may_be_a_number_and_be_written_task() {
    let kind = |body: Value| parse(body).map(|task| (task.kind, task.document["type"].clone()));
    let expected = |text: &str| Ok((text.to_owned(), json!(text)));
    assert_eq!(kind(json!({ "type": 5, "payload": {} })), expected("5"));
    assert_eq!(kind(json!({ "type": 5.0, "payload": {} })), expected("5"));
    assert_eq!(kind(json!({ "type": 0.5, "payload": {} })), expected("0.5"));
    assert_eq!(
        kind(json!({ "task": "openai.chat", "payload": {} })),
        expected("openai.chat")
    );
    assert_eq!(kind(json!({ "type": "a", "task": "b", "payload": {} })), expected("a"));
    assert_eq!(kind(json!({ "type": "", "task": "b", "payload": {} })), expected("b"));
    assert_eq!(
        problems(json!({ "type": { "a": 1 }, "payload": {} })),
        ["type: must be a string"]
    );
    assert_eq!(
        problems(json!({ "task": true, "payload": {} })),
        ["task: must be a string"]
    );
}

#[test]
fn everything_is_kept_and_what_is_known_is_read() {
    let body = json!({
        "type": "text.chat", "payload": { "prompt": "Hello!" }, "queue": "gpu", "backend": "modal", "priority": 7,
        "delay": 5000, "cron": "0 9 * * *", "timezone": "Europe/Berlin", "metadata": { "a": [1] }, "own": true,
        "webhookUrl": "https://example.com/hook", "onSuccess": [{ "$event": "toast" }],
        "resources": { "gpu": "T4", "vram": 8000, "ram": 16000, "cpu": 0.5, "timeout": 0.25 },
        "retry": { "attempts": 5, "backoff": "exponential", "delay": 10, "maxDelay": 100 },
    });
    let task = parse(body.clone()).expect("a task");
    assert_eq!(task.document, body);
    let read = (
        task.queue.as_str(),
        task.backend.as_deref(),
        task.priority,
        task.delay_ms,
    );
    assert_eq!(read, ("gpu", Some("modal"), 7, 5_000));
    assert_eq!(
        (task.cron.as_deref(), task.timezone.as_deref()),
        (Some("0 9 * * *"), Some("Europe/Berlin"))
    );
    let document = task.document();
    let retry = document.retry().expect("a policy");
    assert_eq!((retry.attempts, retry.backoff), (5, Backoff::Exponential));
    assert_eq!((retry.delay_ms, retry.max_delay_ms), (10, Some(100)));
    let resources = document.resources().expect("resources");
    let expected = Resources {
        gpu: Gpu::Model("T4".to_owned()),
        vram_mb: Some(8_000.0),
        ram_mb: Some(16_000.0),
        cpu: Some(0.5),
        timeout_ms: Some(250),
    };
    assert_eq!(resources, expected);
    let again = Task::parse(&task.document, &Rules::default()).expect("what was kept can be submitted again");
    assert_eq!(again, task);
}

#[test]
fn what_is_not_said_has_the_originals_defaults() {
    let task =
        parse(json!({ "type": "t", "payload": 1, "backend": "auto", "queue": null, "retry": {}, "resources": {} }));
    let task = task.expect("a task");
    assert_eq!(
        (
            task.queue.as_str(),
            task.backend.as_deref(),
            task.priority,
            task.delay_ms
        ),
        ("default", None, 0, 0)
    );
    let document = task.document();
    assert_eq!(document.retry(), Some(Retry::default()));
    assert_eq!(document.resources(), Some(Resources::default()));
    assert_eq!(Retry::default().attempts, 3);
    assert_eq!(Retry::default().delay_ms, 1_000);
    let nothing = json!({ "type": "t", "payload": 1, "retry": { "attempts": 0, "delay": 0, "maxDelay": 0 },
        "resources": { "gpu": "", "timeout": 0, "vram": 0 } });
    let task = parse(nothing).expect("nothing of something is as good as not having said it");
    assert_eq!(task.document().retry(), Some(Retry::default()));
    assert_eq!(task.document().resources(), Some(Resources::default()));
}

#[test]
fn known_fields_of_a_wrong_type_or_range_are_refused_with_what_is_allowed() {
    let cases = [
        ("queue", json!(5), "queue: must be a string"),
        ("backend", json!([]), "backend: must be a string"),
        (
            "priority",
            json!("high"),
            "priority: must be a whole number from -2097152 to 2097152",
        ),
        (
            "priority",
            json!(2_097_153),
            "priority: must be a whole number from -2097152 to 2097152",
        ),
        (
            "priority",
            json!(1.5),
            "priority: must be a whole number from -2097152 to 2097152",
        ),
        ("delay", json!(-1), "delay: must be a number from 0 to 316224000000"),
        ("cron", json!(7), "cron: must be a string"),
        (
            "timezone",
            json!("UTC"),
            "timezone: says by whose clocks `cron` goes, and there is none",
        ),
        ("webhookUrl", json!(1), "webhookUrl: must be a string"),
        ("steps", json!("x"), "steps: must be an array"),
        ("retry", json!(3), "retry: must be an object"),
        (
            "retry",
            json!({ "attempts": -1 }),
            "retry.attempts: must be a whole number from 0 to 1000000",
        ),
        (
            "retry",
            json!({ "backoff": "linear" }),
            "retry.backoff: must be one of fixed, exponential",
        ),
        (
            "retry",
            json!({ "delay": "1s" }),
            "retry.delay: must be a number from 0 to 316224000000",
        ),
        (
            "resources",
            json!({ "gpu": 1 }),
            "resources.gpu: must be true, false or the name of a model",
        ),
        (
            "resources",
            json!({ "vram": -1 }),
            "resources.vram: must be a number from 0 to 1000000000000",
        ),
        (
            "resources",
            json!({ "timeout": "5s" }),
            "resources.timeout: must be a number from 0 to 316224000",
        ),
        ("onDemand", json!("a"), "onDemand: must be an array"),
        ("onDemand", json!([1]), "onDemand[0]: must be a string"),
        ("onDemand", json!(["a"]), "onDemand[0]: there is no step \"a\""),
        (
            "queue",
            json!("a\nb"),
            "queue: must have at most 200 bytes and no control characters",
        ),
    ];
    for (field, value, expected) in cases {
        assert_eq!(problem(field, value.clone()), [expected], "{field} {value}");
    }
    assert!(parse(json!({ "type": "t", "payload": 1, "priority": -2_097_152, "delay": 1.0 })).is_ok());
}

#[test]
fn steps_are_refused_by_their_paths() {
    let cases = [
        ("task", json!(null), "steps[0].task: is required"),
        ("task", json!(""), "steps[0].task: is required"),
        ("task", json!(5), "steps[0].task: must be a string"),
        ("id", json!(5), "steps[0].id: must be a string"),
        (
            "id",
            json!("a\0"),
            "steps[0].id: must have at most 200 bytes and no NUL",
        ),
        (
            "id",
            json!("a".repeat(201)),
            "steps[0].id: must have at most 200 bytes and no NUL",
        ),
        ("input", json!("{{payload}}"), "steps[0].input: must be an object"),
        ("dependsOn", json!("a"), "steps[0].dependsOn: must be an array"),
        ("dependsOn", json!(["a", 1]), "steps[0].dependsOn[1]: must be a string"),
        ("forEach", json!([1]), "steps[0].forEach: must be a string"),
        (
            "forEachConcurrency",
            json!(-1),
            "steps[0].forEachConcurrency: must be a whole number from 0 to 100000",
        ),
        ("runWhen", json!(true), "steps[0].runWhen: must be a string"),
        (
            "runWhen",
            json!("{{payload.a}}{{payload.b}}"),
            "steps[0].runWhen: must be `always`, `on-demand` or one template",
        ),
        (
            "timeout",
            json!(-0.5),
            "steps[0].timeout: must be a number from 0 to 316224000",
        ),
        ("optional", json!("yes"), "steps[0].optional: must be true or false"),
        (
            "retry",
            json!({ "attempts": 1.5 }),
            "steps[0].retry.attempts: must be a whole number from 0 to 1000000",
        ),
        ("resources", json!([]), "steps[0].resources: must be an object"),
    ];
    for (field, value, expected) in cases {
        assert_eq!(of_step(field, value.clone()), [expected], "{field} {value}");
    }
    assert_eq!(
        problems(json!({ "type": "t", "payload": 1, "steps": [5] })),
        ["steps[0]: must be an object"]
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let found =
        problems(json!({ "type": "t", "payload": 1, "delay": -1, "steps": [{}, { "task": "t", "timeout": "x" }] }));
    let fields: Vec<&str> = found.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(fields, ["delay", "steps[0].task", "steps[1].timeout"]);
}

#[test]
fn when_a_step_runs_is_a_word_a_template_or_anything_else_which_is_true() {
    let body = json!({ "type": "t", "payload": 1, "onDemand": ["b"], "steps": [
        { "task": "t", "runWhen": "always" }, { "id": "b", "task": "t", "runWhen": "on-demand" },
        { "task": "t", "runWhen": " {{payload.x}}" }, { "task": "t", "runWhen": "" }, { "task": "t", "runWhen": "false" },
        { "task": "t", "runWhen": "{{ payload.x }}" },
    ] });
    let task = parse(body).expect("a task");
    let words: Vec<&str> = task
        .document()
        .steps()
        .iter()
        .map(|step| match step.run_when {
            RunWhen::Always => "always",
            RunWhen::OnDemand => "on demand",
            RunWhen::If(_) => "if",
        })
        .collect();
    assert_eq!(words, ["always", "on demand", "always", "always", "always", "if"]);
    let found =
        problems(json!({ "type": "t", "payload": 1, "onDemand": ["a"], "steps": [{ "id": "a", "task": "t" }] }));
    assert_eq!(found, ["onDemand[0]: step \"a\" is not `runWhen: on-demand`"]);
}

#[test]
fn how_media_are_cut_up_is_said_of_a_task_or_a_step() {
    let rule =
        |chunk: Value| parse(json!({ "type": "t", "payload": 1, "chunk": chunk })).map(|task| task.document().chunk());
    let read = rule(json!({ "inputField": "audio_path" }))
        .expect("a task")
        .expect("a rule");
    assert_eq!(
        (read.input_field.as_str(), read.size_ms, read.overlap_ms),
        ("audio_path", 600_000, 5_000)
    );
    assert_eq!((read.merge, read.split), (MergeBy::ConcatSegments, SplitBy::None));
    let read = rule(
        json!({ "inputField": "a", "defaultSize": "1h30m", "overlap": 2, "mergeStrategy": "array", "split": "ffmpeg" }),
    );
    let read = read.expect("a task").expect("a rule");
    assert_eq!(
        (read.size_ms, read.overlap_ms, read.merge, read.split),
        (5_400_000, 2_000, MergeBy::Array, SplitBy::Ffmpeg)
    );
    for (chunk, expected) in [
        (json!(true), "chunk: must be an object"),
        (json!({}), "chunk.inputField: must name a field of the payload"),
        (
            json!({ "inputField": "{{ steps }}" }),
            "chunk.inputField: must name a field of the payload",
        ),
        (
            json!({ "inputField": "a", "size": "soon" }),
            "chunk: size: \"soon\" is not a time such as 10m, 90s or 1h30m",
        ),
        (
            json!({ "inputField": "a", "size": "8s" }),
            "chunk: overlap must be at most half of size",
        ),
    ] {
        assert_eq!(problem("chunk", chunk), [expected]);
    }
    assert!(
        problem("chunk", json!({ "inputField": "a", "mergeStrategy": "sum" }))[0]
            .starts_with("chunk: unknown variant `sum`")
    );
    let in_vain = json!({ "type": "t", "payload": 1, "chunk": { "inputField": "a" }, "steps": [
        { "task": "t", "forEach": "{{payload}}", "chunk": { "inputField": "a" } } ] });
    assert_eq!(problems(in_vain).len(), 2);
}

#[test]
fn there_are_limits_to_steps_and_to_nesting() {
    let steps = |many: usize| json!({ "type": "t", "payload": 1, "steps": vec![json!({ "task": "t" }); many] });
    assert!(parse(steps(10_000)).is_ok());
    assert_eq!(problems(steps(10_001)), ["steps: 10001 steps are more than 10000"]);
    let deep = (0..70).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(problem("metadata", deep), ["the task is nested deeper than 64 levels"]);
}
