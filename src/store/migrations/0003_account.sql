-- No post told of it: it was found in an Alertmanager's list.
ALTER TABLE episode ADD COLUMN found INTEGER NOT NULL DEFAULT 0;

-- When the store last took a write for no other reason than to see whether it does.
ALTER TABLE ledger ADD COLUMN alive_at INTEGER;

-- Raw bodies, each once, oldest first: the ids grow, so that neither age nor order needs an index. `until` is the sum of
-- the bytes of all bodies up to this one.
DROP TABLE inbox;
CREATE TABLE inbox (
    id       INTEGER PRIMARY KEY,
    source   INTEGER NOT NULL REFERENCES source,
    heard_at INTEGER NOT NULL,
    hash     INTEGER NOT NULL,
    packed   INTEGER NOT NULL,  -- deflate
    until    INTEGER NOT NULL,
    body     BLOB NOT NULL
) STRICT;
CREATE INDEX inbox_hash ON inbox (hash);
