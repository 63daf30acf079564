-- Jobs may have a name, tags and a key.
--
-- The tables of jobs are made anew, and not only given columns: what is added comes behind what may
-- be long.

CREATE TABLE new_open (
    id                INTEGER PRIMARY KEY,
    kind              TEXT NOT NULL,
    priority          INTEGER NOT NULL,
    requires          TEXT NOT NULL,
    on_node_loss      TEXT NOT NULL,
    submitted         INTEGER NOT NULL,
    name              TEXT NOT NULL DEFAULT '',
    tags              TEXT NOT NULL DEFAULT '',  -- sorted, comma-separated
    cancelling        INTEGER NOT NULL DEFAULT 0,
    -- The one offer that may run, where there is only one: all four, or none; an empty bound_store is
    -- that of nobody, so that nobody can deny the offer.
    bound_incarnation INTEGER,
    bound_serial      INTEGER,
    bound_node        TEXT,
    bound_store       TEXT,
    -- Whether it must not be placed, though somebody may hold it.
    held INTEGER NOT NULL GENERATED ALWAYS AS (cancelling OR bound_serial IS NOT NULL) VIRTUAL,
    payload           BLOB NOT NULL  -- last, for it may be long: what is before it is found at once
);

INSERT INTO new_open (
    id, kind, priority, requires, on_node_loss, submitted, cancelling,
    bound_incarnation, bound_serial, bound_node, bound_store, payload
)
SELECT
    id, kind, priority, requires, on_node_loss, submitted, cancelling,
    bound_incarnation, bound_serial, bound_node, bound_store, payload
FROM open;

DROP TABLE open;
ALTER TABLE new_open RENAME TO open;

CREATE INDEX open_by_rank ON open (held, requires, priority DESC);  -- and the id, as in any index

CREATE TABLE new_ended (
    id           INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL,
    priority     INTEGER NOT NULL,
    requires     TEXT NOT NULL,
    on_node_loss TEXT NOT NULL,
    submitted    INTEGER NOT NULL,
    name         TEXT NOT NULL DEFAULT '',
    tags         TEXT NOT NULL DEFAULT '',
    attempts     INTEGER NOT NULL,  -- how often it was started or lost
    status       TEXT NOT NULL,
    code         INTEGER,
    detail       TEXT NOT NULL,
    started      INTEGER NOT NULL,  -- 0 if never
    ended        INTEGER NOT NULL,
    node         TEXT NOT NULL,     -- empty if nowhere
    value        BLOB NOT NULL,
    out_size     INTEGER NOT NULL,  -- bytes of standard output; if there are fewer in out, they are
    err_size     INTEGER NOT NULL,  --   in a file, and so is standard error
    out          BLOB NOT NULL,
    err          BLOB NOT NULL,
    payload      BLOB NOT NULL
);

INSERT INTO new_ended (
    id, kind, priority, requires, on_node_loss, submitted, attempts, status, code, detail,
    started, ended, node, value, out_size, err_size, out, err, payload
)
SELECT
    id, kind, priority, requires, on_node_loss, submitted, attempts, status, code, detail,
    started, ended, node, value, out_size, err_size, out, err, payload
FROM ended;

DROP TABLE ended;
ALTER TABLE new_ended RENAME TO ended;

CREATE INDEX ended_by_time ON ended (ended);

-- Keys of jobs, until their tickets are forgotten: with the key of a job it is that job that is
-- submitted.
CREATE TABLE keys (
    key    TEXT PRIMARY KEY,
    job    INTEGER NOT NULL,
    digest BLOB NOT NULL  -- of all that was submitted with it: of another job it is another one
) WITHOUT ROWID;

CREATE INDEX keys_by_job ON keys (job);
