//! Requirements of routes.

use super::{Action, Resource};
use std::fmt;

/// The requirement of a route. Built with [`action`], [`authenticated`], [`any_of`] and [`all_of`].
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
    Action(Action, ResourceSource),
    AnyOf(Vec<Requirement>),
    AllOf(Vec<Requirement>),
    Whole(Box<Requirement>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ResourceSource {
    None,
    Fixed(Resource),
    Param(String),
}

/// An action that a requirement names.
#[allow(dead_code, reason = "only a guarded router reads all of it")]
pub(crate) struct RequiredAction<'a> {
    pub(crate) action: &'a Action,
    pub(crate) resource: Option<&'a Resource>,
    /// The path parameter that the resource is read from.
    pub(crate) parameter: Option<&'a str>,
}

/// Requires any valid principal, of every kind that opens the route's group.
///
/// In a content group this includes requests without a credential only if some action is public there.
pub fn authenticated() -> Requirement {
    Requirement(Asked::Authenticated)
}

/// Requires this action. Without [`on`](Requirement::on) it is an action without resource.
pub fn action(action: impl Into<Action>) -> Requirement {
    Requirement(Asked::Action(action.into(), ResourceSource::None))
}

macro_rules! from_action {
    ($($action:ty),*) => {$(
        /// Requires the action without a resource, like [`action`].
        impl From<$action> for Requirement {
            fn from(named: $action) -> Self {
                action(named)
            }
        }
    )*};
}

from_action!(Action, &str, String, &String);

/// Requires one of these. The decision allows what any of them allows; an empty list denies.
pub fn any_of(requirements: impl IntoIterator<Item = Requirement>) -> Requirement {
    Requirement(Asked::AnyOf(requirements.into_iter().collect()))
}

/// Requires all of these. The decision allows what each of them allows; an empty list denies.
pub fn all_of(requirements: impl IntoIterator<Item = Requirement>) -> Requirement {
    Requirement(Asked::AllOf(requirements.into_iter().collect()))
}

impl Requirement {
    /// Sets the resource of the action; for [`any_of`] and [`all_of`], of each part without a resource.
    #[must_use]
    pub fn on(self, resource: impl Into<Resource>) -> Self {
        self.with(&ResourceSource::Fixed(resource.into()))
    }

    /// Reads the resource from this path parameter. A request without the parameter is rejected.
    #[must_use]
    pub fn on_param(self, parameter: impl Into<String>) -> Self {
        self.with(&ResourceSource::Param(parameter.into()))
    }

    /// Requires every row and field: partial permissions are rejected before the handler runs.
    ///
    /// For handlers that have no rows to filter.
    #[must_use]
    pub fn whole(self) -> Self {
        Self(Asked::Whole(Box::new(self)))
    }

    fn with(self, resource: &ResourceSource) -> Self {
        let each = |list: Vec<Requirement>| list.into_iter().map(|r| r.with(resource)).collect();
        Self(match self.0 {
            Asked::Action(action, ResourceSource::None) => Asked::Action(action, resource.clone()),
            Asked::AnyOf(list) => Asked::AnyOf(each(list)),
            Asked::AllOf(list) => Asked::AllOf(each(list)),
            Asked::Whole(inner) => Asked::Whole(Box::new(inner.with(resource))),
            other => other,
        })
    }

    /// Returns true if a resource has to be read from the path.
    pub(crate) fn has_params(&self) -> bool {
        match &self.0 {
            Asked::Action(_, ResourceSource::Param(_)) => true,
            Asked::AnyOf(list) | Asked::AllOf(list) => list.iter().any(Self::has_params),
            Asked::Whole(inner) => inner.has_params(),
            _ => false,
        }
    }

    /// Fills in resources from path parameters, for routers other than axum's.
    ///
    /// Parameters for which `parameter` returns `None` stay unresolved, and the requirement denies.
    pub fn resolve(&self, parameter: &dyn Fn(&str) -> Option<String>) -> Self {
        let each = |list: &Vec<Requirement>| list.iter().map(|r| r.resolve(parameter)).collect();
        Self(match &self.0 {
            Asked::Action(action, ResourceSource::Param(name)) => match parameter(name) {
                Some(resource) => Asked::Action(action.clone(), ResourceSource::Fixed(resource.into())),
                None => self.0.clone(),
            },
            Asked::AnyOf(list) => Asked::AnyOf(each(list)),
            Asked::AllOf(list) => Asked::AllOf(each(list)),
            Asked::Whole(inner) => Asked::Whole(Box::new(inner.resolve(parameter))),
            other => other.clone(),
        })
    }

