//! Carrying it over, in one transaction.

use super::keys::Keys;
use super::report::{Outcome, Report};
use crate::domain::{
    Action, Ceiling, ConditionId, ContentAccess, Excess, Fields, Grant, Guard, Kind, OwnerId, PasswordHash, Permission,
    RoleId, Rule, SaltId, Subject, Tag, Target, TokenAuthority, TokenId, What, When,
};
use crate::service::ServiceError;
use crate::service::account::address;
use crate::service::password::is_old;
use crate::service::write::{Draft, Item};
use crate::service::{roles, tokens};
use crate::store::strapi::{Foreign, ForeignAuthority, ForeignRole, ForeignToken, ForeignUser, NotUnderstood};
use crate::store::{Imported, NewOwner, NewRole, NewToken, TokenTimes};
use serde_json::json;
use std::collections::{HashMap, HashSet};

const NAME_LENGTH: usize = 255;
const TEXT_LENGTH: usize = 2_000;

/// Carries one source over.
pub(super) struct Carrier<'d> {
    draft: &'d mut Draft,
    report: Report,
    /// What came before, by what it is called there.
    roles_before: HashMap<String, RoleId>,
    owners_before: HashMap<String, OwnerId>,
    tokens_before: HashSet<String>,
}

impl<'d> Carrier<'d> {
    pub(super) async fn new(draft: &'d mut Draft, source: String, dry_run: bool) -> Result<Self, ServiceError> {
        let before = draft.tx.imported(&source).await?;
        let (roles_before, owners_before, tokens_before) = <_>::default();
        let report = Report::new(source, dry_run);
        let mut carrier = Self { draft, report, roles_before, owners_before, tokens_before };
        for (key, what) in before {
            match what {
                Imported::Role(id) => drop(carrier.roles_before.insert(key, id)),
                Imported::Owner(id) => drop(carrier.owners_before.insert(key, id)),
                Imported::Token(_) => drop(carrier.tokens_before.insert(key)),
            }
        }
        Ok(carrier)
    }

    pub(super) async fn everything(mut self, foreign: Foreign, keys: Keys) -> Result<Report, ServiceError> {
        let Foreign { roles, users, tokens, not_understood } = foreign;
        self.leave(not_understood);
        let roles = self.roles(roles).await?;
        let owners = self.owners(users, &roles).await?;
        self.tokens(tokens, &owners, &keys).await?;
        let came = self.report.came;
        if came.is_empty() {
            self.draft.nothing_to_do();
        } else {
            let (roles, owners, tokens) = (came.roles, came.owners, came.tokens());
            let details = json!({"imported": self.report.source, "roles": roles, "owners": owners, "tokens": tokens});
            self.draft.audit(What::Imported, Target::Installation, details).await?;
        }
        Ok(self.report)
    }

    /// The roles, by their ids there.
    async fn roles(&mut self, roles: Vec<ForeignRole>) -> Result<HashMap<i64, RoleId>, ServiceError> {
        let mut here = HashMap::new();
        for role in roles {
            let before = if role.super_admin {
                Some(RoleId::SUPER_ADMIN)
            } else {
                let before = self.roles_before.get(&role.key).copied();
                self.report.before.roles += u64::from(before.is_some());
                before
            };
            let (there, id) = (role.id, before);
            let id = match id {
                Some(id) => id,
                None => self.role(role).await?,
            };
            here.insert(there, id);
        }
        Ok(here)
    }

    async fn role(&mut self, role: ForeignRole) -> Result<RoleId, ServiceError> {
        let what = format!("role {} {:?}", role.id, role.name);
        let name = self.name(Named::Role, &what, &role.name).await?;
        let description = self.text(&what, "description", &role.description, TEXT_LENGTH);
        self.leave(role.not_understood);
        let mut permissions = Vec::with_capacity(role.permissions.len());
        for mut p in role.permissions {
            let itself = format!("permission {} of {what}", of(&p.action, p.subject.as_ref()));
            p.when = self.registered(&itself, p.when);
            match self.refused((&p.action, p.subject.as_ref(), &p.fields, p.when.as_slice())) {
                None => permissions.push(p),
                Some(why) => self.report.add(Outcome::Left, itself, why),
            }
        }
        let told = roles::told(&permissions);
        let details = json!({"name": name, "permissions": told, "imported": self.report.source});
        let id = self.draft.tx.insert_role(NewRole { name, description, permissions }).await?;
        self.remember(&role.key, Imported::Role(id)).await?;
        self.draft.touch(Tag::role(id));
        self.draft.audit(What::RoleCreated, Target::Role(id), details).await?;
        self.report.came.roles += 1;
        Ok(id)
    }

