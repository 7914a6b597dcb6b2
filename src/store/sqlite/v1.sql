-- Times are milliseconds since 1970, ids are text, digests and journals are their bytes, yes and no are 1 and 0.
-- There are no foreign keys: events of rollouts that nobody knows are kept too.

CREATE TABLE meta (
    one INTEGER PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    store_id TEXT NOT NULL,
    commit_count INTEGER NOT NULL
) STRICT;

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE hosts (
    name TEXT NOT NULL PRIMARY KEY,
    heard INTEGER,
    body TEXT NOT NULL
) STRICT;

-- `born` is the order of the first writing.
CREATE TABLE journals (
    born INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    journal BLOB NOT NULL,
    last_seq INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    fenced TEXT,
    UNIQUE (host, journal)
) STRICT;

-- The history. AUTOINCREMENT: a place is never given twice, also after the newest events were deleted.
-- `author` and `seq` are null for the control plane.
CREATE TABLE events (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    host TEXT,
    rollout TEXT,
    attempt INTEGER NOT NULL,
    author BLOB,
    seq INTEGER,
    digest BLOB NOT NULL,
    received INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    refused TEXT
) STRICT;
CREATE UNIQUE INDEX events_by_author ON events (host, author, seq) WHERE author IS NOT NULL;
CREATE INDEX events_by_host ON events (host) WHERE host IS NOT NULL;
CREATE INDEX events_by_rollout ON events (rollout) WHERE rollout IS NOT NULL;
CREATE INDEX events_by_age ON events (received);
CREATE INDEX events_refused ON events (place) WHERE refused IS NOT NULL;

CREATE TABLE records (
    host TEXT NOT NULL,
    rollout TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    wave INTEGER NOT NULL,
    state TEXT NOT NULL,
    is_final INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    bucket TEXT NOT NULL,
    budgets TEXT NOT NULL,
    updated INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (host, rollout)
) STRICT;
CREATE INDEX records_by_rollout ON records (rollout, host);
CREATE INDEX records_by_bucket ON records (rollout, wave, bucket, host);
CREATE INDEX records_open ON records (rollout) WHERE is_final = 0;

-- Kept with every writing of a record, so that no count reads the records.
CREATE TABLE tallies (
    rollout TEXT NOT NULL,
    wave INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    bucket TEXT NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (rollout, wave, changed, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE budgets (
    tag TEXT NOT NULL PRIMARY KEY,
    n INTEGER NOT NULL CHECK (n >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
    id TEXT NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    published INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE rollouts (
    born INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    open INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX rollouts_by_age ON rollouts (opened);
CREATE INDEX rollouts_by_channel ON rollouts (channel, opened);
CREATE INDEX rollouts_open ON rollouts (opened) WHERE open = 1;

CREATE TABLE permits (
    host TEXT NOT NULL,
    rollout TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    journal BLOB NOT NULL,
    seq INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    holds TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (host, rollout)
) STRICT;

CREATE TABLE quarantines (
    channel TEXT NOT NULL,
    closure TEXT NOT NULL,
    why TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (channel, closure)
) STRICT, WITHOUT ROWID;
