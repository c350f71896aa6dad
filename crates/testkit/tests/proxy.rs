//! The fault proxy, before a server that echoes, and before PostgreSQL where the fault is about a commit.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use quintet_testkit::postgres::shared;
use quintet_testkit::proxy::{Cut, Direction, Mode, Proxy};

const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough for bytes that are on their way over loopback.
const A_WHILE: Duration = Duration::from_millis(100);

/// A server that says `hello` in its own way, then echoes; its address.
fn echo(greeting: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                stream.write_all(greeting.as_bytes()).unwrap();
                let mut back = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut stream, &mut back);
                let _ = back.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn say(mut stream: &TcpStream, words: &str) {
    stream.write_all(words.as_bytes()).unwrap();
}

/// The next `count` bytes.
fn hear(mut stream: &TcpStream, count: usize) -> String {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn hears_nothing(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(A_WHILE)).unwrap();
    let outcome = stream.read(&mut [0]);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    matches!(outcome, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn is_reset(mut stream: &TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn everything_passes_and_is_counted_to_the_half_closed_end() {
    let proxy = Proxy::start(&echo("hi ")).unwrap();
    let client = connect(&proxy);
    let long = "x".repeat(300_000);
    let mut heard = String::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            say(&client, &long);
            client.shutdown(Shutdown::Write).unwrap();
        });
        (&client).read_to_string(&mut heard).unwrap();
    });
    assert_eq!(heard, format!("hi {long}"));
    assert!(proxy.wait_until(PATIENCE, |counters| counters.open == 0));
    let counters = proxy.counters();
    assert_eq!(
        (counters.accepted, counters.bytes_up, counters.bytes_down),
        (1, 300_000, 300_003)
    );
}

#[test]
fn what_was_frozen_arrives_after_the_thaw_on_old_and_new_connections() {
    let proxy = Proxy::start(&echo("")).unwrap();
    let old = connect(&proxy);
    say(&old, "a");
    assert_eq!(hear(&old, 1), "a");

    proxy.set(Mode::Freeze);
    say(&old, "old");
    let new = connect(&proxy);
    say(&new, "new");
    assert!(hears_nothing(&old));
    assert!(hears_nothing(&new));

    proxy.heal();
    assert_eq!(hear(&old, 3), "old");
    assert_eq!(hear(&new, 3), "new");
}

