-- Owners that are accounts of the host, by the host's key. Their e-mail address is only shown, so `email_key` is another text.

ALTER TABLE keyward_owner ADD COLUMN account TEXT COLLATE "C";

CREATE UNIQUE INDEX keyward_owner_account ON keyward_owner (account) WHERE account IS NOT NULL;

-- Accounts that the host reports by SQL, from a trigger for example. A node reads them, and clamps their tokens.
CREATE TABLE keyward_account_change (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL
);

-- Logs the change in the host's own transaction. The tag of an owner is 2^62 and its id.
CREATE FUNCTION keyward_log_account() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    owner BIGINT;
    next BIGINT;
BEGIN
    -- First the lock of writers: an owner that another transaction adds is seen here, or the host is asked for it after
    -- this commit.
    PERFORM 1 FROM keyward_epoch WHERE id = 1 FOR UPDATE;
    SELECT o.id INTO owner FROM keyward_owner o WHERE o.account = NEW.account;
    IF owner IS NULL THEN
        RETURN NULL;
    END IF;
    UPDATE keyward_epoch SET seq = seq + 1 WHERE id = 1 RETURNING seq INTO next;
    INSERT INTO keyward_change (seq, op_id, at, tags) VALUES (
        next, gen_random_uuid()::TEXT, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT),
        '[' || (4611686018427387904 + owner) || ']'
    );
    RETURN NULL;
END $$;

CREATE TRIGGER keyward_account_reported AFTER INSERT ON keyward_account_change
    FOR EACH ROW EXECUTE FUNCTION keyward_log_account();

-- Reports that an account of the host has changed.
CREATE FUNCTION keyward_account_changed(account TEXT) RETURNS VOID LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO keyward_account_change (account) VALUES ($1);
$$;

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    50, 'accounts', TRUE,
    decode('6c4756ef8cc280ceaef8557cfdd1b44d56af180f14dd7cf5c39e16734182536641b3294f622d9a6aa582babedcbfec7a', 'hex'),
    0
);
