-- The second wall between namespaces, behind the conditions that every statement has: what is read or written for one
-- namespace is read and written by a role that sees nothing of another one (src/wall.rs). Which one it is, it is told
-- by a setting of the transaction; without the setting there are no rows. A setting that a session once had, and has no
-- more, is empty, so the empty name is nobody's.
--
-- None of the conditions is one that an index could be asked for, or statements would be planned for it instead of for
-- what they ask: then one row is looked for among all rows of its namespace. The setting is read once, and not for
-- every row.
--
-- Row-level security itself, and the policy by which the engine sees everything, come with every table alike, also with
-- one of a later migration and with each partition: sql/wall/gaps.sql.

CREATE POLICY own ON quintet.runs
    USING ((namespace = (SELECT nullif(current_setting('quintet.namespace', true), ''))) IS TRUE);
CREATE POLICY own ON quintet.queue
    USING ((namespace = (SELECT nullif(current_setting('quintet.namespace', true), ''))) IS TRUE);
CREATE POLICY own ON quintet.steps
    USING ((namespace = (SELECT nullif(current_setting('quintet.namespace', true), ''))) IS TRUE);
CREATE POLICY own ON quintet.dead_letters
    USING ((namespace = (SELECT nullif(current_setting('quintet.namespace', true), ''))) IS TRUE);
CREATE POLICY own ON quintet.idempotency
    USING ((namespace = (SELECT nullif(current_setting('quintet.namespace', true), ''))) IS TRUE);
CREATE POLICY own ON quintet.records
    USING ((namespace = (SELECT nullif(current_setting('quintet.namespace', true), ''))) IS TRUE);
CREATE POLICY own ON quintet.workflows
    USING ((namespace = (SELECT nullif(current_setting('quintet.namespace', true), ''))) IS TRUE);
CREATE POLICY own ON quintet.workflow_versions
    USING ((namespace = (SELECT nullif(current_setting('quintet.namespace', true), ''))) IS TRUE);

-- A history is its run's, and whoever asks for that run sees it or not by the policy above. Which runs are meant is a
-- setting too, so that they are looked up once and not again for every entry, which made a long history take twice as
-- long; it can show less than without it and never more.
CREATE POLICY own ON quintet.history
    USING ((run = ANY (ARRAY (
        SELECT r.id
        FROM quintet.runs AS r
        WHERE r.id = ANY (nullif(current_setting('quintet.runs', true), '')::uuid[])
    ))) IS TRUE);

-- A plan belongs to whoever knows its digest. A namespace adds plans and reads none: the engine reads them.
CREATE POLICY added ON quintet.plans FOR INSERT
    WITH CHECK (true);
