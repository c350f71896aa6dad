//! The tenth fault of the original: effects hang nobody, tell of a failure once, take values as they are, reach nothing that
//! they must not, and can be proved to come from here.

use std::process::Command;

use quintet_testkit::modal::{Answer, Fake};
use serde_json::{Value, json};

use super::common::target::{Answer as Said, Call};
use super::common::{Target, until};
use super::tasks::{House, Site, noted, text};

fn first(hooks: &Target, path: &str) -> Call {
    until("the webhook", || hooks.calls_of(path).into_iter().next())
}

#[test]
fn a_hook_that_hangs_hangs_neither_the_submission_nor_the_task() {
    let house = House::start();
    let hooks = Target::scripted(|_, _| Said::held(""));
    let hook = |path: &str| json!({ "$event": "webhook", "url": hooks.url(path) });
    let id = house.submit(&json!({
        "type": "t", "payload": {}, "onPending": [hook("/pending")], "onProgress": [hook("/progress")],
        "onSuccess": [hook("/success")],
    }));
    house.completed(&id);
    let call = first(&hooks, "/pending");
    assert_eq!(call.json()["jobId"], json!(id));
    let other = house.submit_plain("t");
    house.completed(&other);
}

#[test]
fn a_failure_is_told_once_and_only_when_it_is_final() {
    let house = House::start();
    let hooks = Target::scripted(|_, _| Said::ok(""));
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let hook = |path: &str| json!([{ "$event": "webhook", "url": hooks.url(path) }]);
    let id = house.submit(&json!({
        "type": "bad", "payload": {}, "retry": { "attempts": 3, "delay": 10 }, "onError": hook("/failed"),
    }));
    house.failed(&id);
    assert_eq!(first(&hooks, "/failed").json()["error"], "boom");
    // One that succeeds at last tells nothing of its failed attempts.
    let answers = vec![Answer::Error("boom".to_owned()), Answer::Echo];
    house.modal.teach("flaky", Answer::Sequence(answers));
    let id = house.submit(&json!({
        "type": "flaky", "payload": {}, "retry": { "attempts": 3, "delay": 10 },
        "onError": hook("/failed"), "onSuccess": hook("/done"),
    }));
    house.completed(&id);
    first(&hooks, "/done");
    assert_eq!((hooks.calls_of("/failed").len(), house.count("bad")), (1, 3));
}

#[test]
fn each_failed_attempt_is_told_where_that_is_wanted() {
    let house = House::start();
    let hooks = Target::scripted(|_, _| Said::ok(""));
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let id = house.submit(&json!({
        "type": "bad", "payload": {}, "retry": { "attempts": 3, "delay": 10 },
        "onError": [{ "$event": "webhook", "url": hooks.url("/failed"), "everyAttempt": true }],
    }));
    house.failed(&id);
    let told = until("all three", || {
        Some(hooks.calls_of("/failed")).filter(|calls| calls.len() >= 3)
    });
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|call| call.json()["error"] == "boom"));
}

#[test]
fn a_pipeline_tells_how_far_it_is() {
    let slack = Target::scripted(|_, _| Said::ok("ok"));
    let house = House::with(&[("SLACK_WEBHOOK_URL", &slack.url("/slack"))]);
    let steps = json!([{ "id": "a", "task": "a" }, { "id": "b", "task": "b", "dependsOn": ["a"] }]);
    house.completed(&house.submit(&json!({
        "type": "p", "payload": {}, "steps": steps,
        "onProgress": [{ "$event": "notify", "channel": "slack", "message": "{{progress}} of {{task.type}}" }],
    })));
    let told = until("its middle", || {
        let told: Vec<_> = slack.calls().iter().map(|call| text(&call.json(), "text")).collect();
        told.contains(&"50 of p".to_owned()).then_some(told)
    });
    assert!(told.iter().all(|text| text.ends_with(" of p")), "{told:?}");
}

