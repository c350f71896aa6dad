//! Either wall alone keeps a namespace from all others, and without both everything lies open: that is how the tests know
//! that they would see a hole.

use std::sync::Arc;

use quintet_core::machine::RunStatus;
use quintet_core::time::Time;
use quintet_store::conformance::support::{AnyStore, commit, digest, id, key, letter, start, step_row, unit};
use quintet_store::{
    LetterFilter, NamespaceUsage, RecordWrite, RunFilter, StepFilter, Store, StoreError, Unit, UnitResult,
    WorkflowWrite,
};
use quintet_testkit::postgres::Database;

use super::Wall;
use crate::codec::{Text, Uuid};
use crate::error::Lost;
use crate::options::{Options, RowSecurity};
use crate::session::ForCaller;
use crate::sql::{self, Conditions};
use crate::store::PostgresStore;
use crate::support;

const THEIRS: &str = "theirs";
const CANARY: &str = "{\"canary\":true}";

/// A store with rows of another namespace in every table.
struct Place {
    store: Arc<PostgresStore>,
    database: Database,
}

async fn place(url: impl Fn(&Database) -> String, wall: Wall, conditions: Conditions) -> Place {
    let database = support::database();
    let row_security = match wall {
        Wall::Up => RowSecurity::On,
        Wall::Down => RowSecurity::Off,
    };
    let options = Options {
        row_security,
        ..support::options()
    };
    let url = url(&database);
    let mut store = support::wait(PostgresStore::open(&url, options)).expect("the store opens");
    assert_eq!(store.database.wall, wall);
    store.database.conditions = conditions;
    let place = Place {
        store: Arc::new(store),
        database,
    };
    fill(&(place.store.clone() as AnyStore)).await;
    place
}

/// Of a namespace that is not ours: a run that waits, one that ended well and one badly, with all that may belong to them.
async fn fill(store: &AnyStore) {
    let run = |number| {
        let run = start(number).within(THEIRS).with(|row| row.workflow = "flow".into());
        run.saying(CANARY)
    };
    let (well, badly) = (run(2), run(3));
    let ends = [well.finish(RunStatus::Complete, 20), badly.finish(RunStatus::Error, 20)];
    let theirs = |name: &mut Arc<str>| *name = THEIRS.into();
    let all = Unit {
        runs: vec![run(1).put(0, "task"), well, badly],
        steps: vec![step_row(1, 0).with(|row| theirs(&mut row.namespace))],
        letters: vec![letter(2, 0, 1).with(|letter| theirs(&mut letter.namespace))],
        idempotency: Some(quintet_store::IdempotencyWrite {
            namespace: THEIRS.into(),
            ..key("key", CANARY)
        }),
        ..Unit::default()
    };
    assert_eq!(commit(store, all).await, UnitResult::Applied);
    assert_eq!(commit(store, unit(ends)).await, UnitResult::Applied);
    assert!(store.put_records(vec![record(THEIRS, Some(CANARY))]).await.unwrap());
    assert!(store.put_workflow(workflow(THEIRS, Some(0))).await.unwrap().is_some());
}

fn record(namespace: &str, body: Option<&str>) -> RecordWrite {
    RecordWrite {
        namespace: namespace.into(),
        kind: "kind".into(),
        id: "id".into(),
        expected: None,
        body: body.map(str::to_owned),
        expires_at: None,
        at: Time(5),
    }
}

fn workflow(namespace: &str, expected: Option<u32>) -> WorkflowWrite {
    WorkflowWrite {
        namespace: namespace.into(),
        id: "flow".into(),
        name: "flow".into(),
        document: CANARY.into(),
        digest: digest(9),
        spec: CANARY.into(),
        at: Time(5),
        expected,
    }
}

impl Place {
    /// Whether something of theirs is not as it was.
    fn is_changed(&self, table: &str, condition: &str, count: u32) -> bool {
        let ask = format!("SELECT count(*) FROM quintet.{table} WHERE namespace = '{THEIRS}' AND {condition}");
        self.database.psql(&ask).unwrap().trim() != count.to_string()
    }

    /// Each way in, and whether it leads to something of theirs.
    async fn leaks(&self, mine: &str) -> Vec<(&'static str, bool)> {
        let mut leaks = self.runs(mine).await;
        leaks.extend(self.steps_and_letters(mine).await);
        leaks.extend(self.documents(mine).await);
        leaks.extend(self.writes(mine).await);
        leaks
    }

