-- The accounts of one storage node: written by roost's agent only, read by Dovecot's auth workers.
-- A change here needs a new number in database.py (VERSION): a file of another version is set aside and rebuilt.

CREATE TABLE account (
    -- Never used twice: login names that a hand left behind must not become somebody else's.
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    address  TEXT    NOT NULL UNIQUE,
    number   INTEGER NOT NULL,
    hostname TEXT    NOT NULL,
    target   TEXT    NOT NULL,
    password TEXT    NOT NULL,
    quota    INTEGER NOT NULL,
    login    INTEGER NOT NULL,
    deliver  INTEGER NOT NULL,
    -- <domain>/<label>.<number>, below the folder of all mail
    home     TEXT GENERATED ALWAYS AS (
        substr(address, instr(address, '@') + 1) || '/'
        || substr(hostname, 1, instr(hostname, '.') - 1) || '.' || number
    ) VIRTUAL
);
CREATE INDEX account_number ON account (number);

-- Every name by which somebody may log in or be delivered to. Rank 0 is the address itself: it wins where
-- another account's personal name is written alike.
CREATE TABLE login (
    name    TEXT    NOT NULL,
    account INTEGER NOT NULL,
    rank    INTEGER NOT NULL,
    PRIMARY KEY (name, account)
) WITHOUT ROWID;
CREATE INDEX login_account ON login (account);

-- Accounts that are gone while their mail is still kept; ``since`` in seconds of Unix time.
CREATE TABLE departed (
    number INTEGER PRIMARY KEY,
    home   TEXT    NOT NULL,
    since  INTEGER NOT NULL
);

-- What the running Dovecot has yet to be told: login names to forget, and users (address) whose sessions end.
-- ``told`` is when it was told once, in seconds of Unix time; 0 is not yet.
CREATE TABLE unsettled (
    name TEXT    PRIMARY KEY,
    kick INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE position (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL
);
INSERT INTO position VALUES (1, 0);
