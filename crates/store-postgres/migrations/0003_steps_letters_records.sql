-- A queue is not always an action any more.
ALTER TABLE quintet.queue RENAME COLUMN action TO queue;

-- queue/claim
ALTER INDEX quintet.queue_by_action RENAME TO queue_in_order;

-- Rows of step runs, for lists and counts over all runs; only of runs whose plan asks for them. The columns that are made
-- of the state keep it out of the indices: a step that waits for its next attempt, or is put into its queue again, is
-- written beside its old version and touches none of them (a HOT update). Three moments do: the first row, a start or end
-- of being in progress, and the end. A usual step is written three times and adds 7
-- entries to indices.
CREATE TABLE quintet.steps (
    run uuid NOT NULL,
    node bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    attempt bigint NOT NULL,
    priority integer NOT NULL,
    status smallint NOT NULL CHECK (status >= 0 AND status <= 10),
    namespace text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    step text COLLATE "C" NOT NULL,
    is_running boolean GENERATED ALWAYS AS (status = 2) STORED,
    outcome smallint GENERATED ALWAYS AS (CASE WHEN status >= 6 THEN status END) STORED,
    PRIMARY KEY (run, node)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

-- As many entries as there are steps in progress, which is what flow control counts at each start.
-- steps/in_progress, steps/count_running
CREATE INDEX steps_running ON quintet.steps (action, queue) WHERE is_running;

-- Steps that are not settled have no outcome and come together, behind the others. Settled ones are counted in the index
-- alone, without their rows; keys are few, so PostgreSQL 13 and later store each once for many rows.
-- steps/list, steps/count
CREATE INDEX steps_by_outcome ON quintet.steps (namespace, outcome, action);

-- What is kept of steps that failed for good. They outlive their runs.
CREATE TABLE quintet.dead_letters (
    run uuid NOT NULL,
    node bigint NOT NULL,
    attempt bigint NOT NULL,
    failed_at bigint NOT NULL,
    retried_at bigint,
    namespace text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    step text COLLATE "C" NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (run, node, attempt)
);

-- Open letters are counted in the index alone.
-- letters/list
CREATE INDEX dead_letters_open ON quintet.dead_letters (namespace, failed_at, run, node, attempt)
    INCLUDE (workflow, queue) WHERE retried_at IS NULL;

-- letters/list_all
CREATE INDEX dead_letters_in_order ON quintet.dead_letters (namespace, failed_at, run, node, attempt);

-- There is none on failed_at alone: retention runs rarely and stops at its limit.

-- Small documents of faces. An update that leaves the time to be looked at alone touches no index.
CREATE TABLE quintet.records (
    namespace text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    expires_at bigint,
    body text NOT NULL,
    PRIMARY KEY (namespace, kind, id)
) WITH (fillfactor = 70);

-- records/expired
CREATE INDEX records_by_expiry ON quintet.records (kind, expires_at, namespace, id) WHERE expires_at IS NOT NULL;
