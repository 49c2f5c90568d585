//! Coverage: whether every row that one account can access under conditions is accessible to others already.
//!
//! [`Ceiling`](super::Ceiling) compares permissions by their text. That is not enough if a condition depends on the
//! acting account: under `admin::has-same-role-as-creator` one more role gives access to more rows, though no
//! permission was added. Here conditions are compared by their predicates for each account. Predicates that cannot be
//! compared are never covered.

use super::{
    AccountKey, Action, Attribute, ConditionClause, ConditionContext, ConditionId, Conditions, Fields, OwnerId,
    Permission, Predicate, Resource, RoleId, Value,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Stands for "the account itself created the row", for any account.
const OWN: Predicate = Predicate::Is(Attribute("keyward::own"), Value::Bool(true));

/// The permissions of an account, and the account as their conditions see it.
#[derive(Debug)]
pub(crate) struct Holdings<'a> {
    held: HashMap<(&'a Action, Option<&'a Resource>), Vec<&'a Permission>>,
    actor: ConditionContext,
    /// The account has never been used, so it has created no row.
    unused: bool,
    meanings: RefCell<HashMap<ConditionId, Arc<ConditionMeaning>>>,
}

/// The meaning of a condition for an account.
#[derive(Debug)]
enum ConditionMeaning {
    Known(Predicate),
    /// The condition is not registered and denies for now. A later release may register it.
    Unknown,
}

impl<'a> Holdings<'a> {
    /// Creates the holdings of an account with these roles and permissions.
    pub(crate) fn new(owner: OwnerId, roles: &[RoleId], permissions: impl IntoIterator<Item = &'a Permission>) -> Self {
        let mut held: HashMap<_, Vec<&Permission>> = HashMap::new();
        for permission in permissions {
            held.entry((&permission.scope.action, permission.scope.resource.as_ref())).or_default().push(permission);
        }
        let mut roles = roles.to_vec();
        roles.sort_unstable();
        roles.dedup();
        let actor = ConditionContext { owner, account: None, roles: roles.into() };
        Self { held, actor, unused: false, meanings: RefCell::default() }
    }

    /// Sets the host's key of the account: conditions may depend on it.
    pub(crate) fn of_account(mut self, account: Option<&AccountKey>) -> Self {
        self.actor.account = account.cloned();
        self
    }

    /// Marks the account as never used: it has created no row.
    pub(crate) fn unused(mut self) -> Self {
        self.unused = true;
        self
    }

