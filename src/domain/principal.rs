//! Principals: the resolved caller.

use super::requirement::{Asked, ResourceOf};
use super::{
    Action, Ceiling, ConditionContext, Conditions, ContentAccess, Decision, DecisionRule, EffectivePermission, Fields,
    Owner, OwnerId, Requirement, Resource, RoleId, Token, TokenAuthority, TokenId, TokenKind, Verdict,
};
use std::sync::Arc;

/// The resolved caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    token: Option<TokenId>,
    authority: Authority,
}

/// What a principal stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Authority {
    /// An admin token: its grants met with its owner's permissions. Never super admin, whatever its owner is.
    Admin {
        /// Its owner.
        owner: ConditionContext,
        /// What it may do.
        rules: Arc<[EffectivePermission]>,
    },
    /// A signed-in person.
    Session {
        /// Who.
        owner: ConditionContext,
        /// What they may do; `None`: a super admin, everything.
        rules: Option<Arc<[EffectivePermission]>>,
    },
    /// A content token.
    Content {
        /// What it may do.
        access: ContentAccess,
    },
    /// Nobody, in a content group.
    Public {
        /// The actions that are public.
        actions: Arc<[Action]>,
    },
}

impl Principal {
    /// The principal of a stored token; `None` if it is owned and its owner is gone.
    pub fn of(token: &Token, owner: Option<(&Owner, &Ceiling)>) -> Option<Self> {
        let authority = match &token.authority {
            TokenAuthority::Content { access } => Authority::Content { access: access.clone() },
            TokenAuthority::Admin { owner: id, grants } => {
                let (owner, ceiling) = owner.filter(|(o, _)| o.id == *id)?;
                let rules = grants.iter().flat_map(|g| ceiling.effect(g)).collect();
                Authority::Admin { owner: actor(owner), rules }
            }
            TokenAuthority::Session { owner: id, .. } => {
                let (owner, ceiling) = owner.filter(|(o, _)| o.id == *id)?;
                let rules = match ceiling {
                    Ceiling::Unlimited => None,
                    Ceiling::Of(permissions) => Some(permissions.iter().map(EffectivePermission::from).collect()),
                };
                Authority::Session { owner: actor(owner), rules }
            }
        };
        Some(Self { token: Some(token.id), authority })
    }

    /// Nobody, who may do these content actions.
    pub fn public(actions: Arc<[Action]>) -> Self {
        Self { token: None, authority: Authority::Public { actions } }
    }

    /// Somebody who stands for this, for tests of what becomes of rules.
    #[cfg(test)]
    pub(crate) fn with(authority: Authority) -> Self {
        Self { token: Some(TokenId(1)), authority }
    }

    /// The token's id; `None` for the public.
    pub fn token(&self) -> Option<TokenId> {
        self.token
    }

    /// The token's kind; `None` for the public.
    pub fn kind(&self) -> Option<TokenKind> {
        match self.authority {
            Authority::Admin { .. } => Some(TokenKind::Admin),
            Authority::Session { .. } => Some(TokenKind::Session),
            Authority::Content { .. } => Some(TokenKind::Content),
            Authority::Public { .. } => None,
        }
    }

    /// What it stands for.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The owner's id; content tokens and the public have none.
    pub fn owner(&self) -> Option<OwnerId> {
        self.actor().map(|a| a.owner)
    }

    /// The owner's roles; empty where there is no owner.
    pub fn roles(&self) -> &[RoleId] {
        self.actor().map_or(&[], |a| &a.roles)
    }

    fn actor(&self) -> Option<&ConditionContext> {
        match &self.authority {
            Authority::Admin { owner, .. } | Authority::Session { owner, .. } => Some(owner),
            Authority::Content { .. } | Authority::Public { .. } => None,
        }
    }

    /// How `requirement` is answered, in one word.
    pub fn verdict(&self, requirement: &Requirement) -> Verdict {
        match &requirement.0 {
            Asked::Authenticated => self.authenticated(),
            Asked::Action(action, resource) => self.verdict_on(action, resource),
            Asked::AnyOf(list) => list.iter().map(|r| self.verdict(r)).max().unwrap_or(Verdict::Refused),
            Asked::AllOf(list) => match list.iter().map(|r| self.verdict(r)).min().unwrap_or(Verdict::Refused) {
                // Parts of which each allows something may allow nothing together.
                Verdict::Partial => self.decide(requirement, &Conditions::none()).verdict(),
                verdict => verdict,
            },
            Asked::Whole(inner) => match self.verdict(inner) {
                Verdict::Allowed => Verdict::Allowed,
                Verdict::Partial | Verdict::Refused => Verdict::Refused,
            },
        }
    }

