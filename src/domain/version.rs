//! Versions of tokens, roles and owners, to detect conflicting edits.
//!
//! A version is a fingerprint of the displayed values, not a row version column:
//!
//! - The displayed values live in nine tables (grants, fields, conditions, actions, roles and permissions have their own).
//!   A column that also counts hand-written SQL needs triggers that find the parent row: 27 in SQLite (insert, update and
//!   delete each), 9 with transition tables in PostgreSQL, and the same in every store of a host.
//! - A fingerprint has no state. It costs 170 lines here and one SHA-256 for each displayed record.
//! - It keeps its value if a displayed value is changed and changed back, and if only hidden values change.

use super::{
    ConditionClause, ContentAccess, Fields, Grant, Owner, OwnerState, Permission, Role, Scope, Token, TokenAuthority,
    TokenLimits,
};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const LENGTH: usize = 16;

/// The version of a token, role or owner that a form shows. It is the same as long as no displayed value has changed.
///
/// A service with [`if_version`](crate::admin::Tokens::if_version) changes nothing once the record has another version.
/// The version is a fingerprint without a key: it includes no secret, digest or password, and not the last use of a
/// token.
///
/// ```
/// # tokio_test::block_on(async {
/// use keyward::admin::{RoleUpdate, ServiceError, Version};
/// use keyward::{HashKey, Keyward, MemoryStore, NewRole};
/// # let (hash_key, _) = HashKey::generate()?;
/// # let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin").build()?;
/// let role = keyward.roles().create(NewRole::new("Author")).await?;
/// let in_the_form = role.version().to_string();
/// keyward.roles().update(role.id, RoleUpdate { name: Some("Writer".into()), ..RoleUpdate::default() }).await?;
///
/// let displayed: Version = in_the_form.parse()?;
/// let update = RoleUpdate { name: Some("Poet".into()), ..RoleUpdate::default() };
/// let late = keyward.roles().if_version(displayed).update(role.id, update).await;
/// assert!(matches!(late, Err(ServiceError::Changed("role"))));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Version([u8; LENGTH]);

/// A text that is not a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid version: expected 32 hex digits")]
pub struct MalformedVersion;

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Version {
    type Err = MalformedVersion;

    fn from_str(text: &str) -> Result<Self, MalformedVersion> {
        let mut bytes = [0; LENGTH];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| MalformedVersion)?;
        Ok(Self(bytes))
    }
}

impl Token {
    /// Returns the version of the displayed values: name, description, metadata, end of the secret, owner, limits, and
    /// grants or access.
    pub fn version(&self) -> Version {
        let mut fingerprint = Fingerprint::new("token", self.id.0);
        fingerprint.text(&self.name).text(&self.description).text(&self.hint);
        fingerprint.option(self.metadata.as_ref().map(ToString::to_string).as_deref());
        fingerprint.text(self.kind().as_str()).number(self.owner().map_or(0, |owner| owner.0));
        fingerprint.limits(&self.limits);
        match &self.authority {
            TokenAuthority::Admin { grants, .. } => fingerprint.set(grants.iter().map(of_grant)),
            TokenAuthority::Content { access: ContentAccess::Custom(actions) } => fingerprint
                .text("custom")
                .set(actions.iter().map(|action| Fingerprint::default().text(action.as_str()).take())),
            TokenAuthority::Content { access } => fingerprint.text(access.as_str()),
            TokenAuthority::Session { .. } => &mut fingerprint,
        };
        fingerprint.version()
    }
}

impl Role {
    /// Returns the version of the displayed values: name, description and permissions.
    pub fn version(&self) -> Version {
        let mut fingerprint = Fingerprint::new("role", self.id.0);
        fingerprint.text(&self.name).text(&self.description).set(self.permissions.iter().map(of_permission));
        fingerprint.version()
    }
}

impl Owner {
    /// Returns the version of the displayed values: e-mail address, names, state and roles.
    pub fn version(&self) -> Version {
        let mut fingerprint = Fingerprint::new("owner", self.id.0);
        fingerprint.text(&self.email).text(&self.firstname).text(&self.lastname).option(self.username.as_deref());
        fingerprint.number(match self.state {
            OwnerState::Invited => 0,
            OwnerState::Active => 1,
            OwnerState::Deactivated => 2,
            OwnerState::Blocked => 3,
            OwnerState::DeactivatedAndBlocked => 4,
        });
        fingerprint.set(self.roles.iter().map(|role| Fingerprint::default().number(role.0).take()));
        fingerprint.version()
    }
}