#[test]
fn values_of_any_kind_reach_the_task_that_is_queued_with_them() {
    let house = House::start();
    let nasty = "a \"quoted\" text,\nwith \\ lines\t{{result.other}} and \u{1F600} }}";
    house
        .modal
        .teach("parent", Answer::Result(json!({ "nasty": nasty, "other": "never" })));
    let child = json!({ "type": "child", "payload": { "whole": "{{result.nasty}}", "within": "<{{result.nasty}}>" } });
    let id = house.submit(&json!({
        "type": "parent", "payload": {}, "onSuccess": [{ "$event": "enqueue", "task": child }],
    }));
    house.completed(&id);
    let call = house.nth("child", 1);
    assert_eq!(
        *call.payload(),
        json!({ "whole": nasty, "within": format!("<{nasty}>") })
    );
}

#[test]
fn a_path_to_nothing_stays_as_it_is_written() {
    let house = House::start();
    let child = json!({ "type": "child", "payload": {
        "broken": "{{nothing.at.all}}", "null": "[{{result.null}}]", "gone": "[{{result.gone}}]", "spaced": "{{ result.x }}",
    } });
    house
        .modal
        .teach("parent", Answer::Result(json!({ "null": null, "x": 1 })));
    house.submit(&json!({ "type": "parent", "payload": {}, "onSuccess": [{ "$event": "enqueue", "task": child }] }));
    let payload = house.nth("child", 1).payload().clone();
    assert_eq!(
        (&payload["broken"], &payload["null"], &payload["gone"]),
        (&json!("{{nothing.at.all}}"), &json!("[]"), &json!("[]"))
    );
}

/// A task with a webhook, and after it a task that is queued: when that has run, the webhook has been dealt with.
fn hook_then_child(url: &str) -> Value {
    let effects = json!([
        { "$event": "webhook", "url": url },
        { "$event": "enqueue", "task": { "type": "child", "payload": {} } },
    ]);
    json!({ "type": "t", "payload": {}, "onSuccess": effects })
}

#[test]
fn a_webhook_to_an_address_that_is_not_allowed_is_not_made() {
    let hooks = Target::scripted(|_, _| Said::ok(""));
    let house = House::with(&[("QUINTET_EGRESS__ALLOW_LOOPBACK", "false")]);
    house.completed(&house.submit(&hook_then_child(&hooks.url("/hook"))));
    house.nth("child", 1);
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "http://[::1]:1/",
    ] {
        let reply = house.post("/api/tasks", &hook_then_child(url));
        // Refused at once or not made later; either way what comes after it is done.
        if reply.status == 200 {
            let before = house.count("child");
            house.completed(&text(&reply.json(), "taskId"));
            house.nth("child", before + 1);
        } else {
            assert_eq!(reply.status, 400, "{url}: {}", reply.text());
        }
    }
    assert_eq!(hooks.calls().len(), 0);
}

#[test]
fn a_webhook_to_an_address_that_is_allowed_is_made() {
    let hooks = Target::scripted(|_, _| Said::ok(""));
    let house = Site::default()
        .section("egress", json!({ "allow_loopback": false, "allow": ["127.0.0.1"] }))
        .open();
    let id = house.submit(&hook_then_child(&hooks.url("/hook")));
    assert_eq!(first(&hooks, "/hook").json()["jobId"], json!(id));
}

#[test]
fn a_webhook_does_not_follow_its_receiver_to_an_address_that_is_not_allowed() {
    let inside = Target::scripted(|_, _| Said::ok("a secret"));
    let hooks = Fake::start().expect("receiver");
    let location = vec![("location".to_owned(), inside.url("/inside"))];
    // A webhook says no type.
    hooks.teach("?", Answer::Status(307, location, String::new()));
    let allowed = hooks.url().replace("http://", "");
    let house = Site::default()
        .section("egress", json!({ "allow_loopback": false, "allow": [allowed] }))
        .open();
    let url = format!("{}/run_task", hooks.url());
    house.completed(&house.submit(&hook_then_child(&url)));
    noted(&hooks, "the webhook", |notes| notes.of("?").count() > 0);
    house.nth("child", 1);
    assert_eq!(inside.calls().len(), 0);
}

