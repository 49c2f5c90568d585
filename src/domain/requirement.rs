//! Requirements: what a route asks for.

use super::{Action, Resource};
use std::fmt;

/// What a route asks for. Built with [`action`], [`authenticated`], [`any_of`] and [`all_of`].
///
/// ```
/// use keyward::{action, any_of};
/// let one = action("plugin::content-manager.explorer.read").on("api::article.article");
/// let param = action("plugin::content-manager.explorer.read").on_param("uid"); // of "/collection-types/{uid}"
/// let either = any_of([one, action("admin::webhooks.read")]);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement(pub(crate) Asked);

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    Authenticated,
    Action(Action, ResourceOf),
    AnyOf(Vec<Requirement>),
    AllOf(Vec<Requirement>),
    Whole(Box<Requirement>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ResourceOf {
    None,
    Fixed(Resource),
    Param(String),
}

/// Any valid principal: every kind that opens the route's group. In a content group that includes requests without a
/// credential only if some action is public there.
pub fn authenticated() -> Requirement {
    Requirement(Asked::Authenticated)
}

/// This action. Without [`on`](Requirement::on) it is an action without subject.
pub fn action(action: impl Into<Action>) -> Requirement {
    Requirement(Asked::Action(action.into(), ResourceOf::None))
}

/// One of these. The decision is what any of them allows; none at all is refused.
pub fn any_of(requirements: impl IntoIterator<Item = Requirement>) -> Requirement {
    Requirement(Asked::AnyOf(requirements.into_iter().collect()))
}

/// All of these. The decision is what each of them allows; none at all is refused.
pub fn all_of(requirements: impl IntoIterator<Item = Requirement>) -> Requirement {
    Requirement(Asked::AllOf(requirements.into_iter().collect()))
}

impl Requirement {
    /// The action on this subject; for [`any_of`] and [`all_of`], each of theirs that has no subject yet.
    #[must_use]
    pub fn on(self, resource: impl Into<Resource>) -> Self {
        self.with(&ResourceOf::Fixed(resource.into()))
    }

    /// The action on the subject that the path names in this parameter. A request without it is refused.
    #[must_use]
    pub fn on_param(self, parameter: impl Into<String>) -> Self {
        self.with(&ResourceOf::Param(parameter.into()))
    }

    /// The same, met only for every row and field: whoever may for some is refused before the handler runs. For handlers that
    /// have no rows to ask a decision about.
    #[must_use]
    pub fn whole(self) -> Self {
        Self(Asked::Whole(Box::new(self)))
    }

    fn with(self, resource: &ResourceOf) -> Self {
        let each = |list: Vec<Requirement>| list.into_iter().map(|r| r.with(resource)).collect();
        Self(match self.0 {
            Asked::Action(action, ResourceOf::None) => Asked::Action(action, resource.clone()),
            Asked::AnyOf(list) => Asked::AnyOf(each(list)),
            Asked::AllOf(list) => Asked::AllOf(each(list)),
            Asked::Whole(inner) => Asked::Whole(Box::new(inner.with(resource))),
            other => other,
        })
    }

    /// Whether a subject is still to be read from the path.
    pub(crate) fn has_params(&self) -> bool {
        match &self.0 {
            Asked::Action(_, ResourceOf::Param(_)) => true,
            Asked::AnyOf(list) | Asked::AllOf(list) => list.iter().any(Self::has_params),
            Asked::Whole(inner) => inner.has_params(),
            _ => false,
        }
    }

    /// The same with the subjects that `parameter` knows, for routers that are not axum's. Those it does not know stay open, and so
    /// are refused.
    pub fn resolve(&self, parameter: &dyn Fn(&str) -> Option<String>) -> Self {
        let each = |list: &Vec<Requirement>| list.iter().map(|r| r.resolve(parameter)).collect();
        Self(match &self.0 {
            Asked::Action(action, ResourceOf::Param(name)) => match parameter(name) {
                Some(resource) => Asked::Action(action.clone(), ResourceOf::Fixed(resource.into())),
                None => self.0.clone(),
            },
            Asked::AnyOf(list) => Asked::AnyOf(each(list)),
            Asked::AllOf(list) => Asked::AllOf(each(list)),
            Asked::Whole(inner) => Asked::Whole(Box::new(inner.resolve(parameter))),
            other => other.clone(),
        })
    }

    /// The actions asked for, in order: what a refusal names as the missing scope.
    pub fn actions(&self) -> Vec<&Action> {
        match &self.0 {
            Asked::Authenticated => Vec::new(),
            Asked::Action(action, _) => vec![action],
            Asked::AnyOf(list) | Asked::AllOf(list) => list.iter().flat_map(Self::actions).collect(),
            Asked::Whole(inner) => inner.actions(),
        }
    }
}

impl fmt::Display for Requirement {
    /// The actions, separated by spaces, as RFC 6750 writes a scope.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, action) in self.actions().into_iter().enumerate() {
            write!(f, "{}{action}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_read_from_the_path_wherever_it_is_asked_for() {
        let (param, fixed) = (|| action("read").on_param("uid"), || action("read").on("article"));
        for (open, resolved) in [
            (param(), fixed()),
            (param().whole(), fixed().whole()),
            (any_of([action("x"), param()]), any_of([action("x"), fixed()])),
            (all_of([param(), authenticated()]), all_of([fixed(), authenticated()])),
            (
                any_of([all_of([authenticated(), param().whole()])]),
                any_of([all_of([authenticated(), fixed().whole()])]),
            ),
        ] {
            assert!(open.has_params() && !resolved.has_params(), "{open:?}");
            assert_eq!(open.resolve(&|name| (name == "uid").then(|| "article".into())), resolved);
            assert_eq!(open.resolve(&|_| None), open, "what the path does not say stays open");
            assert_eq!(resolved.resolve(&|_| Some("other".into())), resolved);
        }
        assert!(!authenticated().has_params() && !action("x").has_params());
    }
}
