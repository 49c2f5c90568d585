-- Owners that are accounts of the host, by the host's key. Their e-mail address is only shown, so `email_key` is another text.

ALTER TABLE keyward_owner ADD COLUMN account TEXT;

ALTER TABLE keyward_owner ADD COLUMN kind TEXT NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'service', 'organisation'));

CREATE UNIQUE INDEX keyward_owner_account ON keyward_owner (account) WHERE account IS NOT NULL;

-- Accounts that the host reports by SQL, from a trigger for example. A process reads them, and clamps their tokens.
CREATE TABLE keyward_account_change (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- A BLOB, as drivers write a UUID, equals no account: the statement that reports it fails.
    account TEXT NOT NULL CONSTRAINT account_is_text CHECK (typeof(account) = 'text')
);

-- Logs the change in the host's own transaction. The tag of an owner is 2^62 and its id.
CREATE TRIGGER keyward_account_reported AFTER INSERT ON keyward_account_change
WHEN EXISTS (SELECT 1 FROM keyward_owner WHERE account = NEW.account)
BEGIN
    UPDATE keyward_epoch SET seq = seq + 1;
    INSERT INTO keyward_change (seq, op_id, at, tags)
    SELECT x.seq, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER),
        '[' || (4611686018427387904 + o.id) || ']'
    FROM keyward_epoch x, keyward_owner o WHERE o.account = NEW.account;
END;

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    50, 'accounts', TRUE,
    x'72f1bdd62555c7f3b7635e40ff0abea9c500d0668ab9049f72fe64e015d38138a4d73545d769c2fe26260a8cb27a0b1c',
    0
);