fn of_grant(grant: &Grant) -> Vec<u8> {
    let Grant { scope: Scope { action, resource, fields }, chosen, may_delegate } = grant;
    let mut entry = entry(action.as_str(), resource.as_ref().map(|s| s.as_str()), fields, chosen);
    entry.push(u8::from(*may_delegate));
    entry
}

fn of_permission(permission: &Permission) -> Vec<u8> {
    let Permission { scope: Scope { action, resource, fields }, when } = permission;
    entry(action.as_str(), resource.as_ref().map(|s| s.as_str()), fields, when)
}

fn entry(action: &str, resource: Option<&str>, fields: &Fields, when: &ConditionClause) -> Vec<u8> {
    let mut fingerprint = Fingerprint::default();
    fingerprint.text(action).option(resource);
    match fields {
        Fields::All => fingerprint.option(None),
        Fields::Only(only) => {
            fingerprint.set(only.as_slice().iter().map(|f| Fingerprint::default().text(f.as_str()).take()))
        }
    };
    fingerprint.set(when.as_slice().iter().map(|id| Fingerprint::default().text(id.as_str()).take()));
    fingerprint.take()
}

/// An unambiguous encoding of the displayed values: each part is preceded by its length.
#[derive(Default)]
struct Fingerprint(Vec<u8>);

impl Fingerprint {
    fn new(what: &str, id: i64) -> Self {
        let mut fingerprint = Self::default();
        fingerprint.text(what).number(id);
        fingerprint
    }

