//! Row-level security: the suite passes for a plain user, who owns nothing, with it; and what a store does where it cannot
//! be, must be, or is not whole.

mod support;

use quintet_core::time::Time;
use quintet_store::conformance::Fixture;
use quintet_store::conformance::support::{id, start, unit};
use quintet_store::{Commit, Store, StoreError, conformance, conformance_shared};
use quintet_store_postgres::{Options, PostgresStore, RowSecurity};
use quintet_testkit::postgres::{self, Cluster, Database, Durability, Server, program_dir};
use support::{APP, HOUSE, url_of, wait};

fn options(row_security: RowSecurity) -> Options {
    Options {
        row_security,
        ..support::options()
    }
}

fn opened(url: &str, row_security: RowSecurity) -> Result<PostgresStore, StoreError> {
    wait(PostgresStore::open(url, options(row_security)))
}

/// With the security, as a user who is a member of the owner and nothing else.
fn open() -> Fixture {
    let database = support::database();
    let url = support::hand_over(&database);
    let store = opened(&url, RowSecurity::On).expect("the store opens");
    assert!(store.row_level_security());
    Fixture::keeping(store, database)
}

conformance!(open);
conformance_shared!(open);

fn refusal(url: &str, row_security: RowSecurity) -> String {
    match opened(url, row_security).err() {
        Some(StoreError::Refused(sentence)) => sentence,
        other => panic!("{other:?} instead of a refusal"),
    }
}

/// A server of its own: roles belong to all databases of one.
fn cluster() -> Cluster {
    Cluster::start(&postgres::Options::new(Durability::Fast)).expect("a server")
}

/// A database in which a user may make the schema.
fn for_user(server: &Server, user: &str) -> Database {
    let database = server.fresh_database().unwrap();
    let grant = format!("GRANT CREATE ON DATABASE {} TO {user}", database.name());
    database.psql(&grant).unwrap();
    database
}

/// Tables, partitions among them, that do not hold everybody to their policies.
fn unguarded(database: &Database) -> String {
    let ask = "SELECT relname FROM pg_class WHERE relnamespace = 'quintet'::regnamespace AND relkind IN ('r', 'p')
        AND NOT (relrowsecurity AND relforcerowsecurity AND EXISTS (
            SELECT FROM pg_policy WHERE polrelid = pg_class.oid AND polname = 'engine'))";
    database.psql(ask).unwrap().trim().to_owned()
}

fn put_run(store: &PostgresStore, number: u64) {
    let meta = quintet_store::conformance::support::meta(10);
    let units = vec![unit([start(number)])];
    wait(store.commit(Commit { meta, units })).unwrap();
}

fn sees_run(store: &PostgresStore, number: u64) -> bool {
    let run = wait(store.load("default", id(number))).unwrap();
    run.is_some_and(|run| run.commits.len() == 1)
}

#[test]
fn every_table_and_partition_is_guarded_also_those_that_are_made_later() {
    let database = support::database();
    let url = support::hand_over(&database);
    let store = opened(&url, RowSecurity::On).unwrap();
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'quintet.history'::regclass";
    let before = database.psql(partitions).unwrap();
    // Of 1970, where no partition is.
    put_run(&store, 1);
    assert_ne!(before, database.psql(partitions).unwrap());
    assert_eq!(unguarded(&database), "migrations");
    assert!(wait(store.prune(Time(0), Time(0), 10)).is_ok());
}

#[test]
fn a_user_who_may_make_roles_makes_this_one_and_many_nodes_of_two_databases_do_so_at_once() {
    let cluster = cluster();
    cluster.psql("postgres", "CREATE ROLE maker LOGIN CREATEROLE").unwrap();
    let databases = [for_user(&cluster, "maker"), for_user(&cluster, "maker")];
    std::thread::scope(|scope| {
        let nodes = databases.iter().cycle().take(8);
        let starts: Vec<_> = nodes
            .map(|database| scope.spawn(|| opened(&url_of(database, "maker"), RowSecurity::On)))
            .collect();
        for start in starts {
            assert!(start.join().unwrap().expect("each node starts").row_level_security());
        }
    });
}