    async fn runs(&self, mine: &str) -> Vec<(&'static str, bool)> {
        let store = &self.store;
        let mut leaks = vec![
            ("load", store.load(mine, id(1)).await.unwrap().is_some()),
            ("run", store.run(mine, id(1)).await.unwrap().is_some()),
            ("commits", !store.commits(mine, id(1), 0, 9).await.unwrap().is_empty()),
            (
                "usage",
                store.namespace_usage(mine).await.unwrap() != NamespaceUsage::default(),
            ),
            ("queue counts", !store.queue_counts(mine).await.unwrap().is_empty()),
        ];
        let of = |change: fn(&mut RunFilter)| {
            let mut filter = RunFilter::default();
            change(&mut filter);
            filter
        };
        for (name, filter) in [
            ("runs", of(|_| ())),
            ("runs of a workflow", of(|filter| filter.workflow = Some("flow".into()))),
            (
                "runs by prefix",
                of(|filter| filter.workflow_prefix = Some("fl".into())),
            ),
            ("failed runs", of(|filter| filter.statuses = vec![RunStatus::Error])),
            (
                "live runs",
                of(|filter| filter.statuses = vec![RunStatus::StepsInProcess]),
            ),
        ] {
            let page = store.runs(mine, &filter, None, 10).await.unwrap();
            leaks.push((name, !page.rows.is_empty()));
        }
        leaks
    }

    async fn steps_and_letters(&self, mine: &str) -> Vec<(&'static str, bool)> {
        let store = &self.store;
        let of_run = StepFilter {
            run: Some(id(1)),
            ..StepFilter::default()
        };
        let with_retried = LetterFilter {
            with_retried: true,
            ..LetterFilter::default()
        };
        let steps = store.steps(mine, &StepFilter::default(), 0, 9).await.unwrap();
        let steps_of_run = store.steps(mine, &of_run, 0, 9).await.unwrap();
        let open = store.letters(mine, &LetterFilter::default(), 0, 9).await.unwrap();
        let letters = store.letters(mine, &with_retried, 0, 9).await.unwrap();
        let counts = store.step_counts(mine, "push").await.unwrap();
        vec![
            ("steps", steps.total > 0 || !steps.rows.is_empty()),
            (
                "steps of a run",
                steps_of_run.total > 0 || !steps_of_run.rows.is_empty(),
            ),
            ("step counts", !counts.by_status.is_empty()),
            ("open letters", open.total > 0 || !open.letters.is_empty()),
            ("letters", letters.total > 0 || !letters.letters.is_empty()),
            ("letter", store.letter(mine, id(2), 0, None).await.unwrap().is_some()),
        ]
    }

    async fn documents(&self, mine: &str) -> Vec<(&'static str, bool)> {
        let store = &self.store;
        let remembered = store.idempotency(mine, "start", "key", Time(5)).await.unwrap();
        vec![
            ("record", store.record(mine, "kind", "id").await.unwrap().is_some()),
            (
                "records",
                !store.records(mine, "kind", None, 9).await.unwrap().is_empty(),
            ),
            ("idempotency", remembered.is_some()),
            ("workflow", store.workflow(mine, "flow").await.unwrap().is_some()),
            ("workflows", !store.workflows(mine, None, 9).await.unwrap().is_empty()),
            (
                "versions",
                !store.workflow_versions(mine, "flow").await.unwrap().is_empty(),
            ),
        ]
    }

    async fn writes(&self, mine: &str) -> Vec<(&'static str, bool)> {
        let store = &self.store;
        let mut leaks = Vec::new();
        let next = store.put_workflow(workflow(mine, Some(1))).await.unwrap();
        leaks.push(("the next version", next.is_some()));
        // What is ours is put there, changed and removed; theirs has the same names.
        for body in [Some("{}"), Some("[]")] {
            assert!(store.put_records(vec![record(mine, body)]).await.unwrap());
        }
        let canary = format!("body = '{CANARY}'");
        leaks.push(("a record changed", self.is_changed("records", &canary, 1)));
        assert!(store.put_records(vec![record(mine, None)]).await.unwrap());
        leaks.push(("a record removed", self.is_changed("records", "true", 1)));
        store.delete_workflow(mine, "flow").await.unwrap();
        leaks.push(("a workflow removed", self.is_changed("workflows", "true", 1)));
        store.purge_letters(Some(mine), Time(1000), 9).await.unwrap();
        leaks.push(("letters purged", self.is_changed("dead_letters", "true", 1)));
        store.delete_run(mine, id(2)).await.unwrap();
        leaks.push(("a run removed", self.is_changed("runs", "true", 3)));
        leaks
    }
}

/// The namespace that has a way of its own through the lists, and another one.
const MINE: [&str; 2] = ["default", "mine"];

fn as_it_is(database: &Database) -> String {
    database.url()
}

async fn assert_tight(url: impl Fn(&Database) -> String, wall: Wall, conditions: Conditions) {
    for mine in MINE {
        let leaks = place(&url, wall, conditions).await.leaks(mine).await;
        let open: Vec<_> = leaks.iter().filter(|(_, leaks)| *leaks).collect();
        assert!(open.is_empty(), "{mine}: {open:?}");
    }
}

#[tokio::test]
async fn without_their_conditions_the_statements_show_nothing_of_another_namespace_even_to_a_superuser() {
    assert_tight(as_it_is, Wall::Up, Conditions::Stripped).await;
}

