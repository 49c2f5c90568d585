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
mod host;
mod id;
mod key_check;
mod log_limit;
mod name;
mod owner;
mod permission;
mod principal;
mod refusal;
mod rename;
mod requirement;
mod salt;
mod seal;
mod secret;
mod sketch;
mod sql;
mod tag;
mod text;
mod token;
#[cfg(feature = "strapi")]
mod unseal;
mod version;

pub(crate) use admitted::Admission;
pub use admitted::AdmittedActor;
pub use audit::{AuditEvent, Cause, Doer, Origin, Target, TargetKind, What};
pub(crate) use catalogue::Unregistered;
pub use catalogue::{ActionEntry, Catalogue, Section, SubjectEntry, SubjectKind};
pub use ceiling::{BeyondCeiling, Ceiling, Excess};
pub(crate) use ceiling_index::CeilingIndex;
pub use clock::{Clock, Moment, SystemClock, Timestamp};
pub use condition::{Actor, Attribute, Conditions, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, Predicate, Value};
pub(crate) use coverage::Holdings;
pub use decision::{Decision, DecisionRule, Denied, HiddenField, Verdict};
pub(crate) use digest::DigestHasher;
pub use digest::{Digest, MalformedDigest};
pub(crate) use host::is_loopback_host;
#[cfg(any(feature = "api", feature = "ui"))]
pub(crate) use id::parse_id;
pub use id::{MalformedId, OwnerId, RoleId, TokenId};
pub(crate) use key_check::ConfiguredKeys;
pub use key_check::{KeyCheck, KeyKind, KeyMismatch, KeyUse};
pub(crate) use log_limit::LogLimit;
pub use name::{Action, ConditionId, ConditionSet, EmptySet, Field, FieldSet, Subject};
pub use owner::{Owner, OwnerState, PasswordHash, Role};
pub(crate) use permission::same_in_any_order;
pub use permission::{Fields, Grant, Guard, Permission, Rule, When};
pub use principal::{Authority, Principal};
pub use refusal::{Ambiguity, Invalid, Reason, Unavailable};
pub use rename::Rename;
pub use requirement::{Requirement, action, all_of, any_of, authenticated};
pub use salt::{InvalidSalt, ReferenceSalt, Salt, SaltId, SaltRing};
pub use seal::{EncryptionKeys, InvalidEncryptionKey, SealedSecret, Unsealable};
pub use secret::{
    Brand, Credential, Entropy, InvalidBrand, Issued, NoEntropy, OsEntropy, Secret, SecretFormat, Unverified,
};
pub(crate) use sketch::{Sketch, Windows, network};
pub use sql::{SqlFilter, SqlMap, UnknownColumn};
pub use tag::Tag;
pub use text::comparable;
pub(crate) use text::{Extra, composed, hidden};
#[cfg(feature = "strapi")]
pub(crate) use text::{is_hidden, without_hidden};
pub use token::{ContentAccess, Kind, KindSet, Token, TokenAuthority};
#[cfg(feature = "strapi")]
pub use unseal::ReferenceEncryptionKey;
#[cfg(feature = "strapi")]
pub(crate) use unseal::Unopened;
#[cfg(all(feature = "strapi", test))]
pub(crate) use unseal::seal_as_the_reference;
pub use version::{MalformedVersion, Version};
