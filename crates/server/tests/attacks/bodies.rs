//! Bodies that are too long, too deep, too many, or that would be worked on for ever.

use super::*;

#[test]
fn a_huge_body_is_refused_by_its_length_before_it_is_sent() {
    let (_folder, server) = serve();
    under_attack(&server, None, || {
        for path in ENTRANCES {
            let answer = soon(path, || {
                let mut stream = TcpStream::connect(server.address).expect("connected");
                let host = server.address;
                let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100000000000\r\n\r\n");
                stream.write_all(head.as_bytes()).expect("sent");
                Answer::read(stream)
            });
            assert_eq!(answer.status, 413, "{path}: {answer:?}");
        }
    });
}

#[test]
fn a_huge_body_without_a_length_is_refused_at_the_limit() {
    let (_folder, server) = serve();
    under_attack(&server, None, || {
        for path in [
            "/v1/workflows",
            "/v1/runs",
            "/v1/runs/run_1/logs",
            "/api/tasks",
            "/api/register",
            "/api/upload/temp",
        ] {
            let mut stream = TcpStream::connect(server.address).expect("connected");
            stream.set_read_timeout(Some(serving::PATIENCE)).expect("timeout");
            let host = server.address;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).expect("sent");
            let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
            // More than any limit; whoever has heard enough closes.
            let sent = (0..256)
                .take_while(|_| stream.write_all(chunk.as_bytes()).is_ok())
                .count();
            assert!(sent < 256, "{path}: it took everything");
            let mut answer = String::new();
            // The answer may have been lost with the rest of what was sent.
            let _ = stream.read_to_string(&mut answer);
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
                "{path}: {answer}"
            );
        }
    });
}

#[test]
fn json_that_is_nested_too_deep_is_refused_at_every_entrance() {
    let (_folder, server) = serve();
    let bodies = [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"name\": \"x\", \"steps\": {}", "[".repeat(1_000_000)),
        // Well formed, and only a little too deep.
        format!("{}1{}", "{\"a\":".repeat(65), "}".repeat(65)),
    ];
    under_attack(&server, None, || {
        for path in ENTRANCES {
            for body in &bodies {
                let answer = soon(path, || server.post(path, body));
                assert_eq!(answer.status, 400, "{path}: {answer:?}");
                assert!(answer.body.contains("nested"), "{path}: {answer:?}");
            }
        }
    });
}

#[test]
fn a_graph_of_a_million_steps_is_refused_and_the_densest_that_fits_costs_little() {
    let (_folder, server) = serve();
    let graph = |number: usize| {
        let steps = "{\"action\":\"a\"},".repeat(number);
        format!("{{\"name\":\"x\",\"steps\":[{}]}}", steps.trim_end_matches(','))
    };
    under_attack(&server, None, || {
        let answer = soon("a million steps", || server.post("/v1/workflows", &graph(1_000_000)));
        assert_eq!(answer.status, 413, "{answer:?}");
        let answer = soon("as many as fit", || {
            server.post("/v1/workflows", &graph((8 << 20) / 16 - 10))
        });
        assert_eq!(answer.status, 400, "{answer:?}");
        let nothing = format!(
            "{{\"name\":\"x\",\"steps\":[{}]}}",
            "{},".repeat(2_500_000).trim_end_matches(',')
        );
        let answer = soon("empty steps", || server.post("/v1/workflows", &nothing));
        assert_eq!(answer.status, 400, "{answer:?}");
        let many = "{\"action\":\"a\"},".repeat(150_000);
        let many = format!("{{\"name\":\"x\",\"steps\":[{}]}}", many.trim_end_matches(','));
        let answer = soon("more than a plan has", || server.post("/v1/workflows", &many));
        assert!(
            answer.status == 400 && answer.body.contains("150000 steps are more than 100000"),
            "{answer:?}"
        );
    });
}

#[test]
fn bodies_whose_values_would_fill_the_memory_are_refused() {
    let (_folder, server) = serve();
    let filled = |one: &str| {
        let all = format!("{one},").repeat((8 << 20) / (one.len() + 1) - 20);
        format!(
            "{{\"workflow_id\":\"x\",\"context\":{{\"a\":[{}]}}}}",
            all.trim_end_matches(',')
        )
    };
    let bodies = ["1", "{}", "[]", "{\"\":1}", "[[]]"].map(filled);
    under_attack(&server, None, || {
        for path in ["/v1/runs", "/api/tasks", "/api/queue/task", "/api/callback/trun_1"] {
            for body in &bodies {
                let answer = soon(path, || server.post(path, body));
                assert!(
                    answer.status == 400 && answer.body.contains("too many values"),
                    "{path}: {answer:?}"
                );
            }
        }
    });
}

