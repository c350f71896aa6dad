//! What comes from elsewhere: files, and the answers of services.

use super::*;

/// A text whose aliases stand for a thousand million values.
fn billion_laughs() -> String {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for nth in 1..10 {
        let aliases = vec![format!("*a{}", nth - 1); 10].join(", ");
        text.push_str(&format!("a{nth}: &a{nth} [{aliases}]\n"));
    }
    text + "name: x\nsteps: [{name: s, action: noop, input: {a: *a9}}]\n"
}

#[test]
fn yaml_that_multiplies_itself_is_refused() {
    let (_folder, server) = serve();
    let (aliases, brackets) = (billion_laughs(), "[".repeat(1_000_000));
    under_attack(&server, None, || {
        for body in [&aliases, &brackets] {
            for path in ["/v1/workflows", "/v1/workflows/validate"] {
                let answer = soon(path, || {
                    server.send("POST", path, &[("content-type", "application/yaml")], body)
                });
                assert_eq!(answer.status, 400, "{path}: {answer:?}");
            }
        }
    });
}

/// What a command ended with, how long it took, and the most memory that it held.
fn command(folder: &Path, words: &[&str]) -> (Option<i32>, Duration, u64) {
    let began = Began::now();
    let mut child = quintet(folder)
        .args(words)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut most = 0;
    loop {
        most = most.max(kib(child.id(), "VmHWM").unwrap_or_default());
        if let Some(status) = child.try_wait().expect("a child") {
            return (status.code(), began.elapsed(), most);
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{words:?} does not end");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn files_that_multiply_themselves_are_refused_by_the_command_line() {
    let folder = folder();
    let deep = |depth: usize| {
        format!(
            "{{\"name\":\"x\",\"steps\":{}{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    for (name, text) in [
        ("aliases.yaml", billion_laughs()),
        ("brackets.yaml", "[".repeat(1_000_000)),
        ("deep.json", deep(100_000)),
        ("too-deep.json", deep(65)),
        (
            "many.json",
            format!("{{\"name\":\"x\",\"steps\":[{}{{}}]}}", "{},".repeat(2_000_000)),
        ),
        ("huge.yaml", format!("name: x\nnote: {}\n", "x".repeat(65 << 20))),
    ] {
        let path = file(&folder, name, &text);
        for verb in ["run", "validate"] {
            let (code, took, most) = command(folder.path(), &[verb, &path.display().to_string()]);
            println!("{verb} {name}: {code:?} after {took:?} with {most} KiB");
            assert!(matches!(code, Some(1 | 2)), "{verb} {name}: {code:?}");
            assert!(took < 2 * SOON, "{verb} {name}: {took:?}");
            // With the text itself, and the program.
            assert!(most < MORE_KIB + (200 << 10), "{verb} {name}: {most} KiB");
        }
    }
}

/// A place that answers every request with this head and then with this again and again, for as long as it is heard.
fn hostile(head: &'static str, again: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}/", listener.local_addr().expect("address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let again = again.clone();
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(head.as_bytes());
                while !again.is_empty() && stream.write_all(again.as_bytes()).is_ok() {}
            });
        }
    });
    url
}

#[test]
fn answers_of_hostile_services_end_at_the_limit() {
    let (_folder, server) = serve();
    const ENDLESS: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    const HEADERS: &str = "HTTP/1.1 200 OK\r\n";
    const GZIP: &str = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n";
    under_attack(&server, None, || {
        for (what, url) in [
            ("an endless text", hostile(ENDLESS, "x".repeat(1 << 16))),
            ("endless brackets", hostile(ENDLESS, "[".repeat(1 << 16))),
            ("endless headers", hostile(HEADERS, "x-a: 1\r\n".repeat(1 << 12))),
            ("an endless archive", hostile(GZIP, "\0".repeat(1 << 16))),
        ] {
            let steps = json!([{ "name": "s", "action": "http", "input": { "url": url, "method": "GET" } }]);
            let body = json!({ "workflow": { "name": "x", "steps": steps } }).to_string();
            let answer = soon(what, || server.post("/v1/runs?wait=30s", &body));
            assert_eq!(answer.status, 200, "{what}: {answer:?}");
            assert_eq!(answer.json()["status"], "FAILED", "{what}: {:.500}", answer.body);
        }
    });
}
