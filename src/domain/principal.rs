//! Principals: the resolved caller.

use super::requirement::{Asked, ResourceSource};
use super::{
    AccountKey, AccountKind, Action, Ceiling, CeilingPolicy, ConditionContext, ConditionExpr, Conditions,
    ContentAccess, Decision, DecisionRule, EffectivePermission, Fields, Grant, Metadata, Owner, OwnerId, Requirement,
    Resource, RoleId, Scope, Token, TokenAuthority, TokenId, TokenKind, Verdict,
};
use std::sync::Arc;

/// The resolved caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    /// 0 for the public principal: an optional id would be twice as long.
    token: TokenId,
    authority: Authority,
    described: Option<Arc<Described>>,
}

/// The parts of a token that are kept for handlers. No decision depends on them.
#[derive(PartialEq, Eq, Debug, Default)]
struct Described {
    token: Option<Box<str>>,
    owner: Option<Box<str>>,
    metadata: Option<Metadata>,
}

/// The authority of a principal, by the kind of its token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Authority {
    /// An admin token: its grants intersected with its owner's permissions. Never super admin, even if its owner is.
    Admin {
        /// The owner, as conditions see them.
        owner: ConditionContext,
        /// The effective permissions.
        rules: Arc<[EffectivePermission]>,
    },
    /// A session of a signed-in person.
    Session {
        /// The person, as conditions see them.
        owner: ConditionContext,
        /// The effective permissions; `None` for a super admin, who may do everything.
        rules: Option<Arc<[EffectivePermission]>>,
    },
    /// A session of a person whose host decides by a policy.
    PolicySession {
        /// The person, as conditions see them.
        owner: ConditionContext,
        /// The host's policy for this person.
        policy: CeilingPolicy,
    },
    /// A content token.
    Content {
        /// The content actions it may do.
        access: ContentAccess,
    },
    /// A request without a credential in a content group.
    Public {
        /// The actions that are public.
        actions: Arc<[Action]>,
    },
}

impl Principal {
    /// Resolves a stored token; `None` if its owner is gone.
    pub fn of(token: &Token, owner: Option<(&Owner, &Ceiling)>) -> Option<Self> {
        let authority = match &token.authority {
            TokenAuthority::Content { access } => Authority::Content { access: access.clone() },
            TokenAuthority::Admin { owner: id, grants } => {
                let (owner, ceiling) = owner.filter(|(o, _)| o.id == *id)?;
                let rules = effective(token, grants, ceiling);
                Authority::Admin { owner: actor(owner), rules }
            }
            TokenAuthority::Session { owner: id, .. } => {
                // An account that was a person's may be a service now.
                let is_person = |owner: &Owner| owner.id == *id && owner.kind == AccountKind::Person;
                let (owner, ceiling) = owner.filter(|(owner, _)| is_person(owner))?;
                let owner = actor(owner);
                match ceiling {
                    Ceiling::Unlimited => Authority::Session { owner, rules: None },
                    Ceiling::Of(permissions) => {
                        let rules = permissions.iter().map(EffectivePermission::from).collect();
                        Authority::Session { owner, rules: Some(rules) }
                    }
                    Ceiling::Policy(policy) => Authority::PolicySession { owner, policy: policy.clone() },
                }
            }
        };
        let described =
            token.metadata.clone().map(|metadata| Described { metadata: Some(metadata), ..Described::default() });
        Some(Self { token: token.id, authority, described: described.map(Arc::new) })
    }

    /// Creates the public principal, which may do these content actions.
    pub fn public(actions: Arc<[Action]>) -> Self {
        Self { token: TokenId(0), authority: Authority::Public { actions }, described: None }
    }

    /// Creates a principal with this authority, for tests.
    #[cfg(test)]
    pub(crate) fn with(authority: Authority) -> Self {
        Self { token: TokenId(1), authority, described: None }
    }

    /// Returns the token's id; `None` for the public principal.
    pub fn token(&self) -> Option<TokenId> {
        Some(self.token).filter(|id| *id != TokenId(0))
    }

    /// Returns the name of the token, if names are kept; none for sessions and the public principal.
    pub fn token_name(&self) -> Option<&str> {
        self.described.as_deref()?.token.as_deref().filter(|name| !name.is_empty())
    }

    /// Returns the display name of the owner, if names are kept.
    pub fn owner_name(&self) -> Option<&str> {
        self.described.as_deref()?.owner.as_deref()
    }

