//! Evaluates permissions from roles, rows and conditions. It uses only the data types of the crate.

use crate::escalation::setting::{
    ACTIONS, ASSIGNED, CONDITIONS, FIELDS, FLAG, GUILD, GUILD_ROLE, PLAIN, Row, TEAM, TRAINEE, TRAINEE_ROLE,
};
use keyward::admin::OwnerState;
use keyward::authz::{Fields, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR};
use keyward::store::{OwnerQuery, Paging, TokenQuery, WriteStore};
use keyward::testing::World;
use keyward::token::TokenKind;
use keyward::{OwnerId, Permission, RoleId};
use std::collections::{BTreeMap, BTreeSet};

/// Roles, accounts and owners of admin tokens at one moment.
pub(crate) struct State {
    pub(crate) roles: BTreeMap<RoleId, Vec<Permission>>,
    pub(crate) owners: BTreeMap<OwnerId, (Vec<RoleId>, OwnerState)>,
    pub(crate) token_owners: Vec<OwnerId>,
}

/// The rows and fields that an account may read and change, and the permissions that it may grant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Power {
    /// Action, field and index of the row. The field `None` stands for one that is added later, which only "all fields" covers.
    pub(crate) rows: BTreeSet<(&'static str, Option<&'static str>, usize)>,
    /// Grantable: action, field (`None` for all) and condition (`None` for none).
    pub(crate) grants: BTreeSet<(&'static str, Option<&'static str>, Option<&'static str>)>,
    /// Everything.
    pub(crate) unlimited: bool,
}

impl State {
    pub(crate) async fn of<S: WriteStore>(world: &World<S>) -> Self {
        let mut view = world.keyward.store().view().await.unwrap();
        let paging = Paging { page: 1, page_size: 1000 };
        let query = OwnerQuery::all(paging);
        let all = TokenQuery { paging, ..TokenQuery::of(TokenKind::Admin) };
        let owners = view.owners(&query).await.unwrap().items.into_iter().map(|o| (o.id, (o.roles, o.state)));
        Self {
            owners: owners.collect(),
            roles: view.roles().await.unwrap().into_iter().map(|(r, _)| (r.id, r.permissions)).collect(),
            token_owners: view.tokens(&all).await.unwrap().items.iter().filter_map(|t| t.owner()).collect(),
        }
    }

    fn roles_of(&self, owner: OwnerId) -> &[RoleId] {
        self.owners.get(&owner).map_or(&[], |(roles, _)| roles)
    }

    pub(crate) fn permissions_of(&self, owner: OwnerId) -> impl Iterator<Item = &Permission> {
        self.roles_of(owner).iter().filter_map(|role| self.roles.get(role)).flatten()
    }

    /// Returns the permissions of an account, also of a deactivated one: it could be reactivated.
    pub(crate) fn power(&self, owner: OwnerId, rows: &[Row]) -> Power {
        let mut power = Power { unlimited: self.roles_of(owner).contains(&RoleId::SUPER_ADMIN), ..Power::default() };
        for permission in self.permissions_of(owner) {
            let conditions = permission.when.as_slice();
            for action in ACTIONS.into_iter().filter(|a| is_on_article(permission, a)) {
                for field in fields(permission) {
                    for (n, row) in rows.iter().enumerate() {
                        let holds = |c: &keyward::authz::ConditionId| self.holds(c.as_str(), owner, row);
                        if conditions.is_empty() || conditions.iter().any(holds) {
                            power.rows.insert((action, field, n));
                        }
                    }
                    for condition in CONDITIONS.map(Some).into_iter().chain([None]) {
                        let named = |c: &keyward::authz::ConditionId| Some(c.as_str()) == condition;
                        if conditions.is_empty() || conditions.iter().any(named) {
                            power.grants.insert((action, field, condition));
                        }
                    }
                }
            }
            for action in PLAIN.into_iter().filter(|a| permission.scope.action.as_str() == *a) {
                power.grants.insert((action, None, None));
            }
        }
        power
    }

    /// Returns whether a condition holds for an account and a row.
    fn holds(&self, condition: &str, owner: OwnerId, row: &Row) -> bool {
        let roles = self.roles_of(owner);
        match condition {
            IS_CREATOR => row.creator == owner,
            HAS_SAME_ROLE_AS_CREATOR => self.roles_of(row.creator).iter().any(|role| roles.contains(role)),
            FLAG => row.flag,
            TEAM => roles.contains(&row.team),
            GUILD => roles.contains(&GUILD_ROLE) && self.roles_of(row.creator).contains(&GUILD_ROLE),
            TRAINEE => !roles.contains(&TRAINEE_ROLE),
            ASSIGNED => row.assignee == owner,
            other => panic!("{other}"),
        }
    }
}

impl Power {
    /// Returns the part of this that the other does not include.
    pub(crate) fn beyond(&self, other: &Self) -> Option<String> {
        let super_admin = (self.unlimited && !other.unlimited).then(|| "everything".to_owned());
        let row = || self.rows.difference(&other.rows).next().map(|row| format!("row {row:?}"));
        let grant = || self.grants.difference(&other.grants).next().map(|grant| format!("grant {grant:?}"));
        super_admin.or_else(row).or_else(grant)
    }
}

fn is_on_article(permission: &Permission, action: &str) -> bool {
    permission.scope.action.as_str() == action && permission.scope.resource.is_some()
}

fn fields(permission: &Permission) -> Vec<Option<&'static str>> {
    let named = FIELDS.into_iter().filter(|field| match &permission.scope.fields {
        Fields::All => true,
        Fields::Only(set) => set.contains(field),
    });
    named.map(Some).chain((permission.scope.fields == Fields::All).then_some(None)).collect()
}
