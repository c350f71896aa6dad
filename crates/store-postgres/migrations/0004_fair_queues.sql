-- What waits in a queue is dealt out to its namespaces, so they are found without looking at everything that waits.

-- queue/claim
DROP INDEX quintet.queue_in_order;

-- queue/claim
CREATE INDEX queue_in_turn ON quintet.queue (queue, namespace, rank, run, node);
