//! What is chosen in a matrix: read from a form, or from what is there.

use super::failure::Failure;
use super::form::Sent;
use super::matrix::Words;
use crate::domain::{Action, ConditionClause, ConditionId, Field, Fields, Grant, Resource, Scope};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// An action on a subject, or on none.
pub(super) type Place = (Action, Option<Resource>);

/// What is chosen of each action on each subject.
#[derive(Default)]
pub(super) struct Chosen(pub(super) BTreeMap<Place, Choice>);

pub(super) struct Choice {
    pub(super) fields: Fields,
    pub(super) when: ConditionClause,
    /// Of a role: fields under conditions of their own, whatever holds for the rest.
    pub(super) apart: BTreeMap<Field, ConditionClause>,
}

/// The same while it is gathered. A form can have as many boxes as fit in it, so each is only put into its place.
#[derive(Default)]
pub(super) struct Gathered(pub(super) BTreeMap<Place, Parts>);

#[derive(Default)]
pub(super) struct Parts {
    all: bool,
    fields: BTreeSet<Field>,
    when: Ways,
    pub(super) apart: BTreeMap<Field, Ways>,
}

/// Conditions of which any suffices.
#[derive(Default)]
pub(super) struct Ways {
    always: bool,
    ids: BTreeSet<ConditionId>,
}

impl Chosen {
    /// What a form sent.
    pub(super) fn sent(sent: &Sent) -> Result<Self, Failure> {
        Ok(Gathered::sent(sent)?.chosen())
    }

    pub(super) fn of_grants(grants: &[Grant]) -> Self {
        let mut gathered = Gathered::default();
        for grant in grants {
            let parts = gathered.at(grant.scope.action.clone(), grant.scope.resource.clone());
            parts.add(&grant.scope.fields);
            parts.when.add(&grant.chosen);
        }
        gathered.chosen()
    }

    pub(super) fn at(&self, action: &Action, resource: Option<&Resource>) -> Option<&Choice> {
        self.0.get(&(action.clone(), resource.cloned()))
    }

    /// Which fields; `None`: it is not chosen.
    pub(super) fn fields(&self, action: &Action, resource: Option<&Resource>) -> Option<&Fields> {
        self.at(action, resource).map(|choice| &choice.fields)
    }

    /// Under which conditions.
    pub(super) fn when(&self, action: &Action, resource: Option<&Resource>) -> ConditionClause {
        self.at(action, resource).map_or(ConditionClause::Always, |choice| choice.when.clone())
    }

    /// The grants of a new token.
    pub(super) fn into_grants(self) -> Vec<Grant> {
        let one = |((action, resource), Choice { fields, when, .. })| Grant {
            scope: Scope { action, resource, fields },
            chosen: when,
        };
        self.0.into_iter().map(one).collect()
    }

    /// The grants of a token that had these, if they are others now: what the form shows is as it was sent; the rest stays, and so do
    /// conditions that a super admin chose, which the form does not offer.
    pub(super) fn onto(self, before: &[Grant], words: &Words) -> Option<Vec<Grant>> {
        let mut after = Vec::new();
        let mut old: BTreeMap<Place, Vec<&Grant>> = BTreeMap::new();
        for grant in before {
            let place = (grant.scope.action.clone(), grant.scope.resource.clone());
            let (shown, hidden) = words.split_grant(grant);
            // All fields stay all: a list would lack those that come later.
            let kept = shown.zip(self.0.get(&place)).and_then(|(shown, choice)| shown.intersect(&choice.fields));
            let fields = match (kept, hidden) {
                (Some(kept), Some(hidden)) => Some(kept.union(&hidden)),
                (kept, hidden) => kept.or(hidden),
            };
            after.extend(fields.map(|fields| grant.clone().fields(fields)));
            old.entry(place).or_default().push(grant);
        }
        for (place, Choice { fields, .. }) in self.0 {
            let old = old.remove(&place).unwrap_or_default();
            if let Some(fields) = without(fields, &old) {
                let (action, resource) = place;
                after.push(Grant { scope: Scope { action, resource, fields }, chosen: strictest(&old) });
            }
        }
        let same = before.iter().collect::<HashSet<_>>() == after.iter().collect();
        (!same).then_some(after)
    }
}

impl Gathered {
    pub(super) fn sent(sent: &Sent) -> Result<Self, Failure> {
        let mut gathered = Self::default();
        for list in sent.lists("grant") {
            let mut words = list?.into_iter();
            let (Some(Some(action)), resource, field, None) = (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(Failure::not_whole());
            };
            let (resource, field) = match (resource, field) {
                (None, None) => (None, None),
                (Some(Some(resource)), None) => (Some(resource), None),
                (Some(Some(resource)), Some(Some(field))) => (Some(resource), Some(field)),
                _ => return Err(Failure::not_whole()),
            };
            let parts = gathered.at(action.into(), resource.map(Into::into));
            match field {
                Some(field) => drop(parts.fields.insert(field.into())),
                None => parts.all = true,
            }
        }
        for list in sent.lists("condition") {
            let Ok([Some(action), resource, Some(id)]) = <[_; 3]>::try_from(list?) else {
                return Err(Failure::not_whole());
            };
            // What is not chosen has no conditions.
            if let Some(parts) = gathered.0.get_mut(&(action.into(), resource.map(Into::into))) {
                parts.when.ids.insert(id.into());
            }
        }
        Ok(gathered)
    }

