-- How often an actor has made a change of one sort is judged by the actor's latest events of that sort, with the writers' lock held.

CREATE INDEX keyward_audit_doer ON keyward_audit (doer_kind, doer_id, what, at);

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    21, 'rates', TRUE,
    x'f6b5649512ae0607d84581bb3f3d0d386abe91396d6487611e2619bb25d5505ebc49e3192c269ad3e677b3a147609b1e',
    0
);
