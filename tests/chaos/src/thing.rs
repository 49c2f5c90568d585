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
    /// A token of the super admin who makes the changes.
    Own { id: i64, target: Target, granted: bool },
    /// Another person, with tokens.
    Person { id: i64, targets: Vec<Target>, active: bool },
    /// A role, with tokens of its members.
    Role { id: i64, targets: Vec<Target> },
}

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Switch { active: bool },
    Grant { granted: bool },
    Revoke,
    Regenerate,
    Shrink,
}

impl Thing {
    pub(crate) fn targets(&self) -> &[Target] {
        match self {
            Self::Own { target, .. } => std::slice::from_ref(target),
            Self::Person { targets, .. } | Self::Role { targets, .. } => targets,
        }
    }

    pub(crate) fn tokens(&self) -> Vec<TokenId> {
        self.targets().iter().map(|target| target.token).collect()
    }

    pub(crate) fn id(&self) -> i64 {
        match self {
            Self::Own { id, .. } | Self::Person { id, .. } | Self::Role { id, .. } => *id,
        }
    }
}

impl Deed {
    pub(crate) fn request(&self, thing: &Thing) -> (Method, String, Value) {
        let id = thing.id();
        let token = format!("/admin/admin-tokens/{id}");
        match self {
            Self::Switch { active } => (Method::PUT, format!("/admin/users/{id}"), json!({"isActive": active})),
            Self::Shrink => (Method::PUT, format!("/admin/roles/{id}/permissions"), json!({"permissions": []})),
            Self::Grant { granted: true } => (Method::PUT, token, json!({"adminPermissions": [{"action": READ}]})),
            Self::Grant { granted: false } => (Method::PUT, token, json!({"adminPermissions": []})),
            Self::Revoke => (Method::DELETE, token, Value::Null),
            Self::Regenerate => (Method::POST, format!("{token}/regenerate"), Value::Null),
        }
    }

    /// Returns the record after the change; `None` if nothing is left to change.
    pub(crate) fn done(&self, thing: Thing, new_key: Option<Target>) -> Option<Thing> {
        match (self, thing) {
            (Self::Switch { active }, Thing::Person { id, targets, .. }) => {
                Some(Thing::Person { id, targets, active: *active })
            }
            (Self::Grant { granted }, Thing::Own { id, target, .. }) => {
                Some(Thing::Own { id, target, granted: *granted })
            }
            (Self::Regenerate, Thing::Own { id, granted, .. }) => {
                new_key.map(|target| Thing::Own { id, target, granted })
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
            Self::Grant { .. } => "SELECT EXISTS (SELECT 1 FROM public.keyward_grant WHERE token_id = $1)",
            Self::Revoke => "SELECT EXISTS (SELECT 1 FROM public.keyward_token WHERE id = $1)",
            Self::Regenerate => "SELECT EXISTS (SELECT 1 FROM public.keyward_token WHERE id = $1 AND hint = $2)",
        };
        let mut query = sqlx::query_scalar(there).bind(thing.id());
        if let (Self::Regenerate, Thing::Own { target, .. }) = (self, thing) {
            query = query.bind(target.secret[target.secret.len() - 4..].to_owned());
        }
        let there: bool = query.fetch_one(connection).await?;
        Ok(match self {
            Self::Switch { active } => there == *active,
            Self::Grant { granted } => there == *granted,
            Self::Shrink | Self::Revoke | Self::Regenerate => !there,
        })
    }
}
