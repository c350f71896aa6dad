//! Bringing a database to this program's schema.
//!
//! Migrations are numbered files with the names and numbers of the embedded store's. What is missing is applied in one
//! transaction, together with the numbers, under a lock that the other nodes of the same start wait for. A database that
//! is newer than the program is refused and not touched: an older program would not know what it must keep.

use quintet_store::StoreError;
use tokio_postgres::Client;

use crate::error::{Fault, Result};
use crate::{sql, wall};

const MIGRATIONS: &[(&str, &str)] = &[
    ("initial", include_str!("../migrations/0001_initial.sql")),
    ("origin", include_str!("../migrations/0002_origin.sql")),
    (
        "steps_letters_records",
        include_str!("../migrations/0003_steps_letters_records.sql"),
    ),
    ("fair_queues", include_str!("../migrations/0004_fair_queues.sql")),
    ("row_security", include_str!("../migrations/0005_row_security.sql")),
];

/// The schema version of this program.
pub const SCHEMA: u32 = MIGRATIONS.len() as u32;

/// `Quintet` in bytes: whoever changes the tables of this database holds this lock of it.
pub const LOCK: i64 = 0x0051_7569_6e74_6574;

const FOREIGN: &str = "the database has a schema named quintet that another program made: choose another database";

type Migrations = [(&'static str, &'static str)];

/// Applies what is missing.
pub async fn migrate(client: &Client) -> Result<()> {
    migrate_to(client, MIGRATIONS).await
}

async fn migrate_to(client: &Client, migrations: &Migrations) -> Result<()> {
    match found(client).await? {
        Some(version) => refuse_newer(version)?,
        None => refuse_foreign(client).await?,
    }
    if found(client)
        .await?
        .is_some_and(|found| found as usize >= migrations.len())
    {
        return Ok(());
    }
    let begin = format!("BEGIN; SET LOCAL statement_timeout = 0; SELECT pg_catalog.pg_advisory_xact_lock({LOCK})");
    client.batch_execute(&begin).await?;
    apply(client, migrations).await?;
    Ok(client.batch_execute("COMMIT").await?)
}

/// Inside the transaction: what others did meanwhile is done.
async fn apply(client: &Client, migrations: &Migrations) -> Result<()> {
    let version = found(client).await?;
    refuse_newer(version.unwrap_or(0))?;
    if version.is_none() {
        prepare(client).await?;
    }
    let missing = migrations.iter().zip(1i64..).skip(version.unwrap_or(0) as usize);
    for ((name, migration), number) in missing {
        client.batch_execute(migration).await?;
        let note = format!("INSERT INTO quintet.migrations (number, name) VALUES ({number}, '{name}')");
        client.batch_execute(&note).await?;
    }
    // Whoever sees the policies finds them on every table, or the tables would look empty to those who are at work.
    wall::complete(client).await
}

/// Where the numbers are kept. The schema may have been made by somebody who may make schemas.
async fn prepare(client: &Client) -> Result<()> {
    let row = client.query_typed(sql::STATUS_SCHEMA.text, &[]).await?;
    let exists: bool = row.first().is_some_and(|row| row.get(0));
    if !exists {
        client.batch_execute("CREATE SCHEMA quintet").await?;
    }
    let table = "CREATE TABLE quintet.migrations (number integer NOT NULL PRIMARY KEY, name text NOT NULL, \
                 applied_at timestamptz NOT NULL DEFAULT now())";
    Ok(client.batch_execute(table).await?)
}

/// The version that the database has, if it has any.
pub async fn found(client: &Client) -> Result<Option<u32>> {
    let row = client.query_typed(sql::STATUS_SCHEMA.text, &[]).await?;
    if !row.first().is_some_and(|row| row.get::<_, bool>(1)) {
        return Ok(None);
    }
    let row = client
        .query_typed("SELECT coalesce(max(number), 0) FROM quintet.migrations", &[])
        .await?;
    let number: i32 = row.first().map_or(0, |row| row.get(0));
    Ok(u32::try_from(number).ok())
}

/// The same sentence as of the embedded store.
pub fn refuse_newer(found: u32) -> Result<(), StoreError> {
    if found <= SCHEMA {
        return Ok(());
    }
    Err(StoreError::Refused(format!(
        "the database has schema version {found} and this program knows versions up to {SCHEMA}: start the newer \
         program that wrote it, or restore a backup from before the upgrade"
    )))
}

