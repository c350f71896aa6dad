CREATE TABLE history (
    run BLOB NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    events TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    namespace TEXT NOT NULL,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL CHECK (length(request) = 32),
    answer TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, scope, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

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

CREATE INDEX outbox_heads ON outbox (due_at, id) WHERE state = 1;

CREATE INDEX outbox_in_order ON outbox (target, key, id) WHERE state < 2;

CREATE TABLE plans (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    spec TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE queue (
    run BLOB NOT NULL,
    node INTEGER NOT NULL,
    action TEXT NOT NULL,
    rank INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    PRIMARY KEY (run, node)
) STRICT, WITHOUT ROWID;

CREATE INDEX queue_by_action ON queue (action, rank, run, node);

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

CREATE INDEX runs_by_namespace ON runs (namespace, id) WHERE namespace <> 'default';

CREATE INDEX runs_by_outcome ON runs (namespace, status, id) WHERE status > 10;

CREATE INDEX runs_by_workflow ON runs (namespace, workflow, id) WHERE workflow <> '';

CREATE INDEX runs_live ON runs (wake_at, id) WHERE finished_at IS NULL;

CREATE TABLE workflow_versions (
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    digest BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE workflows (
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT, WITHOUT ROWID;
