INSERT INTO history (run, seq, at, owner, events)
VALUES (?1, ?2, ?3, ?4, ?5)
