-- As commit/move and commit/start together, with everything that units may bring along. What is decided is decided for a
-- unit: a run that moves must be as expected, a pin must be current, a key new or expired, or its answer the one to be
-- replaced. Answers the places of the units that were applied.
--
-- Hashed subqueries pick what belongs to them: those are not turned into joins, whose kind would depend on guesses about how
-- many rows there are. All messages get their numbers here, in the order of the units.
WITH moved AS (
    UPDATE quintet.runs AS r
    SET workflow = i.workflow, workflow_version = i.workflow_version, plan = i.plan, status = i.status,
        version = i.version, priority = i.priority, claims = i.claims, created_at = i.created_at,
        updated_at = i.updated_at, finished_at = i.finished_at,
        wake_at = CASE
            WHEN i.finished_at IS NULL AND r.finished_at IS NULL AND r.wake_at <= coalesce(i.wake_at, r.wake_at)
            THEN r.wake_at ELSE i.wake_at END,
        owner = CASE WHEN r.claims = 0 OR r.owner = $2 THEN $2 ELSE 0 END,
        taken_by = NULL, taken_until = NULL
    FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        AS i (id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at, events, n)
    WHERE r.id = i.id AND r.version = i.version - 1 AND r.namespace = i.namespace
    RETURNING i.n, i.id, i.version, i.events
), stale AS (
    SELECT p.n
    FROM unnest($41, $42, $43) WITH ORDINALITY AS p (namespace, id, version, n)
    WHERE NOT EXISTS (
        SELECT FROM quintet.workflows AS w
        WHERE w.namespace = p.namespace AND w.id = p.id AND w.version = p.version
    )
), units AS MATERIALIZED (
    SELECT u.*
    FROM unnest($33, $34, $35, $36, $37, $38, $39, $40, $65)
        AS u (n, pin, namespace, scope, key, request, answer, expires_at, replaces)
    WHERE NOT coalesce(u.pin IN (SELECT n FROM stale), false)
), keys AS (
    INSERT INTO quintet.idempotency AS k (namespace, scope, key, request, answer, expires_at)
    SELECT namespace, scope, key, request, answer, expires_at
    FROM units
    WHERE key IS NOT NULL
    ORDER BY namespace, scope, key
    ON CONFLICT (namespace, scope, key) DO UPDATE
        SET request = excluded.request, answer = excluded.answer, expires_at = excluded.expires_at
        WHERE k.expires_at <= $1 OR k.answer = (
            SELECT u.replaces
            FROM units AS u
            WHERE u.namespace = k.namespace AND u.scope = k.scope AND u.key = k.key
        )
    RETURNING namespace, scope, key
), applied AS MATERIALIZED (
    SELECT n
    FROM moved
    UNION ALL
    SELECT n
    FROM units
    WHERE key IS NULL OR coalesce((namespace, scope, key) IN (SELECT namespace, scope, key FROM keys), false)
), accepted AS MATERIALIZED (
    SELECT i.*
    FROM unnest($18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)
        AS i (id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at, events, n)
    WHERE coalesce(i.n IN (SELECT n FROM applied), false)
), started AS (
    INSERT INTO quintet.runs (id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at, owner)
    SELECT id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at, $2
    FROM accepted
), written AS (
    INSERT INTO quintet.history (run, seq, at, owner, events)
    SELECT id, version, $1, $2, events
    FROM moved
    UNION ALL
    SELECT id, version, $1, $2, events
    FROM accepted
), put AS (
    INSERT INTO quintet.queue AS q (run, node, queue, rank, namespace)
    SELECT p.run, p.node, p.queue, p.rank, p.namespace
    FROM unnest($44, $45, $46, $47, $48, $49) AS p (n, run, node, queue, rank, namespace)
    WHERE coalesce(p.n IN (SELECT n FROM applied), false)
    ON CONFLICT (run, node) DO UPDATE
        SET queue = excluded.queue, rank = excluded.rank, namespace = excluded.namespace,
            taken_by = NULL, taken_until = NULL
), removed AS (
    DELETE FROM quintet.queue AS q
    USING unnest($50, $51, $52) AS x (n, run, node)
    WHERE q.run = x.run AND q.node = x.node AND coalesce(x.n IN (SELECT n FROM applied), false)
), outgoing AS MATERIALIZED (
    SELECT nextval('quintet.outbox_ids') AS id, m.target, m.key, m.message_id, m.body
    FROM unnest($53, $54, $55, $56, $57) AS m (n, target, key, message_id, body)
    WHERE coalesce(m.n IN (SELECT n FROM applied), false)
), sent AS (
    INSERT INTO quintet.outbox (id, target, key, message_id, body, attempts, due_at, created_at, state)
    SELECT id, target, key, message_id, body, 0, $1, $1, 0
    FROM outgoing
), streams AS (
    INSERT INTO quintet.outbox_streams AS s (target, key, head, due_at)
    SELECT target, key, min(id), $1
    FROM outgoing
    GROUP BY target, key
    ORDER BY target, key
    ON CONFLICT (target, key) DO UPDATE SET head = s.head WHERE false
), told AS (
    INSERT INTO quintet.notices (owner, run)
    SELECT t.owner, t.run
    FROM unnest($58, $59, $60) AS t (n, owner, run)
    WHERE coalesce(t.n IN (SELECT n FROM applied), false)
    ORDER BY t.owner, t.run
    ON CONFLICT (owner, run) DO NOTHING
), plans AS (
    INSERT INTO quintet.plans (digest, spec)
    SELECT p.digest, p.spec
    FROM unnest($61, $62) AS p (digest, spec)
    WHERE coalesce(p.digest IN (
        SELECT b.digest FROM unnest($63, $64) AS b (n, digest)
        WHERE coalesce(b.n IN (SELECT n FROM applied), false)
    ), false)
    ORDER BY p.digest
    ON CONFLICT (digest) DO NOTHING
)
SELECT coalesce(array_agg(n), '{}')
FROM applied
