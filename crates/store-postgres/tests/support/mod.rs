//! A database for each test, copied from one that was migrated once, and the store that opens it.
//!
//! The suite asks for a store from inside a test's runtime and without waiting, so stores are opened on a runtime of their
//! own, which lives as long as the process.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use quintet_store::{Store, StoreError};
use quintet_store_postgres::{Options, PostgresStore};
use quintet_testkit::postgres::{self, Database, Server};

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
});

/// Waits, from wherever it is called.
pub fn wait<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| RUNTIME.block_on(work));
        waiting.join().expect("the work does not panic")
    })
}

/// Few connections, so that hundreds of tests have room on one server.
pub fn options() -> Options {
    Options {
        pool_size: 4,
        ..Options::default()
    }
}

/// Under a name that changes with the schema.
pub fn template(server: &Server) -> String {
    let mut hasher = DefaultHasher::new();
    include_str!("../../migrations/0001_initial.sql").hash(&mut hasher);
    include_str!("../../migrations/0002_origin.sql").hash(&mut hasher);
    include_str!("../../migrations/0003_steps_letters_records.sql").hash(&mut hasher);
    include_str!("../../migrations/0004_fair_queues.sql").hash(&mut hasher);
    include_str!("../../migrations/0005_row_security.sql").hash(&mut hasher);
    include_str!("../../sql/wall/gaps.sql").hash(&mut hasher);
    include_str!("../../sql/wall/grants.sql").hash(&mut hasher);
    let name = format!("quintet_postgres_{:016x}", hasher.finish());
    let migrate = |url: &str| {
        let migrated: Result<(), StoreError> = wait(async { PostgresStore::open(url, options()).await?.close().await });
        Ok(migrated?)
    };
    server.template(&name, migrate).expect("a migrated database")
}

/// The server of this process, or the one that it was told to use.
pub fn server() -> &'static Server {
    postgres::shared().expect("a server")
}

/// A migrated database.
pub fn database() -> Database {
    let server = server();
    server.create_from(&template(server)).expect("a database")
}

/// A store on a database that must be there.
pub fn open(url: &str) -> PostgresStore {
    wait(PostgresStore::open(url, options())).expect("the store opens")
}

/// The owner of the tables, and a user who is none and acts for it: neither is more than any user is.
pub const HOUSE: &str = "quintet_test_house";
pub const APP: &str = "quintet_test_app";

/// Gives a migrated database to a plain owner, and answers its URL for a plain user who may use the role of tenants.
pub fn hand_over(database: &Database) -> String {
    make_users(&server().clone());
    let give = format!(
        "DO $$ DECLARE t record; BEGIN
            FOR t IN SELECT c.oid::regclass AS name FROM pg_class c
                WHERE c.relnamespace = 'quintet'::regnamespace AND c.relkind IN ('r', 'p')
            LOOP EXECUTE format('ALTER TABLE %s OWNER TO {HOUSE}', t.name); END LOOP;
        END $$;
        ALTER SEQUENCE quintet.outbox_ids OWNER TO {HOUSE};
        ALTER SCHEMA quintet OWNER TO {HOUSE}"
    );
    database.psql(&give).expect("the tables have another owner");
    url_of(database, APP)
}

/// The URL of a database for another user than the one that made it.
pub fn url_of(database: &Database, user: &str) -> String {
    let url = database.url();
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let place = rest.split_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{user}@{place}")
}

/// Users belong to the server, and other tests make the same ones at the same moment.
pub fn make_users(server: &Server) {
    let make =
        |what: &str| format!("BEGIN {what}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;");
    let role = |name: &str| make(&format!("CREATE ROLE {name} LOGIN"));
    let users = format!(
        "DO $$ BEGIN {} {} {} {} {} END $$",
        role(HOUSE),
        role(APP),
        make("CREATE ROLE quintet_tenant NOLOGIN NOINHERIT"),
        make(&format!("GRANT {HOUSE} TO {APP}")),
        make(&format!("GRANT quintet_tenant TO {APP}")),
    );
    server.psql("postgres", &users).expect("the users are made");
}