    /// Returns the token's metadata, an object; `None` if it has none.
    pub fn metadata(&self) -> Option<&serde_json::Value> {
        self.described.as_deref()?.metadata.as_ref().map(Metadata::as_value)
    }

    /// Keeps the names of the token and of its owner.
    pub(crate) fn with_names(self, token: &str, owner: Option<String>) -> Self {
        let metadata = self.described.as_deref().and_then(|described| described.metadata.clone());
        let described = Described { token: Some(token.into()), owner: owner.map(String::into_boxed_str), metadata };
        Self { described: Some(Arc::new(described)), ..self }
    }

    /// Returns the token's kind; `None` for the public principal.
    pub fn kind(&self) -> Option<TokenKind> {
        match self.authority {
            Authority::Admin { .. } => Some(TokenKind::Admin),
            Authority::Session { .. } | Authority::PolicySession { .. } => Some(TokenKind::Session),
            Authority::Content { .. } => Some(TokenKind::Content),
            Authority::Public { .. } => None,
        }
    }

    /// Returns the authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the owner's id; `None` for content tokens and the public principal.
    pub fn owner(&self) -> Option<OwnerId> {
        self.actor().map(|a| a.owner)
    }

    /// Returns the owner's roles; empty without an owner.
    pub fn roles(&self) -> &[RoleId] {
        self.actor().map_or(&[], |a| &a.roles)
    }

    /// Returns the host's key of the owner, if it is an account of the host.
    pub fn account(&self) -> Option<&AccountKey> {
        self.actor().and_then(|a| a.account.as_ref())
    }

    fn actor(&self) -> Option<&ConditionContext> {
        match &self.authority {
            Authority::Admin { owner, .. }
            | Authority::Session { owner, .. }
            | Authority::PolicySession { owner, .. } => Some(owner),
            Authority::Content { .. } | Authority::Public { .. } => None,
        }
    }

    /// Returns the summary of the decision on `requirement`.
    pub fn verdict(&self, requirement: &Requirement) -> Verdict {
        match &requirement.0 {
            Asked::Authenticated => self.authenticated(),
            Asked::Action(action, resource) => self.verdict_on(action, resource),
            Asked::AnyOf(list) => list.iter().map(|r| self.verdict(r)).max().unwrap_or(Verdict::Denied),
            Asked::AllOf(list) => match list.iter().map(|r| self.verdict(r)).min().unwrap_or(Verdict::Denied) {
                // Parts that allow something each may allow nothing together.
                Verdict::Partial => self.decide(requirement, &Conditions::none()).verdict(),
                verdict => verdict,
            },
            Asked::Whole(inner) => match self.verdict(inner) {
                Verdict::Allowed => Verdict::Allowed,
                Verdict::Partial | Verdict::Denied => Verdict::Denied,
            },
        }
    }

    /// Returns the decision on `requirement`: the effective permissions that answer it, with their predicates.
    pub fn decide(&self, requirement: &Requirement, conditions: &Conditions) -> Decision {
        match &requirement.0 {
            Asked::Authenticated if self.authenticated() == Verdict::Allowed => Decision::everything(),
            Asked::Authenticated => Decision::denied(),
            Asked::Action(action, resource) => match self.scope(action, resource) {
                MatchingRules::None => Decision::denied(),
                MatchingRules::All => Decision::everything(),
                MatchingRules::Some(rules, actor, resource) => {
                    let matching =
                        rules.iter().filter(|r| r.scope.action == *action && r.scope.resource.as_ref() == resource);
                    Decision::of(matching.map(|r| DecisionRule {
                        fields: r.scope.fields.clone(),
                        guard: r.guard.clone(),
                        predicate: conditions.predicate(&r.guard, actor),
                    }))
                }
            },
            Asked::Whole(_) if self.verdict(requirement) == Verdict::Allowed => Decision::everything(),
            Asked::Whole(_) => Decision::denied(),
            Asked::AnyOf(list) => {
                list.iter().map(|r| self.decide(r, conditions)).reduce(Decision::or).unwrap_or_default()
            }
            Asked::AllOf(list) => {
                list.iter().map(|r| self.decide(r, conditions)).reduce(|a, b| a.and(&b)).unwrap_or_default()
            }
        }
    }

    /// The public principal counts as authenticated only if some action is public.
    fn authenticated(&self) -> Verdict {
        match &self.authority {
            Authority::Public { actions } if actions.is_empty() => Verdict::Denied,
            _ => Verdict::Allowed,
        }
    }

