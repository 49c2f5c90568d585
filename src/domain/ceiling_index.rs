//! An index of a ceiling by action and resource, to check many grants or permissions in linear time.

use super::ceiling::{BeyondCeiling, Ceiling, CeilingPolicy, Excess, describe};
use super::{Action, ConditionClause, ConditionId, Field, Fields, Grant, Permission, Resource};
use std::collections::{HashMap, HashSet};

/// A ceiling by action and resource. Its methods return the same as those of [`Ceiling`].
pub(crate) enum CeilingIndex<'c> {
    /// A super admin's.
    Unlimited,
    Of(HashMap<Target<'c>, Holding<'c>>),
    Policy(&'c CeilingPolicy),
}

/// The holding for one action on one resource.
enum Held<'i> {
    Nothing,
    Part(&'i Holding<'i>),
    /// All fields, under no condition.
    Everything,
}

type Target<'c> = (&'c Action, Option<&'c Resource>);

/// The permissions for one action on one resource.
#[derive(Default)]
pub(crate) struct Holding<'c> {
    /// The conditions under which all fields are held, if they are.
    whole: Option<ConditionMask>,
    /// The conditions under which each describe field is held.
    fields: HashMap<&'c str, ConditionMask>,
    /// The conditions by their bits in [`ConditionMask`].
    conditions: Vec<&'c ConditionId>,
    bits: HashMap<&'c ConditionId, usize>,
}

/// A set of conditions, any of which suffices, as bits.
#[derive(Clone, Default)]
struct ConditionMask {
    always: bool,
    bits: Vec<u64>,
}

impl ConditionMask {
    fn add(&mut self, other: &Self) {
        self.always |= other.always;
        if self.bits.len() < other.bits.len() {
            self.bits.resize(other.bits.len(), 0);
        }
        self.bits.iter_mut().zip(&other.bits).for_each(|(own, other)| *own |= other);
    }

    fn has(&self, bit: usize) -> bool {
        self.bits.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }
}

impl<'c> CeilingIndex<'c> {
    pub(super) fn of(ceiling: &'c Ceiling) -> Self {
        match ceiling {
            Ceiling::Unlimited => Self::Unlimited,
            Ceiling::Of(permissions) => Self::over(permissions.iter()),
            Ceiling::Policy(policy) => Self::Policy(policy),
        }
    }

    pub(super) fn over(permissions: impl Iterator<Item = &'c Permission>) -> Self {
        let mut held: HashMap<Target<'c>, Holding<'c>> = HashMap::new();
        for permission in permissions {
            held.entry((&permission.scope.action, permission.scope.resource.as_ref())).or_default().add(permission);
        }
        Self::Of(held)
    }

    fn held<'i>(&'i self, action: &'i Action, resource: Option<&'i Resource>) -> Held<'i> {
        match self {
            Self::Unlimited => Held::Everything,
            Self::Of(held) => held.get(&(action, resource)).map_or(Held::Nothing, Held::Part),
            Self::Policy(policy) if policy.allows(action, resource) => Held::Everything,
            Self::Policy(_) => Held::Nothing,
        }
    }

    /// Checks a grant like [`Ceiling::check`].
    pub(crate) fn check(&self, grant: &Grant) -> Result<(), BeyondCeiling> {
        let (action, resource) = (&grant.scope.action, grant.scope.resource.as_ref());
        let excess = match self.held(action, resource) {
            Held::Nothing => Some(Excess::Action),
            Held::Part(held) => held.excess(&grant.scope.fields),
            Held::Everything => None,
        };
        excess.map_or(Ok(()), |excess| Err(beyond(excess, action, resource)))
    }

    /// Checks a permission like [`Ceiling::check_delegation`].
    pub(crate) fn check_delegation(&self, permission: &Permission) -> Result<(), BeyondCeiling> {
        let (action, resource) = (&permission.scope.action, permission.scope.resource.as_ref());
        let excess = match self.held(action, resource) {
            Held::Nothing => Some(Excess::Action),
            Held::Part(held) => held.excess(&permission.scope.fields).or_else(|| {
                let given = held.gives(&permission.scope.fields, &permission.when);
                (!given).then_some(Excess::Conditions)
            }),
            Held::Everything => None,
        };
        excess.map_or(Ok(()), |excess| Err(beyond(excess, action, resource)))
    }

    /// Returns true if a grant has any effect: if [`Ceiling::effect`] is not empty.
    #[cfg(feature = "people")]
    pub(crate) fn meets(&self, grant: &Grant) -> bool {
        match (self.held(&grant.scope.action, grant.scope.resource.as_ref()), &grant.scope.fields) {
            (Held::Nothing, _) => false,
            (Held::Part(held), Fields::Only(set)) if held.whole.is_none() => {
                set.as_slice().iter().any(|field| held.fields.contains_key(field.as_str()))
            }
            (Held::Part(_) | Held::Everything, _) => true,
        }
    }

    /// Returns the fields held for an action on a resource under any condition; `None` if the action is not held.
    #[cfg_attr(not(feature = "ui"), allow(dead_code, reason = "for the pages"))]
    pub(crate) fn fields(&self, action: &Action, resource: Option<&Resource>) -> Option<Fields> {
        match self.held(action, resource) {
            Held::Nothing => None,
            Held::Part(Holding { whole: None, fields, .. }) => Fields::only(fields.keys().copied()).ok(),
            Held::Part(_) | Held::Everything => Some(Fields::All),
        }
    }

    /// Returns the conditions to display for a grant.
    ///
    /// These are the chosen ones; else none if unconditional permissions cover its fields; else those of all
    /// permissions that it intersects.
    pub(crate) fn shown_conditions(&self, grant: &Grant) -> Vec<ConditionId> {
        if grant.chosen != ConditionClause::Always {
            return grant.chosen.as_slice().to_vec();
        }
        match self.held(&grant.scope.action, grant.scope.resource.as_ref()) {
            Held::Part(held) => held.shown(&grant.scope.fields),
            Held::Nothing | Held::Everything => Vec::new(),
        }
    }
}