#[test]
fn the_densest_bodies_that_are_let_in_cost_less_than_the_limit() {
    let body = |context: String| format!("{{\"workflow_id\":\"x\",\"context\":{context}}}");
    let pairs: Vec<String> = (0..700_000).map(|nth| format!("\"{nth}\":1")).collect();
    let bodies = [
        body(format!("{{\"a\":[{}1]}}", "1,".repeat(2_490_000))),
        body(format!("{{\"a\":[{}1]}}", "{\"\":1},".repeat(356_000))),
        body(format!("{{\"a\":[{}1]}}", "[1],".repeat(415_000))),
        body(format!("{{{}}}", pairs.join(","))),
    ];
    for (nth, body) in bodies.iter().enumerate() {
        // Each with a server of its own, because freed memory is not given back at once.
        let (_folder, server) = serve();
        under_attack(&server, None, || {
            let answer = server.post("/v1/runs", body);
            println!("{nth}: {} of {} KiB", answer.status, body.len() >> 10);
            assert!(
                answer.status == 400 && !answer.body.contains("too many values"),
                "{nth}: {answer:?}"
            );
        });
    }
}

#[test]
fn expressions_that_would_never_end_fail_their_step_soon() {
    let (_folder, server) = serve();
    let nested = "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}x{% endfor %}{% endfor %}{% endfor %}";
    let bombs = [
        nested.to_owned(),
        "{{ ('x' * 1000000) * 1000000 }}".to_owned(),
        "{{ range(1000000000) | list | length }}".to_owned(),
        format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{{{{ {} }}}}", "context.a ~ ".repeat(20_000) + "'x'"),
    ];
    under_attack(&server, None, || {
        for (nth, bomb) in bombs.iter().enumerate() {
            let steps = json!([{ "name": "s", "action": "noop", "input": { "text": bomb } }]);
            let body = json!({ "workflow": { "name": "bomb", "steps": steps }, "context": { "a": "y".repeat(1_000) } });
            let answer = soon(&format!("bomb {nth}"), || {
                server.post("/v1/runs?wait=30s", &body.to_string())
            });
            match answer.status {
                200 => assert_eq!(
                    answer.json()["status"],
                    "FAILED",
                    "{nth}: {}",
                    &answer.body[..answer.body.len().min(500)]
                ),
                status => assert_eq!(status, 400, "{nth}: {answer:?}"),
            }
        }
    });
}

#[test]
fn schemas_that_would_never_end_are_refused_or_cheap() {
    let (_folder, server) = serve();
    let schemas = [
        json!({ "type": "object", "properties": { "a": { "type": "string", "pattern": "(a+)+$" } } }),
        json!({ "properties": { "a": { "pattern": "(.{1,1000}){1000}" } } }),
        json!({ "properties": { "a": { "pattern": "((((a{1,100}){1,100}){1,100}){1,100}){1,100}" } } }),
        json!({ "$ref": "http://127.0.0.1:1/schema.json" }),
        json!({ "$ref": "file:///etc/passwd" }),
        json!({ "$ref": "#" }),
        json!({ "allOf": (0..20_000).map(|_| json!({ "type": "object" })).collect::<Vec<_>>() }),
    ];
    under_attack(&server, None, || {
        for (nth, schema) in schemas.iter().enumerate() {
            let workflow = json!({
                "id": format!("s{nth}"), "name": "x", "input_schema": schema, "steps": [{ "name": "s", "action": "noop" }],
            });
            let stored = soon(&format!("schema {nth}"), || {
                server.post("/v1/workflows", &workflow.to_string())
            });
            assert!(matches!(stored.status, 200 | 400), "{nth}: {stored:?}");
            if stored.status == 400 {
                continue;
            }
            let start = json!({ "workflow_id": format!("s{nth}"), "context": { "a": "a".repeat(100_000) + "!" } });
            let started = soon(&format!("input of {nth}"), || {
                server.post("/v1/runs", &start.to_string())
            });
            assert!(matches!(started.status, 200 | 400 | 422), "{nth}: {started:?}");
        }
    });
}

#[test]
fn giant_pages_and_damaged_cursors_are_refused_or_cut() {
    let (_folder, server) = serve();
    under_attack(&server, None, || {
        for path in [
            "/v1/runs?limit=1000000000",
            "/v1/workflows?limit=99999999999999999999",
            "/v1/schedules?limit=-1",
            "/v1/audit?limit=1001",
            "/v1/audit?cursor=x",
            "/v1/runs?cursor=garbage",
            "/v1/runs?limit=1&limit=2",
        ] {
            let answer = soon(path, || server.get(path));
            assert_eq!(answer.status, 400, "{path}: {answer:?}");
        }
        for path in [
            "/api/runs?limit=1000000000",
            "/api/tasks?limit=1000000000",
            "/api/dlq?limit=1000000000&offset=1000000000",
        ] {
            let answer = soon(path, || server.get(path));
            assert!(matches!(answer.status, 200 | 400), "{path}: {answer:?}");
        }
        let many: String = (0..10_000).map(|nth| format!("a{nth}=1&")).collect();
        let answer = soon("many parameters", || {
            server.get(&format!("/v1/runs?{}", &many[..60_000]))
        });
        assert!(answer.status < 500, "{answer:?}");
    });
}

#[test]
fn a_long_log_line_is_refused() {
    let (_folder, server) = serve();
    under_attack(&server, None, || {
        let line = "x".repeat(7 << 20);
        let answer = soon("a log line", || server.post("/v1/runs/run_1/logs", &line));
        assert_eq!(answer.status, 413, "{answer:?}");
    });
}