#[tokio::test]
async fn without_their_conditions_the_statements_show_nothing_to_a_plain_user() {
    assert_tight(support::hand_over, Wall::Up, Conditions::Stripped).await;
}

#[tokio::test]
async fn without_row_level_security_the_conditions_show_nothing_of_another_namespace() {
    assert_tight(as_it_is, Wall::Down, Conditions::Kept).await;
}

#[tokio::test]
async fn without_both_every_way_lies_open() {
    for mine in MINE {
        let place = place(as_it_is, Wall::Down, Conditions::Stripped).await;
        let leaks = place.leaks(mine).await;
        let shut: Vec<_> = leaks.iter().filter(|(_, leaks)| !*leaks).collect();
        assert!(shut.is_empty(), "{mine}: {shut:?}");
    }
}

#[tokio::test]
async fn a_history_is_shown_to_the_namespace_of_its_run_alone() {
    let place = place(as_it_is, Wall::Up, Conditions::Kept).await;
    let (run, after, limit, runs) = (Uuid(id(1)), 0i64, 9i64, vec![Uuid(id(1)), Uuid(id(2))]);
    for (namespace, entries) in [("mine", 0), (THEIRS, 1)] {
        let within = place.store.database.within_runs(namespace, &[id(1), id(2)]);
        let listed = within.read(&sql::HISTORY_LIST, &[&run, &after, &limit]).await.unwrap();
        assert_eq!(listed.rows.len(), entries, "{namespace}");
        let measured = within.read(&sql::USAGE_HISTORIES, &[&runs]).await.unwrap();
        let measured: i64 = measured.single().unwrap().get(0);
        assert_eq!(measured > 0, entries > 0, "{namespace}");
    }
    // Runs that were not named are not there at all.
    let within = place.store.database.within(THEIRS);
    let unnamed = within.read(&sql::HISTORY_LIST, &[&run, &after, &limit]).await;
    assert_eq!(unnamed.unwrap().rows.len(), 0);
}

#[tokio::test]
async fn what_is_written_for_one_namespace_cannot_be_put_into_another() {
    let place = place(as_it_is, Wall::Up, Conditions::Kept).await;
    let (namespaces, kinds, ids) = (vec![Text(THEIRS)], vec![Text("kind")], vec![Text("other")]);
    let (one, body, never) = (vec![1i64], vec![Text("{}")], vec![None::<i64>]);
    let params: [crate::session::Param<'_>; 8] = [&namespaces, &kinds, &ids, &one, &body, &never, &one, &one];
    let within = place.store.database.within("mine");
    let refused = within.run(&sql::RECORDS_INSERT, &params).await.or_lost(Lost::Harmless);
    let Err(StoreError::Refused(why)) = refused else {
        panic!("{:?} instead of a refusal", refused.map(|answer| answer.affected))
    };
    assert!(why.contains("row-level security"), "{why}");
    let within = place.store.database.within(THEIRS);
    assert_eq!(within.run(&sql::RECORDS_INSERT, &params).await.unwrap().affected, 1);
}

#[tokio::test]
async fn without_the_setting_there_are_no_rows_and_what_is_nobodys_is_not_to_be_asked_for() {
    let place = place(as_it_is, Wall::Up, Conditions::Kept).await;
    // A session that had the setting once has an empty one ever after.
    let once = "BEGIN; SET LOCAL quintet.namespace = 'theirs'; COMMIT;";
    let tables = "SELECT relname FROM pg_class WHERE relnamespace = 'quintet'::regnamespace AND relkind IN ('r', 'p')";
    let tables = place.database.psql(tables).unwrap();
    place
        .database
        .psql("UPDATE quintet.runs SET namespace = '' WHERE finished_at IS NULL")
        .unwrap();
    let mut asked = Vec::new();
    for table in tables.lines() {
        for before in ["", once] {
            let ask =
                format!("{before} BEGIN; SET LOCAL ROLE quintet_tenant; SELECT count(*) FROM quintet.{table}; COMMIT");
            match place.database.psql(&ask) {
                Ok(count) => {
                    assert_eq!(count.trim(), "0", "{table}");
                    asked.push(table);
                }
                Err(error) => assert!(error.to_string().contains("permission denied"), "{table}: {error}"),
            }
        }
    }
    asked.sort_unstable();
    asked.dedup();
    let known = [
        "dead_letters",
        "history",
        "idempotency",
        "queue",
        "records",
        "runs",
        "steps",
        "workflow_versions",
        "workflows",
    ];
    assert_eq!(asked, known);
}

#[tokio::test]
async fn what_is_asked_within_a_namespace_waits_for_the_server_once() {
    let place = place(as_it_is, Wall::Up, Conditions::Kept).await;
    place.store.load(THEIRS, id(1)).await.unwrap();
    let before = place.store.counters();
    assert!(place.store.load(THEIRS, id(1)).await.unwrap().is_some());
    assert_eq!(place.store.counters().round_trips - before.round_trips, 1);
}