    /// The rules that answer `requirement`, with what their conditions mean for this principal.
    pub fn decide(&self, requirement: &Requirement, conditions: &Conditions) -> Decision {
        match &requirement.0 {
            Asked::Authenticated if self.authenticated() == Verdict::Allowed => Decision::everything(),
            Asked::Authenticated => Decision::refused(),
            Asked::Action(action, resource) => match self.scope(action, resource) {
                RulesFor::Nothing => Decision::refused(),
                RulesFor::Everything => Decision::everything(),
                RulesFor::Rules(rules, actor, resource) => {
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
            Asked::Whole(_) => Decision::refused(),
            Asked::AnyOf(list) => {
                list.iter().map(|r| self.decide(r, conditions)).reduce(Decision::or).unwrap_or_default()
            }
            Asked::AllOf(list) => {
                list.iter().map(|r| self.decide(r, conditions)).reduce(|a, b| a.and(&b)).unwrap_or_default()
            }
        }
    }

    /// "Any valid principal" does not count the public where nothing is public.
    fn authenticated(&self) -> Verdict {
        match &self.authority {
            Authority::Public { actions } if actions.is_empty() => Verdict::Refused,
            _ => Verdict::Allowed,
        }
    }

    fn verdict_on(&self, action: &Action, resource: &ResourceOf) -> Verdict {
        let (rules, resource) = match self.scope(action, resource) {
            RulesFor::Nothing => return Verdict::Refused,
            RulesFor::Everything => return Verdict::Allowed,
            RulesFor::Rules(rules, _, resource) => (rules, resource),
        };
        let mut verdict = Verdict::Refused;
        for rule in rules.iter().filter(|r| r.scope.action == *action && r.scope.resource.as_ref() == resource) {
            if rule.scope.fields == Fields::All && rule.guard.is_always() {
                return Verdict::Allowed;
            }
            verdict = Verdict::Partial;
        }
        verdict
    }

    fn scope<'a>(&'a self, action: &Action, resource: &'a ResourceOf) -> RulesFor<'a> {
        let resource = match resource {
            ResourceOf::None => None,
            ResourceOf::Fixed(resource) => Some(resource),
            ResourceOf::Param(_) => return RulesFor::Nothing,
        };
        let all_or_nothing = |yes| if yes { RulesFor::Everything } else { RulesFor::Nothing };
        match &self.authority {
            Authority::Content { access } => all_or_nothing(access.allows(action)),
            Authority::Public { actions } => all_or_nothing(actions.contains(action)),
            Authority::Session { rules: None, .. } => RulesFor::Everything,
            Authority::Admin { owner, rules } | Authority::Session { owner, rules: Some(rules) } => {
                RulesFor::Rules(rules, owner, resource)
            }
        }
    }

    /// The same principal with these rules instead, of which those without any are left out.
    pub(crate) fn map_rules(mut self, rule: impl Fn(&EffectivePermission) -> Option<EffectivePermission>) -> Self {
        match &mut self.authority {
            Authority::Admin { rules, .. } | Authority::Session { rules: Some(rules), .. } => {
                *rules = rules.iter().filter_map(rule).collect();
            }
            Authority::Session { rules: None, .. } | Authority::Content { .. } | Authority::Public { .. } => {}
        }
        self
    }

    /// Bytes on the heap, roughly: what it weighs in the cache.
    pub(crate) fn weight(&self) -> usize {
        match &self.authority {
            Authority::Admin { owner, rules } | Authority::Session { owner, rules: Some(rules) } => {
                let guards: usize = rules.iter().map(|r| r.guard.weight()).sum();
                let fields: usize = rules.iter().map(|r| r.scope.fields.weight()).sum();
                size_of_val(&**rules) + size_of_val(&*owner.roles) + guards + fields
            }
            Authority::Session { owner, rules: None } => size_of_val(&*owner.roles),
            Authority::Content { access: ContentAccess::Custom(actions) } => size_of_val(&**actions),
            Authority::Content { .. } | Authority::Public { .. } => 0,
        }
    }
}

enum RulesFor<'a> {
    Nothing,
    Everything,
    Rules(&'a [EffectivePermission], &'a ConditionContext, Option<&'a Resource>),
}

fn actor(owner: &Owner) -> ConditionContext {
    ConditionContext { owner: owner.id, roles: owner.roles.as_slice().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Scope;
    use crate::domain::{ConditionClause, ConditionExpr, all_of, any_of, authenticated};

    /// What is made here, all of it new but for names of actions and subjects: those are shared.
    fn held(make: impl Fn() -> Authority) -> (Principal, usize) {
        let mut made = None;
        let counted = allocation_counter::measure(|| made = Some(Principal::with(make())));
        (made.unwrap(), usize::try_from(counted.bytes_current).unwrap())
    }

    #[test]
    fn a_principal_weighs_what_it_holds() {
        let (action, resource) = (Action::new("read"), Resource::new("article"));
        let owner = || ConditionContext { owner: OwnerId(7), roles: [RoleId(2), RoleId(3), RoleId(4)].into() };
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
            let (principal, bytes) = held(make);
            // The counters of the two slices and what rounds a name up are not looked at.
            let least = bytes.saturating_sub(32 + bytes / 16);
            assert!((least..=bytes).contains(&principal.weight()), "{} of {bytes}", principal.weight());
        }
    }

    #[test]
    fn the_public_is_somebody_where_something_is_public() {
        let conditions = Conditions::default();
        for (actions, verdict) in [(vec![], Verdict::Refused), (vec![Action::new("find")], Verdict::Allowed)] {
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
    fn who_calls_is_said_of_everybody_who_is_somebody() {
        let (owner, rules) =
            (|| ConditionContext { owner: OwnerId(7), roles: [RoleId(2), RoleId(3)].into() }, || [].into());
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
