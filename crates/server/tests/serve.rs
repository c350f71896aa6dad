//! The life of a server: ready, refused, drained, stopped.

mod serving;

use std::io::{BufRead, BufReader};

use serving::{Answer, Server, Target, folder, run, stderr};

#[test]
fn one_line_on_standard_output_says_that_it_serves_and_where() {
    let folder = folder();
    let server = Server::start(folder.path());
    let expected = format!("quintet ready http={} grpc=off store=sqlite\n", server.address);
    assert_eq!(server.ready_line, expected);
    assert_eq!(server.get("/healthz").status, 200);
    server.signal("TERM");
    let (status, rest, log) = server.wait();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""), "{log}");
    let lines = log.lines().filter(|line| !line.is_empty());
    assert!(
        lines.clone().count() > 0 && lines.clone().all(|line| line.starts_with('{')),
        "JSON where no terminal is: {log}"
    );
}

#[test]
fn an_address_that_others_reach_is_refused_without_keys_unless_insisted() {
    let folder = folder();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let output = run(folder.path(), &["serve", "--listen", address]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("auth.api_keys") && said.contains("--insecure-no-auth"),
            "{said}"
        );
    }
    assert!(!folder.path().join("data").exists(), "nothing was made");
    let server = Server::with(folder.path(), &["--listen", "0.0.0.0:0", "--insecure-no-auth"], &[]);
    let log = server.stop();
    assert!(
        log.contains("everybody who reaches this address can do everything"),
        "{log}"
    );
    assert!(log.contains("plain HTTP"), "{log}");
}

#[test]
fn a_second_process_on_the_same_data_is_refused_with_the_pid_of_the_first() {
    let folder = folder();
    let server = Server::start(folder.path());
    let output = run(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("pid {}", server.pid())), "{said}");
    assert_eq!(server.get("/health/ready").status, 200, "the first goes on");
    server.stop();
}

#[test]
fn a_taken_port_is_said_and_the_store_is_closed_again() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("address").to_string();
    let output = run(folder.path(), &["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&format!("cannot listen on {address}")),
        "{}",
        stderr(&output)
    );
    Server::start(folder.path()).stop();
}

#[test]
fn a_step_under_way_ends_before_the_server_does() {
    let folder = folder();
    let target = Target::start();
    let mut server = Server::start(folder.path());
    let run = server.start_run(&target.url);
    target.next();
    server.signal("TERM");
    server.wait_for("stopping");
    target.answer("done");
    let (status, _, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");

    let server = Server::start(folder.path());
    server.follow(&run, "run succeeded");
    let shown = server.get(&format!("/v1/runs/{run}")).json();
    assert_eq!(
        (shown["status"].as_str(), shown["steps"][0]["output"].as_str()),
        (Some("SUCCEEDED"), Some("done"))
    );
    assert!(!target.has_more(), "it was called once");
    server.stop();
}

#[test]
fn a_step_that_does_not_end_in_time_is_made_again_after_the_next_start() {
    let folder = folder();
    let target = Target::start();
    let server = Server::with(folder.path(), &[], &[("QUINTET_ENGINE__DRAIN_MS", "1")]);
    let run = server.start_run(&target.url);
    target.next();
    let log = server.stop();
    assert!(log.contains("made again"), "{log}");
    target.answer("nobody listens any more");

    let server = Server::start(folder.path());
    target.next();
    target.answer("done");
    server.follow(&run, "run succeeded");
    assert_eq!(
        server.get(&format!("/v1/runs/{run}")).json()["steps"][0]["output"],
        "done"
    );
    server.stop();
}

#[test]
fn a_second_signal_stops_at_once() {
    let folder = folder();
    let target = Target::start();
    let mut server = Server::with(folder.path(), &[], &[("QUINTET_ENGINE__DRAIN_MS", "600000")]);
    server.start_run(&target.url);
    target.next();
    server.signal("INT");
    server.wait_for("a second signal stops at once");
    server.signal("INT");
    let (status, _, log) = server.wait();
    assert_eq!(status.code(), Some(130), "{log}");
}

#[test]
fn live_streams_end_when_the_server_stops() {
    let folder = folder();
    let target = Target::start();
    let server = Server::start(folder.path());
    let run = server.start_run(&target.url);
    target.next();
    let stream = server.open("GET", &format!("/v1/runs/{run}/logs/stream"), &[], "");
    let mut lines = BufReader::new(stream)
        .lines()
        .map(|line| line.expect("the stream ends in order"));
    assert!(lines.any(|line| line.contains("run started")));
    server.signal("TERM");
    // An end, not a cut: the reader sees the last chunk.
    assert!(lines.last().is_some_and(|line| line.is_empty()));
    target.answer("done");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn connections_beyond_the_limit_wait_and_are_then_served() {
    let folder = folder();
    let server = Server::with(folder.path(), &[], &[("QUINTET_LIMITS__CONNECTIONS", "1")]);
    let idle = std::net::TcpStream::connect(server.address).expect("connected");
    let waiting = server.open("GET", "/healthz", &[], "");
    waiting
        .set_read_timeout(Some(std::time::Duration::from_millis(200)))
        .expect("timeout");
    assert!(waiting.peek(&mut [0]).is_err(), "the one place is taken");
    waiting.set_read_timeout(Some(serving::PATIENCE)).expect("timeout");
    drop(idle);
    assert_eq!(Answer::read(waiting).status, 200);
    server.stop();
}
