-- What is not settled in a run that is over never will be: it becomes cancelled. Says nothing of the
-- outcome, whose index would lead to the unfinished steps of all runs.
UPDATE quintet.steps
SET status = 8, updated_at = $2
WHERE run = ANY ($1) AND status < 6
