//! No URL that a user gives leads the server to a place that the operator has closed, whatever it is written like and
//! wherever it comes in: steps, redirects, repeated attempts, webhooks of tasks, and workers that register. Loopback is
//! closed here, and a sink on it must see nobody.
//!
//! What a name resolves to, and that it may resolve to something else the second time, is tested beside the guard, where
//! the answers can be chosen.

#[allow(unused_imports, reason = "these tests have targets of their own")]
mod common;
mod egress;
mod pipelines;
mod tasks;

use common::{Server, until};
use egress::{Bouncer, Sink, is_refusal, urls};
use serde_json::{Value, json};
use tasks::Site;

const CLOSED: &str = "egress:\n  allow_loopback: false\n";

/// Starts a run of one step that calls a URL; none where the server refuses to begin with, which must be for the URL.
fn start(server: &Server, url: &str, context: &Value) -> Option<String> {
    let step = json!({
        "name": "call", "action": "http", "input": { "url": url, "method": "GET" }, "retry": { "max": 1, "backoff_ms": 1 },
    });
    let body = json!({ "workflow": { "name": "one call", "steps": [step] }, "context": context });
    let reply = server.post("/v1/runs", &body.to_string());
    if reply.status == 200 {
        return Some(tasks::text(&reply.json(), "id"));
    }
    assert!((400..500).contains(&reply.status), "{url:?}: {}", reply.text());
    assert!(is_refusal(&reply.text()), "{url:?}: {}", reply.text());
    None
}

/// Fails unless a run has failed because the guard refused.
fn assert_refused(server: &Server, run: &str, url: &str) {
    let ended = server.ended(run);
    assert_eq!(ended["status"], "FAILED", "{url:?}: {ended:#}");
    let history = server.get(&format!("/v1/runs/{run}/history?limit=1000")).text();
    assert!(is_refusal(&history), "{url:?}: {history}");
}

#[test]
fn a_step_reaches_no_closed_place_in_any_notation() {
    let sink = Sink::start();
    let server = Server::configured(CLOSED);
    let urls = urls(&sink, server.address());
    let literal: Vec<_> = urls.iter().map(|url| start(&server, url, &json!({}))).collect();
    // Nobody can judge these before they are called.
    let made: Vec<_> = urls
        .iter()
        .map(|url| start(&server, "{{ context.url }}", &json!({ "url": url })).expect("a run"))
        .collect();
    for (url, run) in urls.iter().zip(literal) {
        if let Some(run) = run {
            assert_refused(&server, &run, url);
        }
    }
    for (url, run) in urls.iter().zip(made) {
        assert_refused(&server, &run, url);
    }
    sink.assert_unreached();
}

/// A server that may call the bouncer and nothing else on loopback.
fn permitting(bouncer: &Bouncer) -> String {
    format!("{CLOSED}  allow: ['{}']\n", bouncer.address)
}

#[test]
fn a_redirect_reaches_no_closed_place_whatever_its_status() {
    let sink = Sink::start();
    let statuses = [301, 302, 303, 307, 308];
    // A header holds no line breaks, and what is an URL alone may be a path of the place that redirects.
    let is_path = |url: &str| {
        ["127.", "http:1", "http:/1", " "]
            .iter()
            .any(|start| url.starts_with(start))
    };
    let is_header = |url: &str| url.bytes().all(|byte| byte.is_ascii_graphic());
    let mut targets = urls(&sink, "127.0.0.1:1");
    targets.retain(|url| is_header(url) && !is_path(url));
    assert!(targets.len() >= 60, "{}", targets.len());
    let said = targets.clone();
    let bouncer = Bouncer::start(move |path, _| {
        let mut parts = path
            .trim_start_matches('/')
            .split('/')
            .map_while(|part| part.parse::<usize>().ok());
        let (status, target) = (parts.next().expect("status"), parts.next().expect("number"));
        (status as u16, said[target].clone())
    });
    let server = Server::configured(&permitting(&bouncer));
    let paths: Vec<_> = (0..targets.len())
        .map(|n| format!("/{}/{n}", statuses[n % statuses.len()]))
        .collect();
    let runs: Vec<_> = paths
        .iter()
        .map(|path| start(&server, &bouncer.url(path), &json!({})).expect("a run"))
        .collect();
    let place = url::Url::parse(&bouncer.url("/")).expect("a url");
    for ((path, run), target) in paths.iter().zip(runs).zip(&targets) {
        assert_refused(&server, &run, target);
        // What is no URL at all may be a slip of whoever redirects, and is tried again; what is refused is not.
        let calls = if place.join(target).is_err() { 2 } else { 1 };
        assert_eq!(bouncer.count(path), calls, "{target}");
    }
    // And each status with the plainest of them.
    for status in statuses {
        let run = start(&server, &bouncer.url(&format!("/{status}/0/again")), &json!({})).expect("a run");
        assert_refused(&server, &run, &targets[0]);
    }
    sink.assert_unreached();
}

