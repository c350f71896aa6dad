//! Probes, figures, and what every answer carries.

mod serving;

use serving::{Server, folder};

#[test]
fn probes_answer_as_their_readers_expect() {
    let folder = folder();
    let server = Server::start(folder.path());
    assert_eq!(server.get("/healthz").body, "{\n  \"status\": \"ok\"\n}\n");
    for (path, status, service) in [
        ("/health", "healthy", "orchestrator-service"),
        ("/health/ready", "ready", "quintet"),
        ("/readyz", "ready", "quintet"),
        ("/health/live", "alive", "quintet"),
    ] {
        let answer = server.get(path);
        let body = answer.json();
        assert_eq!((answer.status, body["status"].as_str()), (200, Some(status)), "{path}");
        assert_eq!(body["service"], service, "{path}");
        assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
        assert!(
            body["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')),
            "{body}"
        );
    }
    let checks = &server.get("/health").json()["checks"];
    assert_eq!(
        (checks["engine"]["status"].as_str(), checks["store"]["status"].as_str()),
        (Some("healthy"), Some("healthy"))
    );
    server.stop();
}

#[test]
fn figures_are_prometheus_text_or_json_as_asked_and_label_routes_not_paths() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.get("/v1/runs/run_one");
    server.get("/v1/runs/run_two");
    server.get("/no/such/path");
    let metrics = server.get("/metrics");
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    for name in [
        "quintet_runs_started_total",
        "quintet_attempts_in_flight",
        "quintet_commit_seconds_bucket",
        "quintet_http_requests_total{method=\"GET\",route=\"/v1/runs/{id}\",status=\"4xx\"} 2",
        "quintet_http_requests_total{method=\"GET\",route=\"none\",status=\"4xx\"} 1",
        "quintet_http_request_seconds_count{method=\"GET\",route=\"/v1/runs/{id}\"} 2",
        "quintet_http_connections",
        "quintet_store_bytes",
        "quintet_store_transactions_total",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "# TYPE quintet_runs_started_total counter",
    ] {
        assert!(metrics.body.contains(name), "{name} is not in:\n{}", metrics.body);
    }
    assert!(!metrics.body.contains("run_one") && !metrics.body.contains("# EOF"));

    let modern = server.send(
        "GET",
        "/metrics",
        &[("accept", "application/openmetrics-text;version=1.0.0")],
        "",
    );
    assert!(
        modern
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/openmetrics-text"))
    );
    assert!(modern.body.ends_with("# EOF\n"));

    let summary = server
        .send("GET", "/metrics", &[("accept", "application/json")], "")
        .json();
    assert_eq!(summary["store"]["kind"], "sqlite");
    assert_eq!(
        (&summary["service"], &summary["status"]),
        (&"orchestrator-service".into(), &"running".into())
    );
    assert!(
        summary["process"]["resident_memory_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 1 << 20)
    );
    server.stop();
}

#[test]
fn every_answer_carries_an_id_and_the_headers_that_protect() {
    let folder = folder();
    let server = Server::start(folder.path());
    for path in ["/healthz", "/v1/runs", "/no/such/path", "/docs"] {
        let answer = server.send("GET", path, &[("x-request-id", "trace-1.a_b")], "");
        assert_eq!(answer.header("x-request-id"), Some("trace-1.a_b"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
    }
    let made = server.send("GET", "/healthz", &[("x-request-id", "two words")], "");
    assert!(made.header("x-request-id").is_some_and(|id| id.len() == 16), "{made:?}");
    server.stop();
}

#[test]
fn the_page_for_people_runs_only_its_own_script_and_is_shown_in_no_frame() {
    let folder = folder();
    let server = Server::start(folder.path());
    let page = server.get("/docs");
    for (name, value) in [
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    let policy = page.header("content-security-policy").expect("a policy");
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "style-src 'sha256-",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    server.stop();
}

#[test]
fn the_api_describes_itself_to_programs_and_people() {
    let folder = folder();
    let server = Server::start(folder.path());
    let description = server.get("/openapi.json").json();
    assert!(
        description["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3."))
    );
    assert!(description["paths"]["/v1/runs"]["post"].is_object());
    let page = server.get("/docs");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.contains("<title>Quintet API</title>"));
    server.stop();
}

#[test]
fn a_body_beyond_the_limit_is_refused_with_and_without_a_length() {
    let folder = folder();
    let server = Server::with(folder.path(), &[], &[("QUINTET_SERVER__MAX_BODY_BYTES", "2000")]);
    let refused = server.post("/v1/workflows", &"x".repeat(2001));
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].as_str()),
        (413, Some("body_too_large"))
    );
    let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", 3000, "x".repeat(3000));
    let mut stream = std::net::TcpStream::connect(server.address).expect("connected");
    let head = format!(
        "POST /v1/workflows HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        server.address
    );
    std::io::Write::write_all(&mut stream, format!("{head}{chunk}").as_bytes()).expect("sent");
    assert_eq!(serving::Answer::read(stream).status, 413);
    server.stop();
}

#[test]
fn a_web_page_can_neither_reach_nor_drive_a_server_without_keys() {
    let folder = folder();
    let server = Server::start(folder.path());
    let port = server.address.port();
    let rebound = server.send("GET", "/v1/runs", &[("host", &format!("evil.example:{port}"))], "");
    assert_eq!(
        (rebound.status, rebound.json()["error"]["code"].as_str()),
        (403, Some("forbidden"))
    );
    let own = format!("localhost:{port}");
    assert_eq!(server.send("GET", "/v1/runs", &[("host", &own)], "").status, 200);
    for foreign in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let answer = server.send("POST", "/v1/runs", &[("host", &own), foreign], "{}");
        assert_eq!(answer.status, 403, "{foreign:?}");
    }
    let same = format!("http://{own}");
    let answer = server.send(
        "POST",
        "/v1/runs",
        &[("host", &own), ("origin", &same), ("sec-fetch-site", "same-origin")],
        "{}",
    );
    assert_eq!(answer.status, 400, "it reaches the handler, which misses the workflow");
    server.stop();
}
