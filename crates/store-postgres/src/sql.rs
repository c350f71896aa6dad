//! Every statement, from `sql/<noun>/<verb>.sql`, with the types of its parameters.
//!
//! They are files so that the tools and the people who know SQL can read them. The types are named here, so that a
//! statement can be sent in one go without asking the server first, which is what a pooler needs.

use tokio_postgres::types::Type;

/// A statement and how it is sent.
#[derive(Debug)]
pub struct Statement {
    /// Noun and verb, for messages.
    pub path: &'static str,
    pub text: &'static str,
    pub types: &'static [Type],
    pub keep: Keep,
}

/// What a connection remembers of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It stays prepared, with one plan for all parameters.
    Plan,
    /// It is planned each time. A plan that is kept reads or locks every partition of the history, one that is made
    /// for a run only that run's.
    Nothing,
}

const UUID: Type = Type::UUID;
const INT8: Type = Type::INT8;
const TEXT: Type = Type::TEXT;
const BYTEA: Type = Type::BYTEA;
const BOOL: Type = Type::BOOL;
const INT4: Type = Type::INT4;
const UUIDS: Type = Type::UUID_ARRAY;
const TEXTS: Type = Type::TEXT_ARRAY;
const BYTEAS: Type = Type::BYTEA_ARRAY;
const INT8S: Type = Type::INT8_ARRAY;
const INT4S: Type = Type::INT4_ARRAY;
const INT2S: Type = Type::INT2_ARRAY;

macro_rules! statements {
    ($($name:ident = $keep:ident $path:literal [$($type:expr),*],)*) => {
        $(pub static $name: Statement = Statement {
            path: $path,
            text: include_str!(concat!("../sql/", $path, ".sql")),
            types: &[$($type),*],
            keep: Keep::$keep,
        };)*

        /// All of them.
        #[cfg(test)]
        pub static ALL: &[&Statement] = &[$(&$name,)*];
    };
}