    fn verdict_on(&self, action: &Action, resource: &ResourceSource) -> Verdict {
        let (rules, resource) = match self.scope(action, resource) {
            MatchingRules::None => return Verdict::Denied,
            MatchingRules::All => return Verdict::Allowed,
            MatchingRules::Some(rules, _, resource) => (rules, resource),
        };
        let mut verdict = Verdict::Denied;
        for rule in rules.iter().filter(|r| r.scope.action == *action && r.scope.resource.as_ref() == resource) {
            if rule.scope.fields == Fields::All && rule.guard.is_always() {
                return Verdict::Allowed;
            }
            verdict = Verdict::Partial;
        }
        verdict
    }

    fn scope<'a>(&'a self, action: &Action, resource: &'a ResourceSource) -> MatchingRules<'a> {
        let resource = match resource {
            ResourceSource::None => None,
            ResourceSource::Fixed(resource) => Some(resource),
            ResourceSource::Param(_) => return MatchingRules::None,
        };
        let all_or_nothing = |yes| if yes { MatchingRules::All } else { MatchingRules::None };
        match &self.authority {
            Authority::Content { access } => all_or_nothing(access.allows(action)),
            Authority::Public { actions } => all_or_nothing(actions.contains(action)),
            Authority::Session { rules: None, .. } => MatchingRules::All,
            Authority::PolicySession { policy, .. } => all_or_nothing(policy.allows(action, resource)),
            Authority::Admin { owner, rules } | Authority::Session { owner, rules: Some(rules) } => {
                MatchingRules::Some(rules, owner, resource)
            }
        }
    }

    /// Replaces the owner's roles by an equal list.
    pub(crate) fn map_roles(mut self, share: impl Fn(&Arc<[RoleId]>) -> Arc<[RoleId]>) -> Self {
        if let Authority::Admin { owner, .. }
        | Authority::Session { owner, .. }
        | Authority::PolicySession { owner, .. } = &mut self.authority
        {
            owner.roles = share(&owner.roles);
        }
        self
    }

    /// Maps the effective permissions, dropping those for which `rule` returns `None`.
    pub(crate) fn map_rules(mut self, rule: impl Fn(&EffectivePermission) -> Option<EffectivePermission>) -> Self {
        match &mut self.authority {
            Authority::Admin { rules, .. } | Authority::Session { rules: Some(rules), .. } => {
                *rules = rules.iter().filter_map(rule).collect();
            }
            Authority::Session { rules: None, .. }
            | Authority::PolicySession { .. }
            | Authority::Content { .. }
            | Authority::Public { .. } => {}
        }
        self
    }

    /// Returns the approximate bytes on the heap, for the cache's limit.
    pub(crate) fn weight(&self) -> usize {
        let described = self.described.as_deref().map_or(0, |described| {
            let names = [&described.token, &described.owner].into_iter().flatten().map(|name| name.len());
            size_of::<Described>() + names.sum::<usize>() + described.metadata.as_ref().map_or(0, Metadata::weight)
        });
        described + self.weight_of_authority()
    }

    fn weight_of_authority(&self) -> usize {
        match &self.authority {
            Authority::Admin { owner, rules } | Authority::Session { owner, rules: Some(rules) } => {
                let guards: usize = rules.iter().map(|r| r.guard.weight()).sum();
                let fields: usize = rules.iter().map(|r| r.scope.fields.weight()).sum();
                size_of_val(&**rules) + size_of_val(&*owner.roles) + guards + fields
            }
            Authority::Session { owner, rules: None } | Authority::PolicySession { owner, .. } => {
                size_of_val(&*owner.roles)
            }
            Authority::Content { access: ContentAccess::Custom(actions) } => size_of_val(&**actions),
            Authority::Content { .. } | Authority::Public { .. } => 0,
        }
    }
}

/// Returns the effective permissions of an admin token: its grants under its owner's ceiling, and under what each token
/// that it comes from may pass on (invariant token-gains-nothing).
fn effective(token: &Token, grants: &[Grant], ceiling: &Ceiling) -> Arc<[EffectivePermission]> {
    // The oldest one first.
    let mut each = token.ancestors.iter().rev().map(|ancestor| &ancestor.grants[..]).chain([grants]);
    let first = each.next().unwrap_or_default().iter().flat_map(|grant| ceiling.effect(grant));
    let Some(second) = each.next() else { return first.collect() };
    let mut rules = pass_on(&first.collect::<Vec<_>>(), second);
    for grants in each {
        rules = pass_on(&rules, grants);
    }
    rules.into()
}

