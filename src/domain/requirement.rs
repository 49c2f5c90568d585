//! Requirements of routes.

#[cfg(feature = "axum")]
use super::Catalogue;
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

    /// Returns the names that no request can meet: those that the catalogue lacks, and parameters of no path.
    #[cfg(feature = "axum")]
    pub(crate) fn unknown_names(
        &self,
        catalogue: Option<&Catalogue>,
        is_param: impl Fn(&str) -> bool + Copy,
    ) -> Vec<String> {
        match &self.0 {
            Asked::Authenticated => Vec::new(),
            Asked::AnyOf(list) | Asked::AllOf(list) => {
                list.iter().flat_map(|r| r.unknown_names(catalogue, is_param)).collect()
            }
            Asked::Whole(inner) => inner.unknown_names(catalogue, is_param),
            Asked::Action(action, resource) => {
                let unknown_action = catalogue.filter(|c| !c.has_action(action));
                let unknown_resource = match resource {
                    ResourceSource::None => None,
                    ResourceSource::Fixed(resource) => catalogue
                        .filter(|c| !c.resources().iter().any(|entry| entry.id == *resource))
                        .map(|_| format!("resource {resource} in the catalogue")),
                    ResourceSource::Param(name) => {
                        (!is_param(name)).then(|| format!("parameter {{{name}}} in the path"))
                    }
                };
                let unknown_action = unknown_action.map(|_| format!("action {action} in the catalogue"));
                unknown_action.into_iter().chain(unknown_resource).collect()
            }
        }
    }

    /// Returns the required actions in order, for the `scope` of a rejection.
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
}
