-- A step can wait in a queue of its own and not only in that of its action. The order is still by a rank, which is now
-- the negated priority of the entry.
ALTER TABLE queue RENAME COLUMN action TO queue;

-- queue/list
DROP INDEX queue_by_action;

-- queue/list
CREATE INDEX queue_in_order ON queue (queue, rank, run, node);

-- Rows of step runs, for lists and counts over all runs whose plans ask for them; the truth is in the history. Numbers of
-- states are places in `quintet_core::machine::step::ALL`: 2 is in progress, 6 complete, 8 cancelled.
CREATE TABLE steps (
    run BLOB NOT NULL,
    node INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    workflow TEXT NOT NULL,
    step TEXT NOT NULL,
    action TEXT NOT NULL,
    queue TEXT NOT NULL,
    status INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (run, node)
) STRICT, WITHOUT ROWID;

-- What is under way, and what ended badly. A row is inserted when its step starts and updated when it ends: a good end takes
-- the entry away and puts none in its place.
-- steps/in_progress, steps/tally_open, steps/list_open, steps/count_open
CREATE INDEX steps_open ON steps (action, status, queue, namespace, created_at) WHERE status <> 6;

-- There is none for what ended well, which is most of it: measured, one to count it by makes each write cost a tenth more
-- and the rows take half as much space again, and counting is only about twice as fast as by reading the narrow rows.

-- With a rowid, because a body may be large. There are no columns for who retried and into what: that is in the history.
CREATE TABLE dead_letters (
    run BLOB NOT NULL,
    node INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    workflow TEXT NOT NULL,
    step TEXT NOT NULL,
    queue TEXT NOT NULL,
    failed_at INTEGER NOT NULL,
    retried_at INTEGER,
    body TEXT NOT NULL
) STRICT;

-- letters/get, letters/put, letters/retry, letters/remove_run
CREATE UNIQUE INDEX dead_letters_by_step ON dead_letters (run, node, attempt);

-- Has every column of the conditions, so that no body is read to leave one out or to count.
-- letters/list_open, letters/count_open
CREATE INDEX dead_letters_open ON dead_letters (namespace, failed_at, run, node, attempt, workflow, queue, retried_at)
    WHERE retried_at IS NULL;

-- letters/purge, letters/list
CREATE INDEX dead_letters_by_time ON dead_letters (failed_at, run, node, attempt);

-- Documents of faces. With a rowid, because a body may be large.
CREATE TABLE records (
    namespace TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- records/get, records/list, records/put, records/remove, records/version
CREATE UNIQUE INDEX records_by_id ON records (namespace, kind, id);

-- records/expired
CREATE INDEX records_by_expiry ON records (kind, expires_at, namespace, id) WHERE expires_at IS NOT NULL;
