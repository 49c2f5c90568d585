//! Converts permissions, grants and content actions of the source.

use super::apply::{Importer, is_strange};
use super::report::Outcome;
use crate::admin::state::ScopeWithConditions;
use crate::domain::{
    Ceiling, ConditionClause, ConditionExpr, ConditionId, ContentAccess, EffectivePermission, Fields, Grant,
    Permission, Scope,
};

impl Importer<'_, '_> {
    /// Returns the grants that this ceiling covers, in their stored form, and reports the others.
    pub(super) fn covered_grants(&mut self, token: &str, grants: Vec<Grant>, ceiling: &Ceiling) -> Vec<Grant> {
        let mut kept = Vec::with_capacity(grants.len());
        for mut grant in grants {
            let what = format!("grant {} of {token}", grant.scope);
            grant.chosen = self.without_unknown_conditions(&what, grant.chosen);
            if let Some(why) = self.rejection((&grant.scope, grant.chosen.as_slice())) {
                self.report.add(Outcome::Left, what, why);
            } else if let Err(beyond) = ceiling.check(&grant) {
                self.report.add(Outcome::TakenAway, what, beyond.to_string());
            } else {
                let (grant, narrowed) = within_ceiling(ceiling, grant);
                if let Some(why) = narrowed {
                    self.report.add(Outcome::Narrowed, what, why);
                }
                kept.push(grant);
            }
        }
        kept
    }

