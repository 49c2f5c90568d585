-- Notices about tokens, which one node at a time makes, and up to where audit events were deleted.

-- One row: the highest id of an event that was deleted. A reader that had not come so far has missed events.
CREATE TABLE keyward_audit_deleted (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_id BIGINT NOT NULL
);

INSERT INTO keyward_audit_deleted (id, last_id) SELECT 1, COALESCE(MIN(id) - 1, 0) FROM keyward_audit;

-- Which node does a job, until when by the store's clock.
CREATE TABLE keyward_lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    ends_at BIGINT NOT NULL,
    begun_at BIGINT NOT NULL, -- when the job was first done here
    complete_at BIGINT -- all that was due at this time is done
);

-- The notices that were made, each once for ever.
CREATE TABLE keyward_notice (
    token_id BIGINT NOT NULL REFERENCES keyward_token (id) ON DELETE CASCADE,
    reason TEXT NOT NULL CHECK (reason IN ('expiring', 'idle', 'unused')),
    mark BIGINT NOT NULL, -- the expiry or the last use
    step BIGINT NOT NULL, -- how long before the expiry, in milliseconds
    PRIMARY KEY (token_id, reason, mark, step)
);

CREATE INDEX keyward_token_expires ON keyward_token (expires_at) WHERE kind <> 'session' AND expires_at IS NOT NULL;

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    90, 'notices', TRUE,
    x'5119758988cac7a7387f494e9f20688a64f59278cc556d4de326ee5db83c0cb70c1fe5d56dd22513c7e13db55d9f00c0',
    0
);
