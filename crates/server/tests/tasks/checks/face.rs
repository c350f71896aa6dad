//! Checks 1 to 6, 9 to 11, 17 and 19: what is answered to whom.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::common::Reply;
use super::common::client::read;

use super::tasks::{House, TOKEN, assert_refused, assert_time, has_ended, list, text};

#[test]
fn check_1_health_is_said_to_be_well_at_a_time() {
    let house = House::start();
    let health = house.read("/health");
    // One body for the readers of all faces; `version` is what this face's client library declares.
    assert_eq!(health["status"], "healthy", "{health}");
    assert!(health["version"].is_string(), "{health}");
    let time = text(&health, "timestamp");
    assert!(time.contains('T') && time.ends_with('Z'), "{time}");
    assert_eq!(house.server().client().call("HEAD", "/health", &[], "").status, 200);
}

#[test]
fn check_2_a_task_is_queued_and_reaches_modal_as_it_was_given() {
    let house = House::start();
    let body = json!({ "type": "text.chat", "payload": { "prompt": "Hello!" }, "queue": "default", "priority": 0 });
    let reply = house.post("/api/tasks", &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    assert!(!reply.text().contains('\n'), "answers are compact: {}", reply.text());
    let queued = reply.json();
    let id = text(&queued, "taskId");
    assert!(!id.is_empty());
    assert_eq!(
        (&queued["status"], &queued["queue"]),
        (&json!("queued"), &json!("default"))
    );
    let call = house.nth("text.chat", 1);
    assert_eq!(call.line, "POST /run_task");
    assert_eq!(
        call.body,
        json!({ "task_type": "text.chat", "payload": { "prompt": "Hello!" } })
    );
    let header = |name: &str| call.headers.get(name).map(String::as_str);
    assert_eq!(header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(header("content-type"), Some("application/json"));
    house.completed(&id);
    assert_eq!(house.count("text.chat"), 1);
}

#[test]
fn check_3_a_task_completes_with_the_backends_result() {
    let house = House::start();
    let result = json!({ "text": "Hi.", "usage": [1, 2.5, null], "deep": { "er": true } });
    house
        .modal
        .teach("text.chat", quintet_testkit::modal::Answer::Result(result.clone()));
    let id = house.submit_plain("text.chat");
    let done = house.completed(&id);
    assert_eq!(
        (&done["taskId"], &done["progress"], &done["result"]),
        (&json!(id), &json!(100), &result)
    );
    assert!(done.get("error").is_none(), "no error, no key: {done}");
    // The fields that the dashboard looks for.
    assert_eq!(
        (&done["id"], &done["type"], &done["queue"]),
        (&json!(id), &json!("text.chat"), &json!("default"))
    );
    for time in ["createdAt", "startedAt", "completedAt"] {
        assert_time(&done[time]);
    }
}

#[test]
fn check_3_a_task_under_way_is_running_without_a_result() {
    let house = House::start();
    house.modal.teach(
        "slow",
        quintet_testkit::modal::Answer::held(quintet_testkit::modal::Answer::Echo),
    );
    let id = house.submit_plain("slow");
    house.nth("slow", 1);
    let running = house.task(&id);
    assert_eq!(
        (&running["status"], &running["result"], &running["progress"]),
        (&json!("running"), &Value::Null, &json!(0))
    );
    assert!(running.as_object().is_some_and(|fields| fields.contains_key("result")));
    house.modal.release();
    house.completed(&id);
}

#[test]
fn check_4_a_task_without_a_type_or_a_payload_is_refused() {
    let house = House::start();
    for body in [
        json!({}),
        json!({ "payload": {} }),
        json!({ "type": "", "payload": {} }),
        json!({ "type": null }),
    ] {
        assert_refused(&house.post("/api/tasks", &body), 400, "task.type is required");
    }
    for payload in [Value::Null, json!(0), json!(""), json!(false)] {
        let body = json!({ "type": "text.chat", "payload": payload });
        assert_refused(&house.post("/api/tasks", &body), 400, "task.payload is required");
    }
    assert_refused(
        &house.post("/api/tasks", &json!({ "type": "text.chat" })),
        400,
        "task.payload is required",
    );
    assert_eq!(house.list("limit=100").len(), 0);
}

#[test]
fn check_4_a_body_that_cannot_be_read_is_refused_with_all_three_fields() {
    let house = House::start();
    let json = ("content-type", "application/json");
    let client = house.server().client();
    for (headers, body, status) in [
        (&[json][..], "{bad", 400),
        (&[json], "", 400),
        (&[json], "null", 400),
        (&[("content-type", "application/xml")], "<task/>", 415),
        (&[("content-type", "application/x-www-form-urlencoded")], "type=t", 415),
    ] {
        assert_unreadable(&client.call("POST", "/api/tasks", headers, body), status);
    }
    // Nobody has to send it to be told that it is too long.
    let mut stream = TcpStream::connect(house.server().address()).expect("a connection");
    let head = "POST /api/tasks HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n{";
    stream.write_all(head.as_bytes()).expect("it is sent");
    assert_unreadable(&read(&mut stream), 413);
}

fn assert_unreadable(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.text());
    let fields = reply.json();
    assert_eq!(fields["statusCode"], status, "{fields}");
    for field in ["error", "message"] {
        let text = fields[field].as_str();
        assert!(text.is_some_and(|text| !text.is_empty()), "{field}: {fields}");
    }
}

#[test]
fn check_4_a_payload_may_be_anything_that_is_something() {
    let house = House::start();
    for payload in [json!({}), json!("text"), json!([1]), json!(7), json!(true)] {
        let id = house.submit(&json!({ "type": "any", "payload": payload }));
        assert_eq!(house.completed(&id)["result"], payload);
    }
}

#[test]
fn check_5_an_unknown_task_is_not_found() {
    let house = House::start();
    for path in [
        "/api/tasks/nope",
        "/api/tasks/run_0000000000000000",
        "/api/tasks/1?queue=gpu",
        "/api/tasks/%2e%2e",
    ] {
        assert_refused(&house.get(path), 404, "Task not found");
        assert_refused(&house.delete(path), 404, "Task not found");
    }
    let headers = [("content-type", "application/json")];
    let reply = house.server().client().call("DELETE", "/api/tasks/nope", &headers, "");
    assert_refused(&reply, 404, "Task not found");
}

#[test]
fn check_5_an_unknown_route_says_which() {
    let house = House::start();
    for (method, path) in [("GET", "/api/nothing"), ("PUT", "/api/tasks"), ("POST", "/api/tasks/")] {
        let reply = house.server().client().call(method, path, &[], "");
        assert_eq!(reply.status, 404, "{method} {path}: {}", reply.text());
    }
    let body = house.server().client().call("PUT", "/api/tasks", &[], "").json();
    assert_eq!(
        (&body["message"], &body["statusCode"]),
        (&json!("Route PUT:/api/tasks not found"), &json!(404))
    );
}

#[test]
fn check_6_a_task_of_another_queue_is_found_there() {
    let house = House::start();
    let queued = house.send(
        "/api/tasks",
        &json!({ "type": "image.detect", "payload": {}, "queue": "gpu" }),
    );
    assert_eq!(queued["queue"], "gpu");
    let id = text(&queued, "taskId");
    let found = house.task_when("is found by its queue", &format!("{id}?queue=gpu"), has_ended);
    assert_eq!(
        (&found["status"], &found["queue"]),
        (&json!("completed"), &json!("gpu"))
    );
    assert_eq!(house.ids("queue=gpu"), std::slice::from_ref(&id));
    assert_eq!(house.ids("queue=default"), [] as [String; 0]);
}

#[test]
fn check_6_an_unknown_queue_is_echoed_and_is_the_default_one() {
    let house = House::start();
    let queued = house.send("/api/tasks", &json!({ "type": "t", "payload": {}, "queue": "tpu" }));
    assert_eq!(queued["queue"], "tpu");
    let id = text(&queued, "taskId");
    house.completed(&id);
    let listed = house.read("/api/tasks?queue=tpu");
    assert_eq!(listed["queue"], "tpu");
    assert_eq!(house.ids("queue=default"), [id]);
}

#[test]
fn check_9_a_list_has_its_items_with_their_fields() {
    let house = House::start();
    let ids: Vec<_> = (0..3)
        .map(|n| house.submit(&json!({ "type": format!("t{n}"), "payload": { "n": n } })))
        .collect();
    for id in &ids {
        house.completed(id);
    }
    let listed = house.read("/api/tasks?queue=default&limit=50");
    let items = list(&listed, "tasks");
    assert_eq!(
        (&listed["queue"], &listed["count"], items.len()),
        (&json!("default"), &json!(3), 3)
    );
    let mut seen = Vec::new();
    for item in &items {
        let id = text(item, "taskId");
        let n = ids
            .iter()
            .position(|known| *known == id)
            .unwrap_or_else(|| panic!("{item}"));
        let expected = json!({ "status": "completed", "type": format!("t{n}"), "queue": "default", "progress": 100 });
        for (field, value) in expected.as_object().expect("an object") {
            assert_eq!(&item[field], value, "{field} of {item}");
        }
        assert_eq!((&item["id"], &item["result"]["n"]), (&json!(id), &json!(n)));
        assert_time(&item["createdAt"]);
        seen.push(n);
    }
    assert_eq!(seen, [2, 1, 0], "the newest comes first");
}

#[test]
fn check_10_a_delayed_task_that_was_cancelled_never_reaches_a_backend() {
    let house = House::start();
    let task = json!({ "type": "later", "payload": {}, "delay": 1500 });
    let id = house.submit(&task);
    let waits = house.task(&id);
    assert_eq!((&waits["status"], &waits["progress"]), (&json!("queued"), &json!(0)));
    let other = house.submit(&json!({ "type": "proof", "payload": {}, "delay": 2000 }));
    let cancelled = house.cancel(&id);
    assert_eq!(
        (&cancelled["taskId"], &cancelled["cancelled"], &cancelled["success"]),
        (&json!(id), &json!(true), &json!(true))
    );
    let ended = house.failed(&id);
    assert_eq!((&ended["error"], &ended["result"]), (&json!("cancelled"), &Value::Null));
    // What was due later has come; what was cancelled would have come before.
    house.completed(&other);
    assert_eq!((house.count("later"), house.count("proof")), (0, 1));
    assert_eq!(house.failed(&id)["error"], "cancelled");
}

#[test]
fn check_10_a_delayed_task_runs_when_it_is_due_and_not_before() {
    let house = House::start();
    let at_once = house.submit_plain("mark");
    house.completed(&at_once);
    let begun = house.modal.calls_of("mark")[0].at;
    let id = house.submit(&json!({ "type": "later", "payload": {}, "delay": 1200 }));
    house.completed(&id);
    let waited = house.modal.calls_of("later")[0].at - begun;
    assert!(waited >= std::time::Duration::from_millis(1200), "{waited:?}");
}

#[test]
fn check_11_a_task_that_has_ended_cannot_be_cancelled() {
    let house = House::start();
    let id = house.submit_plain("quick");
    house.completed(&id);
    assert_refused(&house.delete(&format!("/api/tasks/{id}")), 400, "Task already finished");
    house
        .modal
        .teach("bad", quintet_testkit::modal::Answer::Error("boom".to_owned()));
    let id = house.submit(&json!({ "type": "bad", "payload": {}, "retry": { "attempts": 1 } }));
    house.failed(&id);
    assert_refused(&house.delete(&format!("/api/tasks/{id}")), 400, "Task already finished");
}

#[test]
fn check_17_a_pipeline_is_drawn_with_a_link() {
    let house = House::start();
    let steps = json!([
        { "id": "download", "task": "data.download", "input": { "url": "{{payload.url}}" } },
        { "id": "process", "task": "video.process", "dependsOn": ["download"] },
    ]);
    let drawn = house.send("/api/visualize", &json!({ "steps": steps }));
    assert_eq!(
        drawn["mermaid"],
        "graph TD\n  download[data\\ndownload]\n  process[video\\nprocess]\n  download --> process"
    );
    assert!(text(&drawn, "url").starts_with("https://mermaid.live/edit#"));
    for body in [json!({}), json!({ "steps": [] }), json!({ "type": "t", "payload": {} })] {
        assert_refused(&house.post("/api/visualize", &body), 400, "No steps in task");
    }
}

#[test]
fn check_17_loops_optional_steps_and_plain_sequences_are_drawn_as_the_contract_says() {
    let house = House::start();
    let steps = json!([
        { "id": "list", "task": "data.list.all" },
        { "task": "image.detect", "forEach": "{{steps.list.items}}", "dependsOn": ["list", "ghost"], "optional": true },
        { "id": "end", "task": "done", "dependsOn": ["step_1"], "optional": true },
    ]);
    let drawn = house.send("/api/visualize", &json!({ "steps": steps }));
    let expected = [
        "graph TD",
        "  list[data\\nlist\\nall]",
        "  step_1{{image\\ndetect\\nforEach}}",
        "  end[done]",
        "  list --> step_1",
        "  ghost --> step_1",
        "  step_1 --> end",
        "  style step_1,end stroke-dasharray: 5 5",
    ];
    assert_eq!(text(&drawn, "mermaid"), expected.join("\n"));
    let plain = json!({ "steps": [{ "task": "a" }, { "task": "b" }, { "task": "c" }] });
    let expected = "graph TD\n  step_0[a]\n  step_1[b]\n  step_2[c]\n  step_0 --> step_1\n  step_1 --> step_2";
    assert_eq!(text(&house.send("/api/visualize", &plain), "mermaid"), expected);
}

#[test]
fn check_19_the_client_librarys_spelling_is_accepted() {
    let house = House::start();
    let payload = json!({ "messages": [{ "role": "user", "content": "Hello!" }] });
    let id = house.submit(&json!({ "task": "openai.chat", "payload": payload }));
    let done = house.completed(&id);
    assert_eq!((&done["type"], &done["result"]), (&json!("openai.chat"), &payload));
    assert_eq!(
        house.modal.calls_of("openai.chat")[0].body,
        json!({ "task_type": "openai.chat", "payload": payload })
    );
    // Where both are given, `type` is the one.
    let id = house.submit(&json!({ "task": "b", "type": "a", "payload": {} }));
    assert_eq!(house.completed(&id)["type"], "a");
}
