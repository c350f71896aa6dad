//! Workflows and runs as pictures, as a browser or a tool gets them.

#[allow(unused_imports, reason = "what is drawn has no targets")]
mod common;

use common::{Reply, Server};
use serde_json::{Value, json};

/// Steps of every kind, one of which has a name that must not come to life.
fn steps() -> Value {
    json!([
        { "id": "good", "name": "<script>alert(\"1\")</script>", "action": "noop" },
        { "id": "bad", "name": "bad", "action": "http", "input": { "url": "ftp://x" }, "depends_on": ["good"] },
        { "id": "gate", "name": "gate", "action": "approval", "depends_on": ["good"] },
        { "id": "never", "name": "never", "action": "noop", "depends_on": ["bad", "gate"] },
    ])
}

fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    let found = reply.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map_or("", |(_, value)| value)
}

/// The picture, after a look at what comes with it.
fn drawn(server: &Server, path: &str, media_type: &str) -> String {
    let reply = server.get(path);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    assert_eq!(header(&reply, "content-type"), media_type, "{path}");
    assert_eq!(header(&reply, "x-content-type-options"), "nosniff");
    assert!(header(&reply, "content-security-policy").starts_with("default-src 'none'"));
    let text = reply.text();
    assert!(!text.contains("<script"), "{text}");
    text
}

#[test]
fn a_workflow_is_drawn_in_each_format_and_each_version() {
    let server = Server::start();
    let id = server.workflow(&json!({ "id": "wf_a", "name": "first", "steps": steps() }));
    let path = format!("/v1/workflows/{id}/visualize");
    for path in [path.clone(), format!("{path}?format=svg")] {
        let svg = drawn(&server, &path, "image/svg+xml");
        assert!(svg.starts_with("<svg ") && svg.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"));
    }
    let mermaid = drawn(
        &server,
        &format!("{path}?format=mermaid"),
        "text/vnd.mermaid; charset=utf-8",
    );
    assert!(
        mermaid.starts_with("graph TD\n") && mermaid.contains("  good --> bad\n"),
        "{mermaid}"
    );
    assert!(mermaid.contains("#lt;script#gt;"), "{mermaid}");
    let dot = server.get(&format!("{path}?format=dot"));
    assert_eq!(header(&dot, "content-type"), "text/vnd.graphviz; charset=utf-8");
    assert!(dot.text().contains("  \"good\" -> \"bad\";\n"), "{}", dot.text());

    server.workflow(&json!({ "id": "wf_a", "name": "second", "steps": [{ "name": "only", "action": "noop" }] }));
    assert!(drawn(&server, &path, "image/svg+xml").contains("<title>second</title>"));
    let old = drawn(&server, &format!("{path}?version=1"), "image/svg+xml");
    assert!(old.contains("<title>first · version 1</title>") && old.contains("never"));
}

#[test]
fn a_run_is_drawn_in_the_colours_of_its_steps() {
    let server = Server::start();
    let id = server.workflow(&json!({ "name": "w", "steps": steps(), "on_failure": "continue" }));
    let run = server.run(&id, &json!({}));
    common::until("the step has failed", || {
        let steps = server.get(&format!("/v1/runs/{run}/steps?status=FAILED")).json();
        steps["items"].as_array().filter(|items| !items.is_empty()).map(|_| ())
    });
    server.when(&run, &["WAITING_APPROVAL"]);
    let path = format!("/v1/runs/{run}/visualize");
    let mermaid = drawn(
        &server,
        &format!("{path}?format=mermaid"),
        "text/vnd.mermaid; charset=utf-8",
    );
    for expected in ["class good succeeded\n", "class bad failed\n", "class gate waiting\n"] {
        assert!(mermaid.contains(expected), "{expected} in {mermaid}");
    }
    let svg = drawn(&server, &path, "image/svg+xml");
    assert!(
        svg.contains(&format!("<title>w · {run} · WAITING_APPROVAL</title>")),
        "{svg}"
    );
    // The colours of what failed, and why it did.
    assert!(
        svg.contains("fill=\"#fee2e2\" stroke=\"#dc2626\"") && svg.contains("url"),
        "{svg}"
    );
    server.post(&format!("/v1/runs/{run}/reject"), "");
    server.ended(&run);
    assert!(drawn(&server, &path, "image/svg+xml").contains(" · FAILED</title>"));
}

#[test]
fn what_is_not_there_and_what_is_too_large_is_refused_in_words() {
    let server = Server::start();
    let many: Vec<Value> = (0..5_000)
        .map(|n| json!({ "name": format!("s{n}"), "action": "noop" }))
        .collect();
    let id = server.workflow(&json!({ "name": "large", "steps": many }));
    let path = format!("/v1/workflows/{id}/visualize");
    let refused = server.get(&path);
    assert_eq!(refused.status, 422);
    let error = &refused.json()["error"];
    assert_eq!(
        (&error["code"], &error["field"]),
        (&json!("invalid_parameter"), &json!("format"))
    );
    assert!(
        error["message"].as_str().expect("text").contains("mermaid or dot"),
        "{error}"
    );
    let mermaid = drawn(
        &server,
        &format!("{path}?format=mermaid"),
        "text/vnd.mermaid; charset=utf-8",
    );
    assert_eq!(mermaid.lines().count(), 1 + 5_000 + 4_999);

    for (path, status, code) in [
        (format!("{path}?format=gif"), 400, "invalid_parameter"),
        (format!("{path}?version=x"), 400, "invalid_parameter"),
        (format!("{path}?version=2"), 404, "version_not_found"),
        ("/v1/workflows/none/visualize".to_owned(), 404, "workflow_not_found"),
        ("/v1/runs/none/visualize".to_owned(), 404, "run_not_found"),
    ] {
        let refused = server.get(&path);
        assert_eq!(refused.status, status, "{path}");
        assert_eq!(refused.json()["error"]["code"], code, "{path}");
    }
}