    /// The owners, by their ids there; without those who did not come.
    async fn owners(
        &mut self,
        users: Vec<ForeignUser>,
        roles: &HashMap<i64, RoleId>,
    ) -> Result<HashMap<i64, OwnerId>, ServiceError> {
        let existing: HashSet<RoleId> = self.draft.tx.roles().await?.iter().map(|(role, _)| role.id).collect();
        let mut here = HashMap::new();
        for user in users {
            let there = user.id;
            if let Some(id) = self.owners_before.get(&user.key) {
                self.report.before.owners += 1;
                here.insert(there, *id);
            } else if let Some(id) = self.owner(user, roles, &existing).await? {
                here.insert(there, id);
            }
        }
        Ok(here)
    }

    async fn owner(
        &mut self,
        user: ForeignUser,
        roles: &HashMap<i64, RoleId>,
        existing: &HashSet<RoleId>,
    ) -> Result<Option<OwnerId>, ServiceError> {
        let what = format!("owner {} {:?}", user.id, user.email);
        let Ok(email) = address("email", &user.email) else {
            self.report.add(Outcome::Left, what, "this e-mail address is refused here");
            return Ok(None);
        };
        if self.draft.tx.owner_with_email(&email).await?.is_some() {
            let why = "the e-mail address has an account here already, and whoever made it would get their tokens";
            self.report.add(Outcome::Left, what, why);
            return Ok(None);
        }
        let mut has = Vec::new();
        for role in user.roles {
            match roles.get(&role) {
                Some(id) if existing.contains(id) => has.push(*id),
                Some(_) => self.report.add(Outcome::Left, format!("role {role} of {what}"), "it was deleted here"),
                None => self.report.add(Outcome::Left, format!("role {role} of {what}"), "there is no such role"),
            }
        }
        has.sort_unstable();
        has.dedup();
        let new = NewOwner {
            firstname: self.text(&what, "first name", &user.firstname, NAME_LENGTH),
            lastname: self.text(&what, "last name", &user.lastname, NAME_LENGTH),
            username: user.username.map(|name| self.text(&what, "username", &name, NAME_LENGTH)),
            email,
            state: user.state,
            roles: has,
        };
        let details = json!({
            "email": new.email, "roles": new.roles, "state": new.state, "imported": self.report.source,
        });
        let id =
            self.draft.tx.insert_owner(NewOwner { username: new.username.filter(|n| !n.is_empty()), ..new }).await?;
        if let Some(hash) = user.password {
            self.password(id, &hash, &what).await?;
        }
        self.draft.tx.backdate_owner(id, user.created_at).await?;
        self.remember(&user.key, Imported::Owner(id)).await?;
        self.draft.touch(Tag::owner(id));
        self.draft.audit(What::OwnerCreated, Target::Owner(id), details).await?;
        self.report.came.owners += 1;
        self.report.add(Outcome::Came, what, "");
        Ok(Some(id))
    }

    async fn password(&mut self, id: OwnerId, hash: &PasswordHash, what: &str) -> Result<(), ServiceError> {
        if is_old(&hash.0) {
            return Ok(self.draft.tx.set_password(id, hash).await?);
        }
        let why = "its hash is none of bcrypt with a cost of 4 to 14: they need a new password";
        self.report.add(Outcome::Left, format!("password of {what}"), why);
        Ok(())
    }

