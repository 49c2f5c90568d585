//! Administration: the services that read and change owners, roles, sessions, tokens and the audit log.
//!
//! Every rule lives here or in the domain. A change is one transaction. Once it is committed, it invalidates the guard's cache of this
//! process, and only then the call returns. It runs in a task of its own: a client that disconnects does not stop it half-way.
//!
//! A service works for the host program, until it is given another actor: `keyward.tokens().acting_as(auth.actor())`. It enforces the rules
//! of that actor; whether the actor may call it at all is the requirement of the route.

mod account_clamps;
mod account_policy;
mod accounts;
mod actor;
mod audit_details;
mod audit_follow;
mod audit_log;
mod audit_visibility;
#[cfg(feature = "people")]
mod bcrypt_hash;
mod catalogue_renames;
mod change_rate;
mod context;
mod error;
mod explain;
#[cfg(feature = "people")]
mod failed_sign_ins;
#[cfg(feature = "people")]
mod hash_memory;
#[cfg(feature = "strapi")]
pub(crate) mod import;
mod incidents;
#[cfg(feature = "people")]
mod invitations;
mod key_report;
#[cfg(feature = "people")]
mod known_networks;
mod metadata;
mod notices;
#[cfg(feature = "people")]
mod own_account;
mod owner_update;
mod owners;
#[cfg(feature = "people")]
mod password;
#[cfg(feature = "people")]
mod password_queue;
mod policy;
mod preview;
mod profile;
#[cfg(feature = "people")]
mod registration;
mod roles;
#[cfg(feature = "secret-scanning")]
mod scanning_keys;
#[cfg(feature = "secret-scanning")]
mod secret_scanning;
#[cfg(feature = "people")]
mod sessions;
mod set_up;
#[cfg(feature = "people")]
mod sign_in_state;
mod size_limits;
mod state;
mod text_fields;
#[cfg(feature = "people")]
mod throttle;
mod token_rules;
mod tokens;
#[cfg_attr(not(feature = "people"), allow(dead_code, reason = "people sign in and register by the other methods"))]
mod unit_of_work;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use accounts::AccountReportsWithin;
pub use accounts::{AccountReports, Sweep, SweepProgress};
pub use audit_follow::{Cursor, EventToken, Follow, FollowError, LifecycleChange, LifecycleEvent, MalformedCursor};
pub use audit_log::AuditLog;
#[cfg(any(feature = "api", feature = "ui"))]
pub(crate) use error::capitalize;
pub use error::{FieldError, ServiceError};
pub use explain::Explain;
#[cfg(feature = "people")]
pub use invitations::Invitation;
pub use key_report::KeyReport;
pub use notices::Notices;
pub use owners::{OwnerUpdate, Owners};
#[cfg(feature = "people")]
pub use password::Password;
pub use policy::{Durations, Lifespan, Policy, TokenNames};
pub use roles::{RoleUpdate, Roles};
#[cfg(feature = "secret-scanning")]
pub use scanning_keys::InvalidScanningKey;
#[cfg(feature = "secret-scanning")]
pub(crate) use scanning_keys::{NoKey, is_signed, parse_signature};
#[cfg(feature = "secret-scanning")]
pub(crate) use secret_scanning::LeakReport;
#[cfg(feature = "secret-scanning")]
pub use secret_scanning::SecretScanning;
#[cfg(feature = "people")]
pub use sessions::{FirstAdmin, ProfileUpdate, Registration, Sessions, SignedIn};
pub use set_up::SetUp;
#[cfg(feature = "api")]
pub(crate) use size_limits::{ACTIONS, CONDITIONS, FIELDS, GRANTS, PERMISSIONS, ROLES};
pub use token_rules::{InvalidNamePattern, TokenRules, Violation};
#[cfg(feature = "api")]
pub(crate) use tokens::NETWORKS;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use tokens::TokensWithin;
pub use tokens::{
    Confirmation, DescribedToken, ExpectedTokens, IssuedToken, MalformedConfirmation, NewAdminToken, NewAdoptedToken,
    NewChildToken, NewContentToken, NewSession, RevocationPreview, TokenOwner, TokenUpdate, TokenViolations, Tokens,
};
#[cfg(feature = "reveal")]
pub use tokens::{SecretAccess, TokenWithSecret};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use unit_of_work::StagedChange;

pub use crate::domain::{
    Actor, AdmittedActor, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, AuditTargetKind, FieldName,
    FieldPath, KeyMismatch, MalformedVersion, Owner, OwnerState, PathSegment, Role, RoleId, Version,
};
#[doc(no_inline)]
pub use crate::domain::{ContentAccess, Grant, OwnerId, Permission, Secret, Token, TokenId, TokenKind};
pub use crate::domain::{
    ExplainedAction, ExplainedGrant, ExplainedOutcome, ExplainedPermission, ExplainedStep, ExplainedToken, Explanation,
    StepName, StepOutcome,
};
pub use crate::store::{
    Clamped, EventQuery, Filter, FilterTest, NewOwner, NewRole, OwnerField, OwnerQuery, OwnerSort, Page, Paging,
    TokenField, TokenQuery, TokenSort,
};

pub(crate) use state::{AdminState, Settings};

use crate::keyward::Keyward;
use context::ServiceContext;

impl Keyward {
    /// Returns the owners service.
    pub fn owners(&self) -> Owners {
        Owners(self.context())
    }

    /// Returns the roles service.
    pub fn roles(&self) -> Roles {
        Roles(self.context())
    }

    /// Returns the sessions service.
    #[cfg(feature = "people")]
    pub fn sessions(&self) -> Sessions {
        Sessions(self.context())
    }

    /// Returns the tokens service.
    pub fn tokens(&self) -> Tokens {
        Tokens::new(self.context())
    }

    /// Returns the explain service.
    pub fn explain(&self) -> Explain {
        Explain::new(self.clone(), self.context())
    }

    /// Returns the service by which the host reports changes of its accounts. See [`Builder::accounts`](crate::Builder::accounts).
    pub fn accounts(&self) -> AccountReports {
        AccountReports(self.context())
    }

    /// Returns the audit log service.
    pub fn audit(&self) -> AuditLog {
        AuditLog(self.context())
    }

    /// Starts the clamps of the host's accounts, if it has any, opens sessions for those that it signs in, and records incidents.
    pub(crate) fn serve_accounts(self) -> Self {
        if let Some(shrunk) = self.admin_state().take_shrunk() {
            self.context().clamp_behind(shrunk);
        }
        let context = self.context();
        self.open_sessions_by(move |key| Box::pin(context.clone().open_account_session(key)));
        self.context().record_incidents();
        self
    }

    fn context(&self) -> ServiceContext {
        ServiceContext::new(self.store().clone(), self.admin_state().clone())
    }
}
