//! Too many connections, streams, requests and headers, and slow ones.

use super::*;

#[test]
fn heads_that_are_too_large_are_refused() {
    let (_folder, server) = serve();
    let body = json!({ "workflow_id": "x" }).to_string();
    under_attack(&server, None, || {
        for (what, headers, expected) in [
            ("a long key", vec![("idempotency-key".to_owned(), "k".repeat(256))], 400),
            (
                "a huge key",
                vec![("idempotency-key".to_owned(), "k".repeat(1 << 20))],
                431,
            ),
            ("a huge header", vec![("x-a".to_owned(), "k".repeat(65 << 10))], 431),
            (
                "many headers",
                (0..2_000).map(|nth| (format!("x-{nth}"), "1".to_owned())).collect(),
                431,
            ),
        ] {
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let answer = soon(what, || {
                let mut stream = TcpStream::connect(server.address).expect("connected");
                let mut head = format!(
                    "POST /v1/runs HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n",
                    server.address,
                    body.len()
                );
                headers
                    .iter()
                    .for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
                // It may close before all of it is sent.
                let _ = stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes());
                Answer::read(stream)
            });
            assert_eq!(answer.status, expected, "{what}: {answer:?}");
        }
        let long = format!("/v1/runs/{}", "x".repeat(60 << 10));
        assert!((400..500).contains(&server.get(&long).status));
    });
}

#[test]
fn a_slow_head_and_a_slow_body_are_cut_off_and_others_are_served_meanwhile() {
    let (_folder, server) = serve();
    under_attack(&server, None, || {
        let heads: Vec<TcpStream> = (0..300)
            .map(|_| {
                let mut stream = TcpStream::connect(server.address).expect("connected");
                stream.write_all(b"POST /v1/runs HTTP/1.1\r\nx-slow: ").expect("sent");
                stream
            })
            .collect();
        let bodies: Vec<TcpStream> = (0..100)
            .map(|_| {
                let mut stream = TcpStream::connect(server.address).expect("connected");
                let head = format!(
                    "POST /v1/runs HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000\r\n\r\n{{",
                    server.address
                );
                stream.write_all(head.as_bytes()).expect("sent");
                stream
            })
            .collect();
        let began = Began::now();
        for mut stream in heads {
            stream.set_read_timeout(Some(serving::PATIENCE)).expect("timeout");
            // Closed, with or without a word.
            let _ = stream.read_to_end(&mut Vec::new());
        }
        assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
        for body in bodies {
            body.set_read_timeout(Some(serving::PATIENCE)).expect("timeout");
            assert_eq!(Answer::read(body).status, 408);
        }
        assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
    });
}

#[test]
fn of_thousands_of_streams_as_many_as_the_limit_are_open() {
    let folder = folder();
    let server = Server::with(
        folder.path(),
        &[],
        &[
            ("QUINTET_LIMITS__STREAMS", "500"),
            ("QUINTET_LIMITS__CONNECTIONS_PER_ADDRESS", "3000"),
        ],
    );
    let steps = json!([{ "name": "wait", "action": "noop", "requires_approval": true }]);
    let started = server.post(
        "/v1/runs",
        &json!({ "workflow": { "name": "x", "steps": steps } }).to_string(),
    );
    let id = started.json()["id"].as_str().expect("id").to_owned();
    under_attack(&server, None, || {
        let (mut open, mut refused) = (Vec::new(), 0);
        for nth in 0..2_000 {
            let path = match nth % 3 {
                0 => format!("/v1/runs/{id}/events"),
                1 => format!("/v1/runs/{id}/logs/stream"),
                _ => format!("/api/tasks/stream?taskId={id}"),
            };
            let mut stream = server.open("GET", &path, &[], "");
            let mut first = [0; 12];
            stream.read_exact(&mut first).expect("a status");
            match &first[9..] {
                b"200" => open.push(stream),
                b"503" => refused += 1,
                // A run of another face is no task.
                b"404" => assert_eq!(nth % 3, 2),
                other => panic!("{:?}", String::from_utf8_lossy(other)),
            }
        }
        assert!(
            open.len() == 500 && refused > 500,
            "{} open, {refused} refused",
            open.len()
        );
    });
}

