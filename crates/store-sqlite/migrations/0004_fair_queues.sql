-- What waits in a queue is dealt out to its namespaces, so they are found without looking at everything that waits.

-- queue/list
DROP INDEX queue_in_order;

-- queue/list, queue/namespaces
CREATE INDEX queue_in_turn ON queue (queue, namespace, rank, run, node);

-- What is finished and what is not lie apart, so that the few of one kind are found behind any number of the other. A run
-- moves once, when it ends.

-- runs/list_by_workflow
DROP INDEX runs_by_workflow;

-- runs/list_by_workflow, runs/next_workflow
CREATE INDEX runs_by_workflow ON runs (namespace, workflow, finished_at IS NULL, id) WHERE workflow <> '';
