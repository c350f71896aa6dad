-- Times are microseconds since 1970 (UTC). Ids of runs are 16 bytes, big-endian, in order of time, so that new rows
-- go to the end of every index. Tables without a rowid are clustered by their primary key: one b-tree each.

CREATE TABLE plans (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    spec TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What lists, timers and recovery ask for; the truth about a run is its history. A finished run is one that has an
-- end, and only the terminal states (10 and above) have one.
CREATE TABLE runs (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    namespace TEXT NOT NULL,
    workflow TEXT NOT NULL,
    workflow_version INTEGER NOT NULL,
    plan BLOB NOT NULL,
    status INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    priority INTEGER NOT NULL,
    claims INTEGER NOT NULL CHECK (claims >= 0),
    wake_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    finished_at INTEGER,
    CHECK ((status >= 10) = (finished_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- The condition names the end and not the state, so that a run that moves from one unfinished state to another does
-- not touch the index. An unfinished run is inserted once and deleted once.
-- runs/due, runs/next_wake, runs/claimed, runs/list_live
CREATE INDEX runs_live ON runs (wake_at, id) WHERE finished_at IS NULL;

-- Runs of inline plans have no workflow and stay out.
-- runs/list_by_workflow
CREATE INDEX runs_by_workflow ON runs (namespace, workflow, id) WHERE workflow <> '';

-- Most runs end well; those that did not are few, and are what people look for.
-- runs/list_by_status
CREATE INDEX runs_by_outcome ON runs (namespace, status, id) WHERE status > 10;

-- An install with one namespace has only 'default' and reads the primary key downwards, so it pays nothing here.
-- runs/list_by_namespace
CREATE INDEX runs_by_namespace ON runs (namespace, id) WHERE namespace <> 'default';

-- There is none on finished_at: retention runs rarely, on a reader, and stops at its limit.

-- With a rowid, unlike the others: entries are appended in the order of writing, and only the narrow index is spread
-- over the runs. Clustered by run, the entries of thousands of runs under way would split each other's pages: measured,
-- that took half as long again, and entries above 1 KB would each have left for a page of their own.
CREATE TABLE history (
    run BLOB NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    events TEXT NOT NULL
) STRICT;

-- history/list, history/delete
CREATE UNIQUE INDEX history_in_order ON history (run, seq);

-- Steps that wait for an executor; rank is the negated priority of the run, so that ascending order is the one asked for.
CREATE TABLE queue (
    run BLOB NOT NULL,
    node INTEGER NOT NULL,
    action TEXT NOT NULL,
    rank INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    PRIMARY KEY (run, node)
) STRICT, WITHOUT ROWID;

-- queue/list
CREATE INDEX queue_by_action ON queue (action, rank, run, node);

CREATE TABLE idempotency (
    namespace TEXT NOT NULL,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL CHECK (length(request) = 32),
    answer TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, scope, key)
) STRICT, WITHOUT ROWID;

-- idempotency/prune
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

-- Messages of one target and key leave one after the other: state 1 is the head, 0 waits behind it, 2 was given up.
CREATE TABLE outbox (
    id INTEGER NOT NULL PRIMARY KEY,
    target TEXT NOT NULL,
    key TEXT NOT NULL,
    message_id TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    state INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
    error TEXT
) STRICT;

-- outbox/due, outbox/next
CREATE INDEX outbox_heads ON outbox (due_at, id) WHERE state = 1;

-- outbox/put, outbox/promote
CREATE INDEX outbox_in_order ON outbox (target, key, id) WHERE state < 2;

CREATE TABLE workflows (
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE workflow_versions (
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    digest BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id, version)
) STRICT, WITHOUT ROWID;