    /// Returns true if each row and field accessible under conditions is accessible to one of `others` too.
    ///
    /// Rows that an account created itself count as accessible to an account that holds the same permission for its own
    /// rows.
    pub(crate) fn are_covered_by(&self, others: &[&Holdings<'_>], conditions: &Conditions) -> bool {
        self.held.values().flatten().all(|permission| {
            let each = permission.when.as_slice();
            each.iter().all(|condition| {
                parts(&permission.scope.fields).iter().all(|fields| {
                    others.iter().any(|other| other.give_access(permission, fields, (self, condition), conditions))
                })
            })
        })
    }

    /// Returns true if a permission is held for these fields without any condition.
    pub(crate) fn have_always(&self, permission: &Permission) -> bool {
        parts(&permission.scope.fields).iter().all(|fields| {
            self.on(permission)
                .iter()
                .any(|held| held.when == ConditionClause::Always && held.scope.fields.covers(fields))
        })
    }

    fn on<'s>(&'s self, permission: &'s Permission) -> &'s [&'s Permission] {
        self.held.get(&(&permission.scope.action, permission.scope.resource.as_ref())).map_or(&[], Vec::as_slice)
    }

    /// Returns true if these holdings give access to the rows of `condition` for the account of `from`.
    fn give_access(
        &self,
        permission: &Permission,
        fields: &Fields,
        (from, condition): (&Holdings<'_>, &ConditionId),
        conditions: &Conditions,
    ) -> bool {
        let narrow = from.meaning(condition, conditions);
        self.on(permission).iter().filter(|held| held.scope.fields.covers(fields)).any(|held| match &held.when {
            ConditionClause::Always => true,
            ConditionClause::AnyOf(set) => {
                set.as_slice().iter().any(|own| match (&*narrow, &*self.meaning(own, conditions)) {
                    (ConditionMeaning::Known(narrow), ConditionMeaning::Known(wide)) => implies(narrow, wide),
                    (ConditionMeaning::Unknown, ConditionMeaning::Unknown) => {
                        let same = from.actor.owner == self.actor.owner && condition == own;
                        same && is_subset(&from.actor.roles, &self.actor.roles)
                    }
                    _ => false,
                })
            }
        })
    }

    fn meaning(&self, condition: &ConditionId, conditions: &Conditions) -> Arc<ConditionMeaning> {
        let mut meanings = self.meanings.borrow_mut();
        let meaning = meanings.entry(condition.clone()).or_insert_with(|| {
            let predicate = conditions.meaning(condition, &self.actor);
            Arc::new(
                predicate.map_or(ConditionMeaning::Unknown, |predicate| ConditionMeaning::Known(self.own(predicate))),
            )
        });
        Arc::clone(meaning)
    }

    /// Rewrites "created by this account" to a form that is equal for all accounts.
    fn own(&self, predicate: Predicate) -> Predicate {
        let me = Value::Int(self.actor.owner.0);
        let own = if self.unused { Predicate::Never } else { OWN };
        match predicate {
            Predicate::Is(Attribute::CREATOR_ID, value) if value == me => own,
            Predicate::IsOneOf(Attribute::CREATOR_ID, values) if values.contains(&me) => {
                let others = values.into_iter().filter(|value| *value != me).collect();
                Predicate::Any(vec![own, Predicate::IsOneOf(Attribute::CREATOR_ID, others)])
            }
            Predicate::All(parts) => Predicate::All(parts.into_iter().map(|part| self.own(part)).collect()),
            Predicate::Any(parts) => Predicate::Any(parts.into_iter().map(|part| self.own(part)).collect()),
            other => other,
        }
    }
}

impl Conditions {
    /// Returns true if rows may start to satisfy a condition because their *creator* gets one of these roles.
    ///
    /// That is so if it compares shared roles, has another meaning for an account with other roles, or is not
    /// registered.
    pub(crate) fn follows_roles(&self, condition: &ConditionId, roles: &[RoleId]) -> bool {
        let with = |roles: &[RoleId]| {
            self.meaning(condition, &ConditionContext { owner: OwnerId(0), account: None, roles: roles.into() })
        };
        let Some(without) = with(&[]) else { return true };
        let differs = |roles: &[RoleId]| with(roles).as_ref() != Some(&without);
        asks_for_roles(&without) || differs(roles) || roles.iter().any(|role| differs(std::slice::from_ref(role)))
    }
}

fn asks_for_roles(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::SharesRole(..) => true,
        Predicate::All(parts) | Predicate::Any(parts) => parts.iter().any(asks_for_roles),
        Predicate::Always | Predicate::Never | Predicate::Is(..) | Predicate::IsOneOf(..) => false,
    }
}

/// Splits fields, as each may be held by another permission; all fields can only be held together.
fn parts(fields: &Fields) -> Vec<Fields> {
    match fields {
        Fields::All => vec![Fields::All],
        Fields::Only(set) => set.as_slice().iter().filter_map(|field| Fields::only([field.clone()]).ok()).collect(),
    }
}

fn is_subset(narrow: &[RoleId], wide: &[RoleId]) -> bool {
    narrow.iter().all(|role| wide.contains(role))
}

/// Returns true if every row that satisfies `narrow` surely satisfies `wide`. May return false although that is so.
fn implies(narrow: &Predicate, wide: &Predicate) -> bool {
    use Predicate::{All, Always, Any, Is, IsOneOf, Never, SharesRole};
    match (narrow, wide) {
        (Never, _) | (_, Always) => true,
        (Any(parts), _) => parts.iter().all(|part| implies(part, wide)),
        (_, All(parts)) => parts.iter().all(|part| implies(narrow, part)),
        (All(parts), _) if parts.iter().any(|part| implies(part, wide)) => true,
        (_, Any(parts)) => parts.iter().any(|part| implies(narrow, part)),
        (Is(a, value), IsOneOf(b, values)) => a == b && values.contains(value),
        (IsOneOf(a, some), Is(b, value)) => (a == b && some.iter().all(|s| s == value)) || some.is_empty(),
        (IsOneOf(a, some), IsOneOf(b, values)) => {
            (a == b && some.iter().all(|s| values.contains(s))) || some.is_empty()
        }
        (SharesRole(a, narrow), SharesRole(b, wide)) => a == b && is_subset(&narrow.roles, &wide.roles),
        _ => narrow == wide,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR};

    fn read(conditions: &[&str]) -> Permission {
        Permission::new("read").on("article").when(ConditionClause::from_list(conditions.iter().copied()))
    }

    fn roles(ids: &[i64]) -> Vec<RoleId> {
        ids.iter().map(|id| RoleId(*id)).collect()
    }

    fn conditions() -> Conditions {
        Conditions::default()
            .register("flag", |_| Predicate::Is(Attribute("flag"), Value::Bool(true)))
            .register("team", |a| {
                Predicate::IsOneOf(Attribute("team"), a.roles.iter().map(|r| Value::Int(r.0)).collect())
            })
            .register("assigned", |a| Predicate::Is(Attribute("assignee"), Value::Int(a.owner.0)))
            .register("untrained", |a| if a.roles.contains(&RoleId(9)) { Predicate::Never } else { Predicate::Always })
    }

    /// Returns true if account 7 under `wide` covers account 8 with these roles under `narrow`.
    fn covered(unused: bool, narrow: (&[&str], &[i64]), wide: (&[&str], &[i64])) -> bool {
        let (target, actor) = (read(narrow.0), read(wide.0));
        let target = Holdings::new(OwnerId(8), &roles(narrow.1), [&target]);
        let actor = Holdings::new(OwnerId(7), &roles(wide.1), [&actor]);
        let target = if unused { target.unused() } else { target };
        target.are_covered_by(&[&actor], &conditions())
    }

    #[test]
    fn a_shared_role_is_covered_by_the_same_roles_and_more() {
        let same = &[HAS_SAME_ROLE_AS_CREATOR][..];
        for condition in [same, &["team"]] {
            assert!(covered(true, (condition, &[2]), (condition, &[3, 2])));
            assert!(!covered(true, (condition, &[2, 4]), (condition, &[2, 3])));
            assert!(covered(false, (condition, &[2, 4]), (&[], &[])), "without a condition every row is reached");
        }
    }

    #[test]
    fn own_rows_are_equal_for_all_accounts_and_empty_for_an_unused_one() {
        assert!(covered(false, (&[IS_CREATOR], &[2]), (&[IS_CREATOR], &[])));
        assert!(covered(true, (&[IS_CREATOR], &[2]), (&["flag"], &[])));
        assert!(!covered(false, (&[IS_CREATOR], &[2]), (&["flag"], &[])));
    }

    #[test]
    fn rows_of_an_account_by_another_attribute_are_not_covered() {
        assert!(!covered(true, (&["assigned"], &[2]), (&["assigned"], &[2])));
        assert!(covered(true, (&["flag"], &[2]), (&["flag"], &[3])));
        assert!(!covered(true, (&["untrained"], &[2]), (&["untrained"], &[9])), "fewer roles may give more rows");
    }

    #[test]
    fn an_unregistered_condition_is_covered_only_by_the_same_account_and_roles() {
        let unknown = read(&["no::such"]);
        let of = |owner: i64, ids: &[i64]| Holdings::new(OwnerId(owner), &roles(ids), [&unknown]);
        let covered = |narrow: &Holdings<'_>, wide: &Holdings<'_>| narrow.are_covered_by(&[wide], &conditions());
        assert!(covered(&of(7, &[2]), &of(7, &[2, 3])));
        assert!(!covered(&of(7, &[2, 4]), &of(7, &[2])));
        assert!(!covered(&of(8, &[2]).unused(), &of(7, &[2])));
    }

    #[test]
    fn each_condition_and_each_field_has_to_be_covered() {
        assert!(!covered(true, (&["flag", HAS_SAME_ROLE_AS_CREATOR], &[2]), (&["flag"], &[2])));
        let only = |names: &[&str]| Fields::only(names.iter().copied()).unwrap();
        let target = [read(&["flag"]).fields(only(&["title", "body"]))];
        let held = [read(&["flag"]).fields(only(&["title"])), read(&[]).fields(only(&["body"]))];
        let target = Holdings::new(OwnerId(8), &[], &target);
        let covered =
            |held: &[Permission]| target.are_covered_by(&[&Holdings::new(OwnerId(7), &[], held)], &conditions());
        assert!(covered(&held) && !covered(&held[..1]) && !covered(&held[1..]));
        let of_two = [&Holdings::new(OwnerId(7), &[], &held[..1]), &Holdings::new(OwnerId(6), &[], &held[1..])];
        assert!(target.are_covered_by(&of_two, &conditions()));
    }

    #[test]
    fn have_always_requires_unconditional_permissions() {
        let only = |names: &[&str]| Fields::only(names.iter().copied()).unwrap();
        let held = [read(&[]).fields(only(&["title"])), read(&["flag"])];
        let held = Holdings::new(OwnerId(7), &[], &held);
        assert!(held.have_always(&read(&["flag"]).fields(only(&["title"]))));
        assert!(!held.have_always(&read(&[])) && !held.have_always(&read(&[]).fields(only(&["title", "body"]))));
    }

    #[test]
    fn conditions_on_roles_are_distinguished_from_conditions_on_the_row() {
        let conditions = conditions();
        let follows = |id: &str| conditions.follows_roles(&ConditionId::new(id), &roles(&[2, 9]));
        assert!([HAS_SAME_ROLE_AS_CREATOR, "team", "untrained", "no::such"].into_iter().all(follows));
        assert!(!["flag", "assigned", IS_CREATOR].into_iter().any(follows));
    }

    #[test]
    fn implies_is_conservative() {
        use Predicate::{All, Any, Is, IsOneOf, Never};
        let is = |name: &'static str, n: i64| Is(Attribute(name), Value::Int(n));
        let one_of = |ns: &[i64]| IsOneOf(Attribute("a"), ns.iter().map(|n| Value::Int(*n)).collect());
        let (a1, b1) = (is("a", 1), is("b", 1));
        let both = All(vec![a1.clone(), b1.clone()]);
        let either = Any(vec![a1.clone(), b1.clone()]);
        for (narrow, wide) in [
            (&both, &a1),
            (&a1, &either),
            (&both, &either),
            (&both, &both),
            (&either, &either),
            (&a1, &one_of(&[1, 2])),
            (&one_of(&[1]), &one_of(&[2, 1])),
            (&one_of(&[1]), &a1),
            (&one_of(&[]), &b1),
            (&Never, &a1),
            (&Any(vec![]), &a1),
        ] {
            assert!(implies(narrow, wide), "{narrow:?} {wide:?}");
        }
        for (narrow, wide) in [
            (&a1, &both),
            (&either, &a1),
            (&either, &both),
            (&one_of(&[1, 3]), &one_of(&[1, 2])),
            (&is("a", 2), &a1),
            (&All(vec![]), &a1),
            (&a1, &Any(vec![])),
        ] {
            assert!(!implies(narrow, wide), "{narrow:?} {wide:?}");
        }
    }
}
