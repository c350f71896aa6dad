//! Watching several tasks at once, breaking off and coming back; and messages that a crash does not lose.

#[allow(
    unused_imports,
    reason = "most tests here look at backends, and not at the targets of steps"
)]
mod common;
mod tasks;

use common::client::{Sent, Stream};
use common::target::Answer as Said;
use common::{Target, until};
use quintet_testkit::modal::Answer;
use serde_json::{Value, json};
use tasks::House;

fn watch(house: &House, ids: &str, headers: &[(&str, &str)]) -> Stream {
    let path = format!("/api/tasks/stream?taskId={ids}");
    house.server().client().stream(&path, headers)
}

/// Everything that is sent until the server ends the stream.
fn whole(mut stream: Stream) -> Vec<(Sent, Value)> {
    assert_eq!(stream.status, 200);
    let sent = std::iter::from_fn(|| stream.next()).filter(|sent| !sent.data.is_empty());
    sent.map(|sent| {
        let message = serde_json::from_str(&sent.data.join("\n")).expect("JSON");
        (sent, message)
    })
    .collect()
}

fn kinds(sent: &[(Sent, Value)]) -> Vec<String> {
    sent.iter().map(|(_, message)| tasks::text(message, "type")).collect()
}

#[test]
fn several_tasks_are_watched_at_once_and_a_client_that_comes_back_hears_nothing_twice() {
    let house = House::start();
    house.modal.teach("held", Answer::held(Answer::Echo));
    let steps = json!([{ "id": "one", "task": "held" }, { "id": "two", "task": "held" }]);
    let first = house.submit_steps(&json!({}), &steps);
    let second = house.submit(&json!({
        "type": "plain", "payload": {}, "onSuccess": [{ "$event": "toast", "text": "{{task.type}} is done" }],
    }));
    house.completed(&second);
    let stream = watch(&house, &format!("{first},{second}"), &[]);
    house.modal.release();
    let sent = whole(stream);
    let connected = &sent[..2];
    assert!(
        connected
            .iter()
            .all(|(sent, message)| message["type"] == "connected" && sent.id.is_empty())
    );
    assert_eq!(
        (
            &connected[0].1["taskId"],
            &connected[1].1["taskId"],
            &connected[1].1["status"]
        ),
        (&json!(first), &json!(second), &json!("completed"))
    );
    let told = &sent[2..];
    let ends = kinds(told).iter().filter(|kind| *kind == "pipeline:complete").count();
    assert_eq!(ends, 2, "{told:#?}");
    let toasts: Vec<_> = told.iter().filter(|(_, message)| message["type"] == "toast").collect();
    assert_eq!(toasts.len(), 1);
    assert_eq!(
        (&toasts[0].1["taskId"], &toasts[0].1["text"]),
        (&json!(second), &json!("plain is done"))
    );
    // From wherever it broke off, the rest is what it had not heard, in whatever order the tasks take their turns.
    for (nth, (last, _)) in told.iter().enumerate() {
        let headers = [("last-event-id", last.id.as_str())];
        let rest = watch(&house, &format!("{first},{second}"), &headers);
        if nth + 1 == told.len() {
            assert_eq!(rest.status, 204, "everything was heard");
            continue;
        }
        let texts = |sent: &[(Sent, Value)]| -> Vec<String> {
            let mut texts: Vec<String> = sent.iter().map(|(_, message)| message.to_string()).collect();
            texts.sort();
            texts
        };
        assert_eq!(texts(&whole(rest)), texts(&told[nth + 1..]), "after {}", last.id);
    }
}

#[test]
fn a_stream_of_no_task_or_from_a_strange_place_is_refused() {
    let house = House::start();
    let id = house.submit_plain("t");
    for (ids, headers, status) in [
        ("", vec![], 400),
        (",", vec![], 400),
        ("nope", vec![], 404),
        (&*format!("{id},nope"), vec![], 404),
        (&*id, vec![("last-event-id", "1.0,2.0")], 400),
        (&*id, vec![("last-event-id", "strange")], 400),
    ] {
        assert_eq!(watch(&house, ids, &headers).status, status, "{ids:?} {headers:?}");
    }
}

#[test]
fn a_message_that_was_not_taken_before_a_crash_is_delivered_after_it() {
    let mut house = House::start();
    let hooks = Target::scripted(|_, before| if before == 0 { Said::held("") } else { Said::ok("") });
    let id = house.submit(&json!({
        "type": "t", "payload": {}, "onSuccess": [{ "$event": "webhook", "url": hooks.url("/done") }],
    }));
    house.completed(&id);
    until("the first attempt", || hooks.calls_of("/done").into_iter().next());
    house.kill();
    house.open();
    let calls = until("another one", || {
        Some(hooks.calls_of("/done")).filter(|calls| calls.len() >= 2)
    });
    assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
    assert_eq!(calls[1].json()["jobId"], json!(id));
}