    async fn tokens(
        &mut self,
        tokens: Vec<ForeignToken>,
        owners: &HashMap<i64, OwnerId>,
        keys: &Keys,
    ) -> Result<(), ServiceError> {
        let mut ids: Vec<OwnerId> = owners.values().copied().collect();
        ids.sort_unstable();
        let ceilings = self.draft.tx.ceilings(&ids).await?;
        let ceilings = ceilings.into_iter().map(|(owner, ceiling)| (owner.id, ceiling)).collect();
        let (mut closed, mut unkept) = (0, 0);
        for token in tokens {
            if self.tokens_before.contains(&token.key) {
                match token.authority {
                    ForeignAuthority::Admin { .. } => self.report.before.admin_tokens += 1,
                    ForeignAuthority::Content { .. } => self.report.before.content_tokens += 1,
                }
                continue;
            }
            let (there, is_sealed) = (token.id, token.sealed.is_some());
            if self.token(token, owners, &ceilings, keys).await? {
                closed += u64::from(is_sealed && keys.left_closed);
                unkept += u64::from(keys.of(there).is_some() && self.draft.writer.settings.encryption.is_none());
            }
        }
        if closed > 0 {
            let why = "no encryption key was given to open them with, and so the salt could not be checked either";
            self.report.add(Outcome::Left, format!("sealed keys of {closed} tokens"), why);
        }
        if unkept > 0 {
            let why = "this installation has no encryption key to seal them with";
            self.report.add(Outcome::Left, format!("sealed keys of {unkept} tokens"), why);
        }
        Ok(())
    }

    /// Whether it came.
    async fn token(
        &mut self,
        token: ForeignToken,
        owners: &HashMap<i64, OwnerId>,
        ceilings: &HashMap<OwnerId, Ceiling>,
        keys: &Keys,
    ) -> Result<bool, ServiceError> {
        let what = format!("token {} {:?}", token.id, token.name);
        if let Some(other) = self.draft.tx.token_with_digest(&token.digest).await? {
            let why = format!("its key opens token {other} here already: it came under the name of another source");
            self.report.add(Outcome::Left, what, why);
            return Ok(false);
        }
        let owned = match &token.authority {
            ForeignAuthority::Admin { owner, .. } => match held_by(*owner, owners, ceilings) {
                Ok(owned) => Some(owned),
                Err(why) => {
                    self.report.add(Outcome::Left, what, why);
                    return Ok(false);
                }
            },
            ForeignAuthority::Content { .. } => None,
        };
        self.leave(token.not_understood);
        let name = self.name(Named::Token, &what, &token.name).await?;
        let description = self.text(&what, "description", &token.description, TEXT_LENGTH);
        let authority = match (token.authority, owned) {
            (ForeignAuthority::Admin { grants, .. }, Some((owner, ceiling))) => {
                TokenAuthority::Admin { owner, grants: self.grants(&what, grants, ceiling) }
            }
            (ForeignAuthority::Content { access }, _) => TokenAuthority::Content { access: self.access(&what, access) },
            // An admin token without an owner was left just now.
            (ForeignAuthority::Admin { .. }, None) => return Ok(false),
        };
        let secret = keys.of(token.id);
        if let Some(why) = keys.useless(token.id) {
            self.report.add(Outcome::Left, format!("sealed key of {what}"), why);
        }
        let new = NewToken {
            name,
            description,
            digest: token.digest,
            salt: SaltId::of_the_reference(),
            hint: secret.map(|secret| secret.hint().to_owned()).unwrap_or_default(),
            lifespan: token.lifespan,
            authority,
        };
        let times =
            TokenTimes { created_at: token.created_at, expires_at: token.expires_at, last_used_at: token.last_used_at };
        let id = self.insert(new, times).await?;
        self.remember(&token.key, Imported::Token(id)).await?;
        if let Some((writer, secret)) = secret.map(|secret| (self.draft.writer.clone(), secret))
            && let Some(sealing) = &writer.settings.encryption
        {
            let sealed = sealing.seal(id, secret, &*writer.entropy)?;
            self.draft.tx.seal_key(id, &sealed).await?;
            self.report.came.keys += 1;
        }
        Ok(true)
    }

    async fn insert(&mut self, new: NewToken, times: TokenTimes) -> Result<TokenId, ServiceError> {
        let digest = new.digest;
        let mut details = tokens::facts(&new);
        details["imported"] = json!(self.report.source);
        let kind = match &new.authority {
            TokenAuthority::Admin { .. } => Kind::Admin,
            _ => Kind::Content,
        };
        let id = self.draft.tx.insert_token(new).await?;
        self.draft.tx.backdate_token(id, times).await?;
        self.draft.touch(Tag::token(&digest));
        self.draft.audit(What::TokenIssued, Target::Token(id, kind), details).await?;
        match kind {
            Kind::Admin => self.report.came.admin_tokens += 1,
            _ => self.report.came.content_tokens += 1,
        }
        Ok(id)
    }