    fn at(&mut self, action: Action, resource: Option<Resource>) -> &mut Parts {
        self.0.entry((action, resource)).or_default()
    }

    pub(super) fn chosen(self) -> Chosen {
        let one = |(place, parts): (Place, Parts)| {
            let fields = if parts.all { Fields::All } else { Fields::only(parts.fields).ok()? };
            let apart = parts.apart.into_iter().map(|(field, ways)| (field, ways.when())).collect();
            Some((place, Choice { fields, when: parts.when.when(), apart }))
        };
        Chosen(self.0.into_iter().filter_map(one).collect())
    }
}

impl Parts {
    fn add(&mut self, fields: &Fields) {
        match fields {
            Fields::All => self.all = true,
            Fields::Only(set) => self.fields.extend(set.as_slice().iter().cloned()),
        }
    }

    pub(super) fn has(&self, field: &Field) -> bool {
        self.all || self.fields.contains(field)
    }
}

impl Ways {
    /// Or under these. What is so always needs none of the others.
    pub(super) fn add(&mut self, when: &ConditionClause) {
        match when {
            ConditionClause::Always => self.always = true,
            ConditionClause::AnyOf(set) => self.ids.extend(set.as_slice().iter().cloned()),
        }
    }

    pub(super) fn when(self) -> ConditionClause {
        if self.always { ConditionClause::Always } else { ConditionClause::from_list(self.ids) }
    }
}

/// What of these fields no old grant has; `None` if that is nothing.
fn without(fields: Fields, old: &[&Grant]) -> Option<Fields> {
    let mut had: HashSet<&Field> = HashSet::new();
    for grant in old {
        match &grant.scope.fields {
            Fields::All => return None,
            Fields::Only(set) => had.extend(set.as_slice()),
        }
    }
    match fields {
        Fields::All => Some(Fields::All),
        Fields::Only(set) => Fields::only(set.as_slice().iter().filter(|field| !had.contains(field)).cloned()).ok(),
    }
}

