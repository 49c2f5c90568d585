-- How often an actor has made a change of one sort is judged by the actor's latest events of that sort, with the writers' lock held.

CREATE INDEX keyward_audit_doer ON keyward_audit (doer_kind, doer_id, what, at);
