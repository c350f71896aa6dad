-- Times are microseconds since 1970 (UTC). Ids of runs begin with their time, so that new rows go to the end of every
-- index, and a range of ids is a range of time. Text is compared by its bytes, as everywhere in Quintet. What a program
-- means by a number is not repeated here: u32 is held by bigint, u64 by the bigint of the same bits.
--
-- Every statement names the schema, because a pooler may give each one to another session.

CREATE TABLE quintet.plans (
    digest bytea NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
    spec text NOT NULL
);

-- What lists, timers and recovery ask for; the truth about a run is its history. A finished run is one that has an
-- end, and only the terminal states (10 and above) have one.
--
-- A run is written a dozen times in its life and mostly stays unfinished when it is. Nothing that changes then is in an
-- index or in the condition of one, and half of each page is left free, so that PostgreSQL writes the new version
-- beside the old one and touches no index at all (a HOT update), even if all runs of a page move in one commit, as runs
-- do that were started together. So the time to wake is kept when the new one is later or absent; an early look at the
-- clock costs little, and runs/reschedule puts it right.
--
-- `outcome` is the state of a run that ended badly: an index on the state itself would be touched by every move.
--
-- `owner` is who may hold the attempts of the run: the one owner that moved it while it had any, or 0 for several.
CREATE TABLE quintet.runs (
    id uuid NOT NULL PRIMARY KEY,
    version bigint NOT NULL CHECK (version >= 1),
    workflow_version bigint NOT NULL,
    claims bigint NOT NULL CHECK (claims >= 0),
    owner bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    priority integer NOT NULL,
    status smallint NOT NULL,
    namespace text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    plan bytea NOT NULL,
    wake_at bigint,
    finished_at bigint,
    taken_by bigint,
    taken_until bigint,
    outcome smallint GENERATED ALWAYS AS (CASE WHEN status > 10 THEN status END) STORED,
    CHECK ((status >= 10) = (finished_at IS NOT NULL))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- runs/claimed, runs/list_live
CREATE INDEX runs_live ON quintet.runs (id) WHERE finished_at IS NULL;

-- runs/due, nodes/beat, runs/next_wake
CREATE INDEX runs_wake ON quintet.runs (wake_at, id) WHERE finished_at IS NULL AND wake_at IS NOT NULL;

-- Runs of inline plans have no workflow and stay out.
-- runs/list_by_workflow
CREATE INDEX runs_by_workflow ON quintet.runs (namespace, workflow, id) WHERE workflow <> '';

-- Most runs end well; those that did not are few, and are what people look for.
-- runs/list_by_status
CREATE INDEX runs_by_outcome ON quintet.runs (namespace, outcome, id) WHERE outcome IS NOT NULL;

-- An install with one namespace has only 'default' and reads the primary key downwards, so it pays nothing here.
-- runs/list_by_namespace
CREATE INDEX runs_by_namespace ON quintet.runs (namespace, id) WHERE namespace <> 'default';

-- There is none on finished_at: retention runs rarely and stops at its limit.

-- One partition for the runs of each day, made when it is needed (src/partition.rs): what is over goes as a whole table
-- and leaves nothing to clean up.
CREATE TABLE quintet.history (
    run uuid NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    owner bigint NOT NULL,
    events text NOT NULL,
    PRIMARY KEY (run, seq)
) PARTITION BY RANGE (run);

-- Steps that wait for an executor; rank is the negated priority of the run, so that ascending order is the one asked
-- for. Rows live for a moment, so the table is cleaned by number of dead rows and not by share.
CREATE TABLE quintet.queue (
    run uuid NOT NULL,
    node bigint NOT NULL,
    rank bigint NOT NULL,
    action text COLLATE "C" NOT NULL,
    namespace text COLLATE "C" NOT NULL,
    taken_by bigint,
    taken_until bigint,
    PRIMARY KEY (run, node)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- queue/claim
CREATE INDEX queue_by_action ON quintet.queue (action, rank, run, node);

CREATE TABLE quintet.idempotency (
    namespace text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    request bytea NOT NULL CHECK (octet_length(request) = 32),
    answer text NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (namespace, scope, key)
);

-- idempotency/prune
CREATE INDEX idempotency_by_expiry ON quintet.idempotency (expires_at);

-- Messages of one target and key leave one after the other. Each such stream has a row that names its head, and whoever
-- adds to it or takes from it holds that row's lock; a stream without messages has none.
CREATE TABLE quintet.outbox_streams (
    head bigint NOT NULL,
    due_at bigint NOT NULL,
    target text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    taken_by bigint,
    taken_until bigint,
    PRIMARY KEY (target, key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- outbox/claim, outbox/next, nodes/beat
CREATE INDEX outbox_streams_due ON quintet.outbox_streams (due_at, head);

CREATE SEQUENCE quintet.outbox_ids;

-- State 0 waits or is being delivered, 2 was given up.
CREATE TABLE quintet.outbox (
    id bigint NOT NULL PRIMARY KEY,
    due_at bigint NOT NULL,
    created_at bigint NOT NULL,
    attempts bigint NOT NULL,
    state smallint NOT NULL CHECK (state IN (0, 2)),
    target text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    message_id text NOT NULL,
    body text NOT NULL,
    error text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- outbox/deliver, outbox/bury
CREATE INDEX outbox_in_order ON quintet.outbox (target, key, id) WHERE state = 0;

CREATE TABLE quintet.workflows (
    namespace text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    created_at bigint NOT NULL,
    PRIMARY KEY (namespace, id)
);

CREATE TABLE quintet.workflow_versions (
    namespace text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    document text NOT NULL,
    digest bytea NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (namespace, id, version)
);

-- The processes that share this database. `taken_by` is the one that takes over what a dead one held.
CREATE TABLE quintet.nodes (
    owner bigint NOT NULL PRIMARY KEY,
    started_at bigint NOT NULL,
    beat_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    in_flight bigint NOT NULL,
    draining boolean NOT NULL,
    name text NOT NULL,
    url text NOT NULL,
    version text NOT NULL,
    taken_by bigint,
    taken_until bigint
) WITH (fillfactor = 50);

-- Words to owners whose attempts somebody else called off; each is taken with the owner's next beat.
CREATE TABLE quintet.notices (
    owner bigint NOT NULL,
    run uuid NOT NULL,
    PRIMARY KEY (owner, run)
);