    fn number(&mut self, n: i64) -> &mut Self {
        self.0.extend(n.to_be_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn option(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.number(1).text(text),
            None => self.number(0),
        }
    }

    fn limits(&mut self, limits: &TokenLimits) -> &mut Self {
        let TokenLimits { enabled, networks, rate, idle_expiry } = limits;
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.number(i64::from(*enabled));
        self.set(networks.iter().map(|network| Fingerprint::default().text(&network.to_string()).take()));
        self.number(rate.map_or(0, |rate| rate.limit().into())).number(rate.map_or(0, |rate| millis(rate.window())));
        self.number(idle_expiry.map_or(-1, millis))
    }

    /// Adds entries in any order.
    fn set(&mut self, entries: impl Iterator<Item = Vec<u8>>) -> &mut Self {
        let mut entries: Vec<Vec<u8>> = entries.collect();
        entries.sort_unstable();
        self.bytes(&(entries.len() as u64).to_be_bytes());
        for entry in &entries {
            self.bytes(entry);
        }
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend((bytes.len() as u64).to_be_bytes());
        self.0.extend(bytes);
        self
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    fn version(&self) -> Version {
        let hash: [u8; 32] = Sha256::digest(&self.0).into();
        let mut version = [0; LENGTH];
        version.copy_from_slice(&hash[..LENGTH]);
        Version(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Action, Digest, Metadata, OwnerId, RateLimit, RoleId, Timestamp, TokenId};
    use std::collections::HashSet;

    fn token() -> Token {
        Token {
            id: TokenId(7),
            name: "deploy".into(),
            description: String::new(),
            metadata: None,
            digest: Digest::Native([1; 27]),
            hint: "abcd".into(),
            lifespan: None,
            expires_at: None,
            created_at: Timestamp(1),
            updated_at: Timestamp(1),
            last_used_at: None,
            last_used_tool: None,
            limits: TokenLimits::none(),
            secret_used: None,
            previous: None,
            ancestors: Vec::new(),
            parent_secret: None,
            authority: TokenAuthority::Admin { owner: OwnerId(3), grants: grants() },
        }
    }

    fn only(names: &[&str]) -> Fields {
        Fields::only(names.iter().copied()).unwrap()
    }

    fn grants() -> Vec<Grant> {
        vec![Grant::new("read").on("article").fields(only(&["title", "body"])), Grant::new("write")]
    }

    fn role() -> Role {
        Role {
            id: RoleId(7),
            code: None,
            name: "Author".into(),
            description: "Writes".into(),
            permissions: vec![Permission::new("read")],
            created_at: Timestamp(1),
            updated_at: Timestamp(1),
        }
    }

    fn owner() -> Owner {
        Owner {
            account: None,
            kind: crate::domain::AccountKind::Person,
            id: OwnerId(7),
            email: "ada@example.test".into(),
            firstname: "Ada".into(),
            lastname: String::new(),
            username: None,
            state: OwnerState::Active,
            roles: vec![RoleId(2), RoleId(3)],
            created_at: Timestamp(1),
            updated_at: Timestamp(1),
        }
    }

    fn all_differ(versions: Vec<Version>) {
        let count = versions.len();
        assert_eq!(versions.into_iter().collect::<HashSet<_>>().len(), count);
    }

    #[test]
    fn every_displayed_value_changes_the_version() {
        let with =
            |grants: Vec<Grant>| Token { authority: TokenAuthority::Admin { owner: OwnerId(3), grants }, ..token() };
        let content = |access| Token { authority: TokenAuthority::Content { access }, ..token() };
        let custom = |names: &[&str]| ContentAccess::Custom(names.iter().map(|n| Action::new(*n)).collect());
        let read = || Grant::new("read").on("article");
        let mut versions: Vec<Version> = [
            token(),
            Token { id: TokenId(8), ..token() },
            Token { name: "deplo".into(), description: "y".into(), ..token() },
            Token { name: "deployy".into(), ..token() },
            Token { hint: "abce".into(), ..token() },
            Token { limits: TokenLimits::none().enabled(false), ..token() },
            Token { limits: TokenLimits::none().networks(["10.0.0.0/8".parse().unwrap()]), ..token() },
            Token { limits: TokenLimits::none().rate(RateLimit::new(1, Duration::from_secs(1)).unwrap()), ..token() },
            Token { limits: TokenLimits::none().idle_expiry(Duration::from_secs(1)), ..token() },
            with(vec![read().fields(only(&["title", "body"])).may_delegate(), Grant::new("write")]),
            Token { metadata: Some(Metadata::from_iter([])), ..token() },
            Token { metadata: Some(Metadata::from_iter([("a".into(), true.into())])), ..token() },
            Token { authority: TokenAuthority::Admin { owner: OwnerId(4), grants: grants() }, ..token() },
            with(vec![]),
            with(vec![Grant::new("write")]),
            with(vec![read(), Grant::new("write")]),
            with(vec![read().fields(only(&["title"])), Grant::new("write")]),
            with(vec![read().fields(only(&["titlebody"])), Grant::new("write")]),
            with(vec![
                read().fields(only(&["title", "body"])).chosen(ConditionClause::from_list(["own"])),
                Grant::new("write"),
            ]),
            content(ContentAccess::ReadOnly),
            content(ContentAccess::FullAccess),
            content(custom(&["a", "b"])),
            content(custom(&["ab"])),
            Token {
                authority: TokenAuthority::Session { owner: OwnerId(3), idle: Duration::from_secs(120) },
                ..token()
            },
        ]
        .iter()
        .map(Token::version)
        .collect();
        let roles = [
            role(),
            Role { id: RoleId(8), ..role() },
            Role { name: "AuthorWrites".into(), description: String::new(), ..role() },
            Role { permissions: vec![], ..role() },
            Role { permissions: vec![Permission::new("read").on("article")], ..role() },
            Role { permissions: vec![Permission::new("read").when(ConditionClause::from_list(["own"]))], ..role() },
        ];
        versions.extend(roles.iter().map(Role::version));
        let owners = [
            Owner { id: OwnerId(8), ..owner() },
            Owner { email: "eda@example.test".into(), ..owner() },
            Owner { firstname: String::new(), lastname: "Ada".into(), ..owner() },
            Owner { username: Some(String::new()), ..owner() },
            Owner { roles: vec![RoleId(2)], ..owner() },
        ];
        versions.extend(owners.iter().map(Owner::version));
        versions.extend(OwnerState::ALL.map(|state| Owner { state, ..owner() }.version()));
        all_differ(versions);
    }

    #[test]
    fn values_that_are_not_displayed_keep_the_version() {
        let used = Token { last_used_at: Some(Timestamp(9)), updated_at: Timestamp(9), ..token() };
        assert_eq!(used.version(), token().version());
        let hashed_anew = Token { digest: Digest::Native([2; 27]), ..token() };
        assert_eq!(hashed_anew.version(), token().version());
        let backwards = grants().into_iter().rev().collect();
        let reordered = Token { authority: TokenAuthority::Admin { owner: OwnerId(3), grants: backwards }, ..token() };
        assert_eq!(reordered.version(), token().version());
        assert_eq!(Role { updated_at: Timestamp(9), ..role() }.version(), role().version());
        assert_eq!(Owner { updated_at: Timestamp(9), ..owner() }.version(), owner().version());
    }

    #[test]
    fn a_version_parses_from_its_text() {
        let version = token().version();
        assert_eq!(version.to_string().len(), 2 * LENGTH);
        assert_eq!(version.to_string().parse(), Ok(version));
        for wrong in ["", "00", &"0".repeat(31), &"0".repeat(34), &"g".repeat(32)] {
            assert_eq!(wrong.parse::<Version>(), Err(MalformedVersion), "{wrong}");
        }
    }
}
