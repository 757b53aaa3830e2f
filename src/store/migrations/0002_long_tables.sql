-- Whoever claims a message takes the one that waits longest, however many wait.
DROP INDEX outbox_pending;
CREATE INDEX outbox_pending ON outbox (channel, waiting_since) WHERE state = 'pending';

-- What a group shows, however many it once showed.
DROP INDEX episode_group;
CREATE INDEX episode_present ON episode (alert_group, fingerprint)
    WHERE ends_at IS NULL AND absent_since IS NULL AND held_until IS NULL;
