mod life;

use serde_json::json;

use self::life::Life;
use super::super::document::{Problem, Rules};
use super::source::MAX_BODY_BYTES;
use super::*;

fn problems(fields: Value) -> Vec<(String, String)> {
    let mut document = json!({ "type": "t", "payload": {} });
    document
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let problems = check(&document, &Rules::default()).err().unwrap_or_default();
    problems
        .into_iter()
        .map(|Problem { field, message }| (field, message))
        .collect()
}

#[test]
fn effects_that_can_work_are_accepted() {
    let child =
        json!({ "type": "next", "payload": { "x": "{{result.x}}" }, "onError": [{ "$event": "emit", "event": "e" }] });
    let fields = json!({
        "webhookUrl": "https://example.com/hook",
        "onPending": [{ "$event": "toast", "text": "hi", "variant": "warning", "more": 1 }],
        "onProgress": [{ "$event": "emit", "event": "tick", "data": { "p": "{{progress}}" } }],
        "onSuccess": [
            { "$event": "webhook", "url": "http://example.com", "method": "put", "headers": { "Authorization": "Bearer x" } },
            { "$event": "enqueue", "task": child },
            { "$event": "invalidate", "path": "/x", "tags": ["a"] },
            { "$event": "invalidate" },
            { "$event": "redirect", "url": "/tasks/{{jobId}}" },
        ],
        "onError": [
            { "$event": "notify", "channel": "slack", "message": "{{error}}", "everyAttempt": true },
            { "$event": "notify", "channel": "email", "message": "{{error}}", "target": "a@example.com, B <b@example.com>" },
            { "$event": "notify", "channel": "discord", "message": "{{error}}", "target": null },
        ],
    });
    assert_eq!(problems(fields.clone()), []);
    let effects = Effects::of(&fields);
    assert_eq!(Trigger::ALL.map(|trigger| effects.on(trigger).len()), [1, 1, 6, 4]);
    assert_eq!(
        problems(json!({ "onSuccess": null, "onError": [], "webhookUrl": "" })),
        []
    );
}

#[test]
fn what_is_wrong_with_an_effect_is_said_with_its_place() {
    let bad_child = json!({ "$event": "enqueue", "task": {
        "type": "next", "payload": {}, "priority": "high", "delay": "{{result.delay}}", "onSuccess": [{ "$event": "jump" }],
    } });
    for (effect, field, part) in [
        (json!({ "$event": "jump" }), ".$event", "not one of webhook"),
        (json!({}), ".$event", "required"),
        (json!("toast"), "", "an object"),
        (json!({ "$event": "webhook" }), ".url", "required"),
        (json!({ "$event": "webhook", "url": "ftp://x" }), ".url", "http://"),
        (
            json!({ "$event": "webhook", "url": "https://x/{{jobId}}" }),
            ".url",
            "as it is written",
        ),
        (
            json!({ "$event": "webhook", "url": "http://x", "method": "GET" }),
            ".method",
            "POST, PUT or PATCH",
        ),
        (
            json!({ "$event": "webhook", "url": "http://x", "headers": { "Host": "y" } }),
            ".headers.Host",
            "sender",
        ),
        (
            json!({ "$event": "webhook", "url": "http://x", "headers": { "webhook-ID": "y" } }),
            ".headers.webhook-ID",
            "sender",
        ),
        (
            json!({ "$event": "webhook", "url": "http://x", "headers": { "a b": "y" } }),
            ".headers.a b",
            "name",
        ),
        (
            json!({ "$event": "webhook", "url": "http://x", "headers": { "a": "y\nz" } }),
            ".headers.a",
            "one line",
        ),
        (
            json!({ "$event": "notify", "channel": "fax", "message": "m" }),
            ".channel",
            "slack",
        ),
        (
            json!({ "$event": "notify", "channel": "slack" }),
            ".message",
            "required",
        ),
        (
            json!({ "$event": "notify", "channel": "email", "message": "m", "target": "nobody" }),
            ".target",
            "mail address",
        ),
        (json!({ "$event": "toast", "text": 7 }), ".text", "string"),
        (
            json!({ "$event": "toast", "text": "t", "variant": "loud" }),
            ".variant",
            "warning",
        ),
        (json!({ "$event": "invalidate", "tags": [1] }), ".tags", "strings"),
        (json!({ "$event": "emit" }), ".event", "required"),
        (
            json!({ "$event": "redirect", "url": "javascript:alert(1)" }),
            ".url",
            "http",
        ),
        (json!({ "$event": "redirect", "url": "//evil.example" }), ".url", "http"),
        (json!({ "$event": "enqueue", "task": [] }), ".task", "object"),
        (
            json!({ "$event": "enqueue", "task": { "payload": {} } }),
            ".task",
            "task.type is required",
        ),
        (bad_child, ".task.priority", "whole number"),
        (
            json!({ "$event": "emit", "event": "e", "everyAttempt": true }),
            ".everyAttempt",
            "onError",
        ),
    ] {
        let found = problems(json!({ "onSuccess": [{ "$event": "toast", "text": "fine" }, effect] }));
        let [(path, message)] = &found[..] else {
            panic!("{effect}: {found:?}")
        };
        assert_eq!(path, &format!("onSuccess[1]{field}"), "{effect}");
        assert!(message.contains(part), "{effect}: {message}");
    }
    let nested =
        json!({ "$event": "enqueue", "task": { "type": "n", "payload": {}, "onError": [{ "$event": "jump" }] } });
    assert_eq!(
        problems(json!({ "onError": [nested] }))[0].0,
        "onError[0].task.onError[0].$event"
    );
    assert_eq!(problems(json!({ "onError": {} }))[0].0, "onError");
    assert_eq!(problems(json!({ "webhookUrl": "example.com" }))[0].0, "webhookUrl");
    let many = vec![json!({ "$event": "emit", "event": "e" }); 33];
    assert!(problems(json!({ "onPending": many }))[0].1.contains("32 are the most"));
}

