-- Identities by their text, such as agent/web1. The key of one that was shut out before it showed any is all zeros.
-- `certificate` is the newest one that was issued here, as PEM, so that a repeated request gets the same answer.
CREATE TABLE identities (
    identity TEXT NOT NULL PRIMARY KEY,
    key BLOB NOT NULL,
    origin TEXT NOT NULL,
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    certificate TEXT,
    token TEXT,
    revoked INTEGER,
    reason TEXT,
    labels TEXT NOT NULL
) STRICT;

-- Enrollment tokens. Of the secret only a digest is kept. Who spent one is told by the key.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    digest BLOB NOT NULL,
    created INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires INTEGER NOT NULL,
    spent_key BLOB,
    spent_at INTEGER,
    revoked INTEGER,
    labels TEXT NOT NULL,
    CHECK ((spent_key IS NULL) = (spent_at IS NULL))
) STRICT;
CREATE INDEX tokens_by_host ON tokens (host, id);
CREATE INDEX tokens_open ON tokens (expires) WHERE spent_key IS NULL AND revoked IS NULL;
