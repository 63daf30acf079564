-- The database of a node, jobs.sqlite in its state directory.
--
-- Each file of this directory takes a database from the version before to that of its number, which
-- PRAGMA user_version holds; a new database is made by all of them, in order.  A file that was
-- released is never changed.  Times are milliseconds since the epoch, where nothing else is said.

PRAGMA application_id = 0x6a6f6263;  -- "jobc": what a database of another program does not have

-- Who this node is: one row, written when the store is opened.
CREATE TABLE meta (
    only        INTEGER PRIMARY KEY CHECK (only = 1),
    name        TEXT NOT NULL,     -- of the node: it wins over what the node is told to be called
    store       TEXT NOT NULL,     -- the id that tells this store from another under the same name
    incarnation INTEGER NOT NULL,  -- counted up at each start
    draining    INTEGER NOT NULL,
    last_job    INTEGER NOT NULL,  -- an id that was given out, not smaller than any that is forgotten
    place       TEXT NOT NULL      -- what is true of this file, and not of a copy; empty in a backup
);

-- Jobs without an outcome.  A job leaves this table for the next one, so that it is in one of them
-- and has at most one outcome.
CREATE TABLE open (
    id                INTEGER PRIMARY KEY,
    kind              TEXT NOT NULL,
    priority          INTEGER NOT NULL,
    requires          TEXT NOT NULL,
    on_node_loss      TEXT NOT NULL,
    submitted         INTEGER NOT NULL,
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

-- Pages of waiting jobs are read along it, the best first; they are counted, and those that are held
-- are found, without a look at the jobs themselves.
CREATE INDEX open_by_rank ON open (held, requires, priority DESC);  -- and the id, as in any index

-- Jobs with an outcome, until their retention ends.
CREATE TABLE ended (
    id           INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL,
    priority     INTEGER NOT NULL,
    requires     TEXT NOT NULL,
    on_node_loss TEXT NOT NULL,
    submitted    INTEGER NOT NULL,
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

CREATE INDEX ended_by_time ON ended (ended);

-- What is left of a job after that, so that its ticket is expired and not unknown.
CREATE TABLE expired (
    id        INTEGER PRIMARY KEY,
    kind      TEXT NOT NULL,
    submitted INTEGER NOT NULL,
    ended     INTEGER NOT NULL
);

CREATE INDEX expired_by_time ON expired (ended);

-- Offers that were started or lost, until their job expires.
CREATE TABLE attempt (
    job         INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    serial      INTEGER NOT NULL,
    node        TEXT NOT NULL,
    keeper      TEXT NOT NULL,     -- which process ran it; empty for sleeps
    started     INTEGER NOT NULL,  -- 0 if unknown
    ended       INTEGER NOT NULL,  -- 0 while it runs
    cause       TEXT NOT NULL,     -- why it was lost; empty if it was not
    counted     INTEGER NOT NULL,  -- whether it counts as a crash against its job
    PRIMARY KEY (job, incarnation, serial)
) WITHOUT ROWID;

-- Sleeps that run here, for whatever origin.
CREATE TABLE deadline (
    id          INTEGER PRIMARY KEY,  -- of no meaning: rows are deleted by it
    origin      TEXT NOT NULL,
    store       TEXT NOT NULL,        -- the origin's
    incarnation INTEGER NOT NULL,
    serial      INTEGER NOT NULL,
    job         INTEGER NOT NULL,
    boot        TEXT NOT NULL,        -- of this machine
    deadline    REAL NOT NULL,        -- seconds of the boot-time clock
    started     INTEGER NOT NULL,
    ends        INTEGER NOT NULL,
    once        INTEGER NOT NULL      -- whether this row is also the intent of a job that runs once
);

CREATE UNIQUE INDEX deadline_by_offer ON deadline (origin, store, incarnation, serial);