#[test]
fn a_frozen_client_does_not_learn_that_the_server_hung_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&listener.local_addr().unwrap().to_string()).unwrap();
    let client = connect(&proxy);
    let (server, _) = listener.accept().unwrap();
    proxy.set(Mode::Freeze);
    drop(server);
    assert!(hears_nothing(&client));
    proxy.heal();
    assert_eq!((&client).read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_connection_that_lost_bytes_on_the_way_up_is_reset_at_the_end() {
    let proxy = Proxy::start(&echo("hi")).unwrap();
    let client = connect(&proxy);
    assert_eq!(hear(&client, 2), "hi");
    proxy.set(Mode::Drop(Direction::Up));
    say(&client, "lost");
    assert!(proxy.wait_until(PATIENCE, |counters| counters.bytes_dropped == 4));
    proxy.heal();
    assert!(is_reset(&client));
    assert_eq!(proxy.counters().bytes_up, 0);
}

#[test]
fn answers_that_are_dropped_were_still_asked_for() {
    let proxy = Proxy::start(&echo("")).unwrap();
    let (talking, silent) = (connect(&proxy), connect(&proxy));
    say(&silent, "a");
    assert_eq!(hear(&silent, 1), "a");
    proxy.set(Mode::Drop(Direction::Down));
    say(&talking, "asked");
    assert!(proxy.wait_until(PATIENCE, |counters| counters.bytes_dropped == 5));
    assert_eq!(proxy.counters().bytes_up, 6);
    proxy.heal();
    assert!(is_reset(&talking));
    // Nothing was on its way there.
    say(&silent, "b");
    assert_eq!(hear(&silent, 1), "b");
}

#[test]
fn a_delayed_answer_comes_late_and_comes() {
    let proxy = Proxy::start(&echo("")).unwrap();
    let client = connect(&proxy);
    proxy.set(Mode::Delay(2 * A_WHILE));
    say(&client, "late");
    assert!(hears_nothing(&client));
    assert_eq!(hear(&client, 4), "late");
}

#[test]
fn reset_ends_old_and_new_connections_and_also_frozen_ones() {
    let proxy = Proxy::start(&echo("hi")).unwrap();
    let old = connect(&proxy);
    assert_eq!(hear(&old, 2), "hi");
    proxy.set(Mode::Freeze);
    let frozen = connect(&proxy);
    say(&frozen, "x");
    assert!(proxy.wait_until(PATIENCE, |counters| counters.accepted == 2));

    proxy.set(Mode::Reset);
    assert!(is_reset(&old));
    assert!(is_reset(&frozen));
    assert!(is_reset(&connect(&proxy)));

    proxy.heal();
    let healed = connect(&proxy);
    assert_eq!(hear(&healed, 2), "hi");
    proxy.reset_connections();
    assert!(is_reset(&healed));
    assert_eq!(hear(&connect(&proxy), 2), "hi");
}

#[test]
fn refusing_turns_new_connections_away_and_keeps_the_old() {
    let proxy = Proxy::start(&echo("hi")).unwrap();
    let old = connect(&proxy);
    assert_eq!(hear(&old, 2), "hi");
    for _ in 0..2 {
        proxy.set(Mode::Refuse);
        let refused = TcpStream::connect(proxy.address()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        say(&old, "on");
        assert_eq!(hear(&old, 2), "on");

        proxy.heal();
        assert_eq!(hear(&connect(&proxy), 2), "hi");
    }
    assert_eq!(proxy.counters().accepted, 3);
}

#[test]
fn new_connections_follow_a_redirection() {
    let proxy = Proxy::start(&echo("one")).unwrap();
    let old = connect(&proxy);
    assert_eq!(hear(&old, 3), "one");
    proxy.redirect(&echo("two"));
    assert_eq!(hear(&connect(&proxy), 3), "two");
    say(&old, "still");
    assert_eq!(hear(&old, 5), "still");
}

#[test]
fn a_server_that_is_gone_resets_its_clients() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&listener.local_addr().unwrap().to_string()).unwrap();
    drop(listener);
    assert!(is_reset(&connect(&proxy)));
}

#[test]
fn a_dropped_proxy_frees_its_port() {
    let proxy = Proxy::start(&echo("hi")).unwrap();
    let (address, client) = (proxy.address().to_owned(), connect(&proxy));
    assert_eq!(hear(&client, 2), "hi");
    drop(proxy);
    assert!(is_reset(&client));
    TcpListener::bind(address).unwrap();
}

#[test]
fn a_commit_is_cut_off_before_it_is_made_or_after_without_the_client_knowing() {
    let database = shared().unwrap().fresh_database().unwrap();
    database.psql("CREATE TABLE t (n int)").unwrap();
    let proxy = Proxy::start(shared().unwrap().address()).unwrap();
    let through = shared().unwrap().through(proxy.address());
    let cuts = [
        (1, Direction::Up, "COMMIT", Cut::BeforeForward),
        (2, Direction::Up, "COMMIT;\0", Cut::AfterForward),
        (3, Direction::Down, "COMMIT\0", Cut::BeforeForward),
    ];
    for (n, direction, pattern, cut) in cuts {
        let pattern = pattern.as_bytes().to_vec();
        proxy.set(Mode::CutAt {
            direction,
            pattern,
            cut,
        });
        let transaction = format!("BEGIN;\nINSERT INTO t VALUES ({n});\nCOMMIT;\n");
        let error = through.psql(database.name(), &transaction).unwrap_err();
        assert!(
            format!("{error:#}").contains("server closed the connection"),
            "{error:#}"
        );
        assert!(proxy.wait_until(PATIENCE, |counters| counters.cuts == n));
    }
    // Once cut, it lets everything pass.
    through
        .psql(database.name(), "BEGIN;\nINSERT INTO t VALUES (4);\nCOMMIT;\n")
        .unwrap();
    let done = database.psql("SELECT n FROM t ORDER BY n").unwrap();
    assert_eq!(done, "2\n3\n4");
}