#[rustfmt::skip]
statements! {
    COMMIT_ALL = Plan "commit/all" [
        INT8, INT8,
        UUIDS, TEXTS, TEXTS, INT8S, BYTEAS, INT2S, INT8S, INT4S, INT8S, INT8S, INT8S, INT8S, INT8S,
        TEXTS, INT8S,
        UUIDS, TEXTS, TEXTS, INT8S, BYTEAS, INT2S, INT8S, INT4S, INT8S, INT8S, INT8S, INT8S, INT8S,
        TEXTS, INT8S,
        INT8S, INT8S, TEXTS, TEXTS, TEXTS, BYTEAS, TEXTS, INT8S,
        TEXTS, TEXTS, INT8S,
        INT8S, UUIDS, INT8S, TEXTS, INT8S, TEXTS,
        INT8S, UUIDS, INT8S,
        INT8S, TEXTS, TEXTS, TEXTS, TEXTS,
        INT8S, INT8S, UUIDS,
        BYTEAS, TEXTS,
        INT8S, BYTEAS,
        TEXTS
    ],
    COMMIT_MOVE = Plan "commit/move" [
        INT8, INT8,
        UUIDS, TEXTS, TEXTS, INT8S, BYTEAS, INT2S, INT8S, INT4S, INT8S, INT8S, INT8S, INT8S, INT8S,
        TEXTS
    ],
    COMMIT_START = Plan "commit/start" [
        INT8, INT8,
        UUIDS, TEXTS, TEXTS, INT8S, BYTEAS, INT2S, INT8S, INT4S, INT8S, INT8S, INT8S, INT8S, INT8S,
        TEXTS, INT8S,
        TEXTS, TEXTS, INT8S
    ],
    COMMIT_STEPS = Plan "commit/steps" [
        INT8, UUIDS,
        UUIDS, INT8S, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, INT2S, INT8S, INT4S, INT8S, INT8S,
        UUIDS,
        UUIDS, INT8S, INT8S, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, INT8S, INT8S
    ],
    HISTORY_DELETE = Nothing "history/delete" [UUIDS],
    HISTORY_INSERT = Plan "history/insert" [INT8, INT8, UUIDS, INT8S, TEXTS],
    HISTORY_LIST = Nothing "history/list" [UUID, INT8, INT8],
    HISTORY_PARTITIONS = Nothing "history/partitions" [],
    IDEMPOTENCY_EXPIRE = Plan "idempotency/expire" [TEXTS, TEXTS, TEXTS, TEXTS, INT8],
    IDEMPOTENCY_FIND = Plan "idempotency/find" [TEXTS, TEXTS, TEXTS, INT8],
    IDEMPOTENCY_GET = Plan "idempotency/get" [TEXT, TEXT, TEXT, INT8],
    IDEMPOTENCY_INSERT = Plan "idempotency/insert" [TEXTS, TEXTS, TEXTS, BYTEAS, TEXTS, INT8S],
    IDEMPOTENCY_PRUNE = Plan "idempotency/prune" [INT8, INT8],
    LETTERS_DELETE = Plan "letters/delete" [UUIDS],
    LETTERS_GET = Plan "letters/get" [UUID, INT8, TEXT, INT8],
    LETTERS_LIST = Plan "letters/list" [TEXT, TEXT, TEXT, INT8, INT8],
    LETTERS_LIST_ALL = Plan "letters/list_all" [TEXT, TEXT, TEXT, INT8, INT8],
    LETTERS_PURGE = Plan "letters/purge" [INT8, TEXT, INT8],
    LETTERS_PUT = Plan "letters/put" [UUIDS, INT8S, INT8S, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, INT8S, INT8S],
    LETTERS_RETRY = Plan "letters/retry" [UUIDS, INT8S, INT8],
    NODES_BEAT = Plan "nodes/beat" [INT8, TEXT, TEXT, TEXT, INT8, INT8, BOOL, INT8, BOOL],
    NODES_FORGET = Plan "nodes/forget" [INT8],
    NODES_LIST = Plan "nodes/list" [],
    NODES_TAKE_OVER = Plan "nodes/take_over" [INT8, INT8, INT8],
    NOTICES_PUT = Plan "notices/put" [INT8S, UUIDS],
    OUTBOX_BURY = Plan "outbox/bury" [INT8S, TEXT],
    OUTBOX_CLAIM = Plan "outbox/claim" [INT8, INT8, INT8, INT8, INT8S, TEXTS, BOOL],
    OUTBOX_COUNT = Nothing "outbox/count" [],
    OUTBOX_DELIVER = Plan "outbox/deliver" [INT8S],
    OUTBOX_LOCK = Plan "outbox/lock" [INT8S],
    OUTBOX_NEXT = Plan "outbox/next" [],
    OUTBOX_PUT = Plan "outbox/put" [INT8, TEXTS, TEXTS, TEXTS, TEXTS],
    OUTBOX_RETRY = Plan "outbox/retry" [INT8S, TEXT, INT8],
    PLANS_GET = Plan "plans/get" [BYTEA],
    PLANS_PUT = Plan "plans/put" [BYTEAS, TEXTS],
    QUEUE_CLAIM = Plan "queue/claim" [TEXTS, INT8S, INT8, INT8, INT8, INT8, TEXTS, TEXTS],
    QUEUE_COUNT = Nothing "queue/count" [],
    QUEUE_COUNTS = Nothing "queue/counts" [TEXT],
    QUEUE_PUT = Plan "queue/put" [UUIDS, INT8S, TEXTS, INT8S, TEXTS],
    QUEUE_REMOVE = Plan "queue/remove" [UUIDS, INT8S],
    QUEUE_REMOVE_RUNS = Plan "queue/remove_runs" [UUIDS],
    RECORDS_DELETE = Plan "records/delete" [TEXTS, TEXTS, TEXTS],
    RECORDS_EXPIRED = Plan "records/expired" [TEXT, INT8, INT8],
    RECORDS_GET = Plan "records/get" [TEXT, TEXT, TEXT],
    RECORDS_INSERT = Plan "records/insert" [TEXTS, TEXTS, TEXTS, INT8S, TEXTS, INT8S, INT8S, INT8S],
    RECORDS_LIST = Plan "records/list" [TEXT, TEXT, TEXT, INT8],
    RECORDS_LOCK = Plan "records/lock" [TEXTS, TEXTS, TEXTS],
    RECORDS_UPDATE = Plan "records/update" [TEXTS, TEXTS, TEXTS, INT8S, TEXTS, INT8S, INT8S, INT8S],
    RUNS_ANY = Plan "runs/any" [UUID, UUID],
    RUNS_CLAIMED = Plan "runs/claimed" [INT8S, UUID, INT8],
    RUNS_COUNT = Nothing "runs/count" [],
    RUNS_DELETE = Plan "runs/delete" [UUIDS, TEXT, INT8],
    RUNS_DUE = Plan "runs/due" [INT8, INT8, INT8, INT8],
    RUNS_ENDED = Plan "runs/ended" [INT8, INT8],
    RUNS_GET = Plan "runs/get" [UUID, TEXT],
    RUNS_HEADS = Plan "runs/heads" [UUIDS],
    RUNS_INSERT = Plan "runs/insert" [
        INT8,
        UUIDS, TEXTS, TEXTS, INT8S, BYTEAS, INT2S, INT8S, INT4S, INT8S, INT8S, INT8S, INT8S, INT8S
    ],
    RUNS_KEPT = Plan "runs/kept" [UUID, UUID, INT8],
    RUNS_LIST = Plan "runs/list" [TEXT, UUID, INT8, INT8, INT8, TEXT, INT8, BOOL],
    RUNS_LIST_BY_NAMESPACE = Plan "runs/list_by_namespace" [TEXT, UUID, INT8, INT8, INT8, TEXT, INT8, BOOL],
    RUNS_LIST_BY_PREFIX = Plan "runs/list_by_prefix" [TEXT, UUID, INT8, INT8, INT8, TEXT, INT8, BOOL],
    RUNS_LIST_BY_STATUS = Plan "runs/list_by_status" [TEXT, UUID, INT8, INT8, INT8, TEXT, INT8, TEXT, BOOL],
    RUNS_LIST_BY_WORKFLOW = Plan "runs/list_by_workflow" [TEXT, UUID, INT8, INT8, INT8, TEXT, INT8, BOOL],
    RUNS_LIST_LIVE = Plan "runs/list_live" [TEXT, UUID, INT8, INT8, INT8, TEXT, INT8, TEXT, BOOL],
    RUNS_LOCK = Plan "runs/lock" [UUIDS],
    RUNS_NEXT_WAKE = Plan "runs/next_wake" [],
    RUNS_RESCHEDULE = Plan "runs/reschedule" [UUIDS, INT8S, INT8S],
    RUNS_UPDATE = Plan "runs/update" [
        INT8,
        UUIDS, TEXTS, TEXTS, INT8S, BYTEAS, INT2S, INT8S, INT4S, INT8S, INT8S, INT8S, INT8S, INT8S
    ],
    STATUS_BYTES = Nothing "status/bytes" [],
    STATUS_SCHEMA = Nothing "status/schema" [],
    STATUS_SERVER = Nothing "status/server" [],
    STATUS_SETTINGS = Nothing "status/settings" [],
    STATUS_SNAPSHOT = Nothing "status/snapshot" [],
    STEPS_COUNT = Plan "steps/count" [TEXT, TEXT],
    STEPS_COUNT_RUNNING = Plan "steps/count_running" [TEXTS, TEXTS],
    STEPS_DELETE = Plan "steps/delete" [UUIDS],
    STEPS_END = Plan "steps/end" [UUIDS, INT8],
    STEPS_IN_PROGRESS = Plan "steps/in_progress" [TEXT],
    STEPS_LIST = Plan "steps/list" [TEXT, INT8, INT2S, TEXT, TEXT, INT8, INT8],
    STEPS_LIST_BY_RUN = Plan "steps/list_by_run" [TEXT, INT8, INT2S, TEXT, TEXT, UUID, INT8, INT8],
    STEPS_LOCK = Plan "steps/lock" [INT4, INT4S],
    STEPS_PUT = Plan "steps/put" [
        UUIDS, INT8S, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, INT2S, INT8S, INT4S, INT8S, INT8S
    ],
    STEPS_RUNNING = Plan "steps/running" [UUIDS, INT8S, UUIDS],
    TRANSFER_ADVANCE = Plan "transfer/advance" [BYTEA, BYTEA],
    TRANSFER_BEGIN = Nothing "transfer/begin" [BYTEA, BYTEA],
    TRANSFER_COUNTS = Nothing "transfer/counts" [],
    TRANSFER_DOCUMENTS = Plan "transfer/documents" [TEXT, TEXT, TEXT, INT8, INT8, INT8],
    TRANSFER_FINISH = Plan "transfer/finish" [],
    TRANSFER_HISTORY = Nothing "transfer/history" [UUID, INT8, INT8, INT8],
    TRANSFER_KEYS = Plan "transfer/keys" [TEXT, TEXT, TEXT, INT8, INT8, INT8],
    TRANSFER_LETTERS = Plan "transfer/letters" [UUID, INT8, INT8, INT8, INT8],
    TRANSFER_MESSAGES = Plan "transfer/messages" [INT8, INT8, INT8],
    TRANSFER_ORIGIN = Plan "transfer/origin" [],
    TRANSFER_PLANS = Plan "transfer/plans" [BYTEA, INT8, INT8],
    TRANSFER_PUT_HISTORY = Plan "transfer/put_history" [UUIDS, INT8S, INT8S, INT8S, TEXTS],
    TRANSFER_PUT_MESSAGES = Plan "transfer/put_messages" [
        INT8S, TEXTS, TEXTS, TEXTS, TEXTS, INT8S, INT8S, INT8S, INT2S, TEXTS
    ],
    TRANSFER_PUT_VERSIONS = Plan "transfer/put_versions" [TEXTS, TEXTS, INT8S, TEXTS, BYTEAS, INT8S],
    TRANSFER_PUT_WORKFLOWS = Plan "transfer/put_workflows" [TEXTS, TEXTS, TEXTS, INT8S, INT8S],
    TRANSFER_QUEUE = Plan "transfer/queue" [UUID, INT8, INT8],
    TRANSFER_RAISE_IDS = Plan "transfer/raise_ids" [INT8],
    TRANSFER_RUNS = Plan "transfer/runs" [UUID, INT8, INT8],
    TRANSFER_STEPS = Plan "transfer/steps" [UUID, INT8, INT8],
    TRANSFER_VERSIONS = Plan "transfer/versions" [TEXT, TEXT, INT8, INT8, INT8],
    TRANSFER_WORKFLOWS = Plan "transfer/workflows" [TEXT, TEXT, INT8, INT8],
    USAGE_HISTORIES = Nothing "usage/histories" [UUIDS],
    USAGE_LIVE_RUNS = Plan "usage/live_runs" [],
    USAGE_NAMESPACE = Nothing "usage/namespace" [TEXT],
    WALL_BLIND = Nothing "wall/blind" [],
    WALL_ENGINE = Nothing "wall/engine" [],
    WALL_ENTER = Plan "wall/enter" [TEXT, TEXT],
    WALL_GAPS = Nothing "wall/gaps" [],
    WALL_GRANTS = Nothing "wall/grants" [],
    WALL_HOLDS = Nothing "wall/holds" [],
    WALL_ROLE = Nothing "wall/role" [],
    WALL_USER = Nothing "wall/user" [],
    WORKFLOWS_CURRENT = Plan "workflows/current" [TEXTS, TEXTS],
    WORKFLOWS_DELETE = Plan "workflows/delete" [TEXT, TEXT],
    WORKFLOWS_DELETE_VERSIONS = Plan "workflows/delete_versions" [TEXT, TEXT],
    WORKFLOWS_GET = Plan "workflows/get" [TEXT, TEXT],
    WORKFLOWS_LIST = Plan "workflows/list" [TEXT, TEXT, INT8],
    WORKFLOWS_PUT = Plan "workflows/put" [TEXT, TEXT, TEXT, TEXT, BYTEA, TEXT, INT8, INT8],
    WORKFLOWS_VERSIONS = Plan "workflows/versions" [TEXT, TEXT],
}

