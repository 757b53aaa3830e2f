-- Times are nanoseconds since 1970 in UTC. Severities are ranks: 0 none, 1 info, 2 warning, 3 critical.
-- Labels and annotations are JSON objects of strings. A subject is `incident:ID` or `notice:KIND`.

CREATE TABLE source (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Raw bodies, compressed, each once.
CREATE TABLE inbox (
    hash     BLOB PRIMARY KEY,
    source   INTEGER NOT NULL REFERENCES source,
    heard_at INTEGER NOT NULL,
    body     BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_age ON inbox (heard_at);

-- Alertmanager's groups. A repeat writes one row here, and none for its alerts.
CREATE TABLE alert_group (
    id           INTEGER PRIMARY KEY,
    source       INTEGER NOT NULL REFERENCES source,
    hash         INTEGER NOT NULL,
    receiver     TEXT NOT NULL,
    external_url TEXT,
    last_seen    INTEGER NOT NULL,
    complete     INTEGER NOT NULL,  -- the last post was not truncated
    UNIQUE (source, hash)
) STRICT;

CREATE TABLE incident (
    id            INTEGER PRIMARY KEY,
    source        INTEGER NOT NULL REFERENCES source,
    cause         TEXT NOT NULL,
    severity      INTEGER NOT NULL,
    worst         INTEGER NOT NULL,
    opened_at     INTEGER NOT NULL,
    resolved_at   INTEGER,
    last_end      INTEGER,
    open_info     INTEGER NOT NULL,
    open_warning  INTEGER NOT NULL,
    open_critical INTEGER NOT NULL,
    total         INTEGER NOT NULL,
    resolved_by   TEXT,  -- alert, human, agent, reconcile
    acked_at      INTEGER,
    acked_by      TEXT,
    evidence      TEXT,
    evidence_at   INTEGER
) STRICT;
CREATE UNIQUE INDEX incident_open ON incident (source, cause) WHERE resolved_at IS NULL;

-- An episode is held while `held_until` is set, open while it is not and `ends_at` is null, else over.
CREATE TABLE episode (
    id            INTEGER PRIMARY KEY,
    source        INTEGER NOT NULL REFERENCES source,
    fingerprint   INTEGER NOT NULL,
    incident      INTEGER REFERENCES incident,
    alert_group   INTEGER,  -- the one that brought it first; it may be gone
    severity      INTEGER NOT NULL,
    starts_at     INTEGER NOT NULL,
    ends_at       INTEGER,
    held_until    INTEGER,
    absent_since  INTEGER,  -- a complete post of its group lacked it
    flaps         INTEGER NOT NULL,
    host          TEXT NOT NULL,
    labels        TEXT NOT NULL,
    annotations   TEXT NOT NULL,
    generator_url TEXT NOT NULL,
    resolved_by   TEXT
) STRICT;
-- No alert has two episodes at once.
CREATE UNIQUE INDEX episode_current ON episode (source, fingerprint) WHERE ends_at IS NULL;
CREATE INDEX episode_over ON episode (source, fingerprint) WHERE ends_at IS NOT NULL;
CREATE INDEX episode_member ON episode (incident, host) WHERE incident IS NOT NULL;
CREATE INDEX episode_group ON episode (alert_group) WHERE ends_at IS NULL;

-- What a channel was told of a subject: the newest sequence, and where the first message stands.
CREATE TABLE thread (
    subject  TEXT NOT NULL,
    channel  TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    last_due INTEGER NOT NULL,
    anchor   TEXT,
    PRIMARY KEY (subject, channel)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    id            INTEGER PRIMARY KEY,
    subject       TEXT NOT NULL,
    channel       TEXT NOT NULL,
    sequence      INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    state         TEXT NOT NULL
        CHECK (state IN ('pending', 'delivered', 'superseded', 'dead', 'discarded', 'suppressed')),
    created_at    INTEGER NOT NULL,
    waiting_since INTEGER NOT NULL,  -- the earliest due time of the messages that this one stands for
    due_at        INTEGER NOT NULL,
    lease_owner   TEXT,
    lease_attempt INTEGER NOT NULL DEFAULT 0,
    lease_until   INTEGER,
    ambiguous     INTEGER NOT NULL DEFAULT 0,  -- an attempt ended without an answer
    settled_at    INTEGER,
    superseded_by INTEGER,
    error         TEXT,
    note          TEXT,
    text          TEXT,  -- of a notice
    UNIQUE (subject, channel, sequence)
) STRICT;
CREATE INDEX outbox_pending ON outbox (channel, due_at) WHERE state = 'pending';
CREATE INDEX outbox_waiting ON outbox (subject, channel) WHERE state = 'pending';
CREATE INDEX outbox_dead ON outbox (channel) WHERE state = 'dead';

-- What falls due later.
CREATE TABLE timer (
    id      INTEGER PRIMARY KEY,
    subject TEXT NOT NULL,
    kind    TEXT NOT NULL,
    due_at  INTEGER NOT NULL,
    UNIQUE (subject, kind)
) STRICT;
CREATE INDEX timer_due ON timer (due_at);

-- Who did what.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('human', 'agent', 'system')),
    action     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    note       TEXT NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject);

-- What could not be understood.
CREATE TABLE quarantine (
    id     INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES source,
    at     INTEGER NOT NULL,
    why    TEXT NOT NULL,
    raw    BLOB NOT NULL
) STRICT;

CREATE TABLE watchdog (
    source   INTEGER PRIMARY KEY REFERENCES source,
    heard_at INTEGER NOT NULL
) STRICT;

-- The ledger: one row, whose two equations the file itself holds.
CREATE TABLE ledger (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    received    INTEGER NOT NULL DEFAULT 0,
    opened      INTEGER NOT NULL DEFAULT 0,
    repeated    INTEGER NOT NULL DEFAULT 0,
    closed      INTEGER NOT NULL DEFAULT 0,
    stale       INTEGER NOT NULL DEFAULT 0,
    held        INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0,
    truncated   INTEGER NOT NULL DEFAULT 0,
    due         INTEGER NOT NULL DEFAULT 0,
    delivered   INTEGER NOT NULL DEFAULT 0,
    superseded  INTEGER NOT NULL DEFAULT 0,
    dead        INTEGER NOT NULL DEFAULT 0,
    discarded   INTEGER NOT NULL DEFAULT 0,
    suppressed  INTEGER NOT NULL DEFAULT 0,
    pending     INTEGER NOT NULL DEFAULT 0,
    CHECK (received = opened + repeated + closed + stale + held + quarantined + truncated),
    CHECK (due = delivered + superseded + dead + discarded + suppressed + pending)
) STRICT;
INSERT INTO ledger (id) VALUES (1);
