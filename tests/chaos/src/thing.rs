//! The records that are changed, and their changes.

use crate::BoxError;
use crate::history::TokenId;
use crate::node::READ;
use http::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) token: TokenId,
    pub(crate) secret: Arc<str>,
}

/// A record to change.
#[derive(Clone, Debug)]
pub(crate) enum Thing {
    /// A token of the super admin who makes the changes, by its present secret, and by the former one in its grace period; and in
    /// which way it was turned off, if it was.
    Own { id: i64, targets: Vec<Target>, off: Option<Switch> },
    /// Another person, with tokens.
    Person { id: i64, targets: Vec<Target>, active: bool },
    /// A role, with tokens of its members.
    Role { id: i64, targets: Vec<Target> },
}

/// A way to turn a token off, and on again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Switch {
    Grants,
    Enabled,
    /// By a network in which no client is.
    Networks,
}

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Switch {
        active: bool,
    },
    Turn {
        switch: Switch,
        on: bool,
    },
    Revoke,
    Regenerate,
    /// Regenerates with a grace period that outlives the run.
    Rotate,
    EndGrace,
    Shrink,
}

impl Thing {
    pub(crate) fn targets(&self) -> &[Target] {
        match self {
            Self::Own { targets, .. } | Self::Person { targets, .. } | Self::Role { targets, .. } => targets,
        }
    }

    pub(crate) fn tokens(&self) -> Vec<TokenId> {
        tokens_of(self.targets())
    }

    pub(crate) fn id(&self) -> i64 {
        match self {
            Self::Own { id, .. } | Self::Person { id, .. } | Self::Role { id, .. } => *id,
        }
    }
}

/// Returns the tokens of targets.
pub(crate) fn tokens_of(targets: &[Target]) -> Vec<TokenId> {
    targets.iter().map(|target| target.token).collect()
}

impl Deed {
    /// Returns the targets that pass or fail because of this change.
    pub(crate) fn affected<'t>(&self, thing: &'t Thing) -> &'t [Target] {
        match self {
            // The secret before the present one ends; the present one becomes the former one.
            Self::Rotate | Self::EndGrace => thing.targets().get(1..).unwrap_or_default(),
            _ => thing.targets(),
        }
    }

    pub(crate) fn request(&self, thing: &Thing) -> (Method, String, Value) {
        let id = thing.id();
        let token = format!("/admin/admin-tokens/{id}");
        match self {
            Self::Switch { active } => (Method::PUT, format!("/admin/users/{id}"), json!({"isActive": active})),
            Self::Shrink => (Method::PUT, format!("/admin/roles/{id}/permissions"), json!({"permissions": []})),
            Self::Turn { switch, on } => {
                let body = match (switch, on) {
                    (Switch::Grants, true) => json!({"adminPermissions": [{"action": READ}]}),
                    (Switch::Grants, false) => json!({"adminPermissions": []}),
                    (Switch::Enabled, on) => json!({"enabled": on}),
                    (Switch::Networks, true) => json!({"networks": []}),
                    (Switch::Networks, false) => json!({"networks": ["192.0.2.0/24"]}),
                };
                (Method::PUT, token, body)
            }
            Self::Revoke => (Method::DELETE, token, Value::Null),
            Self::Regenerate => (Method::POST, format!("{token}/regenerate"), Value::Null),
            Self::Rotate => (Method::POST, format!("{token}/regenerate"), json!({"gracePeriod": 86_400_000})),
            Self::EndGrace => (Method::POST, format!("{token}/end-grace"), Value::Null),
        }
    }

    /// Returns the record after the change; `None` if nothing is left to change.
    pub(crate) fn done(&self, thing: Thing, new_key: Option<Target>) -> Option<Thing> {
        match (self, thing) {
            (Self::Switch { active }, Thing::Person { id, targets, .. }) => {
                Some(Thing::Person { id, targets, active: *active })
            }
            (Self::Turn { switch, on }, Thing::Own { id, targets, .. }) => {
                Some(Thing::Own { id, targets, off: (!on).then_some(*switch) })
            }
            (Self::Regenerate, Thing::Own { id, off, .. }) => {
                new_key.map(|target| Thing::Own { id, targets: vec![target], off })
            }
            (Self::Rotate, Thing::Own { id, targets, off }) => {
                let former = targets.into_iter().next();
                new_key.map(|target| Thing::Own { id, targets: std::iter::once(target).chain(former).collect(), off })
            }
            (Self::EndGrace, Thing::Own { id, targets, off }) => {
                Some(Thing::Own { id, targets: targets.into_iter().take(1).collect(), off })
            }
            _ => None,
        }
    }

    /// Returns whether the store has the result of this change.
    pub(crate) async fn happened(&self, thing: &Thing, connection: &mut PgConnection) -> Result<bool, BoxError> {
        let there = match self {
            Self::Switch { .. } => {
                "SELECT EXISTS (SELECT 1 FROM public.keyward_owner WHERE id = $1 AND state = 'active')"
            }
            Self::Shrink => "SELECT EXISTS (SELECT 1 FROM public.keyward_role_permission WHERE role_id = $1)",
            Self::Turn { switch: Switch::Grants, .. } => {
                "SELECT EXISTS (SELECT 1 FROM public.keyward_grant WHERE token_id = $1)"
            }
            Self::Turn { switch: Switch::Enabled, .. } => {
                "SELECT EXISTS (SELECT 1 FROM public.keyward_token WHERE id = $1 AND enabled)"
            }
            Self::Turn { switch: Switch::Networks, .. } => {
                "SELECT EXISTS (SELECT 1 FROM public.keyward_token WHERE id = $1 AND networks IS NULL)"
            }
            Self::EndGrace => {
                "SELECT EXISTS (SELECT 1 FROM public.keyward_previous_secret WHERE token_id = $1 \
                 AND ends_at > EXTRACT(EPOCH FROM clock_timestamp()) * 1000)"
            }
            Self::Revoke => "SELECT EXISTS (SELECT 1 FROM public.keyward_token WHERE id = $1)",
            Self::Regenerate | Self::Rotate => {
                "SELECT EXISTS (SELECT 1 FROM public.keyward_token WHERE id = $1 AND hint = $2)"
            }
        };
        let mut query = sqlx::query_scalar(there).bind(thing.id());
        if let (Self::Regenerate | Self::Rotate, [target, ..]) = (self, thing.targets()) {
            query = query.bind(target.secret[target.secret.len() - 4..].to_owned());
        }
        let there: bool = query.fetch_one(connection).await?;
        Ok(match self {
            Self::Switch { active } => there == *active,
            Self::Turn { on, .. } => there == *on,
            Self::Shrink | Self::Revoke | Self::Regenerate | Self::Rotate | Self::EndGrace => !there,
        })
    }
}
