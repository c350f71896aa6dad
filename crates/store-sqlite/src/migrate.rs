//! Bringing a database to this program's schema.
//!
//! Migrations are numbered files, each applied in one transaction together with its number, so that a crash in the
//! middle of one leaves the database as it was before. A database that is newer than the program is refused and not
//! touched: an older program would not know what it must keep.

use quintet_store::StoreError;
use rusqlite::{Connection, TransactionBehavior};

use crate::error::Result;

/// Marks the file as Quintet's: `Qntt`.
const APPLICATION: i64 = 0x516e_7474;

const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_origin.sql"),
    include_str!("../migrations/0003_steps_letters_records.sql"),
    include_str!("../migrations/0004_fair_queues.sql"),
    include_str!("../migrations/0005_row_security.sql"),
];

/// The schema version of this program.
pub const SCHEMA: u32 = MIGRATIONS.len() as u32;

/// Applies what is missing.
pub fn migrate(connection: &mut Connection) -> Result<()> {
    let found = version(connection)?;
    if found > SCHEMA {
        return Err(StoreError::Refused(format!(
            "the database has schema version {found} and this program knows versions up to {SCHEMA}: start the newer \
             program that wrote it, or restore a backup from before the upgrade"
        ))
        .into());
    }
    if found == 0 {
        refuse_foreign(connection)?;
    }
    apply(connection, MIGRATIONS)
}

fn apply(connection: &mut Connection, migrations: &[&str]) -> Result<()> {
    let found = version(connection)?;
    for (index, migration) in migrations.iter().enumerate().skip(found as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

fn version(connection: &Connection) -> Result<u32> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// A database that somebody else filled is not to be written to.
fn refuse_foreign(connection: &Connection) -> Result<()> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(());
    }
    Err(StoreError::Refused("the file is a SQLite database of another program: choose another path".to_owned()).into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use quintet_store::conformance::support::{self, AnyStore};

    use super::*;
    use crate::store::{Options, SqliteStore};

    fn dump(connection: &Connection) -> String {
        let sql = "SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join("\n\n") + "\n"
    }

    #[test]
    fn migrating_an_empty_database_gives_the_schema_that_is_checked_in() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let dump = dump(&connection);
        assert!(dump == include_str!("../schema.snap"), "schema.snap must say:\n{dump}");
    }

    #[test]
    fn a_fresh_database_equals_one_that_was_upgraded_step_by_step() {
        let mut fresh = Connection::open_in_memory().unwrap();
        migrate(&mut fresh).unwrap();
        let mut upgraded = Connection::open_in_memory().unwrap();
        for known in 1..=MIGRATIONS.len() {
            // What the program of that time did at each start.
            apply(&mut upgraded, &MIGRATIONS[..known]).unwrap();
            apply(&mut upgraded, &MIGRATIONS[..known]).unwrap();
            assert_eq!(version(&upgraded).unwrap() as usize, known);
        }
        assert_eq!(dump(&fresh), dump(&upgraded));
        assert_eq!(version(&upgraded).unwrap(), SCHEMA);
    }

    #[test]
    fn a_second_migration_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let before = dump(&connection);
        migrate(&mut connection).unwrap();
        assert_eq!(before, dump(&connection));
    }

    #[tokio::test]
    async fn a_store_of_schema_2_keeps_what_waits_and_takes_rows_of_steps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quintet.db");
        let mut old = Connection::open(&path).unwrap();
        apply(&mut old, &MIGRATIONS[..2]).unwrap();
        let entries = "INSERT INTO queue (run, node, action, rank, namespace)
            VALUES (zeroblob(16), 1, 'http', 0, 'default'), (zeroblob(16), 2, 'http', -5, 'default'),
                (zeroblob(16), 3, 'noop', -9, 'default')";
        old.execute_batch(entries).unwrap();
        drop(old);
        let store: AnyStore = Arc::new(SqliteStore::open(&path, Options::default()).unwrap());
        assert_eq!(support::queued(&store, &["http"], 10).await, [(0, 2), (0, 1)]);
        apply_write(&store).await;
        assert_eq!(
            support::queued(&store, &["http", "task"], 10).await,
            [(0, 2), (1, 0), (0, 1)]
        );
        assert_eq!(store.in_progress("push").await.unwrap(), [("task".into(), 1)]);
        assert_eq!(store.status().await.unwrap().schema, SCHEMA);
    }

    async fn apply_write(store: &AnyStore) {
        support::apply(store, support::start(1).put_at(0, "task", 1)).await;
        support::put_steps(store, [support::step_row(1, 0)]).await;
    }

    #[test]
    fn every_index_has_a_comment_that_names_statements_which_exist() {
        for migration in MIGRATIONS {
            let lines: Vec<&str> = migration.lines().collect();
            let indices = (1..lines.len()).filter(|at| lines[*at].contains(" INDEX ") && !lines[*at].starts_with("--"));
            for at in indices {
                let names = lines[at - 1].strip_prefix("-- ").expect(lines[at]);
                for name in names.split(", ") {
                    assert!(
                        crate::sql::ALL.iter().any(|(known, _)| *known == name),
                        "{name} above {}",
                        lines[at]
                    );
                }
            }
        }
    }
}
