//! Traces as a collector receives them.

#![cfg(feature = "otel")]

mod serving;

use serde_json::Value;
use serving::{Server, Target, folder};

/// All spans of a request body: name, trace, parent.
fn spans(request: &str) -> Vec<(String, String, String)> {
    let body = request.split_once("\r\n\r\n").expect("a head and a body").1;
    let body: Value = serde_json::from_str(body).expect("JSON");
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let resources = list(&body, "resourceSpans");
    let scopes = resources.iter().flat_map(|resource| list(resource, "scopeSpans"));
    let text = |span: &Value, name: &str| span[name].as_str().unwrap_or_default().to_owned();
    let all = scopes.flat_map(|scope| list(&scope, "spans"));
    all.map(|span| (text(&span, "name"), text(&span, "traceId"), text(&span, "parentSpanId")))
        .collect()
}

#[test]
fn requests_and_attempts_are_traced_and_a_clients_trace_goes_on() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let folder = folder();
    let (collector, target) = (Target::start(), Target::start());
    let server = Server::with(folder.path(), &[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)]);
    let run = server.start_run(&target.url);
    target.next();
    target.answer("done");
    server.follow(&run, "run succeeded");
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    assert_eq!(
        server.send("GET", "/v1/runs", &[("traceparent", &parent)], "").status,
        200
    );
    server.signal("TERM");

    let mut found = Vec::new();
    let is_complete = |found: &[(String, String, String)]| {
        let has = |name: &str| found.iter().any(|span| span.0 == name);
        has("attempt") && found.iter().any(|span| span.0 == "request" && span.1 == TRACE)
    };
    while !is_complete(&found) {
        let request = collector.next();
        assert!(request.starts_with("POST /v1/traces HTTP/1.1"), "{request}");
        found.extend(spans(&request));
        collector.answer("{}");
    }
    let continued = found.iter().find(|span| span.1 == TRACE).expect("found above");
    assert_eq!(continued.2, "00f067aa0ba902b7");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_collector_that_is_away_costs_nothing_but_the_traces() {
    let folder = folder();
    let away = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}", away.local_addr().expect("address"));
    drop(away);
    let server = Server::with(folder.path(), &[], &[("QUINTET_TELEMETRY__OTLP_ENDPOINT", &url)]);
    assert_eq!(server.get("/health/ready").status, 200);
    server.stop();
}
