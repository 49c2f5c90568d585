//! The content of a Strapi database, in domain types.

use crate::domain::{
    Action, ConditionClause, Conditions, ContentAccess, Digest, Grant, OwnerState, PasswordHash, Permission, Timestamp,
};
use std::fmt;
use std::time::Duration;

/// Everything that can be imported, at one moment. Lists are ordered by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct StrapiData {
    pub(crate) roles: Vec<StrapiRole>,
    pub(crate) users: Vec<StrapiUser>,
    pub(crate) tokens: Vec<StrapiToken>,
    /// Rows with an unsupported meaning.
    pub(crate) unsupported_rows: Vec<UnsupportedRow>,
}

impl StrapiData {
    /// Returns the rows that allow nothing here, with these conditions.
    pub(super) fn into_unsupported_rows(self, conditions: &Conditions) -> Vec<UnsupportedRow> {
        let mut left = self.unsupported_rows;
        for role in self.roles {
            let of = format!("role {} {:?}", role.id, role.name);
            left.extend(role.unsupported_rows);
            left.extend(
                role.permissions.iter().filter_map(|p| unregistered(&p.scope.action, &p.when, &of, conditions)),
            );
        }
        for token in self.tokens {
            let of = format!("token {} {:?}", token.id, token.name);
            left.extend(token.unsupported_rows);
            if let StrapiAuthority::Admin { grants, .. } = token.authority {
                left.extend(grants.iter().filter_map(|g| unregistered(&g.scope.action, &g.chosen, &of, conditions)));
            }
        }
        left
    }
}

/// Conditions that are not registered never hold.
fn unregistered(action: &Action, when: &ConditionClause, of: &str, conditions: &Conditions) -> Option<UnsupportedRow> {
    let unknown = when.as_slice().iter().find(|id| !conditions.contains(id.as_str()))?;
    let why = format!("its condition {unknown} is not registered, and never holds");
    Some(UnsupportedRow { what: format!("permission {action} of {of}"), why })
}

/// Identifies a row across databases: its document id if it has one, else its id.
pub(crate) type RowKey = String;

/// A role.
#[derive(Clone, Debug)]
pub(crate) struct StrapiRole {
    pub(crate) id: i64,
    pub(crate) key: RowKey,
    pub(crate) name: String,
    pub(crate) description: String,
    /// The super admin role, which Strapi recognises by its code.
    pub(crate) super_admin: bool,
    pub(crate) permissions: Vec<Permission>,
    pub(crate) unsupported_rows: Vec<UnsupportedRow>,
}

/// An admin user.
#[derive(Clone, Debug)]
pub(crate) struct StrapiUser {
    pub(crate) id: i64,
    pub(crate) key: RowKey,
    pub(crate) email: String,
    pub(crate) firstname: String,
    pub(crate) lastname: String,
    pub(crate) username: Option<String>,
    /// A bcrypt hash (`$2a$`, `$2b$`, `$2y$`).
    pub(crate) password: Option<PasswordHash>,
    pub(crate) state: OwnerState,
    /// Ids of Strapi's roles.
    pub(crate) roles: Vec<i64>,
    pub(crate) created_at: Timestamp,
}

/// A token.
#[derive(Clone, Debug)]
pub(crate) struct StrapiToken {
    pub(crate) id: i64,
    pub(crate) key: RowKey,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) digest: Digest,
    /// The secret as Strapi sealed it: `v1:IV:CIPHERTEXT:TAG`.
    pub(crate) sealed: Option<SealedKey>,
    pub(crate) lifespan: Option<Duration>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) authority: StrapiAuthority,
    pub(crate) unsupported_rows: Vec<UnsupportedRow>,
}

/// A secret that Strapi sealed. [`Debug`](fmt::Debug) does not show it.
#[derive(Clone)]
pub(crate) struct SealedKey(pub(crate) String);

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedKey(..)")
    }
}

/// The authority of a token.
#[derive(Clone, Debug)]
pub(crate) enum StrapiAuthority {
    /// An admin token.
    Admin {
        /// The id of Strapi's user; `None` if the user is gone.
        owner: Option<i64>,
        grants: Vec<Grant>,
    },
    /// A content token.
    Content { access: ContentAccess },
}

/// A row of a Strapi database with an unsupported meaning. It allows nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnsupportedRow {
    /// The row: `permission 12 (plugin::upload.read) of role "Editor"`.
    pub what: String,
    /// The reason: `it is for some locales only`.
    pub why: String,
}

impl fmt::Display for UnsupportedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}