fn hook(name: &str) -> Value {
    json!({ "$event": "webhook", "url": format!("https://{name}.example/x") })
}

fn told(kind: &str) -> Value {
    json!({ "$event": "emit", "event": kind })
}

#[test]
fn each_moment_of_a_task_is_told_once_and_to_whom_it_concerns() {
    let mut life = Life::of(json!({
        "type": "t", "payload": { "a": 1 }, "retry": { "attempts": 1 }, "webhookUrl": "https://sdk.example:8443/",
        "onPending": [told("p"), hook("pending")], "onProgress": [hook("progress")],
        "onSuccess": [hook("success")], "onError": [hook("error")],
    }));
    assert_eq!(life.targets(), ["task.webhook:pending.example:443"]);
    life.report(40.0);
    assert_eq!(life.targets(), ["task.webhook:progress.example:443"]);
    life.succeed(json!({ "x": [1] }));
    assert_eq!(
        life.targets(),
        ["task.webhook:success.example:443", "task.webhook:sdk.example:8443"]
    );
    let run = life.id();
    let [success, sdk] = &life.last[..] else {
        panic!("{:?}", life.last)
    };
    let version = life.state.version;
    assert_eq!(
        (&*success.key, &*success.message_id),
        (&*format!("{run}/success/0"), &*format!("msg_{run}_{version}_success_0"))
    );
    assert_ne!(success.key, sdk.key);
    let message: Value = serde_json::from_str(&success.body).unwrap();
    assert_eq!(
        (&message["url"], &message["method"]),
        (&json!("https://success.example/x"), &json!("POST"))
    );
    let expected = json!({ "task": life.document(), "result": { "x": [1] }, "jobId": run });
    assert_eq!(message["body"], expected);
}

#[test]
fn an_error_is_told_when_it_is_the_last_one_unless_each_is_wanted() {
    let each =
        json!({ "$event": "notify", "channel": "slack", "message": "{{error}}", "target": "#x", "everyAttempt": true });
    let mut life = Life::of(json!({
        "type": "t", "payload": {}, "retry": { "attempts": 2 }, "onError": [hook("last"), each], "onSuccess": [hook("never")],
    }));
    life.fail("first");
    let [notice] = &life.last[..] else {
        panic!("{:?}", life.last)
    };
    assert_eq!(&*notice.target, "task.notify:slack");
    let said: Value = serde_json::from_str(&notice.body).unwrap();
    assert_eq!((&said["message"], &said["target"]), (&json!("first"), &json!("#x")));
    life.retry();
    life.fail("second");
    assert_eq!(life.targets(), ["task.webhook:last.example:443", "task.notify:slack"]);
    let body: Value = serde_json::from_str(&life.last[0].body).unwrap();
    assert_eq!(
        body["body"],
        json!({ "task": life.document(), "error": "second", "jobId": life.id() })
    );
    let said: Value = serde_json::from_str(&life.last[1].body).unwrap();
    assert_eq!(said["message"], "second");
}

#[test]
fn a_task_that_is_called_off_has_failed() {
    let mut life = Life::of(json!({ "type": "t", "payload": {}, "onError": [hook("error")] }));
    life.cancel();
    let body: Value = serde_json::from_str(&life.last[0].body).unwrap();
    assert_eq!(body["body"]["error"], "cancelled");
}