    /// Those grants that may come under this ceiling, each as it is kept.
    fn grants(&mut self, token: &str, grants: Vec<Grant>, ceiling: &Ceiling) -> Vec<Grant> {
        let mut kept = Vec::with_capacity(grants.len());
        for mut grant in grants {
            let what = format!("grant {} of {token}", of(&grant.action, grant.subject.as_ref()));
            grant.chosen = self.registered(&what, grant.chosen);
            let item = (&grant.action, grant.subject.as_ref(), &grant.fields, grant.chosen.as_slice());
            if let Some(why) = self.refused(item) {
                self.report.add(Outcome::Left, what, why);
            } else if let Err(beyond) = ceiling.check(&grant) {
                self.report.add(Outcome::TakenAway, what, beyond.to_string());
            } else {
                let as_there = Permission {
                    action: grant.action.clone(),
                    subject: grant.subject.clone(),
                    fields: grant.fields.clone(),
                    when: grant.chosen.clone(),
                };
                let grant = without_inherited(grant, ceiling);
                if ceiling.check_gift(&as_there).is_err_and(|beyond| beyond.excess == Excess::Conditions) {
                    let here: Vec<String> = ceiling.effect(&grant).iter().map(|r| reach(&r.fields, &r.guard)).collect();
                    let there = reach(&as_there.fields, &Guard::all([as_there.when]));
                    self.report.add(Outcome::Narrowed, what, format!("there {there}; here {}", here.join(", and ")));
                }
                kept.push(grant);
            }
        }
        kept
    }

    fn access(&mut self, token: &str, access: ContentAccess) -> ContentAccess {
        let ContentAccess::Custom(actions) = access else { return access };
        let mut kept = Vec::with_capacity(actions.len());
        for action in actions.iter() {
            let catalogue = self.draft.writer.settings.catalogue.as_ref();
            let unknown = catalogue.is_some_and(|c| !c.content_actions().contains(action));
            if unknown || is_strange(action.as_str()) {
                let what = format!("content action {:?} of {token}", action.as_str());
                self.report.add(Outcome::Left, what, "there is no such action here");
            } else {
                kept.push(action.clone());
            }
        }
        ContentAccess::Custom(kept.into())
    }

    /// Without the conditions that nobody has registered, which never hold, if others stand beside them: any of those suffices.
    fn registered(&mut self, what: &str, when: When) -> When {
        let conditions = self.draft.writer.resolver.conditions();
        let (known, unknown): (Vec<&ConditionId>, Vec<&ConditionId>) =
            when.as_slice().iter().partition(|id| conditions.contains(id.as_str()));
        if known.is_empty() {
            return when;
        }
        for id in unknown {
            let why = "nobody has registered it here, so it never holds";
            self.report.add(Outcome::Left, format!("condition {id} of {what}"), why);
        }
        When::from_list(known.into_iter().cloned())
    }