fn with_keys(more: &str) -> (TempDir, Server, [String; 2]) {
    let folder = folder();
    let mut settings = more.to_owned();
    let keys = ["attacker", "bystander"].map(|name| {
        let made = run(
            folder.path(),
            &["keys", "create", "--name", name, "--permissions", "operator"],
        );
        let printed = String::from_utf8(made.stdout).expect("text");
        let (key, entry) = printed.split_once('\n').expect("a key and its entry");
        settings.push_str(entry);
        key.to_owned()
    });
    file(&folder, "quintet.toml", &settings);
    let server = Server::start(folder.path());
    (folder, server, keys)
}

#[test]
fn a_key_that_sends_too_much_is_told_to_wait_and_another_key_is_not() {
    let (_folder, server, [attacker, bystander]) = with_keys("");
    let authorization = format!("Bearer {attacker}");
    under_attack(&server, Some(&bystander), || {
        let mut stream = TcpStream::connect(server.address).expect("connected");
        stream.set_read_timeout(Some(serving::PATIENCE)).expect("timeout");
        let one = format!(
            "GET /v1/workflows HTTP/1.1\r\nhost: {}\r\nauthorization: {authorization}\r\n\r\n",
            server.address
        );
        let mut writer = stream.try_clone().expect("clone");
        let flood = std::thread::spawn(move || {
            for _ in 0..3_000 {
                if writer.write_all(one.as_bytes()).is_err() {
                    return;
                }
            }
            let _ = writer.shutdown(Shutdown::Write);
        });
        let mut answers = String::new();
        let _ = stream.read_to_string(&mut answers);
        flood.join().expect("flood");
        let count = |text: &str| answers.matches(text).count();
        let (served, refused) = (count("HTTP/1.1 200"), count("HTTP/1.1 429"));
        assert!(served >= 200 && refused > 100, "{served} served, {refused} refused");
        assert!(count("retry-after: ") >= refused, "each is told when to come again");
    });
    let answer = server.send(
        "GET",
        "/v1/workflows",
        &[("authorization", &format!("Bearer {bystander}"))],
        "",
    );
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn one_key_has_no_more_streams_than_its_share() {
    let (_folder, server, [attacker, bystander]) = with_keys("");
    let start = |key: &str| {
        let steps = json!([{ "name": "wait", "action": "noop", "requires_approval": true }]);
        let body = json!({ "workflow": { "name": "x", "steps": steps } }).to_string();
        let started = server.send(
            "POST",
            "/v1/runs",
            &[("authorization", &format!("Bearer {key}"))],
            &body,
        );
        started.json()["id"].as_str().expect("id").to_owned()
    };
    let id = start(&bystander);
    under_attack(&server, Some(&bystander), || {
        let open = |key: &str| {
            let header = format!("Bearer {key}");
            let mut stream = server.open(
                "GET",
                &format!("/v1/runs/{id}/events"),
                &[("authorization", &header)],
                "",
            );
            let mut first = [0; 12];
            stream.read_exact(&mut first).expect("a status");
            (String::from_utf8_lossy(&first[9..]).into_owned(), stream)
        };
        let all: Vec<_> = (0..40).map(|_| open(&attacker)).collect();
        let count = |status: &str| all.iter().filter(|(known, _)| known == status).count();
        assert_eq!((count("200"), count("429")), (20, 20));
        assert_eq!(open(&bystander).0, "200");
    });
}

#[test]
fn of_a_flood_of_connections_one_address_holds_its_share() {
    let (_folder, server) = serve();
    under_attack(&server, None, || {
        let mut held: Vec<TcpStream> = (0..3_000)
            .filter_map(|_| TcpStream::connect(server.address).ok())
            .collect();
        let closed = |stream: &mut TcpStream| {
            stream
                .set_read_timeout(Some(Duration::from_millis(1)))
                .expect("timeout");
            matches!(stream.read(&mut [0]), Ok(0))
                || stream
                    .read(&mut [0])
                    .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        };
        let began = Began::now();
        loop {
            let open = held
                .iter_mut()
                .filter_map(|stream| (!closed(stream)).then_some(()))
                .count();
            if open <= 1_024 {
                assert!(open > 900, "{open}");
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(40), "{open} are open");
        }
    });
}

#[test]
fn a_server_that_was_attacked_stops_in_order() {
    let (_folder, server) = serve();
    let held: Vec<TcpStream> = (0..200)
        .filter_map(|_| TcpStream::connect(server.address).ok())
        .collect();
    for body in ["[".repeat(100_000), "x".repeat(1 << 20)] {
        server.post("/v1/runs", &body);
    }
    server.stop();
    drop(held);
}
