//! The rules, pure: no async, no HTTP, no SQL. Everything else in the crate may use this module,
//! and it uses nothing of the crate but itself.

mod admitted;
mod audit;
mod catalogue;
mod ceiling;
mod ceiling_index;
mod clock;
mod condition;
mod coverage;
#[cfg(any(feature = "api", feature = "strapi", feature = "ui"))]
pub(crate) mod date;
mod decision;
mod digest;
mod field_path;
mod hash_key;
mod host;
mod id;
mod key_check;
mod log_limit;
mod name;
mod owner;
mod permission;
mod principal;
mod rejection;
mod rename;
mod requirement;
mod seal;
mod secret;
mod sketch;
mod sql;
#[cfg(feature = "strapi")]
mod strapi_crypto;
mod tag;
mod text;
mod token;
mod version;

pub(crate) use admitted::Admission;
pub use admitted::AdmittedActor;
pub use audit::{Actor, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, AuditTargetKind};
pub(crate) use catalogue::Unregistered;
pub use catalogue::{ActionEntry, Catalogue, ResourceEntry, ResourceKind, Section};
pub use ceiling::{BeyondCeiling, Ceiling, Excess};
pub(crate) use ceiling_index::CeilingIndex;
pub use clock::{Clock, MonotonicTime, SystemClock, Timestamp};
pub use condition::{Attribute, ConditionContext, Conditions, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, Predicate, Value};
pub(crate) use coverage::Holdings;
pub use decision::{Decision, DecisionRule, Denied, HiddenField, Verdict};
pub(crate) use digest::DigestHasher;
pub use digest::{Digest, MalformedDigest};
pub use field_path::{FieldName, FieldPath, PathSegment};
pub use hash_key::{HashKey, HashKeyId, HashKeyRing, InvalidHashKey, StrapiHashKey};
pub(crate) use host::is_loopback_host;
#[cfg(any(feature = "api", feature = "ui"))]
pub(crate) use id::parse_id;
pub use id::{MalformedId, OwnerId, RoleId, TokenId};
pub(crate) use key_check::ConfiguredKeys;
pub use key_check::{KeyCheck, KeyKind, KeyMismatch, KeyUse};
pub(crate) use log_limit::LogLimit;
pub use name::{Action, ConditionId, ConditionSet, EmptySet, Field, FieldSet, Resource};
pub use owner::{Owner, OwnerState, PasswordHash, Role};
pub(crate) use permission::same_in_any_order;
pub use permission::{ConditionClause, ConditionExpr, EffectivePermission, Fields, Grant, Permission, Scope};
pub use principal::{Authority, Principal};
pub use rejection::{Ambiguity, InvalidCredential, Reason, Unavailable};
pub use rename::Rename;
pub use requirement::{Requirement, action, all_of, any_of, authenticated};
pub use seal::{EncryptionKeys, InvalidEncryptionKey, SealedSecret, Unsealable};
pub use secret::{
    Entropy, InvalidTokenPrefix, Issued, NoEntropy, OsEntropy, Secret, SecretFormat, TokenPrefix, VerifiedSecret,
    VerifyError,
};
pub(crate) use sketch::{Sketch, Windows, network};
pub use sql::{SqlFilter, SqlMap, UnknownColumn};
#[cfg(feature = "strapi")]
pub use strapi_crypto::StrapiEncryptionKey;
#[cfg(feature = "strapi")]
pub(crate) use strapi_crypto::Unopened;
#[cfg(all(feature = "strapi", test))]
pub(crate) use strapi_crypto::seal_as_the_reference;
pub use tag::Tag;
pub use text::comparable;
pub(crate) use text::{Extra, composed, hidden};
#[cfg(feature = "strapi")]
pub(crate) use text::{is_hidden, without_hidden};
pub use token::{ContentAccess, Token, TokenAuthority, TokenKind, TokenKinds};
pub use version::{MalformedVersion, Version};