    /// Why a permission or a grant cannot be written here.
    fn refused(&self, item: Item<'_>) -> Option<String> {
        let (action, subject, fields, conditions) = item;
        let fields_named = match fields {
            Fields::All => &[][..],
            Fields::Only(set) => set.as_slice(),
        };
        let mut names = fields_named.iter().map(|f| f.as_str()).chain(conditions.iter().map(|c| c.as_str()));
        if is_strange(action.as_str()) || subject.is_some_and(|s| is_strange(s.as_str())) || names.any(is_strange) {
            return Some("a name in it has control characters".to_owned());
        }
        let unknown = self.draft.writer.problems(item);
        let told: Vec<String> = unknown.into_iter().map(|u| u.message).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    async fn remember(&mut self, key: &str, what: Imported) -> Result<(), ServiceError> {
        Ok(self.draft.tx.remember_imported(&self.report.source, key, what).await?)
    }

    fn leave(&mut self, not_understood: Vec<NotUnderstood>) {
        for NotUnderstood { what, why } in not_understood {
            self.report.add(Outcome::Left, what, why);
        }
    }

    /// A free name for what comes, as near as can be to what it is called there.
    async fn name(&mut self, named: Named, what: &str, there: &str) -> Result<String, ServiceError> {
        let mut base = cleaned(there, NAME_LENGTH, false);
        if base.is_empty() {
            base = "unnamed".to_owned();
        }
        let mut name = base.clone();
        for n in 1.. {
            let taken = match named {
                Named::Role => self.draft.tx.role_named(&name).await?.is_some(),
                Named::Token => self.draft.tx.token_named(&name).await?.is_some(),
            };
            if !taken {
                break;
            }
            let source = &self.report.source;
            let suffix = if n == 1 { format!(" ({source})") } else { format!(" ({source} {n})") };
            let room = NAME_LENGTH - suffix.chars().count();
            name = cleaned(&base, room, false) + &suffix;
        }
        match (name == there, name == base) {
            (true, _) => self.report.add(Outcome::Came, what, ""),
            (_, true) => self.report.add(Outcome::Renamed, what, format!("here {name:?}, as names are written here")),
            (_, false) => self.report.add(Outcome::Renamed, what, format!("here {name:?}, as that name is taken")),
        }
        Ok(name)
    }

    /// A text as it can be written here.
    fn text(&mut self, what: &str, which: &str, there: &str, most: usize) -> String {
        let text = cleaned(there, most, most > NAME_LENGTH);
        if text != there.trim() {
            let why = format!("here it has at most {most} characters, and no control characters");
            self.report.add(Outcome::Left, format!("a part of the {which} of {what}"), why);
        }
        text
    }
}

#[derive(Clone, Copy)]
enum Named {
    Role,
    Token,
}

/// Who holds a token here, and what they may grant.
fn held_by<'c>(
    owner: Option<i64>,
    owners: &HashMap<i64, OwnerId>,
    ceilings: &'c HashMap<OwnerId, Ceiling>,
) -> Result<(OwnerId, &'c Ceiling), &'static str> {
    let owner = owner.ok_or("its owner is gone, so it opens nothing there either")?;
    let id = *owners.get(&owner).ok_or("its owner did not come")?;
    Ok((id, ceilings.get(&id).ok_or("its owner was deleted here")?))
}

/// The reference copies the conditions of the owner's permissions into grants. Where those say as much by themselves they stay
/// inherited, and follow the roles; else they are kept as chosen, so that nothing is wider than it was.
fn without_inherited(grant: Grant, ceiling: &Ceiling) -> Grant {
    let as_there = Guard::all([grant.chosen.clone()]);
    let bare = Grant { chosen: When::Always, ..grant.clone() };
    let implied = |rule: &Rule| rule.guard.implies(&as_there);
    if ceiling.effect(&bare).iter().all(implied) { bare } else { grant }
}

fn of(action: &Action, subject: Option<&Subject>) -> String {
    subject.map_or_else(|| action.to_string(), |subject| format!("{action} on {subject}"))
}

/// What of which rows.
fn reach(fields: &Fields, guard: &Guard) -> String {
    let fields = match fields {
        Fields::All => "all fields".to_owned(),
        Fields::Only(set) => set.as_slice().iter().map(|f| f.as_str()).collect::<Vec<_>>().join(", "),
    };
    if guard.is_always() {
        return format!("{fields} of every row");
    }
    let any = |when: &When| when.as_slice().iter().map(|c| c.as_str()).collect::<Vec<_>>().join(" or ");
    let all: Vec<String> = guard.parts().iter().map(any).collect();
    format!("{fields} of rows with {}", all.join(" and "))
}

fn is_strange(name: &str) -> bool {
    name.chars().any(char::is_control)
}

/// Trimmed, at most so long, without control characters (but for line breaks and tabs, where a text may have lines).
fn cleaned(text: &str, most: usize, lines: bool) -> String {
    let good = |c: &char| !c.is_control() || lines && matches!(c, '\n' | '\r' | '\t');
    let kept: String = text.chars().filter(good).collect();
    let cut: String = kept.trim().chars().take(most).collect();
    cut.trim_end().to_owned()
}
