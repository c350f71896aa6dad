//! The sixth and the seventh fault of the original: lists are as long as asked for and know both sets of words, and the
//! link to a drawing opens.

use std::process::Command;

use quintet_testkit::modal::Answer;
use serde_json::{Value, json};

use super::tasks::{House, text};

/// One of each state: completed, failed, running, waiting (one of them with a priority), delayed.
struct Stage {
    house: House,
    completed: String,
    failed: String,
    running: String,
    waiting: String,
    prioritized: String,
    delayed: String,
}

fn stage() -> Stage {
    let house = House::with(&[("WORKER_CONCURRENCY", "1")]);
    let completed = house.submit_plain("good");
    house.completed(&completed);
    house.modal.teach("bad", Answer::Error("boom".to_owned()));
    let failed = house.submit(&json!({ "type": "bad", "payload": {}, "retry": { "attempts": 1 } }));
    house.failed(&failed);
    house.modal.teach("slow", Answer::held(Answer::Echo));
    let running = house.submit_plain("slow");
    house.nth("slow", 1);
    Stage {
        waiting: house.submit_plain("good"),
        prioritized: house.submit(&json!({ "type": "good", "payload": {}, "priority": 3 })),
        delayed: house.submit(&json!({ "type": "good", "payload": {}, "delay": 600_000 })),
        house,
        completed,
        failed,
        running,
    }
}

impl Stage {
    fn assert_listed(&self, query: &str, expected: &[&String]) {
        let mut found = self.house.ids(query);
        found.sort();
        let mut expected: Vec<_> = expected.iter().map(|id| (*id).clone()).collect();
        expected.sort();
        assert_eq!(found, expected, "{query}");
    }
}

#[test]
fn a_list_knows_the_public_and_the_internal_words() {
    let stage = stage();
    let Stage {
        completed,
        failed,
        running,
        waiting,
        prioritized,
        delayed,
        ..
    } = &stage;
    stage.assert_listed("status=completed", &[completed]);
    stage.assert_listed("status=failed", &[failed]);
    stage.assert_listed("status=running", &[running]);
    stage.assert_listed("status=active", &[running]);
    stage.assert_listed("status=queued", &[waiting, prioritized, delayed]);
    stage.assert_listed("status=delayed", &[delayed]);
    stage.assert_listed("", &[completed, failed, running, waiting, prioritized, delayed]);
    let waits = stage.house.ids("status=waiting");
    assert!(
        waits.contains(waiting) && !waits.contains(delayed) && !waits.contains(running),
        "{waits:?}"
    );
    let prior = stage.house.ids("status=prioritized");
    assert!(prior.contains(prioritized) && !prior.contains(delayed), "{prior:?}");
    for item in stage.house.list("") {
        let id = text(&item, "taskId");
        let shown = stage.house.task(&id);
        assert_eq!((&item["status"], &item["type"]), (&shown["status"], &shown["type"]));
    }
}

#[test]
fn a_list_is_never_longer_than_asked_for() {
    let stage = stage();
    for limit in 1..=7 {
        let listed = stage.house.read(&format!("/api/tasks?limit={limit}"));
        let count = listed["tasks"].as_array().map(Vec::len);
        assert_eq!(
            (count, &listed["count"]),
            (Some(limit.min(6)), &json!(limit.min(6))),
            "limit {limit}"
        );
    }
    let one: Vec<String> = stage.house.ids("limit=1&status=queued");
    assert_eq!(one, std::slice::from_ref(&stage.delayed), "the newest");
}

#[test]
fn a_limit_that_is_none_is_refused() {
    let house = House::start();
    for limit in ["abc", "-1", "1.5", "1e3", "99999999999999999999"] {
        let reply = house.get(&format!("/api/tasks?limit={limit}"));
        assert_eq!(reply.status, 400, "{limit}: {}", reply.text());
        assert!(text(&reply.json(), "error").contains("limit"), "{}", reply.text());
    }
}

#[test]
fn a_long_list_is_read_by_pages() {
    let house = House::start();
    let mut expected: Vec<_> = (0..7).map(|_| house.submit_plain("t")).collect();
    expected.reverse();
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = house.read(&format!("/api/tasks?limit=3&cursor={cursor}"));
        let ids = page["tasks"]
            .as_array()
            .expect("tasks")
            .iter()
            .map(|task| text(task, "taskId"));
        found.extend(ids);
        match page["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn a_status_that_is_none_is_refused() {
    let house = House::start();
    let reply = house.get("/api/tasks?status=garbage");
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(text(&reply.json(), "error").contains("status"), "{}", reply.text());
}

#[test]
fn the_link_opens_as_the_drawing() {
    let house = House::start();
    let steps = json!([{ "id": "é", "task": "a.b" }, { "id": "z", "task": "c", "dependsOn": ["é"] }]);
    let drawn = house.send("/api/visualize", &json!({ "steps": steps }));
    let url = text(&drawn, "url");
    let packed = url
        .strip_prefix("https://mermaid.live/edit#pako:")
        .unwrap_or_else(|| panic!("{url}"));
    // As the page itself opens it: zlib, in the alphabet of URLs.
    let program =
        "const z = require('node:zlib'); console.log(z.inflateSync(Buffer.from(process.argv[1], 'base64url')) + '')";
    let opened = Command::new("node")
        .args(["-e", program, packed])
        .output()
        .expect("Node starts");
    assert!(
        opened.status.success(),
        "{url}: {}",
        String::from_utf8_lossy(&opened.stderr)
    );
    let opened: Value = serde_json::from_slice(&opened.stdout).expect("JSON");
    assert_eq!(opened["code"], drawn["mermaid"]);
    assert!(!opened["mermaid"].is_null(), "{opened}");
    assert!(!packed.contains(['+', '/']), "{packed}");
}