/// A schema that somebody else filled is not to be written to.
async fn refuse_foreign(client: &Client) -> Result<()> {
    let count = "SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.to_regnamespace('quintet')";
    let row = client.query_typed(count, &[]).await?;
    let there: i64 = row.first().map_or(0, |row| row.get(0));
    if there == 0 || found(client).await?.is_some() {
        return Ok(());
    }
    Err(Fault::Store(StoreError::Refused(FOREIGN.to_owned())))
}

#[cfg(test)]
mod tests {
    use quintet_testkit::postgres::Database;

    use super::*;
    use crate::support;

    /// Every table, column, constraint, index and policy, without the partitions, whose names are of the day.
    const DUMP: &str = "
        WITH tables AS (
            SELECT oid, relname, reloptions, relkind
            FROM pg_class
            WHERE relnamespace = 'quintet'::regnamespace AND relkind IN ('r', 'p', 'S') AND NOT relispartition
        )
        SELECT line FROM (
            SELECT relname, 0 AS part, 0 AS place, relname || ' ' || relkind::text
                || coalesce(' (' || array_to_string(reloptions, ', ') || ')', '') AS line
            FROM tables
            UNION ALL
            SELECT t.relname, 1, a.attnum, '  ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
                || CASE WHEN c.collname <> 'default' THEN ' COLLATE ' || c.collname ELSE '' END
                || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
                || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
            FROM tables t
                JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND t.relkind <> 'S'
                LEFT JOIN pg_collation c ON c.oid = a.attcollation
                LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
            UNION ALL
            SELECT t.relname, 2, row_number() OVER (ORDER BY c.conname), '  ' || c.conname || ' ' || pg_get_constraintdef(c.oid)
            FROM tables t
                JOIN pg_constraint c ON c.conrelid = t.oid AND c.contype <> 'n'
            UNION ALL
            SELECT t.relname, 3, row_number() OVER (ORDER BY i.indexrelid::regclass::text), '  ' || pg_get_indexdef(i.indexrelid)
            FROM tables t
                JOIN pg_index i ON i.indrelid = t.oid
            UNION ALL
            SELECT t.relname, 4, 0, '  ROW LEVEL SECURITY'
                || CASE WHEN c.relforcerowsecurity THEN ', FORCED' ELSE '' END
            FROM tables t
                JOIN pg_class c ON c.oid = t.oid AND c.relrowsecurity
            UNION ALL
            SELECT t.relname, 5, row_number() OVER (ORDER BY p.polname), '  POLICY ' || p.polname || ' ' || p.polcmd::text
                || CASE p.polroles WHEN '{0}' THEN '' WHEN ARRAY[c.relowner] THEN ' TO the owner' ELSE ' TO others' END
                || coalesce(' USING (' || pg_get_expr(p.polqual, t.oid) || ')', '')
                || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, t.oid) || ')', '')
            FROM tables t
                JOIN pg_class c ON c.oid = t.oid
                JOIN pg_policy p ON p.polrelid = t.oid
        ) AS all_lines
        ORDER BY relname COLLATE \"C\", part, place";

    fn dump(database: &Database) -> String {
        let text = database.psql(DUMP).unwrap();
        text.trim_end().to_owned() + "\n"
    }

    fn fresh() -> Database {
        support::server().fresh_database().unwrap()
    }

    /// On a session of its own.
    fn migrated(database: &Database) -> Result<(), StoreError> {
        migrated_to(database, MIGRATIONS)
    }

    fn migrated_to(database: &Database, migrations: &Migrations) -> Result<(), StoreError> {
        let url = database.url();
        support::wait(async {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::select! {
                done = migrate_to(&client, migrations) => done.map_err(|fault| fault.into_store(crate::error::Lost::Harmless)),
                ended = connection => panic!("{ended:?}"),
            }
        })
    }

    fn refusal(result: Result<(), StoreError>) -> String {
        match result {
            Err(StoreError::Refused(sentence)) => sentence,
            other => panic!("{other:?} instead of a refusal"),
        }
    }

    #[test]
    fn migrating_an_empty_database_gives_the_schema_that_is_checked_in() {
        let database = fresh();
        migrated(&database).unwrap();
        let dump = dump(&database);
        assert!(dump == include_str!("../schema.snap"), "schema.snap must say:\n{dump}");
    }

    #[test]
    fn a_second_migration_changes_nothing() {
        let database = fresh();
        migrated(&database).unwrap();
        let before = dump(&database);
        migrated(&database).unwrap();
        assert_eq!(before, dump(&database));
    }

    #[test]
    fn a_fresh_database_equals_one_that_was_upgraded_step_by_step() {
        let (whole, stepwise) = (fresh(), fresh());
        migrated(&whole).unwrap();
        for known in 1..=MIGRATIONS.len() {
            // What the program of that time did at each start.
            migrated_to(&stepwise, &MIGRATIONS[..known]).unwrap();
            migrated_to(&stepwise, &MIGRATIONS[..known]).unwrap();
            let count = stepwise.psql("SELECT count(*) FROM quintet.migrations").unwrap();
            assert_eq!(count.trim(), known.to_string());
        }
        assert_eq!(dump(&whole), dump(&stepwise));
    }

    #[test]
    fn what_waited_before_the_queues_had_names_waits_there_still() {
        let database = fresh();
        migrated_to(&database, &MIGRATIONS[..2]).unwrap();
        let waiting = "INSERT INTO quintet.queue (run, node, rank, action, namespace) \
                       VALUES ('00000000000000000000000000000007', 3, -5, 'http', 'default')";
        database.psql(waiting).unwrap();
        let store = support::open(&database.url());
        let claim = quintet_store::Claim {
            owner: 1,
            now: quintet_core::time::Time(0),
            until: quintet_core::time::Time(1),
        };
        let asks = [quintet_store::QueueAsk::all("http")];
        let found = support::wait(quintet_store::Store::queued(
            &store,
            &asks,
            &quintet_store::Turns::default(),
            claim,
            10,
        ))
        .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].run.bits(), found[0].node, &*found[0].queue), (7, 3, "http"));
        let status = support::wait(quintet_store::Store::status(&store)).unwrap();
        assert_eq!(status.schema, SCHEMA);
    }

    #[test]
    fn of_many_that_migrate_at_once_each_finds_the_schema() {
        let database = fresh();
        std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| migrated(&database))).collect();
            starts.into_iter().for_each(|start| start.join().unwrap().unwrap());
        });
        assert_eq!(
            database.psql("SELECT count(*) FROM quintet.migrations").unwrap().trim(),
            SCHEMA.to_string()
        );
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let database = fresh();
        migrated(&database).unwrap();
        let newer = SCHEMA + 1;
        database
            .psql(&format!("INSERT INTO quintet.migrations VALUES ({newer}, 'later')"))
            .unwrap();
        let sentence = refusal(migrated(&database));
        assert!(sentence.contains(&format!("schema version {newer}")), "{sentence}");
        assert_eq!(
            database.psql("SELECT count(*) FROM quintet.migrations").unwrap().trim(),
            newer.to_string()
        );
    }

    #[test]
    fn a_schema_of_another_program_is_refused_and_left_alone() {
        let database = fresh();
        database
            .psql("CREATE SCHEMA quintet; CREATE TABLE quintet.notes (text text)")
            .unwrap();
        let sentence = refusal(migrated(&database));
        assert!(sentence.contains("another program"), "{sentence}");
        let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'quintet'::regnamespace AND relkind = 'r'";
        assert_eq!(database.psql(tables).unwrap().trim(), "1");
    }

    #[test]
    fn an_empty_schema_that_somebody_made_is_taken() {
        let database = fresh();
        database.psql("CREATE SCHEMA quintet").unwrap();
        migrated(&database).unwrap();
    }

    #[test]
    fn every_index_has_a_comment_that_names_statements_which_exist() {
        for (_, migration) in MIGRATIONS {
            let lines: Vec<&str> = migration.lines().collect();
            let indices = (1..lines.len()).filter(|at| lines[*at].contains(" INDEX ") && !lines[*at].starts_with("--"));
            for at in indices {
                let names = lines[at - 1].strip_prefix("-- ").expect(lines[at]);
                for name in names.split(", ") {
                    let known = crate::sql::ALL.iter().any(|statement| statement.path == name);
                    assert!(known, "{name} above {}", lines[at]);
                }
            }
        }
    }
}
