-- Which installation these tables belong to. A node that meets another one, in the same place, answers 503: what it does not find
-- there says nothing about its tokens. A copy or a restored backup is the same installation.
ALTER TABLE keyward_epoch ADD COLUMN installation TEXT COLLATE "C" NOT NULL DEFAULT gen_random_uuid()::TEXT;

-- Changes by hand count from any session: whatever its search_path is, and whatever else its role may not do. Migrations run with
-- the schema of the tables as search_path, followed by pg_temp: a temporary table never takes the place of one of ours.
ALTER FUNCTION keyward_drop_grant_fields() SECURITY DEFINER SET search_path FROM CURRENT;
ALTER FUNCTION keyward_log_by_hand() SECURITY DEFINER SET search_path FROM CURRENT;

-- A trigger needs no right to run its function. Only who makes a trigger does.
REVOKE ALL ON FUNCTION keyward_drop_grant_fields() FROM PUBLIC;
REVOKE ALL ON FUNCTION keyward_log_by_hand() FROM PUBLIC;

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    10, 'installation', TRUE,
    decode('2fca2fd526def7726b78f03238340892532b1f3e7583e71b81c879d2e939206cc5522ece06773d2eb84663d1f57ecca0', 'hex'),
    0
);