#[test]
fn where_the_role_cannot_be_made_auto_does_without_and_on_says_what_to_run() {
    let cluster = cluster();
    cluster.psql("postgres", "CREATE ROLE plain LOGIN").unwrap();
    let database = for_user(&cluster, "plain");
    let url = url_of(&database, "plain");
    let store = opened(&url, RowSecurity::Auto).unwrap();
    assert!(!store.row_level_security());
    put_run(&store, 1);
    assert!(sees_run(&store, 1));
    let sentence = refusal(&url, RowSecurity::On);
    let remedy = "CREATE ROLE quintet_tenant NOLOGIN; GRANT quintet_tenant TO plain;";
    assert!(
        sentence.contains("database.row_level_security") && sentence.contains(remedy),
        "{sentence}"
    );
    cluster.psql("postgres", remedy).unwrap();
    let store = opened(&url, RowSecurity::Auto).unwrap();
    assert!(store.row_level_security() && sees_run(&store, 1));
    assert!(!opened(&url, RowSecurity::Off).unwrap().row_level_security());
}

#[test]
fn a_role_that_sees_more_than_one_namespace_is_no_wall() {
    for (harm, mend) in [
        (
            "ALTER ROLE quintet_tenant BYPASSRLS",
            "ALTER ROLE quintet_tenant NOBYPASSRLS",
        ),
        (
            "ALTER ROLE quintet_tenant SUPERUSER",
            "ALTER ROLE quintet_tenant NOSUPERUSER",
        ),
        (
            "CREATE ROLE others; ALTER POLICY engine ON quintet.runs TO house, others; GRANT others TO quintet_tenant",
            "REVOKE others FROM quintet_tenant",
        ),
    ] {
        let cluster = cluster();
        cluster.psql("postgres", "CREATE ROLE house LOGIN CREATEROLE").unwrap();
        let database = for_user(&cluster, "house");
        let url = url_of(&database, "house");
        assert!(opened(&url, RowSecurity::On).unwrap().row_level_security());
        database.psql(harm).unwrap();
        let sentence = refusal(&url, RowSecurity::On);
        assert!(sentence.contains("sees more than one namespace"), "{harm}: {sentence}");
        assert!(!opened(&url, RowSecurity::Auto).unwrap().row_level_security(), "{harm}");
        database.psql(mend).unwrap();
        assert!(opened(&url, RowSecurity::Auto).unwrap().row_level_security(), "{mend}");
    }
}

#[test]
fn a_user_to_whom_the_store_would_look_empty_is_refused() {
    let database = support::database();
    support::hand_over(&database);
    let stranger = "quintet_test_stranger";
    let make = format!(
        "DO $$ BEGIN CREATE ROLE {stranger} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
         GRANT USAGE ON SCHEMA quintet TO {stranger}; GRANT ALL ON ALL TABLES IN SCHEMA quintet TO {stranger}"
    );
    database.psql(&make).unwrap();
    let url = url_of(&database, stranger);
    for row_security in [RowSecurity::Auto, RowSecurity::Off, RowSecurity::On] {
        let sentence = refusal(&url, row_security);
        assert!(sentence.contains(stranger) && sentence.contains(HOUSE), "{sentence}");
    }
}

#[test]
fn what_another_program_left_open_is_closed_at_the_next_start_and_shows_everything_to_a_new_owner() {
    let database = support::database();
    let store = support::open(&database.url());
    put_run(&store, 1);
    wait(store.close()).unwrap();
    // An older program makes partitions without a policy, and a copy of a database may come without any.
    let harm = "CREATE TABLE quintet.history_d0000900 (LIKE quintet.history INCLUDING ALL);
        DROP POLICY engine ON quintet.runs; ALTER TABLE quintet.steps NO FORCE ROW LEVEL SECURITY";
    database.psql(harm).unwrap();
    let url = support::hand_over(&database);
    let store = opened(&url, RowSecurity::On).unwrap();
    assert!(sees_run(&store, 1));
    assert_eq!(unguarded(&database), "migrations");
}

#[test]
fn a_dump_by_the_owner_has_every_row() {
    let database = support::database();
    let url = support::hand_over(&database);
    let store = opened(&url, RowSecurity::On).unwrap();
    put_run(&store, 777);
    let dump = |options: &[&str]| {
        let program = program_dir().unwrap().join("pg_dump");
        let house = url_of(&database, HOUSE);
        std::process::Command::new(program)
            .args(options)
            .arg(house)
            .output()
            .unwrap()
    };
    // Partitions belong to whoever made them.
    database.psql(&format!("GRANT {APP} TO {HOUSE}")).unwrap_err();
    let whole = dump(&["--enable-row-security", "--data-only", "--table=quintet.runs"]);
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    assert!(String::from_utf8_lossy(&whole.stdout).contains("default"));
    let refused = dump(&["--data-only", "--table=quintet.runs"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("row-level security"));
}