fn beyond(excess: Excess, action: &Action, resource: Option<&Resource>) -> BeyondCeiling {
    BeyondCeiling { excess, of: describe(action, resource) }
}

impl<'c> Holding<'c> {
    fn add(&mut self, permission: &'c Permission) {
        let masks = match &permission.when {
            ConditionClause::Always => ConditionMask { always: true, bits: Vec::new() },
            ConditionClause::AnyOf(set) => {
                let mut masks = ConditionMask::default();
                for id in set.as_slice() {
                    let bit = *self.bits.entry(id).or_insert_with(|| {
                        self.conditions.push(id);
                        self.conditions.len() - 1
                    });
                    if masks.bits.len() <= bit / 64 {
                        masks.bits.resize(bit / 64 + 1, 0);
                    }
                    masks.bits[bit / 64] |= 1 << (bit % 64);
                }
                masks
            }
        };
        match &permission.scope.fields {
            Fields::All => self.whole.get_or_insert_default().add(&masks),
            Fields::Only(set) => {
                set.as_slice().iter().for_each(|field| self.fields.entry(field.as_str()).or_default().add(&masks));
            }
        }
    }

    /// Returns what is lacking of these fields, under any condition.
    fn excess(&self, fields: &Fields) -> Option<Excess> {
        match fields {
            _ if self.whole.is_some() => None,
            Fields::All => Some(Excess::AllFields),
            Fields::Only(set) => {
                let lacking: Vec<Field> =
                    set.as_slice().iter().filter(|f| !self.fields.contains_key(f.as_str())).cloned().collect();
                (!lacking.is_empty()).then_some(Excess::Fields(lacking))
            }
        }
    }

    /// Returns the condition sets under which one field, or all, is held.
    fn masks(&self, field: Option<&Field>) -> impl Iterator<Item = &ConditionMask> {
        self.whole.iter().chain(field.and_then(|field| self.fields.get(field.as_str())))
    }

    /// Returns true if each field is held under each condition by itself: a row may satisfy only one of them.
    fn gives(&self, fields: &Fields, when: &ConditionClause) -> bool {
        let enough = |field: Option<&Field>| match when {
            _ if self.masks(field).any(|masks| masks.always) => true,
            ConditionClause::Always => false,
            ConditionClause::AnyOf(set) => set
                .as_slice()
                .iter()
                .all(|id| self.bits.get(id).is_some_and(|bit| self.masks(field).any(|masks| masks.has(*bit)))),
        };
        match fields {
            Fields::All => enough(None),
            Fields::Only(set) => set.as_slice().iter().all(|field| enough(Some(field))),
        }
    }

    fn shown(&self, fields: &Fields) -> Vec<ConditionId> {
        if self.gives(fields, &ConditionClause::Always) {
            return Vec::new();
        }
        let mut relevant = ConditionMask::default();
        match fields {
            Fields::All => self.whole.iter().chain(self.fields.values()).for_each(|masks| relevant.add(masks)),
            Fields::Only(set) => {
                set.as_slice().iter().flat_map(|field| self.masks(Some(field))).for_each(|masks| relevant.add(masks));
            }
        }
        let bits = self.conditions.iter().enumerate();
        let mut shown: Vec<ConditionId> =
            bits.filter(|(bit, _)| relevant.has(*bit)).map(|(_, id)| (*id).clone()).collect();
        shown.sort_unstable();
        shown
    }
}