    /// Returns the required actions in order, for the `scope` of a rejection.
    pub fn actions(&self) -> Vec<&Action> {
        self.parts().into_iter().map(|part| part.action).collect()
    }

    /// Returns the sets of actions that meet the requirement, each by itself. Without any, nothing meets it; the empty set
    /// is any valid principal.
    #[allow(dead_code, reason = "only OpenAPI documents list them")]
    pub(crate) fn alternatives(&self) -> Vec<Vec<&Action>> {
        match &self.0 {
            Asked::Authenticated => vec![Vec::new()],
            Asked::Action(action, _) => vec![vec![action]],
            Asked::AnyOf(list) => list.iter().flat_map(Self::alternatives).collect(),
            Asked::AllOf(list) if list.is_empty() => Vec::new(),
            Asked::AllOf(list) => list.iter().map(Self::alternatives).fold(vec![Vec::new()], |all, each| {
                all.iter().flat_map(|one| each.iter().map(move |more| [&one[..], more].concat())).collect()
            }),
            Asked::Whole(inner) => inner.alternatives(),
        }
    }

    /// Returns what `unknown` finds in the actions without which nothing meets the requirement: of alternatives, nothing
    /// if it finds nothing in one of them.
    #[allow(dead_code, reason = "only a guarded router checks its requirements")]
    pub(crate) fn unknown(&self, unknown: &dyn Fn(&RequiredAction<'_>) -> Vec<String>) -> Vec<String> {
        match &self.0 {
            Asked::AnyOf(list) => {
                let each: Vec<_> = list.iter().map(|r| r.unknown(unknown)).collect();
                if each.iter().any(Vec::is_empty) { Vec::new() } else { each.concat() }
            }
            Asked::AllOf(list) => list.iter().flat_map(|r| r.unknown(unknown)).collect(),
            Asked::Whole(inner) => inner.unknown(unknown),
            Asked::Authenticated | Asked::Action(..) => self.parts().iter().flat_map(unknown).collect(),
        }
    }

    /// Returns the required actions in order, with their resources.
    pub(crate) fn parts(&self) -> Vec<RequiredAction<'_>> {
        match &self.0 {
            Asked::Authenticated => Vec::new(),
            Asked::Action(action, source) => {
                let (resource, parameter) = match source {
                    ResourceSource::None => (None, None),
                    ResourceSource::Fixed(resource) => (Some(resource), None),
                    ResourceSource::Param(name) => (None, Some(name.as_str())),
                };
                vec![RequiredAction { action, resource, parameter }]
            }
            Asked::AnyOf(list) | Asked::AllOf(list) => list.iter().flat_map(Self::parts).collect(),
            Asked::Whole(inner) => inner.parts(),
        }
    }
}

impl fmt::Display for Requirement {
    /// Formats the actions separated by spaces, as a scope (RFC 6750).
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
    fn a_path_parameter_is_resolved_in_every_part() {
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
            assert_eq!(open.resolve(&|_| None), open, "an unknown parameter stays unresolved");
            assert_eq!(resolved.resolve(&|_| Some("other".into())), resolved);
        }
        assert!(!authenticated().has_params() && !action("x").has_params());
    }

    #[test]
    fn each_alternative_meets_a_requirement_by_itself() {
        let (none, a, b, c) = (Vec::<&str>::new(), || action("a"), || action("b"), || action("c"));
        for (requirement, alternatives) in [
            (authenticated(), vec![none.clone()]),
            (a().on("article").whole(), vec![vec!["a"]]),
            (any_of([a(), b()]), vec![vec!["a"], vec!["b"]]),
            (all_of([authenticated(), a(), b()]), vec![vec!["a", "b"]]),
            (all_of([a(), any_of([b(), c()])]), vec![vec!["a", "b"], vec!["a", "c"]]),
            (any_of([authenticated(), a()]), vec![none, vec!["a"]]),
            (any_of([]), vec![]),
            (all_of([]), vec![]),
            (all_of([a(), any_of([])]), vec![]),
        ] {
            let texts = |set: &Vec<&Action>| set.iter().map(|action| action.as_str().to_owned()).collect::<Vec<_>>();
            assert_eq!(
                requirement.alternatives().iter().map(texts).collect::<Vec<_>>(),
                alternatives,
                "{requirement:?}"
            );
        }
    }
}
