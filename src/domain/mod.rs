//! The rules of keyward, pure: no async, no HTTP, no database access. Decisions are rendered as SQL text, which hosts
//! run.
//!
//! The rest of the crate may use this module; it uses no other module of the crate.

mod account;
mod admitted;
mod audit;
mod catalogue;
mod ceiling;
mod ceiling_index;
mod clock;
mod condition;
mod coverage;
pub(crate) mod date;
mod decision;
mod digest;
mod explanation;
mod field_path;
mod hash_key;
#[cfg(feature = "people")]
mod host;
mod id;
mod key_check;
mod legacy;
mod limits;
mod log_limit;
mod metadata;
mod name;
mod owner;
mod permission;
#[cfg(any(feature = "api", feature = "mcp"))]
mod permission_list;
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

pub(crate) use account::account_digest;
pub use account::{Account, AccountKey, AccountKind, InvalidAccountKey};
pub(crate) use admitted::Admission;
pub use admitted::AdmittedActor;
pub use audit::{Actor, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, AuditTargetKind};
pub(crate) use catalogue::Unregistered;
pub use catalogue::{ActionEntry, Catalogue, ResourceEntry, ResourceKind, Section};
pub use ceiling::{BeyondCeiling, Ceiling, CeilingPolicy, Excess};
pub(crate) use ceiling_index::CeilingIndex;
pub use clock::{Clock, MonotonicTime, SystemClock, Timestamp};
pub use condition::{Attribute, ConditionContext, Conditions, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, Predicate, Value};
pub(crate) use coverage::Holdings;
pub use decision::{Decision, DecisionRule, Denied, HiddenField, Verdict};
pub(crate) use digest::DigestHasher;
pub use digest::{Digest, MalformedDigest};
pub use explanation::{
    ExplainedAction, ExplainedGrant, ExplainedOutcome, ExplainedPermission, ExplainedStep, ExplainedToken, Explanation,
    StepName, StepOutcome,
};
pub(crate) use explanation::{Holder, Question, QuestionCredential};
pub use field_path::{FieldName, FieldPath, PathSegment};
pub use hash_key::{HashKey, HashKeyId, HashKeyRing, InvalidHashKey, StrapiHashKey};
#[cfg(feature = "people")]
pub(crate) use host::is_loopback_host;
#[cfg(any(feature = "api", feature = "ui"))]
pub(crate) use id::parse_id;
pub use id::{MalformedId, OwnerId, RoleId, TokenId};
pub(crate) use key_check::ConfiguredKeys;
pub use key_check::{KeyCheck, KeyKind, KeyMismatch, KeyUse};
pub(crate) use legacy::LegacyHash;
pub use legacy::{InvalidLegacyFormat, LegacyCharacters, LegacyDigest, LegacyFormat};
pub use limits::{InvalidNetwork, InvalidRateLimit, Network, RateLimit, TokenLimits};
pub(crate) use log_limit::LogLimit;
pub use metadata::Metadata;
pub use name::{Action, ConditionId, ConditionSet, EmptySet, Field, FieldSet, Resource};
pub(crate) use owner::email_key;
pub use owner::{Owner, OwnerState, PasswordHash, Role};
pub(crate) use permission::same_in_any_order;
pub use permission::{ConditionClause, ConditionExpr, EffectivePermission, Fields, Grant, Permission, Scope};
#[cfg(feature = "api")]
pub(crate) use permission_list::PermissionList;
pub use principal::{Authority, Principal};
pub use rejection::{Ambiguity, InvalidCredential, RateExceeded, Reason, Unavailable};
pub use rename::Rename;
pub use requirement::{Requirement, action, all_of, any_of, authenticated};
#[cfg(not(feature = "reveal"))]
pub(crate) use seal::EncryptionKeys;
#[cfg(feature = "reveal")]
pub use seal::{EncryptionKeys, InvalidEncryptionKey};
pub use seal::{SealedSecret, Unsealable};
pub(crate) use secret::LONGEST;
pub use secret::{Entropy, InvalidTokenPrefix, NoEntropy, OsEntropy, Secret, TokenPrefix};
#[cfg_attr(not(feature = "testing"), allow(unreachable_pub, reason = "the feature exports them"))]
pub use secret::{NewSecret, SecretFormat, VerifiedSecret, VerifyError};
#[cfg(feature = "people")]
pub(crate) use sketch::CellWindows;
pub(crate) use sketch::{Sketch, network};
pub use sql::{SqlFilter, SqlMap, UnknownColumn};
#[cfg(feature = "strapi")]
pub use strapi_crypto::StrapiEncryptionKey;
#[cfg(feature = "strapi")]
pub(crate) use strapi_crypto::UnsealError;
#[cfg(all(feature = "strapi", test))]
pub(crate) use strapi_crypto::seal_like_strapi;
pub use tag::Tag;
pub use text::comparable;
pub(crate) use text::{AllowedHidden, compose, find_hidden};
#[cfg(feature = "strapi")]
pub(crate) use text::{is_hidden, without_hidden};
#[cfg_attr(not(feature = "testing"), allow(unreachable_pub, reason = "the feature exports it"))]
pub use token::TokenKinds;
pub use token::{Ancestor, ContentAccess, LastUse, PreviousSecret, Token, TokenAuthority, TokenKind, TokenSecret};
pub use version::{MalformedVersion, Version};