#[test]
fn a_repeated_attempt_reaches_no_closed_place_also_by_the_next_server() {
    let sink = Sink::start();
    let inside = format!("http://localhost:{}/", sink.port);
    // A place that fails first, and leads inside when it is asked again.
    let bouncer = Bouncer::start(move |_, before| match before {
        0 => (503, String::new()),
        _ => (302, inside.clone()),
    });
    let folder = tempfile::tempdir().expect("folder");
    let settings = folder.path().join("settings.yaml");
    std::fs::write(&settings, permitting(&bouncer)).expect("settings");
    let arguments = ["--config", settings.to_str().expect("a path")];
    let mut server = Server::on(folder.path(), &arguments, &[]);
    let step = |backoff_ms: u64, path: &str| {
        json!([{
            "name": "call", "action": "http", "input": { "url": bouncer.url(path) },
            "retry": { "max": 3, "backoff_ms": backoff_ms },
        }])
    };
    let here = server.run_steps(&step(1, "/here"), &json!({}));
    assert_refused(&server, &here, "the second attempt");
    assert_eq!(bouncer.count("/here"), 2);

    let later = server.run_steps(&step(3_000, "/later"), &json!({}));
    until("the first attempt", || (bouncer.count("/later") == 1).then_some(()));
    server.kill();
    let server = Server::on(folder.path(), &arguments, &[]);
    assert_refused(&server, &later, "the attempt of the next server");
    assert!(bouncer.count("/later") >= 2);
    sink.assert_unreached();
}

/// A task with what tells a URL of it, and after it a task that is queued: when that has run, the first was dealt with.
fn telling(url: &str) -> Value {
    let child = json!({ "$event": "enqueue", "task": { "type": "child", "payload": {} } });
    let hook = json!({ "$event": "webhook", "url": url });
    json!({ "type": "t", "payload": { "url": url }, "onSuccess": [hook, child] })
}

#[test]
fn a_tasks_webhooks_reach_no_closed_place_in_any_notation() {
    let sink = Sink::start();
    let house = Site::default()
        .section("egress", json!({ "allow_loopback": false }))
        .open();
    let mut children = 0;
    for (n, url) in urls(&sink, house.server().address()).iter().enumerate() {
        let mut task = telling(url);
        match n % 3 {
            0 => {}
            // The other ways in which a task names a URL.
            1 => task["webhookUrl"] = json!(url),
            _ => task["onSuccess"][0]["url"] = json!("{{payload.url}}"),
        }
        let reply = house.post("/api/tasks", &task);
        match reply.status {
            200 => children += 1,
            _ => assert_eq!(reply.status, 400, "{url:?}: {}", reply.text()),
        }
    }
    assert!(children > 0, "some are judged only when they are called");
    house.nth("child", children);
    tasks::when(
        "nothing is left to be told",
        || json!(house.server().figure("quintet_store_outbox_messages")),
        |left| *left == json!(0.0),
    );
    sink.assert_unreached();
}

#[test]
fn a_worker_that_registers_a_closed_place_is_refused_or_never_called() {
    let sink = Sink::start();
    let house = pipelines::House::with(&[("QUINTET_EGRESS__ALLOW_LOOPBACK", "false")]);
    let mut runs = Vec::new();
    for (n, url) in urls(&sink, house.server().address()).iter().enumerate() {
        let task = format!("job-{n}");
        let registration = json!({
            "serviceId": format!("service-{n}"), "version": "1.0.0", "baseUrl": url,
            "tasks": [{ "id": task, "codeHash": "0123456789abcdef", "retries": 1, "retryDelayMs": 1 }],
        });
        let reply = house.post("/api/register", &registration);
        match reply.status {
            200 => runs.push((url.clone(), house.queue(&task, &json!({})))),
            _ => assert_eq!(reply.status, 400, "{url:?}: {}", reply.text()),
        }
    }
    assert!(!runs.is_empty(), "names are judged only when they are called");
    for (url, run) in runs {
        let failed = house.task_when(&run, "failed");
        assert!(is_refusal(&failed.to_string()), "{url:?}: {failed:#}");
    }
    sink.assert_unreached();
}