    /// Returns the access without actions that the catalogue does not have, and reports those.
    pub(super) fn registered_access(&mut self, token: &str, access: ContentAccess) -> ContentAccess {
        let ContentAccess::Custom(actions) = access else { return access };
        let mut kept = Vec::with_capacity(actions.len());
        for action in actions.iter() {
            let catalogue = self.unit.state.settings.catalogue.as_ref();
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

    /// Returns the conditions without those that are not registered, and reports these. They never hold, and any other one suffices. If
    /// none is registered, all stay.
    pub(super) fn without_unknown_conditions(&mut self, what: &str, when: ConditionClause) -> ConditionClause {
        let conditions = self.unit.state.resolver.conditions();
        let (known, unknown): (Vec<&ConditionId>, Vec<&ConditionId>) =
            when.as_slice().iter().partition(|id| conditions.contains(id.as_str()));
        if known.is_empty() {
            return when;
        }
        for id in unknown {
            let why = "it is not registered here, so it never holds";
            self.report.add(Outcome::Left, format!("condition {id} of {what}"), why);
        }
        ConditionClause::from_list(known.into_iter().cloned())
    }

    /// Returns why a permission or grant cannot be stored.
    pub(super) fn rejection(&self, item: ScopeWithConditions<'_>) -> Option<String> {
        let (Scope { action, resource, fields }, conditions) = item;
        let fields_named = match fields {
            Fields::All => &[][..],
            Fields::Only(set) => set.as_slice(),
        };
        let mut names = fields_named.iter().map(|f| f.as_str()).chain(conditions.iter().map(|c| c.as_str()));
        if is_strange(action.as_str())
            || resource.as_ref().is_some_and(|s| is_strange(s.as_str()))
            || names.any(is_strange)
        {
            return Some("a name in it has control, invisible or direction-changing characters".to_owned());
        }
        let unknown = self.unit.state.unregistered(item);
        let messages: Vec<String> = unknown.into_iter().map(|u| u.message).collect();
        (!messages.is_empty()).then(|| messages.join("; "))
    }
}

/// Returns a grant that the ceiling covers in its stored form, and how it allows less than in Strapi, if it does.
///
/// Strapi copies the conditions of the owner's permissions into grants. Where the owner's permissions imply them, they stay inherited and
/// follow the roles. Elsewhere they are stored as chosen, so that the grant is no wider than it was.
fn within_ceiling(ceiling: &Ceiling, grant: Grant) -> (Grant, Option<String>) {
    let there = ConditionExpr::all([grant.chosen.clone()]);
    let alone = Permission { scope: grant.scope.clone(), when: grant.chosen.clone() };
    let bare = Grant { chosen: ConditionClause::Always, ..grant.clone() };
    let implied = |rule: &EffectivePermission| rule.guard.implies(&there);
    let kept = if ceiling.effect(&bare).iter().all(implied) { bare } else { grant };
    let narrowed = ceiling.check_delegation(&alone).is_err().then(|| {
        let here: Vec<String> =
            ceiling.effect(&kept).iter().map(|rule| rows_text(&rule.scope.fields, &rule.guard)).collect();
        format!("there {}; here {}", rows_text(&alone.scope.fields, &there), here.join(", and "))
    });
    (kept, narrowed)
}

/// Describes fields and the rows on which they are allowed.
fn rows_text(fields: &Fields, guard: &ConditionExpr) -> String {
    let fields = match fields {
        Fields::All => "all fields".to_owned(),
        Fields::Only(set) => set.as_slice().iter().map(|f| f.as_str()).collect::<Vec<_>>().join(", "),
    };
    if guard.is_always() {
        return format!("{fields} of every row");
    }
    let any = |when: &ConditionClause| when.as_slice().iter().map(|c| c.as_str()).collect::<Vec<_>>().join(" or ");
    let all: Vec<String> = guard.parts().iter().map(any).collect();
    format!("{fields} of rows with {}", all.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{hash_set, vec};
    use proptest::prelude::*;

    const CONDITIONS: [&str; 3] = ["a", "b", "c"];
    /// No list has the last one: only a grant for all fields allows it.
    const FIELDS: [&str; 3] = ["x", "y", "z"];

    fn fields() -> impl Strategy<Value = Fields> {
        let some =
            hash_set(0..2_usize, 1..=2).prop_map(|set| Fields::only(set.into_iter().map(|i| FIELDS[i])).unwrap());
        prop_oneof![Just(Fields::All), some]
    }

    fn when() -> impl Strategy<Value = ConditionClause> {
        hash_set(0..3_usize, 0..=3).prop_map(|set| ConditionClause::from_list(set.into_iter().map(|i| CONDITIONS[i])))
    }

    fn holds(when: &ConditionClause, row: u8) -> bool {
        let holds =
            |id: &ConditionId| CONDITIONS.iter().position(|c| *c == id.as_str()).is_some_and(|i| row >> i & 1 == 1);
        *when == ConditionClause::Always || when.as_slice().iter().any(holds)
    }

    fn allows(rules: &[EffectivePermission], field: &str, row: u8) -> bool {
        rules.iter().any(|r| r.scope.fields.contains(field) && r.guard.parts().iter().all(|when| holds(when, row)))
    }

    proptest! {
        /// The oracle asks for each field of each kind of row.
        #[test]
        fn imported_grants_are_no_wider_and_narrower_ones_are_reported(
            held in vec((fields(), when()), 0..4),
            (grant_fields, chosen) in (fields(), when()),
            super_admin in proptest::bool::weighted(0.1),
        ) {
            let permissions = held.iter().map(|(f, w)| Permission::new("read").fields(f.clone()).when(w.clone()));
            let ceiling = if super_admin { Ceiling::Unlimited } else { Ceiling::Of(permissions.collect()) };
            let grant = Grant::new("read").fields(grant_fields.clone()).chosen(chosen.clone());
            prop_assume!(ceiling.check(&grant).is_ok());
            let exact = ceiling.effect(&grant);
            let (kept, narrowed) = within_ceiling(&ceiling, grant);
            let rules = ceiling.effect(&kept);
            let mut less = false;
            for field in FIELDS {
                for row in 0..8 {
                    let there = grant_fields.contains(field) && holds(&chosen, row);
                    let owner = super_admin || held.iter().any(|(f, w)| f.contains(field) && holds(w, row));
                    let here = allows(&rules, field, row);
                    prop_assert_eq!(here, there && owner, "{} of row {:b}", field, row);
                    prop_assert_eq!(here, allows(&exact, field, row));
                    less |= there && !here;
                }
            }
            prop_assert_eq!(narrowed.is_some(), less, "{:?}", narrowed);
        }
    }
}
