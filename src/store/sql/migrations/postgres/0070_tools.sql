-- The tool of an MCP server whose call caused an event, and the one of a token's last use.

ALTER TABLE keyward_audit ADD COLUMN tool TEXT COLLATE "C";
ALTER TABLE keyward_token_use ADD COLUMN tool TEXT COLLATE "C";

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    70, 'tools', TRUE,
    decode('c29e2ae33cbfd2783ae93012233f36ce516053127553d4051276b720508b8b9dc342843d53c5a131ecbbd460ac5f46b2', 'hex'),
    0
);