impl Ceiling {
    /// Builds an index, for many checks.
    pub(crate) fn index(&self) -> CeilingIndex<'_> {
        CeilingIndex::of(self)
    }

    /// Returns true if everything that `other` holds is within this ceiling.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unlimited, _) => true,
            (Self::Of(_) | Self::Policy(_), Self::Unlimited) | (Self::Of(_), Self::Policy(_)) => false,
            (Self::Policy(policy), Self::Policy(other)) => policy == other,
            (Self::Policy(policy), Self::Of(others)) => {
                others.iter().all(|p| policy.allows(&p.scope.action, p.scope.resource.as_ref()))
            }
            (Self::Of(held), Self::Of(others)) => {
                let asked: HashSet<Target<'_>> =
                    others.iter().map(|p| (&p.scope.action, p.scope.resource.as_ref())).collect();
                let index = CeilingIndex::over(
                    held.iter().filter(|p| asked.contains(&(&p.scope.action, p.scope.resource.as_ref()))),
                );
                others.iter().all(|permission| index.check_delegation(permission).is_ok())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rules as they are specified, one by one.
    mod plain {
        use super::*;

        fn concerning<'p>(held: &'p [Permission], of: &'p Permission) -> Vec<&'p Permission> {
            held.iter().filter(|p| p.scope.action == of.scope.action && p.scope.resource == of.scope.resource).collect()
        }

        pub(super) fn check(held: &[Permission], asked: &Permission) -> Result<(), Excess> {
            let held = concerning(held, asked);
            match &asked.scope.fields {
                _ if held.is_empty() => Err(Excess::Action),
                Fields::All if held.iter().any(|p| p.scope.fields == Fields::All) => Ok(()),
                Fields::All => Err(Excess::AllFields),
                Fields::Only(set) => {
                    let lacks = |f: &&Field| !held.iter().any(|h| h.scope.fields.contains(f.as_str()));
                    let lacking: Vec<Field> = set.as_slice().iter().filter(lacks).cloned().collect();
                    if lacking.is_empty() { Ok(()) } else { Err(Excess::Fields(lacking)) }
                }
            }
        }

        pub(super) fn check_delegation(held: &[Permission], gift: &Permission) -> Result<(), Excess> {
            check(held, gift)?;
            let held = concerning(held, gift);
            let enough = |fields: &Fields, condition: Option<&ConditionId>| {
                held.iter().any(|p| {
                    let under =
                        p.when == ConditionClause::Always || condition.is_some_and(|c| p.when.as_slice().contains(c));
                    under && p.scope.fields.covers(fields)
                })
            };
            let conditions: Vec<Option<&ConditionId>> = match &gift.when {
                ConditionClause::Always => vec![None],
                ConditionClause::AnyOf(set) => set.as_slice().iter().map(Some).collect(),
            };
            let each: Vec<Fields> = match &gift.scope.fields {
                Fields::All => vec![Fields::All],
                Fields::Only(set) => set.as_slice().iter().map(|f| Fields::only([f.clone()]).unwrap()).collect(),
            };
            let all = each.iter().all(|fields| conditions.iter().all(|c| enough(fields, *c)));
            if all { Ok(()) } else { Err(Excess::Conditions) }
        }

        pub(super) fn shown(held: &[Permission], asked: &Permission) -> Vec<ConditionId> {
            let met = concerning(held, asked);
            let unconditional =
                met.iter().filter(|p| p.when == ConditionClause::Always).map(|p| p.scope.fields.clone());
            if unconditional.reduce(|a, b| a.union(&b)).is_some_and(|f| f.covers(&asked.scope.fields)) {
                return Vec::new();
            }
            let relevant = met.iter().filter(|p| p.scope.fields.intersect(&asked.scope.fields).is_some());
            let mut shown: Vec<ConditionId> = relevant.flat_map(|p| p.when.as_slice().iter().cloned()).collect();
            shown.sort_unstable();
            shown.dedup();
            shown
        }
    }

    fn permission() -> impl Strategy<Value = Permission> {
        let fields = proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3);
        let fields = fields.prop_map(|fields| Fields::only(fields).unwrap_or(Fields::All));
        let when =
            proptest::sample::subsequence(vec!["own", "shared", "late"], 0..=3).prop_map(ConditionClause::from_list);
        let resource = proptest::option::of(Just("article"));
        let action = proptest::sample::select(vec!["read", "write"]);
        (action, resource, fields, when).prop_map(|(action, resource, fields, when)| {
            let permission = Permission::new(action).fields(fields).when(when);
            resource.map_or(permission.clone(), |resource| permission.on(resource))
        })
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_the_plain_rules(held in proptest::collection::vec(permission(), 0..8), asked in permission()) {
            let ceiling = Ceiling::Of(held.clone());
            let (index, grant) = (ceiling.index(), Grant::from(&asked));
            prop_assert_eq!(index.check(&grant).map_err(|e| e.excess), plain::check(&held, &asked));
            prop_assert_eq!(ceiling.check(&grant).map_err(|e| e.excess), plain::check(&held, &asked));
            let gift = plain::check_delegation(&held, &asked);
            prop_assert_eq!(index.check_delegation(&asked).map_err(|e| e.excess), gift.clone());
            prop_assert_eq!(ceiling.covers(&Ceiling::Of(vec![asked.clone()])), gift.is_ok());
            let all = held.iter().filter(|p| p.scope.action == asked.scope.action && p.scope.resource == asked.scope.resource);
            let union = all.map(|p| p.scope.fields.clone()).reduce(|a, b| a.union(&b));
            prop_assert_eq!(index.fields(&asked.scope.action, asked.scope.resource.as_ref()), union);
            prop_assert_eq!(index.meets(&grant), !ceiling.effect(&grant).is_empty());
            prop_assert_eq!(index.shown_conditions(&grant), plain::shown(&held, &asked));
        }
    }

    proptest! {
        /// A policy is the same as the list of all that it allows.
        #[test]
        fn a_policy_is_like_the_permissions_that_it_allows(allowed in proptest::collection::hash_set((0..2_usize, 0..2_usize), 0..4), asked in permission(), others in proptest::collection::vec(permission(), 0..4)) {
            let (actions, resources) = (["read", "write"], [None, Some("article")]);
            let whole = |(a, r): &(usize, usize)| {
                let permission = Permission::new(actions[*a]);
                resources[*r].map_or(permission.clone(), |resource| permission.on(resource))
            };
            let listed = Ceiling::Of(allowed.iter().map(whole).collect());
            let policy = Ceiling::Policy(CeilingPolicy::new(move |action, resource| {
                allowed.iter().any(|(a, r)| action.as_str() == actions[*a] && resource.map(Resource::as_str) == resources[*r])
            }));
            let grant = Grant::from(&asked);
            let (index, plain) = (policy.index(), listed.index());
            prop_assert_eq!(index.check(&grant).map_err(|e| e.excess), plain.check(&grant).map_err(|e| e.excess));
            prop_assert_eq!(policy.check(&grant).is_ok(), listed.check(&grant).is_ok());
            prop_assert_eq!(index.check_delegation(&asked).is_ok(), plain.check_delegation(&asked).is_ok());
            prop_assert_eq!(index.meets(&grant), plain.meets(&grant));
            prop_assert_eq!(index.fields(&asked.scope.action, asked.scope.resource.as_ref()), plain.fields(&asked.scope.action, asked.scope.resource.as_ref()));
            prop_assert_eq!(index.shown_conditions(&grant), plain.shown_conditions(&grant));
            prop_assert_eq!(policy.effect(&grant), listed.effect(&grant));
            let others = Ceiling::Of(others);
            prop_assert_eq!(policy.covers(&others), listed.covers(&others));
            prop_assert!(policy.covers(&policy.clone()) && !policy.covers(&Ceiling::Unlimited) && Ceiling::Unlimited.covers(&policy));
            prop_assert!(!listed.covers(&policy), "what a policy allows is not known");
        }
    }

    #[test]
    fn a_super_admin_may_give_everything() {
        let index = Ceiling::Unlimited.index();
        let read = Permission::new("read").when(ConditionClause::from_list(["own"]));
        assert!(index.check(&Grant::from(&read)).is_ok() && index.check_delegation(&read).is_ok());
        assert!(index.shown_conditions(&Grant::from(&read)).is_empty());
        assert_eq!(index.shown_conditions(&Grant::from(&read).chosen(read.when.clone())), read.when.as_slice());
    }

    #[test]
    fn covers_takes_linear_memory() {
        let role = |n: usize| -> Vec<Permission> {
            let fields = |i: usize| Fields::only((0..10).map(|f| format!("f{i}.{f}"))).unwrap();
            (0..n)
                .map(|i| {
                    Permission::new("read").on("article").fields(fields(i)).when(ConditionClause::from_list(["own"]))
                })
                .collect()
        };
        let bytes = |n: usize| {
            let ceiling = Ceiling::Of(role(n));
            let counted = allocation_counter::measure(|| assert!(ceiling.covers(&ceiling)));
            counted.bytes_total
        };
        let (few, many) = (bytes(100), bytes(1_000));
        assert!(many < 20 * few, "{few} bytes for 100 permissions, {many} for 1000");
    }
}
