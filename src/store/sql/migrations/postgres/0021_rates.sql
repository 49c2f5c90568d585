-- How often an actor has done something to a target is judged by the latest events about it, with the writers' lock held.

DROP INDEX keyward_audit_target;

CREATE INDEX keyward_audit_target ON keyward_audit (target_kind, target_id, at);