#[test]
fn a_child_gets_the_values_and_one_that_grows_too_large_is_given_up() {
    let child = json!({ "type": "next", "payload": { "x": "{{result.x}}", "of": "task {{jobId}}" } });
    let greedy = json!({ "type": "next", "payload": vec!["{{result}}"; 3] });
    let enqueue = |task: &Value| json!({ "$event": "enqueue", "task": task });
    let mut life = Life::of(json!({ "type": "t", "payload": {}, "onSuccess": [enqueue(&child), enqueue(&greedy)] }));
    let long = "\"quoted\"\n".repeat(60_000);
    life.succeed(json!({ "x": long }));
    assert_eq!(life.targets(), ["task.enqueue"; 2]);
    let task: Value = serde_json::from_str(&life.last[0].body).unwrap();
    let expected = json!({ "type": "next", "payload": { "x": long, "of": format!("task {}", life.id()) } });
    assert_eq!(task, json!({ "task": expected }));
    assert!(
        life.last[1].body.contains("refused") && life.last[1].body.len() < 200,
        "{}",
        life.last[1].body
    );
    // One after the other, as written.
    assert_eq!(
        (&*life.last[0].key, &life.last[0].key),
        (&*life.id(), &life.last[1].key)
    );
}

#[test]
fn a_large_result_is_left_out_of_a_webhook_with_a_word_about_it() {
    for (bytes, is_sent) in [(MAX_BODY_BYTES - 500, true), (MAX_BODY_BYTES, false)] {
        let mut life = Life::of(json!({ "type": "t", "payload": {}, "onSuccess": [hook("a")] }));
        life.succeed("r".repeat(bytes).into());
        let message: Value = serde_json::from_str(&life.last[0].body).unwrap();
        let body = &message["body"];
        assert_eq!(
            (body.get("result").is_some(), body.get("note").is_some()),
            (is_sent, !is_sent)
        );
        assert!(body.to_string().len() <= MAX_BODY_BYTES);
        assert_eq!(body["jobId"], life.id());
    }
}

#[test]
fn a_pipeline_tells_of_each_step_that_is_done() {
    let mut life = Life::of(json!({
        "type": "p", "payload": {}, "onProgress": [
            { "$event": "notify", "channel": "discord", "message": "{{progress}} of {{task.type}}" },
        ],
        "steps": [{ "task": "a" }, { "task": "b" }, { "task": "c", "optional": true, "retry": { "attempts": 1 } }],
    }));
    let mut said = Vec::new();
    for _ in 0..2 {
        life.succeed(json!(1));
        said.extend(life.said());
    }
    life.fail("oh");
    said.extend(life.said());
    assert_eq!(said, ["33 of p", "67 of p", "100 of p"]);
}

#[test]
fn runs_of_other_faces_and_tasks_without_effects_tell_nothing() {
    let mut quiet = Life::of(json!({ "type": "t", "payload": {}, "onSuccess": null }));
    quiet.succeed(json!(1));
    assert!(quiet.last.is_empty());
    let document = json!({ "type": "t", "payload": {}, "onPending": [hook("a")], "onSuccess": [hook("a")] });
    let mut other = Life::under("nightly", document);
    assert!(other.last.is_empty());
    other.succeed(json!(1));
    assert!(other.last.is_empty());
}

#[test]
fn what_is_for_a_screen_is_shown_and_not_sent() {
    let mut life = Life::of(json!({
        "type": "t", "payload": { "page": "javascript:alert(1)" },
        "onPending": [{ "$event": "toast", "text": "queued {{jobId}}" }],
        "onSuccess": [
            { "$event": "invalidate", "path": "/tasks/{{jobId}}", "tags": ["tasks"] },
            { "$event": "emit", "event": "done", "data": { "x": "{{result.x}}" } },
            { "$event": "redirect", "url": "{{result.url}}" },
            { "$event": "redirect", "url": "{{task.payload.page}}" },
            { "$event": "toast", "text": "done", "variant": "success" },
        ],
    }));
    let run = life.id();
    assert_eq!(
        life.shown,
        [json!({ "type": "toast", "text": format!("queued {run}"), "variant": "info", "taskId": run })]
    );
    life.succeed(json!({ "x": 5, "url": "https://example.com/r" }));
    assert_eq!(
        life.shown,
        [
            json!({ "type": "invalidate", "path": format!("/tasks/{run}"), "tags": ["tasks"], "taskId": run }),
            json!({ "type": "emit", "event": "done", "data": { "x": 5 }, "taskId": run }),
            json!({ "type": "redirect", "url": "https://example.com/r", "taskId": run }),
            json!({ "type": "toast", "text": "done", "variant": "success", "taskId": run }),
        ]
    );
    assert!(life.last.is_empty(), "{:?}", life.last);
}
