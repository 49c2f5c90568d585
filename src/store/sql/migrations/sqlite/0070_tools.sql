-- The tool of an MCP server whose call caused an event, and the one of a token's last use.

ALTER TABLE keyward_audit ADD COLUMN tool TEXT;
ALTER TABLE keyward_token_use ADD COLUMN tool TEXT;

-- Records this migration. The program does the same by itself, by its own means.
INSERT INTO keyward_migrations (version, description, success, checksum, execution_time) VALUES (
    70, 'tools', TRUE,
    x'35bbebb6498c230fdcaf4bb402d3c5dcf02e4d90b33793cff02f411cfbe9deae9446cd88311ac09dd3b61a38c0ea6428',
    0
);
