//! What a store says when it is opened on the wrong thing, and what it says of itself.

mod support;

use quintet_store::{Store, StoreError};
use quintet_store_postgres::{Options, Pooler, PostgresStore, SCHEMA};
use support::wait;

fn refusal(url: &str) -> String {
    match wait(PostgresStore::open(url, support::options())).err() {
        Some(StoreError::Refused(sentence)) => sentence,
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[test]
fn an_empty_database_becomes_a_store_that_is_found_again() {
    let database = support::server().fresh_database().unwrap();
    let url = database.url();
    assert_eq!(
        wait(PostgresStore::schema_version(&url, &support::options())).unwrap(),
        None
    );
    let store = support::open(&url);
    wait(store.close()).unwrap();
    assert_eq!(
        wait(PostgresStore::schema_version(&url, &support::options())).unwrap(),
        Some(SCHEMA)
    );
    let again = support::open(&url);
    let status = wait(again.status()).unwrap();
    assert_eq!((&*status.kind, status.schema), ("postgres", SCHEMA));
    assert!(
        status.durability.starts_with("PostgreSQL ") && status.durability.ends_with('.'),
        "{}",
        status.durability
    );
    assert!(status.bytes.is_some_and(|bytes| bytes > 8192));
}

#[test]
fn a_newer_schema_is_refused_and_asked_for_without_a_change() {
    let database = support::database();
    let newer = SCHEMA + 1;
    database
        .psql(&format!(
            "INSERT INTO quintet.migrations (number, name) VALUES ({newer}, 'later')"
        ))
        .unwrap();
    let sentence = refusal(&database.url());
    assert!(
        sentence.contains(&format!("schema version {newer}")) && sentence.contains("newer"),
        "{sentence}"
    );
    let found = wait(PostgresStore::schema_version(&database.url(), &support::options())).unwrap();
    assert_eq!(found, Some(newer));
}

#[test]
fn a_database_that_does_not_exist_is_refused_by_name() {
    let sentence = refusal(&support::server().url("there_is_no_such_database"));
    assert!(sentence.contains("there_is_no_such_database"), "{sentence}");
}

#[test]
fn a_database_of_another_encoding_is_refused() {
    let server = support::server();
    let database = server.fresh_database().unwrap();
    let name = format!("{}_latin", database.name());
    let create = format!("CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    server.psql("postgres", &create).unwrap();
    let sentence = refusal(&server.url(&name));
    server
        .psql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"))
        .unwrap();
    assert!(sentence.contains("LATIN1") && sentence.contains("UTF8"), "{sentence}");
}

#[test]
fn another_isolation_level_is_set_right_or_refused_where_it_cannot_be() {
    let database = support::database();
    let name = database.name();
    let set = format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'");
    support::server().psql("postgres", &set).unwrap();
    let store = support::open(&database.url());
    assert_eq!(wait(store.nodes()).unwrap(), []);
    wait(store.close()).unwrap();
    let pooler = Pooler::Transaction;
    let options = Options {
        pooler,
        ..support::options()
    };
    match wait(PostgresStore::open(&database.url(), options)).err() {
        Some(StoreError::Refused(sentence)) => {
            assert!(sentence.contains("default_transaction_isolation"), "{sentence}")
        }
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[test]
fn where_no_server_is_the_store_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let opened = wait(PostgresStore::open(
        &format!("postgres://me@127.0.0.1:{port}/db"),
        support::options(),
    ));
    assert!(matches!(opened.err(), Some(StoreError::Unavailable(_))));
}

#[test]
fn a_backup_is_left_to_the_tools_of_postgres() {
    let database = support::database();
    let store = support::open(&database.url());
    let Err(StoreError::Refused(sentence)) = wait(store.backup(std::path::Path::new("never-written"))) else {
        panic!("a backup is refused")
    };
    assert!(
        sentence.contains("pg_dump") && sentence.contains("pg_basebackup"),
        "{sentence}"
    );
}
