-- The accounts and moves of one storage node: written by roost's agent only, read by Dovecot's auth workers.
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
    format   TEXT    NOT NULL,
    place    TEXT    NOT NULL,
    peer     TEXT    NOT NULL,
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

-- What this node is to do in moves: the rows of the table "moves", each as JSON.
CREATE TABLE orders (
    move  INTEGER PRIMARY KEY,
    value TEXT    NOT NULL
);

-- The addresses of the storage nodes; a rank of 0 is the one by which a node is called.
CREATE TABLE peer (
    name    TEXT    NOT NULL,
    address TEXT    NOT NULL,
    rank    INTEGER NOT NULL,
    PRIMARY KEY (name, address)
) WITHOUT ROWID;

-- Source of a move: mailboxes that are held or were given away. It is this node's own: no feed writes here.
-- A mailbox is ``held`` until ``until`` (seconds of Unix time) at the ports of the waiting room. ``fenced`` is 1
-- while the mail is in the folder ``<home>.moving`` and the fence is in its place, 0 while they change places.
CREATE TABLE standing (
    move     INTEGER PRIMARY KEY,
    number   INTEGER NOT NULL UNIQUE,
    address  TEXT    NOT NULL,
    home     TEXT    NOT NULL,
    peer     TEXT    NOT NULL,
    stand    TEXT    NOT NULL CHECK (stand IN ('held', 'moved')),
    until    REAL    NOT NULL,
    fenced   INTEGER NOT NULL DEFAULT 0,
    imap     INTEGER NOT NULL,
    pop3     INTEGER NOT NULL,
    lmtp     INTEGER NOT NULL,
    sieve    INTEGER NOT NULL,
    -- the word that who waits is led on with
    ticket   TEXT    NOT NULL DEFAULT '',
    evidence TEXT    NOT NULL DEFAULT ''
);

-- Target of a move: who is let in (0 nobody, 1 whom the source passes on, 2 everyone), and dsync's state for the
-- next pass.
CREATE TABLE incoming (
    move     INTEGER PRIMARY KEY,
    admitted INTEGER NOT NULL DEFAULT 0,
    state    TEXT    NOT NULL DEFAULT ''
);

-- What is taken for a minute instead of a mailbox's password, from the node where somebody was asked for that while the
-- mailbox was held: the SHA-256 of a word, in hexadecimal digits. Both nodes of the move have it.
CREATE TABLE ticket (
    number INTEGER PRIMARY KEY,
    hash   TEXT    NOT NULL,
    until  REAL    NOT NULL
);

-- Seconds of Unix time, in milliseconds, which is what julianday() gives.
CREATE VIEW clock AS SELECT (julianday('now') - 2440587.5) * 86400.0 AS now;

-- What Dovecot asks: one row for each login name. ``stand`` says what becomes of him who comes by it:
--   home      he is served here
--   held      he is led to the waiting room when his password was right, while the deadline is not over
--   moved     he is led to the mailbox's home
--   incoming  a copy is being made: only the mailbox's home may come, once it is let in, until it has given it away
--   between   mail and fence change places, or the agent was killed while they did: nobody
-- ``led`` is 'y' where he is led elsewhere: if there is a ``pass``, he is asked for his password here and led on with that;
-- ``mail`` is where the mail is now; ``ticket`` is the hash of what is taken here in place of the password, '' of nothing.
CREATE VIEW door AS
SELECT *, CASE WHEN stand IN ('held', 'moved') THEN 'y' END AS led,
    CASE WHEN stand IN ('held', 'moved') AND ticket <> '' THEN word END AS pass
FROM (
SELECT login.name, login.rank, account.address, account.hostname, account.password, account.quota, account.login,
    account.deliver, account.format, account.home,
    account.home || CASE WHEN standing.fenced = 1 AND account.place <> 'incoming' THEN '.moving' ELSE '' END AS mail,
    CASE
        WHEN account.place = 'incoming' THEN CASE EXISTS (
            SELECT 1 FROM incoming JOIN orders USING (move)
            WHERE json_extract(orders.value, '$.number') = account.number AND incoming.admitted = 2
        ) WHEN 1 THEN 'home' ELSE 'incoming' END
        WHEN standing.stand = 'moved' OR account.place = 'moved' THEN 'moved'
        WHEN standing.stand IS NULL THEN 'home'
        WHEN standing.until > (SELECT now FROM clock) THEN 'held'
        WHEN standing.fenced = 1 THEN 'home'
        ELSE 'between'
    END AS stand,
    coalesce((SELECT hash FROM ticket WHERE ticket.number = account.number AND ticket.until > (SELECT now FROM clock)), '')
        AS ticket, CASE account.place WHEN 'home' THEN standing.ticket END AS word,
    standing.imap, standing.pop3, standing.lmtp, standing.sieve,
    (SELECT address FROM peer WHERE peer.name = coalesce(standing.peer, account.peer) AND peer.rank = 0) AS peer_address,
    CASE WHEN account.place = 'incoming' AND EXISTS (
        SELECT 1 FROM incoming JOIN orders USING (move)
        WHERE json_extract(orders.value, '$.number') = account.number AND incoming.admitted = 1
    ) THEN account.peer END AS admitted
FROM login
JOIN account ON account.id = login.account
LEFT JOIN standing ON standing.number = account.number
);

-- The revision of each table.
CREATE TABLE position (
    of       TEXT    PRIMARY KEY,
    revision INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO position VALUES ('accounts', 0), ('moves', 0);
