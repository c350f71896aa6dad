SELECT owner, name, url, version, started_at, beat_at, expires_at, draining, in_flight, taken_by
FROM quintet.nodes
