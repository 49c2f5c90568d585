//! What is chosen in a matrix: read from a form, or from what is there.

use super::form::Sent;
use super::matrix::Words;
use super::permissions::Apart;
use crate::domain::{Action, ConditionId, Fields, Grant, Subject, When};

/// What is chosen of each action on each subject.
#[derive(Default)]
pub(super) struct Chosen {
    grants: Vec<Grant>,
    /// Of a role: fields under conditions of their own.
    pub(super) apart: Vec<Apart>,
}

impl Chosen {
    /// What a form sent. Values that are none are left out: no page of ours sends them.
    pub(super) fn sent(sent: &Sent) -> Self {
        let mut chosen = Self::default();
        for value in sent.all("grant") {
            let Ok(words) = serde_json::from_str::<Vec<String>>(value) else { continue };
            let mut words = words.into_iter();
            let (Some(action), subject, field) = (words.next(), words.next(), words.next()) else { continue };
            let fields = field.and_then(|field| Fields::only([field]).ok()).unwrap_or(Fields::All);
            chosen.add(action.into(), subject.map(Into::into), fields);
        }
        for value in sent.all("condition") {
            let Ok((action, subject, id)) = serde_json::from_str::<(Action, Option<Subject>, ConditionId)>(value)
            else {
                continue;
            };
            if let Some(grant) = chosen.find(&action, subject.as_ref()) {
                let ids = grant.chosen.as_slice().iter().cloned().chain([id]);
                grant.chosen = When::from_list(ids);
            }
        }
        chosen
    }

    pub(super) fn of_grants(grants: &[Grant]) -> Self {
        let mut chosen = Self::default();
        for grant in grants {
            chosen.add(grant.action.clone(), grant.subject.clone(), grant.fields.clone());
            if let Some(found) = chosen.find(&grant.action, grant.subject.as_ref()) {
                let ids = found.chosen.as_slice().iter().chain(grant.chosen.as_slice()).cloned();
                found.chosen = When::from_list(ids.collect::<Vec<_>>());
            }
        }
        chosen
    }

    pub(super) fn add(&mut self, action: Action, subject: Option<Subject>, fields: Fields) {
        match self.find(&action, subject.as_ref()) {
            Some(grant) => grant.fields = grant.fields.union(&fields),
            None => self.grants.push(Grant { action, subject, fields, chosen: When::Always }),
        }
    }

    fn find(&mut self, action: &Action, subject: Option<&Subject>) -> Option<&mut Grant> {
        self.grants.iter_mut().find(|grant| grant.action == *action && grant.subject.as_ref() == subject)
    }

    /// Which fields; `None`: it is not chosen.
    pub(super) fn fields(&self, action: &Action, subject: Option<&Subject>) -> Option<Fields> {
        let found = self.grants.iter().find(|grant| grant.action == *action && grant.subject.as_ref() == subject);
        found.map(|grant| grant.fields.clone())
    }

    /// Under which conditions.
    pub(super) fn when(&self, action: &Action, subject: Option<&Subject>) -> When {
        let found = self.grants.iter().find(|grant| grant.action == *action && grant.subject.as_ref() == subject);
        found.map_or(When::Always, |grant| grant.chosen.clone())
    }

    pub(super) fn set_when(&mut self, action: &Action, subject: Option<&Subject>, when: When) {
        if let Some(grant) = self.find(action, subject) {
            grant.chosen = when;
        }
    }

    pub(super) fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// The grants of a new token.
    pub(super) fn into_grants(self) -> Vec<Grant> {
        self.grants
    }

    /// The grants of a token that had these: what the form shows is as it was sent; the rest stays, and so do conditions that a super
    /// admin chose, which the form does not offer.
    pub(super) fn onto(self, before: &[Grant], words: &Words) -> Vec<Grant> {
        let shown: Vec<&Grant> = before.iter().filter(|grant| words.shows(grant)).collect();
        let mut after: Vec<Grant> = before.iter().filter(|grant| !words.shows(grant)).cloned().collect();
        for new in self.grants {
            let of = |grant: &&&Grant| grant.action == new.action && grant.subject == new.subject;
            let old: Vec<&&Grant> = shown.iter().filter(of).collect();
            let mut left = Some(new.fields.clone());
            for grant in &old {
                // All fields stay all: a list would lack those that come later.
                if let Some(kept) = new.fields.intersect(&grant.fields) {
                    left = left.take().and_then(|left| without(left, &kept));
                    after.push(Grant { fields: kept, ..(**grant).clone() });
                }
            }
            if let Some(fields) = left {
                let chosen = old.first().map_or(When::Always, |grant| grant.chosen.clone());
                after.push(Grant { fields, chosen, ..new });
            }
        }
        after
    }
}

/// What of `all` is not among `some`; `None` if that is nothing.
fn without(all: Fields, some: &Fields) -> Option<Fields> {
    match (all, some) {
        (_, Fields::All) => None,
        (Fields::All, Fields::Only(_)) => Some(Fields::All),
        (Fields::Only(all), Fields::Only(some)) => {
            Fields::only(all.as_slice().iter().filter(|field| !some.contains(field.as_str())).cloned()).ok()
        }
    }
}
