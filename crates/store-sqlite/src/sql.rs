//! Every statement, from `sql/<noun>/<verb>.sql`.
//!
//! They are files so that the tools and the people who know SQL can read them; the test below prepares each one on a
//! migrated database, and another one reads the plans of those that must stay fast.

macro_rules! statements {
    ($($name:ident = $path:literal,)*) => {
        $(pub const $name: &str = include_str!(concat!("../sql/", $path, ".sql"));)*

        /// Path and text of each.
        #[cfg(test)]
        pub const ALL: &[(&str, &str)] = &[$(($path, $name),)*];
    };
}

statements! {
    HISTORY_DELETE = "history/delete",
    HISTORY_INSERT = "history/insert",
    HISTORY_LIST = "history/list",
    IDEMPOTENCY_GET = "idempotency/get",
    IDEMPOTENCY_PRUNE = "idempotency/prune",
    IDEMPOTENCY_PUT = "idempotency/put",
    LETTERS_COUNT = "letters/count",
    LETTERS_COUNT_OPEN = "letters/count_open",
    LETTERS_GET = "letters/get",
    LETTERS_LIST = "letters/list",
    LETTERS_LIST_OPEN = "letters/list_open",
    LETTERS_PURGE = "letters/purge",
    LETTERS_PUT = "letters/put",
    LETTERS_REMOVE_RUN = "letters/remove_run",
    LETTERS_RETRY = "letters/retry",
    OUTBOX_BURY = "outbox/bury",
    OUTBOX_COUNT = "outbox/count",
    OUTBOX_DELETE = "outbox/delete",
    OUTBOX_DUE = "outbox/due",
    OUTBOX_LAST = "outbox/last",
    OUTBOX_NEXT = "outbox/next",
    OUTBOX_PROMOTE = "outbox/promote",
    OUTBOX_PUT = "outbox/put",
    OUTBOX_RETRY = "outbox/retry",
    PLANS_GET = "plans/get",
    PLANS_PUT = "plans/put",
    QUEUE_COUNT = "queue/count",
    QUEUE_COUNTS = "queue/counts",
    QUEUE_LIST = "queue/list",
    QUEUE_NAMESPACES = "queue/namespaces",
    QUEUE_PUT = "queue/put",
    QUEUE_REMOVE = "queue/remove",
    QUEUE_REMOVE_RUN = "queue/remove_run",
    RECORDS_EXPIRED = "records/expired",
    RECORDS_GET = "records/get",
    RECORDS_LIST = "records/list",
    RECORDS_PUT = "records/put",
    RECORDS_REMOVE = "records/remove",
    RECORDS_VERSION = "records/version",
    RUNS_ADVANCE = "runs/advance",
    RUNS_CLAIMED = "runs/claimed",
    RUNS_COUNT = "runs/count",
    RUNS_DELETE = "runs/delete",
    RUNS_DUE = "runs/due",
    RUNS_ENDED = "runs/ended",
    RUNS_GET = "runs/get",
    RUNS_HEAD = "runs/head",
    RUNS_INSERT = "runs/insert",
    RUNS_LIST = "runs/list",
    RUNS_LIST_BY_NAMESPACE = "runs/list_by_namespace",
    RUNS_LIST_BY_STATUS = "runs/list_by_status",
    RUNS_LIST_BY_WORKFLOW = "runs/list_by_workflow",
    RUNS_LIST_LIVE = "runs/list_live",
    RUNS_NEXT_WAKE = "runs/next_wake",
    RUNS_NEXT_WORKFLOW = "runs/next_workflow",
    RUNS_REPLACE = "runs/replace",
    RUNS_RESCHEDULE = "runs/reschedule",
    RUNS_SETTLE = "runs/settle",
    RUNS_WAKE = "runs/wake",
    STEPS_COUNT = "steps/count",
    STEPS_COUNT_BY_RUN = "steps/count_by_run",
    STEPS_COUNT_OPEN = "steps/count_open",
    STEPS_END = "steps/end",
    STEPS_IN_PROGRESS = "steps/in_progress",
    STEPS_LIST = "steps/list",
    STEPS_LIST_BY_RUN = "steps/list_by_run",
    STEPS_LIST_OPEN = "steps/list_open",
    STEPS_PUT = "steps/put",
    STEPS_REMOVE_RUN = "steps/remove_run",
    STEPS_TALLY_COMPLETE = "steps/tally_complete",
    STEPS_TALLY_OPEN = "steps/tally_open",
    TRANSFER_ADVANCE = "transfer/advance",
    TRANSFER_BEGIN = "transfer/begin",
    TRANSFER_COUNTS = "transfer/counts",
    TRANSFER_FINISH = "transfer/finish",
    TRANSFER_HISTORY = "transfer/history",
    TRANSFER_KEYS = "transfer/keys",
    TRANSFER_LETTERS = "transfer/letters",
    TRANSFER_MESSAGES = "transfer/messages",
    TRANSFER_ORIGIN = "transfer/origin",
    TRANSFER_PLANS = "transfer/plans",
    TRANSFER_PUT_MESSAGE = "transfer/put_message",
    TRANSFER_PUT_RECORD = "transfer/put_record",
    TRANSFER_QUEUE = "transfer/queue",
    TRANSFER_RECORDS = "transfer/records",
    TRANSFER_RUNS = "transfer/runs",
    TRANSFER_STEPS = "transfer/steps",
    TRANSFER_VERSIONS = "transfer/versions",
    TRANSFER_WORKFLOWS = "transfer/workflows",
    USAGE_HISTORY = "usage/history",
    USAGE_LIVE_RUNS = "usage/live_runs",
    USAGE_NAMESPACE = "usage/namespace",
    WORKFLOWS_CURRENT = "workflows/current",
    WORKFLOWS_DELETE = "workflows/delete",
    WORKFLOWS_DELETE_VERSIONS = "workflows/delete_versions",
    WORKFLOWS_GET = "workflows/get",
    WORKFLOWS_LIST = "workflows/list",
    WORKFLOWS_PUT = "workflows/put",
    WORKFLOWS_PUT_VERSION = "workflows/put_version",
    WORKFLOWS_VERSIONS = "workflows/versions",
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated() -> rusqlite::Connection {
        let mut connection = rusqlite::Connection::open_in_memory().unwrap();
        crate::migrate::migrate(&mut connection).unwrap();
        connection
    }

    #[test]
    fn every_statement_can_be_prepared_on_a_migrated_database() {
        let connection = migrated();
        for (path, sql) in ALL {
            connection
                .prepare(sql)
                .unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }

    #[test]
    fn every_file_is_in_the_table() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
        let mut files = 0;
        for noun in std::fs::read_dir(&root).unwrap() {
            let noun = noun.unwrap();
            for verb in std::fs::read_dir(noun.path()).unwrap() {
                let verb = verb.unwrap().file_name().into_string().unwrap();
                let path = format!(
                    "{}/{}",
                    noun.file_name().into_string().unwrap(),
                    verb.trim_end_matches(".sql")
                );
                assert!(ALL.iter().any(|(known, _)| *known == path), "{path}");
                files += 1;
            }
        }
        assert_eq!(files, ALL.len());
    }

    /// The plan of a statement, one line per step.
    fn plan(connection: &rusqlite::Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // Unbound parameters are NULL, which is no matter to the plan.
        statement
            .raw_query()
            .mapped(|row| row.get(3))
            .map(Result::unwrap)
            .collect()
    }

    /// Statements that look at a whole table or sort, each for a reason.
    const MAY_SCAN: &[&str] = &[
        // Lists everything of the default namespace, in the order of the primary key and up to a limit.
        "runs/list",
        // Look at the unfinished runs only, and sort those that fit.
        "runs/claimed",
        "runs/list_live",
        // Sort the rows of one run, or those that are under way or ended badly.
        "steps/list_by_run",
        "steps/list_open",
        "steps/count_open",
        // Count everything that fits anyway.
        "steps/list",
        "steps/count",
        "steps/tally_complete",
        "letters/list",
        "letters/count",
        // Reads the first entry of an index.
        "outbox/next",
        // Retention, on a reader.
        "runs/ended",
        // Figures for operators; runs are counted once after a start.
        "runs/count",
        "queue/count",
        "queue/counts",
        // Scans what the walk from namespace to namespace found.
        "queue/namespaces",
        "outbox/count",
        // Looks at all unfinished runs, while namespaces have a limit of them.
        "usage/live_runs",
        // For people, and now and then for a limit of what is stored.
        "usage/namespace",
        // Once per move; the first stops at the first row that there is.
        "transfer/begin",
        "transfer/counts",
    ];

    #[test]
    fn no_statement_outside_the_list_scans_a_table_or_sorts() {
        let connection = migrated();
        for (path, sql) in ALL.iter().filter(|(path, _)| !MAY_SCAN.contains(path)) {
            for step in plan(&connection, sql) {
                let constant = step.starts_with("SCAN CONSTANT");
                assert!(constant || !step.starts_with("SCAN"), "{path}: {step}");
                assert!(!step.contains("TEMP B-TREE"), "{path}: {step}");
            }
        }
    }

    #[test]
    fn hot_statements_use_the_index_that_was_made_for_them() {
        let connection = migrated();
        let expected = [
            ("runs/due", "SEARCH runs USING INDEX runs_live (wake_at<?)"),
            ("runs/next_wake", "SEARCH runs USING INDEX runs_live (wake_at>?)"),
            ("runs/head", "SEARCH runs USING PRIMARY KEY (id=?)"),
            ("runs/get", "SEARCH runs USING PRIMARY KEY (id=?)"),
            ("runs/advance", "SEARCH runs USING PRIMARY KEY (id=?)"),
            ("runs/settle", "SEARCH runs USING PRIMARY KEY (id=?)"),
            (
                "runs/list_by_workflow",
                "SEARCH runs USING INDEX runs_by_workflow (namespace=? AND workflow=? AND <expr>=? AND id<?)",
            ),
            (
                "runs/list_by_status",
                "SEARCH runs USING INDEX runs_by_outcome (namespace=? AND status=? AND id<?)",
            ),
            (
                "runs/list_by_namespace",
                "SEARCH runs USING INDEX runs_by_namespace (namespace=? AND id<?)",
            ),
            ("runs/list", "SEARCH runs USING PRIMARY KEY (id<?)"),
            (
                "history/list",
                "SEARCH history USING INDEX history_in_order (run=? AND seq>?)",
            ),
            (
                "queue/list",
                "SEARCH queue USING COVERING INDEX queue_in_turn (queue=? AND namespace=?)",
            ),
            ("queue/remove", "SEARCH queue USING PRIMARY KEY (run=? AND node=?)"),
            (
                "idempotency/get",
                "SEARCH idempotency USING PRIMARY KEY (namespace=? AND scope=? AND key=?)",
            ),
            ("outbox/due", "SEARCH outbox USING INDEX outbox_heads (due_at<?)"),
            (
                "transfer/history",
                "SEARCH history USING INDEX history_in_order ((run,seq)>(?,?))",
            ),
            ("transfer/runs", "SEARCH runs USING PRIMARY KEY (id>?)"),
            ("outbox/delete", "SEARCH outbox USING INTEGER PRIMARY KEY (rowid=?)"),
            (
                "steps/in_progress",
                "SEARCH steps USING COVERING INDEX steps_open (action=? AND status=?)",
            ),
            (
                "steps/tally_open",
                "SEARCH steps USING COVERING INDEX steps_open (action=?)",
            ),
            ("steps/end", "SEARCH steps USING PRIMARY KEY (run=?)"),
            (
                "letters/list_open",
                "SEARCH dead_letters USING INDEX dead_letters_open (namespace=?)",
            ),
            (
                "letters/count_open",
                "SEARCH dead_letters USING COVERING INDEX dead_letters_open (namespace=?)",
            ),
            (
                "records/expired",
                "SEARCH records USING INDEX records_by_expiry (kind=? AND expires_at<?)",
            ),
        ];
        for (path, step) in expected {
            let (_, sql) = ALL.iter().find(|(known, _)| *known == path).unwrap();
            assert_eq!(plan(&connection, sql), [step], "{path}");
        }
    }
}