/// Whether statements keep what they say about the namespace.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditions {
    Kept,
    Stripped,
}

#[cfg(test)]
impl Statement {
    /// The text, or what is left of it when nothing asks for a namespace any more.
    pub fn with(&'static self, conditions: Conditions) -> &'static str {
        use std::collections::HashMap;
        use std::sync::{LazyLock, Mutex};

        static STRIPPED: LazyLock<Mutex<HashMap<&str, &str>>> = LazyLock::new(Mutex::default);
        if conditions == Conditions::Kept {
            return self.text;
        }
        let mut stripped = STRIPPED.lock().expect("no test panics here");
        stripped.entry(self.path).or_insert_with(|| strip(self.text).leak())
    }
}

/// Conditions on a parameter, or on a row made of parameters. What joins two tables is none.
#[cfg(test)]
fn strip(text: &str) -> String {
    let mut stripped = text.replace("r.namespace = i.namespace", "true");
    while let Some(at) = stripped.find("namespace = $") {
        let behind = at + "namespace = $".len();
        let digits = stripped[behind..].bytes().take_while(u8::is_ascii_digit).count();
        let word = |byte: char| byte.is_ascii_alphanumeric() || byte == '.' || byte == '_';
        let before = stripped[..at].trim_end_matches(word).len();
        stripped.replace_range(before..behind + digits, "true");
    }
    stripped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quintet_testkit::postgres::Database;

    use super::*;
    use crate::support;

    #[test]
    fn every_file_is_in_the_table() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut files = BTreeSet::new();
        for noun in std::fs::read_dir(&root).unwrap().map(name) {
            let verbs = std::fs::read_dir(root.join(&noun)).unwrap().map(name);
            files.extend(verbs.map(|verb| format!("{noun}/{}", verb.trim_end_matches(".sql"))));
        }
        let known: BTreeSet<String> = ALL.iter().map(|statement| statement.path.to_owned()).collect();
        assert_eq!(files, known);
    }

