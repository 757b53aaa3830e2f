-- No post told of it: it was found in an Alertmanager's list.
ALTER TABLE episode ADD COLUMN found INTEGER NOT NULL DEFAULT 0;

-- When the store last took a write for no other reason than to see whether it does.
ALTER TABLE ledger ADD COLUMN alive_at INTEGER;
