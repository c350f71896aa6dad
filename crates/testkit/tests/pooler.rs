//! The imitation of a pooler, before PostgreSQL: what a session loses behind it, and what a transaction keeps.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use quintet_testkit::patience;
use quintet_testkit::pooler::Pooler;
use quintet_testkit::postgres::{Cluster, Database, Options, Server, shared};

const PATIENCE: Duration = Duration::from_secs(30);

/// A pooler before the shared server, and the server as seen through it.
fn pooled(size: usize) -> (Pooler, Server, Database) {
    let server = shared().unwrap();
    let pooler = Pooler::start(server.address(), size).unwrap();
    let through = server.through(pooler.address());
    (pooler, through, server.fresh_database().unwrap())
}

/// A client that speaks the protocol by hand, to send ahead as `psql` never does.
struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn connect(pooler: &Pooler, database: &Database, more: &[&str]) -> Self {
        let stream = TcpStream::connect(pooler.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut payload = vec![0, 3, 0, 0];
        for word in ["user", "postgres", "database", database.name()].iter().chain(more) {
            payload.extend(word.bytes().chain([0]));
        }
        payload.push(0);
        let mut client = Self {
            reader: BufReader::new(stream),
        };
        client.send_packet(&[], &payload);
        client
    }

    fn send_packet(&mut self, kind: &[u8], payload: &[u8]) {
        let length = (payload.len() as u32 + 4).to_be_bytes();
        let bytes = [kind, &length, payload].concat();
        self.reader.get_mut().write_all(&bytes).unwrap();
    }

    fn query(&mut self, sql: &str) {
        self.send_packet(b"Q", &[sql.as_bytes(), &[0]].concat());
    }

    /// Parse, bind and execute without names, and without a `Sync`.
    fn execute(&mut self, sql: &str) {
        self.send_packet(b"P", &[&[0], sql.as_bytes(), &[0, 0, 0]].concat());
        self.send_packet(b"B", &[0; 8]);
        self.send_packet(b"E", &[0; 5]);
    }

    fn sync(&mut self) {
        self.send_packet(b"S", &[]);
    }

    fn message(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 5];
        self.reader.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut payload = vec![0; length - 4];
        self.reader.read_exact(&mut payload).unwrap();
        (head[0], payload)
    }

    /// The first columns of all rows up to `ReadyForQuery`, and errors' texts.
    fn answer(&mut self) -> Vec<String> {
        let mut rows = Vec::new();
        loop {
            let (kind, payload) = self.message();
            match kind {
                b'D' => rows.push(String::from_utf8_lossy(&payload[6..]).into_owned()),
                b'E' => rows.push(String::from_utf8_lossy(&payload).into_owned()),
                b'Z' => return rows,
                _ => {}
            }
        }
    }
}

#[test]
fn each_transaction_of_a_client_has_another_backend_and_keeps_it_to_its_end() {
    let (pooler, through, database) = pooled(3);
    let sql = "SELECT pg_backend_pid();\nBEGIN;\nSELECT pg_backend_pid();\nSELECT pg_backend_pid();\nCOMMIT;\nSELECT pg_backend_pid();\n";
    let rows = through.psql(database.name(), sql).unwrap();
    let pids: Vec<&str> = rows.lines().collect();
    assert_eq!(pids.len(), 4);
    assert_ne!(pids[0], pids[1]);
    assert_eq!(pids[1], pids[2]);
    assert_ne!(pids[2], pids[3]);
    assert_eq!(pooler.transactions(), 3);
}

#[test]
fn what_belongs_to_a_session_is_lost() {
    let (_pooler, through, database) = pooled(2);
    let run = |sql: &str| through.psql(database.name(), sql);

    let error = run("PREPARE p AS SELECT 1;\nEXECUTE p;\n").unwrap_err();
    assert!(
        error.to_string().contains("prepared statement \"p\" does not exist"),
        "{error}"
    );
    let unset = run("SET application_name = 'mine';\nSHOW application_name;\n").unwrap();
    assert_eq!(unset, "pooler");
    let unlocked = run("SELECT pg_advisory_lock(1) IS NULL;\nSELECT pg_advisory_unlock(1);\n").unwrap();
    assert!(unlocked.ends_with("\nf"), "{unlocked}");
    let unheard = run("LISTEN a;\nSELECT count(*) FROM pg_listening_channels();\n").unwrap();
    assert_eq!(unheard, "0");
    // Within one transaction, all of it is there.
    let kept = run(
        "BEGIN;\nPREPARE q AS SELECT 1;\nEXECUTE q;\nSET LOCAL application_name = 'mine';\nSHOW application_name;\nCOMMIT;\n",
    );
    assert_eq!(kept.unwrap(), "1\nmine");
}