    #[test]
    fn every_statement_can_be_prepared_on_a_migrated_database() {
        let database = support::database();
        let url = database.url();
        support::wait(async {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            let prepare = async {
                for statement in ALL {
                    let prepared = client.prepare_typed(statement.text, statement.types).await;
                    let prepared = prepared.unwrap_or_else(|error| panic!("{}: {error:?}", statement.path));
                    assert_eq!(prepared.params(), statement.types, "{}", statement.path);
                }
            };
            tokio::select! {
                () = prepare => {}
                ended = connection => panic!("{ended:?}"),
            }
        });
    }

    /// The plan that a session of the store keeps for a statement.
    fn plan(database: &Database, statement: &Statement) -> String {
        plan_as(database, "", statement)
    }

    fn plan_as(database: &Database, before: &str, statement: &Statement) -> String {
        let types: Vec<&str> = statement.types.iter().map(Type::name).collect();
        let parameters = |list: String| if list.is_empty() { list } else { format!("({list})") };
        let values = parameters(vec!["NULL"; types.len()].join(", "));
        let types = parameters(types.join(", "));
        let settings: String = crate::connect::PLANNING
            .split(" -c ")
            .map(|setting| format!("SET {};", setting.trim_start_matches("-c ")))
            .collect();
        let text = statement.text;
        let explain = format!("{before} {settings} PREPARE it{types} AS {text}; EXPLAIN EXECUTE it{values}");
        database.psql(&explain).unwrap()
    }