/// What Standard Webhooks says a receiver computes.
fn signature(secret: &str, call: &Call) -> String {
    let header = |name: &str| call.header(name).unwrap_or_else(|| panic!("no {name}: {call:?}"));
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), call.body);
    let program = "const [secret, text] = process.argv.slice(1); \
                   const key = Buffer.from(secret.slice('whsec_'.length), 'base64'); \
                   process.stdout.write('v1,' + require('node:crypto').createHmac('sha256', key).update(text).digest('base64'))";
    let made = Command::new("node")
        .args(["-e", program, secret, &signed])
        .output()
        .expect("Node starts");
    String::from_utf8(made.stdout).expect("text")
}

#[test]
fn a_webhook_proves_where_it_comes_from_and_comes_again_until_it_is_taken() {
    let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let hooks = Target::scripted(|_, before| {
        if before == 0 {
            Said::status(500, "")
        } else {
            Said::ok("")
        }
    });
    let house = Site::default().tasks(json!({ "webhook_secret": secret })).open();
    let id = house.submit(&hook_then_child(&hooks.url("/hook")));
    house.completed(&id);
    let calls = until("the webhook comes again", || {
        Some(hooks.calls_of("/hook")).filter(|calls| calls.len() >= 2)
    });
    for call in &calls {
        assert_eq!(call.header("webhook-signature"), Some(signature(secret, call).as_str()));
    }
    assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
    assert_eq!(calls[0].body, calls[1].body);
}

#[test]
fn notices_go_to_the_channels_that_the_operator_set() {
    let channels = Target::scripted(|_, _| Said::ok("ok"));
    let (slack, discord) = (channels.url("/slack"), channels.url("/discord"));
    let house = House::with(&[("SLACK_WEBHOOK_URL", &slack), ("DISCORD_WEBHOOK_URL", &discord)]);
    house.modal.teach("bad", Answer::Error("it said \"no\"".to_owned()));
    house.submit(&json!({
        "type": "bad", "payload": {}, "retry": { "attempts": 1 },
        "onError": [
            { "$event": "notify", "channel": "slack", "message": "Failed: {{error}}" },
            { "$event": "notify", "channel": "slack", "message": "{{task.type}}", "target": "#ops" },
            { "$event": "notify", "channel": "discord", "message": "Failed: {{error}}" },
        ],
    }));
    let told = until("both of Slack's", || {
        Some(channels.calls_of("/slack")).filter(|calls| calls.len() == 2)
    });
    let told: Vec<_> = told.iter().map(Call::json).collect();
    assert_eq!(
        told[0],
        json!({ "channel": "#general", "text": "Failed: it said \"no\"" })
    );
    assert_eq!(told[1], json!({ "channel": "#ops", "text": "bad" }));
    assert_eq!(
        first(&channels, "/discord").json(),
        json!({ "content": "Failed: it said \"no\"" })
    );
}

#[test]
fn what_is_meant_for_a_screen_is_in_the_live_news() {
    let house = House::start();
    house.modal.teach("t", Answer::held(Answer::Echo));
    let steps = json!([{ "id": "a", "task": "t" }]);
    let id = house.submit(&json!({
        "type": "p", "payload": {}, "steps": steps,
        "onPending": [{ "$event": "toast", "text": "Starting...", "variant": "info" }],
        "onSuccess": [
            { "$event": "toast", "text": "Done!", "variant": "success" },
            { "$event": "invalidate", "path": "/api/cache", "tags": ["a"] },
            { "$event": "emit", "event": "made", "data": { "n": 1 } },
        ],
    }));
    house.nth("t", 1);
    let mut news = house.stream(&id);
    house.modal.release();
    let mut kinds = Vec::new();
    while kinds.iter().filter(|kind| *kind == "emit").count() == 0 {
        let sent = news
            .next()
            .unwrap_or_else(|| panic!("the stream ended after {kinds:?}"));
        assert_eq!(sent.name, "");
        if sent.data.is_empty() {
            continue;
        }
        let message: Value = serde_json::from_str(&sent.data.join("\n")).expect("JSON");
        let kind = text(&message, "type");
        if kind == "toast" {
            assert!(
                message.to_string().contains("Starting...") || message.to_string().contains("Done!"),
                "{message}"
            );
        }
        kinds.push(kind);
    }
    assert_eq!(kinds.iter().filter(|kind| *kind == "toast").count(), 2, "{kinds:?}");
    assert!(kinds.iter().any(|kind| kind == "invalidate"), "{kinds:?}");
}