#[test]
fn requests_that_are_sent_ahead_stay_with_their_backend() {
    let (pooler, _, database) = pooled(2);
    let mut client = Client::connect(&pooler, &database, &[]);
    client.answer();

    for _ in 0..20 {
        client.execute("SELECT pg_backend_pid()");
        client.sync();
        client.query("SELECT pg_backend_pid()");
        client.execute("BEGIN");
        client.sync();
        client.execute("SELECT pg_backend_pid()");
        client.execute("COMMIT");
        client.sync();
        let (first, second, begun, last) = (client.answer(), client.answer(), client.answer(), client.answer());
        assert_eq!(first.len(), 1);
        assert!(begun.is_empty());
        // Whether the second belongs to the first loan depends on the moment; the answers are in order all the same.
        assert_eq!(second.len(), 1);
        assert_eq!(last.len(), 1);
    }
}

#[test]
fn copied_rows_arrive_and_the_backend_is_returned() {
    let (pooler, through, database) = pooled(2);
    let sql = "CREATE TABLE t (n int);\nCOPY t FROM STDIN;\n1\n2\n\\.\nSELECT sum(n) FROM t;\nCOPY t TO STDOUT;\n";
    assert_eq!(through.psql(database.name(), sql).unwrap(), "3\n1\n2");
    assert_eq!(pooler.transactions(), 4);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_transaction_takes_it_along() {
    let (pooler, through, database) = pooled(2);
    database.psql("CREATE TABLE t (n int)").unwrap();
    let mut client = Client::connect(&pooler, &database, &[]);
    client.answer();
    client.query("BEGIN; INSERT INTO t VALUES (1); SELECT pg_backend_pid()");
    let pid = client.answer().remove(0);
    drop(client);
    let there = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    assert!(patience::until(PATIENCE, || database.psql(&there).unwrap() == "0"));
    // Nobody finds himself in a stranger's transaction.
    let rows = through.psql(database.name(), "SELECT count(*) FROM t;\nSELECT count(*) FROM t;\n");
    assert_eq!(rows.unwrap(), "0\n0");
}

#[test]
fn more_clients_than_backends_take_turns() {
    let (_pooler, through, database) = pooled(2);
    database.psql("CREATE TABLE t AS SELECT 0 AS n").unwrap();
    let add = "UPDATE t SET n = n + 1;\n".repeat(20);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| through.psql(database.name(), &add).unwrap());
        }
    });
    assert_eq!(database.psql("SELECT n FROM t").unwrap(), "120");
    let backends =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pooler' AND datname = current_database()";
    assert_eq!(database.psql(backends).unwrap(), "2");
}

#[test]
fn a_startup_parameter_that_poolers_refuse_is_refused() {
    let (pooler, _, database) = pooled(2);
    let mut client = Client::connect(&pooler, &database, &["options", "-c lock_timeout=1s"]);
    let (kind, text) = client.message();
    assert_eq!(kind, b'E');
    assert!(String::from_utf8_lossy(&text).contains("unsupported startup parameter: options"));
    assert!(client.reader.fill_buf().unwrap().is_empty());
}

#[test]
fn a_query_is_cancelled_by_the_key_that_the_pooler_gave() {
    let (pooler, _, database) = pooled(2);
    let mut client = Client::connect(&pooler, &database, &[]);
    let key = loop {
        let (kind, payload) = client.message();
        if kind == b'K' {
            break payload;
        }
    };
    client.answer();
    client.query("SELECT pg_sleep(600)");
    let sleeping =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
    assert!(patience::until(PATIENCE, || database.psql(sleeping).unwrap() == "1"));
    let request = [&16_u32.to_be_bytes()[..], &80_877_102_u32.to_be_bytes(), &key].concat();
    TcpStream::connect(pooler.address())
        .unwrap()
        .write_all(&request)
        .unwrap();
    assert!(client.answer()[0].contains("canceling statement due to user request"));
}

#[test]
fn a_restarted_server_costs_the_clients_of_the_moment_and_no_later_ones() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let pooler = Pooler::start(cluster.address(), 2).unwrap();
    let through = cluster.through(pooler.address());
    let database = cluster.create_database("d").unwrap();
    let mut client = Client::connect(&pooler, &database, &[]);
    client.answer();
    client.query("BEGIN");
    client.answer();

    cluster.stop_immediate().unwrap();
    let mut last_words = String::new();
    client.reader.read_to_string(&mut last_words).unwrap();
    assert!(last_words.contains("server conn crashed?"), "{last_words:?}");
    assert!(through.psql("d", "SELECT 1").is_err());

    cluster.start_again().unwrap();
    assert_eq!(through.psql("d", "SELECT 1").unwrap(), "1");
}