    /// What a plain owner of the tables, who passes by no policy, and a tenant are in a session of their own.
    const OWNER: &str = "SET ROLE quintet_test_house;";
    const TENANT: &str = "SET ROLE quintet_tenant; SET quintet.namespace = 'mine';";

    /// Statements that are sent within a namespace.
    const WITHIN: &[&Statement] = &[
        &HISTORY_LIST,
        &IDEMPOTENCY_GET,
        &LETTERS_GET,
        &LETTERS_LIST,
        &LETTERS_LIST_ALL,
        &RECORDS_GET,
        &RECORDS_LIST,
        &RECORDS_LOCK,
        &RUNS_GET,
        &RUNS_LIST,
        &RUNS_LIST_BY_NAMESPACE,
        &RUNS_LIST_BY_PREFIX,
        &RUNS_LIST_BY_STATUS,
        &RUNS_LIST_BY_WORKFLOW,
        &RUNS_LIST_LIVE,
        &STEPS_COUNT,
        &STEPS_LIST,
        &STEPS_LIST_BY_RUN,
        &WORKFLOWS_GET,
        &WORKFLOWS_LIST,
        &WORKFLOWS_VERSIONS,
    ];

    #[test]
    fn policies_leave_the_engines_plans_as_they_are() {
        let database = support::database();
        support::open(&support::hand_over(&database));
        for statement in ALL.iter().filter(|statement| !statement.path.starts_with("wall/")) {
            let (superusers, owners) = (plan(&database, statement), plan_as(&database, OWNER, statement));
            assert_eq!(shape(&superusers), shape(&owners), "{}", statement.path);
            assert!(!owners.contains("current_setting"), "{}:\n{owners}", statement.path);
        }
    }