/// The chosen conditions of what is added to these: a field should not have more than the others.
fn strictest(old: &[&Grant]) -> ConditionClause {
    let chosen = old.iter().map(|grant| &grant.chosen).filter(|chosen| **chosen != ConditionClause::Always);
    chosen.min_by_key(|chosen| chosen.as_slice().len()).cloned().unwrap_or(ConditionClause::Always)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ActionEntry, Catalogue, Conditions, ResourceEntry};

    fn words() -> Words {
        let article = ResourceEntry::collection("article", "Article").fields(["title", "body", "slug"]);
        let read = ActionEntry::on_resources("read", "Read", ["article"]).with_fields();
        Words::new(Catalogue::default().resource(article).action(read), &Conditions::default())
    }

    fn read(fields: &[&str], chosen: &[&str]) -> Grant {
        let fields = Fields::only(fields.to_vec()).unwrap_or(Fields::All);
        Grant::new("read").on("article").fields(fields).chosen(ConditionClause::from_list(chosen.to_vec()))
    }

    fn ticked(fields: &[&str]) -> Chosen {
        Chosen::of_grants(&[read(fields, &[])])
    }

    fn boxes(n: usize, value: impl Fn(usize) -> String) -> Vec<(&'static str, String)> {
        (0..n).map(|i| ("grant", value(i))).collect()
    }

    /// Forms of `n` boxes, each the worst of its kind.
    fn forms(n: usize) -> [Vec<(&'static str, String)>; 4] {
        let fields = || boxes(n, |i| format!(r#"["read","article","f{i:06}"]"#));
        let with = |name: &'static str, value: &dyn Fn(usize) -> String| {
            fields().into_iter().chain((0..n).map(|i| (name, value(i)))).collect()
        };
        [
            fields(),
            boxes(n, |i| format!(r#"["read","s{i:06}"]"#)),
            with("condition", &|i| format!(r#"["read","article","c{i:06}"]"#)),
            with("apart", &|i| format!(r#"["read","article","f{i:06}","c{i:06}"]"#)),
        ]
    }

    #[test]
    fn the_work_for_a_form_grows_as_the_form_does() {
        let bytes = |form: Vec<(&'static str, String)>| {
            let (sent, words) = (Sent::of(form), words());
            let counted = allocation_counter::measure(|| {
                drop(Chosen::sent_for_role(&sent).unwrap().permissions());
                drop(Chosen::sent(&sent).unwrap().onto(&[read(&["title"], &[])], &words));
            });
            counted.bytes_total
        };
        for (i, (few, many)) in forms(500).into_iter().zip(forms(4_000)).enumerate() {
            let (few, many) = (bytes(few), bytes(many));
            assert!(many < 12 * few, "form {i}: {few} bytes for 500 boxes, {many} for 4000");
        }
    }

    #[test]
    fn a_form_that_is_not_whole_is_none() {
        let whole = [r#"["read"]"#, r#"["read","article"]"#, r#"["read","article","title"]"#];
        for value in whole {
            assert!(Chosen::sent(&Sent::of([("grant", value.to_owned())])).is_ok(), "{value}");
        }
        let broken = [
            ("grant", "read"),
            ("grant", "[]"),
            ("grant", "[null]"),
            ("grant", r#"["read",null,"title"]"#),
            ("grant", r#"["read","article","title","more"]"#),
            ("grant", r#"["read\u0000"]"#),
            ("grant", r#"{"read":1}"#),
            ("condition", r#"["read","own"]"#),
            ("condition", r#"["read","article",null]"#),
            ("condition", r#"["read","article","own","more"]"#),
            ("condition", r#"["read","article","own\u0000"]"#),
            ("apart", r#"["read","article","own"]"#),
            ("apart", r#"["read","article",null,"own"]"#),
        ];
        for (name, value) in broken {
            let sent = Sent::of([("grant", whole[1].to_owned()), (name, value.to_owned())]);
            assert!(Chosen::sent_for_role(&sent).is_err(), "{name} {value}");
            assert_eq!(Chosen::sent(&sent).is_err(), name != "apart", "{name} {value}");
        }
    }

    #[test]
    fn what_is_had_without_conditions_is_shown_without() {
        let when = |grants: &[Grant]| Chosen::of_grants(grants).when(&"read".into(), Some(&"article".into()));
        let (free, own) = (read(&["title"], &[]), read(&["body"], &["own"]));
        assert_eq!(when(&[free.clone(), own.clone()]), ConditionClause::Always);
        assert_eq!(when(&[own.clone(), free]), ConditionClause::Always);
        assert_eq!(when(&[own, read(&["slug"], &["shared"])]), ConditionClause::from_list(["own", "shared"]));
    }

    #[test]
    fn what_is_added_has_the_strictest_of_the_chosen_conditions() {
        let onto = |before: &[Grant]| ticked(&["title", "body", "slug"]).onto(before, &words());
        let (free, own, either) =
            (read(&["title"], &[]), read(&["body"], &["own"]), read(&["body"], &["own", "shared"]));
        for before in [[free.clone(), own.clone()], [own.clone(), free.clone()]] {
            let after = onto(&before).unwrap();
            assert_eq!(after[..2], before);
            assert_eq!(after[2..], [read(&["slug"], &["own"])]);
        }
        assert_eq!(onto(std::slice::from_ref(&either)).unwrap()[1], read(&["slug", "title"], &["own", "shared"]));
        assert_eq!(onto(&[read(&["title"], &["own"]), either]).unwrap()[2], read(&["slug"], &["own"]));
        assert_eq!(onto(&[free]).unwrap()[1], read(&["body", "slug"], &[]));
        assert_eq!(onto(&[]).unwrap(), [read(&["body", "slug", "title"], &[])]);
    }

    #[test]
    fn fields_that_no_form_shows_stay() {
        let words = words();
        let before = [read(&["title", "gone"], &["own"]), read(&["left"], &[]), Grant::new("unknown")];
        let (shown, hidden) = words.split_grants(&before);
        assert_eq!(shown, [read(&["title"], &["own"])]);
        assert_eq!(hidden, [read(&["gone"], &["own"]), read(&["left"], &[]), Grant::new("unknown")]);
        assert_eq!(Chosen::of_grants(&shown).onto(&before, &words), None);
        let [_, left, unknown] = before.clone();
        let gone = read(&["gone"], &["own"]);
        let rest = || vec![gone.clone(), left.clone(), unknown.clone()];
        assert_eq!(Chosen::default().onto(&before, &words), Some(rest()));
        let body = [&rest()[..], &[read(&["body"], &["own"])]].concat();
        assert_eq!(ticked(&["body"]).onto(&before, &words), Some(body));
    }

    #[test]
    fn the_order_of_grants_is_no_change() {
        let before = [read(&["title"], &["own"]), Grant::new("unknown"), read(&["body", "title"], &[])];
        assert_eq!(ticked(&["title", "body"]).onto(&before, &words()), None);
        assert!(ticked(&[]).onto(&[read(&["title"], &[])], &words()).is_some());
        assert_eq!(ticked(&[]).onto(&[read(&[], &["own"])], &words()), None);
    }
}