/// Returns the effect of grants that are made out of effective permissions.
fn pass_on(held: &[EffectivePermission], grants: &[Grant]) -> Vec<EffectivePermission> {
    let mut rules = Vec::new();
    for grant in grants {
        for held in held.iter().filter(|held| held.concerns(&grant.scope)) {
            let Some(fields) = held.scope.fields.intersect(&grant.scope.fields) else { continue };
            let guard = held.guard.and(&ConditionExpr::all([grant.chosen.clone()]));
            let rule = EffectivePermission { scope: Scope { fields, ..held.scope.clone() }, guard };
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    rules
}

enum MatchingRules<'a> {
    None,
    All,
    Some(&'a [EffectivePermission], &'a ConditionContext, Option<&'a Resource>),
}

fn actor(owner: &Owner) -> ConditionContext {
    ConditionContext { owner: owner.id, account: owner.account.clone(), roles: owner.roles.as_slice().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ConditionClause, ConditionExpr, all_of, any_of, authenticated};

    /// Measures the heap bytes of an authority. Names of actions and resources are shared and not counted.
    fn measure(make: impl Fn() -> Authority) -> (Principal, usize) {
        let mut made = None;
        let counted = allocation_counter::measure(|| made = Some(Principal::with(make())));
        (made.unwrap(), usize::try_from(counted.bytes_current).unwrap())
    }

    #[test]
    fn a_principal_weighs_its_heap_bytes() {
        let (action, resource) = (Action::new("read"), Resource::new("article"));
        let owner =
            || ConditionContext { owner: OwnerId(7), account: None, roles: [RoleId(2), RoleId(3), RoleId(4)].into() };
        let long = "a".repeat(60);
        let rule = |fields: Option<&[&str]>, parts: &[&[&str]]| EffectivePermission {
            scope: Scope {
                action: action.clone(),
                resource: Some(resource.clone()),
                fields: fields.map_or(Fields::All, |names| Fields::only(names.iter().copied()).unwrap()),
            },
            guard: ConditionExpr::all(parts.iter().map(|ids| ConditionClause::from_list(ids.iter().copied()))),
        };
        let few =
            || [rule(None, &[]), rule(Some(&["title", "body"]), &[]), rule(None, &[&["own"], &["x", "y"]])].into();
        let long = || [rule(Some(&[&long, "b"]), &[]), rule(None, &[&[&long]])].into();
        let all: [&dyn Fn() -> Authority; 6] = [
            &|| Authority::Admin { owner: owner(), rules: few() },
            &|| Authority::Admin { owner: owner(), rules: long() },
            &|| Authority::Session { owner: owner(), rules: Some(few()) },
            &|| Authority::Session { owner: owner(), rules: None },
            &|| Authority::Content { access: ContentAccess::Custom(vec![action.clone(); 9].into()) },
            &|| Authority::Content { access: ContentAccess::FullAccess },
        ];
        for make in all {
            let (principal, bytes) = measure(make);
            // Counters of the two slices, and rounding of names, are not part of the weight.
            let least = bytes.saturating_sub(32 + bytes / 16);
            assert!((least..=bytes).contains(&principal.weight()), "{} of {bytes}", principal.weight());
        }
    }

    #[test]
    fn the_public_is_authenticated_only_if_an_action_is_public() {
        let conditions = Conditions::default();
        for (actions, verdict) in [(vec![], Verdict::Denied), (vec![Action::new("find")], Verdict::Allowed)] {
            let public = Principal::public(actions.into());
            for asked in
                [authenticated(), authenticated().whole(), any_of([authenticated()]), all_of([authenticated()])]
            {
                assert_eq!(public.verdict(&asked), verdict, "{asked:?}");
                assert_eq!(public.decide(&asked, &conditions).verdict(), verdict, "{asked:?}");
            }
        }
    }

    #[test]
    fn owned_principals_have_owner_and_roles() {
        let (owner, rules) = (
            || ConditionContext { owner: OwnerId(7), account: None, roles: [RoleId(2), RoleId(3)].into() },
            || [].into(),
        );
        let of = Principal::with;
        for owned in [
            of(Authority::Admin { owner: owner(), rules: rules() }),
            of(Authority::Session { owner: owner(), rules: None }),
        ] {
            assert_eq!((owned.owner(), owned.roles()), (Some(OwnerId(7)), &[RoleId(2), RoleId(3)][..]));
        }
        for unowned in
            [of(Authority::Content { access: ContentAccess::FullAccess }), Principal::public([Action::new("x")].into())]
        {
            assert_eq!((unowned.owner(), unowned.roles()), (None, &[][..]));
        }
    }
}