    /// A plan without its conditions: which of two equal ones is named, and in which order, is not always the same.
    fn shape(plan: &str) -> Vec<&str> {
        let lines = plan.lines().map(|line| line.split("  (cost").next().unwrap_or(line));
        let nodes = lines.filter(|line| !["Filter:", "Cond:"].iter().any(|word| line.contains(word)));
        nodes.collect()
    }

    #[test]
    fn what_is_sent_within_a_namespace_goes_through_the_same_indices() {
        let database = support::database();
        let indices = |plan: &str| {
            let lines = plan.lines().filter(|line| line.contains(" using "));
            let names = lines.filter_map(|line| line.split(" using ").nth(1)?.split(' ').next().map(str::to_owned));
            names.collect::<BTreeSet<_>>()
        };
        for statement in WITHIN {
            let (engines, tenants) = (plan(&database, statement), plan_as(&database, TENANT, statement));
            assert!(!tenants.contains("Seq Scan"), "{}:\n{tenants}", statement.path);
            let lost: Vec<_> = indices(&engines).difference(&indices(&tenants)).cloned().collect();
            assert!(lost.is_empty(), "{} without {lost:?}:\n{tenants}", statement.path);
        }
    }

    /// Statements that look at a whole table, each for a reason.
    const MAY_SCAN: &[&str] = &[
        // There are as many rows as nodes.
        "nodes/list",
        "nodes/beat",
        // Once for each node that goes; messages that are not delivered are few.
        "nodes/forget",
        // Retention reads in the order of the ids, up to a limit.
        "runs/ended",
        // Figures for operators.
        "runs/count",
        "queue/count",
        "queue/counts",
        "outbox/count",
        // For people, and now and then for a limit of what is stored.
        "usage/namespace",
        // Once per move; the first stops at the first row that there is.
        "transfer/begin",
        "transfer/counts",
        // A sequence is one row.
        "transfer/raise_ids",
        "status/bytes",
        "status/schema",
        "status/settings",
        "status/snapshot",
        "history/partitions",
        // Once per start.
        "wall/blind",
        "wall/gaps",
        "wall/grants",
        "wall/role",
    ];

    #[test]
    fn no_statement_outside_the_list_reads_a_whole_table_even_if_it_is_empty() {
        let database = support::database();
        for statement in ALL.iter().filter(|statement| !MAY_SCAN.contains(&statement.path)) {
            let plan = plan(&database, statement);
            assert!(!plan.contains("Seq Scan"), "{}:\n{plan}", statement.path);
            assert!(
                !plan.contains("Merge Join") && !plan.contains("Hash Join"),
                "{}:\n{plan}",
                statement.path
            );
        }
    }

    #[test]
    fn hot_statements_use_the_index_that_was_made_for_them() {
        let database = support::database();
        let expected: &[(&Statement, &[&str])] = &[
            (
                &COMMIT_MOVE,
                &["Index Scan using runs_pkey on runs r", "Index Cond: (id = i.id)"],
            ),
            (
                &COMMIT_ALL,
                &[
                    "Index Scan using runs_pkey on runs r",
                    "Index Scan using queue_pkey on queue q",
                ],
            ),
            (
                &COMMIT_STEPS,
                &[
                    "Index Scan using runs_pkey on runs r",
                    "Index Scan using steps_pkey on steps s",
                    "Index Cond: (run = e.run)",
                ],
            ),
            (
                &RUNS_DUE,
                &["Index Scan using runs_wake on runs", "Index Cond: (wake_at <= $1)"],
            ),
            (
                &RUNS_CLAIMED,
                &["Index Scan using runs_live on runs", "Index Cond: (id >= $2)"],
            ),
            (&USAGE_LIVE_RUNS, &["using runs_live on runs"]),
            (&RUNS_NEXT_WAKE, &["Index Only Scan using runs_wake on runs"]),
            (&RUNS_LIST, &["Index Scan Backward using runs_pkey on runs"]),
            (&RUNS_LIST_LIVE, &["Index Scan Backward using runs_live on runs"]),
            (
                &RUNS_LIST_BY_WORKFLOW,
                &["Index Scan Backward using runs_by_workflow on runs"],
            ),
            (
                &RUNS_LIST_BY_PREFIX,
                &[
                    "Index Only Scan using runs_by_workflow on runs",
                    "Index Scan Backward using runs_by_workflow on runs",
                ],
            ),
            (
                &RUNS_LIST_BY_STATUS,
                &["Index Scan Backward using runs_by_outcome on runs"],
            ),
            (
                &RUNS_LIST_BY_NAMESPACE,
                &["Index Scan Backward using runs_by_namespace on runs"],
            ),
            (
                &QUEUE_CLAIM,
                &[
                    "Index Scan using queue_in_turn on queue",
                    "Index Cond: ((queue = p.queue) AND (namespace = p.namespace))",
                ],
            ),
            (
                &OUTBOX_CLAIM,
                &["Index Scan using outbox_streams_due on outbox_streams"],
            ),
            (
                &OUTBOX_NEXT,
                &["Index Only Scan using outbox_streams_due on outbox_streams"],
            ),
            (
                &STEPS_COUNT,
                &[
                    "Index Cond: ((namespace = $1) AND (outcome IS NULL) AND (action = $2))",
                    "Index Only Scan using steps_by_outcome on steps",
                ],
            ),
            (
                &STEPS_COUNT_RUNNING,
                &[
                    "Index Only Scan using steps_running on steps",
                    "Index Cond: ((action = l.action) AND (queue = l.queue))",
                ],
            ),
            (&STEPS_IN_PROGRESS, &["Index Only Scan using steps_running on steps"]),
            (&STEPS_RUNNING, &["Index Scan using steps_pkey on steps"]),
            (
                &STEPS_END,
                &["Index Scan using steps_pkey on steps", "Index Cond: (run = ANY ($1))"],
            ),
            (
                &STEPS_LIST_BY_RUN,
                &["Index Scan using steps_pkey on steps", "Index Cond: (run = $6)"],
            ),
            (&LETTERS_RETRY, &["Index Cond: ((run = i.run) AND (node = i.node))"]),
            (
                &LETTERS_LIST,
                &["Index Only Scan using dead_letters_open on dead_letters"],
            ),
            (&RECORDS_EXPIRED, &["Index Scan using records_by_expiry on records"]),
            (&TRANSFER_RUNS, &["Index Scan using runs_pkey on runs"]),
            (&TRANSFER_QUEUE, &["Index Scan using queue_pkey on queue"]),
            (&OUTBOX_DELIVER, &["using outbox_in_order on outbox m"]),
        ];
        for (statement, parts) in expected {
            let plan = plan(&database, statement);
            for part in *parts {
                assert!(plan.contains(part), "{} without {part}:\n{plan}", statement.path);
            }
        }
    }
}
